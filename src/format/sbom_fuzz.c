#include "base/limits.h"
#include "format/sbom.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct sbom s;
    if (sbom_parse(a, str_n((const char *)p, n), &s, NULL) == 0)
        for (size_t i = 0; i < s.packages_n; i++)
            package_purl(a, &s.packages[i], &s.os);
    arena_free(a);
    return 0;
}
