/* containers: what the agent knows of each container, from whoever knows it first: the kernel (the id), the gate's file
 * (STATE/containers), the engine's API, or the engine's own file on disk (DOCKER-ROOT/containers/ID/config.v2.json,
 * PODMAN-ROOT/overlay-containers/containers.json), so that a container that lived for milliseconds has its name and
 * image in every event, and so has one from before the agent.
 *
 * A record stays CONTAINER_KEEP after its container was removed, for events that arrive late. At most CONTAINERS_MAX;
 * over that the one that ended first goes. Used by the main thread alone.
 */
#ifndef BULKHEAD_AGENT_CONTAINERS_H
#define BULKHEAD_AGENT_CONTAINERS_H

#include "base/time.h"
#include "gate/subject.h"

#define CONTAINERS_MAX 4096u
#define CONTAINER_KEEP (120 * TIME_SECOND)

/* What rules a container in the kernel, as written there. */
struct container_force {
    bool put;         /* kernel_policy_put() succeeded */
    struct str error; /* else why not; empty: not tried yet */
    struct str policy;
    int64_t revision;
    enum policy_mode mode;
    enum event_action action[CONTROL_sensor + 1]; /* by control */
    bool learned;                                 /* process.allow is the learned profile */
    bool peers;                                   /* its network lists or isolation.allow name other containers */
    const struct policy_respond *responds;        /* what is done about an event: policy_respond() */
    size_t responds_n;
    bool respond_memory;
    bool no_profile;     /* enforce or audit without a list and without a stable profile */
    struct str *notices; /* what the kernel cannot hold */
    size_t notices_n, notices_cap;
};

struct container {
    struct container *next, *prev; /* all of them, oldest first */
    struct arena *a;               /* subject */
    struct subject s;
    bool known; /* name and image are known (else only the id) */
    bool running;
    const char *url;       /* of the engine that lists it; NULL: none told */
    int64_t started;       /* instant; 0 unknown */
    int64_t seen, removed; /* instants: last event; removed from the engine, 0: not */
    int64_t put_tried;
    int64_t looked; /* last time the disk was asked */
    struct arena *force_arena;
    struct container_force force;
};

struct containers;
struct containers *containers_new(const char *state);
void containers_free(struct containers *cs); /* NULL is fine */
/* The data root of an engine, where its own files are. */
void containers_root(struct containers *cs, struct str engine, struct str root);

struct container *containers_get(struct containers *cs, struct str id); /* NULL: never heard of */
/* The kernel told of this id: find out who it is from what lies on the disk. Never NULL; ->known says whether it
 * helped. */
struct container *containers_seen(struct containers *cs, struct str id, int64_t now);
/* An engine or the gate told. Empty members of s keep what is known. Returns the record; *changed: it says something
 * new. */
struct container *containers_learn(struct containers *cs, const struct subject *s, int64_t now, bool *changed);
void containers_removed(struct containers *cs, struct str id, int64_t now);
/* Forget what was removed long ago; fn is called for each before it goes. */
void containers_sweep(struct containers *cs, int64_t now, void (*fn)(void *ctx, struct container *c), void *ctx);

struct container *containers_next(struct containers *cs, struct container *c); /* NULL starts and ends */
size_t containers_count(const struct containers *cs);

/* Subject of a container from the engine's file; pure, for tests. */
int containers_parse_docker(struct arena *a, struct str text, struct subject *ret, struct err *e);
/* The same out of podman's containers.json, which lists all of them, without labels. -ENOENT: not in it. */
int containers_parse_podman(struct arena *a, struct str text, struct str id, struct subject *ret, struct err *e);

#endif
