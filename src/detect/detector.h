/* detector: rules at work: events in, alerts out.
 *
 * For each event only the rules run that can be about its kind; equal conditions of all rules are evaluated once.
 * Counts and sequences are kept by rule and by the values of `by`, at most DETECT_STATES of them (the one touched
 * longest ago goes). One thread. The rules must outlive it.
 *
 *     struct detector *d = detector_new(rs);
 *     detector_run(d, &subject, alert, ctx);    // subject.a is reset by the caller between events
 */
#ifndef BULKHEAD_DETECT_DETECTOR_H
#define BULKHEAD_DETECT_DETECTOR_H

#include "detect/rules.h"

#define DETECT_STATES 65536u

struct detector;

struct detect_alert {
    const struct detect_rule *rule;
    struct str message; /* output with its fields; in the subject's arena */
    uint64_t count;     /* of what a count counted, else 1 */
    int64_t first;      /* instant of the first event of a count or sequence; else the event's */
};

struct detector *detector_new(const struct detect_rules *rs);
void detector_free(struct detector *d); /* NULL is fine */
/* Sets s->num. Returns how many rules fired. */
size_t detector_run(struct detector *d, struct detect_subject *s,
                    void (*fn)(void *ctx, const struct detect_alert *alert, struct detect_subject *s), void *ctx);
bool detector_wants(const struct detector *d, enum detect_kind k); /* any rule is about such events */
uint64_t detector_events(const struct detector *d);

#endif
