/* loop: the main thread of the agent: set up, run until told to stop, tear down. Enforcement outlives it. */
#ifndef BULKHEAD_AGENT_LOOP_H
#define BULKHEAD_AGENT_LOOP_H

#include "agent/agent.h"

#include <pthread.h>

#define LEARNED_MAX 1024u

/* Ids of containers that the gate created, on their way from its threads to ours. */
struct learned {
    pthread_mutex_t lock;
    char ids[LEARNED_MAX][IDENTITY_TEXT];
    size_t n;
};

struct loop {
    struct agent *g;
    struct learned learned;
    int epoll, signals, inotify;
    int inbox_watch;
    int64_t reload_at; /* monotonic; 0: nothing changed */
    bool ready;
    char console_said[512];
};

enum { ON_SIGNAL, ON_SENSOR, ON_WATCHERS, ON_INOTIFY, ON_WAKE, ON_UPLINK }; /* what a descriptor means */

int setup_all(struct loop *l, struct err *e);
void setup_undo(struct loop *l); /* all of it, also when setup_all() got half way */
int setup_watch(struct loop *l, int fd, uint32_t what, struct err *e); /* ON_* */
int setup_sensor(struct agent *g);                                     /* g->sensor, or NULL and g->sensor_error */
void setup_watch_folders(struct loop *l);                              /* again after a folder may have been replaced */
void setup_take_learned(struct loop *l);                               /* what the gate's threads left for us */

/* tamper.c: what of ours containers may not reach, and whether it is still there; once a second. */
void tamper_step(struct loop *l);

int loop_run(struct loop *l, struct err *e);

#endif
