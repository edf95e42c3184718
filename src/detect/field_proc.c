/* Fields of the process and its ancestors. */
#include "detect/subject.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"
#include "policy/policy.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#define NAME_MAX_KERNEL 15u /* of a comm */

struct str detect_argline(struct arena *a, struct str args, bool first)
{
    while (args.n && args.p[args.n - 1] == '\0')
        args.n--;
    if (!first) {
        ptrdiff_t at = str_chr(args, '\0');
        args = at < 0 ? STR_NONE : str_sub(args, (size_t)at + 1, args.n);
    }
    if (!args.n)
        return STR_NONE;
    char *p = arena_cstr(a, args);
    for (size_t i = 0; i < args.n; i++)
        if (!p[i])
            p[i] = ' ';
    return str_n(p, args.n);
}

static struct str last_part(struct str path)
{
    return str_sub(path, (size_t)(str_rchr(path, '/') + 1), path.n);
}

static struct str first_arg(struct str args)
{
    ptrdiff_t at = str_chr(args, '\0');
    return at < 0 ? args : str_sub(args, 0, (size_t)at);
}

/* As the kernel names a process: by the path it was started with, which for a program of many names (busybox) and for a
 * script is not the path of its file. comm may still be that of the program before (a refused exec). */
struct str detect_name(struct str comm, struct str exe, struct str args)
{
    struct str file = str_sub(last_part(exe), 0, NAME_MAX_KERNEL);
    struct str called = str_sub(last_part(first_arg(args)), 0, NAME_MAX_KERNEL);
    if (comm.n && (str_eq(comm, file) || str_eq(comm, called) || !exe.n))
        return comm;
    bool many = str_eqc(file, "busybox") || str_eqc(file, "toybox") || str_eqc(file, "coreutils");
    if (many && called.n)
        return str_starts(called, STR("-")) ? str_sub(called, 1, called.n) : called;
    return file.n ? file : comm;
}

static struct str own_name(struct detect_subject *s)
{
    if (!s->name.n) {
        struct str file = s->file_flags & BH_FILE_SCRIPT && s->kind == KIND_exec && s->path.n ? s->path : s->exe;
        s->name = s->comm.n && s->kind != KIND_exec ? s->comm : detect_name(s->comm, file, s->args);
    }
    return s->name;
}

static struct str own_args(struct detect_subject *s)
{
    if (!s->argline.p) {
        s->argline = detect_argline(s->a, s->args, false);
        if (!s->argline.p)
            s->argline = STR("");
    }
    return s->argline;
}

static struct str own_cmdline(struct detect_subject *s)
{
    if (!s->cmdline.n) {
        struct str args = own_args(s);
        s->cmdline = args.n ? arena_strf(s->a, STR_FMT " " STR_FMT, STR_ARG(own_name(s)), STR_ARG(args)) : own_name(s);
    }
    return s->cmdline;
}

/* Arguments and user of an ancestor are asked of the tree only when a rule wants them. */
static const struct detect_parent *parent(struct detect_subject *s, size_t i)
{
    if (i >= s->parents_n)
        return NULL;
    struct detect_parent *p = &s->parents[i];
    const struct process *known = NULL;
    if (!p->args.p) {
        p->args = STR("");
        if (s->tree && (known = processes_get(s->tree, p->pid, 0))) {
            p->args = arena_str(s->a, known->args);
            p->uid = known->uid;
            p->started = p->started ? p->started : known->started;
            if (!p->exe.n)
                p->exe = arena_str(s->a, known->exe);
        }
        if (!p->name.n)
            p->name = detect_name(STR_NONE, p->exe, p->args);
    }
    return p;
}

static struct str of_parent(struct detect_subject *s, unsigned field, const struct detect_parent *p)
{
    struct str args = STR_NONE;
    switch (field) {
    case F_proc_pname:
    case F_proc_aname:
        return p->name;
    case F_proc_pexe:
    case F_proc_aexe:
        return p->args.n ? first_arg(p->args) : p->exe;
    case F_proc_pexepath:
    case F_proc_aexepath:
        return p->exe;
    case F_proc_aargs:
        return detect_argline(s->a, p->args, false);
    default:
        args = detect_argline(s->a, p->args, false);
        return args.n ? arena_strf(s->a, STR_FMT " " STR_FMT, STR_ARG(p->name), STR_ARG(args)) : p->name;
    }
}

static struct str of_self(struct detect_subject *s, unsigned field)
{
    switch (field) {
    case F_proc_aname:
        return own_name(s);
    case F_proc_aexe:
        return s->args.n ? first_arg(s->args) : s->exe;
    case F_proc_aexepath:
        return s->exe;
    case F_proc_aargs:
        return own_args(s);
    default:
        return own_cmdline(s);
    }
}

/* proc.aX[N]: the ancestor N; proc.aX: all of them. */
static bool ancestors(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    struct str *list = arena_array(s->a, DETECT_PARENTS, sizeof(*list));
    uint64_t at;
    v->list = list;
    if (arg.n) {
        if (str_u64(arg, &at) < 0 || at > s->parents_n)
            return false;
        list[0] = at ? of_parent(s, field, parent(s, (size_t)at - 1)) : of_self(s, field);
        v->list_n = list[0].n != 0;
        return v->list_n != 0;
    }
    for (size_t i = 0; i < s->parents_n; i++) {
        struct str one = of_parent(s, field, parent(s, i));
        if (one.n)
            list[v->list_n++] = one;
    }
    return v->list_n != 0;
}

static bool text(struct expr_value *v, struct str s)
{
    v->s = s;
    return s.n != 0;
}

static bool num(struct expr_value *v, double n)
{
    v->number = n;
    return true;
}

static bool yes(struct expr_value *v, bool b)
{
    v->yes = b;
    return true;
}

/* A file of the image says so; what cannot be told apart says nothing. */
static bool layer(const struct detect_subject *s, bool upper, struct expr_value *v)
{
    const uint32_t in_image = BH_FILE_LOWER, not_in_image = BH_FILE_UPPER;
    if (s->kind != KIND_exec && s->kind != KIND_mmap)
        return false;
    v->yes = (s->file_flags & (upper ? not_in_image : in_image)) != 0;
    return (s->file_flags & (in_image | not_in_image | BH_FILE_FOREIGN | BH_FILE_MEMFD | BH_FILE_DELETED)) != 0;
}

static size_t count_args(struct str args, size_t *bytes)
{
    struct str one;
    size_t n = 0;
    *bytes = 0;
    for (; str_cut(&args, '\0', &one); n++)
        *bytes += n ? one.n : 0;
    return n ? n - 1 : 0;
}

bool detect_get_proc(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    const struct detect_parent *p = NULL;
    size_t bytes, n;
    uint64_t at;
    switch (field) {
    case F_proc_pid:
        return s->pid > 0 && num(v, (double)s->pid);
    case F_proc_vpid:
        return s->ns_pid > 0 && num(v, (double)s->ns_pid);
    case F_proc_ppid:
        return s->parents_n ? num(v, (double)s->parents[0].pid) : s->ppid > 0 && num(v, (double)s->ppid);
    case F_proc_apid:
        if (str_u64(arg, &at) < 0 || at > s->parents_n)
            return false;
        return num(v, (double)(at ? s->parents[at - 1].pid : s->pid));
    case F_proc_exe:
        return text(v, s->args.n ? first_arg(s->args) : s->exe);
    case F_proc_exepath:
        return text(v, s->exe);
    case F_proc_name:
        return text(v, own_name(s));
    case F_proc_args:
        return s->pid > 0 && (v->s = own_args(s), true);
    case F_proc_cmdline:
        return text(v, own_cmdline(s));
    case F_proc_exeline:
        return text(v, detect_argline(s->a, s->args, true));
    case F_proc_cmdnargs:
    case F_proc_cmdlenargs:
        n = count_args(s->args, &bytes);
        return num(v, (double)(field == F_proc_cmdnargs ? n : bytes));
    case F_proc_pname:
    case F_proc_pexe:
    case F_proc_pexepath:
    case F_proc_pcmdline:
        return (p = parent(s, 0)) && text(v, of_parent(s, field, p));
    case F_proc_aname:
    case F_proc_aexe:
    case F_proc_aexepath:
    case F_proc_acmdline:
    case F_proc_aargs:
        return ancestors(s, field, arg, v);
    case F_proc_duration:
        return s->started > 0 && num(v, (double)(s->time - s->started) * 1000);
    case F_proc_pid_ts:
        return s->started > 0 && num(v, (double)s->started * 1000);
    case F_proc_ppid_duration:
        return (p = parent(s, 0)) && p->started > 0 && num(v, (double)(s->time - p->started) * 1000);
    case F_proc_ppid_ts:
        return (p = parent(s, 0)) && p->started > 0 && num(v, (double)p->started * 1000);
    case F_proc_exe_upper:
    case F_proc_exe_lower:
        return layer(s, field == F_proc_exe_upper, v);
    case F_proc_exe_memfd:
        return s->kind == KIND_exec && yes(v, s->file_flags & BH_FILE_MEMFD);
    case F_proc_exe_ino:
        return s->kind == KIND_exec && s->inode > 0 && num(v, (double)s->inode);
    case F_thread_tid:
        return s->tid > 0 && num(v, (double)s->tid);
    case F_thread_ismain:
        return s->tid > 0 && yes(v, s->tid == s->pid);
    case F_thread_cap_effective:
        return s->has_caps && text(v, detect_caps(s->a, s->caps));
    case F_user_uid:
        return s->ns_uid >= 0 && num(v, (double)s->ns_uid);
    case F_group_gid:
        return s->gid >= 0 && num(v, (double)s->gid);
    default:
        return false;
    }
}

struct str detect_caps(struct arena *a, uint64_t caps)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    const char *name;
    for (size_t i = 0; (name = policy_capability_name(i)); i++)
        if (caps >> i & 1)
            buf_printf(&b, "%sCAP_%s", b.n ? " " : "", name);
    return b.n ? arena_str(a, buf_str(&b)) : STR("");
}

/* ---- asked of /proc ---- */

static struct str slurp(struct detect_subject *s, int64_t pid, const char *name, size_t most)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/%s", pid, name);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STR_NONE;
    char *p = arena_alloc(s->a, most + 1);
    size_t got = 0;
    for (ssize_t r; got < most && (r = read(fd, p + got, most - got)) > 0;)
        got += (size_t)r;
    return str_n(p, got);
}

static bool read_stat(struct detect_subject *s)
{
    if (!s->stat_read) {
        struct str text_ = slurp(s, s->pid, "stat", 1024), one;
        ptrdiff_t at = str_rchr(text_, ')');
        int64_t *const to[] = {[2] = &s->pgid, [3] = &s->sid, [4] = &s->tty, [17] = &s->threads};
        s->stat_read = -1;
        text_ = at < 0 ? STR_NONE : str_trim(str_sub(text_, (size_t)at + 1, text_.n));
        for (size_t i = 0; i < ARRAY_LEN(to) && str_cut(&text_, ' ', &one); i++)
            if (to[i] && str_i64(one, to[i]) == 0)
                s->stat_read = 1;
    }
    return s->stat_read > 0;
}

static struct str of_pid(struct detect_subject *s, int64_t pid, unsigned field)
{
    const struct process *p = s->tree && pid > 0 ? processes_get(s->tree, pid, 0) : NULL;
    if (!p)
        return STR_NONE;
    struct str exe = arena_str(s->a, p->exe), args = arena_str(s->a, p->args);
    if (field == F_proc_sname || field == F_proc_vpgid_name)
        return detect_name(STR_NONE, exe, args);
    return (field == F_proc_sid_exe || field == F_proc_vpgid_exe) && args.n ? first_arg(args) : exe;
}

/* Name of the user in the container's own passwd. */
static struct str user_name(struct detect_subject *s)
{
    struct str line, field, rest = s->live ? slurp(s, s->pid, "root/etc/passwd", 64u << 10) : STR_NONE;
    char want[24];
    if (s->ns_uid == 0)
        return STR("root");
    snprintf(want, sizeof(want), "%" PRId64, s->ns_uid);
    while (s->ns_uid > 0 && str_cut(&rest, '\n', &line)) {
        struct str name = STR_NONE;
        str_cut(&line, ':', &name);
        str_cut(&line, ':', &field);
        if (str_cut(&line, ':', &field) && str_eqc(field, want))
            return name;
    }
    return STR_NONE;
}

static bool environment(struct detect_subject *s, struct str arg, struct expr_value *v)
{
    struct str env = slurp(s, s->pid, "environ", 32u << 10), one, name, value;
    if (!arg.n)
        return text(v, detect_argline(s->a, env, true));
    while (str_cut(&env, '\0', &one))
        if (str_split(one, '=', &name, &value) && str_eq(name, arg))
            return text(v, value);
    return false;
}

static bool capabilities(struct detect_subject *s, const char *which, struct expr_value *v)
{
    struct str status = slurp(s, s->pid, "status", 8192), line, key, value;
    while (str_cut(&status, '\n', &line))
        if (str_split(line, ':', &key, &value) && str_eqc(key, which)) {
            uint8_t raw[8];
            uint64_t caps = 0;
            if (hex_decode(str_trim(value), raw, sizeof(raw)) < 0)
                return false;
            for (size_t i = 0; i < sizeof(raw); i++)
                caps = caps << 8 | raw[i];
            return text(v, detect_caps(s->a, caps));
        }
    return false;
}

bool detect_get_live(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    char link[512], path[64];
    int64_t loginuid;
    if (field == F_user_name)
        return text(v, user_name(s));
    if (!s->live || s->pid <= 0)
        return false;
    switch (field) {
    case F_proc_cwd: {
        snprintf(path, sizeof(path), "/proc/%" PRId64 "/cwd", s->pid);
        ssize_t n = readlink(path, link, sizeof(link));
        return n > 0 && text(v, arena_strf(s->a, STR_FMT "%s", STR_ARG(str_n(link, (size_t)n)), n > 1 ? "/" : ""));
    }
    case F_proc_env:
        return environment(s, arg, v);
    case F_proc_tty:
        return read_stat(s) && num(v, (double)s->tty);
    case F_proc_sid:
        return read_stat(s) && num(v, (double)s->sid);
    case F_proc_vpgid:
        return read_stat(s) && num(v, (double)s->pgid);
    case F_proc_nthreads:
        return read_stat(s) && num(v, (double)s->threads);
    case F_proc_is_sid_leader:
        return read_stat(s) && yes(v, s->sid == s->pid);
    case F_proc_is_vpgid_leader:
        return read_stat(s) && yes(v, s->pgid == s->pid);
    case F_proc_sname:
    case F_proc_sid_exe:
    case F_proc_sid_exepath:
        return read_stat(s) && text(v, of_pid(s, s->sid, field));
    case F_proc_vpgid_name:
    case F_proc_vpgid_exe:
    case F_proc_vpgid_exepath:
        return read_stat(s) && text(v, of_pid(s, s->pgid, field));
    case F_user_loginuid:
        if (str_i64(str_trim(slurp(s, s->pid, "loginuid", 32)), &loginuid) < 0)
            return false;
        return num(v, loginuid == UINT32_MAX ? -1 : (double)loginuid);
    case F_thread_cap_permitted:
        return capabilities(s, "CapPrm", v);
    case F_thread_cap_inheritable:
        return capabilities(s, "CapInh", v);
    default:
        return false;
    }
}
