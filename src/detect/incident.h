/* incident: alerts that repeat fold into one, with a count.
 *
 * The first alert of a rule, container and program is told at once. What repeats is counted and told again, with the
 * count, once INCIDENT_AGAIN has passed since it was last told, and at the end. An incident ends when nothing of it
 * happened for INCIDENT_QUIET. At most INCIDENTS; over that the one that was quiet longest goes, told first.
 * One thread.
 */
#ifndef BULKHEAD_DETECT_INCIDENT_H
#define BULKHEAD_DETECT_INCIDENT_H

#include "base/encode.h"
#include "base/time.h"
#include "format/event.h"

#define INCIDENTS      256u
#define INCIDENT_AGAIN (60 * TIME_SECOND)
#define INCIDENT_QUIET (600 * TIME_SECOND)

struct incident {
    char id[ULID_TEXT];
    uint64_t count;      /* alerts so far */
    int64_t first, last; /* instants */
    int64_t told;
    uint64_t told_count;
    struct str event; /* what the teller kept of the last one told: see incidents_keep() */
};

struct incidents;
struct incidents *incidents_new(void);
void incidents_free(struct incidents *is); /* tells nothing; NULL is fine */
/* An alert happened. True: tell it now (and it counts as told). *ret is valid until the next call. */
bool incidents_alert(struct incidents *is, uint64_t key, int64_t now, struct incident **ret);
/* A copy for the telling of repeats. */
void incidents_keep(struct incident *in, struct str event);
/* Calls fn for each incident with repeats that are due (all: at the end, due or not). */
void incidents_tick(struct incidents *is, int64_t now, bool all, void (*fn)(void *ctx, const struct incident *in),
                    void *ctx);
size_t incidents_open(const struct incidents *is);

#endif
