/* policy: policy documents (YAML) as one immutable set, and what they say about one image or one container.
 *
 * A set is parsed whole or not at all; errors name file, line, field, what was expected and what to do. It is shared
 * by reference count (one of the two shared snapshots of the house) and never changes. Its revision is the hex
 * SHA-256 of the canonical documents, so equal documents have equal revisions everywhere.
 */
#ifndef BULKHEAD_POLICY_POLICY_H
#define BULKHEAD_POLICY_POLICY_H

#include "format/event.h"
#include "policy/verdict.h"
#include "policy/vex.h"

struct policy_set;

enum policy_kind { POLICY_IMAGE, POLICY_CONTAINER, POLICY_ACCESS, POLICY_KINDS };
enum policy_mode { MODE_LEARN, MODE_AUDIT, MODE_ENFORCE };
const char *policy_kind_name(enum policy_kind kind); /* "ImagePolicy" */

struct policy_source {
    struct str origin; /* file name or "console:NAME" for messages */
    struct str text;   /* one or more YAML documents */
    int64_t revision;  /* given to the documents of this source; 0 for local files */
};
struct policy_doc { /* for listings, `policy check`, the console */
    enum policy_kind kind;
    struct str name;
    int64_t revision;
    struct str text;         /* the document as written */
    struct json_value *json; /* the document as JSON, for api/policy.schema.json */
};

int policy_set_parse(const struct policy_source *sources, size_t n, struct policy_set **ret, struct err *e);
int policy_set_load(const char *const *paths, size_t n, struct policy_set **ret,
                    struct err *e); /* files or folders (*.yaml *.yml) */
struct policy_set *policy_set_ref(struct policy_set *s);
void policy_set_unref(struct policy_set *s); /* NULL is fine */
void policy_set_unrefp(struct policy_set **s);
struct str policy_set_revision(const struct policy_set *s); /* 64 hex digits */
size_t policy_set_docs(const struct policy_set *s, const struct policy_doc **ret);
/* Parts of the set that this build parses but does not put into force, one line each ("policy web: files.watch: ...").
 */
size_t policy_set_notices(const struct policy_set *s, const struct str **ret);

/* ---- images ---- */
struct verdict_input {
    const struct image_facts *facts;
    struct str intel_revision;  /* empty: scanned without intel */
    enum vuln_severity fail_on; /* VULN_UNKNOWN: off. The --fail-on rule */
    int64_t now;
    bool running; /* the id already runs: grace applies, counted from running_since */
    int64_t running_since;
};
/* The verdict lives in the arena. s may be NULL (no policy). Deterministic: equal input, equal output. */
int policy_verdict(struct arena *a, const struct policy_set *s, const struct verdict_input *in, struct verdict *ret,
                   struct err *e);
enum unscanned { UNSCANNED_SCAN, UNSCANNED_DENY };
/* What to do with an image that has no inventory yet: the strictest of the policies that select one of its names.
 * *governed is false when no ImagePolicy selects it (then it may run: the host default). */
enum unscanned policy_unscanned(const struct policy_set *s, const struct str *names, size_t n, bool *governed);

/* What one entry of `vex` in an ImagePolicy states. */
struct policy_vex {
    struct str policy, what, package, owner; /* what: the finding, or words for a document */
    int64_t expires;
    struct vex vex;
};
/* Those of the policies that select the image, in their order; assess() goes by them. */
size_t policy_vex(struct arena *a, const struct policy_set *s, const struct str *names, size_t names_n,
                  struct str image_id, const struct policy_vex ***ret);

typedef bool policy_trusts(void *ctx, struct str public_pem);
/* Whether each of the policies that select one of the names has an attester whose key `trusts` says yes to (and there
 * is such a policy). *ret_for: the shortest age any of them still takes; *ret_by: the attester's name. */
bool policy_attested(const struct policy_set *s, const struct str *names, size_t n, policy_trusts *trusts, void *ctx,
                     int64_t *ret_for, struct str *ret_by);

/* ---- containers ---- */
struct container_subject {
    struct str id, name; /* name without leading '/' */
    struct str image, image_id, image_digest;
    const struct json_value *labels; /* object of strings or NULL */
    const struct str *names; /* every tag and digest its image is known by: a policy selects by any of them, so that
                              * starting by id or by another tag does not pass it */
    size_t names_n;
};
/* One side of `network`. Elements are read by network_element_parse() (policy/network.h). */
struct network_side {
    bool given;        /* some policy speaks about this side: otherwise all is allowed */
    bool deny_default; /* what no element allows is denied */
    struct str *allow, *deny;
    size_t allow_n, deny_n;
};

/* `resources`: what is measured, and what is done while it is above its limit. RESOURCE(name, unit in words) */
#define POLICY_RESOURCES(X)                                                                                            \
    X(cpu, "a percentage of one processor like 150%")                                                                  \
    X(memory, "a size like 512MB or a percentage of the container's limit")                                            \
    X(processes, "a number")                                                                                           \
    X(descriptors, "a number")                                                                                         \
    X(disk_writes, "a size a second like 50MB")                                                                        \
    X(network, "a size a second like 50MB")
enum resource {
#define X(name, unit) RESOURCE_##name,
    POLICY_RESOURCES(X)
#undef X
        RESOURCES,
};
const char *resource_name(enum resource r);
/* Milder first: of two policies the later one counts. */
enum resource_action {
    RESOURCE_ALERT,
    RESOURCE_THROTTLE,
    RESOURCE_ISOLATE,
    RESOURCE_FREEZE,
    RESOURCE_STOP,
    RESOURCE_KILL
};
const char *resource_action_name(enum resource_action a);
struct resource_limit {
    bool given, percent;
    bool learned;     /* limit: learned. Three times what is usual for the image, and never below what is harmless */
    uint64_t limit;   /* percent of one processor (cpu); percent or bytes (memory); number; bytes a second */
    int64_t duration; /* this long above the limit before anything is done */
    enum resource_action action;
};

#define POLICY_SEVERITIES 5 /* EVENT_SEVERITY */

/* Every setting off/alert/block: X(name, section, key). Names are those of CONTROL_* and BH_CONTROL_*. */
#define POLICY_ACTIONS(X)                                                                                              \
    X(drift, process, drift)                                                                                           \
    X(fileless, process, fileless)                                                                                     \
    X(scripts, process, scripts)                                                                                       \
    X(escalation, privilege, escalation)                                                                               \
    X(namespaces, privilege, namespaces)                                                                               \
    X(ptrace, privilege, ptrace)                                                                                       \
    X(mount, privilege, mount)                                                                                         \
    X(modules, privilege, modules)                                                                                     \
    X(bpf, privilege, bpf)                                                                                             \
    X(io_uring, privilege, io_uring)                                                                                   \
    X(credentials, privilege, credentials)                                                                             \
    X(setuid_files, privilege, setuid_files)                                                                           \
    X(keyring, privilege, keyring)                                                                                     \
    X(perf, privilege, perf)                                                                                           \
    X(userfaultfd, privilege, userfaultfd)                                                                             \
    X(compat, privilege, compat)                                                                                       \
    X(escape, privilege, escape)                                                                                       \
    X(raw, network, raw)                                                                                               \
    X(metadata, network, metadata)                                                                                     \
    X(known_bad, network, known_bad)                                                                                   \
    X(shells, network, shells)                                                                                         \
    X(scans, network, scans)                                                                                           \
    X(tunnels, network, tunnels)                                                                                       \
    X(mining, network, mining)                                                                                         \
    X(iso_signals, isolation, signals)                                                                                 \
    X(iso_ptrace, isolation, ptrace)                                                                                   \
    X(iso_memory, isolation, memory)                                                                                   \
    X(iso_sockets, isolation, sockets)

/* What one document wants done about an event. `rules` are asked first, in their order. */
struct respond_rule {
    struct str name; /* of a detection rule, or of a control; with * and ? */
    enum resource_action action;
};
struct policy_respond {
    enum resource_action severity[POLICY_SEVERITIES]; /* by enum event_severity; ALERT: nothing is done */
    const struct respond_rule *rules;
    size_t rules_n;
};
/* The strictest of what the documents say. name: the rule's when the event is of control `rules`, else the control's.
 */
enum resource_action policy_respond(const struct policy_respond *v, size_t n, int severity, struct str name);
struct policy_respond *policy_respond_copy(struct arena *a, const struct policy_respond *v, size_t n);

struct container_policy {
    struct str name;       /* names of all that matched, joined by "+"; "default" when none did */
    int64_t revision;      /* highest of the matching documents */
    enum policy_mode mode; /* strictest; default: MODE_AUDIT */
    /* settings of the controls; mode is not applied yet: in learn and audit `block` acts as alert with detail.would */
#define X(name, section, key) enum event_action name;
    POLICY_ACTIONS(X)
#undef X
    struct str *drift_allow, *exec_from, *allow, *deny, *users; /* path globs or sha256:HEX; users: names or uids */
    size_t drift_allow_n, exec_from_n, allow_n, deny_n, users_n;
    bool has_allow, has_users; /* an empty list that is present allows nothing */
    struct str *capabilities;  /* without CAP_ */
    size_t capabilities_n;
    bool has_capabilities;
    struct str *files_deny, *files_read_only, *files_watch; /* path globs */
    size_t files_deny_n, files_read_only_n, files_watch_n;
    struct network_side egress, ingress;
    struct str *isolation_allow; /* other containers that may be reached all the same: names, or KEY=VALUE of a label */
    size_t isolation_allow_n;
    struct resource_limit limits[RESOURCES];
    const struct policy_respond *responds; /* of each document that matches */
    size_t responds_n;
    struct str syscalls; /* seccomp profile: "", default, learned, or a path on the host */
    bool respond_memory; /* evidence with the offender's memory */
};
/* Effective policy: strictest setting of each control, denies add, allows intersect. Host default: every control
 * `block` in MODE_AUDIT (so it alerts and says what it would have done), scripts `alert`, no lists. */
uint64_t policy_capabilities(const struct container_policy *p); /* the list as bits */
const char *policy_capability_name(size_t number);              /* "NET_RAW"; NULL: there is none */
void policy_container(struct arena *a, const struct policy_set *s, const struct container_subject *c,
                      struct container_policy *ret);

#endif
