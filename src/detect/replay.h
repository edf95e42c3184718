/* replay: recorded events (JSON lines, as the agent writes them) through the rules, as if they happened now. */
#ifndef BULKHEAD_DETECT_REPLAY_H
#define BULKHEAD_DETECT_REPLAY_H

#include "detect/detector.h"

struct replay_result {
    size_t events;
};

/* path: a file, or "-" for standard input. -EBADMSG with the line of what is no event. */
int detect_replay(const struct detect_rules *rs, const char *path,
                  void (*fn)(void *ctx, const struct detect_alert *alert, struct detect_subject *s), void *ctx,
                  struct replay_result *ret, struct err *e);

/* What an event tells of its process, into a tree that asks nobody else. */
void detect_replay_learn(struct processes *tree, const struct detect_subject *s);

#endif
