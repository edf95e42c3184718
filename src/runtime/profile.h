/* profile: what an image's containers run, learned from what they did; the process allow list of `enforce`.
 *
 * One profile an image id, kept as DIR/<64 hex>.json: every executable with its path, where it lies, who started it
 * and as which user, how often, first and last. A profile is stable when nothing new was seen for `starts` starts of
 * containers and for `quiet` time; then it may rule. Only what lies in the image or in an allowed volume is learned:
 * what was dropped, deleted or never had a file is never part of it, nor is what a control fired on.
 *
 * Bounded: PROFILE_EXECUTABLES an image, PROFILE_USERS and PROFILE_PARENTS an executable; a profile that overflows says
 * so (`overflow`) and never becomes stable. Not thread-safe. Profiles that are not used are not in memory.
 *
 *     struct profiles *ps = profiles_new(dir, 3, 600 * TIME_SECOND);
 *     profiles_started(ps, image_id, image, now);
 *     if (profiles_observe(ps, image_id, &seen, now)) ...new...
 *     profiles_tick(ps, now, told, ctx);     // every few seconds: writes what changed, tells what became stable
 */
#ifndef BULKHEAD_RUNTIME_PROFILE_H
#define BULKHEAD_RUNTIME_PROFILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "format/json.h"
#include "runtime/calls.h"

#define PROFILE_EXECUTABLES 2048u
#define PROFILE_USERS       16u
#define PROFILE_PARENTS     16u
#define PROFILE_PEERS       512u
#define PROFILE_FOLDERS     512u
#define PROFILE_FILE        (8u << 20)
#define PROFILE_DIGEST      72u /* sha256:HEX and a NUL */

struct profile_executable {
    struct str path;
    struct str where;    /* image, volume, unknown (the root is no overlay) */
    int64_t *users;      /* uids as the container sees them */
    struct str *parents; /* paths; "" stands for outside of the container */
    size_t users_n, parents_n;
    int64_t count, first, last;
};

struct profile_peer {
    struct str address; /* of the other end; ingress: of our own */
    struct str protocol;
    int64_t port; /* of the server */
    bool ingress;
    int64_t count, first, last;
};

struct profile {
    struct str image_id, image;             /* sha256:HEX; name for people */
    struct profile_executable *executables; /* sorted by path when read from a file */
    size_t executables_n;
    struct profile_peer *peers; /* connected to, listened on */
    size_t peers_n;
    struct str *folders; /* of files opened for writing, where the sensor tells that */
    size_t folders_n;
    uint64_t capabilities;    /* that any program held */
    struct calls calls;       /* system calls made; none: not learned */
    int64_t starts;           /* of containers, since learning began */
    int64_t created, changed; /* instants; changed: last time something new was seen */
    int64_t starts_then;      /* `starts` at that moment */
    bool stable, overflow;
    int64_t stable_since;
};

struct profile_seen {
    struct str path, parent;
    int64_t uid;
    const char *where;
};

struct profiles;
struct profiles *profiles_new(const char *dir, int64_t starts, int64_t quiet);
void profiles_free(struct profiles *ps); /* writes nothing; NULL is fine */

/* A container of the image started. */
void profiles_started(struct profiles *ps, struct str image_id, struct str image, int64_t now);
/* True when the executable was not in the profile before. */
bool profiles_observe(struct profiles *ps, struct str image_id, struct str image, const struct profile_seen *s,
                      int64_t now);
/* The same for the network, for a folder written to, for the capabilities a program holds, for system calls. */
bool profiles_peer(struct profiles *ps, struct str image_id, struct str image, const struct profile_peer *s,
                   int64_t now);
bool profiles_folder(struct profiles *ps, struct str image_id, struct str image, struct str folder, int64_t now);
bool profiles_capabilities(struct profiles *ps, struct str image_id, struct str image, uint64_t held, int64_t now);
bool profiles_calls(struct profiles *ps, struct str image_id, struct str image, const struct calls *made, int64_t now);
/* Write what changed (at most once a second each), and call fn once for each profile that has become stable, or, having
 * been so, saw something new (p->stable is false then). */
void profiles_tick(struct profiles *ps, int64_t now, void (*fn)(void *ctx, const struct profile *p), void *ctx);
int profiles_save(struct profiles *ps, struct err *e); /* all that changed, now */
/* NULL: none. Borrowed until the next call that changes it. */
const struct profile *profiles_get(struct profiles *ps, struct str image_id);

/* ---- files, for whoever reads them ---- */
int profile_load(struct arena *a, const char *dir, struct str image_id, struct profile *ret,
                 struct err *e); /* -ENOENT */
void profile_write(struct json_writer *w, const struct profile *p);
int profile_read(struct arena *a, const struct json_value *v, struct profile *ret, struct err *e);
/* A ContainerPolicy (YAML) that allows exactly this. */
void profile_policy(struct buf *out, const struct profile *p, const char *mode);
/* ---- profile_export.c: the same for others ---- */
/* seccomp JSON for `docker run --security-opt seccomp=`: the calls learned and what any program needs; where none were
 * learned, all but those that change the kernel, other processes or namespaces. In both, what only a capability that no
 * program held allows is refused. */
void profile_seccomp(struct buf *out, const struct profile *p);
/* The calls such a filter lets through. */
void profile_calls(const struct profile *p, struct calls *ret);
/* Kubernetes NetworkPolicy; selector: "app=web,tier=front", NULL: app=NAME of the image. */
void profile_network_policy(struct buf *out, const struct profile *p, const char *selector);
void profile_apparmor(struct buf *out, const struct profile *p);
/* ---- profile_diff.c ---- */
/* Everything that either allows: replicas of other hosts, or an image and its successor (whose identity it gets). */
void profile_merge(struct arena *a, const struct profile *x, const struct profile *y, struct profile *ret);
/* Lines "+ program /x", "- egress 10.0.0.1:443/tcp"; returns how many. */
size_t profile_diff(struct buf *out, const struct profile *before, const struct profile *after);

#endif
