/* test_data: files of test/data for unit tests; those that end in .gz come unpacked. */
#ifndef BULKHEAD_FORMAT_TEST_DATA_H
#define BULKHEAD_FORMAT_TEST_DATA_H

#include "base/cleanup.h"
#include "base/fs.h"
#include "format/unpack.h"

static inline int test_data_sink(void *ctx, const void *p, size_t n, struct err *e)
{
    buf_put(ctx, p, n);
    return 0;
}

static inline struct str test_data(struct arena *a, const char *name)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
    _cleanup_(unpack_freep) struct unpack *u = unpack_new(test_data_sink, &b);
    struct err e = ERR_INIT;
    struct str s;
    if (fs_read(a, arena_printf(a, "%s/%s", getenv("BULKHEAD_TEST_DATA"), name), 64u << 20, &s, &e) < 0 ||
        unpack_feed(u, s.p, s.n, &e) < 0 || unpack_finish(u, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    return arena_str(a, buf_str(&b));
}

#endif
