/* scan, inside: scan.c talks with the worker and builds the inventory, scan_source.c opens what a target names,
 * scan_lanes.c carries documents and blobs of a registry to the worker. */
#ifndef BULKHEAD_SCAN_SCAN_INTERNAL_H
#define BULKHEAD_SCAN_SCAN_INTERNAL_H

#include "base/buf.h"
#include "engine/target.h"
#include "scan/layer.h"
#include "scan/probe.h"
#include "scan/scan.h"
#include "scan/worker.h"

struct lanes;

struct scan {
    struct arena *a;
    const struct scan_opts *o;
    struct worker worker;
    struct buf line; /* output of the worker up to the next newline */
    uint64_t progress;
    int answer; /* write end */
    struct lanes *lanes;
    bool has_image;
    struct str root; /* digest of the document that the tag led to */
    struct inventory *inv;
    struct str *diff_ids; /* what the image's config promises */
    size_t diff_ids_n;
    struct layer_record *records;
    bool *have;
    size_t records_n, at; /* records: as many as diff_ids */
    size_t packages_n;    /* in all records */
    struct str *history;
    size_t history_n;
    struct finding *issues; /* of the config */
    size_t issues_n;
};

int scan_open(struct scan *s, const struct target *t, struct err *e); /* runs the worker on the target */
/* Run the worker in the jail with these descriptors. */
int scan_jailed(struct scan *s, const int *fds, size_t fds_n, const int *tree, struct err *e);
/* All of an image's layers are known from an earlier scan, by its id: 0, else -ENOENT. */
int scan_cached(struct scan *s, struct str image_id);
int scan_image_read(struct scan *s, const struct json_value *v, struct err *e);
bool scan_is_image(const struct scan *s); /* not a file tree or SBOM */
unsigned scan_threads(const struct scan_opts *o);

/* Lanes: threads that answer the worker's requests for documents and blobs through pipes. Connections are opened by
 * the first request, when the jail has forked, so that it has no copy of any secret. */
struct lane_source {
    int (*connect)(void *ctx, void **ret, struct err *e);
    /* kind as in worker_fetch() */
    int (*get)(void *conn, struct str kind, struct str digest, uint64_t max, worker_feed_fn *sink, void *sink_ctx,
               struct err *e);
    void (*disconnect)(void *conn);
    void (*cancel)(void *ctx); /* what runs and what comes ends soon */
    void *ctx;
};
int lanes_new(const struct lane_source *src, unsigned n, struct lanes **ret, struct err *e);
const int *lanes_read_ends(const struct lanes *l);
int lanes_request(struct lanes *l, const struct json_value *v, struct err *e); /* a {"fetch"} of the worker */
int lanes_stop(struct lanes *l, struct err *e); /* cancels, joins; 0, or why a transfer failed */
void lanes_free(struct lanes *l);               /* NULL is fine */
void lanes_freep(struct lanes **l);

#endif
