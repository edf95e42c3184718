/* A zip archive of any bytes: every member read, pieces stay inside. */
#include "base/cleanup.h"
#include "format/zip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    char *copy = malloc(n ? n : 1); /* exactly as long as it is, so that reading on is seen */
    struct zip z;
    struct zip_member m;
    struct str content;
    struct err e = ERR_INIT;
    size_t sum = 0;
    if (n)
        memcpy(copy, p, n);
    struct str bytes = str_n(copy, n);
    if (zip_open(bytes, &z, &e) == 0)
        for (int i = 0; i < 64 && zip_next(&z, &m, &e) > 0; i++) {
            for (size_t k = 0; k < m.name.n; k++)
                sum += (unsigned char)m.name.p[k];
            if (zip_read(a, &z, &m, 256 << 10, &content, &e) == 0)
                for (size_t k = 0; k < content.n; k++)
                    sum += (unsigned char)content.p[k];
        }
    if (sum == SIZE_MAX) /* so that every byte is read */
        abort();
    free(copy);
    return 0;
}
