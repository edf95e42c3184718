/* unzlib: deflate data in memory, unpacked into memory, through zlib. For members of zip archives and sections of
 * programs; streams go through unpack.h.
 */
#ifndef BULKHEAD_FORMAT_UNZLIB_H
#define BULKHEAD_FORMAT_UNZLIB_H

#include "base/arena.h"
#include "base/err.h"

enum unzlib_kind { UNZLIB_RAW, UNZLIB_ZLIB };

/* -E2BIG: more than max bytes; -EBADMSG: damaged or cut off. */
int unzlib(struct arena *a, enum unzlib_kind kind, struct str packed, size_t max, struct str *ret, struct err *e);

#endif
