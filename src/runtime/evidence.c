#include "runtime/evidence.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"
#include "bpf/event.h"
#include "format/digest.h"
#include "format/json.h"
#include "runtime/pin.h"
#include "runtime/rootfs.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define TEXT_MAX (1u << 20)
#define JSON_MAX (4u << 20)
#define FDS      1024u
#define DEPTH    64
#define EXE_MAX  (UINT64_C(64) << 20)
#define FILE_MAX (UINT64_C(64) << 20) /* longer ones are listed without a hash */

struct taking {
    const struct evidence_order *o;
    struct pack *pack;
    int64_t until;
    int64_t *pids;
    size_t pids_n;
    struct buf upper; /* upper.jsonl */
    size_t files;
    uint64_t hashed;
    char cut[512]; /* what did not fit, in words */
};

static void left_out(struct taking *t, const char *what)
{
    size_t n = strlen(t->cut);
    if (!strstr(t->cut, what))
        snprintf(t->cut + n, sizeof(t->cut) - n, "%s%s", n ? "; " : "", what);
}

static struct str slurp(struct arena *a, const char *path, size_t max)
{
    struct str text = STR_NONE;
    char *p = arena_alloc(a, max + 1);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n = 0;
    for (ssize_t r; fd >= 0 && n < max && (r = read(fd, p + n, max - n)) > 0;)
        n += (size_t)r;
    text = str_n(p, n);
    return text;
}

int evidence_started(pid_t pid, int64_t *ret)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16384);
    struct str text = slurp(a, arena_printf(a, "/proc/%d/stat", pid), 4096), rest, field;
    ptrdiff_t at = str_rchr(text, ')');
    uint64_t ticks = 0;
    if (at < 0)
        return -ESRCH;
    rest = str_trim(str_sub(text, (size_t)at + 1, text.n));
    for (int i = 3; i <= 22 && str_cut(&rest, ' ', &field); i++)
        if (i == 22 && str_u64(field, &ticks) < 0)
            return -ESRCH;
    long hz = sysconf(_SC_CLK_TCK);
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t up = (int64_t)boot.tv_sec * TIME_SECOND + boot.tv_nsec / 1000;
    *ret = time_now() - up + (int64_t)(ticks * (uint64_t)TIME_SECOND / (uint64_t)hz);
    return 0;
}

/* ---- processes ---- */

static void link_of(struct json_writer *w, struct arena *a, const char *key, const char *path)
{
    char text[4096];
    ssize_t n = readlink(path, text, sizeof(text));
    json_w_kstr(w, key, n < 0 ? STR_NONE : arena_str(a, str_n(text, (size_t)n)));
}

static void open_files(struct json_writer *w, struct arena *a, int64_t pid)
{
    DIR *d = opendir(arena_printf(a, "/proc/%" PRId64 "/fd", pid));
    size_t n = 0;
    json_w_karray(w, "files");
    for (struct dirent *de; d && n < FDS && (de = readdir(d));) {
        if (de->d_name[0] == '.')
            continue;
        json_w_object(w);
        json_w_kstrz(w, "fd", de->d_name);
        link_of(w, a, "is", arena_printf(a, "/proc/%" PRId64 "/fd/%s", pid, de->d_name));
        json_w_end(w);
        n++;
    }
    json_w_end(w);
    if (d)
        closedir(d);
}

static int process(struct taking *t, int64_t pid, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(JSON_MAX);
    struct json_writer w = JSON_WRITER(&b);
    struct str args = slurp(a, arena_printf(a, "/proc/%" PRId64 "/cmdline", pid), 65536), one;
    int64_t started = 0;
    char text[TIME_TEXT];
    evidence_started((pid_t)pid, &started);
    json_w_object(&w);
    json_w_ki64(&w, "pid", pid);
    link_of(&w, a, "exe", arena_printf(a, "/proc/%" PRId64 "/exe", pid));
    link_of(&w, a, "cwd", arena_printf(a, "/proc/%" PRId64 "/cwd", pid));
    link_of(&w, a, "root", arena_printf(a, "/proc/%" PRId64 "/root", pid));
    json_w_kstrz(&w, "started", time_format(started, text));
    json_w_karray(&w, "args");
    if (args.n && !args.p[args.n - 1])
        args.n--;
    while (str_cut(&args, '\0', &one))
        json_w_str(&w, one);
    json_w_end(&w);
    json_w_kstr(&w, "status", slurp(a, arena_printf(a, "/proc/%" PRId64 "/status", pid), 16384));
    json_w_kstr(&w, "cgroup", slurp(a, arena_printf(a, "/proc/%" PRId64 "/cgroup", pid), 16384));
    open_files(&w, a, pid);
    json_w_end(&w);
    if (b.full)
        left_out(t, "a process with too much to tell");
    int r = b.full ? 0 : pack_file(t->pack, arena_printf(a, "processes/%" PRId64 ".json", pid), buf_str(&b), e);
    return r < 0 ? r
                 : pack_file(t->pack, arena_printf(a, "processes/%" PRId64 ".maps", pid),
                             slurp(a, arena_printf(a, "/proc/%" PRId64 "/maps", pid), JSON_MAX), e);
}

static int network(struct taking *t, struct err *e)
{
    static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6", "raw", "packet", "unix", "route", "arp"};
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(tables) && r == 0 && t->pids_n; i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(JSON_MAX * 2);
        struct str text = slurp(a, arena_printf(a, "/proc/%" PRId64 "/net/%s", t->pids[0], tables[i]), TEXT_MAX);
        r = pack_file(t->pack, arena_printf(a, "network/%s", tables[i]), text, e);
    }
    return r;
}

/* ---- the upper layer ---- */

static int open_in(int dir, const char *name, int flags)
{
    struct open_how how = {.flags = (uint64_t)(O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static bool hash_file(struct taking *t, int dir, const char *name, uint64_t size, char hex[static 65])
{
    uint8_t sum[SHA256_SIZE];
    struct sha256 h;
    if (size > FILE_MAX || t->hashed + size > EVIDENCE_HASHED) {
        left_out(t, "hashes of large files");
        return false;
    }
    _cleanup_close_ int fd = open_in(dir, name, 0);
    _cleanup_free_ char *block = malloc(1 << 16);
    if (fd < 0 || !block)
        return false;
    sha256_init(&h);
    uint64_t done = 0;
    for (ssize_t n; done <= FILE_MAX && (n = read(fd, block, 1 << 16)) > 0; done += (uint64_t)n)
        sha256_update(&h, block, (size_t)n);
    sha256_final(&h, sum);
    t->hashed += done;
    hex_encode(sum, SHA256_SIZE, hex);
    return true;
}

static void tell_file(struct taking *t, int dir, const char *name, const char *path, const struct stat *st)
{
    char hex[65] = "", time[TIME_TEXT];
    bool gone = S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0); /* overlayfs: removed from the image */
    struct json_writer w = JSON_WRITER(&t->upper);
    json_w_object(&w);
    json_w_kstrz(&w, "path", path);
    json_w_kstrz(&w, "type",
                 gone                    ? "removed"
                 : S_ISREG(st->st_mode)  ? "file"
                 : S_ISDIR(st->st_mode)  ? "folder"
                 : S_ISLNK(st->st_mode)  ? "link"
                 : S_ISSOCK(st->st_mode) ? "socket"
                 : S_ISFIFO(st->st_mode) ? "fifo"
                                         : "device");
    json_w_ki64(&w, "size", st->st_size);
    json_w_ki64(&w, "mode", st->st_mode & 07777);
    json_w_ki64(&w, "uid", st->st_uid);
    json_w_ki64(&w, "gid", st->st_gid);
    json_w_kstrz(&w, "changed", time_format((int64_t)st->st_ctim.tv_sec * TIME_SECOND, time));
    if (S_ISREG(st->st_mode) && hash_file(t, dir, name, (uint64_t)st->st_size, hex))
        json_w_kstrz(&w, "sha256", hex);
    json_w_end(&w);
    buf_putc(&t->upper, '\n');
}

static void walk(struct taking *t, int dir, const char *path, int depth)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    for (struct dirent *de; d && (de = readdir(d));) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct stat st;
        if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
            continue;
        if (t->files++ >= EVIDENCE_FILES || t->upper.full || time_monotonic() > t->until || depth > DEPTH) {
            left_out(t, "files of the upper layer");
            break;
        }
        if (fstatat(dir, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        const char *here = arena_printf(a, "%s/%s", path, de->d_name);
        tell_file(t, dir, de->d_name, here, &st);
        if (!S_ISDIR(st.st_mode))
            continue;
        _cleanup_close_ int sub = open_in(dir, de->d_name, O_DIRECTORY);
        if (sub >= 0)
            walk(t, sub, here, depth + 1);
    }
    if (d)
        closedir(d);
}

static int upper(struct taking *t, struct err *e)
{
    int map;
    struct bh_container seen;
    struct str layer, lower;
    struct err none = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(ROOTFS_FILE * 4);
    int r = pin_map(t->o->bpf_dir, "containers", BH_ID, sizeof(seen), &map, &none);
    if (r == 0) {
        r = bpf_map_lookup_elem(map, t->o->id.p, &seen);
        close(map);
    }
    struct rootfs_root root = {.id = t->o->id, .pids = t->pids, .pids_n = t->pids_n, .dev = seen.root_dev};
    if (r < 0 || !rootfs_upper(&root, a, &layer, &lower)) {
        left_out(t, "the upper layer: the container's root is no overlay that the kernel side knows");
        return 0;
    }
    _cleanup_close_ int fd = open(arena_cstr(a, layer), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        walk(t, fd, "", 0);
    return pack_file(t->pack, "upper.jsonl", buf_str(&t->upper), e);
}

/* ---- the offender ---- */

static bool hex_u64(struct str s, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *digits = "0123456789abcdef", *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;
        if (!at)
            return false;
        *ret = *ret << 4 | (uint64_t)(at - digits);
    }
    return s.n > 0 && s.n <= 16;
}

static int memory(struct taking *t, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct str maps = slurp(a, arena_printf(a, "/proc/%" PRId64 "/maps", t->o->pid), JSON_MAX), line;
    _cleanup_close_ int fd = open(arena_printf(a, "/proc/%" PRId64 "/mem", t->o->pid), O_RDONLY | O_CLOEXEC);
    uint64_t sum = 0;
    int r = 0;
    while (fd >= 0 && r == 0 && str_cut(&maps, '\n', &line)) {
        struct str range, rights, low, high;
        uint64_t from, to;
        if (!str_split(line, ' ', &range, &line) || !str_split(line, ' ', &rights, &line) || rights.n < 3 ||
            !str_split(range, '-', &low, &high) || !hex_u64(low, &from) || !hex_u64(high, &to) || to <= from ||
            rights.p[0] != 'r' || str_has(line, STR("[v")) ||
            (rights.p[1] != 'w' && rights.p[2] != 'x' && str_chr(line, '[') < 0))
            continue; /* what only repeats a file that is on disk stays out: not writable, not code */
        if (sum + (to - from) > EVIDENCE_MEMORY || pack_full(t->pack, to - from) || time_monotonic() > t->until) {
            left_out(t, "memory of the offender");
            continue;
        }
        sum += to - from;
        r = pack_fd(t->pack, arena_printf(a, "offender/memory/%" PRIx64 "-%" PRIx64, from, to), fd, (int64_t)from,
                    to - from, e);
    }
    return r;
}

static int offender(struct taking *t, struct err *e)
{
    char path[64];
    struct stat st;
    if (t->o->pid <= 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/exe", t->o->pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    uint64_t size = (uint64_t)st.st_size < EXE_MAX ? (uint64_t)st.st_size : EXE_MAX;
    if (size < (uint64_t)st.st_size)
        left_out(t, "the end of the offender's program");
    int r = pack_fd(t->pack, "offender/exe", fd, -1, size, e);
    return r == 0 && t->o->memory ? memory(t, e) : r;
}

/* ---- the bundle ---- */

static int manifest(struct taking *t, int64_t now, struct err *e)
{
    char text[TIME_TEXT], host[256] = "";
    _cleanup_(buf_fini) struct buf b = BUF_INIT(JSON_MAX);
    struct json_writer w = JSON_WRITER(&b);
    gethostname(host, sizeof(host) - 1);
    json_w_object(&w);
    json_w_kstrz(&w, "format", "bulkhead-evidence-1");
    json_w_kstrz(&w, "time", time_format(now, text));
    json_w_kstrz(&w, "host", host);
    json_w_kstr(&w, "container", t->o->id);
    json_w_kstr(&w, "name", t->o->name.n ? t->o->name : STR_NONE);
    json_w_kstr(&w, "reason", t->o->reason.n ? t->o->reason : STR_NONE);
    json_w_kstr(&w, "by", t->o->by.n ? t->o->by : STR_NONE);
    json_w_ki64(&w, "offender", t->o->pid);
    json_w_kstr(&w, "left_out", t->cut[0] ? str_c(t->cut) : STR_NONE);
    json_w_karray(&w, "files");
    pack_list(t->pack, &w);
    json_w_end(&w);
    json_w_end(&w);
    int r = buf_check(&b, e);
    return r < 0 ? r : pack_file(t->pack, "manifest.json", buf_str(&b), e);
}

static int collect(struct taking *t, int64_t now, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < t->pids_n && r == 0; i++) {
        if (i == EVIDENCE_PROCESSES || pack_full(t->pack, JSON_MAX) || time_monotonic() > t->until) {
            left_out(t, "some processes");
            break;
        }
        r = process(t, t->pids[i], e);
    }
    if (r < 0 || (r = network(t, e)) < 0 || (r = offender(t, e)) < 0 || (r = upper(t, e)) < 0 ||
        (r = manifest(t, now, e)) < 0)
        return r;
    return pack_end(t->pack, e);
}

int evidence_take(const struct evidence_order *o, char *name, size_t n, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    _cleanup_(pack_freep) struct pack *pack = NULL;
    char *dir = arena_printf(a, "%s/evidence", o->state), *part = arena_printf(a, "%s/.part", dir);
    int64_t now = time_now();
    char text[TIME_TEXT];
    int r = fs_mkdirs(dir, 0700, e), lock = -1;
    if (r < 0)
        return r;
    if ((r = fs_lock(arena_printf(a, "%s/.lock", dir), &lock, e)) < 0)
        return r;
    _cleanup_close_ int locked = lock;
    evidence_prune(o->state);
    struct statvfs vfs;
    if (statvfs(dir, &vfs) < 0)
        return err_errno(e, "%s", dir);
    uint64_t room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if (room <= EVIDENCE_RESERVE)
        return err_set(e, ENOSPC, "%s: only %" PRIu64 " MiB are free", dir, room >> 20);
    room -= EVIDENCE_RESERVE;
    _cleanup_close_ int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "%s", part);
    pack_new(fd, room < EVIDENCE_BUNDLE ? room : EVIDENCE_BUNDLE, &pack, e);
    struct taking t = {
        .o = o, .pack = pack, .until = time_monotonic() + EVIDENCE_TIME * TIME_SECOND, .upper = BUF_INIT(64u << 20)};
    cgroup_pids(o->cgroup, a, &t.pids, &t.pids_n, NULL);
    r = collect(&t, now, e);
    buf_fini(&t.upper);
    time_format(now, text);
    snprintf(name, n, "%.4s%.2s%.2sT%.2s%.2s%.2s.%.3s-%.12s.tar.zst", text, text + 5, text + 8, text + 11, text + 14,
             text + 17, text + 20, o->id.p);
    if (r == 0 && rename(part, arena_printf(a, "%s/%s", dir, name)) < 0)
        r = err_errno(e, "%s/%s", dir, name);
    if (r == 0 && (r = evidence_seal(o, name, now, e)) < 0)
        unlink(arena_printf(a, "%s/%s", dir, name));
    if (r < 0) {
        unlink(part);
        name[0] = '\0';
    }
    return r;
}
