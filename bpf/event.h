/* event: what the kernel side and user space share: maps' keys and values, and the events of the two rings.
 *
 * Included by the programs in bpf/ (clang -target bpf) and by src/runtime. Only fixed-size integers, no pointers, no
 * padding that is not named. A change of any layout here raises BH_LAYOUT: the sensor then replaces pinned maps instead
 * of taking them over.
 *
 * Nothing here decides. The kernel decides from struct bh_policy (per container, else the host default) and tells
 * with struct bh_event what it did; the rest of the house only explains.
 */
#ifndef BULKHEAD_BPF_EVENT_H
#define BULKHEAD_BPF_EVENT_H

#include <linux/types.h>

#define BH_LAYOUT    2
#define BH_ID        64   /* a container id: 64 lower-case hex digits, no NUL */
#define BH_PARENTS   5    /* ancestors told with an event, nearest first */
#define BH_DATA      8192 /* bytes of an event's variable part */
#define BH_PATH      1024 /* longest path told; longer ones keep their end and carry BH_TRUNCATED_* */
#define BH_ARGS      2048 /* bytes of arguments told */
#define BH_LIST_PATH 248  /* longest exact path in a list, with its NUL */
#define BH_GLOBS     16   /* patterns in one list of one container */
#define BH_GLOB      128  /* longest pattern, with its NUL */
#define BH_USERS     16

/* Controls the kernel decides. The order is part of the layout. */
// clang-format off
#define BH_CONTROL_LIST(X)                                                                                             \
    X(none) X(drift) X(fileless) X(scripts) X(process_allow) X(process_deny) X(process_users)                          \
    X(escalation) X(namespaces) X(ptrace) X(mount) X(modules) X(bpf) X(io_uring)                                       \
    X(egress) X(ingress) X(raw) X(metadata) X(known_bad) X(shells) X(scans) X(tunnels) X(mining)                       \
    X(iso_signals) X(iso_ptrace) X(iso_memory) X(iso_sockets)                                                          \
    X(capabilities) X(credentials) X(setuid_files) X(keyring) X(perf) X(userfaultfd) X(compat) X(escape)               \
    X(files) X(syscalls) X(sensor)
// clang-format on
enum bh_control {
#define BH_X(n) BH_CONTROL_##n,
    BH_CONTROL_LIST(BH_X)
#undef BH_X
        BH_CONTROLS,
};
#define BH_CONTROLS_MAX 48 /* room in struct bh_policy, so that one more control changes no layout */

enum bh_type {
    BH_EXEC = 1,
    BH_MMAP, /* a file became executable memory: mmap or mprotect */
    BH_EXIT, /* the last thread of a container process that was told of by an exec event ended */
    BH_OPEN, /* opened for writing */
    BH_CONNECT,
    BH_BIND,
    BH_LISTEN,
    BH_ACCEPT,
    BH_CREDENTIALS, /* uid, gid or capabilities of a running process changed, or gained by exec */
    BH_MOUNT,
    BH_PTRACE,
    BH_NAMESPACE,
    BH_MODULE,
    BH_BPF,
    BH_IO_URING,
    BH_SOCKET, /* a raw, packet or exotic socket made */
    BH_SIGNAL, /* sent to a process of another container */
    BH_IPC,    /* memory shared with, or a local socket of, another container */
    BH_CHANGE, /* a name or its inode: created, removed, renamed, linked, mode, owner (arg[0]: enum bh_change) */
    BH_CALL,   /* a system call that a control names and that has no type of its own */
    BH_TYPES,
};

enum bh_mode { BH_LEARN, BH_AUDIT, BH_ENFORCE };                                    /* = enum policy_mode */
enum bh_action { BH_OFF, BH_ALERT, BH_BLOCK };                                      /* = enum event_action */
enum bh_level { BH_LEVEL_DETECT, BH_LEVEL_RESPOND, BH_LEVEL_KILL, BH_LEVEL_BLOCK }; /* = enum event_level */

/* Why this event crossed to user space. */
enum bh_why {
    BH_WHY_NEW = 1, /* first time for this image, object and operation */
    BH_WHY_CONTROL, /* a control fired (see control, action, acted) */
    BH_WHY_ASKED,   /* the policy asks for all of this kind (BH_POLICY_TELL_ALL) */
};

/* Facts about a file that becomes code (or is opened). */
enum bh_file_flags {
    BH_FILE_LOWER = 1 << 0,   /* in the image: overlay of the container's root, no upper copy */
    BH_FILE_UPPER = 1 << 1,   /* written or changed since the container was created */
    BH_FILE_FOREIGN = 1 << 2, /* another superblock than the container's root: volume, tmpfs, other mount */
    BH_FILE_TMPFS = 1 << 3,   /* with FOREIGN: a tmpfs or ramfs */
    BH_FILE_MEMFD = 1 << 4,   /* memory only: memfd_create, shm */
    BH_FILE_DELETED = 1 << 5, /* link count 0 */
    BH_FILE_VOLUME = 1 << 6,  /* allowed by exec_from */
    BH_FILE_ALLOWED = 1 << 7, /* allowed by drift_allow */
    BH_FILE_UNKNOWN = 1 << 8, /* the root is no overlay, so image and drift cannot be told apart: control unavailable */
    BH_FILE_SCRIPT = 1 << 9,  /* a #! script; exe is its interpreter */
    BH_FILE_INTERP = 1 << 10, /* the ELF interpreter of the program, not the program itself */
    BH_FILE_COMPAT = 1 << 11, /* 32-bit code, or the call came in through the 32-bit entry */
    BH_FILE_UNRESOLVED = 1 << 12, /* the file could not be looked at in time (see docs/kernel-hooks.md) */
    BH_FILE_MPROTECT = 1 << 13,   /* an existing mapping was made executable */
    BH_FILE_OTHER_NS = 1 << 14,   /* judged in a mount namespace that is not the container's first one */
    BH_FILE_SETID = 1 << 15,      /* it has, or would have got, a set-uid or set-gid bit or file capabilities */
};

/* What a name or inode was changed by. */
enum bh_change {
    BH_CHANGE_CREATE = 1,
    BH_CHANGE_REMOVE,
    BH_CHANGE_RENAME, /* path: the old name; arg[2] = 1: the new one */
    BH_CHANGE_LINK,
    BH_CHANGE_MODE,
    BH_CHANGE_OWNER,
    BH_CHANGE_TRUNCATE,
    BH_CHANGE_XATTR,
    BH_CHANGES,
};

/* Ways out of a container, in arg[3] of events of the control `escape`. */
enum bh_escape {
    BH_ESCAPE_HOOK = 1, /* a file by which the kernel is made to run or reveal something: core_pattern, release_agent */
    BH_ESCAPE_DEVICE,   /* a block device, /dev/mem, ports: made or opened */
    BH_ESCAPE_ENGINE,   /* the socket of a container engine */
    BH_ESCAPE_HOST,     /* a process outside of the container: its /proc/PID/root, cwd, exe, fd, mem, environ */
    BH_ESCAPE_HANDLE,   /* a file opened by its handle */
    BH_ESCAPE_RUNTIME,  /* the container runtime's own program, for writing */
    BH_ESCAPES,
};
#define BH_WATCHED 1 /* arg[2] of an event of the control `files`: named by files.watch, so told and not stopped */

/* What of ours was reached for, in arg[3] of events of the control `sensor`. */
enum bh_self {
    BH_SELF_PROCESS = 1,
    BH_SELF_MAP,
    BH_SELF_LINK,
    BH_SELF_FILE,
    BH_SELF_SOCKET,
    BH_SELVES,
};
/* How a file or folder of ours is guarded. */
enum bh_self_file {
    BH_SELF_ALL = 1, /* it and what is below: no opening at all */
    BH_SELF_WRITES,  /* it and what is below: no writing */
    BH_SELF_ENTRIES, /* a folder: what lies directly in it is not written */
};

enum bh_truncated {
    BH_TRUNCATED_EXE = 1 << 0,
    BH_TRUNCATED_PATH = 1 << 1,
    BH_TRUNCATED_ARGS = 1 << 2,
};

struct bh_span { /* a run of bytes in data[], no NUL */
    __u16 off, len;
};

struct bh_file {
    __u64 ino;
    __u32 dev;   /* kernel's dev_t: major << 20 | minor */
    __u32 flags; /* enum bh_file_flags */
    __u32 uid;   /* owner, in the initial user namespace */
    __u32 mode;
};

struct bh_parent {
    __u64 started; /* ns of boot time */
    __u32 pid;     /* thread group, in the initial pid namespace */
    struct bh_span exe;
    char comm[16];
};

struct bh_addr {  /* the remote end for connect and accept, the local one for bind and listen */
    __u16 family; /* AF_INET, AF_INET6, AF_UNIX (then path holds the name), AF_NETLINK, AF_PACKET ... */
    __u16 port;   /* host order */
    __u16 local_port;
    __u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP ... 0 unknown */
    __u8 pad;
    __u8 addr[16]; /* v4 in the first four */
};

struct bh_event {
    __u32 size;   /* of the whole record, header and data */
    __u16 layout; /* BH_LAYOUT */
    __u16 type;   /* enum bh_type */
    __u64 seq;    /* per CPU and ring: a hole is a loss, also counted in the loss map */
    __u64 time;   /* ns of boot time (CLOCK_BOOTTIME) */
    __u32 cpu;
    __u8 ring;      /* 0 alerts, 1 telemetry */
    __u8 why;       /* enum bh_why */
    __u8 truncated; /* enum bh_truncated */
    __u8 known;     /* 1: a policy for this container id was in the map; 0: the host default ruled */

    /* the decision */
    __u8 control; /* enum bh_control; none: telemetry */
    __u8 action;  /* enum bh_action: the policy's setting of that control */
    __u8 mode;    /* enum bh_mode */
    __u8 acted;   /* enum bh_level: DETECT when nothing was done, KILL, BLOCK */
    __u8 would;   /* enum bh_level: what enforce does on this tier (with mode learn or audit and action block) */
    __u8 tier;    /* 1 lsm 2 trace */
    __u16 pad0;
    __u64 revision; /* of the policy that ruled */
    __u32 repeats;  /* equal events kept back since the last one told */
    __u32 pad1;

    /* identity */
    char id[BH_ID]; /* all NUL: not in a container */
    __u64 cgroup;   /* kernfs id of the cgroup that gave the id */
    __u32 pid, tid; /* thread group and thread, in the initial pid namespace */
    __u32 ns_pid;   /* thread group in its own pid namespace */
    __u32 ppid;
    __u64 started;              /* of the thread group, ns of boot time */
    __u32 uid, gid, euid, egid; /* in the initial user namespace */
    __u32 ns_uid, ns_euid;      /* as the container sees them */
    __u64 caps, old_caps;       /* effective; permitted before (BH_CREDENTIALS) */
    __u32 old_uid, old_euid;    /* BH_CREDENTIALS: before */
    __u32 mnt_ns, pid_ns, net_ns, user_ns;
    char comm[16];
    struct bh_span exe;  /* program of the process (for exec: the new one), path as the container sees it */
    struct bh_span args; /* exec: NUL-separated */

    /* the object */
    struct bh_span path; /* exec of a script: the script as it was called; mmap, open: the file; AF_UNIX: name */
    __u32 pad2;
    struct bh_file file; /* exec: the program; mmap, open: the file */
    struct bh_addr peer;
    __u64 arg[4];  /* by type, see below */
    __u32 syscall; /* number in the entry's own table; 0 with a hook that has none */
    __u32 parents_n;
    struct bh_parent parents[BH_PARENTS];
    __u8 data[BH_DATA];
};
/* arg[] by type:
 * - mmap: 0 address, 1 length, 2 prot
 * - open: 0 open flags
 * - ptrace: 0 request (or -1 process_vm_writev, -2 process_vm_readv), 1 target pid (0 unknown)
 * - namespace: 0 CLONE_NEW* flags, 1 = 1 for setns (entered), 0 created
 * - bpf: 0 command
 * - io_uring: 0 entries
 * - mount: 0 flags, path = target where known
 * - exit: 0 exit code as wait() gives it
 * - change: 0 enum bh_change, 1 new mode or owner, 2 see there
 * - call: 0, 1 the first two arguments
 * - control escape, any type: 3 enum bh_escape
 */

struct bh_policy {
    __u8 mode; /* enum bh_mode */
    __u8 users_n;
    __u8 pad[6];
    __u8 action[BH_CONTROLS_MAX]; /* enum bh_action by control */
    __u32 flags;                  /* enum bh_policy_flags */
    __u32 pad2;
    __u64 caps; /* with BH_POLICY_CAPS: those that may be held and used */
    __u64 revision;
    __u64 image;           /* novelty is kept by this: a hash of the image id; 0: by container id */
    __u64 set;             /* lists of this container in `paths` and `globs` */
    __u32 users[BH_USERS]; /* uids as the container sees them */
};
enum bh_policy_flags {
    BH_POLICY_ALLOW = 1 << 0, /* process.allow is present, maybe empty */
    BH_POLICY_DENY = 1 << 1,
    BH_POLICY_DRIFT_ALLOW = 1 << 2,
    BH_POLICY_EXEC_FROM = 1 << 3,
    BH_POLICY_USERS = 1 << 4,
    BH_POLICY_TELL_ALL = 1 << 5, /* tell every exec, not only new ones */
    BH_POLICY_FILES = 1 << 6,    /* files.deny, read_only or watch is present: opens are judged */
    BH_POLICY_CAPS = 1 << 7,     /* a list of capabilities is present, maybe empty */
    BH_POLICY_SEALED = 1 << 8,   /* the guard closed the 32-bit entry by seccomp at the start */
    BH_POLICY_CONTENT = 1 << 9,  /* lists name programs by the SHA-256 of their content */
};

#define BH_CALLS 512 /* numbers of system calls that are learned */
struct bh_calls {
    __u64 seen[BH_CALLS / 64];
};

enum bh_list {
    BH_LIST_ALLOW,
    BH_LIST_DENY,
    BH_LIST_DRIFT_ALLOW,
    BH_LIST_EXEC_FROM,
    BH_LIST_FILES_DENY,
    BH_LIST_FILES_READ_ONLY,
    BH_LIST_FILES_WATCH,
    BH_LIST_FILES_ABOVE,
    BH_LISTS
};
struct bh_path_key {
    __u64 set;
    __u32 list;
    __u32 pad;
    char path[BH_LIST_PATH]; /* NUL-padded */
};
struct bh_glob_key {
    __u64 set;
    __u32 list;
    __u32 pad;
};
struct bh_globs {
    __u32 n;
    char pattern[BH_GLOBS][BH_GLOB]; /* '*' a run without '/', '**' any run, '?' one byte but '/' */
};

/* What the kernel remembers of a container: written at its first exec, or by the sensor for those that ran before. */
struct bh_container {
    __u32 root_dev; /* superblock of its root */
    __u32 mnt_ns;   /* its first mount namespace */
    __u64 root_ino;
    __u32 overlay; /* 1: the root is an overlay, drift can be told */
    __u32 pid;     /* first process, in the initial pid namespace */
    __u64 started; /* ns of boot time */
    __u64 caps;    /* what its first program was permitted */
};

/* CAP_DAC_READ_SEARCH, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN: whoever has one reaches the kernel's own files. */
#define BH_ADMIN_CAPS (1u << 2 | 1u << 16 | 1u << 17 | 1u << 19 | 1u << 21)

struct bh_config { /* map `config`, one element */
    __u32 layout;
    __u32 tier;          /* 1 lsm 2 trace */
    __u32 ovl_upper_off; /* offset of __upperdentry in struct ovl_inode, from its vfs_inode */
    __u32 flags;
    char own_id[BH_ID]; /* the container the agent itself runs in: its cgroup is no container of ours; else NULs */
};
enum bh_config_flags { BH_CONFIG_TELL_HOST = 1 << 0, BH_CONFIG_OPENS = 1 << 1 };

struct bh_inode { /* key of engine_sockets: sockets by which containers are made */
    __u64 ino;
    __u32 dev; /* kernel's dev_t */
    __u32 pad;
};

struct bh_loss { /* per CPU, index = ring */
    __u64 seq;   /* records numbered so far */
    __u64 lost;  /* of these, did not fit */
};

#endif
