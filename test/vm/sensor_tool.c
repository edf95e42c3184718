/*printf("%-14s %-7s %s %s | sensor_tool: the sensor by hand, for the tests of the kernel side and for the curious.
 *
 *   sensor_tool DIR watch [auto|lsm|trace]    load or take over, print one line an event until a signal or EOF on stdin
 *   sensor_tool DIR policy ID MODE [CONTROL=off|alert|block]... [allow=PATH] [deny=PATH] [drift_allow=PATH]
 *                          [exec_from=PATH] [users=UID] [files_deny=PATH] [read_only=PATH]
 *                          [watch=PATH] [cap=NAME] [sealed=1]      ID is 64 hex digits or "default"
 *   sensor_tool DIR socket PATH               PATH is the socket of a container engine
 *   sensor_tool DIR remove | doctor | insns   insns: instructions the verifier walked, for each program loaded on this host
 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "policy/network.h"
#include "runtime/kernel_policy.h"
#include "runtime/sensor.h"
#include "runtime/try.h"

#include <bpf/bpf.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

static int fail(const struct err *e)
{
    fprintf(stderr, "sensor_tool: %s\n", e->msg);
    return 3;
}

static int print(void *ctx, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str flags = sensor_file_flags(a, r->file.flags), peer = sensor_peer(a, ev), args[32];
    printf("%s control=%s action=%s level=%s outcome=%s would=%s id=%.12s pid=%u uid=%u exe=" STR_FMT " path=" STR_FMT
           " file=" STR_FMT " peer=" STR_FMT " known=%u ring=%u why=%u repeats=%u nr=%u arg=%llx parents=%u",
           event_type_name(ev->type), event_control_name(ev->control), event_action_name(ev->action),
           event_level_name(ev->level), event_outcome_name(ev->outcome), event_level_name(ev->would), r->id, r->pid,
           r->uid, STR_ARG(ev->exe), STR_ARG(ev->path), STR_ARG(flags), STR_ARG(peer), r->known, r->ring, r->why,
           r->repeats, r->syscall, (unsigned long long)r->arg[0], r->parents_n);
    if (r->parents_n)
        printf(" parent=" STR_FMT, STR_ARG(sensor_parent_exe(ev, 0)));
    size_t n = sensor_args(ev, args, ARRAY_LEN(args));
    for (size_t i = 0; i < n; i++)
        printf(" [" STR_FMT "]", STR_ARG(args[i]));
    putchar('\n');
    fflush(stdout);
    return 0;
}

static int watch(const char *dir, const char *tier)
{
    struct err e = ERR_INIT;
    struct sensor_opts o = {.bpf_dir = dir, .opens = !getenv("BULKHEAD_NO_OPENS")};
    if (tier && !strcmp(tier, "lsm"))
        o.tier = SENSOR_LSM;
    if (tier && !strcmp(tier, "trace"))
        o.tier = SENSOR_TRACE;
    _cleanup_(sensor_closep) struct sensor *s = NULL;
    if (sensor_open(&o, &s, &e) < 0)
        return fail(&e);
    printf("ready tier=%s took_over=%d\n", sensor_tier_name(sensor_tier(s)), sensor_took_over(s));
    fflush(stdout);
    struct pollfd p[2] = {{.fd = sensor_fd(s), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (char c;;) {
        if (poll(p, 2, 200) < 0 && errno != EINTR)
            break;
        if (sensor_poll(s, 0, print, NULL, &e) < 0)
            return fail(&e);
        if (p[1].revents && read(0, &c, 1) <= 0)
            break;
    }
    sensor_poll(s, 0, print, NULL, &e);
    struct sensor_loss l;
    if (sensor_loss(s, &l, &e) < 0)
        return fail(&e);
    printf("end told=%" PRIu64 ",%" PRIu64 " lost=%" PRIu64 ",%" PRIu64 "\n", l.told[0], l.told[1], l.lost[0], l.lost[1]);
    return 0;
}

static int set_control(struct container_policy *p, struct str name, struct str value)
{
#define X(control, section, key) if (str_eqc(name, #control)) return event_action_parse(value, &p->control);
    POLICY_ACTIONS(X)
#undef X
    return -EINVAL;
}

static void add(struct arena *a, struct str **list, size_t *n, struct str v)
{
    struct str *w = arena_array(a, *n + 1, sizeof(*w));
    if (*n)
        memcpy(w, *list, *n * sizeof(*w));
    w[(*n)++] = v;
    *list = w;
}

static int policy(const char *dir, const char *id, const char *mode, char **rest)
{
    struct err e = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct container_policy p = {.mode = !strcmp(mode, "enforce") ? MODE_ENFORCE : !strcmp(mode, "audit") ? MODE_AUDIT : MODE_LEARN};
    uint8_t resolvers[4][16], own[4][16];
    struct kernel_network net = {.resolvers = (const uint8_t(*)[16])resolvers, .own = (const uint8_t(*)[16])own};
    struct kernel_policy_extra x = {.network = &net};
    for (; *rest; rest++) {
        struct str k, v;
        if (!str_split(str_c(*rest), '=', &k, &v))
            return fprintf(stderr, "sensor_tool: bad setting %s\n", *rest), 2;
        if (str_eqc(k, "allow"))
            p.has_allow = true, add(a, &p.allow, &p.allow_n, v);
        else if (str_eqc(k, "deny"))
            add(a, &p.deny, &p.deny_n, v);
        else if (str_eqc(k, "drift_allow"))
            add(a, &p.drift_allow, &p.drift_allow_n, v);
        else if (str_eqc(k, "exec_from"))
            add(a, &p.exec_from, &p.exec_from_n, v);
        else if (str_eqc(k, "files_deny"))
            add(a, &p.files_deny, &p.files_deny_n, v);
        else if (str_eqc(k, "read_only"))
            add(a, &p.files_read_only, &p.files_read_only_n, v);
        else if (str_eqc(k, "watch"))
            add(a, &p.files_watch, &p.files_watch_n, v);
        else if (str_eqc(k, "cap"))
            p.has_capabilities = true, add(a, &p.capabilities, &p.capabilities_n, v);
        else if (str_eqc(k, "sealed"))
            x.sealed = true;
        else if (str_eqc(k, "users"))
            p.has_users = true, add(a, &p.users, &p.users_n, v);
        else if (str_eqc(k, "egress.allow") || str_eqc(k, "ingress.allow")) {
            struct network_side *side = k.p[0] == 'e' ? &p.egress : &p.ingress;
            side->given = side->deny_default = true;
            if (!str_eqc(v, "none"))
                add(a, &side->allow, &side->allow_n, v);
        } else if (str_eqc(k, "egress.deny") || str_eqc(k, "ingress.deny")) {
            struct network_side *side = k.p[0] == 'e' ? &p.egress : &p.ingress;
            side->given = true;
            add(a, &side->deny, &side->deny_n, v);
        } else if (str_eqc(k, "resolver") || str_eqc(k, "own")) {
            struct network_element el;
            if (network_element_parse(v, &el) < 0)
                return fprintf(stderr, "sensor_tool: bad address %s\n", *rest), 2;
            memcpy(k.p[0] == 'r' ? resolvers[net.resolvers_n++ & 3] : own[net.own_n++ & 3], el.address, 16);
        }
        else if (set_control(&p, k, v) < 0)
            return fprintf(stderr, "sensor_tool: bad setting %s\n", *rest), 2;
    }
    const struct str *notices;
    size_t n = 0;
    int r = strcmp(id, "default") ? kernel_policy_put(a, dir, str_c(id), &p, &x, &notices, &n, &e)
                                  : kernel_policy_default(a, dir, &p, &notices, &n, &e);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "notice: " STR_FMT "\n", STR_ARG(notices[i]));
    return r < 0 ? fail(&e) : 0;
}

static int engine_socket(const char *dir, const char *path)
{
    struct err e = ERR_INIT;
    return sensor_engine_socket(dir, path, &e) < 0 ? fail(&e) : 0;
}

static int doctor(const char *dir)
{
    struct err e = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct sensor_report r;
    if (sensor_doctor(a, dir, &r, &e) < 0)
        return fail(&e);
    printf("kernel " STR_FMT " tier %s (" STR_FMT ")%s\n", STR_ARG(r.kernel), sensor_tier_name(r.tier),
           STR_ARG(r.tier_proof), r.pinned ? " pinned" : "");
    for (size_t i = 0; i < r.controls_n; i++) {
        const struct sensor_control *c = &r.controls[i];
        printf("%-14s %-7s %s %s | " STR_FMT " | " STR_FMT " | " STR_FMT "\n", event_control_name(c->control),
               c->available ? event_level_name(c->level) : "none", c->survives ? "stays" : "agent",
               c->proven ? "proven" : c->failed ? "failed" : "unproven", STR_ARG(c->how),
               STR_ARG(c->proof), STR_ARG(c->why_not_more));
    }
    for (size_t i = 0; i < r.notes_n; i++)
        printf("note: " STR_FMT "\n", STR_ARG(r.notes[i]));
    return 0;
}

static int insns(void)
{
    for (uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
        struct bpf_prog_info info = {0};
        uint32_t n = sizeof(info);
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &n) == 0)
            printf("%s %u\n", info.name, info.verified_insns);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    const char *dir = argc > 2 ? argv[1] : "", *what = argc > 2 ? argv[2] : "";
    if (!strcmp(what, "watch"))
        return watch(dir, argv[3]);
    if (!strcmp(what, "policy") && argc > 4)
        return policy(dir, argv[3], argv[4], argv + 5);
    if (!strcmp(what, "cut") && argc > 4)
        return kernel_network_cut(dir, str_c(argv[3]), !strcmp(argv[4], "on"), &e) < 0 ? fail(&e) : 0;
    if (!strcmp(what, "bad") && argc > 3) {
        _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
        struct str text;
        size_t n;
        return fs_read(a, argv[3], 8u << 20, &text, &e) < 0 || kernel_network_bad(dir, text, &n, &e) < 0 ? fail(&e) : 0;
    }
    if (!strcmp(what, "socket") && argc > 3)
        return engine_socket(dir, argv[3]);
    if (!strcmp(what, "remove"))
        return sensor_remove(dir, &e) < 0 ? fail(&e) : 0;
    if (argc == 2 && !strcmp(argv[1], "try")) /* runtime/prove.h starts us */
        return try_main();
    if (!strcmp(what, "doctor"))
        return doctor(dir);
    if (!strcmp(what, "insns"))
        return insns();
    fprintf(stderr, "usage: sensor_tool DIR watch|policy|socket|cut|bad|remove|doctor|insns ...\n");
    return 2;
}
