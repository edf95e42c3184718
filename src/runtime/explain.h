/* explain: from what the kernel decided to what people read: one struct event, in the words of the contract.
 *
 * The kernel has judged (control, action, level, outcome); nothing is decided here. This names the rule, sets the
 * severity, adds arguments and parents from the process tree, and writes `detail`: what was special about the file,
 * what enforce would have done (learn, audit), what would lift it, the peer, MITRE ATT&CK ids, and how often it
 * repeated. Everything lives in the arena or borrows from the sensor's event. Invariant, checked here: outcome
 * `prevented` only with level block, `killed` only with kill; a decision that breaks it is told as detected.
 */
#ifndef BULKHEAD_RUNTIME_EXPLAIN_H
#define BULKHEAD_RUNTIME_EXPLAIN_H

#include "runtime/process.h"
#include "runtime/rootfs.h"
#include "runtime/sensor.h"

struct explain_context {
    struct processes *tree; /* may be NULL */
    struct str policy_name; /* of the container, "default" for the host default */
    int64_t policy_revision;
    bool learned;                         /* process.allow is the learned profile, not a list of the policy */
    struct str user;                      /* name of the uid, where known */
    const struct rootfs_package *package; /* what brought the file, where known; NULL */
};

/* container is left to the caller but for its id. */
void explain(struct arena *a, const struct sensor_event *s, const struct explain_context *c, struct event *ret);

enum event_severity explain_severity(enum event_control c);

#endif
