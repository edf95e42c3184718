/* The schema, and the fields of the event itself and of its container. */
#include "detect/subject.h"

#include "base/cleanup.h"
#include "base/time.h"

#include <fcntl.h>

#define COST_YES                              0
#define COST_NO                               0
#define COST_LIVE                             1000 /* a file below /proc is opened */
#define FIELD(id, name, type, arg, have, doc) [F_##id] = {name, EXPR_##type, doc, NULL, 0, EXPR_##arg, COST_##have},
static const struct expr_field fields[] = {
#include "detect/fields.tbl.h"
};
#undef FIELD
const struct expr_schema detect_schema = {fields, FIELDS};

#define FIELD(id, name, type, arg, have, doc) [F_##id] = HAVE_##have,
static const uint8_t haves[] = {
#include "detect/fields.tbl.h"
};
#undef FIELD

#define KIND(id, type, names, doc) [KIND_##id] = {EVENT_TYPE_##type, names, doc},
static const struct {
    enum event_type type;
    const char *names, *doc;
} kinds[] = {
#include "detect/kinds.tbl.h"
};
#undef KIND

enum detect_have detect_have(unsigned field)
{
    return field < FIELDS ? (enum detect_have)haves[field] : HAVE_NO;
}

const char *detect_field_doc(unsigned field)
{
    return fields[field].doc;
}

struct str detect_kind_names(enum detect_kind k)
{
    return str_c(kinds[k].names);
}

const char *detect_kind_doc(enum detect_kind k)
{
    return kinds[k].doc;
}

enum event_type detect_kind_type(enum detect_kind k)
{
    return kinds[k].type;
}

static bool called(enum detect_kind k, struct str name)
{
    struct str rest = detect_kind_names(k), one;
    while (str_cut(&rest, ' ', &one))
        if (str_eq(one, name))
            return true;
    return false;
}

uint64_t detect_kinds_called(struct str name)
{
    uint64_t set = 0;
    for (unsigned k = 0; k < KINDS; k++)
        if (called((enum detect_kind)k, name))
            set |= UINT64_C(1) << k;
    return set;
}

/* ---- the event ---- */

static bool text(struct expr_value *v, struct str s)
{
    v->s = s;
    return s.n != 0;
}

static bool num(struct expr_value *v, double n)
{
    v->number = n;
    return true;
}

static bool boolean(struct expr_value *v, bool yes)
{
    v->yes = yes;
    return true;
}

static bool names_of(struct detect_subject *s, struct expr_value *v)
{
    struct str rest = detect_kind_names(s->kind), one, *list = arena_array(s->a, 16, sizeof(*list));
    size_t n = 0;
    while (n < 16 && str_cut(&rest, ' ', &one))
        list[n++] = one;
    v->list = list;
    v->list_n = n;
    return true;
}

static struct str category(enum detect_kind k)
{
    switch (k) {
    case KIND_open:
    case KIND_mmap:
    case KIND_mount:
        return STR("file");
    case KIND_connect:
    case KIND_bind:
    case KIND_listen:
    case KIND_accept:
        return STR("net");
    case KIND_exec:
    case KIND_exit:
    case KIND_fork:
    case KIND_ptrace:
    case KIND_setns:
    case KIND_unshare:
        return STR("process");
    case KIND_credentials:
        return STR("user");
    default:
        return STR("other");
    }
}

static struct str when(struct detect_subject *s, size_t from, size_t to, const char *more)
{
    char t[TIME_TEXT];
    time_format(s->time, t);
    if (to == 19 && from == 0)
        t[10] = ' ';
    return arena_strf(s->a, STR_FMT "%s", STR_ARG(str_sub(str_c(t), from, to)), more);
}

static bool event_time(struct detect_subject *s, unsigned field, struct expr_value *v)
{
    char t[TIME_TEXT];
    switch (field) {
    case F_evt_time:
        return text(v, when(s, 11, 26, "000"));
    case F_evt_time_s:
        return text(v, when(s, 11, 19, ""));
    case F_evt_time_iso8601:
        return text(v, arena_str(s->a, str_c(time_format(s->time, t))));
    case F_evt_datetime:
        return text(
            v, arena_strf(s->a, STR_FMT " " STR_FMT, STR_ARG(when(s, 0, 10, "")), STR_ARG(when(s, 11, 26, "000"))));
    case F_evt_datetime_s:
        return text(v, when(s, 0, 19, ""));
    case F_evt_rawtime:
        return num(v, (double)s->time * 1000);
    default:
        return num(v, (double)(s->time / TIME_SECOND));
    }
}

static bool opens(const struct detect_subject *s, unsigned field, struct expr_value *v)
{
    if (s->kind != KIND_open)
        return boolean(v, false);
    int64_t f = s->open_flags < 0 ? O_WRONLY : s->open_flags; /* what is told without flags was opened for writing */
    switch (field) {
    case F_evt_is_open_read:
        return boolean(v, (f & O_ACCMODE) == O_RDONLY || (f & O_ACCMODE) == O_RDWR);
    case F_evt_is_open_write:
        return boolean(v, (f & O_ACCMODE) == O_WRONLY || (f & O_ACCMODE) == O_RDWR);
    case F_evt_is_open_create:
        return boolean(v, f & O_CREAT);
    default:
        return boolean(v, false);
    }
}

static bool event_args(struct detect_subject *s, struct expr_value *v)
{
    static const char *const args[] = {"path", "flags", "addr", "request", "pid", "uid", "nstype"};
    struct str out = STR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        struct expr_value one = {0};
        if (detect_get_arg(s, str_c(args[i]), &one))
            out = arena_strf(s->a, STR_FMT "%s%s=" STR_FMT, STR_ARG(out), out.n ? " " : "", args[i], STR_ARG(one.s));
    }
    return text(v, out);
}

static bool event_field(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    bool refused = s->outcome == OUTCOME_prevented;
    switch (field) {
    case F_evt_num:
        return num(v, (double)s->num);
    case F_evt_count:
        return num(v, 1);
    case F_evt_cpu:
        return num(v, s->cpu);
    case F_evt_type:
    case F_syscall_type:
        return names_of(s, v);
    case F_evt_type_is:
        return num(v, (detect_kinds_called(arg) >> s->kind) & 1);
    case F_evt_category:
        return text(v, category(s->kind));
    case F_evt_source:
        return text(v, STR("syscall"));
    case F_evt_hostname:
        return text(v, s->host);
    case F_evt_args:
    case F_evt_info:
        return event_args(s, v);
    case F_evt_arg:
    case F_evt_rawarg:
        return detect_get_arg(s, arg, v);
    case F_evt_res:
        return text(v, refused ? STR("EPERM") : STR("SUCCESS"));
    case F_evt_rawres:
        return num(v, refused ? -1 : 0);
    case F_evt_failed:
        return boolean(v, refused);
    case F_evt_dir: {
        static const struct str both[] = {{"<", 1}, {">", 1}};
        v->list = both;
        v->list_n = 2;
        return true;
    }
    case F_evt_is_open_read:
    case F_evt_is_open_write:
    case F_evt_is_open_create:
    case F_evt_is_open_exec:
        return opens(s, field, v);
    default:
        return event_time(s, field, v);
    }
}

/* ---- the container ---- */

static struct str repository(struct str image, struct str *tag)
{
    struct str rest;
    str_split(image, '@', &image, &rest);
    ptrdiff_t colon = str_rchr(image, ':'), slash = str_rchr(image, '/');
    *tag = STR("latest");
    if (colon > slash) {
        *tag = str_sub(image, (size_t)colon + 1, image.n);
        image.n = (size_t)colon;
    }
    return image;
}

static struct str label(const struct detect_subject *s, const char *name, struct str key)
{
    if (name)
        key = str_c(name);
    JSON_EACH (s->container.labels, it)
        if (str_eq(it->key, key))
            return json_str(it);
    return STR_NONE;
}

static struct str labels(struct detect_subject *s)
{
    struct str out = STR_NONE;
    size_t n = 0;
    JSON_EACH (s->container.labels, it)
        if (n++ < 100)
            out = arena_strf(s->a, STR_FMT "%s" STR_FMT ":" STR_FMT, STR_ARG(out), out.n ? "," : "", STR_ARG(it->key),
                             STR_ARG(json_str(it)));
    return out;
}

static struct str image_hex(struct str id)
{
    return str_starts(id, STR("sha256:")) ? str_sub(id, 7, 19) : STR_NONE;
}

static bool container_field(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    const struct event_container *c = &s->container;
    const uint64_t strong = UINT64_C(1) << 21 | UINT64_C(1) << 16 | UINT64_C(1) << 17;
    bool host = !c->id.n;
    struct str tag, repo = repository(c->image, &tag);
    switch (field) {
    case F_container_id:
        return text(v, host ? STR("host") : str_sub(c->id, 0, 12));
    case F_container_full_id:
        return text(v, host ? STR("host") : c->id);
    case F_container_name:
        return text(v, host ? STR("host") : c->name);
    case F_container_image:
        return text(v, c->image);
    case F_container_image_id:
        return text(v, image_hex(c->image_id));
    case F_container_image_repository:
        return text(v, repo);
    case F_container_image_tag:
        return text(v, repo.n ? tag : STR_NONE);
    case F_container_image_digest:
        return text(v, c->image_digest);
    case F_container_type:
        return text(v, host ? STR("host") : c->engine);
    case F_container_info:
        return text(v, host ? STR("host")
                            : arena_strf(s->a,
                                         "container_id=" STR_FMT " container_name=" STR_FMT " container_image=" STR_FMT,
                                         STR_ARG(str_sub(c->id, 0, 12)), STR_ARG(c->name), STR_ARG(c->image)));
    case F_container_privileged:
        return !host && s->has_caps && boolean(v, (s->caps & strong) == strong);
    case F_container_start_ts:
    case F_proc_pidns_init_ts:
        return s->container_started > 0 && num(v, (double)s->container_started * 1000);
    case F_container_duration:
        return s->container_started > 0 && num(v, (double)(s->time - s->container_started) * 1000);
    case F_container_label:
    case F_k8s_pod_label:
        return text(v, label(s, NULL, arg));
    case F_container_labels:
    case F_k8s_pod_labels:
        return text(v, labels(s));
    case F_k8s_pod_name:
        return text(v, label(s, "io.kubernetes.pod.name", STR_NONE));
    case F_k8s_pod_uid:
    case F_k8s_pod_id:
        return text(v, label(s, "io.kubernetes.pod.uid", STR_NONE));
    case F_k8s_ns_name:
        return text(v, label(s, "io.kubernetes.pod.namespace", STR_NONE));
    default:
        return false;
    }
}

/* ---- ours ---- */

static bool from_detail(struct detect_subject *s, struct str path, struct expr_value *v)
{
    struct str part;
    if (!s->detail && s->ask_detail)
        s->detail = s->ask_detail(s->ask_ctx, s->a);
    const struct json_value *at = s->detail;
    while (at && str_cut(&path, '.', &part))
        at = json_get(at, arena_cstr(s->a, part));
    if (!at)
        return false;
    if (at->type == JSON_TRUE || at->type == JSON_FALSE)
        return text(v, at->type == JSON_TRUE ? STR("true") : STR("false"));
    if (at->type == JSON_STRING || at->type == JSON_NUMBER)
        return text(v, at->text);
    if (at->type == JSON_ARRAY) {
        struct str out = STR_NONE;
        size_t n = 0;
        JSON_EACH (at, it)
            if (n++ < 100)
                out = arena_strf(s->a, STR_FMT "%s" STR_FMT, STR_ARG(out), out.n ? "," : "", STR_ARG(it->text));
        return text(v, out);
    }
    return false;
}

static bool split(struct detect_subject *s, struct str csv, struct expr_value *v)
{
    struct str one, *list = arena_array(s->a, 32, sizeof(*list));
    size_t n = 0;
    while (n < 32 && str_cut(&csv, ',', &one))
        list[n++] = one;
    v->list = list;
    v->list_n = n;
    return n != 0;
}

static bool own_field(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    switch (field) {
    case F_bh_type:
        return text(v, str_c(event_type_name(s->type)));
    case F_bh_control:
        return text(v, str_c(event_control_name(s->control)));
    case F_bh_action:
        return text(v, str_c(event_action_name(s->action)));
    case F_bh_level:
        return text(v, str_c(event_level_name(s->level)));
    case F_bh_outcome:
        return text(v, str_c(event_outcome_name(s->outcome)));
    case F_bh_file_flags:
        return split(s, sensor_file_flags(s->a, s->file_flags), v);
    case F_bh_via:
        return text(v, s->via);
    case F_bh_target:
        return s->target > 0 && num(v, (double)s->target);
    default:
        return from_detail(s, arg, v);
    }
}

bool detect_get(void *subject, unsigned field, struct str arg, struct expr_value *ret)
{
    struct detect_subject *s = subject;
    if (field >= FIELDS || haves[field] == HAVE_NO)
        return false;
    if (field >= F_bh_type)
        return field == F_bh_peer || field == F_bh_namespaces ? detect_get_object(s, field, arg, ret)
                                                              : own_field(s, field, arg, ret);
    if (field < F_proc_pid || field == F_evt_info)
        return event_field(s, field, arg, ret);
    if (field == F_proc_pidns_init_ts || (field >= F_container_id && field <= F_container_host_ipc) ||
        (field >= F_k8s_pod_name && field <= F_k8s_deployment_name))
        return container_field(s, field, arg, ret);
    if (haves[field] == HAVE_LIVE)
        return detect_get_live(s, field, arg, ret);
    if (field < F_container_id)
        return detect_get_proc(s, field, arg, ret);
    return detect_get_object(s, field, arg, ret);
}
