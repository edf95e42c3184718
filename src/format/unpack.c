#include "format/unpack.h"

#include "base/limits.h"

#include <zstd.h>

#define MAGIC 6u

struct unpack {
    unpack_sink_fn *sink;
    void *ctx;
    enum unpack_format format;
    unsigned char magic[MAGIC];
    size_t magic_n;
    uint64_t in, out_total;
    struct inflate *inflate;
    ZSTD_DCtx *zstd;
    unsigned char *out;
    bool inside; /* of a member or frame */
};

static const char *const format_names[] = {"unknown", "none", "gzip", "zstd"};

const char *unpack_format_name(enum unpack_format f)
{
    return format_names[f];
}

enum unpack_format unpack_format(const struct unpack *u)
{
    return u->format;
}

struct unpack *unpack_new(unpack_sink_fn *sink, void *ctx)
{
    struct unpack *u = calloc(1, sizeof(*u));
    if (!u)
        abort();
    u->sink = sink;
    u->ctx = ctx;
    return u;
}

void unpack_free(struct unpack *u)
{
    if (!u)
        return;
    inflate_free(u->inflate);
    ZSTD_freeDCtx(u->zstd);
    free(u->out);
    free(u);
}

void unpack_freep(struct unpack **u)
{
    unpack_free(*u);
}

static int emit(struct unpack *u, const void *p, size_t n, struct err *e)
{
    u->out_total += n;
    if (u->out_total > LIMIT_SCAN_CONTENT)
        return err_set(e, E2BIG, "%s: over %" PRIu64 " GiB unpacked", format_names[u->format],
                       LIMIT_SCAN_CONTENT >> 30);
    if (u->format != UNPACK_PLAIN && u->out_total > LIMIT_SCAN_RATIO_FREE && u->out_total / LIMIT_SCAN_RATIO > u->in)
        return err_set(e, E2BIG, "%s: unpacks to more than %u times its size: a decompression bomb",
                       format_names[u->format], LIMIT_SCAN_RATIO);
    return n ? u->sink(u->ctx, p, n, e) : 0;
}

static int feed_gzip(struct unpack *u, const unsigned char *p, size_t n, struct err *e)
{
    bool more = false; /* the output was filled: there may be more without further input */
    while (n > 0 || more) {
        if (!u->inside) {
            if (n == 0)
                break;
            inflate_reset(u->inflate);
            u->inside = true;
        }
        size_t made = UNPACK_BLOCK;
        int done = inflate_step(u->inflate, &p, &n, u->out, &made, e);
        if (done < 0)
            return done;
        more = made == UNPACK_BLOCK && !done;
        int r = emit(u, u->out, made, e);
        if (r < 0)
            return r;
        if (done)
            u->inside = false;
    }
    return 0;
}

static int feed_zstd(struct unpack *u, const unsigned char *p, size_t n, struct err *e)
{
    ZSTD_inBuffer in = {p, n, 0};
    bool more = false;
    while (in.pos < in.size || more) {
        ZSTD_outBuffer out = {u->out, UNPACK_BLOCK, 0};
        size_t left = ZSTD_decompressStream(u->zstd, &out, &in);
        if (ZSTD_isError(left))
            return err_set(e, EBADMSG, "zstd: %s", ZSTD_getErrorName(left));
        int r = emit(u, u->out, out.pos, e);
        if (r < 0)
            return r;
        u->inside = left != 0;
        more = out.pos == out.size && left != 0;
    }
    return 0;
}

static int feed(struct unpack *u, const unsigned char *p, size_t n, struct err *e)
{
    u->in += n;
    if (u->format == UNPACK_GZIP)
        return feed_gzip(u, p, n, e);
    if (u->format == UNPACK_ZSTD)
        return feed_zstd(u, p, n, e);
    return emit(u, p, n, e);
}

static int detect(struct unpack *u, struct err *e)
{
    const unsigned char *m = u->magic;
    if (u->magic_n >= 3 && m[0] == 0x1f && m[1] == 0x8b && m[2] == 8) {
        u->format = UNPACK_GZIP;
        u->inflate = inflate_new();
    } else if (u->magic_n >= 4 && ((m[0] == 0x28 && m[1] == 0xb5 && m[2] == 0x2f && m[3] == 0xfd) ||
                                   ((m[0] & 0xf0) == 0x50 && m[1] == 0x2a && m[2] == 0x4d && m[3] == 0x18))) {
        u->format = UNPACK_ZSTD;
        u->zstd = ZSTD_createDCtx();
        if (!u->zstd)
            abort();
        ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, LIMIT_ZSTD_WINDOW_LOG);
    } else if (u->magic_n >= 6 && !memcmp(m,
                                          "\xfd"
                                          "7zXZ",
                                          6)) {
        return err_set(e, ENOTSUP, "xz compression is not supported by this version");
    } else if (u->magic_n >= 3 && !memcmp(m, "BZh", 3)) {
        return err_set(e, ENOTSUP, "bzip2 compression is not supported by this version");
    } else {
        u->format = UNPACK_PLAIN;
    }
    if (u->format != UNPACK_PLAIN && !(u->out = malloc(UNPACK_BLOCK)))
        abort();
    return 0;
}

int unpack_feed(struct unpack *u, const void *data, size_t n, struct err *e)
{
    const unsigned char *p = data;
    if (u->format == UNPACK_UNKNOWN) {
        size_t take = MAGIC - u->magic_n < n ? MAGIC - u->magic_n : n;
        memcpy(u->magic + u->magic_n, p, take);
        u->magic_n += take;
        if (u->magic_n < MAGIC)
            return 0;
        int r = detect(u, e);
        if (r < 0)
            return r;
        /* Plain data goes on in whole when it came in whole, so that nothing is cut into odd pieces. */
        if (take < MAGIC) {
            if ((r = feed(u, u->magic, MAGIC, e)) < 0)
                return r;
            p += take;
            n -= take;
        }
    }
    return n ? feed(u, p, n, e) : 0;
}

int unpack_finish(struct unpack *u, struct err *e)
{
    if (u->format == UNPACK_UNKNOWN) {
        int r = detect(u, e);
        if (r < 0 || (r = feed(u, u->magic, u->magic_n, e)) < 0)
            return r;
    }
    if (u->inside)
        return err_set(e, EBADMSG, "%s: ends too early", format_names[u->format]);
    return 0;
}
