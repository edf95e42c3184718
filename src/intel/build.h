/* build: published feeds in a directory -> one intel.db.
 *
 * The directory is walked in the order of names, the files are parsed in jails (base/jail.h, intel/feed.h) and what
 * they say is staged in a temporary SQLite file beside the output, so memory does not grow with the feeds. Then the
 * rows are written in the order of their keys. Equal feeds give an equal revision and, with the same SQLite library, an
 * equal file byte for byte: no clock, no path and no chance goes in. The output appears by rename, or not at all.
 *
 * Where feeds overlap: of an OSV record the newest `modified` counts (withdrawn: it is gone); of a Debian or NVD entry
 * the file that comes last by name; of Alpine fixes of one id the highest version.
 */
#ifndef BULKHEAD_INTEL_BUILD_H
#define BULKHEAD_INTEL_BUILD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/jail.h"
#include "intel/database.h"

enum intel_build_event {
    INTEL_BUILD_UNKNOWN,  /* text: a file in no known format, or how many inside of an archive and the first of them */
    INTEL_BUILD_BAD,      /* text: a file that could not be parsed, and where */
    INTEL_BUILD_PROGRESS, /* text: what is being read */
};

struct intel_build {
    const char *dir, *output;
    const char *key;              /* PKCS#8 PEM; NULL: not signed */
    struct signature_terms terms; /* signed with it */
    void (*tell)(void *arg, enum intel_build_event event, struct str text);
    void *arg;
};

struct intel_build_report {
    uint64_t files, unknown, bad; /* files and members of archives */
    uint64_t advisories, affected, spaces, scores, kev;
    char revision[65];
    int64_t built;
    struct jail_report jail;
};

/* -EBADMSG when any file was bad: all of them have been told by then, and nothing was written. */
int intel_build(const struct intel_build *b, struct intel_build_report *ret, struct err *e);

#endif
