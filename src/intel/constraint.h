/* constraint: version requirements as advisories of RubyGems, Composer, Cargo, npm and NVD write them.
 *
 * "|" or "||" separates alternatives; inside one, terms that must all hold, separated by commas or blanks: = == != < <=
 * > >= then a version; "~> 2.1.3" and Composer's "~2.1.3" (up to the next of the part before the last), "~1.2" (the
 * same minor), "^1.2.3" (up to the next of the first part that is not 0), "1.2.*", "1.x", "*". A bare version is
 * equality. npm's are read by version_npm_range().
 */
#ifndef BULKHEAD_INTEL_CONSTRAINT_H
#define BULKHEAD_INTEL_CONSTRAINT_H

#include "intel/version.h"

/* Does it hold for the version? Terms that are malformed do not hold. */
bool constraint_holds(enum version_scheme scheme, struct str text, struct str version);

/* The lowest bound in the text that is above the version: of `lower` ones (>= ~> ^ =: where a list of patched versions
 * begins) or of upper ones (<: where a list of vulnerable versions ends). Empty: there is none. Borrowed from text. */
struct str constraint_bound(enum version_scheme scheme, struct str text, struct str version, bool lower);

#endif
