/* Controls that the kernel decides: what each tier can do, and how doctor and the canary prove it. The one table of
 * levels: events, listings and doctor all read it.
 *
 * CONTROL_ROW(control, level on lsm, level on trace, policy, how on lsm, how on trace, why not more on lsm, ... on trace)
 * CONTROL_ATTACHED: the same, with why it cannot be tried in the place of the policy
 *
 * How: empty where the tier does nothing for it. The row is proven by try_CONTROL() of try.c: in a throw-away container
 * it does what the control must stop; the policy is one line of a ContainerPolicy, and those of all rows rule together.
 * Only what cannot be tried without harm is a CONTROL_ATTACHED: doctor then says that its programs are attached, and why
 * that is all. */
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
            "",
            "a script handed to an interpreter is data on both tiers",
            "at the end of an exec the kernel holds only the interpreter: that a script was run is told (detail.file.flags "
            "script, with the name it was called by), its file is not judged; as data for an interpreter no tier judges it")
CONTROL_ROW(process_allow, block, kill, "process: {allow: [/try, /try32, /denied, /suid, /bin/*, /usr/bin/*]}",
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
CONTROL_ROW(capabilities, block, detect,
            "privilege: {capabilities: [CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, "
            "NET_ADMIN, NET_RAW, IPC_LOCK, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_RESOURCE, MKNOD, PERFMON, BPF]}",
            "LSM capable: each use of a capability that the list does not name",
            "tp_btf sched_process_exec: what a program is permitted beyond the list is told",
            "",
            "no BPF LSM: uses are not seen; bulkhead-runc takes capabilities away at the start")
CONTROL_ATTACHED(credentials, block, kill, "only a kernel exploit does it",
            "LSM bprm_check_security and sched_process_fork: credentials that cannot follow from those seen before",
            "tp_btf sched_process_fork, tp sys_enter of execve, setuid and its kin: the same comparison",
            "between two of these an exploit acts unseen: it is stopped at its next exec or fork (a fork is killed)",
            "between two of these an exploit acts unseen: it is killed at its next exec, fork or change of ids")
CONTROL_ROW(setuid_files, block, kill, "privilege: {setuid_files: block}",
            "LSM path_chmod, path_mknod, inode_setxattr (file capabilities)",
            "tp sys_enter: chmod, fchmod, fchmodat, fchmodat2",
            "",
            "no BPF LSM: the bit may be set by the call that its caller dies in (what is planted is drift and does not run); "
            "a file created with the bit and setxattr are not seen")
CONTROL_ROW(keyring, block, kill, "privilege: {keyring: block}",
            "LSM key_permission, key_alloc: within add_key, request_key, keyctl",
            "tp sys_enter: add_key, request_key, keyctl",
            "",
            "no BPF LSM: the one call happens")
CONTROL_ROW(perf, block, kill, "privilege: {perf: block}",
            "LSM perf_event_open",
            "tp sys_enter: perf_event_open",
            "",
            "no BPF LSM: the caller dies with its descriptor")
CONTROL_ROW(userfaultfd, block, kill, "privilege: {userfaultfd: block}",
            "LSM inode_init_security_anon: its file",
            "tp sys_enter: userfaultfd",
            "/dev/userfaultfd, where a container has it, makes the same file and is seen too",
            "no BPF LSM: the caller dies with its descriptor; /dev/userfaultfd is not seen")
CONTROL_ROW(compat, block, kill, "privilege: {compat: block}",
            "LSM bprm_check_security: 32-bit programs",
            "tp_btf sched_process_exec: 32-bit programs; sys_enter while a container may use the 32-bit entry",
            "int 0x80 of a 64-bit program is not seen; bulkhead-runc closes it by seccomp at the start",
            "no BPF LSM: killed before its first instruction, or in its first call")
CONTROL_ROW(escape, block, kill, "privilege: {escape: block}",
            "LSM file_open, path_mknod, ptrace_access_check, capable (open_by_handle_at), unix_stream_connect: inodes, "
            "file systems and sockets, not names",
            "tp sys_enter: mknod, open_by_handle_at, iopl, ioperm; sys_exit of opens and of connect, by the object that "
            "the descriptor holds",
            "",
            "no BPF LSM: opening may itself have an effect; a block device stays made; opens are watched while a container "
            "holds SYS_ADMIN, DAC_READ_SEARCH, SYS_PTRACE, SYS_RAWIO or SYS_MODULE, or a policy has `files`; opens by "
            "io_uring are not seen (block it)")
CONTROL_ROW(files, block, kill, "files: {read_only: [/protected]}",
            "LSM file_open and path_unlink, rename, link, chmod, chown, truncate, mkdir, symlink, mknod: path made in the kernel",
            "tp sys_exit of open, openat, openat2, creat: path made in the kernel from the descriptor",
            "",
            "no BPF LSM: killed before it can read or write through the descriptor, but O_TRUNC has emptied the file; "
            "removing, renaming, linking and changes of mode or owner are not judged; io_uring is not seen (block it)")
#undef CONTROL_ROW
#undef CONTROL_ATTACHED
