/* cgroup: what can be done to a whole container from outside, by its cgroups: freeze, throttle, kill. v1, v2 and
 * hybrid.
 *
 * The container's own cgroup is the one that names its id (the outermost such name), found from any live process of
 * it; where no such cgroup carries what is needed the answer is -ENOTSUP. Works without the agent and after it: all
 * state is the kernel's.
 *
 *     struct cgroup c;
 *     if (cgroup_find(id, pid, &c, e) == 0) r = cgroup_freeze(&c, true, e);
 */
#ifndef BULKHEAD_RUNTIME_CGROUP_H
#define BULKHEAD_RUNTIME_CGROUP_H

#include "base/arena.h"
#include "base/err.h"

#include <sys/types.h>

#define CGROUP_PATH 1024
#define CGROUP_PIDS 65536u /* listed of one container */

struct cgroup { /* folders; empty: none */
    char unified[CGROUP_PATH], freezer[CGROUP_PATH], cpu[CGROUP_PATH], any[CGROUP_PATH];
};

/* pid: any process of container id (64 hex digits). -ESRCH: it is gone or not of that container. */
int cgroup_find(struct str id, pid_t pid, struct cgroup *ret, struct err *e);

/* Returns when all of its processes are frozen (-ETIMEDOUT: not within a second; it goes on freezing). */
int cgroup_freeze(const struct cgroup *c, bool on, struct err *e);
bool cgroup_frozen(const struct cgroup *c);

/* At most this part of one processor, in percent; 0: what was before, which is in `was` (made by the first call). */
int cgroup_throttle(const struct cgroup *c, unsigned percent, char was[static 64], struct err *e);

/* Every process of it, those of cgroups below too. Forks do not outrun it: it is frozen meanwhile where that is
 * possible. A container frozen before is thawed: the dead need to run to die. */
int cgroup_kill(const struct cgroup *c, struct err *e);

/* Processes, of cgroups below too; at most CGROUP_PIDS. */
int cgroup_pids(const struct cgroup *c, struct arena *a, int64_t **ret, size_t *n, struct err *e);

/* ---- pure, for tests: the folder of one line of /proc/PID/cgroup that names the id; false: it does not ---- */
bool cgroup_line(struct str line, struct str id, struct str *controllers, struct str *path);

#endif
