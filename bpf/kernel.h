/* kernel: the few fields of the kernel's structures that our programs read.
 *
 * No vmlinux.h: each struct declares only what we touch; CO-RE finds the real offsets when the program is loaded, by
 * name. Where kernels differ, both shapes stand here with the version that changed it, and nowhere else.
 */
#ifndef BULKHEAD_BPF_KERNEL_H
#define BULKHEAD_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct dentry;
struct super_block {
    struct dentry *s_root;
    __u32 s_dev;
    unsigned long s_flags, s_magic;
};
typedef struct {
    __u32 val;
} kuid_t;
typedef struct {
    __u32 val;
} kgid_t;
struct inode {
    __u16 i_mode;
    __u32 i_rdev;
    kuid_t i_uid;
    unsigned int i_nlink;
    unsigned long i_ino;
    struct super_block *i_sb;
};
struct qstr {
    __u32 len;
    const unsigned char *name;
};
struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
    struct inode *d_inode;
    struct super_block *d_sb;
};
struct vfsmount {
    struct dentry *mnt_root;
    struct super_block *mnt_sb;
};
struct mnt_namespace;
struct mount {
    struct mnt_namespace *mnt_ns;
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};
struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};
struct file {
    struct path f_path;
    struct inode *f_inode;
    unsigned int f_mode, f_flags;
    void *private_data;
};
struct backing_file { /* since 6.8: what overlayfs puts into vma->vm_file, and the path the user opened */
    struct file file;
    struct path user_path;
};
struct ovl_inode { /* its BTF is in the overlay module where that is one; else see overlay_upper() */
    struct inode vfs_inode;
    struct dentry *__upperdentry;
};
struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};
struct files_struct {
    struct {
        int counter;
    } count;
    struct fdtable *fdt;
};
struct fs_struct {
    struct path root, pwd;
};

struct kernfs_node {
    struct kernfs_node *parent;
    const char *name;
    __u64 id;
};
struct kernfs_node___rcu { /* since 6.15 */
    struct kernfs_node *__parent;
};
struct cgroup_root {
    int hierarchy_id;
};
struct cgroup {
    struct kernfs_node *kn;
    struct cgroup_root *root;
};
struct cgroup_subsys_state {
    struct cgroup *cgroup;
};
enum cgroup_subsys_id { pids_cgrp_id, memory_cgrp_id };
struct css_set {
    struct cgroup_subsys_state *subsys[16];
    struct cgroup *dfl_cgrp;
};

struct ns_common {
    unsigned int inum;
};
struct uid_gid_extent {
    __u32 first, lower_first, count;
};
struct uid_gid_map {
    __u32 nr_extents;
    struct uid_gid_extent extent[5];
};
struct user_namespace {
    struct ns_common ns;
    int level;
    struct uid_gid_map uid_map;
};
struct mnt_namespace {
    struct ns_common ns;
};
struct pid_namespace {
    struct ns_common ns;
};
struct net {
    struct ns_common ns;
};
struct nsproxy {
    struct mnt_namespace *mnt_ns;
    struct pid_namespace *pid_ns_for_children;
    struct net *net_ns;
};
struct upid {
    int nr;
    struct pid_namespace *ns;
};
struct pid {
    unsigned int level;
    struct upid numbers[1];
};
struct kernel_cap { /* kernel_cap_t: two words of 32 bits before 6.3, one of 64 since; eight bytes either way */
    __u64 val;
};
struct cred {
    kuid_t uid, euid, suid;
    kgid_t gid, egid;
    struct kernel_cap cap_permitted, cap_effective;
    struct user_namespace *user_ns;
};
struct mm_struct {
    struct file *exe_file;
    unsigned long arg_start, arg_end;
};
struct vm_area_struct {
    unsigned long vm_start, vm_end, vm_flags;
    struct file *vm_file;
};
struct thread_info {
    __u32 status;
};
struct task_struct {
    struct thread_info thread_info;
    struct mm_struct *mm;
    unsigned int personality;
    int pid, tgid, exit_code;
    struct task_struct *real_parent, *group_leader;
    struct pid *thread_pid;
    __u64 start_boottime;
    const struct cred *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct css_set *cgroups;
    unsigned in_execve : 1;
};
struct linux_binprm {
    struct file *file;
    struct cred *cred;
    const char *filename, *interp;
    char buf[256];
    unsigned int secureexec : 1;
};
struct pt_regs {
    unsigned long bp, bx, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip;
};

struct in6_addr {
    __u8 s6_addr[16];
};
struct sock_common {
    __u32 skc_daddr, skc_rcv_saddr;
    __u16 skc_dport, skc_num, skc_family;
    struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};
struct unix_sock {
    struct path path;
    struct sock *peer;
};
struct sock {
    struct sock_common __sk_common;
    __u16 sk_type, sk_protocol;
};
struct socket {
    short type;
    struct sock *sk;
};
struct bpf_iter__task {
    struct task_struct *task;
};
struct sockaddr {
    __u16 sa_family;
};

#pragma clang attribute pop

#define OVERLAYFS_MAGIC     0x794c7630
#define TMPFS_MAGIC         0x01021994
#define RAMFS_MAGIC         0x858458f6
#define SB_KERNMOUNT        (1ul << 22)
#define FMODE_WRITE         2
#define FMODE_NOACCOUNT     (1u << 29) /* backing files carry it; FMODE_BACKING itself changed its number */
#define S_IFMT              00170000
#define S_IFREG             0100000
#define S_IFBLK             0060000
#define S_IFCHR             0020000
#define S_IFSOCK            0140000
#define PROT_READ           1
#define PROT_WRITE          2
#define PROT_EXEC           4
#define MAP_SHARED          1
#define MAP_TYPE            0xf
#define MAP_ANONYMOUS       0x20
#define VM_EXEC             4
#define VM_SHARED           8
#define READ_IMPLIES_EXEC   0x0400000
#define TS_COMPAT           2
#define SIGKILL             9
#define EPERM               1
#define AF_UNIX             1
#define AF_INET             2
#define AF_INET6            10
#define CAP_SYS_ADMIN       21
#define CAP_DAC_READ_SEARCH 2
#define CLONE_NEW_ANY       0x7e020080u /* NEWTIME NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET */
#define CLONE_NEW_BY_CLONE  0x7e020000u

#define READ(src, a, ...) BPF_CORE_READ((src), a, ##__VA_ARGS__)

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *kn)
{
    struct kernfs_node___rcu *n = (void *)kn;
    if (bpf_core_field_exists(n->__parent))
        return READ(n, __parent);
    return READ(kn, parent);
}

static __always_inline __u64 cap_bits(const struct kernel_cap *c)
{
    __u64 v = 0;
    bpf_probe_read_kernel(&v, sizeof(v), c);
    return v;
}

static __always_inline bool in_compat(struct task_struct *t)
{
    return READ(t, thread_info.status) & TS_COMPAT;
}

#endif
