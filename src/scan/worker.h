/* worker: the half of a scan that runs in the jail. It reads an archive, an OCI layout or a directory tree, verifies
 * digests, and writes JSON lines:
 *
 *     {"progress":BYTES}            now and then
 *     {"image":{...}}               once, for images: identity, config, layers from the lowest
 *     {"at":N}                      the layer, from 0, that the next line is about
 *     {"want":"sha256:HEX"}         before a layer is read; one byte on `answer` says whether (WORKER_*)
 *     {"layer":{...}}               a record (layer.h) for each layer that was read, in any order; for dir: the only
 * one
 *     {"fetch":{...}}               lanes only: send what is asked for (registry, see worker_fetch) through that lane
 *     {"root":"sha256:HEX"}         digest of the document that a tag led to
 */
#ifndef BULKHEAD_SCAN_WORKER_H
#define BULKHEAD_SCAN_WORKER_H

#include "base/err.h"
#include "base/str.h"

#include <pthread.h>

enum worker_kind { WORKER_ARCHIVE, WORKER_OCI, WORKER_DIR, WORKER_LANES, WORKER_SBOM };
enum { WORKER_READ = 'r', WORKER_KNOWN = 'k' };

struct probe_setup;
struct worker {
    enum worker_kind kind;
    int in;          /* archive: its bytes, file or pipe */
    int tree;        /* oci, dir: the directory */
    int answer;      /* read end; -1: every layer is read */
    struct str tag;  /* oci, archive: tag; empty: the only image */
    struct str root; /* oci, lanes: digest of the document to begin with; empty: index.json, or what the tag names */
    struct str platform; /* os/arch[/variant]; empty: this machine's */
    const int *lanes;    /* lanes: read ends, one for each thread */
    unsigned threads;    /* layers read at once; 0: 1 */
    bool progress;
    bool overlay;                     /* dir: devices 0/0 and opaque folders are overlayfs' whiteouts */
    const struct probe_setup *probes; /* NULL: the default */
};

int worker_run(const struct worker *w, int out, struct err *e);

/* ---- parts, for worker_*.c ---- */
#include "format/digest.h"
#include "format/manifest.h"
#include "scan/image_config.h"
#include "scan/layer.h"

struct worker_image {
    struct str image_id, digest; /* digest: of the manifest, empty when unknown */
    struct str *names;
    size_t names_n;
    struct image_config config;
    struct image_layers layers;
    struct finding *issues; /* secrets in the config, which is redacted */
    size_t issues_n;
};

int worker_archive(const struct worker *w, struct arena *a, int out, struct err *e);
int worker_oci(const struct worker *w, struct arena *a, int out, struct err *e);
int worker_dir(const struct worker *w, struct arena *a, int out, struct err *e);
int worker_sbom(const struct worker *w, struct arena *a, int out, struct err *e);
/* Config document -> image: its digest is the image's id. */
int worker_config(struct arena *a, struct str text, struct worker_image *ret, struct err *e);
int worker_tell_image(int out, const struct worker_image *im, struct err *e);
int worker_tell_layer(int out, const struct layer_record *l, struct err *e);
int worker_tell(int out, const char *key, struct str value, struct err *e);
int worker_tell_number(int out, const char *key, uint64_t value, struct err *e);
/* The layer must be a tar archive with this content. */
int worker_check_layer(const struct layer_record *l, struct str diff_id, struct err *e);
/* Read a descriptor to its end in blocks, telling progress. */
int worker_pump(const struct worker *w, int fd, int out, int (*feed)(void *ctx, const void *p, size_t n, struct err *e),
                void *ctx, struct err *e);

typedef int worker_feed_fn(void *ctx, const void *p, size_t n, struct err *e);
/* Bytes of a file from off on (n, or up to its end with UINT64_MAX), without moving its position. */
int worker_pump_quiet(int fd, uint64_t off, uint64_t n, worker_feed_fn *feed, void *ctx, struct err *e);

/* Where layers come from: push the stored bytes of layer i into feed. Called by several threads at once, each with a
 * lane of its own (from 0). lock: held by whoever writes to `out`. */
struct worker_source {
    int (*layer)(void *ctx, size_t i, unsigned lane, worker_feed_fn *feed, void *feed_ctx, struct err *e);
    void *ctx;
    pthread_mutex_t *lock;
};
/* Reads all layers that are wanted and tells their records. blobs: what a manifest says about them; NULL. */
int worker_layers(const struct worker *w, struct arena *a, const struct worker_image *im,
                  const struct oci_descriptor *blobs, const struct worker_source *src, int out, struct err *e);

/* Ask for a document or blob through a lane: kind "root" (no digest: what the tag names), "manifest" or "blob". The
 * other side answers with frames: length (uint32_t, at most LANE_BLOCK) and bytes; 0 ends, LANE_BROKEN: it failed. */
#define LANE_BLOCK  (256u << 10)
#define LANE_BROKEN UINT32_MAX
int worker_fetch(const struct worker *w, unsigned lane, const char *kind, struct str digest, uint64_t max,
                 pthread_mutex_t *lock, int out, worker_feed_fn *sink, void *ctx, struct err *e);

#endif
