/* layer_paths: which paths a layer puts in place and takes away, as 62-bit hashes, so that records of layers can be
 * merged (merge.h) without the layers: 8 bytes an entry. SipHash with a fixed key: who plants a collision hides a
 * file, which a whiteout does with less work.
 */
#ifndef BULKHEAD_SCAN_LAYER_PATHS_H
#define BULKHEAD_SCAN_LAYER_PATHS_H

#include "format/json.h"

enum layer_path { LAYER_PATH_FILE, LAYER_PATH_DIR, LAYER_PATH_GONE, LAYER_PATH_OPAQUE };

struct layer_paths {
    uint64_t *v; /* hash << 2 | enum layer_path, in the order of the archive */
    size_t n, cap;
};

void layer_paths_fini(struct layer_paths *p); /* of one that was added to */
uint64_t layer_path_hash(struct str path);
void layer_paths_add(struct layer_paths *p, enum layer_path kind, struct str path);
void layer_paths_write(struct json_writer *w, const char *key, const struct layer_paths *p);
int layer_paths_read(struct arena *a, const struct json_value *v, struct layer_paths *ret, struct err *e);

/* The question of a merge: which of many paths of lower layers does this layer hide? */
struct path_set;
struct path_set *path_set_new(void);
void path_set_free(struct path_set *s);
void path_set_freep(struct path_set **s);
void path_set_add(struct path_set *s, struct str path); /* and all folders above it */
/* Those of p that could hide something in the set, sorted. malloc'ed. */
struct layer_paths path_set_hits(const struct path_set *s, const struct layer_paths *p);
/* With the hits: is what lower layers have at this path out of sight? itself: also because this layer has something
 * at the very same path. */
bool layer_paths_hide(const struct layer_paths *hits, struct str path, bool itself);

#endif
