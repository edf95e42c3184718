/* subject: what a detection rule is asked about: one event with who did it, in one form whether it comes live from the
 * sensor or recorded as a JSON line.
 *
 * A struct subject borrows all it points to; what a field has to make (command lines, ancestors) lives in its arena,
 * made once. detect_get() is the expr_get_fn of the schema that fields.tbl.h spells out.
 *
 *     struct detect_subject s = {.a = a, .tree = tree};
 *     detect_subject_sensor(&s, ev);            // or detect_subject_json(&s, line, e)
 *     expr_set_eval(memo, rule, detect_get, &s);
 */
#ifndef BULKHEAD_DETECT_SUBJECT_H
#define BULKHEAD_DETECT_SUBJECT_H

#include "expr/expr.h"
#include "format/event.h"
#include "runtime/process.h"
#include "runtime/sensor.h"

#define DETECT_PARENTS 24u

#define KIND(id, type, names, doc) KIND_##id,
enum detect_kind {
#include "detect/kinds.tbl.h"
    KINDS
};
#undef KIND

#define FIELD(id, name, type, arg, have, doc) F_##id,
enum detect_field {
#include "detect/fields.tbl.h"
    FIELDS
};
#undef FIELD

enum detect_have { HAVE_YES, HAVE_LIVE, HAVE_NO };

struct detect_parent {
    int64_t pid;
    struct str exe, name, args; /* args: NUL-separated, may be empty */
    int64_t uid, started;       /* -1, 0: unknown */
};

struct detect_subject {
    struct arena *a;        /* for what fields make; the caller resets it between events */
    struct processes *tree; /* NULL: what the event itself carries */
    bool live;              /* the process may be asked in /proc */

    enum detect_kind kind;
    enum event_type type;
    enum event_control control;
    enum event_action action;
    enum event_level level;
    enum event_outcome outcome;
    uint64_t num;
    int64_t time;
    struct str host;
    struct event_container container; /* id empty: the host */
    int64_t container_started;
    struct str via;

    int64_t pid, tid, ns_pid, ppid, uid, ns_uid, gid, started; /* -1 (started: 0) unknown */
    struct str exe, comm, args;                                /* args: NUL-separated */
    bool has_caps;
    uint64_t caps;
    struct detect_parent parents[DETECT_PARENTS]; /* nearest first, with the host's */
    size_t parents_n;

    struct str path, path2;            /* path2: target of a rename or link */
    uint32_t file_flags;               /* enum bh_file_flags */
    int64_t inode, device, open_flags; /* -1 unknown */
    uint16_t family;
    uint8_t protocol;
    uint16_t port, local_port;
    uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    struct str peer_name;
    int64_t request, target; /* ptrace */
    uint64_t namespaces;     /* CLONE_NEW* */
    bool entered;
    int64_t new_uid;
    uint32_t syscall, cpu;

    const struct json_value *detail; /* recorded: the event's; live: what ask_detail makes, when a rule asks */
    const struct json_value *(*ask_detail)(void *ctx, struct arena *a);
    void *ask_ctx;
    /* made once */
    struct str name, cmdline, argline;
    int stat_read;
    int64_t tty, sid, pgid, threads;
};

extern const struct expr_schema detect_schema;
enum detect_have detect_have(unsigned field);
const char *detect_field_doc(unsigned field);
struct str detect_kind_names(enum detect_kind k); /* separated by blanks, the commonest first */
const char *detect_kind_doc(enum detect_kind k);
enum event_type detect_kind_type(enum detect_kind k);
/* Which kinds are called so; 0: none is. */
uint64_t detect_kinds_called(struct str name);

/* Container (but its id) and tree are the caller's. Borrows from ev. */
enum detect_kind detect_subject_kind(const struct sensor_event *ev);
void detect_subject_sensor(struct detect_subject *s, const struct sensor_event *ev);
/* One recorded event. Processes of exec events are for the caller to put into a tree. */
int detect_subject_json(struct detect_subject *s, const struct json_value *event, struct err *e);

bool detect_get(void *subject, unsigned field, struct str arg, struct expr_value *ret);

/* ---- shared by the files of getters ---- */
bool detect_get_proc(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *ret);
bool detect_get_live(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *ret);
bool detect_get_object(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *ret);
bool detect_get_arg(struct detect_subject *s, struct str arg, struct expr_value *ret);
struct str detect_argline(struct arena *a, struct str args, bool first); /* joined; first: with argv[0] */
struct str detect_name(struct str comm, struct str exe, struct str args);
struct str detect_caps(struct arena *a, uint64_t caps);

#endif
