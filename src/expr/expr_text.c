/* What the operators on texts mean. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "expr/expr_internal.h"

#include <pcre2.h>

#define REGEX_STEPS 100000u /* of one match; over that it is none */

static int folded(int c)
{
    return c >= 'A' && c <= 'Z' ? c | 32 : c;
}

static bool icontains(struct str s, struct str needle)
{
    int first = needle.n ? folded((unsigned char)needle.p[0]) : 0;
    if (!needle.n)
        return true;
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (folded((unsigned char)s.p[i]) == first && str_ieq(str_n(s.p + i, needle.n), needle))
            return true;
    return false;
}

/* s is the path or below it, part by part; '*' and '?' stay within a part. A final '/' means nothing. */
static bool below(struct str s, struct str path)
{
    struct str part, have;
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (str_eqc(path, "/"))
        return str_starts(s, path);
    while (str_cut(&path, '/', &part))
        if (!str_cut(&s, '/', &have) || !str_glob(part, have, false))
            return false;
    return true;
}

/* One element of a pattern against one byte; *next: behind the element. */
static bool element(struct str pat, size_t at, size_t *next, int c, bool fold)
{
    int want = (unsigned char)pat.p[at];
    c = fold ? folded(c) : c;
    if (want == '[' && at + 2 < pat.n) {
        size_t i = at + 1;
        bool negate = pat.p[i] == '!' || pat.p[i] == '^', hit = false;
        i += negate;
        for (size_t first = i; i < pat.n && (pat.p[i] != ']' || i == first); i++) {
            int low = (unsigned char)pat.p[i], high = low;
            if (i + 2 < pat.n && pat.p[i + 1] == '-' && pat.p[i + 2] != ']') {
                high = (unsigned char)pat.p[i + 2];
                i += 2;
            }
            hit = hit || (c >= (fold ? folded(low) : low) && c <= (fold ? folded(high) : high));
        }
        if (i < pat.n) { /* else there is no ]: a plain bracket */
            *next = i + 1;
            return hit != negate;
        }
    }
    if (want == '\\' && at + 1 < pat.n)
        want = (unsigned char)pat.p[++at];
    else if (want == '?') {
        *next = at + 1;
        return true;
    }
    *next = at + 1;
    return c == (fold ? folded(want) : want);
}

/* fnmatch() without flags, as Falco uses it: '*' crosses '/'. Goes back to the last '*' only, so no worse than
 * pattern x text. */
static bool glob(struct str pat, struct str s, bool fold)
{
    size_t p = 0, i = 0, star = SIZE_MAX, star_i = 0, next;
    while (i < s.n) {
        if (p < pat.n && pat.p[p] == '*') {
            star = p++;
            star_i = i;
        } else if (p < pat.n && element(pat, p, &next, (unsigned char)s.p[i], fold)) {
            p = next;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (p < pat.n && pat.p[p] == '*')
        p++;
    return p == pat.n;
}

static bool regex(const struct expr_check *c, struct str s)
{
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, REGEX_STEPS);
    pcre2_set_depth_limit(limits, 1000);
    int r = m && limits ? pcre2_match(c->regex, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, m, limits) : -1;
    pcre2_match_context_free(limits);
    pcre2_match_data_free(m);
    return r >= 0;
}

static bool among(const struct expr_check *c, struct str s)
{
    if (!c->hashed) {
        for (size_t i = 0; i < c->values_n; i++)
            if (str_eq(s, c->values[i].s))
                return true;
        return false;
    }
    for (uint32_t at = (uint32_t)str_hash(s) & c->hashed_mask; c->hashed[at]; at = (at + 1) & c->hashed_mask)
        if (str_eq(s, c->values[c->hashed[at] - 1].s))
            return true;
    return false;
}

static bool one(const struct expr_check *c, struct str s, struct str want)
{
    switch (c->op) {
    case EXPR_EQ:
    case EXPR_NE: /* the caller turns it */
        return str_eq(s, want);
    case EXPR_CONTAINS:
    case EXPR_BCONTAINS:
        return str_has(s, want);
    case EXPR_ICONTAINS:
        return icontains(s, want);
    case EXPR_STARTSWITH:
    case EXPR_BSTARTSWITH:
        return str_starts(s, want);
    case EXPR_ENDSWITH:
        return str_ends(s, want);
    case EXPR_GLOB:
    case EXPR_IGLOB:
        return glob(want, s, c->op == EXPR_IGLOB);
    case EXPR_REGEX:
        return regex(c, s);
    case EXPR_PMATCH:
        return below(s, want);
    default:
        return false;
    }
}

bool expr_text_check(const struct expr_check *c, struct str s)
{
    bool hit = c->all;
    if (c->op == EXPR_IN || c->op == EXPR_INTERSECTS)
        return among(c, s);
    for (size_t i = 0; i < c->values_n; i++)
        if (one(c, s, c->values[i].s) != c->all) {
            hit = !c->all;
            break;
        }
    return c->op == EXPR_NE ? !hit : hit;
}
