#include "format/rpmdb.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(1u << 30);
    struct package_list list = PACKAGE_LIST(a);
    struct err e = ERR_INIT;
    if (rpmdb_parse(&list, str_n((const char *)p, n), &e) == 0)
        for (size_t i = 0; i < list.n; i++)
            if (list.v[i].name.n == 0 || list.v[i].version.n == 0)
                abort();
    arena_free(a);
    return 0;
}
