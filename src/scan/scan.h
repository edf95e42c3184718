/* scan: a target becomes an inventory. The caller's process opens descriptors and talks to the engine; every byte of
 * the image is read by worker.h in the jail, and what comes back is checked again here.
 *
 * Errors mean that there is no inventory (no such image, digest mismatch, damaged layer, bomb ...). What could be read
 * only in part ends in inventory.problems and incomplete.
 *
 *     struct scan_opts o = {.cache_dir = cache_default_dir(a)};
 *     struct inventory inv;
 *     if ((r = scan_target(a, "archive:app.tar", &o, &inv, e)) < 0) ...
 */
#ifndef BULKHEAD_SCAN_SCAN_H
#define BULKHEAD_SCAN_SCAN_H

#include "base/jail.h"
#include "engine/registry.h"
#include "scan/inventory.h"
#include "scan/probe.h"

struct scan_opts {
    const char *engine_url; /* of docker: targets; NULL: $DOCKER_HOST, else the default socket */
    struct registry_opts registry;
    const char *platform;                        /* os/arch[/variant]; NULL: this machine's */
    const char *cache_dir;                       /* NULL: no cache */
    uint64_t memory;                             /* budget; 0: 256 MiB */
    void (*progress)(void *ctx, uint64_t bytes); /* bytes read so far; NULL */
    void *progress_ctx;
    struct probe_setup probes; /* what is looked for in content; all zero: the default */
    struct jail_report *jail;  /* filled when not NULL */
};

int scan_target(struct arena *a, const char *target, const struct scan_opts *o, struct inventory *ret, struct err *e);

#endif
