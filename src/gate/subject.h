/* subject: what is known of one container, kept in STATE/containers/<64 hex>.json for everyone who must know it later:
 * the gate at start, bulkhead-runc when the agent is dead, the sensor for names. Written by the gate (at create) and
 * by the agent's watcher; replaced atomically, so readers see one or the other. */
#ifndef BULKHEAD_GATE_SUBJECT_H
#define BULKHEAD_GATE_SUBJECT_H

#include "policy/policy.h"

struct subject {
    struct str id;                   /* 64 hex digits */
    struct str name;                 /* without leading '/' */
    struct str image;                /* as the user wrote it */
    struct str image_id;             /* sha256:HEX; empty: a container without an image */
    struct str image_digest;         /* sha256:HEX of the manifest; STR_NONE: none */
    struct str engine;               /* docker */
    const struct json_value *labels; /* object of strings or NULL */
    struct str *names;               /* every tag and digest the image was known by */
    size_t names_n;
    struct str *addresses, *resolvers; /* the engine gave it and told it to ask; not kept in the file */
    size_t addresses_n, resolvers_n;
};

int subject_write(const char *state, const struct subject *s, struct err *e); /* -EINVAL: bad id */
int subject_read(struct arena *a, const char *state, struct str id, struct subject *ret, struct err *e); /* -ENOENT */
int subject_remove(const char *state, struct str id, struct err *e); /* 0 also when it was not there */

struct container_subject subject_for_policy(const struct subject *s);
void subject_for_event(const struct subject *s, struct event_container *ret);

bool hex_id_valid(struct str id);   /* 64 lower-case hex digits */
bool image_id_valid(struct str id); /* "sha256:" and 64 lower-case hex digits */

#endif
