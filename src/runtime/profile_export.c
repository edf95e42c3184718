/* A profile in the words of others: seccomp, Kubernetes, AppArmor. */
#include "base/cleanup.h"
#include "base/time.h"
#include "policy/policy.h"
#include "runtime/profile_internal.h"

#include <linux/capability.h>

static void name_of(const struct profile *p, char out[static 64])
{
    struct str name = p->image.n ? p->image : str_sub(p->image_id, 7, 19);
    struct str rest;
    size_t n = 0;
    str_split(name, '@', &name, &rest);
    ptrdiff_t slash = str_rchr(name, '/');
    name = str_sub(name, (size_t)(slash + 1), name.n);
    str_split(name, ':', &name, &rest);
    for (size_t i = 0; i < name.n && n < 48; i++) {
        int c = name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 32 : name.p[i];
        out[n++] = (char)((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-');
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    if (!n)
        snprintf(out, 64, "image");
}

static void heading(struct buf *out, const struct profile *p, const char *comment, const char *what)
{
    char t[TIME_TEXT];
    buf_printf(out, "%s%s, learned from %" PRId64 " starts until %s; image " STR_FMT "; %s\n", comment, what, p->starts,
               time_format(p->changed, t), STR_ARG(p->image_id), p->stable ? "stable" : "not stable yet");
}

/* ---- seccomp ---- */

/* Calls that need a capability: denied unless some program held it. 64: whatever is held. */
static const struct {
    unsigned capability;
    const char *calls;
} guarded[] = {
    {CAP_SYS_ADMIN, "mount umount2 pivot_root setns unshare move_mount open_tree fsopen fsconfig fsmount fspick "
                    "mount_setattr swapon swapoff quotactl quotactl_fd sethostname setdomainname fanotify_init"},
    {CAP_SYS_MODULE, "init_module finit_module delete_module create_module"},
    {CAP_SYS_PTRACE, "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd"},
    {CAP_SYS_BOOT, "reboot kexec_load kexec_file_load"},
    {CAP_SYS_TIME, "settimeofday clock_settime clock_adjtime stime"},
    {CAP_SYS_RAWIO, "iopl ioperm"},
    {CAP_SYSLOG, "syslog"},
    {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
    {CAP_SYS_PACCT, "acct"},
    {CAP_BPF, "bpf"},
    {CAP_PERFMON, "perf_event_open"},
    {64, "keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter io_uring_register uselib ustat sysfs "
         "_sysctl nfsservctl get_kernel_syms query_module lookup_dcookie vm86 vm86old"},
};

static bool held(const struct profile *p, unsigned capability)
{
    return capability < 64 && (p->capabilities >> capability & 1);
}

static void deny(struct json_writer *w, struct str names, int error)
{
    struct str one;
    json_w_object(w);
    json_w_karray(w, "names");
    while (str_cut(&names, ' ', &one))
        json_w_str(w, one);
    json_w_end(w);
    json_w_kstrz(w, "action", "SCMP_ACT_ERRNO");
    json_w_ki64(w, "errnoRet", error);
}

static void deny_clone_flag(struct json_writer *w, int64_t flag)
{
    deny(w, STR("clone"), EPERM);
    json_w_karray(w, "args");
    json_w_object(w);
    json_w_ki64(w, "index", 0);
    json_w_ki64(w, "value", flag);
    json_w_ki64(w, "valueTwo", flag);
    json_w_kstrz(w, "op", "SCMP_CMP_MASKED_EQ");
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

void profile_calls(const struct profile *p, struct calls *ret)
{
    struct str one;
    *ret = p->calls;
    calls_add_basic(ret);
    for (size_t i = 0; i < ARRAY_LEN(guarded); i++) {
        struct str names = str_c(guarded[i].calls);
        while (guarded[i].capability < 64 && !held(p, guarded[i].capability) && str_cut(&names, ' ', &one)) {
            int nr = call_number(one);
            if (nr >= 0)
                calls_drop(ret, (unsigned)nr);
        }
    }
}

static void put_namespaces(struct json_writer *w)
{
    static const int64_t flags[] = {0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        deny_clone_flag(w, flags[i]);
}

static void put_allowed(struct json_writer *w, const struct profile *p)
{
    struct calls may;
    char name[CALL_NAME];
    int clone = call_number(STR("clone")), clone3 = call_number(STR("clone3"));
    bool admin = held(p, CAP_SYS_ADMIN);
    profile_calls(p, &may);
    json_w_object(w);
    json_w_karray(w, "names");
    for (unsigned i = 0; i < BH_CALLS; i++)
        if (calls_has(&may, i) && call_name(i, name)[0] != '#' && (admin || ((int)i != clone && (int)i != clone3)))
            json_w_str(w, str_c(name));
    json_w_end(w);
    json_w_kstrz(w, "action", "SCMP_ACT_ALLOW");
    json_w_end(w);
    if (admin)
        return;
    /* no flag of a namespace */
    json_w_raw(w,
               STR("{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"
                   "\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}"));
}

static void put_denied(struct json_writer *w, const struct profile *p)
{
    for (size_t i = 0; i < ARRAY_LEN(guarded); i++)
        if (!held(p, guarded[i].capability)) {
            deny(w, str_c(guarded[i].calls), EPERM);
            json_w_end(w);
        }
    if (!held(p, CAP_SYS_ADMIN))
        put_namespaces(w);
}

void profile_seccomp(struct buf *out, const struct profile *p)
{
    bool learned = calls_any(&p->calls);
    struct json_writer w = JSON_WRITER(out);
    json_w_object(&w);
    json_w_kstrz(&w, "defaultAction", learned ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
    if (learned)
        json_w_ki64(&w, "defaultErrnoRet", EPERM);
    json_w_karray(&w, "architectures"); /* no 32-bit entry */
    json_w_str(&w, STR("SCMP_ARCH_X86_64"));
    json_w_str(&w, STR("SCMP_ARCH_AARCH64"));
    json_w_end(&w);
    json_w_karray(&w, "syscalls");
    if (learned)
        put_allowed(&w, p);
    else
        put_denied(&w, p);
    if (!held(p, CAP_SYS_ADMIN)) {
        deny(&w, STR("clone3"), ENOSYS); /* its flags are in memory; libc falls back to clone */
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    buf_putc(out, '\n');
}

/* ---- Kubernetes ---- */

static bool local(struct str address)
{
    return str_starts(address, STR("127.")) || str_eqc(address, "::1") || str_starts(address, STR("fe80:")) ||
           str_starts(address, STR("unix"));
}

static void put_port(struct buf *out, const struct profile_peer *x)
{
    bool udp = str_eqc(x->protocol, "udp");
    buf_printf(out, "        - {port: %" PRId64 ", protocol: %s}\n", x->port, udp ? "UDP" : "TCP");
}

static void put_selector(struct buf *out, const char *selector, const char *name)
{
    struct str rest = str_c(selector), one, key, value;
    buf_putz(out, "  podSelector:\n    matchLabels:\n");
    if (!rest.n)
        buf_printf(out, "      app: \"%s\"\n", name);
    while (str_cut(&rest, ',', &one)) {
        struct json_writer k = JSON_WRITER(out), v = JSON_WRITER(out);
        str_split(one, '=', &key, &value);
        buf_putz(out, "      ");
        json_w_str(&k, key);
        buf_putz(out, ": ");
        json_w_str(&v, value);
        buf_putc(out, '\n');
    }
}

void profile_network_policy(struct buf *out, const struct profile *p, const char *selector)
{
    char name[64];
    size_t ingress = 0, egress = 0;
    name_of(p, name);
    heading(out, p, "# ", "NetworkPolicy");
    buf_printf(out, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: %s-learned\nspec:\n",
               name);
    put_selector(out, selector, name);
    buf_putz(out, "  policyTypes: [Ingress, Egress]\n");
    for (size_t i = 0; i < p->peers_n; i++) {
        const struct profile_peer *x = &p->peers[i];
        if (!x->ingress || !x->port || local(x->address))
            continue;
        buf_putz(out, ingress++ ? "" : "  ingress:\n    - ports:\n");
        put_port(out, x);
    }
    if (!ingress)
        buf_putz(out, "  ingress: []\n");
    for (size_t i = 0; i < p->peers_n; i++) {
        const struct profile_peer *x = &p->peers[i];
        if (x->ingress || !x->port || local(x->address))
            continue;
        buf_putz(out, egress++ ? "" : "  egress:\n");
        buf_printf(out, "    - to:\n        - ipBlock: {cidr: \"" STR_FMT "/%d\"}\n      ports:\n", STR_ARG(x->address),
                   str_chr(x->address, ':') < 0 ? 32 : 128);
        put_port(out, x);
    }
    if (!egress)
        buf_putz(out, "  egress: []\n");
}

/* ---- AppArmor ---- */

static void put_path(struct buf *out, struct str path)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < path.n; i++) {
        if (strchr("\"\\*?[]{}^,@$", path.p[i]) && path.p[i])
            buf_putc(out, '\\');
        buf_putc(out, path.p[i] >= ' ' ? path.p[i] : '?');
    }
    buf_putc(out, '"');
}

void profile_apparmor(struct buf *out, const struct profile *p)
{
    char name[64];
    bool network = false;
    name_of(p, name);
    heading(out, p, "# ", "AppArmor profile");
    buf_printf(out, "profile bulkhead-%s flags=(attach_disconnected,mediate_deleted) {\n", name);
    buf_putz(out, "  # programs: these and no others\n");
    for (size_t i = 0; i < p->executables_n; i++) {
        buf_putz(out, "  ");
        put_path(out, p->executables[i].path);
        buf_putz(out, " mrix,\n");
    }
    buf_putz(out, "\n  /** mr,\n");
    if (!p->folders_n)
        buf_putz(out, "  # writes were not learned\n  /** wkl,\n");
    for (size_t i = 0; i < p->folders_n; i++) {
        struct str folder = str_eqc(p->folders[i], "/") ? STR("") : p->folders[i];
        buf_putz(out, "  ");
        put_path(out, folder);
        out->n -= 1; /* within the quotes */
        buf_putz(out, "/*\" wkl,\n");
    }
    if (p->folders_n)
        buf_putz(out, "  /dev/{null,zero,full,random,urandom,tty,ptmx} w,\n  /dev/pts/* w,\n  @{PROC}/[0-9]*/** w,\n");
    buf_putz(out, "\n");
    const char *cap;
    for (size_t i = 0; (cap = policy_capability_name(i)); i++)
        if (p->capabilities >> i & 1) {
            buf_putz(out, "  capability ");
            for (; *cap; cap++)
                buf_putc(out, *cap == '_' ? '_' : (char)(*cap | 32));
            buf_putz(out, ",\n");
        }
    for (size_t i = 0; i < p->peers_n; i++)
        network = network || str_chr(p->peers[i].address, '.') >= 0 || str_chr(p->peers[i].address, ':') >= 0;
    buf_putz(out, network ? "  network inet,\n  network inet6,\n" : "");
    buf_printf(out,
               "  network unix,\n  network netlink,\n  signal,\n  unix,\n  ptrace (read, readby, trace, tracedby) "
               "peer=bulkhead-%s,\n\n",
               name);
    buf_putz(out, "  deny mount,\n  deny umount,\n  deny pivot_root,\n"
                  "  deny /proc/{sysrq-trigger,kcore,kmem,mem} rwklx,\n  deny /proc/sys/kernel/** wklx,\n"
                  "  deny /sys/** wklx,\n}\n");
    /* the variable, without the distribution's tunables */
    _cleanup_(buf_fini) struct buf text = BUF_INIT(out->max);
    buf_putz(&text, "@{PROC}=/proc\n");
    buf_puts(&text, buf_str(out));
    buf_reset(out);
    buf_puts(out, buf_str(&text));
}
