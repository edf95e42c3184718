#include "format/unpack.h"

#include <isa-l/igzip_lib.h>

const char inflate_backend[] = "isa-l";

struct inflate {
    struct inflate_state s;
};

struct inflate *inflate_new(void)
{
    struct inflate *f = malloc(sizeof(*f));
    if (!f)
        abort();
    isal_inflate_init(&f->s);
    f->s.crc_flag = ISAL_GZIP;
    return f;
}

void inflate_free(struct inflate *f)
{
    free(f);
}

void inflate_reset(struct inflate *f)
{
    isal_inflate_reset(&f->s);
}

int inflate_step(struct inflate *f, const unsigned char **p, size_t *n, unsigned char *out, size_t *out_n,
                 struct err *e)
{
    size_t take = *n < (1u << 30) ? *n : 1u << 30;
    f->s.next_in = (uint8_t *)(uintptr_t)*p;
    f->s.avail_in = (uint32_t)take;
    f->s.next_out = out;
    f->s.avail_out = (uint32_t)*out_n;
    int r = isal_inflate(&f->s);
    if (r < 0)
        return err_set(e, EBADMSG, r == ISAL_INCORRECT_CHECKSUM ? "gzip: wrong checksum" : "gzip: damaged data (%d)",
                       r);
    *p += take - f->s.avail_in;
    *n -= take - f->s.avail_in;
    *out_n -= f->s.avail_out;
    return f->s.block_state == ISAL_BLOCK_FINISH;
}
