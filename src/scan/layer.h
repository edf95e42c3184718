/* layer: the bytes of one layer, in one pass, become a record: its digests and what its files prove.
 *
 * Bytes are pushed in as stored; they are hashed, unpacked, hashed again and read as tar. Files that an analyzer of
 * analyzers.tbl.h wants are held until they end and parsed; probes (probe.h) see all content stream by. The record says
 * what the layer adds and which paths it hides in the layers below, so that records can be merged without the layers
 * (merge.h). Records are cached by diff id.
 *
 * What a package of the system brought is not counted twice: the file lists of dpkg, rpm and apk mark the files of the
 * same layer that they own, as a record of its own file is there together with them.
 *
 * Runs in the jail. Semantics are those of engines (OCI image-spec, layer.md; Docker's UnpackLayer): entries apply in
 * the order of the archive, a later one replaces an earlier one; device nodes, fifos and unknown types are skipped; a
 * path that leads out of the root is a problem (engines refuse such a layer).
 *
 *     struct layer *l = layer_new(a, setup);
 *     while (...) if ((r = layer_feed(l, p, n, e)) < 0) return r;
 *     if ((r = layer_finish(l, &record, e)) < 0) return r;
 *
 * A file tree on disk has no archive: its entries go to layer_entry(), layer_data() and layer_end(), then
 * layer_finish_tree(). Whiteouts of overlayfs go to layer_whiteout(), names that begin with .wh. mean nothing there.
 */
#ifndef BULKHEAD_SCAN_LAYER_H
#define BULKHEAD_SCAN_LAYER_H

#include "format/json.h"
#include "format/package.h"
#include "format/tar.h"
#include "policy/finding.h"
#include "scan/layer_paths.h"

#define LAYER_VERSION 3 /* of records: see analyzers.tbl.h */

#define ANALYZER(id, kind, folder, name, parser) ANALYZER_##id,
enum analyzer {
#include "scan/analyzers.tbl.h"
    ANALYZERS /* none: a file that only probes had something to say about */
};
#undef ANALYZER

struct layer_file {
    enum analyzer analyzer;
    struct str path;    /* relative to the root */
    struct str link;    /* target when it is a symbolic link; then nothing was parsed */
    struct str problem; /* it is there, but could not be read; empty: fine */
    bool owned;         /* a package of the system brought it: it has no packages of its own */
    struct package *packages;
    size_t packages_n;
    struct finding *issues; /* malware and secrets in it: issue.h */
    size_t issues_n;
    struct os_release os; /* of os-release files */
    struct str *owns;     /* paths that its packages brought; only while the layer is read */
    size_t owns_n;
};

struct layer_record {
    struct str digest, diff_id; /* sha256:HEX of the bytes as stored, and unpacked */
    struct str compression;     /* none gzip zstd */
    int64_t size, content_size, entries;
    bool tar;                 /* false: no tar archive, so no layer */
    struct layer_paths paths; /* what it puts and takes away */
    struct layer_file *files;
    size_t files_n;
    struct str *problems;
    size_t problems_n;
};

struct layer;
struct probe_setup;
struct layer *layer_new(struct arena *a,
                        const struct probe_setup *setup); /* the record lives in a; setup may be NULL */
struct layer *layer_new_tree(struct arena *a, const struct probe_setup *setup);
void layer_free(struct layer *l); /* NULL is fine */
void layer_freep(struct layer **l);
int layer_feed(struct layer *l, const void *p, size_t n, struct err *e);
int layer_finish(struct layer *l, struct layer_record *ret, struct err *e);

/* The tar_sink of a layer, for trees. */
int layer_entry(void *l, const struct tar_entry *ent, struct err *e);
int layer_data(void *l, const void *p, size_t n, struct err *e);
int layer_end(void *l, struct err *e);
void layer_whiteout(struct layer *l, struct str path, bool opaque); /* gone, or a folder with nothing from below */
void layer_finish_tree(struct layer *l, struct layer_record *ret);

void layer_record_write(struct json_writer *w, const struct layer_record *l);
/* Strict: the JSON comes from the jail or from a cache. */
int layer_record_read(struct arena *a, const struct json_value *v, struct layer_record *ret, struct err *e);

/* For tests: parse one file as the analyzer of that path would. -ENOENT: no analyzer wants the path. */
int layer_file_parse(struct arena *a, struct str path, struct str content, struct layer_file *ret);
int layer_analyzer(struct str path); /* enum analyzer that wants the path, -ENOENT */
enum analyzer_kind { ANALYZER_OS, ANALYZER_OWNS, ANALYZER_FOUND, ANALYZER_LOCKED }; /* see analyzers.tbl.h */
enum analyzer_kind layer_analyzer_kind(enum analyzer a);                            /* of ANALYZERS: FOUND */
/* Is it a database of the system, or a folder above one? */
bool layer_path_matters(struct str path);

/* Packages as reports and records write them. */
void packages_write(struct json_writer *w, const struct package *list, size_t n, const struct os_release *purl_os);
int packages_read(struct arena *a, const struct json_value *v, struct package **ret, size_t *ret_n, struct err *e);
void os_release_write(struct json_writer *w, const struct os_release *os);
void os_release_read(const struct json_value *v, struct os_release *ret);

#endif
