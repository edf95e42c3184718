/* stage: records of the feeds on their way into intel.db, in a temporary SQLite file. Not for other rooms. */
#ifndef BULKHEAD_INTEL_STAGE_H
#define BULKHEAD_INTEL_STAGE_H

#include "intel/build.h"
#include "intel/record.h"

#include <sqlite3.h>

enum stage_insert {
    STAGE_SPACE,
    STAGE_DATE,
    STAGE_OSV,
    STAGE_AFFECTED,
    STAGE_FIXED,
    STAGE_RANGED,
    STAGE_VULN,
    STAGE_SCORE,
    STAGE_KEV,
    STAGE_INSERTS
};

struct stage {
    char path[4096]; /* the temporary file, removed by stage_close */
    sqlite3 *db;
    sqlite3_stmt *insert[STAGE_INSERTS];
    int64_t osv; /* the OSV record whose rows come now; 0: none */
    int64_t n;   /* rows of it so far */
};

int stage_open(struct stage *s, const char *output, struct err *e);
void stage_close(struct stage *s);
int stage_take(struct stage *s, const struct record *r, struct err *e); /* the records with content */

/* Write the database to `path` (an empty file), in the order of keys. */
int stage_write(struct stage *s, const char *path, struct intel_build_report *report, struct err *e);

#endif
