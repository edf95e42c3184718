/* The compiler: one pass of recursive descent over the text, typed on the way. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "expr/expr_internal.h"

#define SHARED_MAX 1000000u

/* ---- keeping equal parts once ---- */

static void key_operand(struct buf *b, const struct expr_operand *o)
{
    buf_printf(b, "%d.%d.%u[" STR_FMT "]" STR_FMT "(", o->kind, o->fn, o->field, STR_ARG(o->arg), STR_ARG(o->text));
    for (size_t i = 0; i < o->args_n; i++)
        key_operand(b, &o->args[i]);
    buf_putc(b, ')');
}

static struct str key_check(struct buf *b, const struct expr_check *c)
{
    buf_printf(b, "%d %d %u[" STR_FMT "] ", c->op, c->all, c->field, STR_ARG(c->arg));
    if (c->left)
        key_operand(b, c->left);
    if (c->right)
        key_operand(b, c->right);
    for (size_t i = 0; i < c->values_n; i++)
        buf_printf(b, "%zu:" STR_FMT, c->values[i].s.n, STR_ARG(c->values[i].s));
    return buf_str(b);
}

/* What a comparison costs, roughly, in units of one between two short texts. */
static unsigned check_cost(const struct expr_set *set, const struct expr_check *c)
{
    static const unsigned by_op[] = {[EXPR_CONTAINS] = 2, [EXPR_ICONTAINS] = 8, [EXPR_BCONTAINS] = 2, [EXPR_GLOB] = 6,
                                     [EXPR_IGLOB] = 8,    [EXPR_PMATCH] = 6,    [EXPR_REGEX] = 60};
    unsigned op = c->op < sizeof(by_op) / sizeof(*by_op) ? by_op[c->op] : 0;
    unsigned cost =
        1 + op * (c->op == EXPR_REGEX || c->op == EXPR_IN ? 1 : (unsigned)(c->values_n < 100 ? c->values_n : 100));
    cost *= c->type == EXPR_ANY || c->type == EXPR_LIST ? 4 : 1;
    return cost + set->schema->fields[c->field].cost + (c->left || c->right ? 10 : 0);
}

static unsigned find_or_add(struct expr_set *set, struct buf *key, size_t *n)
{
    if (!set->share || key->full)
        return (unsigned)(*n)++;
    uintptr_t known = (uintptr_t)map_get(set->shared, buf_str(key));
    if (known)
        return (unsigned)known - 1;
    map_put(set->shared, buf_str(key), (void *)(uintptr_t)(*n + 1)); // NOLINT
    return (unsigned)(*n)++;
}

static unsigned add_check(struct expr_set *set, const struct expr_check *c)
{
    _cleanup_(buf_fini) struct buf key = BUF_INIT(1u << 20);
    set->checks = arena_grow(set->a, set->checks, set->checks_n, &set->checks_cap, sizeof(*set->checks));
    size_t before = set->checks_n;
    if (set->share)
        key_check(&key, c);
    unsigned i = find_or_add(set, &key, &set->checks_n);
    if (i == before)
        set->checks[i] = *c;
    return i;
}

static unsigned add_node(struct expr_set *set, const struct node *node)
{
    _cleanup_(buf_fini) struct buf key = BUF_INIT(1u << 20);
    set->nodes = arena_grow(set->a, set->nodes, set->nodes_n, &set->nodes_cap, sizeof(*set->nodes));
    size_t before = set->nodes_n;
    if (set->share) {
        buf_printf(&key, "node %d %zu", node->kind, node->check);
        for (size_t i = 0; i < node->n; i++)
            buf_printf(&key, " %u", node->kids[i]);
    }
    unsigned i = find_or_add(set, &key, &set->nodes_n);
    if (i == before)
        set->nodes[i] = *node;
    return i;
}

/* ---- comparisons ---- */

static bool fits(enum expr_type left, enum expr_type right)
{
    bool l = left == EXPR_STRING || left == EXPR_LIST || left == EXPR_ANY;
    bool r = right == EXPR_STRING || right == EXPR_LIST || right == EXPR_ANY;
    return l ? r : left == right && left != EXPR_ADDRESS && left != EXPR_THING;
}

static int read_right(struct parser *p, const char *name, struct expr_check *c)
{
    struct expr_operand *right = arena_new_of(p->a, struct expr_operand);
    size_t at = p->at;
    int r = expr_read_operand(p, right);
    if (r < 0)
        return r;
    if (!fits(c->type, right->type))
        return expr_fail(p, at, EINVAL, "%s is %s, what it is compared with is %s", name, expr_type_words(c->type),
                         expr_type_words(right->type));
    if (c->op == EXPR_REGEX)
        return expr_fail(p, at, EINVAL, "regex takes a value, not a field");
    c->right = right;
    return 0;
}

static bool modifier(struct parser *p, struct expr_check *c)
{
    expr_skip_blanks(p);
    c->all = expr_accept(p, "allof");
    return c->all || expr_accept(p, "anyof") || expr_accept(p, "oneof");
}

static int read_right_side(struct parser *p, const struct op_info *o, const char *name, struct expr_check *c)
{
    int r;
    if (o->op == EXPR_EXISTS)
        return 0;
    expr_skip_blanks(p);
    size_t at = p->at;
    if (expr_at_call(p))
        return read_right(p, name, c);
    p->pattern = o->op == EXPR_REGEX;
    if (o->list || (c->type != EXPR_NUMBER && c->type != EXPR_DURATION && modifier(p, c)))
        r = expr_read_list(p, name, c);
    else
        r = expr_read_value(p, name, c);
    p->pattern = false;
    return r < 0 ? r : expr_prepare(p, at, c);
}

static int parse_check(struct parser *p, unsigned *ret)
{
    struct expr_operand left;
    const struct op_info *o = NULL;
    int r = expr_read_operand(p, &left);
    if (r < 0)
        return r;
    struct expr_check c = {.type = left.type};
    expr_operand_field(&left, 0, &c.field, &c.arg);
    if (left.kind != OPERAND_FIELD) {
        struct expr_operand *kept = arena_new_of(p->a, struct expr_operand);
        *kept = left;
        c.left = kept;
    }
    const char *name = p->set->schema->fields[c.field].name;
    expr_skip_blanks(p);
    size_t at = p->at;
    if ((r = expr_read_operator(p, &o)) < 0)
        return r;
    if (!(o->types & 1u << c.type))
        return expr_fail(p, at, EINVAL, "%s is %s and has no operator %s", name, expr_type_words(c.type), o->text);
    c.op = o->op;
    if ((r = read_right_side(p, o, name, &c)) < 0)
        return r;
    struct node n = {.kind = NODE_CHECK, .check = add_check(p->set, &c), .cost = check_cost(p->set, &c)};
    *ret = add_node(p->set, &n);
    return 0;
}

/* ---- logic ---- */

static int parse_or(struct parser *p, unsigned *ret);

static int parse_macro(struct parser *p, struct str name, struct str text, unsigned *ret)
{
    struct parser inner = {.a = p->a, .text = text, .depth = p->depth + 1, .set = p->set, .e = p->e};
    int r;
    if (inner.depth > LIMIT_EXPR_DEPTH)
        return expr_fail(p, p->at, E2BIG, "macros within macros deeper than %d, or a macro within itself",
                         LIMIT_EXPR_DEPTH);
    if ((r = parse_or(&inner, ret)) < 0) {
        if (p->depth < LIMIT_EXPR_DEPTH / 2) /* a loop of macros would tell its story many times */
            err_wrap(p->e, "macro " STR_FMT, STR_ARG(name));
        return r;
    }
    expr_skip_blanks(&inner);
    if (inner.at < inner.text.n) {
        r = expr_fail(&inner, inner.at, EINVAL, "expected and, or or the end, found " STR_FMT,
                      STR_ARG(expr_here(&inner)));
        err_wrap(p->e, "macro " STR_FMT, STR_ARG(name));
    }
    return r;
}

/* A macro, where a name without dots stands that is one. */
static bool at_macro(struct parser *p, struct str *name, struct str *text)
{
    const struct expr_names *names = &p->set->names;
    size_t end = p->at;
    while (end < p->text.n && expr_word_char((unsigned char)p->text.p[end]))
        end++;
    *name = str_sub(p->text, p->at, end);
    if (!name->n || !names->macro || (end < p->text.n && (p->text.p[end] == '.' || p->text.p[end] == '[')))
        return false;
    if (!names->macro(names->ctx, *name, text))
        return false;
    p->at = end;
    return true;
}

static int parse_not(struct parser *p, unsigned *ret)
{
    bool negate = false;
    struct str name, text;
    int r;
    expr_skip_blanks(p);
    while (expr_accept(p, "not")) {
        negate = !negate;
        expr_skip_blanks(p);
    }
    if (expr_accept(p, "(")) {
        size_t open = p->at - 1;
        if (++p->depth > LIMIT_EXPR_DEPTH)
            return expr_fail(p, open, E2BIG, "nested deeper than %d", LIMIT_EXPR_DEPTH);
        if ((r = parse_or(p, ret)) < 0)
            return r;
        p->depth--;
        expr_skip_blanks(p);
        if (!expr_accept(p, ")"))
            return expr_fail(p, p->at, EINVAL, "expected and, or or the ) of column %zu, found " STR_FMT, open + 1,
                             STR_ARG(expr_here(p)));
    } else if (at_macro(p, &name, &text)) {
        if ((r = parse_macro(p, name, text, ret)) < 0)
            return r;
    } else if ((r = parse_check(p, ret)) < 0) {
        return r;
    }
    if (negate) {
        unsigned *kid = arena_new_of(p->a, unsigned);
        *kid = *ret;
        struct node n = {.kind = NODE_NOT, .kids = kid, .n = 1, .cost = p->set->nodes[*ret].cost};
        *ret = add_node(p->set, &n);
    }
    return 0;
}

/* Cheap operands first: the order says nothing about the meaning, and most often the first one decides. Stable. */
static unsigned cheap_first(const struct expr_set *set, unsigned *kids, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned one = kids[i], cost = set->nodes[one].cost;
        size_t at = i;
        for (; at > 0 && set->nodes[kids[at - 1]].cost > cost; at--)
            kids[at] = kids[at - 1];
        kids[at] = one;
        sum = sum + cost < 100000 ? sum + cost : 100000;
    }
    return sum;
}

/* Chains of one operator become one node, so a long rule is not a deep one. */
static int parse_chain(struct parser *p, const char *word, enum node_kind kind,
                       int (*operand)(struct parser *p, unsigned *ret), unsigned *ret)
{
    unsigned *kids = NULL;
    size_t n = 0, cap = 0;
    do {
        unsigned one;
        int r = operand(p, &one);
        if (r < 0)
            return r;
        kids = arena_grow(p->a, kids, n, &cap, sizeof(*kids));
        kids[n++] = one;
        expr_skip_blanks(p);
    } while (expr_accept(p, word));
    struct node node = {.kind = kind, .kids = kids, .n = n, .cost = cheap_first(p->set, kids, n)};
    *ret = n == 1 ? kids[0] : add_node(p->set, &node);
    return 0;
}

static int parse_and(struct parser *p, unsigned *ret)
{
    return parse_chain(p, "and", NODE_AND, parse_not, ret);
}

static int parse_or(struct parser *p, unsigned *ret)
{
    return parse_chain(p, "or", NODE_OR, parse_and, ret);
}

/* ---- public ---- */

int expr_set_add(struct expr_set *set, struct str text, unsigned *ret, struct err *e)
{
    if (text.n > LIMIT_EXPR_TEXT)
        return err_set(e, E2BIG, "longer than %u bytes", LIMIT_EXPR_TEXT);
    struct parser p = {.a = set->a, .text = arena_str(set->a, text), .set = set, .e = e};
    unsigned root;
    if (set->share && !set->shared)
        set->shared = map_new(SHARED_MAX);
    int r = parse_or(&p, &root);
    if (r < 0)
        return r;
    expr_skip_blanks(&p);
    if (p.at < p.text.n)
        return expr_fail(&p, p.at, EINVAL, "expected and, or or the end, found " STR_FMT, STR_ARG(expr_here(&p)));
    *ret = root;
    return 0;
}

struct expr_set *expr_set_new(struct arena *a, const struct expr_schema *schema, const struct expr_names *names)
{
    struct expr_set *set = arena_new_of(a, struct expr_set);
    *set = (struct expr_set){.a = a, .schema = schema, .share = true};
    if (names)
        set->names = *names;
    return set;
}

void expr_set_done(struct expr_set *set)
{
    map_free(set->shared);
    set->shared = NULL;
}

void expr_set_fini(struct expr_set *set)
{
    expr_set_done(set);
    for (size_t i = 0; i < set->checks_n; i++)
        expr_regex_free(&set->checks[i]);
}

size_t expr_set_checks(const struct expr_set *set)
{
    return set->checks_n;
}

int expr_compile(struct arena *a, struct str text, const struct expr_schema *schema, struct expr **ret, struct err *e)
{
    struct expr *x = arena_new_of(a, struct expr);
    x->set = (struct expr_set){.a = a, .schema = schema};
    int r = expr_set_add(&x->set, text, &x->root, e);
    if (r == 0)
        *ret = x;
    return r;
}

size_t expr_checks(const struct expr *x, const struct expr_check **ret)
{
    *ret = x->set.checks;
    return x->set.checks_n;
}
