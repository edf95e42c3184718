/* Secrets in the config of an image: environment, labels, command, history. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "scan/secret.h"

#define REDACTED STR("[redacted]")

struct config_scan {
    const struct secrets *s;
    struct arena *a;
    struct finding *list;
    size_t n, cap;
    /* of the text that is being read */
    enum finding_origin origin;
    struct str name, *text;
    struct buf out;
    size_t copied;
};

static void add(struct config_scan *c, const char *id, const char *title, enum vuln_severity severity, struct str match)
{
    if (c->n >= 1000)
        return;
    c->list = arena_grow(c->a, c->list, c->n, &c->cap, sizeof(*c->list));
    c->list[c->n++] = (struct finding){.kind = FINDING_SECRET,
                                       .id = str_c(id),
                                       .title = str_c(title),
                                       .severity = severity,
                                       .origin = c->origin,
                                       .path = c->name,
                                       .match = match,
                                       .cvss = -1,
                                       .epss = -1};
}

static bool on_hit(void *ctx, const struct secret_hit *hit)
{
    struct config_scan *c = ctx;
    add(c, hit->id, hit->title, hit->severity, secret_evidence(c->a, hit));
    buf_puts(&c->out, str_sub(*c->text, c->copied, hit->from));
    buf_puts(&c->out, REDACTED);
    c->copied = hit->to;
    return true;
}

/* Text with its secrets replaced. */
static void scan_text(struct config_scan *c, enum finding_origin origin, struct str name, struct str *text)
{
    c->origin = origin;
    c->name = name;
    c->text = text;
    c->copied = 0;
    buf_reset(&c->out);
    secrets_scan(c->s, *text, on_hit, c);
    if (c->copied) {
        buf_puts(&c->out, str_sub(*text, c->copied, text->n));
        *text = arena_str(c->a, buf_str(&c->out));
    }
}

/* NAME=VALUE: also when only the name says that it is a secret. */
static void variable(struct config_scan *c, struct str *entry)
{
    struct str name, value;
    size_t before = c->n;
    if (!str_split(*entry, '=', &name, &value)) {
        scan_text(c, ORIGIN_ENV, *entry, entry);
        return;
    }
    scan_text(c, ORIGIN_ENV, name, entry);
    if (c->n > before || !secret_variable(name, value))
        return;
    add(c, "variable", "secret in a variable", VULN_HIGH,
        arena_strf(c->a, STR_FMT "=**** (%zu characters)", STR_ARG(str_sub(name, 0, 100)), value.n));
    *entry = arena_strf(c->a, STR_FMT "=[redacted]", STR_ARG(name));
}

/* NAME=VALUE words inside of a history line, as ENV and ARG leave them: "|1 TOKEN=abc /bin/sh -c ..." */
static void words(struct config_scan *c, struct str *line)
{
    struct str rest = *line, word, name, value;
    _cleanup_(buf_fini) struct buf out = BUF_INIT(LIMIT_JSON_STRING);
    bool any = false;
    while (str_cut(&rest, ' ', &word)) {
        if (out.n)
            buf_putc(&out, ' ');
        if (secret_env_line(word, &name, &value) && secret_variable(name, value) && !str_has(value, REDACTED)) {
            add(c, "variable", "secret in a variable", VULN_HIGH,
                arena_strf(c->a, STR_FMT "=**** (%zu characters)", STR_ARG(str_sub(name, 0, 100)), value.n));
            buf_puts(&out, name);
            buf_putz(&out, "=[redacted]");
            any = true;
        } else {
            buf_puts(&out, word);
        }
    }
    if (any && !out.full)
        *line = arena_str(c->a, buf_str(&out));
}

void secret_config(const struct secrets *s, struct arena *a, struct image_config *config, struct str *history,
                   size_t history_n, struct finding **ret, size_t *ret_n)
{
    struct config_scan c = {.s = s, .a = a, .out = BUF_INIT(LIMIT_JSON_STRING)};
    for (size_t i = 0; i < config->env_n; i++)
        variable(&c, &config->env[i]);
    for (size_t i = 0; i < config->labels_n; i++)
        scan_text(&c, ORIGIN_LABEL, config->label_keys[i], &config->label_values[i]);
    for (size_t i = 0; i < config->entrypoint_n; i++)
        scan_text(&c, ORIGIN_CONFIG, STR("entrypoint"), &config->entrypoint[i]);
    for (size_t i = 0; i < config->cmd_n; i++)
        scan_text(&c, ORIGIN_CONFIG, STR("cmd"), &config->cmd[i]);
    for (size_t i = 0; i < history_n; i++) {
        scan_text(&c, ORIGIN_HISTORY, STR(""), &history[i]);
        words(&c, &history[i]);
    }
    buf_fini(&c.out);
    *ret = c.list;
    *ret_n = c.n;
}
