/* snapshot: the inside of struct intel. Not for other rooms. */
#ifndef BULKHEAD_INTEL_SNAPSHOT_H
#define BULKHEAD_INTEL_SNAPSHOT_H

#include "base/map.h"
#include "intel/database.h"
#include "intel/intel.h"
#include "intel/version.h"

#include <pthread.h>
#include <stdatomic.h>

struct space {
    int64_t id;
    struct str name;
    enum version_scheme scheme;
};

struct intel {
    atomic_uint refs;
    struct database database;
    struct arena *arena; /* strings of the snapshot */
    struct str revision;
    int64_t built;
    struct map *spaces;
    pthread_mutex_t lock; /* over the statements: every look-up takes its turn */
    sqlite3_stmt *by_package, *by_vuln, *by_alias, *by_score, *by_kev;
};

struct str snapshot_text(struct arena *a, sqlite3_stmt *s, int column); /* copy */
struct str snapshot_peek(sqlite3_stmt *s, int column);                  /* valid until the next step */
void snapshot_bind(sqlite3_stmt *s, int column, struct str text);       /* borrowed */

#endif
