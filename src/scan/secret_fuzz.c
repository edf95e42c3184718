#include "scan/secret.h"

#include "base/cleanup.h"

static bool on_hit(void *ctx, const struct secret_hit *hit)
{
    const struct str *text = ctx;
    if (hit->from > hit->to || hit->to > text->n)
        abort();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(secrets_freep) struct secrets *s = secrets_new();
    /* exactly as long as it is, so that reading on is seen */
    char *copy = malloc(n ? n : 1);
    if (n)
        memcpy(copy, p, n);
    struct str text = str_n(copy, n), line, rest = text, name, value;
    secrets_scan(s, text, on_hit, &text);
    while (str_cut(&rest, '\n', &line))
        if (secret_env_line(line, &name, &value))
            secret_variable(name, value);
    secret_is_text(text);
    secret_path_skipped(text);
    free(copy);
    return 0;
}
