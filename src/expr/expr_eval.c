/* The evaluator: walks the tree (its depth was capped by the compiler) and asks the subject for one field at a time. */
#include "expr/expr_internal.h"

#include <stdlib.h>

static bool icontains(struct str s, struct str needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (str_ieq(str_sub(s, i, i + needle.n), needle))
            return true;
    return false;
}

/* s is the path or below it, part by part; '*' and '?' stay within a part. A final '/' means nothing. */
static bool below(struct str s, struct str path)
{
    struct str part, have;
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (str_eqc(path, "/"))
        return str_starts(s, path);
    while (str_cut(&path, '/', &part))
        if (!str_cut(&s, '/', &have) || !str_glob(part, have, false))
            return false;
    return true;
}

static bool text_in(const struct expr_check *c, struct str s)
{
    struct expr_value key = {.s = s};
    return c->values_n && bsearch(&key, c->values, c->values_n, sizeof(key), expr_str_order);
}

static bool text_check(const struct expr_check *c, struct str s)
{
    struct str want = c->values_n ? c->values[0].s : STR_NONE;
    switch (c->op) {
    case EXPR_EQ:
        return str_eq(s, want);
    case EXPR_NE:
        return !str_eq(s, want);
    case EXPR_CONTAINS:
        return str_has(s, want);
    case EXPR_ICONTAINS:
        return icontains(s, want);
    case EXPR_STARTSWITH:
        return str_starts(s, want);
    case EXPR_ENDSWITH:
        return str_ends(s, want);
    case EXPR_GLOB:
        return str_glob(want, s, true);
    case EXPR_IN:
    case EXPR_INTERSECTS:
        return text_in(c, s);
    case EXPR_PMATCH:
        for (size_t i = 0; i < c->values_n; i++)
            if (below(s, c->values[i].s))
                return true;
        return false;
    default:
        return false;
    }
}

static bool list_check(const struct expr_check *c, const struct str *list, size_t n)
{
    bool all = c->op == EXPR_IN || c->op == EXPR_NE;
    if (!n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text_check(c, list[i]) != all)
            return !all;
    return all;
}

static int order(enum expr_type type, const struct expr_value *a, const struct expr_value *b)
{
    switch (type) {
    case EXPR_NUMBER:
        return (a->number > b->number) - (a->number < b->number);
    case EXPR_DURATION:
        return (a->duration > b->duration) - (a->duration < b->duration);
    case EXPR_ENUM:
        return (a->member > b->member) - (a->member < b->member);
    default:
        return (int)a->yes - (int)b->yes;
    }
}

static bool ordered_check(const struct expr_check *c, enum expr_type type, const struct expr_value *v)
{
    if (c->op == EXPR_IN) {
        for (size_t i = 0; i < c->values_n; i++)
            if (order(type, v, &c->values[i]) == 0)
                return true;
        return false;
    }
    int o = order(type, v, c->values);
    switch (c->op) {
    case EXPR_EQ:
        return o == 0;
    case EXPR_NE:
        return o != 0;
    case EXPR_LT:
        return o < 0;
    case EXPR_LE:
        return o <= 0;
    case EXPR_GT:
        return o > 0;
    case EXPR_GE:
        return o >= 0;
    default:
        return false;
    }
}

static bool check(const struct expr *x, const struct expr_check *c, expr_get_fn *get, void *ctx)
{
    struct expr_value v = {0};
    if (!get(ctx, c->field, c->arg, &v))
        return false;
    if (c->op == EXPR_EXISTS)
        return true;
    enum expr_type type = x->schema->fields[c->field].type;
    if (type == EXPR_STRING)
        return text_check(c, v.s);
    if (type == EXPR_LIST)
        return list_check(c, v.list, v.list_n);
    return ordered_check(c, type, &v);
}

static bool eval(const struct expr *x, const struct node *n, expr_get_fn *get, void *ctx)
{
    switch (n->kind) {
    case NODE_CHECK:
        return check(x, &x->checks[n->check], get, ctx);
    case NODE_NOT:
        return !eval(x, n->first, get, ctx);
    case NODE_AND:
    case NODE_OR:
        for (const struct node *it = n->first; it; it = it->next)
            if (eval(x, it, get, ctx) == (n->kind == NODE_OR))
                return n->kind == NODE_OR;
        return n->kind == NODE_AND;
    }
    return false;
}

bool expr_eval(const struct expr *x, expr_get_fn *get, void *ctx)
{
    return eval(x, x->root, get, ctx);
}
