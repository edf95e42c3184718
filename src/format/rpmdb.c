#include "format/rpmdb.h"

#include "base/limits.h"
#include "format/bytes.h"
#include "format/rpmheader.h"

#include <inttypes.h>

#define BDB_HASH  0x00061561u
#define BDB_BTREE 0x00053162u

struct taker {
    struct package_list *list;
    uint64_t bytes, most; /* of blobs: pages that several records share must not multiply */
};

static int take(void *ctx, struct str blob, struct err *e)
{
    struct taker *t = ctx;
    struct package p;
    t->bytes += blob.n;
    if (t->bytes > t->most)
        return err_set(e, EBADMSG, "rpmdb: its records are larger than itself");
    int r = rpmheader_parse(t->list->a, arena_str(t->list->a, blob), &p, e);
    if (r < 0)
        return r;
    struct package *to = package_add(t->list, p.type, p.name, p.version);
    *to = p;
    return package_list_check(t->list, e);
}

int rpmdb_parse(struct package_list *list, struct str db, struct err *e)
{
    struct taker t = {.list = list, .most = (uint64_t)db.n + 4096};
    if (str_starts(db, str_n("SQLite format 3", 16)))
        return rpmdb_sqlite(db, take, &t, e);
    if (str_starts(db, STR("RpmP")))
        return rpmdb_ndb(db, take, &t, e);
    if (db.n >= 512) {
        uint32_t little = bytes_le32(db.p + 12), big = bytes_be32(db.p + 12);
        if (little == BDB_HASH || little == BDB_BTREE || big == BDB_HASH || big == BDB_BTREE)
            return rpmdb_bdb(db, take, &t, e);
    }
    return err_set(e, EBADMSG, "rpmdb: neither Berkeley DB, ndb nor SQLite");
}

int rpm_manifest_parse(struct package_list *list, struct str text, struct err *e)
{
    enum { NAME, VERSION, VENDOR = 4, ARCH = 7, EPOCH, SOURCE, COLUMNS };
    for (struct str line; str_cut(&text, '\n', &line);) {
        struct str cell[COLUMNS] = {0}, rest = line;
        uint64_t epoch = 0;
        for (size_t i = 0; i < COLUMNS && str_cut(&rest, '\t', &cell[i]);)
            i++;
        if (str_trim(line).n == 0)
            continue;
        if (cell[NAME].n == 0 || cell[VERSION].n == 0 || !cell[ARCH].p)
            return err_set(e, EBADMSG, "rpm manifest: no package in line \"" STR_FMT "\"",
                           STR_ARG(str_sub(line, 0, 80)));
        if (str_u64(cell[EPOCH], &epoch) < 0)
            epoch = 0;
        struct str version =
            epoch ? arena_strf(list->a, "%" PRIu64 ":" STR_FMT, epoch, STR_ARG(cell[VERSION])) : cell[VERSION];
        struct package *p = package_add(list, STR("rpm"), cell[NAME], version);
        p->arch = str_eqc(cell[ARCH], "(none)") ? STR("") : cell[ARCH];
        p->vendor = str_eqc(cell[VENDOR], "(none)") ? STR("") : cell[VENDOR];
        rpmheader_source(list->a, cell[SOURCE], epoch, p);
    }
    return package_list_check(list, e);
}
