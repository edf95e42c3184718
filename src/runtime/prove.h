/* prove: controls proven by acting: a throw-away container of our own, in which runtime/try.h does what must be
 * stopped.
 *
 * The container is a cgroup with an id of its own, a mount namespace with a fresh overlay over the host's root, and one
 * program: this one, started as `try`. It is ruled by the policy of the rows of control.tbl.h and nobody else is:
 * policies are by container id. A row is proven when the deed failed as its level says and the kernel told of it.
 * Harmless on a live host; takes some milliseconds and leaves nothing behind.
 *
 *     prove_start(&p, bpf_dir, e);                        // policy, cgroup, container
 *     ... events -> if (prove_event(p, ev)) it is ours    // until prove_fd() reports the end of file, and a moment on
 *     prove_end(p);  prove_result(p, CONTROL_drift, level, &text)
 *
 * The kernel may tell after the deed is done: wait for prove_complete() or a moment.
 */
#ifndef BULKHEAD_RUNTIME_PROVE_H
#define BULKHEAD_RUNTIME_PROVE_H

#include "runtime/sensor.h"

struct prove;
int prove_start(struct prove **ret, const char *bpf_dir, struct err *e);
void prove_free(struct prove *p); /* ends it if it runs; removes its cgroup and policy; NULL is fine */
void prove_freep(struct prove **p);

int prove_fd(const struct prove *p); /* readable: call prove_read() */
bool prove_read(struct prove *p);    /* false: all was said, the container is gone */
/* Is this event of the throw-away container? Then it is noted, and nobody else's business. */
bool prove_event(struct prove *p, const struct sensor_event *ev);
bool prove_id(const struct prove *p, struct str id);
bool prove_complete(const struct prove *p); /* every try that was stopped was told, too */

enum proof { PROOF_NONE, PROOF_UNTRIED, PROOF_PROVEN };
/* NONE: it was tried and did not work as the level says; UNTRIED: it could not be tried. text: in plain words. */
enum proof prove_result(const struct prove *p, enum event_control c, enum event_level level, char *text, size_t n);

/* All at once, in programs and maps of its own beside those in force under bpf_dir, which it leaves alone. */
int prove_host(const char *bpf_dir, enum sensor_tier tier, struct prove **ret, struct err *e);

#endif
