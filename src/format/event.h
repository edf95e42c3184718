/* event: the one event of the house, as the contract and api/event.schema.json define it.
 *
 * Whoever has something to tell (runtime, gate, agent) fills a struct event from borrowed strings and hands it to a
 * journal, which stamps id, time, seq and host and writes one JSON line. Empty parts are written as null, never left
 * out, but for `container` of host events and `process` where there is none.
 */
#ifndef BULKHEAD_FORMAT_EVENT_H
#define BULKHEAD_FORMAT_EVENT_H

#include "format/json.h"

#define EVENT_TYPE(n) EVENT_TYPE_##n,
enum event_type {
#include "format/event.tbl.h"
};
#undef EVENT_TYPE
#define EVENT_CONTROL(id, name, doc) CONTROL_##id,
enum event_control {
#include "format/event.tbl.h"
};
#undef EVENT_CONTROL
#define EVENT_SEVERITY(n) SEVERITY_##n,
enum event_severity {
#include "format/event.tbl.h"
};
#undef EVENT_SEVERITY
#define EVENT_ACTION(n) ACTION_##n,
enum event_action {
#include "format/event.tbl.h"
};
#undef EVENT_ACTION
#define EVENT_LEVEL(n) LEVEL_##n,
enum event_level {
#include "format/event.tbl.h"
};
#undef EVENT_LEVEL
#define EVENT_OUTCOME(n) OUTCOME_##n,
enum event_outcome {
#include "format/event.tbl.h"
};
#undef EVENT_OUTCOME

struct event_container {
    struct str id;                   /* 64 hex digits; empty: the event is the host's */
    struct str name, image;          /* name without the leading '/', image as the user wrote it */
    struct str image_id;             /* sha256:HEX, digest of the config JSON */
    struct str image_digest;         /* sha256:HEX of the manifest, STR_NONE when the image has none */
    struct str engine;               /* docker containerd podman */
    const struct json_value *labels; /* object of strings, NULL: {} */
};

struct event_parent {
    int64_t pid;
    struct str exe;
    struct str args; /* NUL-separated; empty: not told */
    int64_t uid;     /* with args */
};

struct event_process {
    int64_t pid; /* in the host's pid namespace; 0: no process */
    struct str exe;
    struct str *args;
    size_t args_n;
    int64_t uid;
    struct str user; /* name of the uid in the container's /etc/passwd; empty: unknown */
    int64_t started; /* instant; 0 unknown */
    struct event_parent *parents;
    size_t parents_n; /* nearest first */
};

struct event {
    /* stamped by the journal */
    const char *id;
    int64_t time;
    uint64_t seq;
    struct str host;
    /* filled by the teller; time may be preset to the moment it happened */
    enum event_type type;
    enum event_control control;
    struct str rule; /* plain words: "Drop and execute"; empty: none */
    enum event_severity severity;
    enum event_action action;   /* the policy's setting */
    enum event_level level;     /* what acted */
    enum event_outcome outcome; /* prevented only with block, killed only with kill, responded only with respond */
    struct event_container container;
    struct event_process process;
    struct str user_name, user_via;
    struct str policy_name;
    int64_t policy_revision;
    struct str detail; /* a JSON object, already rendered; empty: {} */
};

void event_write(struct json_writer *w, const struct event *ev); /* one object, without newline */

/* The closed lists, in the order of their numbers. */
enum event_list {
    EVENT_LIST_TYPE,
    EVENT_LIST_CONTROL,
    EVENT_LIST_SEVERITY,
    EVENT_LIST_ACTION,
    EVENT_LIST_LEVEL,
    EVENT_LIST_OUTCOME,
};
size_t event_names(enum event_list l, const char *const **ret);
int event_find(enum event_list l, struct str name); /* its number; -EINVAL: not in the list */
const char *event_type_name(enum event_type t);
const char *event_control_name(enum event_control c);
const char *event_severity_name(enum event_severity s);
const char *event_action_name(enum event_action a);
const char *event_level_name(enum event_level l);
const char *event_outcome_name(enum event_outcome o);
int event_severity_parse(struct str s, enum event_severity *ret); /* -EINVAL */
int event_action_parse(struct str s, enum event_action *ret);

#endif
