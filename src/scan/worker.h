/* worker: the half of a scan that runs in the jail. It reads an archive, an OCI layout or a directory tree, verifies
 * digests, and writes JSON lines:
 *
 *     {"progress":BYTES}            now and then
 *     {"image":{...}}               once, for images: identity, config, layers from the lowest
 *     {"want":"sha256:HEX"}         oci only, before a layer is read; one byte on `answer` says whether (WORKER_*)
 *     {"layer":{...}}               a record (layer.h) for each layer that was read, in order; for dir: the only one
 */
#ifndef BULKHEAD_SCAN_WORKER_H
#define BULKHEAD_SCAN_WORKER_H

#include "base/err.h"
#include "base/str.h"

enum worker_kind { WORKER_ARCHIVE, WORKER_OCI, WORKER_DIR };
enum { WORKER_READ = 'r', WORKER_KNOWN = 'k' };

struct probe_setup;
struct worker {
    enum worker_kind kind;
    int in;         /* archive: its bytes, file or pipe */
    int tree;       /* oci, dir: the directory */
    int answer;     /* oci: read end; -1: every layer is read */
    struct str tag; /* oci: tag; empty: the only image */
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
/* Config document -> image: its digest is the image's id. */
int worker_config(struct arena *a, struct str text, struct worker_image *ret, struct err *e);
int worker_tell_image(int out, const struct worker_image *im, struct err *e);
int worker_tell_layer(int out, const struct layer_record *l, struct err *e);
int worker_tell(int out, const char *key, struct str value, struct err *e);
int worker_tell_number(int out, const char *key, uint64_t value, struct err *e);
/* The layer must be a tar archive with this content. */
int worker_check_layer(const struct layer_record *l, struct str diff_id, struct err *e);
/* Read a descriptor to its end in blocks. */
int worker_pump(const struct worker *w, int fd, int out, int (*feed)(void *ctx, const void *p, size_t n, struct err *e),
                void *ctx, struct err *e);

#endif
