/* respond: what is done to a container that misbehaves, and how it is undone. The hands only: who decides is
 * agent/respond.c (policy, rates) or an administrator (bulkhead-agent respond).
 *
 *     throttle  a tenth of one processor            isolate  no network, but it lives on (forensics)
 *     freeze    nothing of it runs                  stop     all of it is killed, and the engine told to leave it so
 *     kill      one process dies
 *
 * What is in force on a container is one file, STATE/responses/ID.json, written before the deed and removed by the
 * release; so any process of root can release it, also when no agent runs. Evidence comes before stop and kill
 * (runtime/evidence.h): the container, or the process, stands still meanwhile. Thread-safe; blocks.
 */
#ifndef BULKHEAD_RUNTIME_RESPOND_H
#define BULKHEAD_RUNTIME_RESPOND_H

#include "policy/policy.h"
#include "runtime/cgroup.h"

#define RESPOND_THROTTLE 10u /* percent of one processor */
#define RESPOND_MAX      4096u

struct respond_place {
    const char *state, *bpf_dir;
    const char *engine; /* url, to tell it of a stop; NULL: none */
    bool no_evidence;
};

struct respond_order {
    struct str id, name; /* of the container */
    enum resource_action action;
    const int64_t *pids; /* any processes of the container, one of which lives */
    size_t pids_n;
    int64_t pid, started; /* of the offender: what kill kills; 0: none. started: instant, 0 unknown */
    struct str reason, by;
    bool memory; /* evidence with the offender's memory */
};

struct respond_done {
    char evidence[128]; /* name of the bundle; "" none */
    char notice[256];   /* what of it could not be done; "" all was */
};

/* -EALREADY: that is in force already, or more; -ESRCH: it is gone. */
int respond_apply(const struct respond_place *p, const struct respond_order *o, struct respond_done *done,
                  struct err *e);

struct respond_state {
    struct str id, name, reason, by;
    int64_t since;
    bool frozen, isolated, throttled;
    char throttle_was[64];
    struct cgroup cgroup;
};
int respond_read(struct arena *a, const char *state, struct str id, struct respond_state *ret, struct err *e);
int respond_list(struct arena *a, const char *state, struct respond_state **ret, size_t *n, struct err *e);
/* Everything that is in force on it ends. -ENOENT: nothing is. */
int respond_release(const struct respond_place *p, struct str id, struct err *e);
/* The container is gone: so is its file. */
void respond_forget(const char *state, struct str id);

#endif
