/* intel: the signed database of advisories, and what it says about one package.
 *
 * intel.db is an immutable SQLite file with an ed25519 signature over all its bytes (intel/database.h; made by
 * intel/build.h). It is opened read-only and shared by reference count. Any thread may look things up: they take turns,
 * each look-up uses the caller's arena. A match costs some microseconds for each advisory of the package.
 *
 *     _cleanup_(intel_unrefp) struct intel *i = NULL;
 *     if ((r = intel_open(path, key, 0, &i, e)) < 0) return r;
 *     if (!intel_covers(i, &os)) tell("no advisories for this release: nothing known is not nothing there");
 *     r = intel_match(i, arena, &package, &os, &advisories, &n, e);
 */
#ifndef BULKHEAD_INTEL_INTEL_H
#define BULKHEAD_INTEL_INTEL_H

#include "base/err.h"
#include "format/package.h"
#include "format/vuln.h"

struct intel;

enum { INTEL_UNSIGNED_OK = 1 }; /* only for an explicit --intel; intel_signed() tells */

/* key_path: PEM of the ed25519 public key (SubjectPublicKeyInfo); NULL with INTEL_UNSIGNED_OK only.
 * -EKEYREJECTED: the signature is missing or wrong; -EBADMSG: not an intel.db. */
int intel_open(const char *path, const char *key_path, int flags, struct intel **ret, struct err *e);
struct intel *intel_ref(struct intel *i);
void intel_unref(struct intel *i); /* NULL is fine */
void intel_unrefp(struct intel **i);
bool intel_signed(const struct intel *i);
struct str intel_revision(const struct intel *i); /* hex SHA-256 of the canonical content */
int64_t intel_built(const struct intel *i);   /* instant: newest date inside the feeds, not the clock of the builder */
uint64_t intel_serial(const struct intel *i); /* 0: none. Grows with every file that its signer publishes */
int64_t intel_expires(const struct intel *i); /* instant from which it counts no more as up to date; TIME_NEVER */
/* May `fresh` take the place of `old` (NULL: there is none)? -ESTALE: it is older by its serial or its date, has no
 * serial where the old one has one, or has expired. */
int intel_supersedes(const struct intel *fresh, const struct intel *old, int64_t now, struct err *e);

struct advisory {
    struct str id; /* CVE where there is one, else the feed's id */
    struct str *aliases;
    size_t aliases_n;
    enum vuln_severity severity; /* the distribution's, else vendor's or GHSA's, else CVSS 4, 3, 2, else unknown */
    struct str severity_source;
    enum vuln_status status;
    struct str fixed;                 /* first fixed version in the package's release; empty none */
    int64_t published, fix_published; /* 0 unknown */
    double cvss, epss;                /* -1 unknown */
    bool kev;
    struct str title, advisory; /* one line; address */
    struct str source;          /* feed: debian alpine osv ... */
    bool headers_only;          /* the package is the kernel's headers (linux-libc-dev): nothing of it runs */
};

/* Advisories that hit this package on this OS (os may be NULL for language packages), worst first, one per id after
 * merging aliases, withdrawn ones dropped. -errno on a damaged database. */
int intel_match(struct intel *i, struct arena *a, const struct package *p, const struct os_release *os,
                struct advisory **ret, size_t *ret_n, struct err *e);

/* Whether any feed speaks of this OS release at all; true for NULL. When not, intel_match finds no OS advisories. */
bool intel_covers(const struct intel *i, const struct os_release *os);

/* Everything known about one id or alias, as one JSON object (`bulkhead intel show`). -ENOENT when it is unknown. */
int intel_show(struct intel *i, struct arena *a, struct str id, struct str *ret_json, struct err *e);
/* Format, revision, dates and counts of each feed and space, as one JSON object (`bulkhead intel info`). */
int intel_info(struct intel *i, struct arena *a, struct str *ret_json, struct err *e);
/* Compute the revision again from the rows and check the file inside out. -EBADMSG when they do not agree. */
int intel_check(struct intel *i, struct err *e);

#endif
