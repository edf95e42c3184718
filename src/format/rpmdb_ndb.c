#include "format/bytes.h"
#include "format/rpmdb.h"

enum { PAGE = 4096, SLOT = 16, BLOCK = 16, BLOB_HEAD = 16, HEAD = 32 };

/* "RpmP" version generation slot-pages ...; slots "Slot" package offset/16 blocks; blobs "BlbS" package generation
 * length. */
int rpmdb_ndb(struct str db, rpmdb_take_fn *take, void *ctx, struct err *e)
{
    if (db.n < PAGE)
        return err_set(e, EBADMSG, "ndb: cut off");
    uint64_t pages = bytes_le32(db.p + 12);
    if (bytes_le32(db.p + 4) != 0)
        return err_set(e, EBADMSG, "ndb: version %u is not known", bytes_le32(db.p + 4));
    if (pages == 0 || !bytes_have(db, 0, pages * PAGE))
        return err_set(e, EBADMSG, "ndb: %llu pages of slots in %zu bytes", (unsigned long long)pages, db.n);
    for (uint64_t at = HEAD; at < pages * PAGE; at += SLOT) {
        const char *slot = db.p + at;
        if (memcmp(slot, "Slot", 4) != 0)
            return err_set(e, EBADMSG, "ndb: no slot at %llu", (unsigned long long)at);
        uint32_t package = bytes_le32(slot + 4);
        uint64_t blob = (uint64_t)bytes_le32(slot + 8) * BLOCK;
        if (package == 0)
            continue;
        if (!bytes_have(db, blob, BLOB_HEAD) || memcmp(db.p + blob, "BlbS", 4) != 0 ||
            bytes_le32(db.p + blob + 4) != package || !bytes_have(db, blob + BLOB_HEAD, bytes_le32(db.p + blob + 12)))
            return err_set(e, EBADMSG, "ndb: package %u has no record", package);
        int r = take(ctx, str_n(db.p + blob + BLOB_HEAD, bytes_le32(db.p + blob + 12)), e);
        if (r < 0)
            return err_wrap(e, "ndb: package %u", package);
    }
    return 0;
}
