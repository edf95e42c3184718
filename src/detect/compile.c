/* From definitions to what runs: macros and lists resolved, conditions compiled into one set, what is missing told. */
#include "detect/rules_internal.h"

#include "base/cleanup.h"
#include "base/time.h"

#define LIST_ITEMS_MAX 200000u

/* ---- lists of lists ---- */

/* '"(systemd)"' and "'a b'": quotes within the item are the filter language's own. */
static struct str unquoted(struct str s)
{
    if (s.n > 1 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        return str_sub(s, 1, s.n - 1);
    return s;
}

/* A backslash before a quote or a backslash is the filter language's as well. */
static struct str item_text(struct arena *a, struct str s)
{
    struct str inner = unquoted(s);
    if (inner.n == s.n || str_chr(inner, '\\') < 0)
        return inner;
    char *p = arena_cstr(a, inner);
    size_t n = 0;
    for (size_t i = 0; i < inner.n; i++) {
        if (inner.p[i] == '\\' && i + 1 < inner.n && strchr("\\\"'", inner.p[i + 1]))
            i++;
        p[n++] = inner.p[i];
    }
    return str_n(p, n);
}

static bool flatten(struct detect_rules *rs, struct definition *d, unsigned depth)
{
    size_t cap = 0;
    if (d->flat)
        return true;
    if (d->seen || depth > LIMIT_EXPR_DEPTH) {
        detect_notice(rs, NOTICE_ERROR, d->file, d->line, d->name, "the list contains itself");
        return false;
    }
    d->seen = true;
    struct str *flat = arena_grow(rs->a, NULL, 0, &cap, sizeof(*flat));
    size_t n = 0;
    for (size_t i = 0; i < d->items_n && n < LIST_ITEMS_MAX; i++) {
        struct definition *inner = map_get(rs->lists, d->items[i]);
        if (!inner) {
            flat = arena_grow(rs->a, flat, n, &cap, sizeof(*flat));
            flat[n++] = item_text(rs->a, d->items[i]);
            continue;
        }
        if (!flatten(rs, inner, depth + 1))
            break;
        for (size_t k = 0; k < inner->flat_n && n < LIST_ITEMS_MAX; k++) {
            flat = arena_grow(rs->a, flat, n, &cap, sizeof(*flat));
            flat[n++] = inner->flat[k];
        }
    }
    d->seen = false;
    d->flat = flat;
    d->flat_n = n;
    return true;
}

static bool find_macro(void *ctx, struct str name, struct str *ret)
{
    struct detect_rules *rs = ctx;
    struct definition *d = map_get(rs->macros, name);
    if (d)
        *ret = d->condition;
    return d != NULL;
}

static bool find_list(void *ctx, struct str name, const struct str **ret, size_t *ret_n)
{
    struct detect_rules *rs = ctx;
    struct definition *d = map_get(rs->lists, name);
    if (!d || !flatten(rs, d, 0))
        return false;
    *ret = d->flat;
    *ret_n = d->flat_n;
    return true;
}

/* ---- what is not here ---- */

struct looking {
    struct detect_rules *rs;
    struct detect_rule *r;
    struct str told[64];
    size_t told_n;
};

static bool first_time(struct looking *l, struct str name)
{
    for (size_t i = 0; i < l->told_n; i++)
        if (str_eq(l->told[i], name))
            return false;
    if (l->told_n == ARRAY_LEN(l->told))
        return false;
    l->told[l->told_n++] = name;
    return true;
}

static void look_field(struct looking *l, unsigned field)
{
    const char *name = detect_schema.fields[field].name;
    if (detect_have(field) == HAVE_NO && first_time(l, str_c(name)))
        detect_notice(l->rs, NOTICE_UNSUPPORTED, l->r->file, l->r->line, l->r->name,
                      "field %s is not here (%s): comparisons with it are never true", name, detect_field_doc(field));
}

static void look_operand(struct looking *l, const struct expr_operand *o)
{
    unsigned field;
    struct str arg;
    for (size_t i = 0; o && expr_operand_field(o, i, &field, &arg); i++)
        look_field(l, field);
}

static void look_check(void *ctx, const struct expr_check *c)
{
    struct looking *l = ctx;
    look_field(l, c->field);
    look_operand(l, c->left);
    look_operand(l, c->right);
    if (c->field != F_evt_type && c->field != F_syscall_type)
        return;
    for (size_t i = 0; i < c->values_n; i++)
        if (!c->right && (c->op == EXPR_EQ || c->op == EXPR_IN) && !detect_kinds_called(c->values[i].s) &&
            first_time(l, c->values[i].s))
            detect_notice(l->rs, NOTICE_UNSUPPORTED, l->r->file, l->r->line, l->r->name,
                          "event type " STR_FMT " is not seen here", STR_ARG(c->values[i].s));
}

static void unknown_output(void *ctx, struct str name, const char *why)
{
    struct looking *l = ctx;
    if (first_time(l, name))
        detect_notice(l->rs, NOTICE_UNSUPPORTED, l->r->file, l->r->line, l->r->name,
                      "output: field " STR_FMT " %s: it prints as <NA>", STR_ARG(name), why);
}

/* For which kinds of events does a comparison with evt.type hold? */
static bool kinds_of(void *ctx, const struct expr_check *c, uint64_t *holds)
{
    if ((c->field != F_evt_type && c->field != F_syscall_type) || c->left || c->right)
        return false;
    *holds = 0;
    switch (c->op) {
    case EXPR_EQ:
    case EXPR_NE:
    case EXPR_IN:
    case EXPR_INTERSECTS:
        for (size_t i = 0; i < c->values_n; i++)
            *holds |= detect_kinds_called(c->values[i].s);
        if (c->op == EXPR_NE)
            *holds = ~*holds;
        return true;
    default:
        return false;
    }
}

/* ---- rules ---- */

static int add_step(struct detect_rules *rs, struct rule_source *src, struct str condition)
{
    struct detect_rule *r = &src->rule;
    struct err e = ERR_INIT;
    unsigned root;
    int rc = expr_set_add(rs->set, condition, &root, &e);
    if (rc < 0) {
        bool unknown = str_has(str_c(e.msg), STR("unknown field"));
        if (!(unknown && src->skip_unknown))
            detect_notice(rs, unknown ? NOTICE_UNSUPPORTED : NOTICE_ERROR, r->file, r->line, r->name, "%s%s", e.msg,
                          unknown ? ": the rule is left out" : "");
        return rc;
    }
    r->steps[r->steps_n] = root;
    r->kinds[r->steps_n] = expr_set_classes(rs->set, root, (UINT64_C(1) << KINDS) - 1, kinds_of, NULL);
    r->steps_n++;
    return 0;
}

static int compile_operand(struct detect_rules *rs, const struct detect_rule *r, const struct yml *v, const char *key,
                           const struct expr_operand **ret)
{
    struct err e = ERR_INIT;
    int rc = v->kind == YML_SCALAR ? expr_operand_compile(rs->a, str_trim(v->text), &detect_schema, ret, &e) : -EINVAL;
    if (rc < 0)
        detect_notice(rs, NOTICE_ERROR, r->file, v->line, r->name, "%s: %s", key, e.code ? e.msg : "expected a field");
    return rc;
}

static int compile_by(struct detect_rules *rs, struct rule_source *src)
{
    struct detect_rule *r = &src->rule;
    if (!src->by) {
        r->by_n = 1;
        return expr_operand_compile(rs->a, STR("container.full_id"), &detect_schema, &r->by[0], NULL);
    }
    if (src->by->kind == YML_SCALAR) {
        r->by_n = 1;
        return compile_operand(rs, r, src->by, "by", &r->by[0]);
    }
    YML_EACH(src->by, it)
    {
        if (r->by_n == DETECT_BY_MAX) {
            detect_notice(rs, NOTICE_ERROR, r->file, it->line, r->name, "by: at most %u fields", DETECT_BY_MAX);
            return -E2BIG;
        }
        int rc = compile_operand(rs, r, it, "by", &r->by[r->by_n]);
        if (rc < 0)
            return rc;
        r->by_n++;
    }
    return 0;
}

static int compile_extension(struct detect_rules *rs, struct rule_source *src)
{
    struct detect_rule *r = &src->rule;
    const struct yml *at_least = yml_get(src->count, "at_least"), *distinct = yml_get(src->count, "distinct");
    if (!src->count && !src->sequence) {
        if (src->within.n || src->by)
            detect_notice(rs, NOTICE_WARNING, r->file, r->line, r->name, "within and by belong to count and sequence");
        return 0;
    }
    if (duration_parse(src->within, &r->within) < 0 || r->within <= 0) {
        detect_notice(rs, NOTICE_ERROR, r->file, r->line, r->name,
                      "count and sequence need within: a duration like 30s, 5m, 2h");
        return -EINVAL;
    }
    if (src->count && (!at_least || str_u64(at_least->text, &r->at_least) < 0 || r->at_least < 2 ||
                       r->at_least > DETECT_AT_LEAST_MAX)) {
        detect_notice(rs, NOTICE_ERROR, r->file, src->count->line, r->name, "count: at_least is a number from 2 to %u",
                      DETECT_AT_LEAST_MAX);
        return -EINVAL;
    }
    if (src->count && src->sequence) {
        detect_notice(rs, NOTICE_ERROR, r->file, r->line, r->name, "either count or sequence");
        return -EINVAL;
    }
    if (distinct && compile_operand(rs, r, distinct, "distinct", &r->distinct) < 0)
        return -EINVAL;
    return compile_by(rs, src);
}

static int compile_steps(struct detect_rules *rs, struct rule_source *src)
{
    struct detect_rule *r = &src->rule;
    int rc;
    if (!src->sequence)
        return add_step(rs, src, src->exceptions_n ? detect_exceptions_apply(rs, src) : src->condition);
    if (src->sequence->count < 2 || src->sequence->count > DETECT_STEPS_MAX) {
        detect_notice(rs, NOTICE_ERROR, r->file, src->sequence->line, r->name, "sequence: from 2 to %u conditions",
                      DETECT_STEPS_MAX);
        return -EINVAL;
    }
    YML_EACH(src->sequence, it)
    if ((rc = add_step(rs, src, it->text)) < 0)
        return rc;
    return 0;
}

static void compile(struct detect_rules *rs, struct rule_source *src)
{
    struct detect_rule *r = &src->rule;
    struct looking l = {.rs = rs, .r = r};
    uint64_t any = ~UINT64_C(0);
    if (!str_eqc(r->source, "syscall")) {
        detect_notice(rs, NOTICE_UNSUPPORTED, r->file, r->line, r->name,
                      "source " STR_FMT " is not here: the rule is left out", STR_ARG(r->source));
        return;
    }
    if (compile_steps(rs, src) < 0 || compile_extension(rs, src) < 0) {
        r->steps_n = 0;
        return;
    }
    for (size_t i = 0; i < r->steps_n; i++) {
        expr_set_each(rs->set, r->steps[i], look_check, &l);
        any = r->kinds[i] ? any : 0;
    }
    if (!any)
        detect_notice(rs, NOTICE_UNSUPPORTED, r->file, r->line, r->name,
                      "none of its event types is seen here: it never fires");
    r->message = detect_output_compile(rs->a, r->output, unknown_output, &l);
    if (!r->enabled || !any) {
        r->steps_n = 0;
        return;
    }
    for (size_t i = 0; i < r->steps_n; i++)
        rs->kinds |= r->kinds[i];
    rs->in_force++;
}

void detect_rules_compile(struct detect_rules *rs)
{
    struct expr_names names = {.macro = find_macro, .list = find_list, .ctx = rs};
    rs->set = expr_set_new(rs->a, &detect_schema, &names);
    rs->rules = arena_array(rs->a, rs->n + 1, sizeof(struct detect_rule *));
    for (size_t i = 0; i < rs->n; i++) {
        rs->sources[i]->rule.index = i;
        rs->rules[i] = &rs->sources[i]->rule;
        compile(rs, rs->sources[i]);
    }
    expr_set_done(rs->set);
}
