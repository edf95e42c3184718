/* json_keys: the keys seen so far in each open object, to refuse duplicates. Internal to json.c.
 *
 * One stack of key bytes and entries serves all open objects. Up to KEYS_LINEAR keys an object is searched linearly;
 * beyond that a table keyed with a random SipHash is built, so that crafted keys cannot make it quadratic.
 */
#ifndef BULKHEAD_FORMAT_JSON_KEYS_H
#define BULKHEAD_FORMAT_JSON_KEYS_H

#include "base/buf.h"
#include "base/limits.h"

struct json_keys_level {
    size_t entries, bytes; /* where the object's part of the stacks starts */
    uint32_t *table;       /* entry index + 1, 0 free; kept for the next object of this depth */
    size_t table_cap;
    bool table_used;
};

struct json_keys {
    struct json_keys_entry *entries;
    size_t entries_n, entries_cap;
    struct buf bytes;
    uint64_t seed[2];
    bool seeded, fold;
    struct json_keys_level level[LIMIT_JSON_DEPTH + 1];
};

void json_keys_fini(struct json_keys *k);
void json_keys_open(struct json_keys *k, unsigned depth);
void json_keys_close(struct json_keys *k, unsigned depth);
int json_keys_add(struct json_keys *k, unsigned depth, struct str key); /* -EEXIST, -E2BIG */

#endif
