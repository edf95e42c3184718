/* cpe: the programs whose CPEs are known (programs.tbl.h). In intel.db they are kept in the space "cpe" as
 * "vendor:product". */
#ifndef BULKHEAD_INTEL_CPE_H
#define BULKHEAD_INTEL_CPE_H

#include "base/arena.h"

enum { CPE_NAMES_MAX = 4 };

/* "vendor:product" names of a program; at most CPE_NAMES_MAX. */
size_t cpe_names(struct str program, struct str ret[static CPE_NAMES_MAX]);
/* Is a program of this "vendor:product" looked for at all? */
bool cpe_known(struct str vendor_product);

/* Part, "vendor:product", version and update of a CPE 2.3 formatted string, unescaped; false when it is none. */
struct cpe {
    char part;
    struct str name, version, update;
};
bool cpe_parse(struct arena *a, struct str text, struct cpe *ret);

#endif
