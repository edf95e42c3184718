#include "agent/uplink_internal.h"

#include "agent/identity.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define ACCOUNT            "bulkhead"
#define UID_OF_NOBODY_ELSE 64137u /* of the range systemd keeps for dynamic users; used when there is no account */
#define OUTBOX_MAX         (256u << 20)
#define TOKEN_MAX          (64u << 10)

extern char **environ;

const char *uplink_phase_name(enum uplink_phase p)
{
    static const char *const names[] = {
#define UPLINK_PHASE(id, text) [UPLINK_##id] = #id,
#include "agent/uplink.tbl.h"
#undef UPLINK_PHASE
    };
    return p < ARRAY_LEN(names) ? names[p] : "?";
}

void uplink_set_text(char *to, size_t size, struct str *view, struct str s)
{
    snprintf(to, size, STR_FMT, STR_ARG(s));
    *view = str_c(to);
}

void uplink_changed(struct uplink *u)
{
    if (u->on.changed)
        u->on.changed(u->on.ctx);
}

void uplink_set_phase(struct uplink *u, enum uplink_phase phase, struct str story)
{
    bool same = u->info.phase == phase && str_eq(u->info.story, story);
    u->info.phase = phase;
    uplink_set_text(u->story, sizeof(u->story), &u->info.story, story);
    if (!same)
        uplink_changed(u);
}

/* ---- the child ---- */

pid_t uplink_pid(const struct uplink *u)
{
    return u->child;
}

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
    uplink_set_phase(u, UPLINK_starting, str_c(why));
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
    const char *argv[] = {"bulkhead-agent",
                          "uplink",
                          arena_printf(a, "%s/console", u->state),
                          arena_printf(a, "%u", u->uid),
                          arena_printf(a, "%u", u->gid),
                          NULL};
    const char *envp[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};
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
    int r = posix_spawn(&u->child, "/proc/self/exe", &files, &attr, (char **)argv, (char **)envp);
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
        r = c == &u->down ? uplink_on_down(u, &m, e) : uplink_on_up(u, &m, e);
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
    if (!u->waiting || (!u->status && !u->wanted[0] && !spool_count(u->spool) && journal_last(u->journal) <= u->cursor))
        return;
    u->waiting = false;
    ipc_begin(&u->up, IPC_wake);
    if (ipc_send(&u->up, &e) < 0)
        child_failed(u, e.msg);
    else if (ipc_pending(&u->up))
        watch(u, &u->up, EPOLL_CTL_MOD);
}

void uplink_inventory(struct uplink *u, struct str image_id)
{
    snprintf(u->wanted, sizeof(u->wanted), STR_FMT, STR_ARG(image_id));
    uplink_wake(u);
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
    char name[HOST_NAME_MAX + 1] = "";
    if (opts->host.n == 0) /* as the journal does */
        gethostname(name, sizeof(name) - 1);
    if (!(u->host = opts->host.n ? strndup(opts->host.p, opts->host.n) : strdup(name[0] ? name : "unknown")))
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
