/* What a tier can do, control by control. The one table of levels: events, listings and `doctor` all read it. */
#include "runtime/sensor.h"

#include "base/cleanup.h"
#include "runtime/object.h"
#include "runtime/pin.h"
#include "runtime/prove.h"
#include "runtime/tier.h"

#include <sys/utsname.h>

struct row {
    enum event_control control;
    enum event_level lsm, trace;
    const char *lsm_how, *trace_how, *lsm_less, *trace_less;
    const char *untried; /* why it is not tried; NULL: it is */
};

static const struct row rows[] = {
#define CONTROL_ROW(c, lsm, trace, policy, lh, th, ll, tl)                                                             \
    {CONTROL_##c, LEVEL_##lsm, LEVEL_##trace, lh, th, ll, tl, NULL},
#define CONTROL_ATTACHED(c, lsm, trace, why, lh, th, ll, tl)                                                           \
    {CONTROL_##c, LEVEL_##lsm, LEVEL_##trace, lh, th, ll, tl, why},
#include "runtime/control.tbl.h"
};

enum event_level sensor_control_level(enum sensor_tier t, enum event_control c)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].control == c)
            return t == SENSOR_LSM ? rows[i].lsm : rows[i].trace;
    return LEVEL_detect;
}

static const struct str *notes(struct arena *a, enum sensor_tier t, bool cgroup2, size_t *n)
{
    struct str *v = arena_array(a, 8, sizeof(*v));
    size_t k = 0;
    v[k++] = STR("code that is not in a file (JIT output, shellcode in anonymous memory) is not judged by drift");
    v[k++] = STR("a container whose root is no overlay: drift cannot be told there, events say 'unknown'");
    if (t == SENSOR_TRACE) {
        v[k++] = STR("files opened for writing are told only on request here (it costs every open on the host)");
        v[k++] = STR("mprotect is not judged while another thread keeps the memory map locked");
    }
    if (!cgroup2)
        v[k++] = STR("no cgroup2 hierarchy: connections are told without it where a hook exists");
    *n = k;
    return v;
}

static void proof_of(struct arena *a, const struct prove *p, const char *failed, const struct row *row,
                     struct sensor_control *c)
{
    char text[512];
    if (!p || row->untried) {
        c->proof = arena_strf(a, "attached; not tried: %s", p ? row->untried : failed);
        return;
    }
    enum proof proof = prove_result(p, row->control, c->level, text, sizeof(text));
    c->proven = proof == PROOF_PROVEN;
    c->failed = proof == PROOF_NONE;
    c->proof = arena_strf(a, "%s%s", proof == PROOF_UNTRIED ? "attached; " : "", text);
}

int sensor_doctor(struct arena *a, const char *bpf_dir, struct sensor_report *ret, struct err *e)
{
    const char *dir = bpf_dir ? bpf_dir : SENSOR_BPF_DIR;
    char lsm_seen[160] = "", trace_seen[160] = "";
    struct err lsm = ERR_INIT, trace = ERR_INIT;
    object_quiet();
    bool has_lsm = tier_probe(SENSOR_LSM, lsm_seen, sizeof(lsm_seen), &lsm) == 0;
    bool has_trace = tier_probe(SENSOR_TRACE, trace_seen, sizeof(trace_seen), &trace) == 0;
    struct sensor_report r = {.tier = has_lsm ? SENSOR_LSM : has_trace ? SENSOR_TRACE : SENSOR_AUTO};
    struct utsname u;
    uname(&u);
    r.kernel = arena_str(a, str_c(u.release));
    if (has_lsm)
        r.tier_proof = arena_str(a, str_c(lsm_seen));
    else if (has_trace)
        r.tier_proof = arena_strf(a, "%s; lsm: %s", trace_seen, lsm.msg);
    else
        r.tier_proof = arena_strf(a, "lsm: %s; trace: %s", lsm.msg, trace.msg);
    int fd;
    struct err none = ERR_INIT;
    if (pin_map(dir, "config", 0, 0, &fd, &none) == 0) {
        r.pinned = true;
        close(fd);
    }
    struct prove *p = NULL;
    struct err failed = ERR_INIT;
    if (has_lsm || has_trace)
        prove_host(bpf_dir, r.tier, &p, &failed);
    struct sensor_control *v = arena_array(a, ARRAY_LEN(rows), sizeof(*v));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool any = has_lsm || has_trace;
        v[i] = (struct sensor_control){
            .control = rows[i].control,
            .level = !any      ? LEVEL_detect
                     : has_lsm ? rows[i].lsm
                               : rows[i].trace,
            .available = any,
            .survives = any,
            .how = str_c(!any      ? ""
                         : has_lsm ? rows[i].lsm_how
                                   : rows[i].trace_how),
            .why_not_more = str_c(!any      ? "no BPF on this kernel"
                                  : has_lsm ? rows[i].lsm_less
                                            : rows[i].trace_less),
        };
        if (any && !v[i].how.n)
            v[i] = (struct sensor_control){.control = rows[i].control,
                                           .proof = STR("nothing is attached for it"),
                                           .how = v[i].how,
                                           .why_not_more = v[i].why_not_more};
        else if (any)
            proof_of(a, p, failed.msg, &rows[i], &v[i]);
    }
    prove_free(p);
    r.controls = v;
    r.controls_n = ARRAY_LEN(rows);
    int cg = tier_cgroup_root();
    r.notes = notes(a, r.tier, cg >= 0, &r.notes_n);
    if (cg >= 0)
        close(cg);
    *ret = r;
    return 0;
}
