#include "agent/journal.h"
#include "agent/segment.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define RESERVE     4096u       /* numbers reserved on disk at a time */
#define FLUSH_BYTES (64u << 10) /* lines are collected up to here */
#define STALL_BYTES (4u << 20)  /* what waits for a reader of standard output that does not read */
#define SEQ_MAGIC   "bhseq01\n"

struct seq_file { /* mapped: survives kill -9 to the last number */
    char magic[8];
    uint64_t next;     /* the number the next event gets */
    uint64_t reserved; /* numbers below were promised to the disk */
    char boot[40];
};

struct sink { /* lines on their way to one place */
    struct buf lines;
    uint64_t first, last, count; /* of what is in lines */
    uint64_t lost_from, lost_to, lost;
    const char *reason;
};

struct journal {
    pthread_mutex_t lock;
    int dirfd;
    char *dir, *events_path, *host;
    struct seq_file *seq;
    struct buf line;
    struct sink spool, out;
    struct segments segments;
    int out_fd;
    bool out_pipe, spool_on, telemetry, flushing;
    int64_t out_checked;
    uint64_t dropped;
};

static void flush_locked(struct journal *j);

/* ---- numbers ---- */

static void boot_id(char out[static 40])
{
    _cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, 36);
    memset(out + (n > 0 ? n : 0), 0, 40 - (size_t)(n > 0 ? n : 0));
}

static void seq_reserve(struct seq_file *s)
{
    s->reserved = s->next + RESERVE;
    msync(s, sizeof(*s), MS_SYNC);
}

static int seq_open(struct journal *j, struct err *e)
{
    _cleanup_close_ int fd = openat(j->dirfd, "seq", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct seq_file)) < 0)
        return err_errno(e, "%s/seq", j->dir);
    struct seq_file *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (s == MAP_FAILED)
        return err_errno(e, "%s/seq: mmap", j->dir);
    j->seq = s;
    char boot[40];
    boot_id(boot);
    uint64_t seen = segments_last(&j->segments);
    if (memcmp(s->magic, SEQ_MAGIC, 8)) { /* new, or ruined: go on well above anything that may have been given */
        s->next = seen ? seen + RESERVE + 1 : 1;
        memcpy(s->magic, SEQ_MAGIC, 8);
    } else if (memcmp(s->boot, boot, sizeof(boot)) && s->reserved > s->next) {
        s->next = s->reserved;
    }
    if (s->next <= seen)
        s->next = seen + RESERVE + 1;
    if (!s->next)
        s->next = 1;
    memcpy(s->boot, boot, sizeof(boot));
    seq_reserve(s);
    return 0;
}

/* ---- the events output ---- */

static int out_open(struct journal *j, struct err *e)
{
    if (!j->events_path)
        return 0;
    if (!strcmp(j->events_path, "-")) {
        struct stat st;
        if ((j->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) < 0)
            return err_errno(e, "standard output");
        j->out_pipe = fstat(j->out_fd, &st) == 0 && !S_ISREG(st.st_mode);
        return 0;
    }
    int fd = open(j->events_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return err_errno(e, "events file %s", j->events_path);
    if (j->out_fd >= 0)
        close(j->out_fd);
    j->out_fd = fd;
    struct stat st;
    j->out_pipe = fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);
    return 0;
}

/* A file that was moved away (logrotate) or removed is opened anew, looked at once a second. */
static void out_rotated(struct journal *j)
{
    struct stat now, open_one;
    int64_t t = time_monotonic();
    if (j->out_pipe || j->out_fd < 0 || t - j->out_checked < TIME_SECOND || !strcmp(j->events_path, "-"))
        return;
    j->out_checked = t;
    if (fstat(j->out_fd, &open_one) == 0 && stat(j->events_path, &now) == 0 && now.st_ino == open_one.st_ino &&
        now.st_dev == open_one.st_dev)
        return;
    out_open(j, NULL);
}

static void sink_lose(struct sink *s, uint64_t from, uint64_t to, uint64_t count, const char *reason)
{
    if (!s->lost)
        s->lost_from = from;
    s->lost_to = to;
    s->lost += count;
    s->reason = reason;
}

static void sink_reset(struct sink *s)
{
    buf_reset(&s->lines);
    s->first = s->last = s->count = 0;
}

/* Lines that could not be written whole: what was written stays, the rest is counted. */
static void out_failed(struct journal *j, size_t written, const char *reason)
{
    struct sink *s = &j->out;
    struct str rest = {s->lines.p + written, s->lines.n - written};
    const char *nl = written ? memchr(rest.p, '\n', rest.n) : NULL;
    bool torn = written && s->lines.p[written - 1] != '\n';
    uint64_t from = segment_seq(torn && nl ? (struct str){nl + 1, rest.n - (size_t)(nl + 1 - rest.p)} : rest);
    uint64_t lost = 0;
    for (size_t i = 0; i < rest.n; i++)
        lost += rest.p[i] == '\n';
    sink_lose(s, from ? from : s->last, s->last, lost, reason);
    if (torn && !j->out_pipe) { /* never leave half a line behind in a file */
        size_t back = 0;
        while (back < written && s->lines.p[written - 1 - back] != '\n')
            back++;
        off_t end = lseek(j->out_fd, 0, SEEK_END);
        if (end >= (off_t)back && ftruncate(j->out_fd, end - (off_t)back) < 0)
            s->reason = "events file could not be repaired";
    }
    sink_reset(s);
}

/* A pipe or terminal whose reader is slow must never hold up the agent: write only what is taken without blocking. */
static void out_flush(struct journal *j)
{
    struct sink *s = &j->out;
    size_t done = 0;
    out_rotated(j);
    while (done < s->lines.n) {
        size_t n = s->lines.n - done;
        if (j->out_pipe) {
            struct pollfd p = {.fd = j->out_fd, .events = POLLOUT};
            if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLOUT)) {
                if (p.revents & (POLLERR | POLLHUP)) {
                    out_failed(j, done, "nobody reads the events output");
                    return;
                }
                break;
            }
            n = n > 4096 ? 4096 : n; /* PIPE_BUF: room for that is what POLLOUT promises */
        }
        ssize_t w = write(j->out_fd, s->lines.p + done, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno == EAGAIN)
            break;
        if (w < 0) {
            out_failed(j, done,
                       errno == ENOSPC ? "no space for the events file" : "events output could not be written");
            return;
        }
        done += (size_t)w;
    }
    if (done == s->lines.n) {
        sink_reset(s);
        return;
    }
    buf_drop(&s->lines, done);
    uint64_t first = segment_seq(buf_str(&s->lines));
    if (first)
        s->first = first;
}

/* ---- putting ---- */

static void sink_add(struct sink *s, struct str line, uint64_t seq, const char *full)
{
    size_t before = s->lines.n;
    if (!buf_puts(&s->lines, line)) {
        s->lines.n = before;
        s->lines.full = false;
        sink_lose(s, seq, seq, 1, full);
        return;
    }
    if (!s->count)
        s->first = seq;
    s->last = seq;
    s->count++;
}

static void render(struct journal *j, const struct event *ev)
{
    buf_reset(&j->line);
    struct json_writer w = JSON_WRITER(&j->line);
    event_write(&w, ev);
    buf_putc(&j->line, '\n');
    if (!j->line.full)
        return;
    struct event small = *ev; /* over the cap: an event without its details is better than none */
    small.detail = STR("{\"truncated\":true}");
    small.process.args_n = small.process.args_n > 1 ? 1 : small.process.args_n;
    small.container.labels = NULL;
    buf_reset(&j->line);
    w = JSON_WRITER(&j->line);
    event_write(&w, &small);
    buf_putc(&j->line, '\n');
}

bool journal_is_telemetry(const struct event *ev)
{
    if (ev->action != ACTION_off)
        return false;
    switch (ev->type) {
    case EVENT_TYPE_gate:
    case EVENT_TYPE_image:
    case EVENT_TYPE_profile:
    case EVENT_TYPE_policy:
    case EVENT_TYPE_agent:
    case EVENT_TYPE_gap:
        return false;
    default:
        return true;
    }
}

static int put_locked(struct journal *j, struct event *ev)
{
    bool telemetry = journal_is_telemetry(ev);
    if (telemetry && !(j->telemetry && j->events_path))
        return 0;
    char id[ULID_TEXT];
    if (!ev->time)
        ev->time = time_now();
    ev->id = ulid_make(ev->time, id);
    ev->host = str_c(j->host);
    if (j->seq->next >= j->seq->reserved)
        seq_reserve(j->seq);
    ev->seq = __atomic_fetch_add(&j->seq->next, 1, __ATOMIC_RELAXED);
    render(j, ev);
    ev->id = NULL;
    if (j->line.full) {
        sink_lose(&j->out, ev->seq, ev->seq, 1, "event over the size limit");
        return 1;
    }
    if (j->events_path)
        sink_add(&j->out, buf_str(&j->line), ev->seq, "the reader of the events output is too slow");
    if (j->spool_on && !telemetry)
        sink_add(&j->spool, buf_str(&j->line), ev->seq, "the spool could not be written");
    if (!j->flushing && (j->spool.lines.n >= FLUSH_BYTES || j->out.lines.n >= FLUSH_BYTES))
        flush_locked(j);
    return 1;
}

static void gap_locked(struct journal *j, uint64_t from, uint64_t to, uint64_t count, struct str reason)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_ki64(&w, "from", (int64_t)from);
    json_w_ki64(&w, "to", (int64_t)to);
    json_w_ki64(&w, "count", (int64_t)count);
    json_w_kstr(&w, "reason", reason);
    json_w_end(&w);
    struct event ev = {.type = EVENT_TYPE_gap,
                       .control = CONTROL_sensor,
                       .rule = STR("Events were lost"),
                       .severity = SEVERITY_medium,
                       .action = ACTION_alert,
                       .level = LEVEL_detect,
                       .outcome = OUTCOME_detected,
                       .detail = buf_str(&b)};
    put_locked(j, &ev);
}

static void sink_tell(struct journal *j, struct sink *s)
{
    if (!s->lost)
        return;
    uint64_t from = s->lost_from, to = s->lost_to, lost = s->lost;
    s->lost = 0;
    j->dropped += lost;
    gap_locked(j, from, to, lost, str_c(s->reason));
}

static void spool_flush(struct journal *j)
{
    struct sink *s = &j->spool;
    if (!s->lines.n)
        return;
    struct segment dropped;
    int r = segments_append(&j->segments, buf_str(&s->lines), s->first, s->last, s->count);
    if (r < 0)
        sink_lose(s, s->first, s->last, s->count,
                  r == -ENOSPC ? "no space for the spool" : "the spool could not be written");
    sink_reset(s);
    while (segments_drop(&j->segments, &dropped)) {
        j->dropped += dropped.count;
        gap_locked(j, dropped.from, dropped.last, dropped.count + dropped.told,
                   STR("the console was away until the spool was full: oldest events dropped"));
    }
}

static void flush_locked(struct journal *j)
{
    j->flushing = true;
    if (j->spool_on)
        sink_tell(j, &j->spool);
    if (j->out.lost && j->out.lines.n < STALL_BYTES / 2)
        sink_tell(j, &j->out);
    spool_flush(j);
    if (j->events_path)
        out_flush(j);
    j->flushing = false;
}

/* ---- public ---- */

int journal_open(const struct journal_opts *opts, struct journal **ret, struct err *e)
{
    int r;
    if ((r = fs_mkdirs(opts->dir, 0700, e)) < 0)
        return r;
    _cleanup_(journal_closep) struct journal *j = calloc(1, sizeof(*j));
    if (!j)
        abort();
    pthread_mutex_init(&j->lock, NULL);
    j->out_fd = j->dirfd = -1;
    j->spool_on = opts->spool;
    j->telemetry = opts->telemetry;
    j->line.max = LIMIT_EVENT;
    j->spool.lines.max = FLUSH_BYTES + 2 * LIMIT_EVENT;
    j->out.lines.max = STALL_BYTES;
    j->dir = strdup(opts->dir);
    j->events_path = opts->events ? strdup(opts->events) : NULL;
    char name[256] = "localhost";
    gethostname(name, sizeof(name) - 1);
    j->host = opts->host.n ? strndup(opts->host.p, opts->host.n) : strdup(name);
    if ((j->dirfd = open(opts->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return err_errno(e, "%s", opts->dir);
    uint64_t max = opts->spool_max ? opts->spool_max : JOURNAL_SPOOL_MAX;
    if ((r = segments_open(&j->segments, j->dirfd, max, e)) < 0 || (r = seq_open(j, e)) < 0 || (r = out_open(j, e)) < 0)
        return r;
    *ret = TAKE(j);
    return 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->seq) {
        journal_flush(j);
        msync(j->seq, sizeof(*j->seq), MS_SYNC);
        munmap(j->seq, sizeof(*j->seq));
    }
    segments_fini(&j->segments);
    buf_fini(&j->line);
    buf_fini(&j->spool.lines);
    buf_fini(&j->out.lines);
    if (j->out_fd >= 0)
        close(j->out_fd);
    if (j->dirfd >= 0)
        close(j->dirfd);
    free(j->dir);
    free(j->events_path);
    free(j->host);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

void journal_closep(struct journal **j)
{
    journal_close(*j);
}

int journal_put(struct journal *j, struct event *ev)
{
    pthread_mutex_lock(&j->lock);
    int r = put_locked(j, ev);
    pthread_mutex_unlock(&j->lock);
    return r;
}

void journal_flush(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    flush_locked(j);
    if (j->out.lines.n || j->spool.lines.n) /* gap events made by the flush itself */
        flush_locked(j);
    pthread_mutex_unlock(&j->lock);
}

void journal_gap(struct journal *j, uint64_t from, uint64_t to, uint64_t count, struct str reason)
{
    pthread_mutex_lock(&j->lock);
    j->dropped += count;
    gap_locked(j, from, to, count, reason);
    pthread_mutex_unlock(&j->lock);
}

void journal_ack(struct journal *j, uint64_t seq)
{
    pthread_mutex_lock(&j->lock);
    segments_ack(&j->segments, seq);
    pthread_mutex_unlock(&j->lock);
}

uint64_t journal_last(const struct journal *j)
{
    return __atomic_load_n(&j->seq->next, __ATOMIC_RELAXED) - 1;
}

void journal_spool(struct journal *j, bool on)
{
    pthread_mutex_lock(&j->lock);
    j->spool_on = on;
    pthread_mutex_unlock(&j->lock);
}

struct journal_stats journal_stats(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    struct journal_stats s = {.last = j->seq->next - 1,
                              .acked = j->segments.acked,
                              .spool_bytes = j->segments.bytes,
                              .spool_events = j->segments.events,
                              .dropped = j->dropped};
    pthread_mutex_unlock(&j->lock);
    return s;
}
