/* profile_internal: a profile in memory, shared by the files of the module. */
#ifndef BULKHEAD_RUNTIME_PROFILE_INTERNAL_H
#define BULKHEAD_RUNTIME_PROFILE_INTERNAL_H

#include "base/map.h"
#include "runtime/profile.h"

/* A profile whose arrays live in one arena, and an index of its paths. */
struct learned {
    struct profile p;
    struct arena *a;
    struct map *by_path;
    size_t cap, peers_cap, folders_cap;
    bool dirty, was_stable;
    int64_t written;
};

struct learned *profile_learned(struct profiles *ps, struct str image_id, struct str image, bool create, int64_t now);
void profile_new_thing(struct learned *l, int64_t now); /* something was seen that was not there: not stable */
void profile_write_more(struct json_writer *w, const struct profile *p);
void profile_read_more(struct arena *a, const struct json_value *v, struct profile *p);
void profile_copy_more(struct learned *l, const struct profile *from);

#endif
