/* docker: client of the Docker Engine API on a unix socket, read side only.
 *
 * Everything here is a GET: the agent never changes an engine through this client. That is also what keeps the
 * authorization plugin free of deadlocks: the engine asks the plugin about these very calls, and the plugin answers
 * reads without a worker, a lock or a call of its own (gate/plugin.h).
 *
 * A handle is immutable; any number of threads may use it, each call opens its own connection. Calls have a time limit
 * (DOCKER_TIMEOUT for the small ones), answers a cap (LIMIT_ENGINE_ANSWER). Results live in the arena and keep the
 * whole answer as `json`. Names and ids from outside are checked before they become part of a path.
 *
 *     _cleanup_(docker_closep) struct docker *d = NULL;
 *     if ((r = docker_open("unix:///run/docker.sock", &d, e)) < 0) return r;
 *     struct docker_image img;
 *     if ((r = docker_image_inspect(d, a, STR("nginx:1.27"), &img, e)) < 0) ...   // -ENOENT: no such image
 *
 * Errors: -ENOENT the engine does not know it, -EACCES refused by an authorization plugin, -ECONNREFUSED no engine
 * there, -ETIMEDOUT, -E2BIG, -EBADMSG the answer is not what the API promises, -EINVAL a bad url, name or id.
 */
#ifndef BULKHEAD_ENGINE_DOCKER_H
#define BULKHEAD_ENGINE_DOCKER_H

#include "base/arena.h"
#include "base/err.h"
#include "format/json.h"

#define DOCKER_DEFAULT_URL "unix:///var/run/docker.sock"

struct docker;

int docker_open(const char *url, struct docker **ret, struct err *e); /* unix:///PATH or /PATH; does not connect yet */
void docker_close(struct docker *d);                                  /* NULL is fine */
void docker_closep(struct docker **d);
const char *docker_url(const struct docker *d); /* unix:///PATH */

struct docker_version {
    struct str engine; /* "docker", or "podman" behind its Docker-compatible socket */
    struct str version, api, min_api, os, arch, kernel;
    const struct json_value *json;
};
struct docker_info {
    struct str id, name, root_dir, driver, default_runtime, operating_system, cgroup_driver, cgroup_version;
    struct str *runtimes; /* names */
    size_t runtimes_n;
    struct str *authz; /* names of authorization plugins */
    size_t authz_n;
    struct str *security; /* "name=seccomp,profile=default" ... */
    size_t security_n;
    int64_t containers, running, images;
    const struct json_value *json;
};
int docker_ping(const struct docker *d, struct err *e);
/* 1: this GET is refused by the authorization plugin of that name; 0: the engine answers it, or refuses it otherwise.
 * The only proof that a plugin is in force: engines list in /info what they started with, not what they reloaded. */
int docker_refused_by(const struct docker *d, const char *path, const char *plugin, struct err *e);
int docker_version(const struct docker *d, struct arena *a, struct docker_version *ret, struct err *e);
int docker_info(const struct docker *d, struct arena *a, struct docker_info *ret, struct err *e);

struct docker_image {
    struct str id;    /* sha256:HEX: digest of the config JSON */
    struct str *tags; /* name:tag */
    size_t tags_n;
    struct str *digests; /* name@sha256:HEX */
    size_t digests_n;
    struct str created; /* RFC 3339 as the engine writes it */
    int64_t size;
    const struct json_value *config; /* Config: User, Env, Cmd, Labels ...; NULL in listings */
    const struct json_value *json;
};
/* ref: name, name:tag, name@digest, sha256:HEX, HEX or a unique prefix of the id, resolved by the engine itself. */
int docker_image_inspect(const struct docker *d, struct arena *a, struct str ref, struct docker_image *ret,
                         struct err *e);
int docker_image_list(const struct docker *d, struct arena *a, struct docker_image **ret, size_t *ret_n, struct err *e);
/* Stream the image as a `docker save` archive, piece by piece; a negative answer of the sink ends it with that code. */
typedef int docker_sink_fn(void *ctx, const void *p, size_t n, struct err *e);
int docker_image_export(const struct docker *d, struct str ref, docker_sink_fn *sink, void *ctx, struct err *e);

struct docker_container {
    struct str id;                   /* 64 hex digits */
    struct str name;                 /* without the leading '/' */
    struct str image;                /* as the user wrote it (or its id when the tag moved on) */
    struct str image_id;             /* sha256:HEX */
    struct str state;                /* created running paused restarting removing exited dead */
    const struct json_value *labels; /* object of strings or NULL */
    struct str runtime;              /* inspect only */
    int64_t pid;                     /* inspect only; 0 when not running */
    struct str started;              /* inspect only, RFC 3339 */
    bool privileged;                 /* inspect only */
    const struct json_value *json;
};
int docker_container_list(const struct docker *d, struct arena *a, bool all, struct docker_container **ret,
                          size_t *ret_n, struct err *e);
/* One container by name, id or unique prefix of the id. The inspect call locks the container inside the engine: never
 * use it while answering an authorization request, docker_container_find is for that. */
int docker_container_inspect(const struct docker *d, struct arena *a, struct str ref, struct docker_container *ret,
                             struct err *e);
/* The same look-up from the engine's list, which takes no lock of the container. -ENOENT, -EEXIST: prefix not unique.
 * Precedence as in the engine: full id, full name, then id prefix. */
int docker_container_find(const struct docker *d, struct arena *a, struct str ref, struct docker_container *ret,
                          struct err *e);

struct docker_exec {
    struct str container; /* 64 hex digits */
    struct str entry;     /* the program, and its arguments: an array of strings or NULL */
    const struct json_value *arguments;
};
/* An exec session by its id, started or not. */
int docker_exec_inspect(const struct docker *d, struct arena *a, struct str id, struct docker_exec *ret, struct err *e);

struct docker_event {
    struct str type, action; /* container: create start die destroy rename ...; image: tag pull delete ... */
    struct str id;           /* actor: container id, image id or name */
    const struct json_value *attributes; /* name, image and the labels */
    int64_t time;                        /* instant */
};
/* Follow the engine's events. One follower per thread; docker_follow_stop may be called from any thread. */
struct docker_follow;
typedef int docker_event_fn(void *ctx, const struct docker_event *ev);
int docker_follow_open(const struct docker *d, struct docker_follow **ret, struct err *e);
void docker_follow_close(struct docker_follow *f); /* NULL is fine */
void docker_follow_closep(struct docker_follow **f);
/* Blocks, calling `fn` for each event from `since` on (instant; 0: from now), until fn answers non-zero (which is
 * returned), docker_follow_stop (-ECANCELED) or the end of the connection (-ECONNRESET).
 * What fn gets is gone when it returns. To miss nothing: note the time, list the containers, then follow with `since`
 * = that time; the engine replays what happened meanwhile. */
int docker_follow_run(struct docker_follow *f, int64_t since, docker_event_fn *fn, void *ctx, struct err *e);
void docker_follow_stop(struct docker_follow *f);

/* True when ref can be part of an API path: 1..512 bytes of [A-Za-z0-9._:/@-], no "//" and no "..", not starting with
 * '/' or '-'. */
bool docker_ref_valid(struct str ref);

#endif
