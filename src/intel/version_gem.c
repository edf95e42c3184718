/* Gem::Version (rubygems lib/rubygems/version.rb): numbers and words, a word marks a pre-release and sorts below
 * numbers, zeros before the first word and at the end do not count, '-' stands for ".pre.". */
#include "intel/version_parts.h"

enum { SEGMENTS = 256 };
struct gem {
    struct str segment[SEGMENTS];
    size_t n;
};

static bool is_number(struct str s)
{
    return part_digit(s.p[0]);
}

static void drop_zeros(struct gem *g, size_t from)
{
    while (g->n > from && is_number(g->segment[g->n - 1]) && part_zero(g->segment[g->n - 1]))
        g->n--;
}

static bool add(struct gem *g, struct str s, size_t *words_at)
{
    if (!is_number(s) && *words_at == SIZE_MAX) {
        drop_zeros(g, 0);
        *words_at = g->n;
    }
    if (g->n == SEGMENTS)
        return false;
    g->segment[g->n++] = s;
    return true;
}

/* [0-9]+(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)? */
static bool parse(struct str s, struct gem *g)
{
    size_t words_at = SIZE_MAX;
    bool separator = true, hyphens = false;
    g->n = 0;
    if (!s.n || !part_digit(s.p[0]))
        return false;
    while (s.n) {
        char c = s.p[0];
        if (c == '.') {
            if (separator)
                return false;
            separator = true;
            s = part_from(s, 1);
        } else if (c == '-') {
            if (separator && !hyphens)
                return false;
            hyphens = true;
            separator = false;
            s = part_from(s, 1);
            if (!s.n || !add(g, STR("pre"), &words_at))
                return false;
        } else if (part_digit(c) || part_alpha(c)) {
            size_t n = 1;
            while (n < s.n && (part_digit(c) ? part_digit(s.p[n]) : part_alpha(s.p[n])))
                n++;
            if (!add(g, str_sub(s, 0, n), &words_at))
                return false;
            s = part_from(s, n);
            separator = false;
        } else {
            return false;
        }
    }
    drop_zeros(g, words_at == SIZE_MAX ? 0 : words_at);
    return !separator;
}

int version_gem(struct str a, struct str b, int *ret)
{
    struct gem x, y;
    if (!parse(a, &x) || !parse(b, &y))
        return -EINVAL;
    *ret = 0;
    for (size_t i = 0; (i < x.n || i < y.n) && !*ret; i++) {
        struct str s = i < x.n ? x.segment[i] : STR("0"), t = i < y.n ? y.segment[i] : STR("0");
        bool sn = is_number(s), tn = is_number(t);
        *ret = sn && tn ? part_number_cmp(s, t) : sn != tn ? (sn ? 1 : -1) : part_text_cmp(s, t);
    }
    return 0;
}
