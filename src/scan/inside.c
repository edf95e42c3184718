#include "scan/inside.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <archive.h>
#include <archive_entry.h>

struct inside {
    bool (*fn)(void *ctx, struct str path, struct str content);
    void *ctx;
    uint64_t bytes;
    unsigned entries;
    int told;
    bool stop;
};

enum packing { NONE, PACKED, ARCHIVE };

static enum packing packing_of(struct str s)
{
    static const struct {
        size_t at;
        struct str magic;
        enum packing packing;
    } known[] = {
        {0, STR("PK\003\004"), ARCHIVE},
        {0, STR("7z\274\257\047\034"), ARCHIVE},
        {257, STR("ustar"), ARCHIVE},
        {0, STR("!<arch>\ndebian-binary"), ARCHIVE},
        {0, STR("070701"), ARCHIVE},
        {0, STR("070707"), ARCHIVE},
        {0, STR("MSCF\0\0\0\0"), ARCHIVE},
        {0, STR("\037\213\010"), PACKED},
        {0,
         STR("\375"
             "7zXZ\0"),
         PACKED},
        {0, STR("(\265/\375"), PACKED},
        {0, STR("]\0\0"), PACKED},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (s.n > known[i].at + known[i].magic.n && !memcmp(s.p + known[i].at, known[i].magic.p, known[i].magic.n))
            return known[i].packing;
    /* "BZh" is also a word: a digit and the first block's mark come behind it */
    return s.n > 10 && !memcmp(s.p, "BZh", 3) && !memcmp(s.p + 4, "1AY&SY", 6) ? PACKED : NONE;
}

bool inside_is_archive(struct str head)
{
    return packing_of(head) != NONE;
}

static struct archive *reader(bool raw)
{
    struct archive *r = archive_read_new();
    if (!r)
        abort();
    archive_read_support_filter_gzip(r);
    archive_read_support_filter_bzip2(r);
    archive_read_support_filter_xz(r);
    archive_read_support_filter_lzma(r);
    archive_read_support_filter_zstd(r);
    archive_read_support_format_zip(r);
    archive_read_support_format_tar(r);
    archive_read_support_format_7zip(r);
    archive_read_support_format_cpio(r);
    archive_read_support_format_ar(r);
    archive_read_support_format_cab(r);
    if (raw)
        archive_read_support_format_raw(r);
    return r;
}

static void release(struct archive **r)
{
    archive_read_free(*r);
}

static bool content_of(struct inside *in, struct archive *r, struct buf *b)
{
    for (;;) {
        if (b->n >= LIMIT_MALWARE_PIECE || in->bytes >= LIMIT_INSIDE_BYTES) {
            in->told |= INSIDE_CAPPED;
            return true;
        }
        char *room = buf_room(b, 64u << 10);
        la_ssize_t n = room ? archive_read_data(r, room, 64u << 10) : -1;
        if (n == 0)
            return true;
        if (n < 0) {
            in->told |= archive_read_has_encrypted_entries(r) > 0 ? INSIDE_ENCRYPTED : INSIDE_DAMAGED;
            return b->n > 0;
        }
        b->n += (size_t)n;
        in->bytes += (uint64_t)n;
    }
}

static void walk(struct inside *in, struct str path, struct str content, unsigned depth);

static void one(struct inside *in, struct archive *r, struct archive_entry *ent, struct str path, unsigned depth)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_MALWARE_PIECE + (128u << 10));
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    const char *name = archive_entry_pathname(ent);
    if (archive_entry_filetype(ent) != AE_IFREG)
        return;
    if (archive_entry_is_encrypted(ent)) {
        in->told |= INSIDE_ENCRYPTED;
        return;
    }
    if (!content_of(in, r, &b) || !b.n)
        return;
    struct str inner = name ? str_sub(str_c(name), 0, 1000) : STR("?");
    if (archive_format(r) == ARCHIVE_FORMAT_RAW) { /* x.gz holds x */
        struct str base = path;
        for (size_t i = 0; i < path.n; i++)
            if (path.p[i] == '/' || path.p[i] == '!')
                base = str_sub(path, i + 1, path.n);
        ptrdiff_t dot = str_rchr(base, '.');
        inner = dot > 0 ? str_sub(base, 0, (size_t)dot) : base;
    }
    struct str at = arena_strf(a, STR_FMT "!" STR_FMT, STR_ARG(str_sub(path, 0, 4000)), STR_ARG(inner));
    if (!in->fn(in->ctx, at, buf_str(&b))) {
        in->stop = true;
        return;
    }
    walk(in, at, buf_str(&b), depth + 1);
}

static void walk(struct inside *in, struct str path, struct str content, unsigned depth)
{
    enum packing packing = packing_of(content);
    if (packing == NONE)
        return;
    if (depth >= LIMIT_INSIDE_DEPTH) {
        in->told |= INSIDE_CAPPED;
        return;
    }
    _cleanup_(release) struct archive *r = reader(packing == PACKED);
    struct archive_entry *ent;
    if (archive_read_open_memory(r, content.p, content.n) != ARCHIVE_OK) {
        in->told |= INSIDE_DAMAGED;
        return;
    }
    for (int failed = 0; !in->stop;) {
        int c = archive_read_next_header(r, &ent);
        if (c == ARCHIVE_EOF)
            return;
        if (c == ARCHIVE_FATAL || (c < ARCHIVE_WARN && ++failed > 100)) {
            in->told |= INSIDE_DAMAGED;
            return;
        }
        if (++in->entries > LIMIT_INSIDE_ENTRIES || in->bytes >= LIMIT_INSIDE_BYTES) {
            in->told |= INSIDE_CAPPED;
            return;
        }
        if (c >= ARCHIVE_WARN)
            one(in, r, ent, path, depth);
    }
}

int inside_walk(struct str path, struct str content, bool (*fn)(void *ctx, struct str path, struct str content),
                void *ctx)
{
    struct inside in = {.fn = fn, .ctx = ctx};
    walk(&in, path, content, 0);
    return in.told;
}
