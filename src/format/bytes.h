/* bytes: numbers out of bytes that are not aligned. The caller has checked that they are there. */
#ifndef BULKHEAD_FORMAT_BYTES_H
#define BULKHEAD_FORMAT_BYTES_H

#include "base/str.h"

#include <endian.h>

static inline uint16_t bytes_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}
static inline uint32_t bytes_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}
static inline uint64_t bytes_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}
static inline uint16_t bytes_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}
static inline uint32_t bytes_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}
static inline uint64_t bytes_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}
/* Is [at, at + n) inside s? */
static inline bool bytes_have(struct str s, uint64_t at, uint64_t n)
{
    return at <= s.n && n <= s.n - at;
}

#endif
