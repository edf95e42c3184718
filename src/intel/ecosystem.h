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

/* One place in which to look for a package. */
struct ecosystem_lookup {
    struct str space, name;
    struct str version; /* the package's, or its source's */
    bool otherwise;     /* only when the space before it is not in the database: the same again, by someone else */
    bool subscription;  /* fixes of Ubuntu Pro: they count only for a package that has one */
};
enum { ECOSYSTEM_LOOKUPS = 12 };
/* Where to look for a package, best first. *ret_os: it is the operating system's. Returns their number, 0 when the kind
 * of package is in no feed. */
size_t ecosystem_lookups(struct arena *a, const struct package *p, const struct os_release *os,
                         struct ecosystem_lookup ret[static ECOSYSTEM_LOOKUPS], bool *ret_os);
/* The spaces of an operating system's packages; at most ECOSYSTEM_LOOKUPS. */
size_t ecosystem_os_spaces(struct arena *a, const struct os_release *os,
                           struct ecosystem_lookup ret[static ECOSYSTEM_LOOKUPS]);

#endif
