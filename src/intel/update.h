/* update: intel from a publication, with mirrors.
 *
 * A publication is a folder that any static server can serve: index.json, the base as intel-SHA256.db.zst, deltas from
 * the last ones as delta-FROM-TO. intel_publish() adds a signed database to it and keeps the newest PUBLISH_KEEP. The
 * index needs no signature: it only says where the files are. What comes out must verify with the key, must not be
 * older than what is there (serial, date) and must not have expired (intel_supersedes()), so a mirror can refuse to
 * serve, but neither roll back nor hold back for longer than the term that the signer set.
 *
 * intel_update() asks the mirrors in their order until one answers; If-None-Match makes "nothing new" cost one request.
 * A delta from what is there is taken when there is one, else the base. The file is replaced by rename.
 *
 * An address is that of a folder, or oci://HOST/REPOSITORY:TAG for a publication in a registry. How one is read is
 * handed in (engine/publication.h), because registries are known further up in the house.
 *
 *     index.json: {"format":"bulkhead/intel-index/1","revision":..,"serial":..,"built":..,"expires":..,"file":..,
 *                  "sha256":..,"size":..,"deltas":[{"from":SHA256,"file":..,"size":..}]}
 */
#ifndef BULKHEAD_INTEL_UPDATE_H
#define BULKHEAD_INTEL_UPDATE_H

#include "net/http.h"

enum { PUBLISH_KEEP = 8 };

/* db: signed by the key of key_path (public). */
int intel_publish(const char *db, const char *key_path, const char *folder, struct err *e);

/* Where the files of a publication come from when it is not a folder on the web. */
struct intel_source {
    /* The text of index.json; *ret.p NULL: it is still what `known` names (a *ret_tag of earlier, or empty). */
    int (*index)(void *ctx, struct arena *a, struct str known, struct str *ret, struct str *ret_tag, struct err *e);
    int (*file)(void *ctx, struct str name, uint64_t max, http_sink_fn *sink, void *sink_ctx, struct err *e);
    void (*close)(void *ctx); /* may be NULL */
    void *ctx;
};

enum intel_updated { INTEL_UNCHANGED, INTEL_BASE, INTEL_DELTA };
struct intel_update {
    const char *const *urls; /* in the order to try */
    size_t urls_n;
    const char *key_path, *output;
    const char *ca_file;                       /* NULL: the system's */
    void (*tell)(void *arg, const char *text); /* a mirror that failed; may be NULL */
    /* Opens an oci:// address; the source lives in the arena. NULL: there are no registries. */
    int (*open)(void *arg, struct arena *a, const char *url, struct intel_source *ret, struct err *e);
    void *arg; /* of both */
};
/* *ret_bytes: that came over the network. Errors are those of the last mirror. */
int intel_update(const struct intel_update *u, enum intel_updated *ret, uint64_t *ret_bytes, struct err *e);

#endif
