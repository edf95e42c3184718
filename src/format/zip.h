/* zip: the members of a zip archive in memory, by its central directory; stored and deflated ones, zip64, and archives
 * with something in front (programs that carry one). Format: PKWARE APPNOTE.TXT 6.3.
 *
 *     struct zip z;  zip_open(bytes, &z, e);
 *     while ((r = zip_next(&z, &m, e)) > 0) if (...) zip_read(a, &z, &m, max, &content, e);
 */
#ifndef BULKHEAD_FORMAT_ZIP_H
#define BULKHEAD_FORMAT_ZIP_H

#include "base/arena.h"
#include "base/err.h"

struct zip {
    struct str bytes;
    uint64_t at, left, shift; /* next record of the directory, how many follow; what is in front of the archive */
};

struct zip_member {
    struct str name; /* as stored, a piece of the bytes */
    uint16_t method;
    uint64_t packed, size, header;
};

bool zip_is(struct str bytes); /* by its first bytes */
int zip_open(struct str bytes, struct zip *ret, struct err *e);
int zip_next(struct zip *z, struct zip_member *ret, struct err *e); /* 1, 0 at the end, -EBADMSG */
/* Stored content is a piece of the bytes, deflated content in the arena. -E2BIG over max, -ENOTSUP other methods. */
int zip_read(struct arena *a, const struct zip *z, const struct zip_member *m, size_t max, struct str *ret,
             struct err *e);

#endif
