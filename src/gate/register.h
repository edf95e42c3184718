/* register: puts Bulkhead into a Docker engine's configuration, and takes exactly that out again.
 *
 * Enable merges into daemon.json: "authorization-plugins": ["bulkhead"], "runtimes": {"bulkhead": {path, runtimeArgs}},
 * "default-runtime": "bulkhead". All three are reloadable, so dockerd gets a SIGHUP and is then asked whether it took
 * them. Everything else in the file keeps its value and order (its layout becomes ours, until disable puts the very
 * bytes back if nobody edited meanwhile); the original is also kept as daemon.json.before-bulkhead. A file that is not
 * one strict JSON object, or that has a default-runtime other than runc, is refused with an explanation.
 * STATE/engine.json remembers what was added, so that disable removes that and nothing else, and tells the plugin that
 * the guard is enforced. If dockerd does not take it, everything is put back.
 */
#ifndef BULKHEAD_GATE_REGISTER_H
#define BULKHEAD_GATE_REGISTER_H

#include "base/arena.h"
#include "base/err.h"

struct register_opts {
    const char *config;  /* NULL: /etc/docker/daemon.json */
    const char *state;   /* state directory of the agent */
    const char *engine;  /* url; NULL: DOCKER_DEFAULT_URL */
    const char *guard;   /* path of bulkhead-runc; NULL: beside the running program, else /usr/bin/bulkhead-runc */
    const char *bpf_dir; /* handed to the guard; NULL: its default */
    const char *runtime; /* real runtime; NULL: the guard's default */
    const char *pidfile; /* of dockerd; NULL: /var/run/docker.pid */
    const char *socket;  /* of the plugin, must answer before dockerd is told of it; NULL: PLUGIN_SOCKET */
    bool no_plugin;      /* register the runtime only */
    bool no_reload;      /* only edit the file */
};

/* The text of daemon.json with our entries, or without; the pure part, for tests. `text` may be empty (no file).
 * *changed false: nothing to do. -EACCES: refused, the message says why and what to do. */
int register_merge(struct arena *a, struct str text, const struct register_opts *o, struct str *ret, bool *changed,
                   struct err *e);
int register_unmerge(struct arena *a, struct str text, struct str original, struct str *ret, bool *changed,
                     struct err *e);

/* *before (may be NULL): containers made before, which keep their runtime and so start past the guard on restarts of
 * the engine until they are made anew. */
int register_enable(const struct register_opts *o, size_t *before, struct err *e);
/* *kept (may be NULL): containers made with the guard. For them an entry "bulkhead" that is the plain runtime stays in
 * the file, or they could never start again. */
int register_disable(const struct register_opts *o, size_t *kept, struct err *e);

/* Name of the guard runtime that this state directory's engine was given, "" when the guard is not enforced. */
struct str register_guard(struct arena *a, const char *state);

#endif
