#include "base/map.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>

#define uthash_fatal(msg)                                                                                              \
    do {                                                                                                               \
        fprintf(stderr, "fatal: map: %s\n", msg);                                                                      \
        abort();                                                                                                       \
    } while (0)
#include <uthash.h>

struct node {
    struct map_entry entry; /* first: map_next casts */
    UT_hash_handle hh;
    char key[];
};

struct map {
    struct node *head;
    size_t max;
    uint64_t seed[2]; /* keys come from outside: collisions must not be computable */
};

struct map *map_new(size_t max)
{
    struct map *m = calloc(1, sizeof(*m));
    if (!m)
        uthash_fatal("out of memory");
    m->max = max;
    fs_random(m->seed, sizeof(m->seed));
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    struct node *it = m->head, *next;
    HASH_CLEAR(hh, m->head);
    for (; it; it = next) {
        next = it->hh.next;
        free(it);
    }
    free(m);
}

void map_freep(struct map **m)
{
    map_free(*m);
    *m = NULL;
}

static struct node *find(const struct map *m, struct str key, unsigned hash)
{
    struct node *found;
    const void *p = key.n ? key.p : "";
    HASH_FIND_BYHASHVALUE(hh, m->head, p, key.n, hash, found);
    return found;
}

void *map_get(const struct map *m, struct str key)
{
    struct node *n = m->head ? find(m, key, (unsigned)str_hash_keyed(m->seed, key)) : NULL;
    return n ? n->entry.value : NULL;
}

bool map_has(const struct map *m, struct str key)
{
    return m->head && find(m, key, (unsigned)str_hash_keyed(m->seed, key));
}

void *map_put(struct map *m, struct str key, void *value)
{
    unsigned hash = (unsigned)str_hash_keyed(m->seed, key);
    struct node *n = m->head ? find(m, key, hash) : NULL;
    if (n) {
        void *old = n->entry.value;
        n->entry.value = value;
        return old;
    }
    if (map_count(m) >= m->max)
        uthash_fatal("over its maximum; a size was not capped");
    n = calloc(1, sizeof(*n) + key.n + 1);
    if (!n)
        uthash_fatal("out of memory");
    if (key.n)
        memcpy(n->key, key.p, key.n);
    n->entry.key = str_n(n->key, key.n);
    n->entry.value = value;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, m->head, n->key, key.n, hash, n);
    return NULL;
}

void *map_del(struct map *m, struct str key)
{
    struct node *n = m->head ? find(m, key, (unsigned)str_hash_keyed(m->seed, key)) : NULL;
    if (!n)
        return NULL;
    void *value = n->entry.value;
    HASH_DELETE(hh, m->head, n);
    free(n);
    return value;
}

size_t map_count(const struct map *m)
{
    return HASH_COUNT(m->head);
}

struct map_entry *map_next(const struct map *m, struct map_entry *it)
{
    struct node *n = it ? ((struct node *)it)->hh.next : m->head;
    return n ? &n->entry : NULL;
}
