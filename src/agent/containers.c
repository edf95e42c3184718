#include "agent/containers.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/map.h"

#define SUBJECT_ARENA (1u << 20)
#define ENGINE_FILE   (1u << 20)
#define PODMAN_FILE   (16u << 20)
#define ROOTS         8u
#define LOOK_AGAIN    (TIME_SECOND / 5)

struct containers {
    char *state;
    struct map *by_id;
    struct container *first, *last;
    struct {
        char *engine, *path;
    } roots[ROOTS];
    size_t roots_n;
};

struct containers *containers_new(const char *state)
{
    struct containers *cs = calloc(1, sizeof(*cs));
    if (!cs)
        abort();
    cs->state = strdup(state);
    cs->by_id = map_new(CONTAINERS_MAX + 1);
    return cs;
}

static void container_free(struct container *c)
{
    arena_free(c->a);
    arena_free(c->force_arena);
    free(c);
}

void containers_free(struct containers *cs)
{
    if (!cs)
        return;
    MAP_EACH (cs->by_id, it)
        container_free(it->value);
    map_free(cs->by_id);
    for (size_t i = 0; i < cs->roots_n; i++) {
        free(cs->roots[i].engine);
        free(cs->roots[i].path);
    }
    free(cs->state);
    free(cs);
}

void containers_root(struct containers *cs, struct str engine, struct str root)
{
    for (size_t i = 0; i < cs->roots_n; i++)
        if (str_eqc(root, cs->roots[i].path))
            return;
    if (cs->roots_n == ROOTS || !root.n || root.p[0] != '/')
        return;
    cs->roots[cs->roots_n].engine = strndup(engine.p, engine.n);
    cs->roots[cs->roots_n++].path = strndup(root.p, root.n);
}

size_t containers_count(const struct containers *cs)
{
    return map_count(cs->by_id);
}

struct container *containers_get(struct containers *cs, struct str id)
{
    return map_get(cs->by_id, id);
}

struct container *containers_next(struct containers *cs, struct container *c)
{
    return c ? c->next : cs->first;
}

static void drop(struct containers *cs, struct container *c)
{
    map_del(cs->by_id, c->s.id);
    *(c->prev ? &c->prev->next : &cs->first) = c->next;
    *(c->next ? &c->next->prev : &cs->last) = c->prev;
    container_free(c);
}

static void make_room(struct containers *cs)
{
    if (map_count(cs->by_id) < CONTAINERS_MAX)
        return;
    struct container *oldest = NULL;
    MAP_EACH (cs->by_id, it) {
        struct container *c = it->value;
        int64_t age = c->removed ? c->removed : c->running ? TIME_NEVER : c->seen;
        int64_t than = !oldest           ? TIME_NEVER
                       : oldest->removed ? oldest->removed
                       : oldest->running ? TIME_NEVER
                                         : oldest->seen;
        if (!oldest || age < than)
            oldest = c;
    }
    drop(cs, oldest);
}

static struct container *get_or_new(struct containers *cs, struct str id, int64_t now)
{
    struct container *c = map_get(cs->by_id, id);
    if (c)
        return c;
    make_room(cs);
    if (!(c = calloc(1, sizeof(*c))))
        abort();
    c->a = arena_new(SUBJECT_ARENA);
    c->s.id = arena_str(c->a, id);
    c->seen = now;
    map_put(cs->by_id, c->s.id, c);
    c->prev = cs->last;
    *(cs->last ? &cs->last->next : &cs->first) = c;
    cs->last = c;
    return c;
}

/* ---- the engine's file ---- */

int containers_parse_docker(struct arena *a, struct str text, struct subject *ret, struct err *e)
{
    struct json_value *v;
    int r = json_parse(a, text, JSON_ANY_KEYS, &v, e);
    if (r < 0)
        return r;
    struct str name = json_str(json_get(v, "Name"));
    if (name.n && name.p[0] == '/')
        name = str_sub(name, 1, name.n);
    struct subject s = {.id = json_str(json_get(v, "ID")),
                        .name = name,
                        .image = json_str(json_path(v, "Config.Image")),
                        .image_id = json_str(json_get(v, "Image")),
                        .engine = STR("docker"),
                        .labels = json_path(v, "Config.Labels")};
    if (!hex_id_valid(s.id))
        return err_set(e, EBADMSG, "not a container's file: no ID");
    if (!image_id_valid(s.image_id))
        s.image_id = STR_NONE;
    if (s.labels && s.labels->type != JSON_OBJECT)
        s.labels = NULL;
    *ret = s;
    return 0;
}

int containers_parse_podman(struct arena *a, struct str text, struct str id, struct subject *ret, struct err *e)
{
    struct json_value *v, *meta;
    int r = json_parse(a, text, JSON_ANY_KEYS, &v, e);
    if (r < 0)
        return r;
    if (v->type != JSON_ARRAY)
        return err_set(e, EBADMSG, "not podman's list of containers");
    JSON_EACH (v, it) {
        if (!str_eq(json_str(json_get(it, "id")), id))
            continue;
        const struct json_value *names = json_get(it, "names");
        struct str image = json_str(json_get(it, "image"));
        *ret = (struct subject){.id = id, .engine = STR("podman")};
        if (names && names->type == JSON_ARRAY && names->count)
            ret->name = json_str(names->first);
        if (hex_id_valid(image))
            ret->image_id = arena_strf(a, "sha256:" STR_FMT, STR_ARG(image));
        if (json_parse(a, json_str(json_get(it, "metadata")), JSON_ANY_KEYS, &meta, NULL) == 0)
            ret->image = json_str(json_get(meta, "image-name"));
        return 0;
    }
    return err_set(e, ENOENT, "podman's list has no such container");
}

static bool from_podman_disk(const char *root, struct arena *a, struct str id, struct subject *ret)
{
    struct str text;
    return fs_read(a, arena_printf(a, "%s/overlay-containers/containers.json", root), PODMAN_FILE, &text, NULL) >= 0 &&
           containers_parse_podman(a, text, id, ret, NULL) == 0;
}

static bool from_engine_disk(struct containers *cs, struct arena *a, struct str id, struct subject *ret)
{
    for (size_t i = 0; i < cs->roots_n; i++) {
        struct str text;
        if (!strcmp(cs->roots[i].engine, "podman")) {
            if (from_podman_disk(cs->roots[i].path, a, id, ret))
                return true;
            continue;
        }
        char *path = arena_printf(a, "%s/containers/" STR_FMT "/config.v2.json", cs->roots[i].path, STR_ARG(id));
        if (fs_read(a, path, ENGINE_FILE, &text, NULL) < 0 || containers_parse_docker(a, text, ret, NULL) < 0 ||
            !str_eq(ret->id, id))
            continue;
        ret->engine = str_c(cs->roots[i].engine);
        return true;
    }
    return false;
}

/* ---- what is told ---- */

static const struct json_value *copy_labels(struct arena *a, const struct json_value *v)
{
    if (!v || v->type != JSON_OBJECT || !v->count)
        return NULL;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT / 2);
    struct json_writer w = JSON_WRITER(&b);
    json_w_value(&w, v);
    struct json_value *copy;
    return !b.full && json_parse(a, arena_str(a, buf_str(&b)), JSON_ANY_KEYS, &copy, NULL) == 0 ? copy : NULL;
}

static bool labels_equal(const struct json_value *x, const struct json_value *y)
{
    size_t xn = x ? x->count : 0, yn = y ? y->count : 0;
    if (xn != yn)
        return false;
    const struct json_value *p = x ? x->first : NULL, *q = y ? y->first : NULL;
    for (; p && q; p = p->next, q = q->next)
        if (!str_eq(p->key, q->key) || !str_eq(p->text, q->text))
            return false;
    return true;
}

static bool list_equal(const struct str *x, size_t xn, const struct str *y, size_t yn)
{
    bool same = xn == yn;
    for (size_t i = 0; same && i < xn; i++)
        same = str_eq(x[i], y[i]);
    return same;
}

static bool lists_equal(const struct subject *x, const struct subject *y)
{
    return list_equal(x->names, x->names_n, y->names, y->names_n) &&
           list_equal(x->addresses, x->addresses_n, y->addresses, y->addresses_n) &&
           list_equal(x->resolvers, x->resolvers_n, y->resolvers, y->resolvers_n);
}

static struct str *copy_list(struct arena *a, const struct str *v, size_t n)
{
    struct str *copy = arena_array(a, n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = arena_str(a, v[i]);
    return copy;
}

#define LIST_MAX 256u
static size_t capped(size_t n)
{
    return n < LIST_MAX ? n : LIST_MAX;
}

#define KEEP(field) (s->field.n ? s->field : old.field)
struct container *containers_learn(struct containers *cs, const struct subject *s, int64_t now, bool *changed)
{
    struct container *c = get_or_new(cs, s->id, now);
    struct subject old = c->s;
    struct subject merged = {.id = old.id,
                             .name = KEEP(name),
                             .image = KEEP(image),
                             .image_id = KEEP(image_id),
                             .image_digest = KEEP(image_digest),
                             .engine = KEEP(engine),
                             .labels = s->labels && s->labels->count ? s->labels : old.labels,
                             .names = s->names_n ? s->names : old.names,
                             .names_n = capped(s->names_n ? s->names_n : old.names_n),
                             .addresses = s->addresses ? s->addresses : old.addresses, /* none is news as well */
                             .addresses_n = capped(s->addresses ? s->addresses_n : old.addresses_n),
                             .resolvers = s->resolvers ? s->resolvers : old.resolvers,
                             .resolvers_n = capped(s->resolvers ? s->resolvers_n : old.resolvers_n)};
    c->seen = now;
    bool same = c->known && str_eq(merged.name, old.name) && str_eq(merged.image, old.image) &&
                str_eq(merged.image_id, old.image_id) && str_eq(merged.image_digest, old.image_digest) &&
                str_eq(merged.engine, old.engine) && labels_equal(merged.labels, old.labels) &&
                lists_equal(&merged, &old);
    if (changed)
        *changed = !same;
    if (same)
        return c;
    struct arena *a = arena_new(SUBJECT_ARENA);
    struct subject n = {.id = arena_str(a, merged.id),
                        .name = arena_str(a, merged.name),
                        .image = arena_str(a, merged.image),
                        .image_id = arena_str(a, merged.image_id),
                        .image_digest = merged.image_digest.n ? arena_str(a, merged.image_digest) : STR_NONE,
                        .engine = arena_str(a, merged.engine),
                        .labels = copy_labels(a, merged.labels),
                        .names = copy_list(a, merged.names, merged.names_n),
                        .names_n = merged.names_n,
                        .addresses = copy_list(a, merged.addresses, merged.addresses_n),
                        .addresses_n = merged.addresses_n,
                        .resolvers = copy_list(a, merged.resolvers, merged.resolvers_n),
                        .resolvers_n = merged.resolvers_n};
    map_del(cs->by_id, old.id); /* its key is a copy, but the record's id moves: keep both in step */
    struct arena *gone = c->a;
    c->a = a;
    c->s = n;
    c->known = n.name.n > 0;
    map_put(cs->by_id, c->s.id, c);
    arena_free(gone);
    return c;
}
#undef KEEP

struct container *containers_seen(struct containers *cs, struct str id, int64_t now)
{
    struct container *c = get_or_new(cs, id, now);
    c->seen = now;
    if ((c->known && c->s.image_id.n) || (c->looked && now - c->looked < LOOK_AGAIN))
        return c;
    c->looked = now;
    _cleanup_(arena_freep) struct arena *a = arena_new(SUBJECT_ARENA * 128);
    struct subject s;
    if (subject_read(a, cs->state, id, &s, NULL) == 0 || from_engine_disk(cs, a, id, &s))
        c = containers_learn(cs, &s, now, NULL);
    return c;
}

void containers_removed(struct containers *cs, struct str id, int64_t now)
{
    struct container *c = map_get(cs->by_id, id);
    if (!c)
        return;
    c->running = false;
    if (!c->removed)
        c->removed = now;
}

void containers_sweep(struct containers *cs, int64_t now, void (*fn)(void *ctx, struct container *c), void *ctx)
{
    for (struct map_entry *it = map_next(cs->by_id, NULL), *next; it; it = next) {
        struct container *c = it->value;
        next = map_next(cs->by_id, it);
        if (!c->removed || now - c->removed < CONTAINER_KEEP)
            continue;
        if (fn)
            fn(ctx, c);
        drop(cs, c);
    }
}
