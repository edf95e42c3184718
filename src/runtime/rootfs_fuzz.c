#include "runtime/rootfs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(64u << 20);
    struct str text = str_n((const char *)p, n), upper, lower, name;
    struct rootfs_package package;
    if (rootfs_parse_overlay(a, text, 49, &upper, &lower) && (!upper.n || upper.p[0] != '/'))
        abort();
    if (rootfs_parse_passwd(text, 0, &name) && (!name.n || name.n >= ROOTFS_USER || memchr(name.p, '\n', name.n)))
        abort();
    if (rootfs_parse_apk(text, STR("/usr/bin/x"), &package) && !package.name.n)
        abort();
    rootfs_parse_list(text, STR("/usr/bin/x"));
    arena_free(a);
    return 0;
}
