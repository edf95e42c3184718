/* process: the process tree in user space: what the kernel's events do not carry along.
 *
 * An event brings its program, its arguments (exec only) and up to five parents. The tree adds arguments to the other
 * events, names parents that ran before the sensor, and continues the chain. It is fed by exec and exit events and,
 * at start, by /proc; a process that is not in it is looked up in /proc when asked for. Bounded: PROCESS_MAX entries,
 * of PROCESS_TEXT bytes of text each at most; over that the ones that ended first go, then the oldest.
 *
 * A process is (pid, start time): a reused pid is another process. Ended ones stay for a while, because events of their
 * children arrive after them. Not thread-safe.
 *
 *     struct processes *t = processes_new(0);
 *     processes_scan(t);                                   // what is there already
 *     processes_exec(t, &(struct process){.pid = 812, ...});
 *     const struct process *p = processes_get(t, 812, started);
 */
#ifndef BULKHEAD_RUNTIME_PROCESS_H
#define BULKHEAD_RUNTIME_PROCESS_H

#include "base/arena.h"
#include "format/event.h"
#include "runtime/identity.h"

#define PROCESS_MAX     16384u
#define PROCESS_TEXT    1024u
#define PROCESS_PARENTS 16u /* longest chain told */

struct process {
    int64_t pid, ppid, uid;
    int64_t started;        /* instant; 0 unknown */
    struct str exe;         /* as the container sees it; empty: a kernel thread or unknown */
    struct str args;        /* NUL-separated */
    char id[IDENTITY_TEXT]; /* container; "" for the host */
    bool ended;
};

struct processes;

struct processes *processes_new(size_t max); /* 0: PROCESS_MAX */
void processes_free(struct processes *t);    /* NULL is fine */
size_t processes_count(const struct processes *t);
void processes_only_told(struct processes *t); /* recorded history: never ask /proc */

/* Everything in /proc. Returns the number of processes that are in containers. */
size_t processes_scan(struct processes *t);
/* A process began or became another program; strings are copied. Entries of earlier bearers of the pid go. */
void processes_exec(struct processes *t, const struct process *p);
void processes_exit(struct processes *t, int64_t pid);
/* NULL when neither the tree nor /proc knows it. started: instant, to tell apart a reused pid (2 s of tolerance: the
 * clock may have been set); 0: whoever has the pid. Valid until the next call that changes the tree. */
const struct process *processes_get(struct processes *t, int64_t pid, int64_t started);

/* Parents of pid from the tree, nearest first, into the arena; stops at the container's border unless `beyond`. */
size_t processes_parents(struct processes *t, struct arena *a, int64_t pid, bool beyond, struct event_parent **ret);

/* Calls fn for each live process of a container; id NULL: of any container. */
void processes_each(struct processes *t, const char *id, void (*fn)(void *ctx, const struct process *p), void *ctx);

#endif
