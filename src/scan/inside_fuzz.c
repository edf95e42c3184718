#include "scan/inside.h"

static bool on_content(void *ctx, struct str path, struct str content)
{
    size_t *left = ctx;
    return (*left)-- > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    size_t left = 100;
    inside_walk(STR("f.gz"), str_n((const char *)p, n), on_content, &left);
    return 0;
}
