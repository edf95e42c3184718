/* agent: the parts of bulkhead-agent and what they share. One main thread owns struct agent and runs the loop (main.c);
 * the watchers of engines, the gate's server and the uplink's child are others, and come in through queues and
 * descriptors. What they may call from their threads is marked.
 *
 *     sensor   -> observe.c  (explain, learn, journal)        watchers -> engines.c (containers)
 *     policies -> force.c    (kernel maps, what is in force)  gate     -> images.c  (scans, verdicts)
 *     inbox/   -> inbox.c    (events of bulkhead-runc)        console  <- status.c, journal
 */
#ifndef BULKHEAD_AGENT_AGENT_H
#define BULKHEAD_AGENT_AGENT_H

#include "agent/config.h"
#include "agent/containers.h"
#include "agent/journal.h"
#include "agent/uplink.h"
#include "agent/watcher.h"
#include "agent/who.h"
#include "gate/plugin.h"
#include "runtime/explain.h"
#include "runtime/kernel_network.h"
#include "runtime/process.h"
#include "runtime/profile.h"
#include "runtime/sensor.h"

struct images;
struct held;
struct responder;
struct canary;
struct detection;

struct agent_engine {
    const char *url;
    bool connected, default_guess;
    char name[16], version[64], error[512]; /* name: docker, podman */
};

struct agent {
    struct config config;
    char *profiles_dir, *containers_dir, *policy_dir, *inbox_dir, *inventories_dir;
    struct journal *journal;
    struct sensor *sensor; /* NULL: this host carries none; sensor_error says why */
    char sensor_error[1024];
    struct processes *tree;
    struct who *who;
    struct responder *responder;
    struct canary *canary;
    struct profiles *profiles;
    struct containers *containers;
    struct watchers *watchers;
    struct agent_engine engines[CONFIG_LIST];
    size_t engines_n;
    struct gate *gate;
    struct plugin *plugin;
    struct images *images;
    struct uplink *uplink;
    struct detection *detection;
    struct held *held;           /* events that wait for the name of their container */
    struct policy_set *policies; /* in force; never NULL once running */
    char default_policy[256];    /* what rules containers the kernel does not know yet: as in events */
    int64_t default_revision;
    char policy_error[1024]; /* why the newest set is not; "" fine */
    char intel_revision[65];
    int wake;              /* eventfd: something for the main thread */
    uint64_t ring_lost[2]; /* told so far, by ring */
    int64_t started, status_due, synced, orphans_looked;
    int64_t self_looked, self_due; /* monotonic: tamper.c */
    size_t pins;                   /* of kernel programs and maps, when looked last */
    bool self_error;
    bool status_changed, stopping;
    char machine[33];    /* machine id or "" */
    char host_name[256]; /* what config.host points to when it was not given */
};

/* ---- say.c: events of the agent itself ---- */
/* detail: a JSON object or empty. From any thread. */
void say(struct agent *g, enum event_type type, enum event_control control, enum event_severity severity,
         enum event_action action, const char *rule, struct str detail);
void say_problem(struct agent *g, enum event_type type, const char *rule, const char *problem); /* and logs it */
void agent_wake(struct agent *g);                                                               /* from any thread */

/* ---- force.c ---- */
/* Load the set again (from --policy, which is installed into STATE/policy first, or from there) and put it in force.
 * Whole or not at all: on a bad set the old one stays, an event tells. */
int force_load(struct agent *g, struct err *e);
void force_all(struct agent *g);                            /* host default and every live container */
void force_container(struct agent *g, struct container *c); /* write its policy to the kernel */
void force_sweep(struct agent *g);                          /* kernel policies of containers that are gone */

/* ---- network.c ---- */
void network_here(struct agent *g, struct arena *a, const struct container *c, struct kernel_network *ret);
/* Put isolation.allow in force: which of the containers here it means. */
int network_isolation(struct agent *g, struct arena *a, const struct container *c, const struct container_policy *p,
                      struct err *e);
bool network_names_peers(const struct container_policy *p);
/* It has other addresses, or none any more: rewrite the rules of those whose policies name peers. */
void network_moved(struct agent *g, const struct container *moved);

/* ---- observe.c ---- */
int observe_event(void *ctx, const struct sensor_event *ev); /* ctx: struct agent */
/* The event for people, without telling it; who is filled in as well. */
void observe_explain(struct agent *g, struct arena *a, struct container *c, const struct sensor_event *ev,
                     struct event *out, struct who_event *who);
int64_t observe_first(struct agent *g, const struct container *c); /* pid of its first process; 0 unknown */
void observe_held(struct agent *g, bool all); /* let go what is known now or has waited long enough */
void observe_loss(struct agent *g);
void observe_calls(struct agent *g, int64_t now); /* what containers in mode learn called, into their profiles */
void observe_running(struct agent *g, struct container *c); /* learn what runs already */
void held_free(struct held *h);

/* ---- respond.c: what the policy wants done about an event, in a thread of its own, within a rate ---- */
struct responder *responder_new(struct agent *g);
void responder_free(struct responder *r); /* ends after what it is doing; NULL is fine */
/* What the container's policy wants done about such an event, whether or not it enforces. */
enum resource_action respond_wanted(const struct container *c, enum event_control control, enum event_severity severity,
                                    struct str rule);
/* Ask about an event that was just told. first: first process of its container, 0 unknown. */
void respond_event(struct agent *g, const struct container *c, const struct event *ev, int64_t first);
int respond_main(int argc, char **argv);  /* bulkhead-agent respond */
int evidence_main(int argc, char **argv); /* bulkhead-agent evidence */

/* ---- canary.c: proof each minute that what is in force acts ---- */
struct canary *canary_new(void);
void canary_free(struct canary *c);                                /* NULL is fine */
bool canary_event(struct agent *g, const struct sensor_event *ev); /* is it the canary's? Then nobody else's business */
void canary_step(struct agent *g);
bool canary_out(const struct agent *g); /* one is out: look again soon */
void canary_status(const struct agent *g, struct json_writer *w);

/* ---- engines.c ---- */
void engines_message(struct agent *g, struct watch *m);
void engines_orphans(struct agent *g, int64_t now); /* containers without an engine that ended */

/* ---- images.c: scans and verdicts ---- */
struct images *images_new(struct agent *g);
void images_free(struct images *im);
int images_scan(struct images *im, struct str image_id, struct str ref, const char *engine,
                struct err *e);                                              /* any thread */
bool images_running(struct images *im, struct str image_id, int64_t *since); /* any thread */
void images_started(struct images *im, const struct container *c);           /* a container of this image runs */
void images_changed(struct images *im); /* policy or intel: verdicts are looked at again */
/* The console's scan of an image we asked for; report empty: it has none. */
void images_inventory(struct images *im, struct str image_id, struct str report);
void images_step(struct images *im, int64_t now); /* start, reap, re-evaluate */

/* ---- scanner.c ---- */
int scan_start(const struct agent *g, const char *image_id, const char *engine, pid_t *ret, struct err *e);
/* The child ended: take over its report; else -errno with the story. */
int scan_finish(const struct agent *g, const char *image_id, int status, struct err *e);
/* A report from elsewhere: it must be whole and about this image. */
int scan_take(const struct agent *g, const char *image_id, struct str report, struct err *e);

/* ---- advisories.c ---- */
int advisories_install(struct agent *g, struct err *e);

/* ---- inbox.c ---- */
void inbox_take(struct agent *g);
int inbox_event(struct arena *a, struct str text, struct event *ret, struct err *e); /* pure, for tests */

/* ---- status.c ---- */
void status_write(struct agent *g, struct json_writer *w); /* api/agent-protocol.md, Status */
void status_save(struct agent *g);                         /* STATE/status.json and the uplink */

/* ---- doctor.c ---- */
int doctor_main(int argc, char **argv);

/* ---- attest.c ---- */
int attest_main(int argc, char **argv);

#endif
