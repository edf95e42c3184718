/* rpm: [epoch:]version[-release], each part by rpmvercmp (rpmio/rpmvercmp.c of rpm, doc/manual/spec). */
#include "intel/version_parts.h"

struct evr {
    struct str epoch, version, release;
};

static struct evr parse(struct str v)
{
    struct evr evr = {.version = v};
    struct str rest = v, digits = part_digits(&rest);
    if (part_skip(&rest, ':')) {
        evr.epoch = digits;
        evr.version = rest;
    }
    ptrdiff_t at = str_rchr(evr.version, '-');
    if (at >= 0) {
        evr.release = part_from(evr.version, (size_t)at + 1);
        evr.version = str_sub(evr.version, 0, (size_t)at);
    }
    return evr;
}

static bool is_separator(char c)
{
    return !part_alpha(c) && !part_digit(c) && c != '~' && c != '^';
}

static struct str skip_separators(struct str s)
{
    while (s.n && is_separator(s.p[0]))
        s = part_from(s, 1);
    return s;
}

static struct str take_letters(struct str *s)
{
    size_t n = 0;
    while (n < s->n && part_alpha(s->p[n]))
        n++;
    struct str taken = {s->p, n};
    *s = part_from(*s, n);
    return taken;
}

/* '~' sorts before the end, '^' after the end but before anything more. 2: neither has one. */
static int marks(struct str *a, struct str *b)
{
    bool x = part_skip(a, '~'), y = part_skip(b, '~');
    if (x || y)
        return x && y ? 0 : x ? -1 : 1;
    x = a->n && a->p[0] == '^';
    y = b->n && b->p[0] == '^';
    if (!x && !y)
        return 2;
    if (!a->n || !b->n)
        return a->n ? 1 : -1;
    if (!x || !y)
        return x ? -1 : 1;
    part_skip(a, '^');
    part_skip(b, '^');
    return 0;
}

static int compare(struct str a, struct str b)
{
    if (str_eq(a, b))
        return 0;
    for (;;) {
        a = skip_separators(a);
        b = skip_separators(b);
        int mark = marks(&a, &b);
        if (mark == 0)
            continue;
        if (mark != 2)
            return mark;
        if (!a.n || !b.n)
            return part_size_cmp(a.n, b.n);
        bool digits = part_digit(a.p[0]);
        struct str x = digits ? part_digits(&a) : take_letters(&a);
        struct str y = digits ? part_digits(&b) : take_letters(&b);
        if (!y.n) /* of different kinds: digits are newer */
            return digits ? 1 : -1;
        int diff = digits ? part_number_cmp(x, y) : part_text_cmp(x, y);
        if (diff)
            return diff;
    }
}

int version_rpm(struct str a, struct str b, int *ret)
{
    struct evr x = parse(a), y = parse(b);
    if (!x.version.n || !y.version.n)
        return -EINVAL;
    if (!(*ret = part_number_cmp(x.epoch, y.epoch)) && !(*ret = compare(x.version, y.version)))
        *ret = compare(x.release, y.release);
    return 0;
}
