/* apk-tools 3: number{.number}[letter]{_suffix[number]}[~hash][-rN], doc/apk-package.5. Text that is no version gets an
 * order too, since repositories hold some: what is invalid sorts before what ends there. */
#include "base/cleanup.h"
#include "intel/version_parts.h"

/* In the order in which a version without that part sorts against one with it: later is smaller. */
enum token { FIRST_NUMBER, NUMBER, LETTER, SUFFIX, SUFFIX_NUMBER, HASH, REVISION, END, INVALID };
enum { SUFFIX_NONE = 4 }; /* suffixes below it mark pre-releases */

struct cursor {
    enum token token;
    struct str value, rest;
    unsigned suffix;
};

static int suffix_parse(struct str name)
{
    static const char *const names[] = {"alpha", "beta", "pre", "rc", NULL, "cvs", "svn", "git", "hg", "p"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i] && str_eqc(name, names[i]))
            return (int)i;
    return -EINVAL;
}

static struct str take_while(struct str *s, bool (*fn)(char))
{
    size_t n = 0;
    while (n < s->n && fn(s->p[n]))
        n++;
    struct str taken = {s->p, n};
    *s = part_from(*s, n);
    return taken;
}

static bool is_hash(char c)
{
    return part_digit(c) || (c >= 'a' && c <= 'f');
}

static void number(struct cursor *c, enum token token)
{
    c->value = part_digits(&c->rest);
    c->token = c->value.n ? token : INVALID;
}

static void next(struct cursor *c)
{
    struct str before = c->rest;
    enum token was = c->token;
    c->token = INVALID;
    if (!c->rest.n) {
        c->token = END;
    } else if (part_lower(c->rest.p[0])) {
        if (was <= NUMBER) {
            c->value = str_sub(c->rest, 0, 1);
            c->rest = part_from(c->rest, 1);
            c->token = LETTER;
        }
    } else if (part_skip(&c->rest, '.')) {
        if (was <= NUMBER)
            number(c, NUMBER);
    } else if (part_digit(c->rest.p[0])) {
        if (was == SUFFIX)
            number(c, SUFFIX_NUMBER);
    } else if (part_skip(&c->rest, '_')) {
        c->value = take_while(&c->rest, part_lower);
        int suffix = suffix_parse(c->value);
        if (was <= SUFFIX_NUMBER && suffix >= 0) {
            c->suffix = (unsigned)suffix;
            c->token = SUFFIX;
        }
    } else if (part_skip(&c->rest, '~')) {
        c->value = take_while(&c->rest, is_hash);
        if (was < HASH && c->value.n)
            c->token = HASH;
    } else if (part_skip(&c->rest, '-') && part_skip(&c->rest, 'r')) {
        if (was < REVISION)
            number(c, REVISION);
    }
    if (c->token == INVALID)
        c->rest = before;
}

static struct cursor first(struct str v)
{
    struct cursor c = {.rest = v};
    number(&c, FIRST_NUMBER);
    return c;
}

static int token_cmp(const struct cursor *a, const struct cursor *b)
{
    switch (a->token) {
    case NUMBER: /* as fractions when either is written with a leading zero */
        if (a->value.p[0] == '0' || b->value.p[0] == '0')
            return part_text_cmp(a->value, b->value);
        return part_number_cmp(a->value, b->value);
    case FIRST_NUMBER:
    case SUFFIX_NUMBER:
    case REVISION:
        return part_number_cmp(a->value, b->value);
    case SUFFIX:
        return (a->suffix > b->suffix) - (a->suffix < b->suffix);
    default:
        return part_text_cmp(a->value, b->value);
    }
}

bool version_apk_valid(struct str v)
{
    struct cursor c = first(v);
    while (c.token < END)
        next(&c);
    return c.token == END;
}

static bool has_digit(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (part_digit(v.p[i]))
            return true;
    return false;
}

int version_apk(struct str a, struct str b, int *ret)
{
    *ret = 0;
    if (str_eq(a, b))
        return 0;
    if (!has_digit(a) || !has_digit(b))
        return -EINVAL;
    struct cursor x = first(a), y = first(b);
    while (x.token == y.token && x.token < END) {
        if ((*ret = token_cmp(&x, &y)))
            return 0;
        next(&x);
        next(&y);
    }
    if (x.token == y.token) {
        /* neither is a version from here on: by their text, unless it is a revision that is broken */
        if (x.token == INVALID && !str_starts(x.rest, STR("-")) && !str_starts(y.rest, STR("-")))
            *ret = part_text_cmp(a, b);
    } else if (x.token == SUFFIX && x.suffix < SUFFIX_NONE) {
        *ret = -1;
    } else if (y.token == SUFFIX && y.suffix < SUFFIX_NONE) {
        *ret = 1;
    } else {
        *ret = x.token > y.token ? -1 : 1;
    }
    return 0;
}
