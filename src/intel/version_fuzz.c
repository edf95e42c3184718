/* Two versions around a newline, compared in every scheme: antisymmetric, reflexive, and never out of bounds. */
#include "base/cleanup.h"
#include "intel/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str a, b;
    str_split((struct str){(const char *)data, size}, '\n', &a, &b);
    for (int scheme = VERSION_DPKG; scheme <= VERSION_GENERIC; scheme++) {
        int r = 0, back = 0, self = 0;
        int code = version_compare((enum version_scheme)scheme, a, b, &r);
        if (code != version_compare((enum version_scheme)scheme, b, a, &back) || (code == 0 && r != -back))
            abort();
        if (code == 0 && (version_compare((enum version_scheme)scheme, a, a, &self) < 0 || self != 0))
            abort();
    }
    bool in;
    version_npm_range(a, b, &in);
    return 0;
}
