/* https://github.com/RustSec/advisory-db: Markdown that begins with a block of TOML. Read is the part of TOML that
 * these files use: tables, "key = value" with strings and arrays of strings over several lines. */
#include "base/cleanup.h"
#include "intel/feed.h"
#include "intel/feed_language.h"

enum { VALUES_MAX = 256 };

struct toml {
    struct str rest;
    struct str table;
};

static bool is_comment_or_blank(struct str line)
{
    return !line.n || line.p[0] == '#';
}

/* A string in quotes at the front of *s, escapes but \" and \\ kept as they are. */
static bool take_string(struct arena *a, struct str *s, struct str *ret)
{
    char quote = s->n ? s->p[0] : 0;
    if (quote != '"' && quote != '\'')
        return false;
    char *out = arena_alloc(a, s->n);
    size_t n = 0, i = 1;
    for (; i < s->n && s->p[i] != quote; i++) {
        if (quote == '"' && s->p[i] == '\\' && i + 1 < s->n && (s->p[i + 1] == '"' || s->p[i + 1] == '\\'))
            i++;
        out[n++] = s->p[i];
    }
    if (i >= s->n)
        return false;
    *s = str_sub(*s, i + 1, s->n);
    *ret = (struct str){out, n};
    return true;
}

/* The values of one key: one string, or those of an array. */
static size_t take_values(struct arena *a, struct toml *t, struct str value, struct str *out)
{
    size_t n = 0;
    if (!value.n || value.p[0] != '[')
        return take_string(a, &value, &out[0]) ? 1 : 0;
    value = str_sub(value, 1, value.n);
    for (;;) {
        value = str_trim(value);
        if (is_comment_or_blank(value)) {
            if (!str_cut(&t->rest, '\n', &value))
                return n;
            continue;
        }
        if (value.p[0] == ']')
            return n;
        if (n < VALUES_MAX && take_string(a, &value, &out[n]))
            n++;
        else
            value = str_sub(value, 1, value.n); /* commas */
    }
}

struct rustsec {
    struct str id, package, cvss, date, informational;
    struct str ids[FEED_ALIASES_MAX];
    size_t ids_n;
    bool withdrawn;
};

static void take_key(struct rustsec *x, const struct toml *t, struct str key, const struct str *v, size_t n,
                     struct buf *ranges)
{
    const struct {
        const char *key;
        struct str *field;
    } fields[] = {{"id", &x->id},
                  {"package", &x->package},
                  {"cvss", &x->cvss},
                  {"date", &x->date},
                  {"informational", &x->informational}};
    if (str_eqc(t->table, "advisory")) {
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            if (str_eqc(key, fields[i].key) && n)
                *fields[i].field = v[0];
        x->withdrawn = x->withdrawn || (str_eqc(key, "withdrawn") && n);
        for (size_t i = 0; str_eqc(key, "aliases") && i < n && x->ids_n < FEED_ALIASES_MAX - 1; i++)
            if (feed_id_ok(v[i]))
                x->ids[x->ids_n++] = v[i];
    }
    bool patched = str_eqc(key, "patched"), unaffected = str_eqc(key, "unaffected");
    if (str_eqc(t->table, "versions") && (patched || unaffected))
        for (size_t i = 0; i < n; i++)
            buf_printf(ranges, "%c " STR_FMT "\n", patched ? 'P' : 'U', STR_ARG(v[i]));
}

static void emit(struct feed *f, const struct rustsec *x, struct str title, struct buf *ranges)
{
    struct str ids[FEED_ALIASES_MAX];
    size_t n = 0;
    ids[n++] = x->id;
    for (size_t i = 0; i < x->ids_n; i++)
        ids[n++] = x->ids[i];
    if (!ranges->n)
        buf_putz(ranges, "I 0\n");
    struct feed_advisory adv = {.feed = "rustsec",
                                .space = "crates.io",
                                .package = x->package,
                                .scheme = VERSION_SEMVER,
                                .ids = ids,
                                .ids_n = n,
                                .severity = x->informational.n ? VULN_NEGLIGIBLE : VULN_UNKNOWN,
                                .cvss = -1,
                                .vector = x->cvss,
                                .published = feed_date(f->a, arena_strf(f->a, STR_FMT "T00:00:00Z", STR_ARG(x->date))),
                                .title = title,
                                .ranges = buf_str(ranges)};
    feed_saw_date(f, adv.published);
    feed_advisory(f, &adv);
}

int feed_rustsec(struct feed *f, struct err *e)
{
    struct rustsec x = {0};
    struct toml t = {0};
    struct str text, line, key, value, values[VALUES_MAX], title = STR_NONE;
    _cleanup_(buf_fini) struct buf ranges = BUF_INIT(RECORD_MAX / 8);
    int r = feed_text_read(f, &text, e);
    if (r < 0)
        return r;
    ptrdiff_t start = str_find(text, STR("```toml\n"));
    struct str body = start < 0 ? STR_NONE : str_sub(text, (size_t)start + 8, text.n);
    ptrdiff_t end = str_find(body, STR("\n```"));
    if (start < 0 || end < 0)
        return err_set(e, EBADMSG, "no block of TOML");
    t.rest = str_sub(body, 0, (size_t)end + 1);
    body = str_sub(body, (size_t)end + 4, body.n);
    while (str_cut(&t.rest, '\n', &line)) {
        line = str_trim(line);
        if (is_comment_or_blank(line))
            continue;
        if (line.p[0] == '[')
            t.table = str_trim(str_sub(line, 1, line.n - 1));
        else if (str_split(line, '=', &key, &value))
            take_key(&x, &t, str_trim(key), values, take_values(f->a, &t, str_trim(value), values), &ranges);
    }
    while (!title.n && str_cut(&body, '\n', &line))
        if (str_starts(line, STR("# ")))
            title = str_sub(line, 2, line.n);
    if (!feed_id_ok(x.id) || !x.package.n)
        return err_set(e, EBADMSG, "no id or no package");
    if ((r = buf_check(&ranges, e)) < 0)
        return r;
    if (!x.withdrawn)
        emit(f, &x, title, &ranges);
    return f->w->code;
}
