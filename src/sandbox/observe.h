/* observe: from what the sensor and the sink see to findings and a profile. */
#ifndef BULKHEAD_SANDBOX_OBSERVE_H
#define BULKHEAD_SANDBOX_OBSERVE_H

#include "runtime/sensor.h"
#include "sandbox/sink.h"
#include "scan/inventory.h"

struct observe;
/* id: of the container; dir: for the profile while it is learned. */
int observe_new(struct arena *a, const struct inventory *inv, struct str id, const char *dir, struct observe **ret,
                struct err *e);
void observe_free(struct observe *o); /* NULL is fine */
void observe_freep(struct observe **o);
int observe_event(void *observe, const struct sensor_event *ev); /* for sensor_poll() */
size_t observe_executed(const struct observe *o);                /* programs seen */
/* Adds the findings to the inventory; sink may be NULL. */
void observe_finish(struct observe *o, const struct sink *sink, struct inventory *inv);
int observe_profile(struct observe *o, const char *file, struct err *e);

#endif
