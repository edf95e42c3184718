#include "format/unzlib.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <zlib.h>

#define STEP (64u << 10)

static void end(z_stream *z)
{
    inflateEnd(z);
}

int unzlib(struct arena *a, enum unzlib_kind kind, struct str packed, size_t max, struct str *ret, struct err *e)
{
    _cleanup_(buf_fini) struct buf out = BUF_INIT(max + 1);
    _cleanup_(end) z_stream z = {0};
    if (packed.n > UINT32_MAX)
        return err_set(e, E2BIG, "deflate: %zu bytes", packed.n);
    if (inflateInit2(&z, kind == UNZLIB_RAW ? -MAX_WBITS : MAX_WBITS) != Z_OK)
        return err_set(e, ENOMEM, "deflate: no memory");
    z.next_in = (Bytef *)(uintptr_t)packed.p;
    z.avail_in = (uInt)packed.n;
    for (int r = Z_OK; r != Z_STREAM_END;) {
        size_t room = max + 1 - out.n < STEP ? max + 1 - out.n : STEP;
        char *p = room ? buf_room(&out, room) : NULL;
        if (!p)
            return err_set(e, E2BIG, "deflate: more than %zu bytes", max);
        z.next_out = (Bytef *)p;
        z.avail_out = (uInt)room;
        r = inflate(&z, Z_NO_FLUSH);
        out.n += room - z.avail_out;
        if (r != Z_STREAM_END && (r != Z_OK || (z.avail_in == 0 && z.avail_out > 0)))
            return err_set(e, EBADMSG, "deflate: damaged or cut off");
    }
    if (out.n > max)
        return err_set(e, E2BIG, "deflate: more than %zu bytes", max);
    *ret = arena_str(a, buf_str(&out));
    return 0;
}
