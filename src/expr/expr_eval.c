/* The evaluator: walks the tree (its depth was capped by the compiler) and asks the subject for one field at a time. */
#include "base/cleanup.h"
#include "expr/expr_internal.h"

#include <stdlib.h>

#define ROOM (1u << 20) /* for what transformers make of one subject */

struct expr_memo {
    const struct expr_set *set;
    uint32_t round;           /* of the subject */
    uint32_t *nodes, *checks; /* round * 2 + result, else not known yet */
    struct arena *room;
};

struct walk {
    const struct expr_set *set;
    struct expr_memo *memo;
    struct arena **room;
    expr_get_fn *get;
    void *ctx;
};

static bool list_check(const struct expr_check *c, const struct str *list, size_t n)
{
    bool all = (c->op == EXPR_IN && c->type == EXPR_LIST) || c->op == EXPR_NE;
    if (!n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (expr_text_check(c, list[i]) != all)
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

static bool ordered_check(const struct expr_check *c, const struct expr_value *v)
{
    if (c->op == EXPR_IN) {
        for (size_t i = 0; i < c->values_n; i++)
            if (order(c->type, v, &c->values[i]) == 0)
                return true;
        return false;
    }
    int o = order(c->type, v, c->values);
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

static bool within(const struct expr_net *net, const uint8_t addr[16])
{
    size_t whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr, addr, whole) != 0)
        return false;
    return !rest || ((net->addr[whole] ^ addr[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static bool address_check(const struct expr_check *c, const struct expr_value *v)
{
    for (size_t i = 0; i < v->list_n; i++)
        for (size_t k = 0; k < c->values_n; k++)
            if (within(c->values[k].nets, v->nets[i].addr))
                return c->op != EXPR_NE;
    return c->op == EXPR_NE && v->list_n;
}

static bool compare(const struct expr_check *c, const struct expr_value *v)
{
    switch (c->type) {
    case EXPR_STRING:
        return expr_text_check(c, v->s);
    case EXPR_LIST:
    case EXPR_ANY:
        return list_check(c, v->list, v->list_n);
    case EXPR_ADDRESS:
        return address_check(c, v);
    default:
        return ordered_check(c, v);
    }
}

/* The right side is a field: a comparison with its value, or with each of its values. */
static bool with_field(const struct walk *w, const struct expr_check *c, const struct expr_value *left)
{
    struct expr_value right = {0};
    enum expr_type type = expr_operand_type(c->right);
    struct expr_check now = *c;
    if (!expr_operand_value(c->right, *w->room, w->get, w->ctx, &right))
        return false;
    now.values = &right;
    now.values_n = 1;
    if (type == EXPR_LIST || type == EXPR_ANY) {
        now.values = arena_array(*w->room, right.list_n + 1, sizeof(*now.values));
        now.values_n = right.list_n;
        for (size_t i = 0; i < right.list_n; i++)
            now.values[i].s = right.list[i];
    }
    return compare(&now, left);
}

static bool check(const struct walk *w, const struct expr_check *c)
{
    struct expr_value v = {0};
    if ((c->left || c->right) && !*w->room)
        *w->room = arena_new(ROOM * 16);
    if (c->left ? !expr_operand_value(c->left, *w->room, w->get, w->ctx, &v) : !w->get(w->ctx, c->field, c->arg, &v))
        return false;
    if (c->op == EXPR_EXISTS)
        return true;
    return c->right ? with_field(w, c, &v) : compare(c, &v);
}

static bool check_once(const struct walk *w, size_t i)
{
    if (!w->memo)
        return check(w, &w->set->checks[i]);
    uint32_t *known = &w->memo->checks[i];
    if (*known >> 1 != w->memo->round)
        *known = w->memo->round << 1 | check(w, &w->set->checks[i]);
    return *known & 1;
}

static bool eval(const struct walk *w, unsigned i)
{
    const struct node *n = &w->set->nodes[i];
    uint32_t *known = w->memo ? &w->memo->nodes[i] : NULL;
    bool yes = false;
    if (n->kind == NODE_CHECK)
        return check_once(w, n->check);
    if (n->kind == NODE_NOT)
        return !eval(w, n->kids[0]);
    if (known && *known >> 1 == w->memo->round)
        return *known & 1;
    yes = n->kind == NODE_AND;
    for (size_t k = 0; k < n->n; k++)
        if (eval(w, n->kids[k]) == (n->kind == NODE_OR)) {
            yes = n->kind == NODE_OR;
            break;
        }
    if (known)
        *known = w->memo->round << 1 | yes;
    return yes;
}

bool expr_eval(const struct expr *x, expr_get_fn *get, void *ctx)
{
    _cleanup_(arena_freep) struct arena *room = NULL;
    struct walk w = {.set = &x->set, .room = &room, .get = get, .ctx = ctx};
    return eval(&w, x->root);
}

/* ---- sets ---- */

struct expr_memo *expr_memo_new(const struct expr_set *set)
{
    struct expr_memo *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->set = set;
    m->round = 1;
    m->nodes = calloc(set->nodes_n + 1, sizeof(*m->nodes));
    m->checks = calloc(set->checks_n + 1, sizeof(*m->checks));
    if (!m->nodes || !m->checks)
        abort();
    return m;
}

void expr_memo_free(struct expr_memo *m)
{
    if (!m)
        return;
    arena_free(m->room);
    free(m->nodes);
    free(m->checks);
    free(m);
}

void expr_memo_next(struct expr_memo *m)
{
    if (++m->round == UINT32_MAX >> 1) {
        memset(m->nodes, 0, m->set->nodes_n * sizeof(*m->nodes));
        memset(m->checks, 0, m->set->checks_n * sizeof(*m->checks));
        m->round = 1;
    }
    if (m->room && arena_used(m->room))
        arena_reset(m->room);
}

bool expr_set_eval(struct expr_memo *m, unsigned root, expr_get_fn *get, void *ctx)
{
    struct walk w = {.set = m->set, .memo = m, .room = &m->room, .get = get, .ctx = ctx};
    return eval(&w, root);
}

static void each(const struct expr_set *set, unsigned i, uint8_t *done,
                 void (*fn)(void *ctx, const struct expr_check *c), void *ctx)
{
    const struct node *n = &set->nodes[i];
    if (done[i])
        return;
    done[i] = 1;
    if (n->kind == NODE_CHECK)
        fn(ctx, &set->checks[n->check]);
    for (size_t k = 0; k < n->n; k++)
        each(set, n->kids[k], done, fn, ctx);
}

void expr_set_each(const struct expr_set *set, unsigned root, void (*fn)(void *ctx, const struct expr_check *c),
                   void *ctx)
{
    _cleanup_free_ uint8_t *done = calloc(set->nodes_n + 1, 1);
    if (!done)
        abort();
    each(set, root, done, fn, ctx);
}

struct classes {
    uint64_t yes, no; /* where it can be true, where it can be false */
};

static struct classes classes_of(const struct expr_set *set, unsigned i, uint64_t all,
                                 bool (*fn)(void *ctx, const struct expr_check *c, uint64_t *holds), void *ctx)
{
    const struct node *n = &set->nodes[i];
    struct classes c = {all, all};
    uint64_t holds;
    if (n->kind == NODE_CHECK) {
        if (fn(ctx, &set->checks[n->check], &holds))
            c = (struct classes){holds & all, all & ~holds};
        return c;
    }
    if (n->kind == NODE_NOT) {
        c = classes_of(set, n->kids[0], all, fn, ctx);
        return (struct classes){c.no, c.yes};
    }
    c = n->kind == NODE_AND ? (struct classes){all, 0} : (struct classes){0, all};
    for (size_t k = 0; k < n->n; k++) {
        struct classes one = classes_of(set, n->kids[k], all, fn, ctx);
        c.yes = n->kind == NODE_AND ? c.yes & one.yes : c.yes | one.yes;
        c.no = n->kind == NODE_AND ? c.no | one.no : c.no & one.no;
    }
    return c;
}

uint64_t expr_set_classes(const struct expr_set *set, unsigned root, uint64_t all,
                          bool (*fn)(void *ctx, const struct expr_check *c, uint64_t *holds), void *ctx)
{
    return classes_of(set, root, all, fn, ctx).yes;
}

const struct expr_check *expr_set_required(const struct expr_set *set, unsigned root, unsigned field)
{
    const struct node *n = &set->nodes[root];
    const struct expr_check *found = NULL;
    if (n->kind == NODE_CHECK) {
        const struct expr_check *c = &set->checks[n->check];
        bool plain = c->field == field && !c->left && !c->right && !c->all && c->type == EXPR_STRING;
        return plain && (c->op == EXPR_EQ || c->op == EXPR_IN) ? c : NULL;
    }
    for (size_t i = 0; n->kind == NODE_AND && i < n->n && !found; i++) /* as deep as the compiler allowed */
        found = expr_set_required(set, n->kids[i], field);
    return found;
}
