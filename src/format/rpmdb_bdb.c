#include "base/buf.h"
#include "base/cleanup.h"
#include "format/bytes.h"
#include "format/rpmdb.h"

#define BDB_HASH  0x00061561u
#define BDB_BTREE 0x00053162u

enum { PAGE_HEAD = 26, PAGE_HASH_UNSORTED = 2, PAGE_BTREE_LEAF = 5, PAGE_OVERFLOW = 7, PAGE_HASH = 13 };
enum { ITEM_DATA = 1, ITEM_OFF_PAGE = 3 }; /* the same numbers in hash and btree pages */

struct bdb {
    struct str db;
    bool big; /* the byte order of the machine that wrote it */
    uint32_t page_size, pages;
    struct buf blob;
    rpmdb_take_fn *take;
    void *ctx;
};

static uint32_t u32(const struct bdb *b, const char *p)
{
    return b->big ? bytes_be32(p) : bytes_le32(p);
}

static uint16_t u16(const struct bdb *b, const char *p)
{
    return b->big ? bytes_be16(p) : bytes_le16(p);
}

static struct str page(const struct bdb *b, uint32_t number)
{
    return number < b->pages ? str_n(b->db.p + (uint64_t)number * b->page_size, b->page_size) : STR_NONE;
}

/* A value kept on overflow pages: a chain by next page, each with the number of its bytes. */
static int off_page(struct bdb *b, uint32_t number, uint32_t length, struct err *e)
{
    buf_reset(&b->blob);
    for (uint32_t steps = 0; b->blob.n < length; steps++) {
        struct str p = page(b, number);
        if (number == 0 || !p.n || p.p[25] != PAGE_OVERFLOW || steps > b->pages)
            return err_set(e, EBADMSG, "bdb: page %u is not what follows", number);
        size_t have = u16(b, p.p + 22);
        if (have == 0 || have > p.n - PAGE_HEAD || have > length - b->blob.n)
            return err_set(e, EBADMSG, "bdb: page %u says %zu bytes", number, have);
        buf_put(&b->blob, p.p + PAGE_HEAD, have);
        number = u32(b, p.p + 16);
    }
    return buf_check(&b->blob, e);
}

/* One value of a leaf; key 0 holds the number last given out instead of a header. */
static int value(struct bdb *b, struct str key, struct str item, struct err *e)
{
    static const char zero[4];
    if (key.n != 4)
        return err_set(e, EBADMSG, "bdb: a key of %zu bytes", key.n);
    if (!memcmp(key.p, zero, 4))
        return 0;
    int r;
    if (item.p[0] == ITEM_DATA)
        return b->take(b->ctx, str_sub(item, 1, item.n), e);
    if (item.n < 12)
        return err_set(e, EBADMSG, "bdb: a value that is cut off");
    uint32_t length = u32(b, item.p + 8);
    if (length > b->db.n)
        return err_set(e, EBADMSG, "bdb: a value of %u bytes", length);
    if ((r = off_page(b, u32(b, item.p + 4), length, e)) < 0)
        return r;
    return b->take(b->ctx, buf_str(&b->blob), e);
}

/* Hash pages: offsets of items, which grow from the end of the page; the type byte comes first in each. */
static int hash_page(struct bdb *b, struct str p, struct err *e)
{
    size_t n = u16(b, p.p + 20), end = p.n;
    struct str key = STR_NONE;
    if (n % 2 || n > (p.n - PAGE_HEAD) / 2)
        return err_set(e, EBADMSG, "bdb: %zu items on a page", n);
    for (size_t i = 0; i < n; i++) {
        size_t at = u16(b, p.p + PAGE_HEAD + 2 * i);
        if (at < PAGE_HEAD + 2 * n || at >= end)
            return err_set(e, EBADMSG, "bdb: an item at %zu", at);
        struct str item = str_sub(p, at, end);
        end = at;
        if (item.p[0] != ITEM_DATA && item.p[0] != ITEM_OFF_PAGE)
            return err_set(e, EBADMSG, "bdb: an item of type %u", (unsigned char)item.p[0]);
        int r = i % 2 ? value(b, key, item, e) : 0;
        if (r < 0)
            return r;
        key = str_sub(item, 1, item.n);
    }
    return 0;
}

/* Btree leaves: length (2), type (1), data; overflow: unused (2), type (1), unused (1), page (4), length (4). */
static int btree_page(struct bdb *b, struct str p, struct err *e)
{
    size_t n = u16(b, p.p + 20);
    struct str key = STR_NONE;
    if (n % 2 || n > (p.n - PAGE_HEAD) / 2)
        return err_set(e, EBADMSG, "bdb: %zu items on a page", n);
    for (size_t i = 0; i < n; i++) {
        size_t at = u16(b, p.p + PAGE_HEAD + 2 * i);
        if (at < PAGE_HEAD + 2 * n || at + 12 > p.n)
            return err_set(e, EBADMSG, "bdb: an item at %zu", at);
        unsigned char type = (unsigned char)p.p[at + 2];
        struct str item = str_sub(p, at, at + 12);
        if (type == ITEM_DATA) /* so that the type is its first byte, as in hash pages */
            item = str_sub(p, at + 2, at + 3 + u16(b, p.p + at));
        if (type & 0x80) /* deleted */
            continue;
        if (type != ITEM_DATA && type != ITEM_OFF_PAGE)
            return err_set(e, EBADMSG, "bdb: an item of type %u", type);
        char off[12] = {ITEM_OFF_PAGE};
        if (type == ITEM_OFF_PAGE) {
            memcpy(off + 4, item.p + 4, 8);
            item = str_n(off, sizeof(off));
        }
        int r = i % 2 ? value(b, key, item, e) : 0;
        if (r < 0)
            return r;
        if (i % 2 == 0)
            key = type == ITEM_DATA ? str_sub(item, 1, item.n) : STR_NONE;
    }
    return 0;
}

static void fini(struct bdb *b)
{
    buf_fini(&b->blob);
}

int rpmdb_bdb(struct str db, rpmdb_take_fn *take, void *ctx, struct err *e)
{
    _cleanup_(fini) struct bdb b = {.db = db, .take = take, .ctx = ctx, .blob = BUF_INIT(db.n)};
    uint32_t magic = bytes_le32(db.p + 12);
    b.big = magic != BDB_HASH && magic != BDB_BTREE;
    b.page_size = u32(&b, db.p + 20);
    if (b.page_size < 512 || b.page_size > 65536 || (b.page_size & (b.page_size - 1)))
        return err_set(e, EBADMSG, "bdb: pages of %u bytes", b.page_size);
    if (db.p[24])
        return err_set(e, EBADMSG, "bdb: it is encrypted");
    uint64_t last = (uint64_t)u32(&b, db.p + 32) + 1;
    b.pages = (uint32_t)(db.n / b.page_size);
    if (last > b.pages)
        return err_set(e, EBADMSG, "bdb: %llu pages in %zu bytes", (unsigned long long)last, db.n);
    for (uint32_t i = 1; i < b.pages; i++) {
        struct str p = page(&b, i);
        int r = 0;
        if (p.p[25] == PAGE_HASH || p.p[25] == PAGE_HASH_UNSORTED)
            r = hash_page(&b, p, e);
        else if (p.p[25] == PAGE_BTREE_LEAF)
            r = btree_page(&b, p, e);
        if (r < 0)
            return err_wrap(e, "page %u", i);
    }
    return 0;
}
