/* bulkhead intel rescan: what newer intel says of stored scan reports, without the images. The package keys of each
 * report are kept in DIR/.package-keys, so that only reports with a package that changed are read at all. */
#include "cli/intel.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "cli/table.h"
#include "intel/intel.h"
#include "scan/assess.h"
#include "scan/rescan.h"

#include <dirent.h>
#include <sys/stat.h>

#define KEYS_MAGIC "bulkhead-package-keys 1\n"
#define KEYS_FILE  ".package-keys"
enum { REPORTS_MAX = 4000000 };

struct known { /* of one report */
    int64_t changed, size;
    struct str keys;
};

struct rescan {
    struct arena *a; /* names and keys of all */
    const char *folder;
    struct intel *from, *to;
    struct intel_changes changes;
    struct map *known; /* file name -> struct known */
    struct buf fresh;  /* the keys file to come */
    size_t total, read, concerned, added, gone;
    bool dirty;
};

/* ---- the keys file: name, modification, size, keys; each field with its length before it ---- */

static bool cut(struct str *rest, struct str *ret)
{
    uint32_t n;
    if (rest->n < sizeof(n))
        return false;
    memcpy(&n, rest->p, sizeof(n));
    if (rest->n - sizeof(n) < n)
        return false;
    *ret = str_sub(*rest, sizeof(n), sizeof(n) + n);
    *rest = str_sub(*rest, sizeof(n) + n, rest->n);
    return true;
}

static void put(struct buf *b, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    buf_put(b, &n, sizeof(n));
    buf_puts(b, s);
}

static void load_known(struct rescan *s)
{
    struct str text, name, numbers, keys;
    struct err ignored = ERR_INIT;
    const char *path = arena_printf(s->a, "%s/" KEYS_FILE, s->folder);
    if (fs_read(s->a, path, (size_t)1 << 31, &text, &ignored) < 0 || !str_starts(text, STR(KEYS_MAGIC)))
        return;
    text = str_sub(text, sizeof(KEYS_MAGIC) - 1, text.n);
    while (cut(&text, &name) && cut(&text, &numbers) && numbers.n == 16 && cut(&text, &keys) &&
           map_count(s->known) < REPORTS_MAX) {
        struct known *k = arena_new_of(s->a, struct known);
        memcpy(&k->changed, numbers.p, 8);
        memcpy(&k->size, numbers.p + 8, 8);
        k->keys = keys;
        map_put(s->known, name, k);
    }
}

static void remember(struct rescan *s, struct str name, const struct stat *st, struct str keys)
{
    int64_t numbers[2] = {(int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec, st->st_size};
    put(&s->fresh, name);
    put(&s->fresh, (struct str){(const char *)numbers, sizeof(numbers)});
    put(&s->fresh, keys);
}

static bool up_to_date(const struct known *k, const struct stat *st)
{
    return k && k->changed == (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec && k->size == st->st_size;
}

/* ---- one report ---- */

static struct str finding_line(struct arena *a, const struct finding *f)
{
    return arena_strf(a, STR_FMT "\t" STR_FMT "\t" STR_FMT, STR_ARG(f->id), STR_ARG(f->package->name),
                      STR_ARG(f->package->version));
}

static size_t tell(struct arena *a, char sign, const struct inventory *inv, const struct assessment *as,
                   const struct map *other)
{
    struct str name = inv->names_n ? inv->names[0] : inv->image_id.n ? inv->image_id : inv->target;
    size_t n = 0;
    for (size_t i = 0; i < as->vulns_n; i++) {
        const struct finding *f = &as->vulns[i];
        if (map_has(other, finding_line(a, f)))
            continue;
        printf("%c %s\t%s\t%s\t%s\t%s\n", sign, plain(a, f->id), vuln_severity_name(f->severity),
               plain(a, f->package->name), plain(a, f->package->version), plain(a, name));
        n++;
    }
    return n;
}

static struct map *lines_of(struct arena *a, const struct assessment *as)
{
    struct map *m = map_new(LIMIT_SCAN_FINDINGS + 1);
    for (size_t i = 0; i < as->vulns_n; i++)
        map_put(m, finding_line(a, &as->vulns[i]), m);
    return m;
}

/* Only what changed can differ: of the inventory just these packages are matched, with the old and the new. */
static void only_changed(struct rescan *s, struct arena *a, struct inventory *inv)
{
    size_t n = 0;
    for (size_t i = 0; i < inv->packages_n; i++) {
        uint64_t keys[INTEL_KEYS];
        size_t keys_n = intel_keys(a, &inv->packages[i], &inv->os, keys);
        bool changed = false;
        for (size_t k = 0; k < keys_n && !changed; k++)
            changed = intel_changes_has(&s->changes, keys[k]);
        if (changed)
            inv->packages[n++] = inv->packages[i];
    }
    inv->packages_n = n;
}

static int compare(struct rescan *s, struct arena *a, struct inventory *inv, struct err *e)
{
    only_changed(s, a, inv);
    struct assess_input in = {.inventory = inv, .intel = s->from, .now = time_now()};
    struct assessment before, after;
    int r = assess(a, &in, &before, e);
    in.intel = s->to;
    if (r < 0 || (r = assess(a, &in, &after, e)) < 0)
        return r;
    _cleanup_(map_freep) struct map *had = lines_of(a, &before), *has = lines_of(a, &after);
    s->concerned++;
    s->gone += tell(a, '-', inv, &before, has);
    s->added += tell(a, '+', inv, &after, had);
    return 0;
}

static int one(struct rescan *s, struct arena *a, const char *name, struct err *e)
{
    struct stat st;
    struct inventory inv;
    bool loaded = false;
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    if (stat(path, &st) < 0)
        return err_errno(e, "%s", path);
    const struct known *k = map_get(s->known, str_c(name));
    struct str keys = k ? k->keys : STR_NONE;
    int r = 0;
    if (!up_to_date(k, &st)) {
        if ((r = inventory_load(a, path, &inv, e)) < 0)
            return r;
        keys = rescan_keys(a, &inv);
        loaded = s->dirty = true;
        s->read++;
    }
    remember(s, str_c(name), &st, keys);
    s->total++;
    if (!rescan_concerned(keys, &s->changes))
        return 0;
    if (!loaded && (r = inventory_load(a, path, &inv, e)) < 0)
        return r;
    return compare(s, a, &inv, e);
}

static int reports_only(const struct dirent *d)
{
    return d->d_name[0] != '.' && str_ends(str_c(d->d_name), STR(".json"));
}

static int run(struct rescan *s, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)2 << 30);
    struct dirent **names;
    struct err ignored = ERR_INIT;
    int r = intel_changes(s->from, s->to, 0, &s->changes, e);
    if (r < 0)
        return r;
    load_known(s);
    buf_putz(&s->fresh, KEYS_MAGIC);
    int n = scandir(s->folder, &names, reports_only, alphasort);
    if (n < 0)
        return err_errno(e, "%s", s->folder);
    for (int i = 0; i < n; i++) {
        if (r == 0 && s->total < REPORTS_MAX)
            r = one(s, a, names[i]->d_name, e);
        arena_reset(a);
        free(names[i]);
    }
    free(names);
    if (r == 0 && (s->dirty || map_count(s->known) != s->total)) /* where it cannot be kept, it is made again */
        fs_write(arena_printf(s->a, "%s/" KEYS_FILE, s->folder), buf_str(&s->fresh), 0600, &ignored);
    return r;
}

int intel_cmd_rescan(const char *folder, const char *from, const char *to, const char *key, bool quiet)
{
    _cleanup_(intel_unrefp) struct intel *old = NULL;
    _cleanup_(intel_unrefp) struct intel *fresh = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)4 << 30);
    _cleanup_(map_freep) struct map *known = map_new(REPORTS_MAX + 1);
    struct rescan s = {.a = a, .folder = folder, .known = known, .fresh = BUF_INIT((size_t)1 << 31)};
    struct err e = ERR_INIT;
    int64_t started = time_monotonic();
    int flags = key ? 0 : INTEL_UNSIGNED_OK, r = intel_open(from, key, flags, &old, &e);
    if (r == 0)
        r = intel_open(to, key, flags, &fresh, &e);
    s.from = old;
    s.to = fresh;
    if (r == 0)
        r = run(&s, &e);
    buf_fini(&s.fresh);
    intel_changes_fini(&s.changes);
    if (r < 0) {
        fprintf(stderr, "bulkhead intel: %s\n", e.msg);
        return 3;
    }
    if (!quiet)
        fprintf(stderr,
                "%zu reports, %zu concerned, %zu read for the first time: %zu findings are new, %zu gone (%.2f s)\n",
                s.total, s.concerned, s.read, s.added, s.gone, (double)(time_monotonic() - started) / TIME_SECOND);
    return s.added || s.gone ? 1 : 0;
}
