/* fs: files, whole and safe. All descriptors are O_CLOEXEC. */
#ifndef BULKHEAD_BASE_FS_H
#define BULKHEAD_BASE_FS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

/* Read a whole file (or descriptor) of at most max bytes into the arena, NUL-terminated behind n. -E2BIG over max. */
int fs_read(struct arena *a, const char *path, size_t max, struct str *ret, struct err *e);
int fs_read_fd(struct arena *a, int fd, size_t max, struct str *ret, struct err *e);

/* Replace a file atomically: temporary in the same directory, fsync, rename, fsync of the directory. */
int fs_write(const char *path, struct str content, mode_t mode, struct err *e);
int fs_write_all(int fd, const void *p, size_t n, struct err *e); /* retries short writes and EINTR */

int fs_mkdirs(const char *path, mode_t mode, struct err *e); /* like mkdir -p; existing is fine */
int fs_lock(const char *path, int *ret_fd, struct err *e);   /* exclusive lock file, -EBUSY when held by another */
bool fs_exists(const char *path);
int fs_remove_tree(const char *path, struct err *e); /* never follows links, stays on one file system */
int fs_random(void *p, size_t n);                    /* getrandom, never short; aborts when unavailable */
void fs_wipe(void *p, size_t n);                     /* zero memory that held a secret */

#endif
