/* Short texts from feeds and images of any bytes: CVSS vectors, CPEs, package URLs, version requirements. */
#include "base/cleanup.h"
#include "format/purl.h"
#include "intel/constraint.h"
#include "intel/cpe.h"
#include "intel/cvss.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct str text = str_n((const char *)p, n), left, right;
    struct purl purl;
    struct cpe cpe;
    double score = 0;
    int version;
    if (n > 4096)
        return 0;
    if (cvss_score(text, &score, &version) == 0 && !(score >= 0 && score <= 10))
        abort();
    if (cpe_parse(a, text, &cpe))
        cpe_known(cpe.name);
    if (purl_parse(a, text, &purl) == 0) {
        purl_package_name(a, &purl);
        purl_qualifier(&purl, "arch");
    }
    if (n > 1 && str_split(str_sub(text, 1, n), '\n', &left, &right)) {
        enum version_scheme scheme = (enum version_scheme)(p[0] % (VERSION_GENERIC + 1));
        constraint_holds(scheme, left, right);
        constraint_bound(scheme, left, right, n & 1);
    }
    return 0;
}
