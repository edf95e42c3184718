/* version_parts: what the version_*.c files share. Not for others. Everything works on borrowed text, nothing
 * allocates, numbers may have any length. */
#ifndef BULKHEAD_INTEL_VERSION_PARTS_H
#define BULKHEAD_INTEL_VERSION_PARTS_H

#include "intel/version.h"

#include <errno.h>

static inline bool part_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool part_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static inline bool part_alpha(char c)
{
    return part_lower(c) || (c >= 'A' && c <= 'Z');
}
static inline char part_fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
static inline int part_sign(int v)
{
    return (v > 0) - (v < 0);
}
static inline int part_size_cmp(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

struct str part_digits(struct str *s);           /* take the digits at the front, may be empty */
bool part_all_digits(struct str s);              /* at least one, nothing else */
int part_number_cmp(struct str a, struct str b); /* decimal digits of any length; empty is 0 */
int part_text_cmp(struct str a, struct str b);   /* bytewise, -1 0 1 */
int part_text_icmp(struct str a, struct str b);  /* ASCII case folded */
bool part_zero(struct str digits);
static inline struct str part_from(struct str s, size_t n)
{
    return n ? (struct str){s.p + n, s.n - n} : s;
}
bool part_skip(struct str *s, char c); /* take this character if it is next */

/* One for each scheme: 0 and *ret, or -EINVAL. With b == a the validity of one version. */
int version_dpkg(struct str a, struct str b, int *ret);
int version_rpm(struct str a, struct str b, int *ret);
int version_apk(struct str a, struct str b, int *ret);
bool version_apk_valid(struct str v);
bool version_pep440_valid(struct str v);
int version_semver(struct str a, struct str b, int *ret);
int version_npm(struct str a, struct str b, int *ret);
int version_go(struct str a, struct str b, int *ret);
int version_pub(struct str a, struct str b, int *ret);
int version_nuget(struct str a, struct str b, int *ret);
int version_pep440(struct str a, struct str b, int *ret);
int version_gem(struct str a, struct str b, int *ret);
int version_maven(struct str a, struct str b, int *ret);
int version_composer(struct str a, struct str b, int *ret);
int version_generic(struct str a, struct str b, int *ret);

#endif
