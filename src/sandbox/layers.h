/* layers: the file system of an image, unpacked for a sandbox. Every byte of the image is read by a child of its own
 * that has no network, sees nothing but the directory it unpacks to, holds only the capabilities that files need
 * (owner, mode) and cannot get others. Devices are left out; content is taken by digest, so only what the scan saw is
 * unpacked.
 *
 *     sandbox_unpack(inv, feed, ctx, "/var/tmp/x", &user, e)      // -> /var/tmp/x/rootfs
 */
#ifndef BULKHEAD_SANDBOX_LAYERS_H
#define BULKHEAD_SANDBOX_LAYERS_H

#include "scan/inventory.h"

#define SANDBOX_BYTES   (16ull << 30) /* of all files together */
#define SANDBOX_ENTRIES 4000000u

struct sandbox_user {
    uint32_t uid, gid;
};

/* Hands the archive (docker save or OCI, maybe compressed) piece by piece to put(). */
typedef int sandbox_put_fn(void *ctx, const void *p, size_t n, struct err *e);
typedef int sandbox_feed_fn(void *ctx, sandbox_put_fn *put, void *put_ctx, struct err *e);

/* user: who the image's config names, by /etc/passwd and /etc/group of the image. */
int sandbox_unpack(const struct inventory *inv, sandbox_feed_fn *feed, void *ctx, const char *dir,
                   struct sandbox_user *user, struct err *e);

#endif
