#include "agent/segment.h"
#include "agent/journal.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAME_DIGITS 20
#define READ_BLOCK  (64u << 10)

static void dir_closep(DIR **d)
{
    if (*d)
        closedir(*d);
}

static void name_of(uint64_t first, char out[static 32])
{
    snprintf(out, 32, "%020" PRIu64 ".jsonl", first);
}

static int by_first(const void *a, const void *b)
{
    uint64_t x = ((const struct segment *)a)->first, y = ((const struct segment *)b)->first;
    return x < y ? -1 : x > y;
}

/* Names only; bytes, last and count are left 0. */
static int list(int dirfd, struct segment **ret, size_t *ret_n, size_t *ret_cap, struct err *e)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "journal");
    _cleanup_(dir_closep) DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_errno(e, "journal");
    }
    _cleanup_free_ struct segment *v = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *de; (de = readdir(d)) && n < SEGMENT_MAX;) {
        struct str s = str_c(de->d_name);
        uint64_t first;
        if (s.n != NAME_DIGITS + 6 || !str_ends(s, STR(".jsonl")) || str_u64(str_sub(s, 0, NAME_DIGITS), &first) < 0)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            if (!(v = realloc(v, cap * sizeof(*v))))
                abort();
        }
        v[n++] = (struct segment){.first = first};
    }
    if (n)
        qsort(v, n, sizeof(*v), by_first);
    *ret_n = n;
    if (ret_cap)
        *ret_cap = cap;
    *ret = TAKE(v);
    return 0;
}

/* "seq" stands before anything that comes from outside (event_write), so the first occurrence is the event's own. */
uint64_t segment_seq(struct str line)
{
    const char *nl = line.n ? memchr(line.p, '\n', line.n) : NULL;
    if (nl)
        line.n = (size_t)(nl - line.p);
    ptrdiff_t at = str_find(str_sub(line, 0, 256), STR("\"seq\":"));
    if (at < 0)
        return 0;
    struct str num = str_sub(line, (size_t)at + 6, line.n);
    size_t n = 0;
    while (n < num.n && num.p[n] >= '0' && num.p[n] <= '9')
        n++;
    uint64_t v;
    return str_u64(str_sub(num, 0, n), &v) == 0 ? v : 0;
}

/* Walks the lines of a segment without holding it in memory: fn gets each whole line with its newline; <0 or >0 of fn
 * ends the walk. *end is the offset behind the last whole line. */
typedef int line_fn(void *ctx, struct str line);
static int walk(int dirfd, uint64_t first, line_fn *fn, void *ctx, uint64_t *end, struct err *e)
{
    char name[32];
    name_of(first, name);
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "journal segment %s", name);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(READ_BLOCK + 2 * LIMIT_EVENT);
    uint64_t off = 0;
    for (;;) {
        char *room = buf_room(&b, READ_BLOCK);
        if (!room)
            return err_set(e, EBADMSG, "journal segment %s: a line is over the limit", name);
        ssize_t n = read(fd, room, READ_BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "journal segment %s", name);
        if (n == 0)
            break;
        b.n += (size_t)n;
        size_t done = 0;
        for (const char *nl; done < b.n && (nl = memchr(b.p + done, '\n', b.n - done));) {
            size_t len = (size_t)(nl - (b.p + done)) + 1;
            int r = fn(ctx, (struct str){b.p + done, len});
            if (r)
                return r < 0 ? r : 0;
            done += len;
        }
        off += done;
        buf_drop(&b, done);
    }
    if (end)
        *end = off;
    return 0;
}

static int count_line(void *ctx, struct str line)
{
    struct segment *s = ctx;
    uint64_t seq = segment_seq(line);
    if (seq)
        s->last = seq;
    s->count++;
    return 0;
}

static void forget(struct segments *s, size_t i)
{
    char name[32];
    name_of(s->v[i].first, name);
    unlinkat(s->dirfd, name, 0);
    s->bytes -= s->v[i].bytes;
    s->events -= s->v[i].count;
    memmove(s->v + i, s->v + i + 1, (s->n - i - 1) * sizeof(*s->v));
    s->n--;
}

int segments_open(struct segments *s, int dirfd, uint64_t max, struct err *e)
{
    *s = (struct segments){.dirfd = dirfd, .fd = -1, .max = max};
    int r;
    if ((r = journal_acked(dirfd, &s->acked, e)) < 0 || (r = list(dirfd, &s->v, &s->n, &s->cap, e)) < 0)
        return r;
    for (size_t i = 0; i < s->n; i++) {
        struct segment *g = &s->v[i];
        char name[32];
        name_of(g->first, name);
        if ((r = walk(dirfd, g->first, count_line, g, &g->bytes, e)) < 0)
            return r;
        _cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && ftruncate(fd, (off_t)g->bytes) < 0) /* half a line from a crash */
            return err_errno(e, "journal segment %s", name);
        if (!g->last)
            g->last = g->first;
        s->bytes += g->bytes;
        s->events += g->count;
    }
    segments_ack(s, s->acked);
    return 0;
}

void segments_fini(struct segments *s)
{
    if (s->v && s->fd >= 0)
        close(s->fd);
    free(s->v);
    s->v = NULL;
    s->n = 0;
}

uint64_t segments_last(const struct segments *s)
{
    return s->n ? s->v[s->n - 1].last : 0;
}

static int open_newest(struct segments *s, uint64_t first, size_t n)
{
    if (s->n && s->v[s->n - 1].bytes + n <= JOURNAL_SEGMENT) {
        if (s->fd >= 0)
            return 0;
        char name[32];
        name_of(s->v[s->n - 1].first, name);
        s->fd = openat(s->dirfd, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
        return s->fd < 0 ? -errno : 0;
    }
    if (s->fd >= 0) {
        fdatasync(s->fd);
        close(s->fd);
        s->fd = -1;
    }
    char name[32];
    name_of(first, name);
    int fd = openat(s->dirfd, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        if (!(s->v = realloc(s->v, s->cap * sizeof(*s->v))))
            abort();
    }
    s->v[s->n++] = (struct segment){.first = first, .last = first};
    s->fd = fd;
    return 0;
}

int segments_append(struct segments *s, struct str lines, uint64_t first, uint64_t last, uint64_t count)
{
    int r = open_newest(s, first, lines.n);
    if (r < 0)
        return r;
    struct segment *g = &s->v[s->n - 1];
    if ((r = fs_write_all(s->fd, lines.p, lines.n, NULL)) < 0) {
        if (ftruncate(s->fd, (off_t)g->bytes) < 0)
            return -EIO;
        return r;
    }
    g->bytes += lines.n;
    g->count += count;
    g->last = last;
    s->bytes += lines.n;
    s->events += count;
    return 0;
}

/* A gap event that nobody will hear of any more: what it told has to be told again. */
static int inherit_gap(void *ctx, struct str line)
{
    struct segment *s = ctx;
    if (!str_has(str_sub(line, 0, 512), STR("\"type\":\"gap\"")))
        return 0;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u * LIMIT_EVENT);
    struct json_value *v;
    if (json_parse(a, line, JSON_ANY_KEYS, &v, NULL) < 0)
        return 0;
    uint64_t from = (uint64_t)json_i64(json_path(v, "detail.from"), 0);
    s->told += (uint64_t)json_i64(json_path(v, "detail.count"), 0);
    if (from && from < s->from)
        s->from = from;
    return 0;
}

bool segments_drop(struct segments *s, struct segment *ret)
{
    if (s->n < 2 || (s->bytes <= s->max && s->n < SEGMENT_MAX))
        return false;
    *ret = s->v[0];
    ret->from = ret->first;
    walk(s->dirfd, ret->first, inherit_gap, ret, NULL, NULL);
    forget(s, 0);
    return true;
}

void segments_ack(struct segments *s, uint64_t seq)
{
    if (seq > s->acked) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", seq);
        s->acked = seq;
        int fd = openat(s->dirfd, "ack.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0) {
            /* an acknowledgement lost in a crash only means that events are sent twice: no fsync */
            bool ok = fs_write_all(fd, text, (size_t)n, NULL) >= 0;
            close(fd);
            if (ok)
                renameat(s->dirfd, "ack.new", s->dirfd, "ack");
        }
    }
    while (s->n > 1 && s->v[0].last <= s->acked)
        forget(s, 0);
}

/* ---- reader ---- */

int journal_acked(int dirfd, uint64_t *ret, struct err *e)
{
    _cleanup_close_ int fd = openat(dirfd, "ack", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        *ret = 0;
        return 0;
    }
    if (fd < 0)
        return err_errno(e, "journal ack");
    char text[32];
    ssize_t n = read(fd, text, sizeof(text));
    if (n < 0)
        return err_errno(e, "journal ack");
    uint64_t v;
    if (str_u64(str_trim((struct str){text, (size_t)n}), &v) < 0)
        v = 0; /* ruined: at-least-once allows to send again */
    *ret = v;
    return 0;
}

struct reading {
    uint64_t after, last;
    size_t max_events, max_bytes;
    struct buf *out;
    int taken;
    bool full; /* a line was left for the next batch */
};

static int read_line(void *ctx, struct str line)
{
    struct reading *r = ctx;
    uint64_t seq = segment_seq(line);
    if (!seq || seq <= r->after)
        return 0;
    if (r->taken && ((size_t)r->taken >= r->max_events || r->out->n + line.n > r->max_bytes)) {
        r->full = true;
        return 1;
    }
    if (!buf_puts(r->out, line)) {
        r->out->full = false;
        r->full = true;
        return r->taken ? 1 : -E2BIG;
    }
    r->last = seq;
    r->taken++;
    return 0;
}

int journal_read(int dirfd, uint64_t after, size_t max_events, size_t max_bytes, struct buf *out, uint64_t *last,
                 struct err *e)
{
    _cleanup_free_ struct segment *v = NULL;
    size_t n;
    int r = list(dirfd, &v, &n, NULL, e);
    if (r < 0)
        return r;
    struct reading rd = {.after = after, .max_events = max_events, .max_bytes = out->n + max_bytes, .out = out};
    for (size_t i = 0; i < n && !rd.full; i++) {
        if (i + 1 < n && v[i + 1].first <= after + 1)
            continue;
        r = walk(dirfd, v[i].first, read_line, &rd, NULL, e);
        if (r == -ENOENT) /* confirmed or dropped meanwhile */
            continue;
        if (r < 0)
            return rd.taken ? rd.taken : r;
    }
    if (rd.taken)
        *last = rd.last;
    return rd.taken;
}
