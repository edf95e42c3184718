#include "intel/constraint.h"

#include "base/cleanup.h"

enum { PARTS_MAX = 256 };

enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_PESSIMISTIC, OP_TILDE, OP_CARET, OP_ANY };

struct term {
    enum op op;
    struct str version;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\n' || c == '\r';
}

/* The next term of an alternative; false at its end. */
static bool next_term(struct str *rest, struct term *ret)
{
    static const struct {
        const char *text;
        enum op op;
    } ops[] = {{"~>", OP_PESSIMISTIC}, {"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE},   {"=<", OP_LE},
               {"=>", OP_GE},          {"<", OP_LT},  {">", OP_GT},  {"=", OP_EQ},  {"~", OP_TILDE}, {"^", OP_CARET}};
    while (rest->n && is_blank(rest->p[0]))
        *rest = str_sub(*rest, 1, rest->n);
    if (!rest->n)
        return false;
    ret->op = OP_EQ;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (str_starts(*rest, str_c(ops[i].text))) {
            ret->op = ops[i].op;
            *rest = str_sub(*rest, strlen(ops[i].text), rest->n);
            break;
        }
    while (rest->n && is_blank(rest->p[0]))
        *rest = str_sub(*rest, 1, rest->n);
    size_t n = 0;
    while (n < rest->n && !is_blank(rest->p[n]))
        n++;
    ret->version = str_sub(*rest, 0, n);
    *rest = str_sub(*rest, n, rest->n);
    if (str_eqc(ret->version, "*") && ret->op == OP_EQ)
        ret->op = OP_ANY;
    return true;
}

/* Where the number of part `n` (from 0) ends in "1.2.3", 0 when there are fewer. */
static size_t part_end(struct str v, size_t n)
{
    size_t at = 0;
    for (;; at++, n--) {
        while (at < v.n && v.p[at] >= '0' && v.p[at] <= '9')
            at++;
        if (!n || at >= v.n || v.p[at] != '.')
            return n ? 0 : at;
    }
}

static size_t parts(struct str v)
{
    size_t n = 0;
    while (n < PARTS_MAX && part_end(v, n))
        n++;
    return n;
}

/* "1.2.3" with the part `keep` raised and the rest dropped: 1 -> "1.3". */
static bool bump(struct str v, size_t keep, char out[static PARTS_MAX], struct str *ret)
{
    size_t end = part_end(v, keep), start = end;
    uint64_t number;
    if (!end || end > PARTS_MAX - 32)
        return false;
    while (start && v.p[start - 1] != '.')
        start--;
    if (str_u64(str_sub(v, start, end), &number) < 0)
        return false;
    memcpy(out, v.p, start);
    int n = snprintf(out + start, 32, "%" PRIu64, number + 1);
    *ret = (struct str){out, start + (size_t)n};
    return true;
}

static bool between(enum version_scheme scheme, struct str version, struct str low, size_t keep)
{
    char text[PARTS_MAX];
    struct str high;
    int order;
    return version_compare(scheme, version, low, &order) == 0 && order >= 0 && bump(low, keep, text, &high) &&
           version_compare(scheme, version, high, &order) == 0 && order < 0;
}

/* "1.2.*", "1.x": the same as far as written. */
static bool wildcard(struct str v, struct str *ret_prefix)
{
    bool is = str_ends(v, STR(".*")) || str_ends(v, STR(".x")) || str_ends(v, STR(".X"));
    if (is)
        *ret_prefix = str_sub(v, 0, v.n - 2);
    return is;
}

static bool holds(enum version_scheme scheme, const struct term *t, struct str version)
{
    struct str prefix;
    size_t n = parts(t->version), first = 0;
    int order;
    switch (t->op) {
    case OP_ANY:
        return true;
    case OP_PESSIMISTIC:
        return n && between(scheme, version, t->version, n >= 2 ? n - 2 : 0);
    case OP_TILDE:
        if (scheme == VERSION_COMPOSER)
            return n && between(scheme, version, t->version, n >= 2 ? n - 2 : 0);
        return n && between(scheme, version, t->version, n >= 2 ? 1 : 0);
    case OP_CARET:
        while (first + 1 < n && part_end(t->version, first) && t->version.p[part_end(t->version, first) - 1] == '0' &&
               (part_end(t->version, first) == 1 || t->version.p[part_end(t->version, first) - 2] == '.'))
            first++;
        return n && between(scheme, version, t->version, first);
    default:
        break;
    }
    if (t->op == OP_EQ && wildcard(t->version, &prefix))
        return parts(prefix) && between(scheme, version, prefix, parts(prefix) - 1);
    if (version_compare(scheme, version, t->version, &order) < 0)
        return t->op == OP_EQ && str_eq(version, t->version);
    return t->op == OP_EQ   ? order == 0
           : t->op == OP_NE ? order != 0
           : t->op == OP_LT ? order < 0
           : t->op == OP_LE ? order <= 0
           : t->op == OP_GT ? order > 0
                            : order >= 0;
}

static bool next_alternative(struct str *text, struct str *ret)
{
    while (text->n && text->p[0] == '|')
        *text = str_sub(*text, 1, text->n);
    return str_cut(text, '|', ret);
}

bool constraint_holds(enum version_scheme scheme, struct str text, struct str version)
{
    struct str alternative;
    bool in;
    if (scheme == VERSION_NPM)
        return version_npm_range(text, version, &in) == 0 && in;
    while (next_alternative(&text, &alternative)) {
        struct term t;
        size_t n = 0;
        bool all = true;
        for (; next_term(&alternative, &t); n++)
            all = all && holds(scheme, &t, version);
        if (n && all)
            return true;
    }
    return false;
}

struct str constraint_bound(enum version_scheme scheme, struct str text, struct str version, bool lower)
{
    struct str alternative, best = STR_NONE;
    int order;
    while (next_alternative(&text, &alternative)) {
        struct term t;
        while (next_term(&alternative, &t)) {
            bool is_lower = t.op == OP_GE || t.op == OP_PESSIMISTIC || t.op == OP_CARET || t.op == OP_TILDE ||
                            (t.op == OP_EQ && !wildcard(t.version, &(struct str){0}));
            if (lower ? !is_lower : t.op != OP_LT)
                continue;
            if (version_compare(scheme, version, t.version, &order) < 0 || order >= 0)
                continue;
            if (!best.n || (version_compare(scheme, t.version, best, &order) == 0 && order < 0))
                best = t.version;
        }
    }
    return best;
}
