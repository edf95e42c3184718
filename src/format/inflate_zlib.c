#include "format/unpack.h"

#include <zlib.h>

const char inflate_backend[] = "zlib";

struct inflate {
    z_stream s;
};

struct inflate *inflate_new(void)
{
    struct inflate *f = calloc(1, sizeof(*f));
    if (!f || inflateInit2(&f->s, 15 + 16) != Z_OK)
        abort();
    return f;
}

void inflate_free(struct inflate *f)
{
    if (f)
        inflateEnd(&f->s);
    free(f);
}

void inflate_reset(struct inflate *f)
{
    inflateReset(&f->s);
}

int inflate_step(struct inflate *f, const unsigned char **p, size_t *n, unsigned char *out, size_t *out_n,
                 struct err *e)
{
    size_t take = *n < (1u << 30) ? *n : 1u << 30;
    f->s.next_in = (Bytef *)(uintptr_t)*p;
    f->s.avail_in = (uInt)take;
    f->s.next_out = out;
    f->s.avail_out = (uInt)*out_n;
    int r = inflate(&f->s, Z_NO_FLUSH);
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return err_set(e, EBADMSG, "gzip: damaged data (%s)", f->s.msg ? f->s.msg : "error");
    *p += take - f->s.avail_in;
    *n -= take - f->s.avail_in;
    *out_n -= f->s.avail_out;
    return r == Z_STREAM_END;
}
