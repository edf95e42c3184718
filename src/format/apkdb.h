/* apkdb: the installed database of apk (lib/apk/db/installed): records of "X:value" lines, parted by blank lines.
 * Format: apk-tools, doc/apk-package.5 and src/database.c. P name, V version, A arch, o origin, L license, F folder and
 * R file in it; the rest is skipped.
 */
#ifndef BULKHEAD_FORMAT_APKDB_H
#define BULKHEAD_FORMAT_APKDB_H

#include "base/err.h"
#include "format/package.h"

/* Strings borrow from text, the array is in the arena; path and layer are left empty. source_name is the origin (the
 * package itself when there is none), source_version the version. -EBADMSG for a record without name or version. */
int apkdb_parse(struct arena *a, struct str text, struct package **ret, size_t *ret_n, struct err *e);

#endif
