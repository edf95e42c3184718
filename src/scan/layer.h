/* layer: the bytes of one layer, in one pass, become a record: its digests and what its files prove.
 *
 * Bytes are pushed in as stored; they are hashed, unpacked, hashed again, read as tar, and files that an analyzer of
 * analyzers.tbl.h wants are held until they end and parsed. The record says what the layer adds and what it takes away
 * from the layers below (whiteouts, opaque directories, files in the place of directories), as far as any analyzer's
 * paths are touched, so that records can be merged without the layers (merge.h). Records are cached by diff id.
 *
 * Runs in the jail. Semantics are those of engines (OCI image-spec, layer.md; Docker's UnpackLayer): entries apply in
 * the order of the archive, a later one replaces an earlier one; device nodes, fifos and unknown types are skipped; a
 * path that leads out of the root is a problem (engines refuse such a layer).
 *
 *     struct layer *l = layer_new(a);
 *     while (...) if ((r = layer_feed(l, p, n, e)) < 0) return r;
 *     if ((r = layer_finish(l, &record, e)) < 0) return r;
 */
#ifndef BULKHEAD_SCAN_LAYER_H
#define BULKHEAD_SCAN_LAYER_H

#include "format/json.h"
#include "format/package.h"

#define LAYER_VERSION 1 /* of records: see analyzers.tbl.h */

#define ANALYZER(id, name, pattern, parser) ANALYZER_##id,
enum analyzer {
#include "scan/analyzers.tbl.h"
    ANALYZERS
};
#undef ANALYZER

struct layer_file {
    enum analyzer analyzer;
    struct str path;    /* relative to the root */
    struct str link;    /* target when it is a symbolic link; then nothing was parsed */
    struct str problem; /* it is there, but could not be read; empty: fine */
    struct package *packages;
    size_t packages_n;
    struct os_release os; /* of os-release files */
};

struct layer_record {
    struct str digest, diff_id; /* sha256:HEX of the bytes as stored, and unpacked */
    struct str compression;     /* none gzip zstd */
    int64_t size, content_size, entries;
    bool tar;            /* false: no tar archive, so no layer */
    struct str *removed; /* paths gone from the layers below, with all below them */
    size_t removed_n;
    struct str *opaque; /* directories of which the content below is gone */
    size_t opaque_n;
    struct layer_file *files;
    size_t files_n;
    struct str *problems;
    size_t problems_n;
};

struct layer;
struct layer *layer_new(struct arena *a); /* the record lives in a, and so does what is held */
void layer_free(struct layer *l);         /* NULL is fine */
void layer_freep(struct layer **l);
int layer_feed(struct layer *l, const void *p, size_t n, struct err *e);
int layer_finish(struct layer *l, struct layer_record *ret, struct err *e);

void layer_record_write(struct json_writer *w, const struct layer_record *l);
/* Strict: the JSON comes from the jail or from a cache. */
int layer_record_read(struct arena *a, const struct json_value *v, struct layer_record *ret, struct err *e);

/* For dir: and tests: parse one file as the analyzer of that path would. -ENOENT: no analyzer wants the path. */
int layer_file_parse(struct arena *a, struct str path, struct str content, struct layer_file *ret);
int layer_analyzer(struct str path); /* enum analyzer that wants the path, -ENOENT */
/* Does any analyzer want this path, or one below it? */
bool layer_path_matters(struct str path);

/* Packages as reports and records write them. */
void packages_write(struct json_writer *w, const struct package *list, size_t n, const struct os_release *purl_os);
int packages_read(struct arena *a, const struct json_value *v, struct package **ret, size_t *ret_n, struct err *e);
void os_release_write(struct json_writer *w, const struct os_release *os);
void os_release_read(const struct json_value *v, struct os_release *ret);

#endif
