/* plugin: the Docker authorization plugin, in the agent.
 *
 * The engine asks before (AuthZReq) and after (AuthZRes) each request of its API. Reads are answered on the spot,
 * without worker, lock or call to the engine, because the gate's own calls to the engine (all reads) come back here.
 * Creating and starting a container is decided by gate/decision.h: at create on the image that the engine itself makes
 * of the name, at start on the image id the container was made from. What could bypass protection (request.h says
 * what is ambiguous; another runtime than the guard, changed engine plugins, BuildKit) is refused; docs/decisions has
 * the list with reasons. Any fault inside is a refusal.
 *
 * The socket must exist before dockerd starts: dockerd looks for /run/docker/plugins/bulkhead.sock.
 *
 * Threads: plugin_start returns; requests run on the server's threads; `tell`, `scan` and `learned` are called from
 * them and must be thread-safe. plugin_scanned may be called from any thread.
 */
#ifndef BULKHEAD_GATE_PLUGIN_H
#define BULKHEAD_GATE_PLUGIN_H

#include "gate/decision.h"
#include "gate/subject.h"

#define PLUGIN_NAME   "bulkhead"
#define PLUGIN_SOCKET "/run/docker/plugins/bulkhead.sock"
#define PLUGIN_PROBE                                                                                                   \
    "/containers/_bulkhead/json" /* a GET that this plugin refuses; the engine routes it (it asks nobody about others) \
                                  */

struct plugin;

struct plugin_opts {
    const char *socket; /* NULL: PLUGIN_SOCKET. A stale one is replaced; one that answers is -EADDRINUSE */
    const char *state;
    const char *engine; /* url of the engine, as for docker_open */
    struct gate *gate;
    int64_t scan_wait; /* microseconds a create or start waits for a scan; 0: 60 s */
    void *ctx;         /* for the callbacks */
    /* Something was refused (or, with action alert, let through with a note). Borrowed for the call. */
    void (*tell)(void *ctx, const struct event *ev);
    /* Queue a scan of docker:REF, whose image id is known; calls for an id already queued are fine. NULL or a negative
     * answer: scanning is not possible, the image is denied as unscanned. When done: plugin_scanned(). */
    int (*scan)(void *ctx, struct str image_id, struct str ref, struct err *e);
    /* A container was created: its subject (already written to the state directory). May be NULL. */
    void (*learned)(void *ctx, const struct subject *s);
    /* An exec session is about to start: in which container, for whom, and what it runs (NUL-separated). May be NULL.
     */
    void (*exec)(void *ctx, struct str container, struct str user, struct str args);
    /* Does a container of this image run, and since when? May be NULL: never. */
    bool (*running)(void *ctx, struct str image_id, int64_t *since);
};

int plugin_start(const struct plugin_opts *opts, struct plugin **ret, struct err *e);
void plugin_stop(struct plugin *p); /* removes the socket; NULL is fine. From then on dockerd refuses everything */
/* A scan ended or verdicts changed: requests that wait look again. */
void plugin_scanned(struct plugin *p);

struct plugin_stats {
    uint64_t reads, writes, decisions, denied, failed;
};
struct plugin_stats plugin_stats(const struct plugin *p);

#endif
