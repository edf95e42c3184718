/* Exceptions of rules: tuples of values under which a rule does not fire. They become part of its condition. */
#include "detect/rules_internal.h"

#include "base/cleanup.h"

static struct str *names(struct arena *a, const struct yml *v, size_t *n, bool *single)
{
    struct str *list = arena_array(a, (v ? v->count : 0) + 1, sizeof(*list));
    *n = 0;
    *single = v && v->kind == YML_SCALAR;
    if (*single)
        list[(*n)++] = v->text;
    else
        YML_EACH(v, it)
    list[(*n)++] = it->text;
    return list;
}

static struct exception *find(struct rule_source *src, struct str name)
{
    for (size_t i = 0; i < src->exceptions_n; i++)
        if (str_eq(src->exceptions[i].name, name))
            return &src->exceptions[i];
    return NULL;
}

static void read_one(struct detect_rules *rs, struct rule_source *src, const struct yml *item)
{
    const struct yml *name = yml_get(item, "name"), *fields = yml_get(item, "fields"), *comps = yml_get(item, "comps");
    const struct yml *values = yml_get(item, "values");
    const char *file = src->rule.file;
    bool single;
    if (!name || !name->text.n) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, src->rule.name, "an exception needs a name");
        return;
    }
    struct exception *x = find(src, name->text);
    if (!x && !fields) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, src->rule.name, "exception " STR_FMT " needs fields",
                      STR_ARG(name->text));
        return;
    }
    if (!x) {
        src->exceptions =
            arena_grow(rs->a, src->exceptions, src->exceptions_n, &src->exceptions_cap, sizeof(*src->exceptions));
        x = &src->exceptions[src->exceptions_n++];
        *x = (struct exception){.name = name->text};
    }
    if (fields)
        x->fields = names(rs->a, fields, &x->fields_n, &x->single);
    if (comps)
        x->comps = names(rs->a, comps, &x->comps_n, &single);
    if (x->comps_n && x->comps_n != x->fields_n)
        detect_notice(rs, NOTICE_ERROR, file, item->line, src->rule.name,
                      "exception " STR_FMT ": as many comps as fields", STR_ARG(x->name));
    YML_EACH(values, it)
    {
        x->values = arena_grow(rs->a, x->values, x->values_n, &x->values_cap, sizeof(*x->values));
        x->values[x->values_n++] = it;
    }
}

void detect_exceptions_read(struct detect_rules *rs, struct rule_source *src, const struct yml *list, bool append)
{
    if (!append)
        src->exceptions_n = 0;
    YML_EACH(list, it)
    read_one(rs, src, it);
}

static void put_quoted(struct buf *b, struct str s)
{
    bool already = s.n > 1 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0];
    if (already) {
        buf_puts(b, s);
        return;
    }
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_putc(b, '\\');
        buf_putc(b, s.p[i]);
    }
    buf_putc(b, '"');
}

static bool takes_list(struct str comp)
{
    return str_eqc(comp, "in") || str_eqc(comp, "intersects") || str_eqc(comp, "pmatch");
}

static void put_value(struct detect_rules *rs, struct buf *b, struct str comp, const struct yml *v)
{
    size_t n = 0;
    if (!takes_list(comp)) {
        put_quoted(b, v->text);
        return;
    }
    buf_putc(b, '(');
    if (v->kind == YML_SCALAR && map_get(rs->lists, v->text))
        buf_puts(b, v->text);
    else if (v->kind == YML_SCALAR)
        put_quoted(b, v->text);
    else
        YML_EACH(v, it)
        {
            buf_putz(b, n++ ? ", " : "");
            if (map_get(rs->lists, it->text))
                buf_puts(b, it->text);
            else
                put_quoted(b, it->text);
        }
    buf_putc(b, ')');
}

static struct str comp_of(const struct exception *x, size_t i)
{
    if (i < x->comps_n)
        return x->comps[i];
    return x->single ? STR("in") : STR("=");
}

/* One field: all values in one comparison where it takes a list, else one each. */
static size_t put_single(struct detect_rules *rs, struct buf *b, const struct exception *x, size_t n)
{
    struct str comp = comp_of(x, 0);
    if (!x->values_n)
        return n;
    if (!takes_list(comp)) {
        for (size_t i = 0; i < x->values_n; i++, n++) {
            buf_printf(b, "%s" STR_FMT " " STR_FMT " ", n ? " or " : "", STR_ARG(x->fields[0]), STR_ARG(comp));
            put_value(rs, b, comp, x->values[i]);
        }
        return n;
    }
    buf_printf(b, "%s" STR_FMT " " STR_FMT " (", n ? " or " : "", STR_ARG(x->fields[0]), STR_ARG(comp));
    for (size_t i = 0; i < x->values_n; i++) {
        buf_putz(b, i ? ", " : "");
        if (map_get(rs->lists, x->values[i]->text))
            buf_puts(b, x->values[i]->text);
        else
            put_quoted(b, x->values[i]->text);
    }
    buf_putc(b, ')');
    return n + 1;
}

static size_t put_tuples(struct detect_rules *rs, const struct rule_source *src, struct buf *b,
                         const struct exception *x, size_t n)
{
    for (size_t i = 0; i < x->values_n; i++) {
        size_t k = 0;
        if (x->values[i]->kind != YML_LIST || x->values[i]->count != x->fields_n) {
            detect_notice(rs, NOTICE_ERROR, src->rule.file, x->values[i]->line, src->rule.name,
                          "exception " STR_FMT ": a value for each of the %zu fields", STR_ARG(x->name), x->fields_n);
            continue;
        }
        buf_putz(b, n++ ? " or (" : "(");
        YML_EACH(x->values[i], it)
        {
            struct str comp = comp_of(x, k);
            buf_printf(b, "%s" STR_FMT " " STR_FMT " ", k ? " and " : "", STR_ARG(x->fields[k]), STR_ARG(comp));
            put_value(rs, b, comp, it);
            k++;
        }
        buf_putc(b, ')');
    }
    return n;
}

struct str detect_exceptions_apply(struct detect_rules *rs, const struct rule_source *src)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EXPR_TEXT);
    size_t n = 0;
    buf_printf(&b, "(" STR_FMT ") and not (", STR_ARG(src->condition));
    for (size_t i = 0; i < src->exceptions_n; i++) {
        const struct exception *x = &src->exceptions[i];
        n = x->single ? put_single(rs, &b, x, n) : put_tuples(rs, src, &b, x, n);
    }
    buf_putc(&b, ')');
    if (b.full)
        detect_notice(rs, NOTICE_ERROR, src->rule.file, src->rule.line, src->rule.name,
                      "condition and exceptions are longer than %u bytes", LIMIT_EXPR_TEXT);
    return n && !b.full ? arena_str(rs->a, buf_str(&b)) : src->condition;
}
