/* identity: which container a process belongs to, read from /proc where the kernel side has not told it (processes that
 * were there before the sensor). The rule is the kernel's own: the last component of the cgroup's path that carries 64
 * lower-case hex digits, alone ("/docker/<id>") or between a prefix and ".scope" ("docker-<id>.scope",
 * "cri-containerd-<id>.scope", "libpod-<id>.scope").
 */
#ifndef BULKHEAD_RUNTIME_IDENTITY_H
#define BULKHEAD_RUNTIME_IDENTITY_H

#include "base/str.h"

#include <sys/types.h>

#define IDENTITY_TEXT 65 /* an id and its NUL */

/* Content of /proc/PID/cgroup. False when none of its lines names a container. */
bool identity_from_cgroup(struct str text, char ret[static IDENTITY_TEXT]);
/* -ESRCH: the process is gone; -ENOENT: not in a container. */
int identity_of_pid(pid_t pid, char ret[static IDENTITY_TEXT]);
/* Inode of the mount namespace, 0 when the process is gone. */
uint32_t identity_mnt_ns(pid_t pid);

#endif
