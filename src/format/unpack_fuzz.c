/* A compressed stream of any bytes, in two pieces; and as one deflate section. */
#include "base/cleanup.h"
#include "format/unpack.h"
#include "format/unzlib.h"

static int take(void *ctx, const void *p, size_t n, struct err *e)
{
    uint64_t *left = ctx;
    if (n > *left)
        return err_set(e, E2BIG, "enough");
    *left -= n;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    _cleanup_(unpack_freep) struct unpack *u = NULL;
    uint64_t left = 8u << 20;
    struct str out;
    struct err e = ERR_INIT;
    size_t half = n / 3;
    u = unpack_new(take, &left);
    if (unpack_feed(u, p, half, &e) >= 0 && unpack_feed(u, p + half, n - half, &e) >= 0)
        unpack_finish(u, &e);
    unzlib(a, UNZLIB_RAW, str_n((const char *)p, n), 1u << 20, &out, &e);
    unzlib(a, UNZLIB_ZLIB, str_n((const char *)p, n), 1u << 20, &out, &e);
    return 0;
}
