/* self: what the kernel keeps out of reach of containers, privileged ones included (bpf/self.bpf.c): the agent's
 * processes, its pinned programs, maps and links, its files and sockets. Whatever the policy says; what tries is an
 * event of control `sensor`. On the lsm tier it is refused. On the
 * trace tier whoever signals the agent dies, and the rest is seen afterwards: removed pins by self_pins().
 *
 *     struct self_path paths[] = {{state, BH_SELF_ALL}, {"/usr/bin/bulkhead-agent", BH_SELF_WRITES}};
 *     self_protect(bpf_dir, pids, n, paths, ARRAY_LEN(paths), &e);
 *
 * Asked again it replaces what was told before. One thread.
 */
#ifndef BULKHEAD_RUNTIME_SELF_H
#define BULKHEAD_RUNTIME_SELF_H

#include "base/err.h"
#include "bpf/event.h"

#include <stdbool.h>
#include <sys/types.h>

struct self_path {
    const char *path; /* one that is not there is left out */
    enum bh_self_file how;
};

int self_protect(const char *bpf_dir, const pid_t *pids, size_t pids_n, const struct self_path *paths, size_t paths_n,
                 struct err *e);
/* Nothing is protected any more. */
int self_release(const char *bpf_dir, struct err *e);

/* How many pins of programs and maps there are; those that come and go on demand left out. */
size_t self_pins(const char *bpf_dir);

#endif
