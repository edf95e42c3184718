/* publication: intel in a registry, as an OCI artifact. The files are those of a publication in a folder
 * (intel/update.h): index.json is the config, base and deltas are the layers, named by org.opencontainers.image.title.
 * Earlier bases stay layers too, so that whoever publishes next can make deltas from them and needs no state of its
 * own. Blobs are verified by digest; what is believed in the end is the signature inside of the database.
 */
#ifndef BULKHEAD_ENGINE_PUBLICATION_H
#define BULKHEAD_ENGINE_PUBLICATION_H

#include "engine/registry.h"
#include "intel/update.h"

#define PUBLICATION_SCHEME "oci://" /* HOST/REPOSITORY:TAG behind it */

/* For intel_update.open; opts must outlive the source. */
int publication_open(const struct registry_opts *opts, struct arena *a, const char *url, struct intel_source *ret,
                     struct err *e);
/* Adds db, signed by key_path's key, to what is there. -ESTALE when something newer is. */
int publication_push(const struct registry_opts *opts, const char *url, const char *db, const char *key_path,
                     struct err *e);

#endif
