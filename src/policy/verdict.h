/* verdict: (image id, intel revision, policy revision, time of evaluation) -> allow or deny, every reason, and the
 * instant until which it holds. One verdict serves CI, the console, the gate and the start of the container.
 */
#ifndef BULKHEAD_POLICY_VERDICT_H
#define BULKHEAD_POLICY_VERDICT_H

#include "format/json.h"
#include "policy/finding.h"

struct reason {
    bool deny;            /* else a warning */
    struct str policy;    /* ImagePolicy name, or "fail-on", "scan" for the built-in ones */
    struct str rule;      /* the expression as written */
    struct str text;      /* one line for people: what fired on what, and who can lift it */
    struct str finding;   /* id, empty for config rules */
    struct str package;   /* "name version", empty when none */
    struct str exception; /* "owner: reason (until date)" when an exception lifted it: then deny is false */
    int64_t until;        /* grace or exception end that made this a warning; 0 none */
};

/* An exception that lifted nothing in this image, or whose time is over. */
struct stale_exception {
    struct str policy, what, package, owner; /* what: the finding, or the rule */
    int64_t expires;
    bool expired, unused;
};

struct verdict {
    struct str image_id;
    struct str intel_revision; /* empty without intel */
    struct str policy_revision;
    int64_t evaluated;
    bool allow;
    struct reason *reasons; /* every rule that fired, denies first */
    size_t reasons_n;
    struct stale_exception *stale;
    size_t stale_n;
    int64_t valid_until; /* next instant at which a rule, exception or grace can change it; TIME_NEVER */
};

void verdict_write(struct json_writer *w, const struct verdict *v);
int verdict_read(struct arena *a, const struct json_value *v, struct verdict *ret, struct err *e);

#endif
