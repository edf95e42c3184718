/* jail: run a parser of hostile bytes in a child that can do nothing but compute.
 *
 * jail_run() forks; the child keeps only the descriptors it is given, becomes nobody (when root), loses every
 * capability, may not gain privileges (no_new_privs), has its memory, processor time and files capped, and then runs
 * `child` under a seccomp allow-list: no socket, no exec, no new process, no signal to others, no open (with `tree`:
 * open for reading below that directory only), no executable memory. Namespaces (net, mount, ipc, uts; through a user
 * namespace when not root), an empty root and Landlock are added where the host allows; what is missing is told in
 * the report, never an error, but for seccomp: without it jail_run refuses with -ENOTSUP.
 * Forbidden calls answer EPERM; the obvious signs of a takeover (exec, socket, ptrace, bpf, ...) kill the child.
 *
 * The child gets a copy of the caller's memory, so secrets (keys) must not have been loaded yet. It returns 0 or a
 * negative errno with its story in `e`, both of which travel to the caller; bytes it writes to `out` come to `output`
 * in the parent as they arrive (treat them as hostile). Fork in a process with threads is fine with glibc: the child
 * may use malloc.
 *
 *     struct jail_opts o = {.name = "feed parser", .fds = &fd, .fds_n = 1, .memory = 256u << 20, .cpu_seconds = 60,
 *                           .output_max = 1u << 30, .child = parse, .output = take, .arg = &ctx};
 *     r = jail_run(&o, &report, e);
 *
 * Errors: what child or output returned; -E2BIG output_max; -ETIMEDOUT processor or wall time; -ENOMEM memory;
 * -EPERM a call that kills; -EBADMSG crashed otherwise; -ENOTSUP the host cannot jail.
 */
#ifndef BULKHEAD_BASE_JAIL_H
#define BULKHEAD_BASE_JAIL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* JAIL_PART(id, what the report calls it) */
#define JAIL_PARTS(X)                                                                                                  \
    X(SECCOMP, "seccomp")           /* the allow-list; always there */                                                 \
    X(UNPRIVILEGED, "unprivileged") /* not uid 0 of the host, no capabilities */                                       \
    X(LANDLOCK, "landlock")         /* file system closed a second time */                                             \
    X(NETNS, "network namespace")                                                                                      \
    X(MOUNTNS, "mount namespace")                                                                                      \
    X(IPCNS, "ipc namespace")                                                                                          \
    X(ROOT, "own root directory") /* empty, or `tree` */

enum jail_part {
#define X(id, name) JAIL_##id##_BIT,
    JAIL_PARTS(X)
#undef X
        JAIL_PARTS_N
};

struct jail_report {
    unsigned have; /* bit (1u << enum jail_part) for each part in force */
};

enum {
    JAIL_THREADS = 1,  /* the child may start threads */
    JAIL_READ_ALL = 2, /* with tree, as root: keep CAP_DAC_READ_SEARCH, so that files of mode 0600 can be read */
};

struct jail_opts {
    const char *name; /* for messages */
    const int *fds;   /* what the child keeps, under the same numbers */
    size_t fds_n;
    const int *tree;       /* a directory below which it may open for reading; NULL: it may open nothing. Without an
                            * own root and without Landlock on this host: -ENOTSUP. Paths are relative to *tree, or
                            * start at it when they begin with '/' and JAIL_ROOT is in force */
    uint64_t memory;       /* address space in bytes, beyond what the caller has mapped; 0: 1 GiB */
    unsigned cpu_seconds;  /* 0: 600 */
    unsigned wall_seconds; /* 0: 3600 */
    uint64_t output_max;   /* bytes on `out` */
    uint64_t file_max;     /* size up to which it may write to files among fds; 0: none */
    int flags;
    int (*child)(void *arg, int out, struct err *e);                  /* in the child */
    int (*output)(void *arg, const void *p, size_t n, struct err *e); /* in the caller; may be NULL */
    void *arg;                                                        /* for both; the child has its own copy */
};

int jail_run(const struct jail_opts *o, struct jail_report *ret, struct err *e); /* ret may be NULL */

/* "landlock, network namespace": what is not in force; "" when nothing is missing. Truncated to size. */
const char *jail_missing(const struct jail_report *r, char *out, size_t size);

#endif
