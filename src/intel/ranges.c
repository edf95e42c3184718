#include "intel/ranges.h"

#include "intel/constraint.h"

static bool is_start(struct str v)
{
    return str_eqc(v, "0");
}

/* Versions that are none keep their place. */
static int event_cmp(enum version_scheme scheme, const struct range_event *a, const struct range_event *b)
{
    int r = 0;
    if (a->kind == 'I' && is_start(a->version))
        return b->kind == 'I' && is_start(b->version) ? 0 : -1;
    if (b->kind == 'I' && is_start(b->version))
        return 1;
    return version_compare(scheme, a->version, b->version, &r) < 0 ? 0 : r;
}

void ranges_add(struct buf *b, enum version_scheme scheme, struct range_event *events, size_t n)
{
    for (size_t i = 1; i < n; i++) /* stable insertion; they come nearly sorted and are few */
        for (size_t k = i; k && event_cmp(scheme, &events[k - 1], &events[k]) > 0; k--) {
            struct range_event swap = events[k];
            events[k] = events[k - 1];
            events[k - 1] = swap;
        }
    if (b->n)
        buf_putc(b, '\n');
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%c " STR_FMT "\n", events[i].kind, STR_ARG(events[i].version));
}

/* One range: the state after the last event at or before the version, and the next fix after it. */
static bool range_match(struct str *rest, enum version_scheme scheme, struct str version, struct str *ret_fixed)
{
    bool inside = false;
    struct str line;
    *ret_fixed = STR_NONE;
    while (str_cut(rest, '\n', &line) && line.n) {
        char kind = line.p[0];
        struct str at = str_sub(line, 2, line.n);
        int order; /* of the version to the event */
        if (kind == 'I' && is_start(at))
            order = 1;
        else if (version_compare(scheme, version, at, &order) < 0)
            continue;
        if (kind == 'I' && order >= 0)
            inside = true;
        else if ((kind == 'F' && order >= 0) || (kind == 'L' && order > 0))
            inside = false;
        else if (kind == 'F' && inside && !ret_fixed->p)
            *ret_fixed = at;
    }
    return inside;
}

static void take_fix(enum version_scheme scheme, struct str *best, struct str fixed)
{
    int order;
    if (fixed.n && (!best->n || (version_compare(scheme, fixed, *best, &order) == 0 && order < 0)))
        *best = fixed;
}

/* Requirements instead of events: vulnerable is what an R holds for (everything, when there is none), but for what a P
 * (patched) or a U (unaffected) holds for. */
static bool constraints_match(struct str *rest, enum version_scheme scheme, struct str version, struct str *ret_fixed)
{
    bool has_r = false, in_r = false, out = false;
    struct str line;
    *ret_fixed = STR_NONE;
    while (str_cut(rest, '\n', &line) && line.n) {
        struct str text = str_sub(line, 2, line.n);
        bool holds = constraint_holds(scheme, text, version);
        has_r = has_r || line.p[0] == 'R';
        in_r = in_r || (line.p[0] == 'R' && holds);
        out = out || (line.p[0] != 'R' && holds);
        if (line.p[0] == 'P')
            take_fix(scheme, ret_fixed, constraint_bound(scheme, text, version, true));
        else if (line.p[0] == 'R' && holds)
            take_fix(scheme, ret_fixed, constraint_bound(scheme, text, version, false));
    }
    return (in_r || !has_r) && !out;
}

bool ranges_match(struct str ranges, enum version_scheme scheme, struct str version, struct str *ret_fixed)
{
    bool any = false;
    struct str best = STR_NONE;
    while (ranges.n) {
        struct str fixed;
        bool requirements = ranges.p[0] == 'R' || ranges.p[0] == 'P' || ranges.p[0] == 'U';
        if (!(requirements ? constraints_match : range_match)(&ranges, scheme, version, &fixed))
            continue;
        any = true;
        take_fix(scheme, &best, fixed);
    }
    *ret_fixed = best;
    return any;
}

bool versions_match(struct str versions, enum version_scheme scheme, struct str version)
{
    struct str line;
    int order;
    while (str_cut(&versions, '\n', &line))
        if (str_eq(line, version) || (version_compare(scheme, line, version, &order) == 0 && order == 0))
            return true;
    return false;
}
