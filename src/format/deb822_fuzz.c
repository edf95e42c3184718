#include "format/deb822.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(256u << 20);
    struct package *list;
    size_t count;
    struct err e = ERR_INIT;
    if (dpkg_parse(a, str_n((const char *)p, n), &list, &count, &e) == 0)
        for (size_t i = 0; i < count; i++)
            if (list[i].name.n == 0 || list[i].version.n == 0)
                abort();
    arena_free(a);
    return 0;
}
