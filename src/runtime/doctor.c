/* What a tier can do, control by control. The one table of levels: events, listings and `doctor` all read it. */
#include "runtime/sensor.h"

#include "base/cleanup.h"
#include "runtime/object.h"
#include "runtime/pin.h"
#include "runtime/tier.h"

#include <sys/utsname.h>

struct row {
    enum event_control control;
    enum event_level lsm, trace;
    const char *lsm_how, *trace_how, *lsm_less, *trace_less;
};

static const struct row rows[] = {
    {CONTROL_drift, LEVEL_block, LEVEL_kill,
     "LSM bprm_check_security, mmap_file, file_mprotect: overlay layer of the file",
     "tp_btf sched_process_exec and sys_enter (mmap, mprotect; 64- and 32-bit): overlay layer of the file", "",
     "no BPF LSM: the exec is killed before its first instruction, the caller sees a dead child and no EPERM"},
    {CONTROL_fileless, LEVEL_block, LEVEL_kill, "LSM bprm_check_security, mmap_file: link count 0, memfd",
     "tp_btf sched_process_exec and sys_enter (mmap): link count 0, memfd", "",
     "no BPF LSM: killed before its first instruction"},
    {CONTROL_scripts, LEVEL_block, LEVEL_detect, "LSM bprm_check_security sees the #! file itself",
     "tp_btf sched_process_exec sees that a script was run, not its file", "",
     "at the end of an exec the kernel holds only the interpreter; a script handed to an interpreter is data on both "
     "tiers"},
    {CONTROL_process_allow, LEVEL_block, LEVEL_kill, "LSM bprm_check_security: path made in the kernel",
     "tp_btf sched_process_exec: path made in the kernel", "", "no BPF LSM: killed before its first instruction"},
    {CONTROL_process_deny, LEVEL_block, LEVEL_kill, "LSM bprm_check_security: path made in the kernel",
     "tp_btf sched_process_exec: path made in the kernel", "", "no BPF LSM: killed before its first instruction"},
    {CONTROL_process_users, LEVEL_block, LEVEL_kill, "LSM bprm_check_security: effective uid",
     "tp_btf sched_process_exec: effective uid", "", "no BPF LSM: killed before its first instruction"},
    {CONTROL_escalation, LEVEL_block, LEVEL_kill, "LSM bprm_creds_from_file: set-uid and file capabilities",
     "tp_btf sched_process_exec: set-uid and file capabilities", "", "no BPF LSM: killed before its first instruction"},
    {CONTROL_namespaces, LEVEL_block, LEVEL_kill, "LSM userns_create, task_alloc, capable (unshare, setns)",
     "tp_btf sys_enter: unshare, setns, clone, clone3", "",
     "no BPF LSM: the caller dies inside the call; clone3's flags could be swapped by another thread meanwhile"},
    {CONTROL_ptrace, LEVEL_block, LEVEL_kill, "LSM ptrace_access_check, ptrace_traceme",
     "tp_btf sys_enter: ptrace, process_vm_writev, pidfd_getfd", "",
     "no BPF LSM: what one process_vm_writev wrote stays written; /proc/PID/mem is not seen"},
    {CONTROL_mount, LEVEL_block, LEVEL_kill, "LSM sb_mount, move_mount, sb_pivotroot",
     "tp_btf sys_enter: mount, move_mount, open_tree, fsopen, fsmount, mount_setattr, pivot_root", "",
     "no BPF LSM: the one mount may stay in the container's namespace"},
    {CONTROL_modules, LEVEL_block, LEVEL_kill, "LSM kernel_read_file, kernel_load_data",
     "tp_btf sys_enter: init_module, finit_module, kexec_load", "",
     "no BPF LSM: the module's start code may have run; take CAP_SYS_MODULE away"},
    {CONTROL_bpf, LEVEL_block, LEVEL_kill, "LSM bpf", "tp_btf sys_enter: bpf", "",
     "no BPF LSM: the caller dies with what its first call returned"},
    {CONTROL_io_uring, LEVEL_block, LEVEL_kill, "LSM inode_init_security_anon: the ring's file",
     "tp_btf sys_enter: io_uring_setup", "", "no BPF LSM: the caller dies with its ring"},
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
            .proof = r.tier_proof,
            .why_not_more = str_c(!any      ? "no BPF on this kernel"
                                  : has_lsm ? rows[i].lsm_less
                                            : rows[i].trace_less),
        };
    }
    r.controls = v;
    r.controls_n = ARRAY_LEN(rows);
    int cg = tier_cgroup_root();
    r.notes = notes(a, r.tier, cg >= 0, &r.notes_n);
    if (cg >= 0)
        close(cg);
    *ret = r;
    return 0;
}
