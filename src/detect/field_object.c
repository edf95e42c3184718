/* Fields of what the call was about: file, socket, arguments. */
#include "detect/subject.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

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

static bool on_socket(const struct detect_subject *s)
{
    return s->family != 0;
}

static bool on_internet(const struct detect_subject *s)
{
    return s->family == AF_INET || s->family == AF_INET6;
}

/* The told address is the remote end of connect and accept, and our own of bind and listen. */
static bool serves(const struct detect_subject *s)
{
    return s->kind == KIND_accept || s->kind == KIND_bind || s->kind == KIND_listen;
}

static bool remote_told(const struct detect_subject *s)
{
    return s->kind != KIND_bind && s->kind != KIND_listen;
}

static struct str address_text(struct detect_subject *s)
{
    char out[INET6_ADDRSTRLEN];
    bool v4 = s->family == AF_INET;
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? s->addr + 12 : s->addr, out, sizeof(out));
    return arena_str(s->a, str_c(out));
}

static struct str socket_name(struct detect_subject *s)
{
    if (s->family == AF_UNIX)
        return s->path;
    if (!on_internet(s))
        return STR_NONE;
    struct str addr = address_text(s);
    if (s->family == AF_INET6)
        addr = arena_strf(s->a, "[" STR_FMT "]", STR_ARG(addr));
    if (!remote_told(s))
        return arena_strf(s->a, STR_FMT ":%u", STR_ARG(addr), s->port);
    if (serves(s))
        return arena_strf(s->a, STR_FMT ":%u->:%u", STR_ARG(addr), s->port, s->local_port);
    return arena_strf(s->a, ":%u->" STR_FMT ":%u", s->local_port, STR_ARG(addr), s->port);
}

static struct str name_of(struct detect_subject *s)
{
    return on_socket(s) ? socket_name(s) : s->path;
}

static struct str directory(struct str path)
{
    ptrdiff_t at = str_rchr(path, '/');
    return at < 0 ? STR_NONE : at == 0 ? STR("/") : str_sub(path, 0, (size_t)at);
}

static bool address(struct detect_subject *s, bool told, struct expr_value *v)
{
    struct expr_net *net;
    if (!told || !on_internet(s))
        return false;
    net = arena_new_of(s->a, struct expr_net);
    memcpy(net->addr, s->addr, sizeof(net->addr));
    net->bits = 128;
    v->nets = net;
    v->list_n = 1;
    return true;
}

static bool port(const struct detect_subject *s, bool told, bool local, struct expr_value *v)
{
    if (!on_internet(s))
        return false;
    if (told)
        return num(v, s->port);
    return local && s->local_port && num(v, s->local_port);
}

static bool socket_field(struct detect_subject *s, unsigned field, struct expr_value *v)
{
    bool remote = remote_told(s), client = !serves(s);
    switch (field) {
    case F_fd_ip:
    case F_fd_net:
        return address(s, true, v);
    case F_fd_sip:
    case F_fd_snet:
        return address(s, client || !remote, v);
    case F_fd_cip:
    case F_fd_cnet:
        return address(s, !client && remote, v);
    case F_fd_lip:
    case F_fd_lnet:
        return address(s, !remote, v);
    case F_fd_rip:
    case F_fd_rnet:
        return address(s, remote, v);
    case F_fd_port:
    case F_fd_sport:
        return port(s, client || !remote, !client, v);
    case F_fd_cport:
        return port(s, !client && remote, client, v);
    case F_fd_lport:
        return port(s, !remote, true, v);
    case F_fd_rport:
        return port(s, remote, false, v);
    case F_fd_l4proto:
        return text(v, s->protocol == IPPROTO_TCP    ? STR("tcp")
                       : s->protocol == IPPROTO_UDP  ? STR("udp")
                       : s->protocol == IPPROTO_ICMP ? STR("icmp")
                       : s->protocol == IPPROTO_RAW  ? STR("raw")
                                                     : STR_NONE);
    case F_fd_sockfamily:
        return text(v, on_internet(s) ? STR("ip") : s->family == AF_UNIX ? STR("unix") : STR_NONE);
    case F_fd_is_server:
        return on_socket(s) && yes(v, !client);
    case F_fd_connected:
        return on_socket(s) && yes(v, remote);
    default: /* names */
        return remote && client && text(v, s->peer_name);
    }
}

static bool type_of(const struct detect_subject *s, bool one, struct expr_value *v)
{
    switch (s->family) {
    case AF_INET:
        return text(v, one ? STR("4") : STR("ipv4"));
    case AF_INET6:
        return text(v, one ? STR("6") : STR("ipv6"));
    case AF_UNIX:
        return text(v, one ? STR("u") : STR("unix"));
    case AF_NETLINK:
        return text(v, one ? STR("n") : STR("netlink"));
    default:
        if (!s->path.n || (s->kind != KIND_open && s->kind != KIND_mmap && s->kind != KIND_other))
            return false;
        if (s->open_flags >= 0 && s->open_flags & O_DIRECTORY)
            return text(v, one ? STR("d") : STR("directory"));
        return text(v, one ? STR("f") : STR("file"));
    }
}

static struct str file_path(const struct detect_subject *s)
{
    return on_socket(s) ? STR_NONE : s->path;
}

static struct str shown_id(const struct detect_subject *s)
{
    return s->container.id.n ? str_sub(s->container.id, 0, 12) : STR("host");
}

static const struct {
    uint64_t flag;
    const char *name;
} namespaces[] = {{CLONE_NEWNS, "mnt"},  {CLONE_NEWPID, "pid"}, {CLONE_NEWNET, "net"},      {CLONE_NEWUSER, "user"},
                  {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"}, {CLONE_NEWCGROUP, "cgroup"}};

static bool namespace_names(struct detect_subject *s, struct expr_value *v)
{
    struct str *list = arena_array(s->a, ARRAY_LEN(namespaces), sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
        if (s->namespaces & namespaces[i].flag)
            list[n++] = str_c(namespaces[i].name);
    v->list = list;
    v->list_n = n;
    return n != 0;
}

bool detect_get_object(struct detect_subject *s, unsigned field, struct str arg, struct expr_value *v)
{
    bool refused = s->outcome == OUTCOME_prevented;
    switch (field) {
    case F_fd_num:
        return (on_socket(s) || s->kind == KIND_open) && num(v, refused ? -1 : 0);
    case F_fd_type:
    case F_fd_typechar:
        return type_of(s, field == F_fd_typechar, v);
    case F_fd_name:
    case F_fd_nameraw:
        return text(v, name_of(s));
    case F_fd_directory:
        return text(v, directory(file_path(s)));
    case F_fd_filename:
        return text(v, str_sub(file_path(s), (size_t)(str_rchr(file_path(s), '/') + 1), file_path(s).n));
    case F_fd_containername:
        return text(v, arena_strf(s->a, STR_FMT ":" STR_FMT, STR_ARG(shown_id(s)), STR_ARG(name_of(s))));
    case F_fd_containerdirectory:
        return text(v, arena_strf(s->a, STR_FMT ":" STR_FMT, STR_ARG(shown_id(s)), STR_ARG(directory(file_path(s)))));
    case F_fd_dev:
        return s->device >= 0 && num(v, (double)s->device);
    case F_fd_dev_major:
        return s->device >= 0 && num(v, (double)(s->device >> 20));
    case F_fd_dev_minor:
        return s->device >= 0 && num(v, (double)(s->device & 0xfffff));
    case F_fd_ino:
        return s->inode > 0 && num(v, (double)s->inode);
    case F_fd_is_upper:
        return s->file_flags && yes(v, s->file_flags & BH_FILE_UPPER);
    case F_fd_is_lower:
        return s->file_flags && yes(v, s->file_flags & BH_FILE_LOWER);
    case F_fs_path_name:
    case F_fs_path_nameraw:
    case F_fs_path_source:
    case F_fs_path_sourceraw:
    case F_evt_abspath:
        return text(v, file_path(s));
    case F_fs_path_target:
    case F_fs_path_targetraw:
        return text(v, s->path2);
    case F_bh_peer:
        return on_internet(s) && text(v, arena_strf(s->a, STR_FMT ":%u", STR_ARG(address_text(s)), s->port));
    case F_bh_namespaces:
        return namespace_names(s, v);
    default:
        return socket_field(s, field, v);
    }
}

/* ---- evt.arg ---- */

static struct str open_flags(struct detect_subject *s)
{
    static const struct {
        int flag;
        const char *name;
    } names[] = {{O_CREAT, "O_CREAT"},     {O_APPEND, "O_APPEND"},       {O_EXCL, "O_EXCL"},
                 {O_TRUNC, "O_TRUNC"},     {O_SYNC, "O_SYNC"},           {O_NONBLOCK, "O_NONBLOCK"},
                 {O_DIRECT, "O_DIRECT"},   {O_DIRECTORY, "O_DIRECTORY"}, {O_TMPFILE, "O_TMPFILE"},
                 {O_CLOEXEC, "O_CLOEXEC"}, {O_NOFOLLOW, "O_NOFOLLOW"}};
    if (s->open_flags < 0)
        return STR("O_WRONLY");
    int64_t mode = s->open_flags & O_ACCMODE;
    struct str out = mode == O_WRONLY ? STR("O_WRONLY") : mode == O_RDWR ? STR("O_RDWR") : STR("O_RDONLY");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((s->open_flags & names[i].flag) == names[i].flag)
            out = arena_strf(s->a, STR_FMT "|%s", STR_ARG(out), names[i].name);
    return out;
}

static struct str ptrace_request(struct detect_subject *s)
{
    static const struct {
        int64_t request;
        const char *name;
    } names[] = {{PTRACE_TRACEME, "PTRACE_TRACEME"},
                 {PTRACE_PEEKTEXT, "PTRACE_PEEKTEXT"},
                 {PTRACE_PEEKDATA, "PTRACE_PEEKDATA"},
                 {PTRACE_POKETEXT, "PTRACE_POKETEXT"},
                 {PTRACE_POKEDATA, "PTRACE_POKEDATA"},
                 {PTRACE_ATTACH, "PTRACE_ATTACH"},
                 {PTRACE_SEIZE, "PTRACE_SEIZE"},
                 {PTRACE_SETREGS, "PTRACE_SETREGS"},
                 {PTRACE_GETREGS, "PTRACE_GETREGS"},
                 {PTRACE_SETREGSET, "PTRACE_SETREGSET"},
                 {-1, "process_vm_writev"},
                 {-2, "/proc/PID/mem"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].request == s->request)
            return str_c(names[i].name);
    return arena_strf(s->a, "%" PRId64, s->request);
}

static struct str namespace_flags(struct detect_subject *s)
{
    static const char *const names[] = {"CLONE_NEWNS",  "CLONE_NEWPID", "CLONE_NEWNET",   "CLONE_NEWUSER",
                                        "CLONE_NEWIPC", "CLONE_NEWUTS", "CLONE_NEWCGROUP"};
    struct str out = STR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (s->namespaces & namespaces[i].flag)
            out = arena_strf(s->a, STR_FMT "%s%s", STR_ARG(out), out.n ? "|" : "", names[i]);
    return out;
}

static struct str exec_flags(struct detect_subject *s)
{
    struct str out = STR_NONE;
    if (s->file_flags & BH_FILE_UPPER)
        out = STR("EXE_UPPER_LAYER");
    if (s->file_flags & BH_FILE_MEMFD)
        out = arena_strf(s->a, STR_FMT "%sEXE_FROM_MEMFD", STR_ARG(out), out.n ? "|" : "");
    if (s->file_flags & BH_FILE_LOWER)
        out = arena_strf(s->a, STR_FMT "%sEXE_LOWER_LAYER", STR_ARG(out), out.n ? "|" : "");
    return out;
}

static struct str flags_of(struct detect_subject *s)
{
    switch (s->kind) {
    case KIND_open:
        return open_flags(s);
    case KIND_exec:
        return exec_flags(s);
    case KIND_unshare:
    case KIND_setns:
        return namespace_flags(s);
    default:
        return STR_NONE;
    }
}

static bool either(struct str arg, const char *a, const char *b)
{
    return str_eqc(arg, a) || (b && str_eqc(arg, b));
}

bool detect_get_arg(struct detect_subject *s, struct str arg, struct expr_value *v)
{
    static const char *const first[KINDS] = {
        [KIND_exec] = "filename", [KIND_open] = "name",      [KIND_ptrace] = "request", [KIND_mount] = "dir",
        [KIND_setns] = "nstype",  [KIND_unshare] = "flags",  [KIND_connect] = "addr",   [KIND_bind] = "addr",
        [KIND_bpf] = "cmd",       [KIND_credentials] = "uid"};
    if (str_eqc(arg, "0") && first[s->kind])
        arg = str_c(first[s->kind]);
    if (str_eqc(arg, "flags") || str_eqc(arg, "nstype"))
        return text(v, flags_of(s));
    if (str_eqc(arg, "request"))
        return s->kind == KIND_ptrace && text(v, ptrace_request(s));
    if (str_eqc(arg, "pid"))
        return s->target > 0 && text(v, arena_strf(s->a, "%" PRId64, s->target));
    if (either(arg, "uid", "euid"))
        return s->kind == KIND_credentials && s->new_uid >= 0 &&
               text(v, s->new_uid ? arena_strf(s->a, "%" PRId64, s->new_uid) : STR("root"));
    if (s->kind == KIND_socket && (str_eqc(arg, "0") || str_eqc(arg, "domain")))
        return text(v, s->family == AF_PACKET    ? STR("AF_PACKET")
                       : s->family == AF_NETLINK ? STR("AF_NETLINK")
                       : s->family == AF_INET    ? STR("AF_INET")
                       : s->family == AF_INET6   ? STR("AF_INET6")
                                                 : STR_NONE);
    if (either(arg, "addr", "tuple"))
        return on_socket(s) && text(v, socket_name(s));
    if (str_eqc(arg, "exe"))
        return s->kind == KIND_exec && text(v, s->exe);
    if (either(arg, "filename", "pathname") && s->kind == KIND_exec)
        return text(v, s->path.n ? s->path : s->exe);
    if (either(arg, "newpath", "target") || str_eqc(arg, "linkpath"))
        return text(v, s->path2);
    if (either(arg, "path", "name") || either(arg, "oldpath", "filename") || either(arg, "dir", "pathname"))
        return text(v, file_path(s));
    return false;
}
