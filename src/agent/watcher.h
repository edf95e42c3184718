/* watcher: follows one container engine in a thread of its own and tells the main thread what it learned.
 *
 * The thread connects, asks what the engine is, subscribes to its events, then lists what is there (in this order, so
 * that nothing falls in between) and goes on with the events; when the connection ends it starts again, from the last
 * event on. Nothing is shared with the main thread but the queue: a message owns all that it carries. The queue is
 * bounded; a watcher that finds it full waits.
 *
 *     struct watchers *w = watchers_new();
 *     watchers_add(w, "unix:///var/run/docker.sock", &e);
 *     epoll: watchers_fd(w) readable ->  while ((m = watchers_next(w))) { ... watch_free(m); }
 */
#ifndef BULKHEAD_AGENT_WATCHER_H
#define BULKHEAD_AGENT_WATCHER_H

#include "gate/subject.h"

enum watch_kind {
    WATCH_ENGINE,    /* connected: root_dir, version; s.engine */
    WATCH_LOST,      /* the connection failed or ended: text. Told once, until it is back */
    WATCH_CONTAINER, /* exists: created, renamed, listed or started */
    WATCH_STARTED,   /* the same, and it was just started */
    WATCH_ENDED,
    WATCH_REMOVED,
    WATCH_SYNCED, /* ids: all containers of the engine at this moment */
    WATCH_IMAGE,  /* an image was tagged, pulled, loaded or removed: text is the action, s.image_id the id if known */
};

struct watch {
    struct watch *next;
    struct arena *a;
    enum watch_kind kind;
    const char *url; /* of the engine; as long as the watchers */
    struct subject s;
    bool running;
    int64_t started, time; /* instants */
    int64_t pid;
    struct str root_dir, version, text;
    struct str *ids;
    size_t ids_n;
};

struct watchers;
struct watchers *watchers_new(void);
int watchers_add(struct watchers *w, const char *url, struct err *e); /* starts following */
void watchers_free(struct watchers *w);                               /* ends all threads; NULL is fine */
int watchers_fd(const struct watchers *w);
struct watch *watchers_next(struct watchers *w); /* NULL: nothing waits */
void watch_free(struct watch *m);

#endif
