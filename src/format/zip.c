#include "format/zip.h"

#include "format/bytes.h"
#include "format/unzlib.h"

enum { END = 22, END64 = 56, LOCATOR64 = 20, DIRECTORY = 46, LOCAL = 30, COMMENT_MOST = 65535 };
enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1 };

bool zip_is(struct str bytes)
{
    return str_starts(bytes, STR("PK\3\4")) || str_starts(bytes, STR("PK\5\6"));
}

int zip_open(struct str bytes, struct zip *ret, struct err *e)
{
    if (bytes.n < END)
        return err_set(e, EBADMSG, "zip: cut off");
    size_t lowest = bytes.n > END + COMMENT_MOST ? bytes.n - END - COMMENT_MOST : 0, at = bytes.n - END;
    while (memcmp(bytes.p + at, "PK\5\6", 4) != 0) {
        if (at-- == lowest)
            return err_set(e, EBADMSG, "zip: no directory");
    }
    uint64_t count = bytes_le16(bytes.p + at + 10), size = bytes_le32(bytes.p + at + 12),
             start = bytes_le32(bytes.p + at + 16), end = at;
    if ((count == UINT16_MAX || start == UINT32_MAX) && at >= LOCATOR64 &&
        !memcmp(bytes.p + at - LOCATOR64, "PK\6\7", 4)) {
        uint64_t where = bytes_le64(bytes.p + at - LOCATOR64 + 8);
        if (!bytes_have(bytes, where, END64) || memcmp(bytes.p + where, "PK\6\6", 4) != 0)
            return err_set(e, EBADMSG, "zip: no zip64 directory");
        count = bytes_le64(bytes.p + where + 32);
        size = bytes_le64(bytes.p + where + 40);
        start = bytes_le64(bytes.p + where + 48);
        end = where;
    }
    if (size > end || start > end - size)
        return err_set(e, EBADMSG, "zip: the directory is outside of the archive");
    *ret = (struct zip){.bytes = bytes, .at = end - size, .left = count, .shift = end - size - start};
    return 0;
}

/* Sizes that did not fit: extra field 1, those that are all ones, in this order. */
static void wide(struct str extra, struct zip_member *m)
{
    while (extra.n >= 4) {
        size_t n = bytes_le16(extra.p + 2);
        struct str body = str_sub(extra, 4, 4 + n);
        if (bytes_le16(extra.p) == 1) {
            uint64_t *const fields[] = {&m->size, &m->packed, &m->header};
            for (size_t i = 0; i < 3; i++)
                if (*fields[i] == UINT32_MAX && body.n >= 8) {
                    *fields[i] = bytes_le64(body.p);
                    body = str_sub(body, 8, body.n);
                }
            return;
        }
        extra = str_sub(extra, 4 + n, extra.n);
    }
}

int zip_next(struct zip *z, struct zip_member *ret, struct err *e)
{
    if (z->left == 0)
        return 0;
    if (!bytes_have(z->bytes, z->at, DIRECTORY) || memcmp(z->bytes.p + z->at, "PK\1\2", 4) != 0)
        return err_set(e, EBADMSG, "zip: damaged directory");
    const char *p = z->bytes.p + z->at;
    size_t name = bytes_le16(p + 28), extra = bytes_le16(p + 30), comment = bytes_le16(p + 32);
    if (!bytes_have(z->bytes, z->at, DIRECTORY + name + extra + comment))
        return err_set(e, EBADMSG, "zip: damaged directory");
    *ret = (struct zip_member){
        .name = str_n(p + DIRECTORY, name),
        .method = bytes_le16(p + 8) & ENCRYPTED ? UINT16_MAX : bytes_le16(p + 10),
        .packed = bytes_le32(p + 20),
        .size = bytes_le32(p + 24),
        .header = bytes_le32(p + 42),
    };
    wide(str_n(p + DIRECTORY + name, extra), ret);
    z->at += DIRECTORY + name + extra + comment;
    z->left--;
    return 1;
}

int zip_read(struct arena *a, const struct zip *z, const struct zip_member *m, size_t max, struct str *ret,
             struct err *e)
{
    if (m->header > z->bytes.n || !bytes_have(z->bytes, z->shift + m->header, LOCAL))
        return err_set(e, EBADMSG, "zip: a member is outside of the archive");
    const char *p = z->bytes.p + z->shift + m->header;
    if (memcmp(p, "PK\3\4", 4) != 0)
        return err_set(e, EBADMSG, "zip: no member where the directory says");
    uint64_t start = z->shift + m->header + LOCAL + bytes_le16(p + 26) + bytes_le16(p + 28);
    if (!bytes_have(z->bytes, start, m->packed))
        return err_set(e, EBADMSG, "zip: a member is cut off");
    struct str packed = str_n(z->bytes.p + start, m->packed);
    if (m->method == STORED) {
        if (packed.n > max)
            return err_set(e, E2BIG, "zip: a member of %zu bytes", packed.n);
        *ret = packed;
        return 0;
    }
    if (m->method != DEFLATED)
        return err_set(e, ENOTSUP, "zip: a member is packed in a way that is not known (%u)", m->method);
    return unzlib(a, UNZLIB_RAW, packed, max, ret, e);
}
