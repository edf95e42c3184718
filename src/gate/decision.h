/* decision: may a container of this image run? One answer for both doors (the authorization plugin and bulkhead-runc),
 * made from the state directory alone, so that it holds when the agent is dead.
 *
 *     STATE/policy/ *.yaml     the policy set in force. A missing folder or a set that does not load denies everything.
 *     STATE/verdicts/ID.json   verdict of an image (policy/verdict.h); ID: 64 hex digits of the image id
 *     STATE/inventories/ID.json  what a scan found, to evaluate again without the image (scan/assess.h)
 *     STATE/intel.db, intel.pub  advisories; STATE/revisions.json says which revision that is without opening it
 *
 * 1. A verdict that is current (policy and intel revision are those in force, valid_until not reached, not from the
 *    future, and the image has got no name since that another policy selects) decides.
 * 2. Else, when no ImagePolicy selects one of the image's names, it may run (the host default).
 * 3. Else, when there is an inventory, the verdict is made anew from it.
 * 4. Else a verdict that a trusted attester signed (STATE/attestations/ID.json, ImagePolicy `attesters`) decides, as
 *    long as it is young enough and valid.
 * 5. Else the image is unscanned: GATE_SCAN when all policies that select it say `unscanned: scan`, else GATE_DENY.
 * An error on the way, once an image is governed, is a deny that tells the error. A container without an image is
 * denied as soon as there is any ImagePolicy.
 *
 * A handle may be used by many threads. It keeps the parsed policy set and loads it again when the folder changed.
 */
#ifndef BULKHEAD_GATE_DECISION_H
#define BULKHEAD_GATE_DECISION_H

#include "policy/policy.h"

struct gate;

enum gate_answer { GATE_ALLOW, GATE_DENY, GATE_SCAN };

struct gate_question {
    struct str image_id;     /* sha256:HEX; empty: no image */
    struct str image;        /* for people: what the user wrote */
    const struct str *names; /* tags and digests; may be empty */
    size_t names_n;
    bool running;          /* a container of this image id runs already: grace applies */
    int64_t running_since; /* instant; 0: now */
    int64_t now;
};

struct gate_decision {
    enum gate_answer answer;
    bool governed;                 /* an ImagePolicy has a say */
    bool evaluated;                /* the verdict was made anew just now (and stored) */
    struct str text;               /* one line for people: what was decided, by which rules, and who can lift it how */
    struct str policy;             /* policies that decided, joined by "+"; empty: none */
    const struct verdict *verdict; /* NULL: none was needed or there is none */
};

struct gate *gate_open(const char *state); /* does not look at the folder yet */
void gate_close(struct gate *g);           /* NULL is fine */
void gate_closep(struct gate **g);

/* Never fails: a fault is a decision (deny) with its story in `text`. Everything lives in the arena. */
void gate_decide(struct gate *g, struct arena *a, const struct gate_question *q, struct gate_decision *ret);

/* The policy set in force (a reference: policy_set_unref). -ENOENT: there is no STATE/policy. */
int gate_policies(struct gate *g, struct policy_set **ret, struct err *e);
/* Does the set hold an ImagePolicy at all? On errors true: then there may be something to protect. */
bool gate_governs_images(struct gate *g);

/* Who loads intel (the agent) notes its revision here, so that the gate need not open the database to compare.
 * intel empty: there is none. */
int gate_revisions_write(const char *state, struct str intel, struct err *e);

#endif
