/* uplink: the agent's line to the console.
 *
 * The talking is done by an unprivileged child process (`bulkhead-agent uplink`, dialer.h) that owns only
 * STATE/console: key, certificate, CA and address. It gets events and documents from the root agent and gives back
 * policies and intel, in typed messages (ipc.h). The root side here trusts nothing that comes from it: a policy set
 * must parse, an intel database must carry a good signature and not be older, before they are installed (install.h).
 *
 * Events are read from the journal's segments and acknowledged to it only when the console said so: at least once, in
 * order, however long the console is away. Reports (scan reports) wait in STATE/outbox (spool.h). The status is the
 * newest one only. A child that dies or breaks the protocol is replaced, with backing off. Enforcement depends on
 * nothing in here.
 *
 * Threads: all functions are called by the thread that owns the agent's main loop; callbacks come from
 * uplink_dispatch() on that thread.
 *
 *     struct uplink_opts o = {.state = "/var/lib/bulkhead", .token_file = token, .journal = j, .on = {...}};
 *     if ((r = uplink_start(&o, &up, e)) < 0) return r;
 *     epoll_ctl(ep, EPOLL_CTL_ADD, uplink_fd(up), ...);     // readable: uplink_dispatch(up)
 *     journal_flush(j); uplink_wake(up);                    // at the end of each round of the main loop
 *
 * main() of the agent hands over first thing: if (argc > 1 && !strcmp(argv[1], "uplink")) return dialer_main(argc,
 * argv);
 */
#ifndef BULKHEAD_AGENT_UPLINK_H
#define BULKHEAD_AGENT_UPLINK_H

#include "agent/journal.h"
#include "base/err.h"
#include "base/str.h"
#include "format/json.h"

struct uplink;

#define UPLINK_PHASE(id, text) UPLINK_##id,
enum uplink_phase {
#include "agent/uplink.tbl.h"
};
#undef UPLINK_PHASE

struct uplink_callbacks {
    void *ctx;
    /* STATE/policy was replaced by a set that parses; revision as policy_set_revision(). Load it and put it in force.
     */
    void (*policy)(void *ctx, struct str revision);
    /* STATE/intel.db (and perhaps intel.pub) was replaced by one that verifies. */
    void (*intel)(void *ctx, struct str revision);
    /* phase, certificate's end, errors: see uplink_info(). */
    void (*changed)(void *ctx);
    /* The console lost the status: call uplink_status(). */
    void (*status_wanted)(void *ctx);
    /* What the console has of an image that uplink_inventory() asked for; report empty: nothing. Not believed yet. */
    void (*inventory)(void *ctx, struct str image_id, struct str report);
    /* Losses for the heartbeat: events lost before they reached the journal. */
    uint64_t (*ring_lost)(void *ctx);
}; /* each may be NULL */

struct uplink_opts {
    const char *state;      /* state directory; console/, policy/, outbox/, intel.db, intel.pub are below it */
    const char *console;    /* URL of the agents' port; NULL: the one in the token or of the enrolment */
    const char *token_file; /* enrolment token; deleted after success. NULL: enrolled already */
    const char *user;       /* account of the child; NULL: "bulkhead" if there is one, else an id nobody has */
    struct str host;        /* name of this host, as in events */
    struct journal *journal;
    bool intel_key_pinned; /* intel.pub was given by the owner of the host: the console's key does not replace it */
    struct uplink_callbacks on;
};

/* True when there is an identity or a token: something to start. */
bool uplink_wanted(const char *state, const char *token_file);
int uplink_start(const struct uplink_opts *opts, struct uplink **ret, struct err *e);
pid_t uplink_pid(const struct uplink *u); /* of the child; 0: none runs */
int uplink_fd(const struct uplink *u);    /* for epoll: readable when uplink_dispatch() has something to do */
void uplink_dispatch(struct uplink *u);   /* never blocks for long, never fails: troubles show in uplink_info() */
void uplink_wake(struct uplink *u);       /* the journal may have new events; cheap */
void uplink_stop(struct uplink *u);       /* ends the child, waits for it; NULL is fine */

/* The agent's status as JSON (agent-protocol.md); replaces one not yet delivered. */
void uplink_status(struct uplink *u, struct str json);
/* A report for the console, kept on disk until it is delivered; a newer one for the same name replaces it.
 * name: 64 hex digits of the image id. json: body of POST /agent/v1/reports. */
int uplink_report(struct uplink *u, struct str name, struct str json, struct err *e);

/* Ask the console for its scan of an image; a newer question replaces one not yet sent. The answer comes by the
 * callback `inventory`, or never: the line may break. */
void uplink_inventory(struct uplink *u, struct str image_id);

struct uplink_info {
    enum uplink_phase phase;
    struct str story;           /* why not online, one line; empty when fine */
    struct str config_revision; /* of the last configuration that was taken; empty none */
    struct str policy_error;    /* why the last policy set was refused; empty: it was taken */
    struct str intel_error;
    int64_t certificate_ends; /* instant; 0 unknown */
    uint64_t acked;           /* highest seq the console has */
    uint64_t restarts;        /* of the child */
    int64_t heartbeat;        /* seconds between heartbeats, as the console wants them */
};
const struct uplink_info *uplink_info(const struct uplink *u); /* valid until the next uplink_dispatch() */
const char *uplink_phase_name(enum uplink_phase p);

#endif
