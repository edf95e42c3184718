#include "agent/spool.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAME_MAX_    128
#define DOCUMENT_MAX (LIMIT_IPC_MESSAGE - (16u << 10))
#define FILES_MAX    100000u

static const char *const kinds[SPOOL_KINDS] = {
#define SPOOL_KIND(id, method, path) [SPOOL_##id] = #id,
#include "agent/spool.tbl.h"
#undef SPOOL_KIND
};

struct entry {
    struct entry *next;
    enum spool_kind kind;
    uint64_t tag, size;
    struct timespec written; /* only for the order at the start */
    char name[NAME_MAX_ + 1];
};

struct spool {
    char *dir;
    struct entry *first, *last;
    size_t count;
    uint64_t bytes, max, dropped, tags;
};

static char *path_of(struct arena *a, const struct spool *s, const struct entry *x)
{
    return arena_printf(a, "%s/%s.%s.json", s->dir, kinds[x->kind], x->name);
}

static bool good_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.", c))))
            return false;
    }
    return name.n > 0 && name.n <= NAME_MAX_;
}

static struct entry *append(struct spool *s, enum spool_kind kind, struct str name, uint64_t size)
{
    struct entry *x = calloc(1, sizeof(*x));
    if (!x)
        abort();
    x->kind = kind;
    x->tag = ++s->tags;
    x->size = size;
    memcpy(x->name, name.p, name.n);
    if (s->last)
        s->last->next = x;
    else
        s->first = x;
    s->last = x;
    s->count++;
    s->bytes += size;
    return x;
}

static struct entry **find(struct spool *s, enum spool_kind kind, struct str name)
{
    for (struct entry **p = &s->first; *p; p = &(*p)->next)
        if ((*p)->kind == kind && str_eqc(name, (*p)->name))
            return p;
    return NULL;
}

static void forget(struct spool *s, struct entry **p)
{
    struct entry *x = *p;
    s->bytes -= x->size;
    s->count--;
    *p = x->next;
    if (s->last == x) {
        s->last = s->first;
        while (s->last && s->last->next)
            s->last = s->last->next;
    }
    free(x);
}

static void drop_file(struct spool *s, const struct entry *x)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    unlink(path_of(a, s, x));
}

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->written, *y = &((const struct entry *)b)->written;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* What earlier runs left: KIND.NAME.json. Anything else in the folder is not ours and stays. */
static int read_folder(struct spool *s, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)FILES_MAX * 4 * sizeof(struct entry));
    struct entry *found = NULL;
    size_t n = 0, cap = 0;
    DIR *d = opendir(s->dir);
    if (!d)
        return err_errno(e, "%s", s->dir);
    for (struct dirent *de; (de = readdir(d)) && n < FILES_MAX;) {
        struct str kind, rest;
        struct stat st;
        if (!str_split(str_c(de->d_name), '.', &kind, &rest) || !str_ends(rest, STR(".json")) ||
            fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        rest = str_sub(rest, 0, rest.n - 5);
        for (size_t k = 0; k < SPOOL_KINDS; k++)
            if (str_eqc(kind, kinds[k]) && good_name(rest)) {
                found = arena_grow(a, found, n, &cap, sizeof(*found));
                found[n] =
                    (struct entry){.kind = (enum spool_kind)k, .size = (uint64_t)st.st_size, .written = st.st_mtim};
                memcpy(found[n++].name, rest.p, rest.n);
            }
    }
    closedir(d);
    if (n)
        qsort(found, n, sizeof(*found), by_age);
    for (size_t i = 0; i < n; i++)
        append(s, found[i].kind, str_c(found[i].name), found[i].size);
    return 0;
}

int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret, struct err *e)
{
    int r = fs_mkdirs(dir, 0700, e);
    if (r < 0)
        return r;
    _cleanup_(spool_closep) struct spool *s = calloc(1, sizeof(*s));
    if (!s || !(s->dir = strdup(dir)))
        abort();
    s->max = max_bytes;
    if ((r = read_folder(s, e)) < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    while (s->first)
        forget(s, &s->first);
    free(s->dir);
    free(s);
}

void spool_closep(struct spool **s)
{
    spool_close(*s);
}

int spool_put(struct spool *s, enum spool_kind kind, struct str name, struct str json, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    if (!good_name(name))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no name for a document", STR_ARG(str_sub(name, 0, 64)));
    if (json.n > DOCUMENT_MAX || json.n > s->max)
        return err_set(e, E2BIG, "a document of %zu bytes, at most %u", json.n, DOCUMENT_MAX);
    struct entry **old = find(s, kind, name);
    if (old)
        forget(s, old);
    struct entry *x = append(s, kind, name, json.n);
    int r = fs_write(path_of(a, s, x), json, 0600, e);
    if (r < 0) {
        drop_file(s, x);
        forget(s, find(s, kind, name));
        s->dropped++;
        return r;
    }
    while (s->bytes > s->max && s->first != x) {
        drop_file(s, s->first);
        forget(s, &s->first);
        s->dropped++;
    }
    return 0;
}

int spool_next(struct spool *s, struct arena *a, struct spool_document *ret, struct err *e)
{
    for (;;) {
        struct entry *x = s->first;
        if (!x)
            return 0;
        int r = fs_read(a, path_of(a, s, x), DOCUMENT_MAX, &ret->json, e);
        if (r == 0) {
            ret->kind = x->kind;
            ret->name = x->name;
            ret->tag = x->tag;
            return 1;
        }
        if (r != -ENOENT)
            s->dropped++;
        drop_file(s, x); /* removed by someone else, or unreadable: it would hold up all behind it */
        forget(s, &s->first);
    }
}

void spool_done(struct spool *s, enum spool_kind kind, struct str name, uint64_t tag)
{
    struct entry **p = find(s, kind, name);
    if (!p || (*p)->tag != tag)
        return;
    drop_file(s, *p);
    forget(s, p);
}

size_t spool_count(const struct spool *s)
{
    return s->count;
}

uint64_t spool_dropped(const struct spool *s)
{
    return s->dropped;
}
