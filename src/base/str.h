/* str: a borrowed run of bytes, passed by value. Never owned, not necessarily NUL-terminated.
 *
 *     struct str line, rest = body;
 *     while (str_cut(&rest, '\n', &line))
 *         if (str_eq(line, STR("end"))) ...
 */
#ifndef BULKHEAD_BASE_STR_H
#define BULKHEAD_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit)   ((struct str){("" lit), sizeof(lit) - 1})
#define STR_NONE   ((struct str){NULL, 0})
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct str str_c(const char *c)
{
    return c ? (struct str){c, strlen(c)} : STR_NONE;
}
static inline struct str str_n(const char *p, size_t n)
{
    return (struct str){p, n};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || !memcmp(a.p, b.p, a.n));
}
static inline bool str_eqc(struct str a, const char *c)
{
    return str_eq(a, str_c(c));
}

bool str_ieq(struct str a, struct str b); /* ASCII case folded */
int str_cmp(struct str a, struct str b);  /* bytewise order, <0 0 >0; a prefix sorts first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_has(struct str s, struct str needle);            /* substring */
ptrdiff_t str_find(struct str s, struct str needle);      /* index of first occurrence, -1 */
ptrdiff_t str_chr(struct str s, char c);                  /* index of first c, -1 */
ptrdiff_t str_rchr(struct str s, char c);                 /* index of last c, -1 */
struct str str_sub(struct str s, size_t from, size_t to); /* clamped to the string */
struct str str_trim(struct str s);                        /* ASCII white space off both ends */

/* Take the part before the first `sep` out of *rest into *ret, moving *rest behind it; the last part has no sep.
 * False when *rest was used up. "a,b," yields "a" "b" "" ; "" yields nothing. */
bool str_cut(struct str *rest, char sep, struct str *ret);
/* Split once: true and both halves set when sep occurs, else false and *left = s, *right empty. */
bool str_split(struct str s, char sep, struct str *left, struct str *right);

/* Whole string as a number, no sign, no blanks; -EINVAL on anything else, -ERANGE on overflow. */
int str_u64(struct str s, uint64_t *ret);
int str_i64(struct str s, int64_t *ret);   /* optional leading '-' */
int str_double(struct str s, double *ret); /* JSON number syntax, locale independent */
int str_size(struct str s, uint64_t *ret); /* "256MB", "1G", "512k", "100": powers of 1024, bytes */

/* Shell-like match of the whole string: '*' any run without '/', '**' any run, '?' one byte but '/'. Backtracks
 * without recursion: at most (pattern x text) steps, more only where a '/' stands between a '**' and a '*'. With `flat`
 * '*' crosses '/' too (image names). */
bool str_glob(struct str pattern, struct str s, bool flat);

/* Edits (insert, remove, replace one byte) between two names, for "did you mean"; 64 when either is longer than 63. */
size_t str_distance(struct str a, struct str b);

bool str_utf8(struct str s);                                   /* valid UTF-8, no surrogates, no overlongs */
uint64_t str_hash(struct str s);                               /* fast; collisions can be computed */
uint64_t str_hash_keyed(const uint64_t seed[2], struct str s); /* SipHash-1-3: for keys from outside, random seed */

#endif
