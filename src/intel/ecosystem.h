/* ecosystem: where a package is looked up in intel.db, under which name, and how its versions compare. */
#ifndef BULKHEAD_INTEL_ECOSYSTEM_H
#define BULKHEAD_INTEL_ECOSYSTEM_H

#include "format/package.h"
#include "intel/version.h"

/* The order of versions in an OSV ecosystem ("PyPI", "Debian:12", ...); unknown ones are generic. */
enum version_scheme ecosystem_scheme(struct str ecosystem);
/* The name under which a package of the ecosystem is kept: PyPI normalised (PEP 503), NuGet and Packagist in lower
 * case, the others as they are. */
struct str ecosystem_name(struct arena *a, struct str ecosystem, struct str name);

enum { ECOSYSTEM_SPACES = 3 };
/* Spaces of intel.db in which to look for a package, best first; only the first that exists counts. *ret_os: its
 * advisories are by source package. Returns their number, 0 when the kind of package is in no feed. */
size_t ecosystem_spaces(struct arena *a, struct str purl_type, const struct os_release *os,
                        struct str ret[static ECOSYSTEM_SPACES], bool *ret_os);

#endif
