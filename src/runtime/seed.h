/* seed: containers that ran before the sensor, told to the kernel at its start. */
#ifndef BULKHEAD_RUNTIME_SEED_H
#define BULKHEAD_RUNTIME_SEED_H

#include "base/err.h"
#include "base/str.h"
#include "bpf/event.h"

/* Remember root and mount namespace of each running container, and mark all of its tasks as inside. */
int seed_running(const char *bpf_dir, int containers, struct err *e);
/* Id of the container we run in ourselves, all NUL when in none. */
void seed_own_id(char id[static BH_ID]);
/* The id in one line of /proc/PID/cgroup, by the rule of bpf/identity.h (outermost name); false: none. */
bool seed_cgroup_id(struct str line, char id[static BH_ID]);

#endif
