#include "agent/uplink.h"

#include "agent/backoff.h"
#include "agent/identity.h"
#include "agent/install.h"
#include "agent/ipc.h"
#include "agent/spool.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define ACCOUNT "bulkhead"
#define UID_OF_NOBODY_ELSE 64137u /* of the range systemd keeps for dynamic users; used when there is no account */
#define OUTBOX_MAX (256u << 20)
#define BATCH_EVENTS 10000u
#define REFUSED_KEPT 64u
#define POLICY_DOCS_BYTES (64u << 20)
#define TOKEN_MAX (64u << 10)

extern char **environ;

struct uplink {
    char *state, *console, *token_file, *host;
    unsigned uid, gid;
    struct journal *journal;
    int journal_dir;
    bool intel_key_pinned;
    struct uplink_callbacks on;

    int epoll, timer;
    pid_t child;                 /* 0: none */
    struct ipc down, up;
    struct backoff backoff;
    int64_t started;

    struct spool *spool;
    char *status;                /* newest, not yet delivered */
    uint64_t status_tag;
    bool waiting;                /* the child got `nothing`: it wants a wake */
    uint64_t cursor;             /* what the console has */
    uint64_t refused[REFUSED_KEPT];
    size_t refused_n;

    struct arena *docs_arena;    /* a policy set that is coming in */
    struct policy_source *docs;
    size_t docs_n, docs_want;
    size_t docs_bytes;
    char docs_config[256];
    struct install_intel intel;

    struct uplink_info info;
    char story[512], config_revision[256], policy_error[1024], intel_error[1024];
};

const char *uplink_phase_name(enum uplink_phase p)
{
    static const char *const names[] = {
#define UPLINK_PHASE(id, text) [UPLINK_##id] = #id,
#include "agent/uplink.tbl.h"
#undef UPLINK_PHASE
    };
    return p < ARRAY_LEN(names) ? names[p] : "?";
}

static void set_text(char *to, size_t size, struct str *view, struct str s)
{
    snprintf(to, size, STR_FMT, STR_ARG(s));
    *view = str_c(to);
}

static void changed(struct uplink *u)
{
    if (u->on.changed)
        u->on.changed(u->on.ctx);
}

static void set_phase(struct uplink *u, enum uplink_phase phase, struct str story)
{
    bool same = u->info.phase == phase && str_eq(u->info.story, story);
    u->info.phase = phase;
    set_text(u->story, sizeof(u->story), &u->info.story, story);
    if (!same)
        changed(u);
}

/* ---- the child ---- */

static void arm(struct uplink *u, int64_t us)
{
    struct itimerspec t = {.it_value = {us / TIME_SECOND, us % TIME_SECOND * 1000 + 1}};
    timerfd_settime(u->timer, 0, &t, NULL);
}

static void watch(struct uplink *u, struct ipc *c, int op)
{
    struct epoll_event ev = {.events = EPOLLIN | (ipc_pending(c) ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(u->epoll, op, c->fd, &ev);
}

/* Not by WNOHANG: the agent must not collect our child by mistake, and it was sent SIGKILL or closed its sockets. */
static void end_child(struct uplink *u)
{
    if (u->child > 0) {
        kill(u->child, SIGKILL);
        while (waitpid(u->child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    u->child = 0;
    ipc_fini(&u->down); /* closing takes them out of the epoll set */
    ipc_fini(&u->up);
    u->waiting = false;
    arena_free(TAKE(u->docs_arena));
    u->docs_n = u->docs_want = 0;
    install_intel_fini(&u->intel);
}

static void child_failed(struct uplink *u, const char *why)
{
    end_child(u);
    u->info.restarts++;
    if (time_monotonic() - u->started > 60 * TIME_SECOND)
        backoff_reset(&u->backoff);
    int64_t wait = backoff_next(&u->backoff);
    log_warn("uplink process ended (%s); the next in %.1f s", why, (double)wait / TIME_SECOND);
    set_phase(u, UPLINK_starting, str_c(why));
    arm(u, wait);
}

static int pair(int fd[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
        return err_errno(e, "socketpair");
    int flags = fcntl(fd[0], F_GETFL);
    fcntl(fd[0], F_SETFL, flags | O_NONBLOCK);
    return 0;
}

/* The descriptors go to 3 and 4: first out of the way, then there, as the source may itself be 3 or 4. */
static int spawn(struct uplink *u, int down, int up, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    char *argv[] = {"bulkhead-agent", "uplink", arena_printf(a, "%s/console", u->state), arena_printf(a, "%u", u->uid),
                    arena_printf(a, "%u", u->gid), NULL};
    char *envp[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, down, 103);
    posix_spawn_file_actions_adddup2(&files, up, 104);
    posix_spawn_file_actions_adddup2(&files, 103, 3);
    posix_spawn_file_actions_adddup2(&files, 104, 4);
    posix_spawn_file_actions_addclose(&files, 103);
    posix_spawn_file_actions_addclose(&files, 104);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0); /* standard output may be the events */
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int r = posix_spawn(&u->child, "/proc/self/exe", &files, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (r != 0) {
        u->child = 0;
        return err_set(e, r, "starting the uplink process: %s", strerror(r));
    }
    return 0;
}

/* Whatever is in console/ belongs to the child; the folder above stays closed to it. */
static int prepare_folder(struct uplink *u, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    static const char *const files[] = {"agent.key", "agent.pem", "ca.pem", "address"};
    const char *dir = arena_printf(a, "%s/console", u->state);
    int r = fs_mkdirs(dir, 0700, e);
    if (r < 0 || u->uid == 0)
        return r;
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, u->uid, u->gid) < 0 || fchmod(fd, 0700) < 0)
        return err_errno(e, "%s", dir);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (fchownat(fd, files[i], u->uid, u->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return err_errno(e, "%s/%s", dir, files[i]);
    return 0;
}

static struct str read_token(struct uplink *u, struct arena *a)
{
    struct str token = STR("");
    struct err e = ERR_INIT;
    struct stat st;
    if (!u->token_file)
        return token;
    int r = fs_read(a, u->token_file, TOKEN_MAX, &token, &e);
    if (r == -ENOENT)
        return STR(""); /* used up by an earlier start */
    if (r < 0)
        log_warn("%s", e.msg);
    else if (stat(u->token_file, &st) == 0 && (st.st_mode & 077))
        log_warn("%s can be read by others (mode %03o): make it 0600", u->token_file, st.st_mode & 0777);
    return r < 0 ? STR("") : token;
}

static struct str machine_id(struct arena *a)
{
    struct str id;
    if (fs_read(a, "/etc/machine-id", 256, &id, NULL) < 0)
        return STR("");
    return str_trim(id);
}

static int start_child(struct uplink *u, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    int down[2] = {-1, -1}, up[2] = {-1, -1}, r;
    u->started = time_monotonic();
    if ((r = prepare_folder(u, e)) < 0 || (r = pair(down, e)) < 0)
        return r;
    if ((r = pair(up, e)) == 0)
        r = spawn(u, down[1], up[1], e);
    cleanup_close(&down[1]);
    cleanup_close(&up[1]);
    if (r < 0) {
        cleanup_close(&down[0]);
        cleanup_close(&up[0]);
        return r;
    }
    ipc_init(&u->down, down[0], IPC_FROM_U);
    ipc_init(&u->up, up[0], IPC_FROM_U);
    struct str token = read_token(u, a);
    ipc_begin(&u->down, IPC_hello);
    ipc_put_str(&u->down, str_c(u->console));
    ipc_put_str(&u->down, token);
    ipc_put_str(&u->down, str_c(u->host));
    ipc_put_str(&u->down, machine_id(a));
    r = ipc_send(&u->down, e);
    if (token.n)
        fs_wipe((char *)token.p, token.n);
    if (r < 0) {
        end_child(u);
        return r;
    }
    watch(u, &u->down, EPOLL_CTL_ADD);
    watch(u, &u->up, EPOLL_CTL_ADD);
    return 0;
}

/* ---- what comes down ---- */

static int answer(struct uplink *u, int code, const char *story, struct err *e)
{
    ipc_begin(&u->down, IPC_result);
    ipc_put_u32(&u->down, (uint32_t)(code < 0 ? -code : 0));
    ipc_put_str(&u->down, code < 0 ? str_sub(str_c(story), 0, 1024) : STR(""));
    return ipc_send(&u->down, e);
}

static int on_state(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint32_t phase = ipc_get_u32(m);
    struct str story = ipc_get_str(m);
    int64_t ends = ipc_get_i64(m);
    uint32_t used = ipc_get_u32(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (phase > UPLINK_cloned)
        return err_set(e, EBADMSG, "unknown phase %u", phase);
    if (used && u->token_file) {
        if (unlink(u->token_file) < 0 && errno != ENOENT)
            log_warn("%s: the token was used; remove it: %s", u->token_file, strerror(errno));
        log_info("enrolled with the console; %s was used up and removed", u->token_file);
    }
    if (story.n && !str_eq(story, u->info.story))
        log_warn("uplink: " STR_FMT, STR_ARG(story));
    u->info.certificate_ends = ends;
    set_phase(u, (enum uplink_phase)phase, story);
    return 0;
}

static int on_policy_begin(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct str revision = ipc_get_str(m);
    uint32_t n = ipc_get_u32(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (n > LIMIT_POLICY_DOCS || revision.n >= sizeof(u->docs_config))
        return err_set(e, EBADMSG, "a set of %u policies", n);
    arena_free(TAKE(u->docs_arena));
    u->docs_arena = arena_new(POLICY_DOCS_BYTES + (4u << 20));
    u->docs = arena_array(u->docs_arena, n ? n : 1, sizeof(*u->docs));
    u->docs_want = n;
    u->docs_n = u->docs_bytes = 0;
    snprintf(u->docs_config, sizeof(u->docs_config), STR_FMT, STR_ARG(revision));
    return answer(u, 0, NULL, e);
}

static int on_policy_doc(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct str kind = ipc_get_str(m), name = ipc_get_str(m);
    int64_t revision = ipc_get_i64(m);
    struct str text = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    u->docs_bytes += text.n + name.n + kind.n;
    if (!u->docs_arena || u->docs_n >= u->docs_want || u->docs_bytes > POLICY_DOCS_BYTES || text.n > LIMIT_POLICY_FILE)
        return err_set(e, EBADMSG, "more policies than announced, or too big");
    u->docs[u->docs_n++] = (struct policy_source){
        .origin = arena_strf(u->docs_arena, "console:" STR_FMT "/" STR_FMT, STR_ARG(str_sub(kind, 0, 64)),
                             STR_ARG(str_sub(name, 0, 256))),
        .text = arena_str(u->docs_arena, text),
        .revision = revision,
    };
    return 0;
}

static int on_policy_end(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct err why = ERR_INIT;
    char revision[65];
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (!u->docs_arena || u->docs_n != u->docs_want)
        return err_set(e, EBADMSG, "%zu of %zu policies came", u->docs_n, u->docs_want);
    int done = install_policy(u->state, u->docs, u->docs_n, revision, &why);
    set_text(u->policy_error, sizeof(u->policy_error), &u->info.policy_error, done < 0 ? str_c(why.msg) : STR(""));
    if (done < 0)
        log_warn("the console's policies were refused, the last good set stays: %s", why.msg);
    else
        set_text(u->config_revision, sizeof(u->config_revision), &u->info.config_revision, str_c(u->docs_config));
    if (done > 0 && u->on.policy)
        u->on.policy(u->on.ctx, str_c(revision));
    arena_free(TAKE(u->docs_arena));
    u->docs_n = u->docs_want = 0;
    changed(u);
    return answer(u, done, why.msg, e);
}

static void intel_outcome(struct uplink *u, int r, const char *why)
{
    if (r < 0)
        log_warn("the console's intel was refused, what is in place stays: %s", why);
    set_text(u->intel_error, sizeof(u->intel_error), &u->info.intel_error, r < 0 ? str_c(why) : STR(""));
}

static int on_intel(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct err why = ERR_INIT;
    int r, done;
    if (m->type == IPC_intel_data) {
        struct str bytes = ipc_get_raw(m);
        return install_intel_data(&u->intel, bytes, e);
    }
    if (m->type == IPC_intel_begin) {
        struct str revision = ipc_get_str(m);
        uint64_t size = ipc_get_u64(m);
        struct str key = ipc_get_str(m);
        if ((r = ipc_end(m, e)) < 0)
            return r;
        done = install_intel_begin(&u->intel, u->state, revision, size, u->intel_key_pinned ? STR("") : key, &why);
        if (done < 0)
            intel_outcome(u, done, why.msg);
        return answer(u, done == 0 ? -EEXIST : done, done == 0 ? "in place already" : why.msg, e);
    }
    char revision[65];
    if ((r = ipc_end(m, e)) < 0)
        return r;
    memcpy(revision, u->intel.revision, sizeof(revision));
    done = install_intel_end(&u->intel, &why);
    intel_outcome(u, done, why.msg);
    if (done == 0 && u->on.intel)
        u->on.intel(u->on.ctx, str_c(revision));
    changed(u);
    return answer(u, done, why.msg, e);
}

static int on_down(struct uplink *u, struct ipc_message *m, struct err *e)
{
    int r;
    switch (m->type) {
    case IPC_state:
        return on_state(u, m, e);
    case IPC_policy_begin:
        return on_policy_begin(u, m, e);
    case IPC_policy_doc:
        return on_policy_doc(u, m, e);
    case IPC_policy_end:
        return on_policy_end(u, m, e);
    case IPC_intel_begin:
    case IPC_intel_data:
    case IPC_intel_end:
        return on_intel(u, m, e);
    case IPC_settings:
        u->info.heartbeat = ipc_get_u32(m);
        if ((r = ipc_end(m, e)) == 0)
            changed(u);
        return r;
    default:
        return err_set(e, EBADMSG, "%s on the wrong channel", ipc_name(m->type));
    }
}

/* ---- what goes up ---- */

/* Take out the lines of events that the console refused for good. Lines start with {"id":...,"seq":N somewhere: the
 * journal's own writer made them, and seq is unique within a line's top level. */
static void leave_out_refused(struct uplink *u, struct buf *lines)
{
    _cleanup_(buf_fini) struct buf kept = BUF_INIT(lines->max);
    struct str rest = buf_str(lines), line;
    if (!u->refused_n)
        return;
    while (rest.n && str_cut(&rest, '\n', &line)) {
        _cleanup_(arena_freep) struct arena *a = arena_new((size_t)LIMIT_EVENT * 64);
        struct json_value *v = NULL;
        bool refused = false;
        if (line.n <= LIMIT_EVENT && json_parse(a, line, 0, &v, NULL) == 0)
            for (size_t i = 0; i < u->refused_n; i++)
                refused |= (uint64_t)json_i64(json_get(v, "seq"), 0) == u->refused[i];
        if (!refused) {
            buf_puts(&kept, line);
            buf_putc(&kept, '\n');
        }
    }
    buf_reset(lines);
    buf_puts(lines, buf_str(&kept));
}

static void send_nothing(struct uplink *u)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    struct json_writer w = JSON_WRITER(&b);
    struct journal_stats s = journal_stats(u->journal);
    json_w_object(&w);
    json_w_ki64(&w, "seq", (int64_t)s.last);
    json_w_key(&w, "loss");
    json_w_object(&w);
    json_w_ki64(&w, "ring", u->on.ring_lost ? (int64_t)u->on.ring_lost(u->on.ctx) : 0);
    json_w_ki64(&w, "spool", (int64_t)spool_dropped(u->spool));
    json_w_ki64(&w, "events", (int64_t)s.dropped);
    json_w_end(&w);
    json_w_end(&w);
    ipc_begin(&u->up, IPC_nothing);
    ipc_put_str(&u->up, buf_str(&b));
}

static void send_document(struct uplink *u, enum spool_kind kind, const char *name, uint64_t tag, struct str json)
{
    ipc_begin(&u->up, IPC_document);
    ipc_put_u32(&u->up, kind);
    ipc_put_str(&u->up, str_c(name));
    ipc_put_u64(&u->up, tag);
    ipc_put_str(&u->up, json);
}

static int on_pull(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint32_t most = ipc_get_u32(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (most > LIMIT_IPC_MESSAGE / 2)
        most = LIMIT_IPC_MESSAGE / 2;
    u->waiting = false;
    if (u->status) {
        send_document(u, SPOOL_status, "status", u->status_tag, str_c(u->status));
        return ipc_send(&u->up, e);
    }
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_IPC_MESSAGE + (1u << 20));
    struct spool_document doc;
    struct err why = ERR_INIT;
    if (spool_next(u->spool, a, &doc, &why) == 1) {
        send_document(u, doc.kind, doc.name, doc.tag, doc.json);
        return ipc_send(&u->up, e);
    }
    _cleanup_(buf_fini) struct buf lines = BUF_INIT(LIMIT_IPC_MESSAGE - (1u << 20));
    uint64_t last = u->cursor;
    journal_flush(u->journal);
    int n = journal_read(u->journal_dir, u->cursor, BATCH_EVENTS, most, &lines, &last, &why);
    if (n < 0)
        log_warn("uplink: reading the journal: %s", why.msg);
    if (n <= 0) {
        send_nothing(u);
        u->waiting = true;
        return ipc_send(&u->up, e);
    }
    leave_out_refused(u, &lines);
    if (lines.n == 0) { /* all of them refused */
        u->cursor = last;
        journal_ack(u->journal, last);
        send_nothing(u);
        u->waiting = true;
        r = ipc_send(&u->up, e);
        uplink_wake(u);
        return r;
    }
    ipc_begin(&u->up, IPC_batch);
    ipc_put_u64(&u->up, u->cursor);
    ipc_put_u64(&u->up, last);
    ipc_put_u32(&u->up, (uint32_t)n);
    ipc_put_str(&u->up, buf_str(&lines));
    return ipc_send(&u->up, e);
}

static int on_batch_done(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint64_t seq = ipc_get_u64(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (seq > journal_last(u->journal))
        return err_set(e, EBADMSG, "seq %" PRIu64 " acknowledged, which there is not", seq);
    if (seq > u->cursor) /* lower: the console was restored; what is left here goes again */
        journal_ack(u->journal, seq);
    u->cursor = u->info.acked = seq;
    size_t kept = 0;
    for (size_t i = 0; i < u->refused_n; i++)
        if (u->refused[i] > seq)
            u->refused[kept++] = u->refused[i];
    u->refused_n = kept;
    return 0;
}

static int on_event_refused(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint64_t seq = ipc_get_u64(m);
    struct str why = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (seq <= u->cursor || u->refused_n == REFUSED_KEPT)
        return err_set(e, EBADMSG, "too many events refused");
    for (size_t i = 0; i < u->refused_n; i++)
        if (u->refused[i] == seq)
            return err_set(e, EBADMSG, "seq %" PRIu64 " refused twice", seq);
    u->refused[u->refused_n++] = seq;
    log_warn("the console refused event %" PRIu64 ": " STR_FMT, seq, STR_ARG(why));
    journal_gap(u->journal, seq, seq, 1, STR("refused by the console"));
    return 0;
}

static int on_document_done(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint32_t kind = ipc_get_u32(m);
    struct str name = ipc_get_str(m);
    uint64_t tag = ipc_get_u64(m);
    struct str why = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (kind >= SPOOL_KINDS)
        return err_set(e, EBADMSG, "unknown kind of document %u", kind);
    if (why.n)
        log_warn("the console refused a document: " STR_FMT, STR_ARG(why));
    if (kind != SPOOL_status)
        spool_done(u->spool, (enum spool_kind)kind, name, tag);
    else if (tag == u->status_tag)
        free(TAKE(u->status));
    return 0;
}

static int on_up(struct uplink *u, struct ipc_message *m, struct err *e)
{
    int r;
    switch (m->type) {
    case IPC_pull:
        return on_pull(u, m, e);
    case IPC_batch_done:
        return on_batch_done(u, m, e);
    case IPC_event_refused:
        return on_event_refused(u, m, e);
    case IPC_document_done:
        return on_document_done(u, m, e);
    case IPC_status_wanted:
        if ((r = ipc_end(m, e)) == 0 && u->on.status_wanted)
            u->on.status_wanted(u->on.ctx);
        return r;
    default:
        return err_set(e, EBADMSG, "%s on the wrong channel", ipc_name(m->type));
    }
}

/* ---- main loop ---- */

static int serve(struct uplink *u, struct ipc *c, uint32_t events, struct err *e)
{
    struct ipc_message m;
    int r = 0;
    if (events & EPOLLOUT)
        r = ipc_flush(c, e);
    if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        r = ipc_fill(c, e);
    while (r >= 0 && (r = ipc_next(c, &m, e)) > 0)
        r = c == &u->down ? on_down(u, &m, e) : on_up(u, &m, e);
    if (r == 0)
        watch(u, c, EPOLL_CTL_MOD);
    return r;
}

void uplink_dispatch(struct uplink *u)
{
    struct epoll_event events[4];
    struct err e = ERR_INIT;
    int n = epoll_wait(u->epoll, events, ARRAY_LEN(events), 0);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == NULL) {
            uint64_t ticks;
            if (read(u->timer, &ticks, sizeof(ticks)) > 0 && u->child == 0 && start_child(u, &e) < 0)
                child_failed(u, e.msg);
        } else if (u->child && serve(u, events[i].data.ptr, events[i].events, &e) < 0) {
            child_failed(u, e.msg);
            return;
        }
    }
}

int uplink_fd(const struct uplink *u)
{
    return u->epoll;
}

const struct uplink_info *uplink_info(const struct uplink *u)
{
    return &u->info;
}

void uplink_wake(struct uplink *u)
{
    struct err e = ERR_INIT;
    if (!u->waiting || (!u->status && !spool_count(u->spool) && journal_last(u->journal) <= u->cursor))
        return;
    u->waiting = false;
    ipc_begin(&u->up, IPC_wake);
    if (ipc_send(&u->up, &e) < 0)
        child_failed(u, e.msg);
    else if (ipc_pending(&u->up))
        watch(u, &u->up, EPOLL_CTL_MOD);
}

void uplink_status(struct uplink *u, struct str json)
{
    free(u->status);
    if (!(u->status = strndup(json.p, json.n)))
        abort();
    u->status_tag++;
    uplink_wake(u);
}

int uplink_report(struct uplink *u, struct str name, struct str json, struct err *e)
{
    int r = spool_put(u->spool, SPOOL_report, name, json, e);
    if (r == 0)
        uplink_wake(u);
    return r;
}

/* ---- start and end ---- */

bool uplink_wanted(const char *state, const char *token_file)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    return (token_file && fs_exists(token_file)) || identity_exists(arena_printf(a, "%s/console", state));
}

static int find_account(const char *name, unsigned *uid, unsigned *gid, struct err *e)
{
    struct passwd pw, *found = NULL;
    char room[4096];
    *uid = *gid = 0;
    if (geteuid() != 0)
        return 0; /* tests, containers without root: nothing to give up */
    if (getpwnam_r(name ? name : ACCOUNT, &pw, room, sizeof(room), &found) == 0 && found) {
        if (pw.pw_uid == 0)
            return err_set(e, EINVAL, "the uplink may not run as root");
        *uid = pw.pw_uid;
        *gid = pw.pw_gid;
        return 0;
    }
    if (name)
        return err_set(e, ENOENT, "there is no account \"%s\"", name);
    *uid = *gid = UID_OF_NOBODY_ELSE;
    return 0;
}

static char *copy(const char *s)
{
    char *c = s ? strdup(s) : NULL;
    if (s && !c)
        abort();
    return c;
}

int uplink_start(const struct uplink_opts *opts, struct uplink **ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    struct uplink *u = calloc(1, sizeof(*u));
    int r;
    if (!u)
        abort();
    u->state = copy(opts->state);
    u->console = copy(opts->console);
    u->token_file = copy(opts->token_file);
    if (!(u->host = strndup(opts->host.p ? opts->host.p : "", opts->host.n)))
        abort();
    u->journal = opts->journal;
    u->intel_key_pinned = opts->intel_key_pinned;
    u->on = opts->on;
    u->info.heartbeat = 30;
    u->backoff = BACKOFF(TIME_SECOND / 2, 60 * TIME_SECOND);
    u->down.fd = u->up.fd = u->journal_dir = -1;
    u->intel = INSTALL_INTEL_INIT;
    u->epoll = epoll_create1(EPOLL_CLOEXEC);
    u->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (u->epoll < 0 || u->timer < 0 || epoll_ctl(u->epoll, EPOLL_CTL_ADD, u->timer, &ev) < 0)
        r = err_errno(e, "epoll");
    else if ((u->journal_dir = open(arena_printf(a, "%s/journal", u->state), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        r = err_errno(e, "%s/journal", u->state);
    else
        r = 0;
    if (r == 0 && (r = find_account(opts->user, &u->uid, &u->gid, e)) == 0 &&
        (r = spool_open(arena_printf(a, "%s/outbox", u->state), OUTBOX_MAX, &u->spool, e)) == 0 &&
        (r = journal_acked(u->journal_dir, &u->cursor, e)) == 0)
        r = start_child(u, e);
    if (r < 0) {
        uplink_stop(u);
        return err_wrap(e, "uplink"), r;
    }
    u->info.acked = u->cursor;
    *ret = u;
    return 0;
}

void uplink_stop(struct uplink *u)
{
    if (!u)
        return;
    end_child(u);
    spool_close(u->spool);
    cleanup_close(&u->epoll);
    cleanup_close(&u->timer);
    cleanup_close(&u->journal_dir);
    free(u->status);
    free(u->state);
    free(u->console);
    free(u->token_file);
    free(u->host);
    free(u);
}
