/* sbom: the packages and the operating system of a bill of materials: CycloneDX 1.4 to 1.6 and SPDX 2.2, 2.3, as JSON.
 *
 * Packages are told by their package URLs. What has none, and what is of a type we do not know, is counted in
 * `unknown`. The source of a system's package comes from the properties that Trivy, Syft and this program write (or
 * the qualifier "upstream"); without it, the binary package's name and version stand for the source's. Fields:
 * ECMA-424 and the SPDX specification 2.3.
 */
#ifndef BULKHEAD_FORMAT_SBOM_H
#define BULKHEAD_FORMAT_SBOM_H

#include "base/err.h"
#include "format/package.h"

struct sbom {
    struct str format; /* "CycloneDX 1.6" "SPDX-2.3" */
    struct str name;   /* of what it describes; empty unknown */
    struct os_release os;
    struct package *packages;
    size_t packages_n;
    size_t unknown; /* components that could be packages and were not understood */
};

int sbom_parse(struct arena *a, struct str text, struct sbom *ret, struct err *e); /* -EBADMSG, -ENOTSUP */

#endif
