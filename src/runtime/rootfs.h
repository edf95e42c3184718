/* rootfs: what a container's own files say of it: which package brought a program, which user has a uid.
 *
 * The container writes these files as it likes, so all of it is a claim of the container, good for telling and never
 * for deciding. Reading is safe whatever it does: nothing is opened outside of the superblock that the kernel
 * remembers as the container's root (no mount of its own, no FUSE, no link or magic link leads elsewhere), sizes and
 * counts are capped, and look-ups per second are (ROOTFS_BUDGET, over that the answer is "unknown"). The parsers are
 * pure and fuzzed.
 *
 * A package counts as installed in the container when the overlay's upper layer says so and the image does not.
 *
 *     struct rootfs *fs = rootfs_new();
 *     rootfs_user(fs, id, pids, n, kernel_root_dev, uid, name);
 */
#ifndef BULKHEAD_RUNTIME_ROOTFS_H
#define BULKHEAD_RUNTIME_ROOTFS_H

#include "base/arena.h"

#include <sys/types.h>

#define ROOTFS_BUDGET 50u         /* look-ups a second that touch the container's files */
#define ROOTFS_FILE   (16u << 20) /* longest file that is read */
#define ROOTFS_LISTS  4096u       /* file lists of dpkg looked at */
#define ROOTFS_TOTAL  (64u << 20) /* bytes of them */
#define ROOTFS_USER   33u         /* longest user name told, with its NUL */

struct rootfs_root { /* whose files: any live process of the container, and its root as the kernel knows it */
    struct str id;
    const int64_t *pids;
    size_t pids_n;
    uint32_t dev; /* kernel's dev_t: major << 20 | minor */
};

struct rootfs;
struct rootfs *rootfs_new(void);
void rootfs_free(struct rootfs *fs); /* NULL is fine */

/* Name of a uid in the container's /etc/passwd; empty: unknown. Lives until the next call. */
struct str rootfs_user(struct rootfs *fs, const struct rootfs_root *r, int64_t uid);

struct rootfs_package {
    const char *manager; /* "dpkg", "apk" */
    struct str name, version;
};
/* Which package, installed since the container was created, brought this file (path as the container sees it)? */
bool rootfs_package(struct rootfs *fs, struct arena *a, const struct rootfs_root *r, struct str path,
                    struct rootfs_package *ret);

/* The upper layer of the container's root overlay, as a path of the host; false: no overlay, or nobody alive. */
bool rootfs_upper(const struct rootfs_root *r, struct arena *a, struct str *upper, struct str *lower);

/* ---- pure, for tests ---- */
/* Layers of the overlay with this device in the text of /proc/PID/mountinfo; lower: its lowerdir option, unescaped. */
bool rootfs_parse_overlay(struct arena *a, struct str mountinfo, uint32_t dev, struct str *upper, struct str *lower);
bool rootfs_parse_passwd(struct str text, int64_t uid, struct str *name);
bool rootfs_parse_list(struct str text, struct str path);                            /* dpkg: NAME.list */
bool rootfs_parse_apk(struct str text, struct str path, struct rootfs_package *ret); /* lib/apk/db/installed */

#endif
