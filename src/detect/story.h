/* story: what an alert tells beside the event itself, as one JSON object:
 *
 *     {"message": the rule's output, "reason": the rule's description, "advice": what to do,
 *      "priority": "WARNING", "tags": [...], "mitre": ["T1059.004"], "always": true,
 *      "cause": {"kind": "exec-session" | "entrypoint" | "cron" | "unknown", "user": who asked the engine,
 *                "process": {"pid", "exe", "args", "uid"}},
 *      "control": {"name", "level", "outcome"}        // when a control judged the same event
 *      "counted": {"count", "since"},                 // rules that count, or are sequences
 *      "event": {...}}                                // what the kernel told: file and layer, peer, namespaces ...
 */
#ifndef BULKHEAD_DETECT_STORY_H
#define BULKHEAD_DETECT_STORY_H

#include "detect/detector.h"

struct story {
    const struct detect_alert *alert;
    struct detect_subject *subject;
    struct processes *tree;
    bool session; /* the chain came in by an exec session of the engine */
    struct str by, user;
    struct str event; /* detail of the event, a JSON object */
};

struct str story_detail(struct arena *a, const struct story *st);
/* How each parent was called and as whom, from the tree. */
void story_parents(struct arena *a, struct processes *tree, struct event_process *p);

#endif
