#include "runtime/explain.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "policy/policy.h"
#include "runtime/calls.h"

#include <fcntl.h>
#include <linux/sched.h>

struct words {
    enum event_severity severity;
    const char *rule;
    const char *mitre; /* comma-separated */
    const char *lift;  /* what would let it pass */
};

static const struct words words[] = {
    [CONTROL_drift] = {SEVERITY_critical, "Drop and execute", "T1105,T1204.002",
                       "process.drift_allow (paths) or process.exec_from (volumes) of the policy"},
    [CONTROL_fileless] = {SEVERITY_critical, "Code without a file", "T1620,T1027.011",
                          "process.fileless of the policy"},
    [CONTROL_scripts] = {SEVERITY_medium, "Script that was not in the image", "T1059.004",
                         "process.scripts of the policy"},
    [CONTROL_process_allow] = {SEVERITY_high, "Program outside of the allow list", "T1059",
                               "process.allow of the policy"},
    [CONTROL_process_deny] = {SEVERITY_high, "Program on the deny list", "T1059", "process.deny of the policy"},
    [CONTROL_process_users] = {SEVERITY_high, "Program run by a user that may not", "T1078",
                               "process.users of the policy"},
    [CONTROL_escalation] = {SEVERITY_high, "Privileges gained", "T1068,T1548.001",
                            "privilege.escalation of the policy"},
    [CONTROL_namespaces] = {SEVERITY_high, "Namespace entered or created", "T1611",
                            "privilege.namespaces of the policy"},
    [CONTROL_ptrace] = {SEVERITY_high, "Another process inspected or changed", "T1055.008",
                        "privilege.ptrace of the policy"},
    [CONTROL_mount] = {SEVERITY_high, "File system mounted", "T1611", "privilege.mount of the policy"},
    [CONTROL_modules] = {SEVERITY_critical, "Kernel module loaded", "T1547.006", "privilege.modules of the policy"},
    [CONTROL_bpf] = {SEVERITY_critical, "bpf used", "T1014", "privilege.bpf of the policy"},
    [CONTROL_io_uring] = {SEVERITY_medium, "io_uring used", "T1562", "privilege.io_uring of the policy"},
    [CONTROL_capabilities] = {SEVERITY_high, "Capability beyond the policy's list", "T1548",
                              "privilege.capabilities of the policy"},
    [CONTROL_credentials] = {SEVERITY_critical, "Credentials changed without a legal way", "T1068",
                             "privilege.credentials of the policy; a kernel exploit is the usual cause: look first"},
    [CONTROL_setuid_files] = {SEVERITY_high, "Set-uid file made", "T1548.001", "privilege.setuid_files of the policy"},
    [CONTROL_keyring] = {SEVERITY_medium, "Kernel keyring used", "T1555", "privilege.keyring of the policy"},
    [CONTROL_perf] = {SEVERITY_medium, "Kernel's performance counters used", "T1068", "privilege.perf of the policy"},
    [CONTROL_userfaultfd] = {SEVERITY_high, "userfaultfd used", "T1068", "privilege.userfaultfd of the policy"},
    [CONTROL_compat] = {SEVERITY_high, "32-bit entry used", "T1562", "privilege.compat of the policy"},
    [CONTROL_escape] = {SEVERITY_critical, "Way out of the container", "T1611", "privilege.escape of the policy"},
    [CONTROL_files] = {SEVERITY_high, "Protected file", "T1565.001",
                       "files.deny, files.read_only or files.watch of the policy"},
    [CONTROL_sensor] = {SEVERITY_critical, "Tampering with Bulkhead", "T1562.001",
                        "no policy: only no-self-protection of the agent's options"},
};

enum event_severity explain_severity(enum event_control c)
{
    return (size_t)c < ARRAY_LEN(words) ? words[c].severity : SEVERITY_info;
}

static const char *const escapes[] = {
    [BH_ESCAPE_HOOK] = "Kernel hook opened for writing",
    [BH_ESCAPE_DEVICE] = "Device of the host made or opened",
    [BH_ESCAPE_ENGINE] = "Container engine's socket reached",
    [BH_ESCAPE_HOST] = "Process of the host reached",
    [BH_ESCAPE_HANDLE] = "File opened by its handle",
    [BH_ESCAPE_RUNTIME] = "Container runtime's program opened for writing",
};
static const char *const changes[] = {
    [BH_CHANGE_CREATE] = "created",   [BH_CHANGE_REMOVE] = "removed",     [BH_CHANGE_RENAME] = "renamed",
    [BH_CHANGE_LINK] = "linked",      [BH_CHANGE_MODE] = "mode",          [BH_CHANGE_OWNER] = "owner",
    [BH_CHANGE_TRUNCATE] = "emptied", [BH_CHANGE_XATTR] = "capabilities",
};

/* What the lists of files say to it. */
static const char *rule_files(const struct sensor_event *s)
{
    if (s->raw->arg[2] == BH_WATCHED)
        return "Watched file changed";
    if (s->type == EVENT_TYPE_open)
        return s->raw->arg[0] & O_ACCMODE ? "Protected file opened for writing" : "Denied file opened";
    return "Protected file changed";
}

/* The rule in plain words, by what exactly happened. */
static const char *rule(const struct sensor_event *s, bool learned)
{
    uint32_t f = s->raw->file.flags;
    switch (s->control) {
    case CONTROL_drift:
        if (s->type == EVENT_TYPE_mmap)
            return f & BH_FILE_MPROTECT ? "Memory of a file made executable" : "Drop and load a library";
        if (f & BH_FILE_TMPFS)
            return "Drop and execute in memory";
        return f & BH_FILE_FOREIGN ? "Execute from a volume" : "Drop and execute";
    case CONTROL_fileless:
        if (f & BH_FILE_MEMFD)
            return s->type == EVENT_TYPE_mmap ? "Library without a file" : "Program without a file";
        return f & BH_FILE_DELETED ? "Deleted program executed" : "Code without a file";
    case CONTROL_process_allow:
        return learned ? "Program outside of the learned profile" : words[CONTROL_process_allow].rule;
    case CONTROL_namespaces:
        return s->raw->arg[1] ? "Namespace entered" : "Namespace created";
    case CONTROL_escape:
        return s->raw->arg[3] && s->raw->arg[3] < ARRAY_LEN(escapes) ? escapes[s->raw->arg[3]]
                                                                     : words[CONTROL_escape].rule;
    case CONTROL_files:
        return rule_files(s);
    case CONTROL_none:
        return NULL;
    default:
        return (size_t)s->control < ARRAY_LEN(words) ? words[s->control].rule : NULL;
    }
}

/* One sentence on the file: why it counts as it does. */
static const char *about_file(uint32_t f)
{
    if (f & BH_FILE_MEMFD)
        return "it exists in memory only (memfd)";
    if (f & BH_FILE_DELETED)
        return "its file was deleted before it ran";
    if (f & BH_FILE_TMPFS)
        return "it lies on a tmpfs, which no image brings along";
    if (f & BH_FILE_FOREIGN)
        return "it lies on another file system than the image (a volume or mount)";
    if (f & BH_FILE_UPPER)
        return "it was written or changed after the container was created";
    if (f & BH_FILE_UNKNOWN)
        return "the container's root is no overlay, so image and drift cannot be told apart";
    return NULL;
}

static const struct {
    const char *base;
} package_managers[] = {{"dpkg"}, {"apt"},      {"apt-get"}, {"aptitude"}, {"apk"},  {"rpm"}, {"dnf"},
                        {"yum"},  {"microdnf"}, {"zypper"},  {"pip"},      {"pip3"}, {"npm"}, {"gem"}};

static bool is_package_manager(struct str exe)
{
    ptrdiff_t slash = str_rchr(exe, '/');
    struct str base = slash < 0 ? exe : str_sub(exe, (size_t)slash + 1, exe.n);
    for (size_t i = 0; i < ARRAY_LEN(package_managers); i++)
        if (str_eqc(base, package_managers[i].base))
            return true;
    return false;
}

static void list(struct json_writer *w, const char *key, struct str csv)
{
    struct str one;
    if (!csv.n)
        return;
    json_w_karray(w, key);
    while (str_cut(&csv, ',', &one))
        json_w_str(w, one);
    json_w_end(w);
}

static const struct {
    uint64_t flag;
    const char *name;
} namespaces[] = {{CLONE_NEWNS, "mnt"},  {CLONE_NEWPID, "pid"}, {CLONE_NEWNET, "net"},      {CLONE_NEWUSER, "user"},
                  {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"}, {CLONE_NEWCGROUP, "cgroup"}};

static void object_of_type(struct json_writer *w, struct arena *a, const struct sensor_event *s)
{
    const struct bh_event *r = s->raw;
    struct str peer = sensor_peer(a, s);
    if (peer.n) {
        json_w_kstr(w, "peer", peer);
        if (r->peer.local_port)
            json_w_ki64(w, "local_port", r->peer.local_port);
    }
    static const char *const ours[BH_SELVES] = {[BH_SELF_PROCESS] = "process",
                                                [BH_SELF_MAP] = "map",
                                                [BH_SELF_LINK] = "link",
                                                [BH_SELF_FILE] = "file",
                                                [BH_SELF_SOCKET] = "socket"};
    if (s->control == CONTROL_sensor && r->arg[3] < BH_SELVES && ours[r->arg[3]]) {
        json_w_kobject(w, "ours");
        json_w_kstrz(w, "kind", ours[r->arg[3]]);
        json_w_ki64(w, "id", (int64_t)r->arg[1]); /* pid, id of the kernel's object, inode */
        json_w_end(w);
    }
    switch (s->type) {
    case EVENT_TYPE_open:
        json_w_ki64(w, "open_flags", (int64_t)r->arg[0]);
        break;
    case EVENT_TYPE_ptrace:
        json_w_ki64(w, "request", (int64_t)r->arg[0]);
        json_w_ki64(w, "target_pid", (int64_t)r->arg[1]);
        break;
    case EVENT_TYPE_namespace:
        json_w_kstrz(w, "how", r->arg[1] ? "entered" : "created");
        json_w_karray(w, "namespaces");
        for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
            if (r->arg[0] & namespaces[i].flag)
                json_w_str(w, str_c(namespaces[i].name));
        json_w_end(w);
        break;
    case EVENT_TYPE_credentials:
        json_w_ki64(w, "old_uid", r->old_uid);
        json_w_ki64(w, "old_euid", r->old_euid);
        json_w_ki64(w, "euid", r->euid);
        json_w_kstr(w, "capabilities", arena_strf(a, "%016llx", (unsigned long long)r->caps));
        json_w_kstr(w, "old_capabilities", arena_strf(a, "%016llx", (unsigned long long)r->old_caps));
        break;
    case EVENT_TYPE_exit:
        json_w_ki64(w, "code", (int64_t)((r->arg[0] >> 8) & 0xff));
        json_w_ki64(w, "signal", (int64_t)(r->arg[0] & 0x7f));
        break;
    case EVENT_TYPE_bpf:
        json_w_ki64(w, s->control == CONTROL_io_uring || r->type == BH_IO_URING ? "entries" : "command",
                    (int64_t)r->arg[0]);
        break;
    case EVENT_TYPE_change:
        if (r->arg[0] && r->arg[0] < ARRAY_LEN(changes))
            json_w_kstrz(w, "how", changes[r->arg[0]]);
        if (r->arg[0] == BH_CHANGE_MODE)
            json_w_kstr(w, "new_mode", arena_strf(a, "%04o", (unsigned)(r->arg[1] & 07777)));
        break;
    case EVENT_TYPE_call:
        if (s->control == CONTROL_capabilities && policy_capability_name(r->arg[0]))
            json_w_kstrz(w, "capability", policy_capability_name(r->arg[0]));
        else
            json_w_ki64(w, "argument", (int64_t)r->arg[0]);
        if (r->syscall && !(r->file.flags & BH_FILE_COMPAT)) {
            char name[CALL_NAME];
            json_w_kstrz(w, "syscall", call_name(r->syscall, name));
        }
        break;
    default:
        break;
    }
}

/* By a package manager among the parents (its scripts), else by what the container's own database says. */
static void installed_by(struct json_writer *w, const struct sensor_event *s, const struct explain_context *c,
                         const struct event *ev)
{
    struct str by = c->package ? str_c(c->package->manager) : STR_NONE;
    for (size_t i = ev->process.parents_n; s->control == CONTROL_drift && i > 0; i--)
        if (is_package_manager(ev->process.parents[i - 1].exe))
            by = ev->process.parents[i - 1].exe;
    if (by.n)
        json_w_kstr(w, "installed_by", by);
    if (!c->package)
        return;
    json_w_kobject(w, "package");
    json_w_kstrz(w, "manager", c->package->manager);
    json_w_kstr(w, "name", c->package->name);
    json_w_kstr(w, "version", c->package->version.n ? c->package->version : STR_NONE);
    json_w_end(w);
}

static struct str detail(struct arena *a, const struct sensor_event *s, const struct explain_context *c,
                         const struct event *ev)
{
    const struct bh_event *r = s->raw;
    const struct words *k = (size_t)s->control < ARRAY_LEN(words) ? &words[s->control] : NULL;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT / 2);
    struct json_writer w = JSON_WRITER(&b);
    bool script = r->file.flags & BH_FILE_SCRIPT;
    json_w_object(&w);
    if (s->path.n)
        json_w_kstr(&w, "path", s->path);
    if (r->file.flags) {
        const char *why = about_file(r->file.flags);
        json_w_kobject(&w, "file");
        json_w_kstr(&w, "path", script || s->type != EVENT_TYPE_exec ? s->path.n ? s->path : s->exe : s->exe);
        list(&w, "flags", sensor_file_flags(a, r->file.flags));
        json_w_ki64(&w, "inode", (int64_t)r->file.ino);
        json_w_kstr(&w, "device", arena_strf(a, "%u:%u", r->file.dev >> 20, r->file.dev & 0xfffff));
        json_w_ki64(&w, "owner", r->file.uid);
        json_w_end(&w);
        if (why && s->control != CONTROL_none && (s->type == EVENT_TYPE_exec || s->type == EVENT_TYPE_mmap))
            json_w_kstrz(&w, "why", why);
    }
    object_of_type(&w, a, s);
    if (s->control != CONTROL_none && s->action == ACTION_block && r->mode != BH_ENFORCE &&
        ev->outcome == OUTCOME_detected) {
        json_w_kobject(&w, "would");
        json_w_kstrz(&w, "action", event_action_name(ACTION_block));
        json_w_kstrz(&w, "level", event_level_name(s->would));
        json_w_end(&w);
    }
    if (s->control != CONTROL_none && k && k->rule) {
        installed_by(&w, s, c, ev);
        json_w_kstrz(&w, "lift", k->lift);
        list(&w, "mitre", str_c(k->mitre));
    }
    static const char *const modes[] = {"learn", "audit", "enforce"};
    if (s->control != CONTROL_none && r->mode < ARRAY_LEN(modes))
        json_w_kstrz(&w, "mode", modes[r->mode]);
    if (r->repeats)
        json_w_ki64(&w, "count", (int64_t)r->repeats + 1);
    if (s->id.n && !r->known)
        json_w_kbool(&w, "host_default", true);
    if (r->truncated) {
        json_w_karray(&w, "truncated");
        if (r->truncated & BH_TRUNCATED_EXE)
            json_w_str(&w, STR("exe"));
        if (r->truncated & BH_TRUNCATED_PATH)
            json_w_str(&w, STR("path"));
        if (r->truncated & BH_TRUNCATED_ARGS)
            json_w_str(&w, STR("args"));
        json_w_end(&w);
    }
    if (s->comm.n && !str_ends(s->exe, s->comm)) /* called by another name than its file's */
        json_w_kstr(&w, "comm", s->comm);
    json_w_ki64(&w, "container_pid", r->ns_pid);
    json_w_ki64(&w, "container_uid", r->ns_uid);
    json_w_end(&w);
    return b.full ? STR("{}") : arena_str(a, buf_str(&b));
}

static void process_of(struct arena *a, const struct sensor_event *s, const struct explain_context *c,
                       struct event_process *ret)
{
    struct processes *tree = c->tree;
    const struct bh_event *r = s->raw;
    const struct process *known = NULL;
    struct str args = s->args;
    *ret = (struct event_process){.pid = r->pid, .exe = s->exe, .uid = r->uid, .started = s->started};
    if (tree && (known = processes_get(tree, r->pid, s->started))) {
        if (!args.n && s->type != EVENT_TYPE_exec)
            args = arena_str(a, known->args);
        if (!ret->exe.n)
            ret->exe = arena_str(a, known->exe);
    }
    ret->user = arena_str(a, c->user);
    ret->args = arena_array(a, 256, sizeof(*ret->args));
    struct sensor_event with_args = *s;
    with_args.args = args;
    ret->args_n = sensor_args(&with_args, ret->args, 256);

    struct event_parent *more = NULL;
    size_t more_n = 0, n = r->parents_n < BH_PARENTS ? r->parents_n : BH_PARENTS;
    ret->parents = arena_array(a, BH_PARENTS + PROCESS_PARENTS, sizeof(*ret->parents));
    for (size_t i = 0; i < n; i++) {
        struct str exe = sensor_parent_exe(s, i);
        int64_t pid = r->parents[i].pid;
        if (!exe.n && tree && (known = processes_get(tree, pid, 0)))
            exe = arena_str(a, known->exe);
        ret->parents[ret->parents_n++] = (struct event_parent){.pid = pid, .exe = exe};
    }
    if (tree && s->id.n && (n == BH_PARENTS || !n)) /* the kernel's chain was cut off: go on from its end */
        more_n = processes_parents(tree, a, n ? r->parents[n - 1].pid : r->pid, true, &more);
    for (size_t i = 0; i < more_n; i++)
        ret->parents[ret->parents_n++] = more[i];
}

void explain(struct arena *a, const struct sensor_event *s, const struct explain_context *c, struct event *ret)
{
    *ret = (struct event){.time = s->time,
                          .type = s->type,
                          .control = s->control,
                          .rule = str_c(rule(s, c->learned)),
                          .severity = s->control == CONTROL_none ? SEVERITY_info : explain_severity(s->control),
                          .action = s->control == CONTROL_none ? ACTION_off : s->action,
                          .level = s->level,
                          .outcome = s->outcome,
                          .container = {.id = s->id}};
    if ((ret->outcome == OUTCOME_prevented && ret->level != LEVEL_block) ||
        (ret->outcome == OUTCOME_killed && ret->level != LEVEL_kill) || ret->outcome == OUTCOME_responded) {
        ret->outcome = OUTCOME_detected;
        ret->level = LEVEL_detect;
    }
    if (ret->outcome == OUTCOME_detected || ret->outcome == OUTCOME_allowed)
        ret->level = LEVEL_detect;
    if (s->id.n) {
        ret->policy_name = c->policy_name;
        ret->policy_revision = c->policy_revision;
    }
    process_of(a, s, c, &ret->process);
    ret->detail = detail(a, s, c, ret);
}
