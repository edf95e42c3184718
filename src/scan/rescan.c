#include "scan/rescan.h"

#include "base/cleanup.h"

static int by_number(const void *p, const void *q)
{
    uint64_t a = *(const uint64_t *)p, b = *(const uint64_t *)q;
    return (a > b) - (a < b);
}

struct str rescan_keys(struct arena *a, const struct inventory *inv)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new(64u << 20);
    uint64_t *keys = arena_array(a, inv->packages_n * INTEL_KEYS + 1, sizeof(*keys));
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < inv->packages_n; i++) {
        n += intel_keys(scratch, &inv->packages[i], &inv->os, keys + n);
        arena_reset(scratch);
    }
    qsort(keys, n, sizeof(*keys), by_number);
    for (size_t i = 0; i < n; i++)
        if (!kept || keys[kept - 1] != keys[i])
            keys[kept++] = keys[i];
    return (struct str){(const char *)keys, kept * sizeof(*keys)};
}

/* The shorter list is looked up in the longer one. */
bool rescan_concerned(struct str keys, const struct intel_changes *changes)
{
    if (keys.n % sizeof(uint64_t))
        return true;
    for (size_t i = 0; i < keys.n; i += sizeof(uint64_t)) {
        uint64_t key;
        memcpy(&key, keys.p + i, sizeof(key));
        if (intel_changes_has(changes, key))
            return true;
    }
    return false;
}
