/* rpmdb: rpm's database of installed packages in all three of its backends, told apart by content: Berkeley DB
 * ("Packages": hash or btree, either byte order), ndb ("Packages.db") and SQLite ("rpmdb.sqlite"). Own readers, no
 * librpm and no libdb; SQLite is the library, on a copy in memory, read only.
 * Formats: Berkeley DB 5, src/dbinc/db_page.h and hash.h; rpm, lib/backend/ndb/rpmpkg.c and lib/backend/sqlite.c.
 */
#ifndef BULKHEAD_FORMAT_RPMDB_H
#define BULKHEAD_FORMAT_RPMDB_H

#include "base/err.h"
#include "format/package.h"

/* Packages in the order of the database, as rpmheader_parse gives them. What a list takes is copied into its arena or
 * borrowed from db. -EBADMSG: damaged, or none of the three. A database without packages is fine. */
int rpmdb_parse(struct package_list *list, struct str db, struct err *e);

/* The list that images without a database have instead (var/lib/rpmmanifest/container-manifest-2 of Azure Linux): lines
 * of name, version-release, install time, build time, vendor, -, size, architecture, epoch, source package, by tabs. */
int rpm_manifest_parse(struct package_list *list, struct str text, struct err *e);

/* ---- parts: rpmdb_*.c. Each calls take() with every header blob, which is valid during the call only. ---- */
typedef int rpmdb_take_fn(void *ctx, struct str blob, struct err *e);
int rpmdb_bdb(struct str db, rpmdb_take_fn *take, void *ctx, struct err *e);
int rpmdb_ndb(struct str db, rpmdb_take_fn *take, void *ctx, struct err *e);
int rpmdb_sqlite(struct str db, rpmdb_take_fn *take, void *ctx, struct err *e);

#endif
