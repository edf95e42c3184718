/* Controls that the kernel decides: what each tier can do, and how doctor and the canary prove it. The one table of
 * levels: events, listings and doctor all read it.
 *
 * CONTROL_ROW(control, level on lsm, level on trace, policy, how on lsm, how on trace, why not more on lsm, ... on trace)
 * CONTROL_ATTACHED: the same, with why it cannot be tried in the place of the policy
 *
 * The row is proven by try_CONTROL() of try.c: in a throw-away container it does what the control must stop; the policy is
 * one line of a ContainerPolicy, and those of all rows rule together. Only what cannot be tried without harm is a
 * CONTROL_ATTACHED: doctor then says that its programs are attached, and why that is all. */
#ifndef CONTROL_ROW
#error "define CONTROL_ROW and CONTROL_ATTACHED first"
#endif
CONTROL_ROW(drift, block, kill, "process: {drift: block}",
            "LSM bprm_check_security, mmap_file, file_mprotect: overlay layer of the file",
            "tp_btf sched_process_exec and sys_enter (mmap, mprotect; 64- and 32-bit): overlay layer of the file",
            "",
            "no BPF LSM: the exec is killed before its first instruction, the caller sees a dead child and no EPERM")
CONTROL_ROW(fileless, block, kill, "process: {fileless: block}",
            "LSM bprm_check_security, mmap_file: link count 0, memfd",
            "tp_btf sched_process_exec and sys_enter (mmap): link count 0, memfd",
            "",
            "no BPF LSM: killed before its first instruction")
CONTROL_ROW(scripts, block, detect, "process: {scripts: block}",
            "LSM bprm_check_security sees the #! file itself",
            "tp_btf sched_process_exec sees that a script was run, not its file",
            "",
            "at the end of an exec the kernel holds only the interpreter; a script handed to an interpreter is data on both tiers")
CONTROL_ROW(process_allow, block, kill, "process: {allow: [/try, /denied, /suid, /bin/*, /usr/bin/*]}",
            "LSM bprm_check_security: path made in the kernel",
            "tp_btf sched_process_exec: path made in the kernel",
            "",
            "no BPF LSM: killed before its first instruction")
CONTROL_ROW(process_deny, block, kill, "process: {deny: [/denied]}",
            "LSM bprm_check_security: path made in the kernel",
            "tp_btf sched_process_exec: path made in the kernel",
            "",
            "no BPF LSM: killed before its first instruction")
CONTROL_ROW(process_users, block, kill, "process: {users: [root, \"65534\"]}",
            "LSM bprm_check_security: effective uid",
            "tp_btf sched_process_exec: effective uid",
            "",
            "no BPF LSM: killed before its first instruction")
CONTROL_ROW(escalation, block, kill, "privilege: {escalation: block}",
            "LSM bprm_creds_from_file: set-uid and file capabilities",
            "tp_btf sched_process_exec: set-uid and file capabilities",
            "",
            "no BPF LSM: killed before its first instruction")
CONTROL_ROW(namespaces, block, kill, "privilege: {namespaces: block}",
            "LSM userns_create, task_alloc, capable (unshare, setns)",
            "tp_btf sys_enter: unshare, setns, clone, clone3",
            "",
            "no BPF LSM: the caller dies inside the call; clone3's flags could be swapped by another thread meanwhile")
CONTROL_ROW(ptrace, block, kill, "privilege: {ptrace: block}",
            "LSM ptrace_access_check, ptrace_traceme",
            "tp_btf sys_enter: ptrace, process_vm_writev, pidfd_getfd",
            "",
            "no BPF LSM: what one process_vm_writev wrote stays written; /proc/PID/mem is not seen")
CONTROL_ROW(mount, block, kill, "privilege: {mount: block}",
            "LSM sb_mount, move_mount, sb_pivotroot",
            "tp_btf sys_enter: mount, move_mount, open_tree, fsopen, fsmount, mount_setattr, pivot_root",
            "",
            "no BPF LSM: the one mount may stay in the container's namespace")
CONTROL_ROW(modules, block, kill, "privilege: {modules: block}",
            "LSM kernel_read_file, kernel_load_data",
            "tp_btf sys_enter: init_module, finit_module, kexec_load",
            "",
            "no BPF LSM: the module's start code may have run; take CAP_SYS_MODULE away")
CONTROL_ROW(bpf, block, kill, "privilege: {bpf: block}",
            "LSM bpf",
            "tp_btf sys_enter: bpf",
            "",
            "no BPF LSM: the caller dies with what its first call returned")
CONTROL_ROW(io_uring, block, kill, "privilege: {io_uring: block}",
            "LSM inode_init_security_anon: the ring's file",
            "tp_btf sys_enter: io_uring_setup",
            "",
            "no BPF LSM: the caller dies with its ring")
#undef CONTROL_ROW
#undef CONTROL_ATTACHED
