#include "format/rpmheader.h"

#include "base/limits.h"
#include "format/bytes.h"

#include <inttypes.h>

enum { ENTRY = 16, TYPE_INT32 = 4, TYPE_STRING = 6, TYPE_STRINGS = 8, TYPE_I18N = 9 };
enum {
    TAG_NAME = 1000,
    TAG_VERSION = 1001,
    TAG_RELEASE = 1002,
    TAG_EPOCH = 1003,
    TAG_VENDOR = 1011,
    TAG_LICENSE = 1014,
    TAG_ARCH = 1022,
    TAG_OLDFILENAMES = 1027,
    TAG_SOURCERPM = 1044,
    TAG_DIRINDEXES = 1116,
    TAG_BASENAMES = 1117,
    TAG_DIRNAMES = 1118,
    TAG_MODULARITYLABEL = 5096,
};

struct entry {
    uint32_t type, count;
    struct str data; /* from its offset to the end of the store */
};

struct header {
    struct str index, store;
};

static bool find(const struct header *h, uint32_t tag, struct entry *ret)
{
    for (size_t at = 0; at < h->index.n; at += ENTRY) {
        const char *p = h->index.p + at;
        uint32_t offset = bytes_be32(p + 8);
        if (bytes_be32(p) != tag || offset >= h->store.n)
            continue;
        *ret = (struct entry){bytes_be32(p + 4), bytes_be32(p + 12), str_sub(h->store, offset, h->store.n)};
        return true;
    }
    return false;
}

static struct str text(const struct header *h, uint32_t tag)
{
    struct entry t;
    struct str s;
    if (!find(h, tag, &t) || (t.type != TYPE_STRING && t.type != TYPE_I18N && t.type != TYPE_STRINGS))
        return STR("");
    ptrdiff_t end = str_chr(t.data, '\0');
    s = end < 0 ? STR("") : str_sub(t.data, 0, (size_t)end);
    return str_eqc(s, "(none)") ? STR("") : s;
}

/* Strings of an array tag; how many there are is believed only as far as the bytes go. */
static int texts(struct arena *a, const struct header *h, uint32_t tag, struct str **ret, size_t *ret_n, struct err *e)
{
    struct entry t;
    *ret = NULL;
    *ret_n = 0;
    if (!find(h, tag, &t))
        return 0;
    if (t.type != TYPE_STRINGS || t.count > t.data.n)
        return err_set(e, EBADMSG, "rpm header: tag %u is no list of strings", tag);
    struct str *list = arena_array(a, t.count, sizeof(*list));
    for (size_t i = 0; i < t.count; i++) {
        ptrdiff_t end = str_chr(t.data, '\0');
        if (end < 0)
            return err_set(e, EBADMSG, "rpm header: tag %u is cut off", tag);
        list[i] = str_sub(t.data, 0, (size_t)end);
        t.data = str_sub(t.data, (size_t)end + 1, t.data.n);
    }
    *ret = list;
    *ret_n = t.count;
    return 0;
}

static struct str no_slash(struct str s)
{
    return s.n && s.p[0] == '/' ? str_sub(s, 1, s.n) : s;
}

static int files(struct arena *a, const struct header *h, struct package *p, struct err *e)
{
    struct str *names, *dirs;
    size_t names_n, dirs_n;
    struct entry index;
    int r = texts(a, h, TAG_BASENAMES, &names, &names_n, e);
    if (r < 0 || (r = texts(a, h, TAG_DIRNAMES, &dirs, &dirs_n, e)) < 0)
        return r;
    if (names_n == 0) { /* rpm 3 and older: whole paths */
        if ((r = texts(a, h, TAG_OLDFILENAMES, &p->files, &p->files_n, e)) < 0)
            return r;
        for (size_t i = 0; i < p->files_n; i++)
            p->files[i] = no_slash(p->files[i]);
        return 0;
    }
    if (!find(h, TAG_DIRINDEXES, &index) || index.type != TYPE_INT32 || index.count != names_n ||
        index.data.n / 4 < names_n)
        return err_set(e, EBADMSG, "rpm header: files without folders");
    p->files = arena_array(a, names_n, sizeof(struct str));
    for (size_t i = 0; i < names_n; i++) {
        uint32_t dir = bytes_be32(index.data.p + 4 * i);
        if (dir >= dirs_n || dirs[dir].n + names[i].n > LIMIT_TAR_PATH)
            return err_set(e, EBADMSG, "rpm header: a file's folder is not in the list");
        struct str d = no_slash(dirs[dir]);
        char *path = arena_alloc(a, d.n + names[i].n + 1);
        if (d.n)
            memcpy(path, d.p, d.n);
        if (names[i].n)
            memcpy(path + d.n, names[i].p, names[i].n);
        p->files[p->files_n++] = str_n(path, d.n + names[i].n);
    }
    return 0;
}

void rpmheader_source(struct arena *a, struct str srpm, uint64_t epoch, struct package *p)
{
    p->source_name = p->name;
    p->source_version = p->version;
    if (str_ends(srpm, STR(".src.rpm")))
        srpm.n -= 8;
    else if (str_ends(srpm, STR(".nosrc.rpm")))
        srpm.n -= 10;
    else
        return;
    ptrdiff_t release = str_rchr(srpm, '-');
    ptrdiff_t version = release > 0 ? str_rchr(str_sub(srpm, 0, (size_t)release), '-') : -1;
    if (version <= 0)
        return;
    struct str v = str_sub(srpm, (size_t)version + 1, srpm.n);
    p->source_name = str_sub(srpm, 0, (size_t)version);
    p->source_version = epoch ? arena_strf(a, "%" PRIu64 ":" STR_FMT, epoch, STR_ARG(v)) : v;
}

int rpmheader_parse(struct arena *a, struct str blob, struct package *ret, struct err *e)
{
    struct package p = {.type = STR("rpm")};
    if (blob.n < 8)
        return err_set(e, EBADMSG, "rpm header: cut off");
    uint64_t entries = bytes_be32(blob.p), store = bytes_be32(blob.p + 4);
    if (entries == 0 || !bytes_have(blob, 8, entries * ENTRY + store))
        return err_set(e, EBADMSG, "rpm header: %llu entries and %llu bytes do not fit into %zu",
                       (unsigned long long)entries, (unsigned long long)store, blob.n);
    struct header h = {str_n(blob.p + 8, entries * ENTRY), str_n(blob.p + 8 + entries * ENTRY, store)};
    struct entry t;
    uint32_t epoch = 0;
    if (find(&h, TAG_EPOCH, &t) && t.type == TYPE_INT32 && t.data.n >= 4)
        epoch = bytes_be32(t.data.p);
    struct str version = text(&h, TAG_VERSION), release = text(&h, TAG_RELEASE);
    p.name = text(&h, TAG_NAME);
    if (p.name.n == 0 || version.n == 0 || release.n == 0)
        return err_set(e, EBADMSG, "rpm header: no name, version or release");
    p.version = epoch ? arena_strf(a, "%u:" STR_FMT "-" STR_FMT, epoch, STR_ARG(version), STR_ARG(release))
                      : arena_strf(a, STR_FMT "-" STR_FMT, STR_ARG(version), STR_ARG(release));
    p.arch = text(&h, TAG_ARCH);
    p.license = text(&h, TAG_LICENSE);
    p.vendor = text(&h, TAG_VENDOR);
    p.module = text(&h, TAG_MODULARITYLABEL);
    rpmheader_source(a, text(&h, TAG_SOURCERPM), epoch, &p);
    int r = files(a, &h, &p, e);
    if (r < 0)
        return r;
    *ret = p;
    return 0;
}
