/* A folder that any static server can serve: see update.h. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"
#include "intel/delta.h"
#include "intel/intel.h"
#include "intel/update.h"

#include <dirent.h>
#include <sys/stat.h>

/* The databases themselves are kept beside, to make deltas of: kept/SERIAL-SHA256.db */
struct kept {
    char path[4096];
    struct delta_file file;
};

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static int only_db(const struct dirent *d)
{
    return d->d_name[0] != '.' && str_ends(str_c(d->d_name), STR(".db"));
}

/* The newest ones; older ones go. */
static int list_kept(const char *folder, struct kept *v, size_t *ret_n, struct err *e)
{
    struct dirent **names;
    int n = scandir(folder, &names, only_db, newest_first), r = 0;
    size_t kept = 0;
    if (n < 0)
        return err_errno(e, "%s", folder);
    for (int i = 0; i < n; i++) {
        struct kept k;
        bool fits = snprintf(k.path, sizeof(k.path), "%s/%s", folder, names[i]->d_name) < (int)sizeof(k.path);
        if (kept < PUBLISH_KEEP && r == 0 && fits && (r = delta_digest(k.path, &k.file, e)) == 0)
            v[kept++] = k;
        else if (fits && r == 0)
            unlink(k.path);
        free(names[i]);
    }
    free(names);
    *ret_n = kept;
    return r;
}

static int copy(const char *from, const char *to, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)5 << 30);
    struct str text;
    int r = fs_read(a, from, LIMIT_CONSOLE_INTEL, &text, e);
    return r < 0 ? r : fs_write(to, text, 0644, e);
}

struct publication {
    struct arena *a;
    const char *db, *folder, *kept_folder, *base;
    struct intel *fresh;
    struct delta_file file;
    struct kept *kept;
    size_t kept_n;
};

/* Deltas of an earlier index that nobody is pointed to any more. */
static void remove_others(const struct publication *p, const struct json_value *old)
{
    char path[4096];
    struct str file = json_str(json_get(old, "file"));
    if (file.n && !str_eqc(file, p->base) && str_chr(file, '/') < 0 &&
        snprintf(path, sizeof(path), "%s/" STR_FMT, p->folder, STR_ARG(file)) < (int)sizeof(path))
        unlink(path);
    JSON_EACH (json_get(old, "deltas"), d) {
        struct str name = json_str(json_get(d, "file"));
        if (name.n && str_chr(name, '/') < 0 && !str_ends(name, str_sub(str_c(p->file.sha256), 0, 12)) &&
            snprintf(path, sizeof(path), "%s/" STR_FMT, p->folder, STR_ARG(name)) < (int)sizeof(path))
            unlink(path);
    }
}

static int write_deltas(struct publication *p, struct json_writer *w, struct err *e)
{
    json_w_karray(w, "deltas");
    for (size_t i = 0; i < p->kept_n; i++) {
        const struct kept *k = &p->kept[i];
        struct stat st;
        if (!strcmp(k->file.sha256, p->file.sha256))
            continue;
        char *name = arena_printf(p->a, "delta-%.12s-%.12s", k->file.sha256, p->file.sha256);
        char *path = arena_printf(p->a, "%s/%s", p->folder, name);
        int r = delta_make(k->path, p->db, path, e);
        if (r < 0)
            return r;
        if (stat(path, &st) < 0)
            return err_errno(e, "%s", path);
        json_w_object(w);
        json_w_kstrz(w, "from", k->file.sha256);
        json_w_kstrz(w, "file", name);
        json_w_ki64(w, "size", st.st_size);
        json_w_end(w);
    }
    json_w_end(w);
    return 0;
}

static int write_index(struct publication *p, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1 << 20);
    struct json_writer w = JSON_WRITER(&b);
    char date[TIME_TEXT];
    bool expires = intel_expires(p->fresh) != TIME_NEVER;
    json_w_object(&w);
    json_w_kstrz(&w, "format", "bulkhead/intel-index/1");
    json_w_kstr(&w, "revision", intel_revision(p->fresh));
    json_w_ki64(&w, "serial", (int64_t)intel_serial(p->fresh));
    json_w_kstr(&w, "built", str_c(time_format(intel_built(p->fresh), date)));
    json_w_kstr(&w, "expires", expires ? str_c(time_format(intel_expires(p->fresh), date)) : STR_NONE);
    json_w_kstrz(&w, "file", p->base);
    json_w_kstrz(&w, "sha256", p->file.sha256);
    json_w_ki64(&w, "size", (int64_t)p->file.size);
    int r = write_deltas(p, &w, e);
    json_w_end(&w);
    buf_putc(&b, '\n');
    if (r < 0 || (r = buf_check(&b, e)) < 0)
        return r;
    return fs_write(arena_printf(p->a, "%s/index.json", p->folder), buf_str(&b), 0644,
                    e); /* last: all of it is there */
}

static int check_newer(struct publication *p, const char *key_path, struct err *e)
{
    _cleanup_(intel_unrefp) struct intel *last = NULL;
    struct err ignored = ERR_INIT;
    if (p->kept_n)
        intel_open(p->kept[0].path, key_path, 0, &last, &ignored);
    return intel_supersedes(p->fresh, last, time_now(), e);
}

int intel_publish(const char *db, const char *key_path, const char *folder, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    _cleanup_(intel_unrefp) struct intel *fresh = NULL;
    struct publication p = {.a = a, .db = db, .folder = folder};
    struct json_value *old = NULL;
    struct str text;
    struct err ignored = ERR_INIT;
    int r = intel_open(db, key_path, 0, &fresh, e);
    if (r < 0 || (r = delta_digest(db, &p.file, e)) < 0)
        return r;
    p.fresh = fresh;
    p.kept = arena_array(a, PUBLISH_KEEP, sizeof(*p.kept));
    p.kept_folder = arena_printf(a, "%s/kept", folder);
    p.base = arena_printf(a, "intel-%.12s.db.zst", p.file.sha256);
    if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || (mkdir(p.kept_folder, 0755) < 0 && errno != EEXIST))
        return err_errno(e, "%s", folder);
    if ((r = list_kept(p.kept_folder, p.kept, &p.kept_n, e)) < 0 || (r = check_newer(&p, key_path, e)) < 0)
        return r;
    const char *kept = arena_printf(a, "%s/%020" PRIu64 "-%s.db", p.kept_folder, intel_serial(fresh), p.file.sha256);
    if ((r = copy(db, kept, e)) < 0 || (r = delta_compress(db, arena_printf(a, "%s/%s", folder, p.base), e)) < 0)
        return r;
    if (fs_read(a, arena_printf(a, "%s/index.json", folder), 1 << 20, &text, &ignored) == 0)
        json_parse(a, text, 0, &old, &ignored);
    if ((r = write_index(&p, e)) == 0 && old)
        remove_others(&p, old);
    return r;
}
