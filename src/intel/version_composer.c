/* PHP's version_compare() (ext/standard/versioning.c), which Composer uses; a leading v is dropped. And the generic
 * order for things without an ecosystem. */
#include "base/cleanup.h"
#include "intel/version_parts.h"

enum { NUMBER_RANK = 4 };

/* Next run of digits or of other characters; - _ + . and other marks only separate. Empty at the end. */
static struct str component(struct str *s)
{
    while (s->n && !part_digit(s->p[0]) && !part_alpha(s->p[0]) && s->p[0] != '#')
        *s = part_from(*s, 1);
    size_t n = 0;
    bool digit = s->n && part_digit(s->p[0]);
    while (n < s->n && (digit ? part_digit(s->p[n]) : part_alpha(s->p[n]) || s->p[n] == '#'))
        n++;
    struct str c = {s->p, n};
    *s = part_from(*s, n);
    return c;
}

/* any other word < dev < alpha < beta < RC < number < pl */
static int rank(struct str c)
{
    static const struct {
        const char *prefix;
        int rank;
    } known[] = {{"dev", 0}, {"a", 1}, {"b", 2}, {"RC", 3}, {"rc", 3}, {"#", NUMBER_RANK}, {"p", 5}};
    if (part_digit(c.p[0]))
        return NUMBER_RANK;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_starts(c, str_c(known[i].prefix)))
            return known[i].rank;
    return -1;
}

/* What is left over when the other has ended. */
static int rest_sign(struct str c, struct str rest)
{
    for (; c.n; c = component(&rest)) {
        if (part_digit(c.p[0]))
            return 1;
        if (rank(c) != NUMBER_RANK)
            return part_sign(rank(c) - NUMBER_RANK);
    }
    return 0;
}

static bool parse(struct str *s)
{
    if (s->n > 1 && (s->p[0] == 'v' || s->p[0] == 'V'))
        *s = part_from(*s, 1);
    return (s->n && part_digit(s->p[0])) || str_starts(*s, STR("dev-"));
}

int version_composer(struct str a, struct str b, int *ret)
{
    if (!parse(&a) || !parse(&b))
        return -EINVAL;
    for (;;) {
        struct str x = component(&a), y = component(&b);
        if (!x.n || !y.n) {
            *ret = x.n ? rest_sign(x, a) : -rest_sign(y, b);
            return 0;
        }
        bool numbers = part_digit(x.p[0]) && part_digit(y.p[0]);
        if ((*ret = numbers ? part_number_cmp(x, y) : part_sign(rank(x) - rank(y))))
            return 0;
    }
}

/* Runs of digits and letters: numbers by value, above words; words by text without case; a word that marks a
 * pre-release sorts before the end, everything else behind it. */
static bool is_pre(struct str c)
{
    static const char *const words[] = {"alpha", "beta", "rc", "pre", "preview", "dev", "snapshot"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(c, str_c(words[i])))
            return true;
    return false;
}

static bool peek_any(struct str s)
{
    return component(&s).n > 0;
}

int version_generic(struct str a, struct str b, int *ret)
{
    struct str x, y;
    if (!peek_any(a) || !peek_any(b))
        return -EINVAL;
    do {
        x = component(&a);
        y = component(&b);
        if (!x.n || !y.n)
            *ret = x.n ? (is_pre(x) ? -1 : 1) : y.n ? (is_pre(y) ? 1 : -1) : 0;
        else if (part_digit(x.p[0]) != part_digit(y.p[0]))
            *ret = part_digit(x.p[0]) ? 1 : -1;
        else
            *ret = part_digit(x.p[0]) ? part_number_cmp(x, y) : part_text_icmp(x, y);
    } while (!*ret && x.n && y.n);
    return 0;
}
