/* Maven's ComparableVersion (maven.apache.org/pom.html "Version Order Specification", as Maven 3.8 and OSV read it).
 *
 * A version is a list of numbers and words in which '-' and the border between digits and letters open a list inside;
 * that is always the last element of its list, so the whole is a chain of lists. What is empty (0, "", ga, final,
 * release) is dropped from the end of each list. */
#include "base/cleanup.h"
#include "intel/version_parts.h"

enum { ITEMS = 512, RELEASE = 5, UNKNOWN = 7 };
struct item {
    struct str text;
    unsigned list; /* which one of the chain */
    bool number;
    bool digits_follow; /* a1: the a is alpha */
};
struct maven {
    struct item item[ITEMS];
    size_t n;
    unsigned lists;
};

/* alpha beta milestone rc snapshot "" sp, then every other word by its text. */
static int qualifier(const struct item *i)
{
    static const struct {
        const char *word;
        int rank;
        bool with_digits;
    } known[] = {{"alpha", 0, false},         {"a", 0, true},       {"beta", 1, false},     {"b", 1, true},
                 {"milestone", 2, false},     {"m", 2, true},       {"rc", 3, false},       {"cr", 3, false},
                 {"snapshot", 4, false},      {"", RELEASE, false}, {"ga", RELEASE, false}, {"final", RELEASE, false},
                 {"release", RELEASE, false}, {"sp", 6, false}};
    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        if (str_ieq(i->text, str_c(known[k].word)) && (!known[k].with_digits || i->digits_follow))
            return known[k].rank;
    return UNKNOWN;
}

static bool is_null(const struct item *i)
{
    return i->number ? part_zero(i->text) : qualifier(i) == RELEASE;
}

static bool add(struct maven *m, struct str text, bool number, bool digits_follow)
{
    if (m->n == ITEMS)
        return false;
    m->item[m->n++] = (struct item){text, m->lists, number, digits_follow};
    return true;
}

/* Drop the empty ends of every list; an item stays when one behind it in its list does. */
static void normalize(struct maven *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++) {
        size_t k = i;
        while (k < m->n && m->item[k].list == m->item[i].list && is_null(&m->item[k]))
            k++;
        if (k < m->n && m->item[k].list == m->item[i].list)
            m->item[kept++] = m->item[i];
    }
    m->n = kept;
    /* a list inside that held nothing but its own list is not there at all: 1-ga-1 is 1-1 */
    unsigned was = 0, now = 0;
    for (size_t i = 0; i < m->n; i++) {
        unsigned list = m->item[i].list;
        now += list != was;
        was = list;
        m->item[i].list = now;
    }
}

static bool parse(struct str s, struct maven *m)
{
    size_t start = 0;
    bool digit = false;
    m->n = 0;
    m->lists = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' || c == '-') {
            if (!add(m, str_sub(s, start, i), digit || i == start, false))
                return false;
            start = i + 1;
            m->lists += c == '-';
        } else if (part_digit(c) != digit) {
            if (i > start) {
                if (!add(m, str_sub(s, start, i), digit, !digit))
                    return false;
                start = i;
                m->lists++;
            }
            digit = part_digit(c);
        }
    }
    if (s.n > start && !add(m, part_from(s, start), digit, false))
        return false;
    normalize(m);
    return true;
}

struct cursor {
    const struct maven *m;
    size_t i;
    unsigned list;
};

enum kind { NOTHING, LIST, WORD, NUMBER };

static enum kind peek(const struct cursor *c)
{
    if (c->i == c->m->n)
        return NOTHING;
    const struct item *i = &c->m->item[c->i];
    return i->list != c->list ? LIST : i->number ? NUMBER : WORD;
}

static int word_cmp(const struct item *a, const struct item *b)
{
    int x = qualifier(a), y = qualifier(b);
    return x != y ? part_sign(x - y) : x == UNKNOWN ? part_text_icmp(a->text, b->text) : 0;
}

static int against_nothing(const struct cursor *c)
{
    for (size_t i = c->i; i < c->m->n; i++) {
        const struct item *it = &c->m->item[i];
        int diff = it->number ? !part_zero(it->text) : part_sign(qualifier(it) - RELEASE);
        if (diff)
            return diff;
    }
    return 0;
}

int version_maven(struct str a, struct str b, int *ret)
{
    struct maven m, n;
    if (!parse(a, &m) || !parse(b, &n))
        return -EINVAL;
    struct cursor x = {.m = &m}, y = {.m = &n};
    for (;;) {
        enum kind k = peek(&x), l = peek(&y);
        if (k == NOTHING || l == NOTHING) {
            *ret = k == NOTHING ? -against_nothing(&y) : against_nothing(&x);
            return 0;
        }
        if (k == LIST && l == LIST) {
            x.list++;
            y.list++;
            continue;
        }
        if (k != l) { /* numbers above lists above words */
            *ret = (k == NUMBER || l == NUMBER) ? (k == NUMBER ? 1 : -1) : (k == LIST ? 1 : -1);
            return 0;
        }
        const struct item *i = &m.item[x.i++], *j = &n.item[y.i++];
        if ((*ret = k == NUMBER ? part_number_cmp(i->text, j->text) : word_cmp(i, j)))
            return 0;
    }
}
