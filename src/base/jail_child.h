/* jail_child: the side of jail.c that runs in the child. Not for others. */
#ifndef BULKHEAD_BASE_JAIL_CHILD_H
#define BULKHEAD_BASE_JAIL_CHILD_H

#include "base/jail.h"

#include <sys/types.h>

enum { JAIL_MESSAGE_READY = 1, JAIL_MESSAGE_DONE = 2 };

/* Child to parent, on the status pipe; smaller than PIPE_BUF, so it arrives whole. */
struct jail_message {
    uint32_t kind, have;
    int32_t code;
    char text[1024];
};

_Noreturn void jail_child(const struct jail_opts *o, pid_t parent, int out, int status);

/* The seccomp filter: loads it for this process. -ENOTSUP where the kernel has none. */
int jail_seccomp(const struct jail_opts *o, struct err *e);

#endif
