/* map: string keys to pointers. Keys are copied, values borrowed. Iteration is in insertion order. Built on uthash.
 *
 *     _cleanup_(map_freep) struct map *m = map_new(LIMIT_X);
 *     map_put(m, STR("a"), value);
 *     MAP_EACH(m, it) use(it->key, it->value);
 */
#ifndef BULKHEAD_BASE_MAP_H
#define BULKHEAD_BASE_MAP_H

#include "base/str.h"

struct map;
struct map_entry {
    struct str key; /* NUL-terminated */
    void *value;
};

struct map *map_new(size_t max); /* at most max entries, abort beyond: cap first */
void map_free(struct map *m);    /* values are not freed */
void map_freep(struct map **m);
void *map_get(const struct map *m, struct str key); /* NULL when absent */
bool map_has(const struct map *m, struct str key);
void *map_put(struct map *m, struct str key, void *value); /* returns the value it replaced, NULL if new */
void *map_del(struct map *m, struct str key);              /* returns the value removed, NULL if absent */
size_t map_count(const struct map *m);
struct map_entry *map_next(const struct map *m, struct map_entry *it); /* NULL starts; NULL ends; the entry may be
                                                                        * deleted only after map_next moved on */
#define MAP_EACH(m, it) for (struct map_entry *it = map_next((m), NULL); it; it = map_next((m), it))

#endif
