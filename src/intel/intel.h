/* intel: the signed database of advisories, and what it says about one package.
 *
 * intel.db is an immutable SQLite file with an ed25519 signature over its content digest. It is opened read-only and
 * shared by reference count; look-ups are thread-safe for one handle per thread (intel_ref gives the same snapshot,
 * each look-up uses the caller's arena).
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
int64_t intel_built(const struct intel *i);       /* instant: newest date inside the feeds, not the clock of the builder */

struct advisory {
    struct str id;               /* CVE where there is one, else the feed's id */
    struct str *aliases;
    size_t aliases_n;
    enum vuln_severity severity; /* the distribution's, else vendor's or GHSA's, else CVSS 4, 3, 2, else unknown */
    struct str severity_source;
    enum vuln_status status;
    struct str fixed;            /* first fixed version in the package's release; empty none */
    int64_t published, fix_published; /* 0 unknown */
    double cvss, epss;           /* -1 unknown */
    bool kev;
    struct str title, advisory;  /* one line; address */
    struct str source;           /* feed: debian alpine osv ... */
};

/* Advisories that hit this package on this OS (os may be NULL for language packages), worst first, one per id after
 * merging aliases, withdrawn ones dropped. -errno on a damaged database. */
int intel_match(struct intel *i, struct arena *a, const struct package *p, const struct os_release *os,
                struct advisory **ret, size_t *ret_n, struct err *e);

#endif
