/* demand: kernel programs that make calls dearer which nobody watches, attached only while a container needs them.
 *
 *   compat  the raw system call entry, for 32-bit calls: while a container runs that bulkhead-runc did not close this
 *           entry for (seccomp), and while none runs at all, because the next one may not be closed either
 *   learn   the raw system call entry, for the calls of containers in mode learn
 *   opens   the way out of the open calls: while a policy has `files`, or a container is so privileged that it reaches
 *           the kernel's own files
 *
 * The first and the last belong to the trace tier alone. The programs are loaded and pinned with all others
 * (LINKS/demand-NAME); setting a demand pins or unpins their links, from whichever process: the agent, or bulkhead-runc
 * before a start. Off is only ever set by the agent (demand_tend), which knows all containers.
 */
#ifndef BULKHEAD_RUNTIME_DEMAND_H
#define BULKHEAD_RUNTIME_DEMAND_H

#include "base/err.h"

#include <bpf/libbpf.h>
#include <stdbool.h>

enum demand { DEMAND_COMPAT, DEMAND_LEARN, DEMAND_OPENS, DEMANDS };

bool demand_has(const char *program); /* is it one that is attached on demand? */
/* Pin the loaded program for later. */
int demand_keep(struct bpf_program *p, const char *links_dir, struct err *e);
/* Attach or detach under every directory of links; what is so already stays. No programs there: nothing to do. */
int demand_set(const char *bpf_dir, enum demand d, bool on, struct err *e);
/* Look at containers and policies and set them all. `always` has the bits of demands that stay on. */
int demand_tend(const char *bpf_dir, unsigned always, struct err *e);
/* Can programs of this host enter the kernel by the 32-bit door at all? Tried by a child of ours. */
bool demand_compat_possible(void);

#endif
