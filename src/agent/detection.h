/* detection: the agent's detection rules: the shipped ones and --rules, run over every event of the sensor, whatever
 * the policy says. Alerts become events of control `rules` with the whole story in `detail`: what was seen in the
 * rule's words, why it matters, what to do, MITRE ids, the first cause, the incident it belongs to, and under `event`
 * what the kernel told. Main thread alone.
 */
#ifndef BULKHEAD_AGENT_DETECTION_H
#define BULKHEAD_AGENT_DETECTION_H

#include "agent/containers.h"
#include "runtime/sensor.h"

struct agent;
struct detection;

/* Load (again). On a mistake in a file the rules before stay, with an event that says what is wrong. */
int detection_load(struct agent *g, struct err *e);
void detection_free(struct detection *d); /* NULL is fine */
/* c: NULL for the host. True when a rule that is always malicious fired: not to be learned. */
bool detection_event(struct agent *g, struct container *c, const struct sensor_event *ev);
bool detection_named(const struct detection *d, struct str pattern); /* is any rule in force named like that */
bool detection_wants(const struct detection *d, const struct sensor_event *ev);
void detection_tick(struct agent *g, int64_t now, bool all); /* repeats that are due; all: at the end */

#endif
