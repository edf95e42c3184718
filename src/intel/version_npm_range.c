/* node-semver's ranges (README "Ranges", classes/range.js): each simple range becomes bounds, all of a set must hold.
 */
#include "base/cleanup.h"
#include "intel/version_parts.h"

#define SAFE_INTEGER UINT64_C(9007199254740991)

enum op { OP_NONE, OP_EQ, OP_LT, OP_LE, OP_GT, OP_GE, OP_TILDE, OP_CARET };

struct partial {
    uint64_t n[3];
    unsigned known; /* numbers before the first x */
    struct str pre;
};

/* v >= low and v < high, where high has no pre-release unless told: "<2.0.0-0" leaves out 2.0.0-alpha too */
struct bound {
    enum op op; /* OP_EQ OP_LT OP_LE OP_GT OP_GE */
    uint64_t n[3];
    struct str pre;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_x(struct str s)
{
    return str_eqc(s, "x") || str_eqc(s, "X") || str_eqc(s, "*");
}

static bool identifiers_valid(struct str s)
{
    struct str id;
    if (!s.n || s.p[s.n - 1] == '.')
        return false;
    while (str_cut(&s, '.', &id)) {
        if (!id.n || (id.n > 1 && id.p[0] == '0' && part_all_digits(id)))
            return false;
        for (size_t i = 0; i < id.n; i++)
            if (!part_digit(id.p[i]) && !part_alpha(id.p[i]) && id.p[i] != '-')
                return false;
    }
    return true;
}

static int partial_parse(struct str s, struct partial *ret)
{
    *ret = (struct partial){0};
    struct str build, number;
    if (str_split(s, '+', &s, &build) && !build.n)
        return -EINVAL;
    while (part_skip(&s, '=') || part_skip(&s, 'v') || (s.n && blank(s.p[0]) && part_skip(&s, s.p[0])))
        ;
    bool has_pre = str_split(s, '-', &s, &ret->pre);
    if (!s.n)
        return has_pre ? -EINVAL : 0;
    bool x = false;
    unsigned count = 0;
    while (str_cut(&s, '.', &number)) {
        if (count == 3)
            return -EINVAL;
        if (is_x(number))
            x = true;
        else if (!part_all_digits(number) || (number.n > 1 && number.p[0] == '0') ||
                 str_u64(number, &ret->n[count]) < 0 || ret->n[count] > SAFE_INTEGER)
            return -EINVAL;
        count++;
        if (!x)
            ret->known = count;
    }
    for (unsigned i = ret->known; i < 3; i++)
        ret->n[i] = 0;
    if (has_pre && (count != 3 || !identifiers_valid(ret->pre)))
        return -EINVAL;
    if (ret->known < 3)
        ret->pre = STR_NONE;
    return 0;
}

static int tuple_cmp(const uint64_t a[3], const uint64_t b[3])
{
    for (int i = 0; i < 3; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int full_cmp(const struct partial *v, const struct bound *b)
{
    int diff = tuple_cmp(v->n, b->n);
    if (diff)
        return diff;
    if (!v->pre.n || !b->pre.n)
        return part_size_cmp(!v->pre.n, !b->pre.n);
    struct str x = v->pre, y = b->pre, i, j;
    for (;;) {
        bool more_x = str_cut(&x, '.', &i), more_y = str_cut(&y, '.', &j);
        if (!more_x || !more_y)
            return (int)more_x - (int)more_y;
        bool dx = part_all_digits(i), dy = part_all_digits(j);
        diff = dx && dy ? part_number_cmp(i, j) : dx != dy ? (dx ? -1 : 1) : part_text_cmp(i, j);
        if (diff)
            return diff;
    }
}

static bool holds(const struct partial *v, const struct bound *b)
{
    int diff = full_cmp(v, b);
    switch (b->op) {
    case OP_LT:
        return diff < 0;
    case OP_LE:
        return diff <= 0;
    case OP_GT:
        return diff > 0;
    case OP_GE:
        return diff >= 0;
    default:
        return diff == 0;
    }
}

/* The evaluation of one set: all bounds hold, and a pre-release needs a bound that names its tuple with one. */
struct set {
    const struct partial *v;
    bool all, named;
};

static void apply(struct set *s, enum op op, const uint64_t n[3], struct str pre)
{
    struct bound b = {.op = op, .n = {n[0], n[1], n[2]}, .pre = pre};
    s->all = s->all && holds(s->v, &b);
    /* "-0" of a desugared upper bound counts as a pre-release in node-semver as well */
    if (pre.n && !tuple_cmp(n, s->v->n))
        s->named = true;
}

/* Below the next version that differs at position `at`: [1,2,3] at 1 is <1.3.0-0. */
static void apply_below_next(struct set *s, const uint64_t n[3], unsigned at)
{
    uint64_t up[3] = {0};
    for (unsigned i = 0; i <= at; i++)
        up[i] = n[i];
    up[at]++;
    apply(s, OP_LT, up, STR("0"));
}

static void apply_nothing(struct set *s)
{
    s->all = false;
}

static void apply_caret(struct set *s, const struct partial *p)
{
    if (!p->known)
        return;
    unsigned at = 0; /* the left-most number that is not 0, as far as they are known */
    while (at + 1 < p->known && !p->n[at])
        at++;
    apply(s, OP_GE, p->n, p->pre);
    apply_below_next(s, p->n, at);
}

static void apply_tilde(struct set *s, const struct partial *p)
{
    if (!p->known)
        return;
    apply(s, OP_GE, p->n, p->pre);
    apply_below_next(s, p->n, p->known > 1 ? 1 : 0);
}

static void apply_x(struct set *s, enum op op, const struct partial *p)
{
    uint64_t next[3] = {p->n[0], p->n[1], 0};
    if (!p->known) { /* "*": anything; but nothing is above or below it */
        if (op == OP_LT || op == OP_GT)
            apply_nothing(s);
        return;
    }
    switch (op) {
    case OP_GT:
        next[p->known - 1]++;
        apply(s, OP_GE, next, STR_NONE);
        break;
    case OP_LE:
        apply_below_next(s, p->n, p->known - 1);
        break;
    case OP_LT:
        apply(s, OP_LT, p->n, STR("0"));
        break;
    case OP_GE:
        apply(s, OP_GE, p->n, STR_NONE);
        break;
    default:
        apply(s, OP_GE, p->n, STR_NONE);
        apply_below_next(s, p->n, p->known - 1);
    }
}

static void apply_simple(struct set *s, enum op op, const struct partial *p)
{
    if (op == OP_CARET)
        apply_caret(s, p);
    else if (op == OP_TILDE)
        apply_tilde(s, p);
    else if (p->known < 3)
        apply_x(s, op, p);
    else
        apply(s, op == OP_NONE ? OP_EQ : op, p->n, p->pre);
}

static enum op take_op(struct str *s)
{
    static const struct {
        const char *text;
        enum op op;
    } ops[] = {{">=", OP_GE}, {"<=", OP_LE},   {"~>", OP_TILDE}, {">", OP_GT},
               {"<", OP_LT},  {"~", OP_TILDE}, {"^", OP_CARET},  {"=", OP_EQ}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (str_starts(*s, str_c(ops[i].text))) {
            *s = part_from(*s, strlen(ops[i].text));
            return ops[i].op;
        }
    return OP_NONE;
}

static struct str take_word(struct str *s)
{
    *s = str_trim(*s);
    size_t n = 0;
    while (n < s->n && !blank(s->p[n]))
        n++;
    struct str word = {s->p, n};
    *s = part_from(*s, n);
    return word;
}

static int apply_hyphen(struct set *s, struct str from, struct str to)
{
    struct partial low, high;
    if (partial_parse(str_trim(from), &low) < 0 || partial_parse(str_trim(to), &high) < 0)
        return -EINVAL;
    if (low.known)
        apply(s, OP_GE, low.n, low.pre);
    if (high.known == 3)
        apply(s, OP_LE, high.n, high.pre);
    else if (high.known)
        apply_below_next(s, high.n, high.known - 1);
    return 0;
}

static int set_match(struct str text, const struct partial *v, bool *ret)
{
    struct set s = {.v = v, .all = true};
    ptrdiff_t at = str_find(text, STR(" - "));
    if (at >= 0) {
        if (apply_hyphen(&s, str_sub(text, 0, (size_t)at), part_from(text, (size_t)at + 3)) < 0)
            return -EINVAL;
    } else {
        while ((text = str_trim(text)).n) {
            struct partial p;
            enum op op = take_op(&text);
            if (partial_parse(take_word(&text), &p) < 0)
                return -EINVAL;
            apply_simple(&s, op, &p);
        }
    }
    *ret = s.all && (!v->pre.n || s.named);
    return 0;
}

int version_npm_range(struct str range, struct str version, bool *ret)
{
    struct partial v;
    if (partial_parse(str_trim(version), &v) < 0 || v.known != 3)
        return -EINVAL;
    bool in = false, any = false;
    for (;;) {
        ptrdiff_t at = str_find(range, STR("||"));
        if (set_match(str_trim(at < 0 ? range : str_sub(range, 0, (size_t)at)), &v, &in) < 0)
            return -EINVAL;
        any = any || in;
        if (at < 0)
            break;
        range = part_from(range, (size_t)at + 2);
    }
    *ret = any;
    return 0;
}
