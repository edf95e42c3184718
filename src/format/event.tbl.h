/* The closed lists of the event schema (api/event.schema.json is checked against this file by a test).
 * EVENT_TYPE(name): what happened. */
#ifdef EVENT_TYPE
EVENT_TYPE(exec)          /* a program was started */
EVENT_TYPE(mmap)          /* a file was mapped executable */
EVENT_TYPE(fork)
EVENT_TYPE(exit)
EVENT_TYPE(open)          /* a file was opened for writing */
EVENT_TYPE(connect)
EVENT_TYPE(bind)
EVENT_TYPE(listen)
EVENT_TYPE(accept)
EVENT_TYPE(credentials)   /* uid, gid or capabilities changed */
EVENT_TYPE(mount)
EVENT_TYPE(ptrace)
EVENT_TYPE(namespace)     /* entered or created */
EVENT_TYPE(module)
EVENT_TYPE(bpf)
EVENT_TYPE(socket)        /* a raw, packet or exotic socket was made */
EVENT_TYPE(signal)        /* sent to another container */
EVENT_TYPE(ipc)           /* memory or a local socket of another container */
EVENT_TYPE(resource)      /* a limit was passed, or pressure ended */
EVENT_TYPE(change)        /* a name or its inode: created, removed, renamed, linked, mode or owner changed */
EVENT_TYPE(call)          /* a system call that a control names: keyctl, perf_event_open, userfaultfd ... */
EVENT_TYPE(gate)          /* a request to the engine or the start of a container was judged */
EVENT_TYPE(container)     /* created, started, stopped, removed */
EVENT_TYPE(image)         /* scanned, verdict changed */
EVENT_TYPE(profile)       /* learning: became stable, changed */
EVENT_TYPE(policy)        /* policy set or intel revision loaded */
EVENT_TYPE(agent)         /* started, stopped, tier, tampering */
EVENT_TYPE(gap)           /* events were lost: detail {from, to, count, reason} */
#endif
/* EVENT_CONTROL(id, name as in events and policies, what it guards) */
#ifdef EVENT_CONTROL
EVENT_CONTROL(none, "none", "no control: telemetry")
EVENT_CONTROL(drift, "drift", "code that was not in the image")
EVENT_CONTROL(fileless, "fileless", "code without a file: memfd, deleted")
EVENT_CONTROL(scripts, "scripts", "#! scripts that were not in the image")
EVENT_CONTROL(process_allow, "process.allow", "programs outside of the allow list or learned profile")
EVENT_CONTROL(process_deny, "process.deny", "programs on the deny list")
EVENT_CONTROL(process_users, "process.users", "programs run by a user that may not")
EVENT_CONTROL(escalation, "escalation", "gain of uid 0 or capabilities")
EVENT_CONTROL(namespaces, "namespaces", "namespaces entered or created")
EVENT_CONTROL(ptrace, "ptrace", "another process inspected or changed")
EVENT_CONTROL(mount, "mount", "file systems mounted")
EVENT_CONTROL(modules, "modules", "kernel modules")
EVENT_CONTROL(bpf, "bpf", "bpf programs and maps")
EVENT_CONTROL(io_uring, "io_uring", "io_uring instances")
EVENT_CONTROL(capabilities, "capabilities", "capabilities beyond those the policy names")
EVENT_CONTROL(credentials, "credentials", "credentials gained without a legal way: a kernel exploit")
EVENT_CONTROL(setuid_files, "setuid_files", "set-uid files planted or copied")
EVENT_CONTROL(keyring, "keyring", "kernel keyrings")
EVENT_CONTROL(perf, "perf", "performance counters of the kernel")
EVENT_CONTROL(userfaultfd, "userfaultfd", "page faults handled in user space")
EVENT_CONTROL(compat, "compat", "calls through the 32-bit entry")
EVENT_CONTROL(escape, "escape", "ways out of a container: kernel hooks, devices, engine sockets, processes of the host")
EVENT_CONTROL(syscalls, "syscalls", "system calls outside of the list")
EVENT_CONTROL(files, "files", "denied, read-only and watched files")
EVENT_CONTROL(egress, "egress", "outgoing connections")
EVENT_CONTROL(ingress, "ingress", "listening and incoming connections")
EVENT_CONTROL(raw, "network.raw", "raw, packet and exotic sockets")
EVENT_CONTROL(metadata, "network.metadata", "the cloud's metadata service")
EVENT_CONTROL(known_bad, "network.known_bad", "addresses known to be bad")
EVENT_CONTROL(shells, "network.shells", "shells that obey a socket: bind and reverse shells")
EVENT_CONTROL(scans, "network.scans", "port and host scans")
EVENT_CONTROL(tunnels, "network.tunnels", "data carried in DNS names")
EVENT_CONTROL(mining, "network.mining", "mining protocols")
EVENT_CONTROL(iso_signals, "isolation.signals", "signals to other containers")
EVENT_CONTROL(iso_ptrace, "isolation.ptrace", "processes of other containers inspected or changed")
EVENT_CONTROL(iso_memory, "isolation.memory", "memory shared with other containers")
EVENT_CONTROL(iso_sockets, "isolation.sockets", "local sockets of other containers")
EVENT_CONTROL(resources, "resources", "processor, memory, processes, files, disk and network against limits")
EVENT_CONTROL(rules, "rules", "detection rules: see docs/rules.md")
EVENT_CONTROL(image, "image", "images without an allow verdict")
EVENT_CONTROL(request, "request", "requests to the engine that are ambiguous or would bypass protection")
EVENT_CONTROL(sensor, "sensor", "the sensing itself: loss, tampering")
#endif
/* EVENT_SEVERITY in ascending order; EVENT_ACTION, EVENT_LEVEL, EVENT_OUTCOME as the contract defines them. */
#ifdef EVENT_SEVERITY
EVENT_SEVERITY(info)
EVENT_SEVERITY(low)
EVENT_SEVERITY(medium)
EVENT_SEVERITY(high)
EVENT_SEVERITY(critical)
#endif
#ifdef EVENT_ACTION
EVENT_ACTION(off)
EVENT_ACTION(alert)
EVENT_ACTION(block)
#endif
#ifdef EVENT_LEVEL
EVENT_LEVEL(detect)
EVENT_LEVEL(respond)
EVENT_LEVEL(kill)
EVENT_LEVEL(block)
#endif
#ifdef EVENT_OUTCOME
EVENT_OUTCOME(detected)
EVENT_OUTCOME(allowed)
EVENT_OUTCOME(prevented)
EVENT_OUTCOME(killed)
EVENT_OUTCOME(responded)
#endif
