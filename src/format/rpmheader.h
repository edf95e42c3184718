/* rpmheader: a package header as rpm's database keeps it: index entries (tag, type, offset, count) and a data store,
 * big-endian. Format: rpm, docs/manual/format_header.md ("Header"), lib/header.c (headerImport); tags:
 * include/rpm/rpmtag.h.
 */
#ifndef BULKHEAD_FORMAT_RPMHEADER_H
#define BULKHEAD_FORMAT_RPMHEADER_H

#include "base/err.h"
#include "format/package.h"

/* One blob -> one package with its owned files (without a leading slash). Strings borrow from blob. Sets *ret whole;
 * -EBADMSG. Version is [EPOCH:]VERSION-RELEASE, the epoch shown when it is not 0; the source is what SOURCERPM names,
 * with the package's own epoch. */
int rpmheader_parse(struct arena *a, struct str blob, struct package *ret, struct err *e);
/* name-version-release.src.rpm -> source of p, whose name, version and epoch are known. */
void rpmheader_source(struct arena *a, struct str srpm, uint64_t epoch, struct package *p);

#endif
