/* VEX documents and ignore files of any bytes: read, and put to a finding. */
#include "base/cleanup.h"
#include "scan/vex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    struct str text = {(const char *)data, size};
    struct package p = {.type = STR("npm"), .name = STR("lodash"), .version = STR("1")};
    struct inventory inv = {0};
    for (int ignore = 0; ignore < 2 && size <= 65536; ignore++) {
        struct finding f[1] = {{.kind = FINDING_VULN, .id = STR("CVE-1"), .package = &p}};
        struct vex vex = {0};
        struct vex_result r;
        struct err e = ERR_INIT;
        size_t n = 1;
        if ((ignore ? ignore_parse : vex_parse)(a, STR("f"), text, &vex, &e) >= 0)
            vex_apply(a, &vex, &inv, 0, f, &n, &r);
    }
    return 0;
}
