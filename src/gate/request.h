/* request: one request to the Docker engine, brought into the one form in which it can be judged.
 *
 * The engine is lenient where a judge must not be: it accepts paths with and without version, percent-encoded, JSON
 * keys in any case, twice, and followed by more; it reads settings from places a plugin is not shown. So what is not
 * unambiguous is refused here, and what is not in request.tbl.h does not exist. Pure: no I/O, everything in the arena.
 *
 *     struct request rq;
 *     if (request_classify(a, &raw, &rq, e) < 0) deny(e->msg);      // -EACCES, the message is for the user
 *     switch (rq.class) ...
 *
 * What it refuses: a URI that is not a plain path (absolute, "//", "." and ".." segments, control bytes, '\', a '%'
 * left after one decoding); a method or path that is not in the table; an API version below 1.24 or a malformed one,
 * but for reads; a body where none belongs and none where one is needed (an engine that does not show a body may well
 * act on it: CVE-2024-41110, CVE-2026-34040); JSON that is not strict, has keys twice (also but for case) ; form
 * content types, whose bodies the engine merges into the query; Upgrade to anything but tcp and websocket.
 */
#ifndef BULKHEAD_GATE_REQUEST_H
#define BULKHEAD_GATE_REQUEST_H

#include "format/json.h"

enum request_class {
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_CREATE,   /* a container is made from an image */
    REQUEST_START,    /* a container is started or restarted */
    REQUEST_BUILD,    /* classic or BuildKit, told apart by rq.buildkit */
    REQUEST_BUILDKIT, /* side channels of BuildKit */
    REQUEST_PLUGIN,   /* the engine's plugins are changed */
    REQUEST_SWARM,    /* the engine joins or changes a swarm */
    REQUEST_SERVICE,  /* containers that the swarm will start */
    REQUEST_PROBE,    /* gate/register asks whether the plugin is in force: always refused, never told */
};
enum request_body { REQUEST_NONE, REQUEST_OPTIONAL, REQUEST_REQUIRED, REQUEST_OPAQUE };

struct request_raw { /* as the engine tells it (AuthZReq), body already decoded from base64 */
    struct str method, uri;
    struct str body; /* p == NULL: not shown */
    struct str content_type, upgrade;
};

struct request {
    enum request_class class;
    enum request_body body_kind;
    const char *pattern;           /* of the table */
    struct str method, path;       /* path: decoded, without version and query */
    struct str name;               /* what {} or {*} stood for (the first of them) */
    struct str query;              /* as sent, without '?' */
    unsigned api_minor;            /* 1.N; 0: no version in the path */
    const struct json_value *body; /* REQUIRED: an object; OPTIONAL: an object or NULL; else NULL */
    bool buildkit;
};

int request_classify(struct arena *a, const struct request_raw *raw, struct request *ret, struct err *e);

/* What a body of POST /containers/create asks for; -EACCES when that is ambiguous. */
struct request_create {
    struct str image;   /* as written; empty: a container without an image */
    struct str runtime; /* empty: the engine's default */
};
int request_create(const struct json_value *body, struct request_create *ret, struct err *e);

/* A swarm service's task: -EACCES when it is not an ordinary container (plugins can be installed this way). */
int request_service(const struct json_value *body, struct err *e);

/* One value of the query, decoded ('+' is a blank). STR_NONE when absent; -EACCES when it occurs twice. */
int request_query(struct arena *a, struct str query, const char *name, struct str *ret, struct err *e);

#endif
