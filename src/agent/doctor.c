/* bulkhead-agent doctor: what this host can enforce, control by control, how it was proven, and why not more. The
 * kernel's part is proven by sensor_doctor(): probes that do the thing; the rest is asked of the engine and read from
 * the kernel. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/docker.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define FACTS_MAX 48u

struct fact {
    const char *name, *value, *advice; /* advice NULL: fine */
    bool essential_fails;
};

struct facts {
    struct arena *a;
    struct fact v[FACTS_MAX];
    size_t n;
};

static void fact(struct facts *f, const char *name, const char *value, const char *advice)
{
    if (f->n < FACTS_MAX)
        f->v[f->n++] = (struct fact){name, value, advice, false};
}

static const char *read_line(struct arena *a, const char *path)
{
    struct str s;
    if (fs_read(a, path, 65536, &s, NULL) < 0)
        return NULL;
    return arena_cstr(a, str_trim(s));
}

/* ---- facts of the host ---- */

/* Proven in a child: a filter that refuses one harmless call is installed and then seen to refuse it. */
static bool seccomp_works(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog prog = {ARRAY_LEN(code), code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
            _exit(1);
        errno = 0;
        _exit(syscall(SYS_getppid) == -1 && errno == ENOTTY ? 0 : 1);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char *cgroups(struct arena *a)
{
    struct statfs s;
    const long v2 = 0x63677270;
    if (statfs("/sys/fs/cgroup", &s) == 0 && s.f_type == v2)
        return "v2";
    if (statfs("/sys/fs/cgroup/unified", &s) == 0 && s.f_type == v2)
        return "v1 with v2 beside it (hybrid)";
    return fs_exists("/sys/fs/cgroup/memory") || fs_exists("/sys/fs/cgroup/pids") ? "v1"
                                                                                  : arena_printf(a, "none found");
}

static void host_facts(struct facts *f)
{
    struct utsname u;
    uname(&u);
    fact(f, "kernel", arena_printf(f->a, "%s %s", u.release, u.machine), NULL);
    const char *lsm = read_line(f->a, "/sys/kernel/security/lsm");
    fact(f, "security modules", lsm ? lsm : "unknown (securityfs is not mounted)", NULL);
    bool btf = fs_exists("/sys/kernel/btf/vmlinux");
    fact(f, "kernel type information (BTF)", btf ? "/sys/kernel/btf/vmlinux" : "missing",
         btf ? NULL : "the sensor needs a kernel with CONFIG_DEBUG_INFO_BTF");
    bool seccomp = seccomp_works();
    fact(f, "seccomp", seccomp ? "filters work (a child was refused a call)" : "does not work",
         seccomp ? NULL : "scans of images refuse to run without it");
    fact(f, "cgroups", cgroups(f->a), NULL);
    const char *unprivileged = read_line(f->a, "/proc/sys/kernel/unprivileged_bpf_disabled");
    if (unprivileged && !strcmp(unprivileged, "0"))
        fact(f, "unprivileged bpf", "allowed", "kernel.unprivileged_bpf_disabled=1 closes it");
    const char *io_uring = read_line(f->a, "/proc/sys/kernel/io_uring_disabled");
    if (io_uring)
        fact(f, "io_uring",
             !strcmp(io_uring, "0")   ? "allowed for all"
             : !strcmp(io_uring, "1") ? "for a group only"
                                      : "disabled",
             NULL);
}

/* ---- facts of the engines ---- */

static bool listed(const struct str *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqc(v[i], name))
            return true;
    return false;
}

static const char *joined(struct arena *a, const struct str *v, size_t n)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8192);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s" STR_FMT, i ? ", " : "", STR_ARG(v[i]));
    return n ? arena_cstr(a, buf_str(&b)) : "none";
}

/* Docker before this one hides bodies over 1 MiB from authorization plugins (CVE-2026-34040). The gate refuses what it
 * cannot see, so this is advice, not a hole. */
static bool engine_is_old(struct str version)
{
    struct str major, rest, minor, patch;
    uint64_t v[3] = {0};
    str_split(version, '.', &major, &rest);
    str_split(rest, '.', &minor, &patch);
    size_t digits = 0;
    while (digits < patch.n && patch.p[digits] >= '0' && patch.p[digits] <= '9')
        digits++;
    if (str_u64(major, &v[0]) < 0 || str_u64(minor, &v[1]) < 0 || str_u64(str_sub(patch, 0, digits), &v[2]) < 0)
        return false;
    return v[0] < 29 || (v[0] == 29 && (v[1] < 3 || (v[1] == 3 && v[2] < 1)));
}

static void engine_facts(struct facts *f, const char *url)
{
    struct docker *d = NULL;
    struct docker_info info;
    struct docker_version version;
    struct err e = ERR_INIT;
    const char *name = arena_printf(f->a, "engine %s", url);
    if (docker_open(url, &d, &e) < 0 || docker_info(d, f->a, &info, &e) < 0 ||
        docker_version(d, f->a, &version, &e) < 0) {
        fact(f, name, arena_printf(f->a, "%s", e.msg), "containers are seen by the kernel alone, without names");
        docker_close(d);
        return;
    }
    fact(f, name,
         arena_printf(f->a, STR_FMT " " STR_FMT ", api " STR_FMT, STR_ARG(version.engine), STR_ARG(version.version),
                      STR_ARG(version.api)),
         engine_is_old(version.version) ? "older than 29.3.1: it hides large requests from plugins (CVE-2026-34040); "
                                          "the gate refuses what it cannot see"
                                        : NULL);
    bool gate = listed(info.authz, info.authz_n, PLUGIN_NAME),
         guard = listed(info.runtimes, info.runtimes_n, "bulkhead");
    bool first = str_eqc(info.default_runtime, "bulkhead");
    fact(f, "  authorization plugins", joined(f->a, info.authz, info.authz_n),
         gate ? NULL : "bulkhead-agent engine enable registers the gate: until then any image may run");
    fact(f, "  default runtime", arena_cstr(f->a, info.default_runtime),
         first   ? NULL
         : guard ? "bulkhead is registered but not the default: restarts pass the gate by"
                 : "bulkhead-agent engine enable registers the guard: until then restarts and direct starts pass the "
                   "gate by");
    bool overlay = str_eqc(info.driver, "overlay2") || str_eqc(info.driver, "overlayfs");
    fact(f, "  storage driver", arena_cstr(f->a, info.driver),
         overlay ? NULL : "drift control is unavailable: it needs overlay2");
    fact(f, "  security options", joined(f->a, info.security, info.security_n), NULL);
    fact(f, "  cgroups",
         arena_printf(f->a, "v" STR_FMT ", " STR_FMT, STR_ARG(info.cgroup_version), STR_ARG(info.cgroup_driver)), NULL);
    docker_close(d);
}

/* ---- the table ---- */

static bool essential(enum event_control c)
{
    return c == CONTROL_drift || c == CONTROL_fileless;
}

static bool works(const struct sensor_report *r)
{
    size_t found = 0;
    for (size_t i = 0; i < r->controls_n; i++)
        if (essential(r->controls[i].control)) {
            if (r->controls[i].failed || !r->controls[i].available || r->controls[i].level < LEVEL_kill)
                return false;
            found++;
        }
    return found == 2;
}

static void print_json(const struct sensor_report *r, const char *error, const struct facts *f, bool fine)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4u << 20);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "version", BULKHEAD_VERSION);
    json_w_kbool(&w, "ok", fine);
    json_w_kstr(&w, "tier", r ? str_c(sensor_tier_name(r->tier)) : STR_NONE);
    json_w_kstr(&w, "tier_proof", r ? r->tier_proof : STR_NONE);
    json_w_kstr(&w, "error", str_c(error));
    json_w_kbool(&w, "in_force", r && r->pinned);
    json_w_karray(&w, "controls");
    for (size_t i = 0; r && i < r->controls_n; i++) {
        const struct sensor_control *c = &r->controls[i];
        json_w_object(&w);
        json_w_kstrz(&w, "control", event_control_name(c->control));
        json_w_kstrz(&w, "level", c->available ? event_level_name(c->level) : "unavailable");
        json_w_kbool(&w, "survives_agent", c->survives);
        json_w_kstr(&w, "how", c->how);
        json_w_kbool(&w, "proven", c->proven);
        json_w_kstr(&w, "proof", c->proof);
        json_w_kstr(&w, "why_not_more", c->why_not_more.n ? c->why_not_more : STR_NONE);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_karray(&w, "notes");
    for (size_t i = 0; r && i < r->notes_n; i++)
        json_w_str(&w, r->notes[i]);
    json_w_end(&w);
    json_w_karray(&w, "facts");
    for (size_t i = 0; i < f->n; i++) {
        json_w_object(&w);
        json_w_kstr(&w, "name", str_trim(str_c(f->v[i].name)));
        json_w_kstrz(&w, "value", f->v[i].value);
        json_w_kstr(&w, "advice", str_c(f->v[i].advice));
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    printf(STR_FMT "\n", STR_ARG(buf_str(&b)));
}

static void print_table(const struct sensor_report *r, const char *error, const struct facts *f, bool fine)
{
    printf("Host\n");
    for (size_t i = 0; i < f->n; i++) {
        printf("  %-30s %s\n", f->v[i].name, f->v[i].value);
        if (f->v[i].advice)
            printf("  %-30s   -> %s\n", "", f->v[i].advice);
    }
    if (!r) {
        printf("\nKernel sensor\n  not possible here: %s\n", error);
    } else {
        printf("\nKernel tier: %s; proven: " STR_FMT "%s\n", sensor_tier_name(r->tier), STR_ARG(r->tier_proof),
               r->pinned ? "; in force now" : "; nothing of ours is loaded now");
        printf("\n  %-15s %-12s %-9s %s\n", "CONTROL", "LEVEL", "AGENT OFF", "HOW, AND WHY NOT MORE");
        for (size_t i = 0; i < r->controls_n; i++) {
            const struct sensor_control *c = &r->controls[i];
            printf("  %-15s %-12s %-9s " STR_FMT "\n", event_control_name(c->control),
                   c->available ? event_level_name(c->level) : "unavailable", c->survives ? "stays" : "ends",
                   STR_ARG(c->how));
            printf("  %-38s %s: " STR_FMT "\n", "",
                   c->proven   ? "proven"
                   : c->failed ? "NOT PROVEN"
                               : "unproven",
                   STR_ARG(c->proof));
            if (c->why_not_more.n)
                printf("  %-38s not more: " STR_FMT "\n", "", STR_ARG(c->why_not_more));
        }
        for (size_t i = 0; i < r->notes_n; i++)
            printf("%s  " STR_FMT "\n", i ? "" : "\nLimits of this host\n", STR_ARG(r->notes[i]));
    }
    printf(
        "\nLevels: block refused inline; kill killed before the next instruction; detect seen and reported only.\n%s\n",
        fine ? "Everything essential works." : "Something essential does not work on this host.");
}

int doctor_main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    struct config c;
    struct err e = ERR_INIT;
    struct facts f = {.a = a};
    struct sensor_report report;
    if (config_parse(a, argc, argv, &c, &e) < 0) {
        log_error("%s", e.msg);
        return 2;
    }
    if (c.help) {
        config_help(stdout);
        return 0;
    }
    if (geteuid() != 0) {
        log_error("doctor needs root: it proves each control by trying it");
        return 3;
    }
    host_facts(&f);
    if (!c.engine.n && fs_exists("/var/run/docker.sock"))
        c.engine.v[c.engine.n++] = DOCKER_DEFAULT_URL;
    for (size_t i = 0; i < c.engine.n; i++)
        engine_facts(&f, c.engine.v[i]);
    if (!c.engine.n)
        fact(&f, "engine", "none (no /var/run/docker.sock)",
             "with an engine the agent would add names, the gate and the guard");
    const struct sensor_report *r = sensor_doctor(a, c.bpf_dir, &report, &e) < 0 ? NULL : &report;
    bool fine = r && works(r);
    if (c.json)
        print_json(r, r ? NULL : e.msg, &f, fine);
    else
        print_table(r, r ? NULL : e.msg, &f, fine);
    return fine ? 0 : 3;
}
