#include "runtime/profile_internal.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/time.h"

#define WRITE_EVERY TIME_SECOND

struct profiles {
    char *dir;
    int64_t starts, quiet;
    struct map *by_image;
};

#define PROFILES_LOADED 4096u

struct profiles *profiles_new(const char *dir, int64_t starts, int64_t quiet)
{
    struct profiles *ps = calloc(1, sizeof(*ps));
    if (!ps)
        abort();
    ps->dir = strdup(dir);
    ps->starts = starts;
    ps->quiet = quiet;
    ps->by_image = map_new(PROFILES_LOADED);
    return ps;
}

static void learned_free(struct learned *l)
{
    map_free(l->by_path);
    arena_free(l->a);
    free(l);
}

void profiles_free(struct profiles *ps)
{
    if (!ps)
        return;
    MAP_EACH (ps->by_image, it)
        learned_free(it->value);
    map_free(ps->by_image);
    free(ps->dir);
    free(ps);
}

/* ---- files ---- */

static bool image_hex(struct str image_id, struct str *hex)
{
    if (!str_starts(image_id, STR("sha256:")) || image_id.n != 71)
        return false;
    *hex = str_sub(image_id, 7, 71);
    for (size_t i = 0; i < hex->n; i++)
        if (!((hex->p[i] >= '0' && hex->p[i] <= '9') || (hex->p[i] >= 'a' && hex->p[i] <= 'f')))
            return false;
    return true;
}

static void w_time(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    json_w_key(w, key);
    if (t)
        json_w_str(w, str_c(time_format(t, text)));
    else
        json_w_null(w);
}

static int by_path(const void *a, const void *b)
{
    return str_cmp(((const struct profile_executable *)a)->path, ((const struct profile_executable *)b)->path);
}

void profile_write(struct json_writer *w, const struct profile *p)
{
    json_w_object(w);
    json_w_kstr(w, "image_id", p->image_id);
    json_w_kstr(w, "image", p->image);
    w_time(w, "created", p->created);
    w_time(w, "changed", p->changed);
    json_w_ki64(w, "starts", p->starts);
    json_w_ki64(w, "starts_then", p->starts_then);
    json_w_kbool(w, "stable", p->stable);
    w_time(w, "stable_since", p->stable_since);
    json_w_kbool(w, "overflow", p->overflow);
    json_w_karray(w, "executables");
    _cleanup_free_ struct profile_executable *v = malloc((p->executables_n + 1) * sizeof(*v));
    if (!v)
        abort();
    if (p->executables_n)
        memcpy(v, p->executables, p->executables_n * sizeof(*v));
    qsort(v, p->executables_n, sizeof(*v), by_path);
    for (size_t i = 0; i < p->executables_n; i++) {
        json_w_object(w);
        json_w_kstr(w, "path", v[i].path);
        json_w_kstr(w, "where", v[i].where);
        json_w_karray(w, "users");
        for (size_t k = 0; k < v[i].users_n; k++)
            json_w_i64(w, v[i].users[k]);
        json_w_end(w);
        json_w_karray(w, "parents");
        for (size_t k = 0; k < v[i].parents_n; k++)
            json_w_str(w, v[i].parents[k]);
        json_w_end(w);
        json_w_ki64(w, "count", v[i].count);
        w_time(w, "first", v[i].first);
        w_time(w, "last", v[i].last);
        json_w_end(w);
    }
    json_w_end(w);
    profile_write_more(w, p);
    json_w_end(w);
}

static int64_t r_time(const struct json_value *v)
{
    int64_t t;
    return time_parse(json_str(v), &t) == 0 ? t : 0;
}

int profile_read(struct arena *a, const struct json_value *v, struct profile *ret, struct err *e)
{
    struct str hex;
    const struct json_value *list = json_get(v, "executables");
    struct profile p = {.image_id = json_str(json_get(v, "image_id")),
                        .image = json_str(json_get(v, "image")),
                        .created = r_time(json_get(v, "created")),
                        .changed = r_time(json_get(v, "changed")),
                        .starts = json_i64(json_get(v, "starts"), 0),
                        .starts_then = json_i64(json_get(v, "starts_then"), 0),
                        .stable = json_bool(json_get(v, "stable"), false),
                        .stable_since = r_time(json_get(v, "stable_since")),
                        .overflow = json_bool(json_get(v, "overflow"), false)};
    if (!image_hex(p.image_id, &hex) || !list || list->type != JSON_ARRAY || list->count > PROFILE_EXECUTABLES)
        return err_set(e, EBADMSG, "not a profile: needs image_id and executables");
    p.executables = arena_array(a, list->count + 1, sizeof(*p.executables));
    JSON_EACH (list, it) {
        struct profile_executable *x = &p.executables[p.executables_n];
        const struct json_value *users = json_get(it, "users"), *parents = json_get(it, "parents");
        *x = (struct profile_executable){.path = json_str(json_get(it, "path")),
                                         .where = json_str(json_get(it, "where")),
                                         .count = json_i64(json_get(it, "count"), 0),
                                         .first = r_time(json_get(it, "first")),
                                         .last = r_time(json_get(it, "last"))};
        if (!x->path.n)
            return err_set(e, EBADMSG, "profile: an executable without a path");
        x->users = arena_array(a, PROFILE_USERS, sizeof(*x->users));
        x->parents = arena_array(a, PROFILE_PARENTS, sizeof(*x->parents));
        JSON_EACH (users, u)
            if (x->users_n < PROFILE_USERS)
                x->users[x->users_n++] = json_i64(u, -1);
        JSON_EACH (parents, u)
            if (x->parents_n < PROFILE_PARENTS)
                x->parents[x->parents_n++] = json_str(u);
        p.executables_n++;
    }
    profile_read_more(a, v, &p);
    *ret = p;
    return 0;
}

int profile_load(struct arena *a, const char *dir, struct str image_id, struct profile *ret, struct err *e)
{
    struct str hex, text;
    struct json_value *v;
    int r;
    if (!image_hex(image_id, &hex))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is not an image id (sha256:<64 hex digits>)", STR_ARG(image_id));
    char *path = arena_printf(a, "%s/" STR_FMT ".json", dir, STR_ARG(hex));
    if ((r = fs_read(a, path, PROFILE_FILE, &text, e)) < 0)
        return r;
    if ((r = json_parse(a, text, 0, &v, e)) < 0 || (r = profile_read(a, v, ret, e)) < 0)
        return err_wrap(e, "%s", path), r;
    return 0;
}

static int save(struct profiles *ps, struct learned *l, struct err *e)
{
    struct str hex;
    char path[4096];
    if (!l->dirty || !image_hex(l->p.image_id, &hex))
        return 0;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(PROFILE_FILE);
    struct json_writer w = JSON_WRITER(&b);
    profile_write(&w, &l->p);
    buf_putc(&b, '\n');
    int r;
    if ((r = buf_check(&b, e)) < 0 || (r = fs_mkdirs(ps->dir, 0700, e)) < 0)
        return r;
    snprintf(path, sizeof(path), "%s/" STR_FMT ".json", ps->dir, STR_ARG(hex));
    if ((r = fs_write(path, buf_str(&b), 0600, e)) < 0)
        return r;
    l->dirty = false;
    return 0;
}

/* ---- learning ---- */

static struct profile_executable *add(struct learned *l, struct str path)
{
    struct profile *p = &l->p;
    p->executables = arena_grow(l->a, p->executables, p->executables_n, &l->cap, sizeof(*p->executables));
    struct profile_executable *x = &p->executables[p->executables_n++];
    *x = (struct profile_executable){.path = arena_str(l->a, path)};
    x->users = arena_array(l->a, PROFILE_USERS, sizeof(*x->users));
    x->parents = arena_array(l->a, PROFILE_PARENTS, sizeof(*x->parents));
    map_put(l->by_path, x->path, (void *)(uintptr_t)p->executables_n); /* index + 1: the array moves */
    return x;
}

static struct profile_executable *lookup(struct learned *l, struct str path)
{
    uintptr_t i = (uintptr_t)map_get(l->by_path, path);
    return i ? &l->p.executables[i - 1] : NULL;
}

/* The profile of the image: in memory, from its file, or (create) new. */
struct learned *profile_learned(struct profiles *ps, struct str image_id, struct str image, bool create, int64_t now)
{
    struct str hex;
    struct learned *l = map_get(ps->by_image, image_id);
    if (l || !image_hex(image_id, &hex))
        return l;
    _cleanup_(arena_freep) struct arena *tmp = arena_new(PROFILE_FILE * 8);
    struct profile p;
    bool found = profile_load(tmp, ps->dir, image_id, &p, NULL) >= 0;
    if ((!found && !create) || map_count(ps->by_image) >= PROFILES_LOADED)
        return NULL;
    if (!(l = calloc(1, sizeof(*l))))
        abort();
    l->a = arena_new(PROFILE_FILE * 8);
    l->by_path = map_new(PROFILE_EXECUTABLES);
    if (!found)
        p = (struct profile){.image = image, .created = now, .changed = now};
    l->p = p;
    l->p.image_id = arena_str(l->a, image_id);
    l->p.image = arena_str(l->a, p.image);
    l->p.executables = NULL;
    l->p.executables_n = 0;
    profile_copy_more(l, &p);
    for (size_t i = 0; i < p.executables_n; i++) {
        const struct profile_executable *from = &p.executables[i];
        struct profile_executable *x = add(l, from->path);
        x->where = arena_str(l->a, from->where);
        x->count = from->count;
        x->first = from->first;
        x->last = from->last;
        for (size_t k = 0; k < from->users_n; k++)
            x->users[x->users_n++] = from->users[k];
        for (size_t k = 0; k < from->parents_n; k++)
            x->parents[x->parents_n++] = arena_str(l->a, from->parents[k]);
    }
    l->was_stable = l->p.stable;
    map_put(ps->by_image, image_id, l);
    return l;
}

void profiles_started(struct profiles *ps, struct str image_id, struct str image, int64_t now)
{
    struct learned *l = profile_learned(ps, image_id, image, true, now);
    if (!l)
        return;
    l->p.starts++;
    l->dirty = true;
}

static void note_user(struct profile_executable *x, int64_t uid)
{
    for (size_t i = 0; i < x->users_n; i++)
        if (x->users[i] == uid)
            return;
    if (x->users_n < PROFILE_USERS)
        x->users[x->users_n++] = uid;
}

static void note_parent(struct learned *l, struct profile_executable *x, struct str parent)
{
    for (size_t i = 0; i < x->parents_n; i++)
        if (str_eq(x->parents[i], parent))
            return;
    if (x->parents_n < PROFILE_PARENTS)
        x->parents[x->parents_n++] = parent.n ? arena_str(l->a, parent) : STR("");
}

bool profiles_observe(struct profiles *ps, struct str image_id, struct str image, const struct profile_seen *s,
                      int64_t now)
{
    struct learned *l = profile_learned(ps, image_id, image, true, now);
    if (!l || !s->path.n)
        return false;
    struct profile_executable *x = lookup(l, s->path);
    bool fresh = !x;
    if (fresh && l->p.executables_n >= PROFILE_EXECUTABLES) {
        l->p.overflow = l->dirty = true;
        l->p.stable = false;
        return true;
    }
    if (fresh) {
        x = add(l, s->path);
        x->where = arena_str(l->a, str_c(s->where));
        x->first = now;
        profile_new_thing(l, now);
    }
    x->count++;
    x->last = now;
    note_user(x, s->uid);
    note_parent(l, x, s->parent);
    l->dirty = true;
    return fresh;
}

void profiles_tick(struct profiles *ps, int64_t now, void (*fn)(void *ctx, const struct profile *p), void *ctx)
{
    MAP_EACH (ps->by_image, it) {
        struct learned *l = it->value;
        struct profile *p = &l->p;
        if (!p->stable && !p->overflow && p->executables_n && p->starts - p->starts_then >= ps->starts &&
            now - p->changed >= ps->quiet) {
            p->stable = l->dirty = true;
            p->stable_since = now;
        }
        bool turned = p->stable != l->was_stable;
        l->was_stable = p->stable;
        if (l->dirty && (turned || now - l->written >= WRITE_EVERY)) {
            l->written = now;
            save(ps, l, NULL);
        }
        if (turned && fn)
            fn(ctx, p);
    }
}

int profiles_save(struct profiles *ps, struct err *e)
{
    int r = 0, one;
    MAP_EACH (ps->by_image, it)
        if ((one = save(ps, it->value, e)) < 0)
            r = one;
    return r;
}

const struct profile *profiles_get(struct profiles *ps, struct str image_id)
{
    struct learned *l = profile_learned(ps, image_id, STR_NONE, false, 0);
    return l ? &l->p : NULL;
}

/* ---- export ---- */

/* A JSON string is a YAML double-quoted scalar. */
static void quoted(struct buf *out, struct str s)
{
    struct json_writer w = JSON_WRITER(out);
    json_w_str(&w, s);
}

static void put_side(struct buf *out, const struct profile *p, bool ingress, const char *key)
{
    size_t n = 0;
    for (size_t i = 0; i < p->peers_n; i++) {
        const struct profile_peer *x = &p->peers[i];
        bool v6 = str_chr(x->address, ':') >= 0;
        if (x->ingress != ingress)
            continue;
        if (!n++)
            buf_printf(out, "  %s:\n    default: deny\n    allow:\n", key);
        if (ingress) /* any may come, to this port */
            buf_printf(out, "      - \"%s:%" PRId64 "/" STR_FMT "\"\n", v6 ? "[::/0]" : "0.0.0.0/0", x->port,
                       STR_ARG(x->protocol));
        else
            buf_printf(out,
                       v6 ? "      - \"[" STR_FMT "]:%" PRId64 "/" STR_FMT "\"\n"
                          : "      - \"" STR_FMT ":%" PRId64 "/" STR_FMT "\"\n",
                       STR_ARG(x->address), x->port, STR_ARG(x->protocol));
    }
}

/* Only the sides on which something was seen: a container that was never asked is not closed by that. */
static void put_network(struct buf *out, const struct profile *p)
{
    if (!p->peers_n)
        return;
    buf_putz(out, "network:\n");
    put_side(out, p, false, "egress");
    put_side(out, p, true, "ingress");
}

void profile_policy(struct buf *out, const struct profile *p, const char *mode)
{
    struct str repo = p->image.n ? p->image : str_sub(p->image_id, 7, 19);
    char t[TIME_TEXT];
    buf_putz(out, "kind: ContainerPolicy\nname: ");
    for (size_t i = 0; i < repo.n && i < 48; i++) {
        char c = repo.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
        buf_putc(out, fine ? c : '-');
    }
    buf_printf(out, "-learned\nmode: %s\n", mode);
    buf_printf(out, "# learned from %" PRId64 " starts until %s; image " STR_FMT "; %s\n", p->starts,
               time_format(p->changed, t), STR_ARG(p->image_id), p->stable ? "stable" : "not stable yet");
    buf_putz(out, "select:\n  images: [");
    quoted(out, p->image.n ? p->image : p->image_id);
    buf_putz(out, "]\nprocess:\n  drift: block\n  fileless: block\n  allow:\n");
    for (size_t i = 0; i < p->executables_n; i++) {
        buf_putz(out, "    - ");
        quoted(out, p->executables[i].path);
        buf_putc(out, '\n');
    }
    put_network(out, p);
}
