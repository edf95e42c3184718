/* who: the people and packages behind an event: whose exec session it was, what the uid is called, what brought the
 * file.
 *
 * The gate tells each start of an exec session with the user that the engine authenticated (who_exec, from its
 * threads). The session's first process is found again by its start, just after the request, and by its arguments.
 * What is ambiguous stays unknown: two people who start the same at once get no name. The rest is asked of the
 * container's own files (runtime/rootfs.h).
 */
#ifndef BULKHEAD_AGENT_WHO_H
#define BULKHEAD_AGENT_WHO_H

#include "runtime/explain.h"
#include "runtime/process.h"

#define WHO_SESSIONS 256u

struct who;
struct who *who_new(void);
void who_free(struct who *w); /* NULL is fine */

/* args: NUL-separated, as the container's program gets them. Any thread. */
void who_exec(struct who *w, struct str id, struct str user, struct str args);

struct who_event {
    struct str user; /* name of the uid in the container */
    struct str by;   /* who asked the engine for the exec session; empty: unknown */
    bool exec;       /* it came in by an exec session */
    bool has_package;
    struct rootfs_package package;
};
/* Fills in what is known about ev; parents: of the process, nearest first. Strings live in the arena. */
void who_asks(struct who *w, struct arena *a, struct processes *tree, const struct sensor_event *ev,
              const struct bh_container *c, struct who_event *ret);

#endif
