#include "format/json_keys.h"

#include "base/fs.h"

#include <stdlib.h>

#define KEYS_LINEAR 16u
#define KEYS_BYTES  (256u << 20)

struct json_keys_entry {
    uint32_t hash, n;
    size_t at;
};

void json_keys_fini(struct json_keys *k)
{
    for (unsigned i = 0; i <= LIMIT_JSON_DEPTH; i++)
        free(k->level[i].table);
    free(k->entries);
    buf_fini(&k->bytes);
}

void json_keys_open(struct json_keys *k, unsigned depth)
{
    struct json_keys_level *l = &k->level[depth];
    l->entries = k->entries_n;
    l->bytes = k->bytes.n;
    l->table_used = false;
    k->bytes.max = KEYS_BYTES;
}

void json_keys_close(struct json_keys *k, unsigned depth)
{
    k->entries_n = k->level[depth].entries;
    k->bytes.n = k->level[depth].bytes;
}

static struct str entry_key(const struct json_keys *k, const struct json_keys_entry *x)
{
    return str_n(k->bytes.p + x->at, x->n);
}

static void table_insert(struct json_keys *k, struct json_keys_level *l, size_t index)
{
    size_t slot = str_hash_keyed(k->seed, entry_key(k, &k->entries[index])) & (l->table_cap - 1);
    while (l->table[slot])
        slot = (slot + 1) & (l->table_cap - 1);
    l->table[slot] = (uint32_t)(index - l->entries + 1);
}

static void table_build(struct json_keys *k, struct json_keys_level *l, size_t count)
{
    size_t cap = 64;
    while (cap < count * 4)
        cap *= 2;
    if (cap > l->table_cap) {
        free(l->table);
        l->table = calloc(cap, sizeof(*l->table));
        if (!l->table)
            abort();
        l->table_cap = cap;
    } else {
        memset(l->table, 0, l->table_cap * sizeof(*l->table));
    }
    if (!k->seeded) {
        fs_random(k->seed, sizeof(k->seed));
        k->seeded = true;
    }
    for (size_t i = l->entries; i < k->entries_n; i++)
        table_insert(k, l, i);
    l->table_used = true;
}

int json_keys_add(struct json_keys *k, unsigned depth, struct str key)
{
    struct json_keys_level *l = &k->level[depth];
    size_t count = k->entries_n - l->entries, at = k->bytes.n;
    char *copy = buf_room(&k->bytes, key.n);
    if (!copy || key.n > UINT32_MAX || count >= UINT32_MAX / 4)
        return -E2BIG;
    if (k->fold)
        for (size_t i = 0; i < key.n; i++)
            copy[i] = key.p[i] >= 'A' && key.p[i] <= 'Z' ? (char)(key.p[i] + 32) : key.p[i];
    else if (key.n)
        memcpy(copy, key.p, key.n);
    struct str own = str_n(copy, key.n);
    struct json_keys_entry entry = {.hash = (uint32_t)str_hash(own), .n = (uint32_t)key.n, .at = at};
    if (count >= KEYS_LINEAR && (!l->table_used || count * 2 >= l->table_cap))
        table_build(k, l, count);
    if (l->table_used) {
        size_t slot = str_hash_keyed(k->seed, own) & (l->table_cap - 1);
        for (; l->table[slot]; slot = (slot + 1) & (l->table_cap - 1))
            if (str_eq(entry_key(k, &k->entries[l->entries + l->table[slot] - 1]), own))
                return -EEXIST;
        l->table[slot] = (uint32_t)count + 1;
    } else {
        for (size_t i = l->entries; i < k->entries_n; i++)
            if (k->entries[i].hash == entry.hash && str_eq(entry_key(k, &k->entries[i]), own))
                return -EEXIST;
    }
    if (k->entries_n == k->entries_cap) {
        k->entries_cap = k->entries_cap ? k->entries_cap * 2 : 64;
        k->entries = realloc(k->entries, k->entries_cap * sizeof(*k->entries));
        if (!k->entries)
            abort();
    }
    k->bytes.n += key.n;
    k->entries[k->entries_n++] = entry;
    return 0;
}
