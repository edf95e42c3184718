/* json: whatever is accepted must be accepted again after writing, in one piece and in pieces of one byte. */
#include "base/cleanup.h"
#include "format/json.h"

struct source {
    const uint8_t *p;
    size_t n, step;
};

static ssize_t source_read(void *ctx, void *p, size_t n, struct err *e)
{
    struct source *s = ctx;
    n = n < s->step ? n : s->step;
    n = n < s->n ? n : s->n;
    memcpy(p, s->p, n);
    s->p += n;
    s->n -= n;
    return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 30);
    struct err e = ERR_INIT, es = ERR_INIT;
    struct json_value *v = NULL, *back = NULL;
    struct str text = str_n((const char *)data, size);
    int r = json_parse(a, text, 0, &v, &e);
    struct source s = {data, size, 1 + size % 7};
    struct json *j = json_open(source_read, &s, 0);
    int t;
    while ((t = json_next(j, &es)) > 0)
        ;
    json_close(j);
    if ((r < 0) != (t < 0) || (r < 0 && strcmp(e.msg, es.msg)))
        abort(); /* memory and stream disagree */
    if (json_parse(a, text, JSON_FOLD_KEYS, &back, &es) == 0 && r < 0)
        abort(); /* folding only refuses more */
    if (r < 0)
        return 0;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20), c = BUF_INIT(64u << 20);
    struct json_writer w = JSON_WRITER(&b), w2 = JSON_WRITER(&c);
    json_w_value(&w, v);
    if (b.full || json_parse(a, buf_str(&b), 0, &back, &e) < 0)
        abort();
    json_w_value(&w2, back);
    if (!str_eq(buf_str(&b), buf_str(&c)))
        abort();
    return 0;
}
