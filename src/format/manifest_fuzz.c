#include "format/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(256u << 20);
    struct oci_document d;
    struct docker_archive_image *list;
    const struct oci_descriptor *next;
    size_t count;
    struct err e = ERR_INIT;
    if (oci_parse(a, str_n((const char *)p, n), &d, &e) == 0 && d.index)
        oci_choose(&d, STR("latest"), STR(""), &next, &e);
    docker_archive_parse(a, str_n((const char *)p, n), &list, &count, &e);
    arena_free(a);
    return 0;
}
