#include "scan/layer_paths.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"

#include <endian.h>

#define CHUNK 65536u /* hashes in one string of the JSON form */

uint64_t layer_path_hash(struct str path)
{
    static const uint64_t seed[2] = {UINT64_C(0x62756c6b68656164), UINT64_C(0x6c61796572706174)};
    return str_hash_keyed(seed, path) << 2;
}

void layer_paths_fini(struct layer_paths *p)
{
    free(p->v);
    *p = (struct layer_paths){0};
}

static void push(struct layer_paths *p, uint64_t v)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 1024;
        p->v = reallocarray(p->v, p->cap, sizeof(*p->v));
        if (!p->v)
            abort();
    }
    p->v[p->n++] = v;
}

void layer_paths_add(struct layer_paths *p, enum layer_path kind, struct str path)
{
    push(p, layer_path_hash(path) | kind);
}

void layer_paths_write(struct json_writer *w, const char *key, const struct layer_paths *p)
{
    json_w_karray(w, key);
    for (size_t i = 0; i < p->n; i += CHUNK) {
        size_t n = p->n - i < CHUNK ? p->n - i : CHUNK;
        _cleanup_(arena_freep) struct arena *a = arena_new(8u << 20);
        uint64_t *le = arena_array(a, n, sizeof(*le));
        for (size_t k = 0; k < n; k++)
            le[k] = htole64(p->v[i + k]);
        json_w_str(w, base64_encode(a, str_n((const char *)le, n * sizeof(*le))));
    }
    json_w_end(w);
}

int layer_paths_read(struct arena *a, const struct json_value *v, struct layer_paths *ret, struct err *e)
{
    struct layer_paths p = {0};
    if (!v || v->type != JSON_ARRAY || v->count > LIMIT_SCAN_ENTRIES / CHUNK + 1)
        return err_set(e, EBADMSG, "record: paths: a list was expected");
    JSON_EACH (v, it)
        p.cap += json_str(it).n / 10 + 1;
    p.v = arena_array(a, p.cap, sizeof(*p.v));
    JSON_EACH (v, it) {
        struct str raw;
        if (json_str(it).n > CHUNK * 11u || base64_decode(a, json_str(it), &raw) < 0 || raw.n % sizeof(uint64_t) ||
            raw.n / sizeof(uint64_t) > p.cap - p.n)
            return err_set(e, EBADMSG, "record: paths: malformed");
        for (size_t i = 0; i < raw.n; i += sizeof(uint64_t)) {
            uint64_t le;
            memcpy(&le, raw.p + i, sizeof(le));
            p.v[p.n++] = le64toh(le);
        }
    }
    *ret = p;
    return 0;
}

/* ---- open addressing; 0 is free (a hash of 0 is kept as 4) ---- */

struct path_set {
    uint64_t *v;
    size_t n, cap;
};

static uint64_t key_of(uint64_t v)
{
    v &= ~UINT64_C(3);
    return v ? v : 4;
}

struct path_set *path_set_new(void)
{
    struct path_set *s = calloc(1, sizeof(*s));
    if (!s || !(s->v = calloc(s->cap = 1024, sizeof(*s->v))))
        abort();
    return s;
}

void path_set_free(struct path_set *s)
{
    if (s)
        free(s->v);
    free(s);
}

void path_set_freep(struct path_set **s)
{
    path_set_free(*s);
}

static bool has(const struct path_set *s, uint64_t key)
{
    for (size_t i = (key >> 2) & (s->cap - 1);; i = (i + 1) & (s->cap - 1))
        if (s->v[i] == key || s->v[i] == 0)
            return s->v[i] != 0;
}

static bool insert(struct path_set *s, uint64_t key)
{
    if (has(s, key))
        return false;
    if (s->n * 2 >= s->cap) {
        struct path_set bigger = {.cap = s->cap * 2};
        if (!(bigger.v = calloc(bigger.cap, sizeof(*bigger.v))))
            abort();
        for (size_t i = 0; i < s->cap; i++)
            if (s->v[i])
                insert(&bigger, s->v[i]);
        free(s->v);
        *s = bigger;
    }
    size_t i = (key >> 2) & (s->cap - 1);
    while (s->v[i])
        i = (i + 1) & (s->cap - 1);
    s->v[i] = key;
    s->n++;
    return true;
}

void path_set_add(struct path_set *s, struct str path)
{
    insert(s, key_of(layer_path_hash(path)));
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/' && !insert(s, key_of(layer_path_hash(str_sub(path, 0, i)))))
            break; /* and then those above it are there */
    insert(s, key_of(layer_path_hash(STR(""))));
}

static int by_value(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

struct layer_paths path_set_hits(const struct path_set *s, const struct layer_paths *p)
{
    struct layer_paths hits = {0};
    for (size_t i = 0; i < p->n; i++)
        if (has(s, key_of(p->v[i])))
            push(&hits, p->v[i]);
    if (hits.n > 1)
        qsort(hits.v, hits.n, sizeof(*hits.v), by_value);
    return hits;
}

static bool holds(const struct layer_paths *hits, uint64_t v)
{
    return hits->n && bsearch(&v, hits->v, hits->n, sizeof(v), by_value);
}

bool layer_paths_hide(const struct layer_paths *hits, struct str path, bool itself)
{
    uint64_t h = layer_path_hash(path), root = layer_path_hash(STR(""));
    if (itself && (holds(hits, h | LAYER_PATH_FILE) || holds(hits, h | LAYER_PATH_DIR)))
        return true;
    if (holds(hits, h | LAYER_PATH_GONE) || holds(hits, root | LAYER_PATH_OPAQUE) ||
        holds(hits, root | LAYER_PATH_GONE))
        return true;
    for (size_t i = path.n; i-- > 0;) {
        if (path.p[i] != '/')
            continue;
        h = layer_path_hash(str_sub(path, 0, i));
        if (holds(hits, h | LAYER_PATH_FILE) || holds(hits, h | LAYER_PATH_GONE) || holds(hits, h | LAYER_PATH_OPAQUE))
            return true;
    }
    return false;
}
