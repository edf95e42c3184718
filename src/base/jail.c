#include "base/jail.h"

#include "base/cleanup.h"
#include "base/jail_child.h"
#include "base/str.h"
#include "base/time.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

static const char *const part_names[] = {
#define X(id, name) name,
    JAIL_PARTS(X)
#undef X
};

struct run {
    const struct jail_opts *o;
    pid_t pid;
    int out, status;
    uint64_t output;
    bool ready, done;
    struct jail_message last; /* done: the child's own verdict */
    struct jail_report report;
};

static void child_kill(struct run *run)
{
    if (run->pid > 0)
        kill(run->pid, SIGKILL);
}

static int child_reap(struct run *run, int *ret_status)
{
    pid_t r;
    do
        r = waitpid(run->pid, ret_status, 0);
    while (r < 0 && errno == EINTR);
    run->pid = 0;
    return r < 0 ? -errno : 0;
}

static void run_fini(struct run *run)
{
    int status;
    if (run->pid > 0) {
        child_kill(run);
        child_reap(run, &status);
    }
    if (run->out >= 0)
        close(run->out);
    if (run->status >= 0)
        close(run->status);
}

/* One block of output; 0 at its end. */
static int take_output(struct run *run, struct err *e)
{
    char block[65536];
    ssize_t n = read(run->out, block, sizeof(block));
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : err_errno(e, "%s: cannot read its output", run->o->name);
    if (n == 0)
        return 0;
    run->output += (uint64_t)n;
    if (run->output > run->o->output_max)
        return err_set(e, E2BIG, "%s: more than %" PRIu64 " bytes of output", run->o->name, run->o->output_max);
    if (run->o->output) {
        int r = run->o->output(run->o->arg, block, (size_t)n, e);
        if (r < 0)
            return r;
    }
    return 1;
}

/* A message is written at once and below PIPE_BUF, so it is whole or it is not from our code. */
static int take_status(struct run *run, struct err *e)
{
    struct jail_message m;
    ssize_t n = read(run->status, &m, sizeof(m));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 1;
    if (n <= 0)
        return 0;
    if (n != (ssize_t)sizeof(m) || run->done)
        return err_set(e, EBADMSG, "%s: garbled status", run->o->name);
    m.text[sizeof(m.text) - 1] = 0;
    if (m.kind == JAIL_MESSAGE_READY && !run->ready) {
        run->ready = true;
        run->report.have = m.have & ((1u << JAIL_PARTS_N) - 1);
        return 1;
    }
    run->done = true;
    run->last = m;
    return 1;
}

static int follow(struct run *run, struct err *e)
{
    int64_t seconds = run->o->wall_seconds ? run->o->wall_seconds : 3600;
    int64_t deadline = time_monotonic() + seconds * TIME_SECOND;
    bool out_open = true, status_open = true;
    while (out_open || status_open) {
        int64_t left = deadline - time_monotonic();
        if (left <= 0)
            return err_set(e, ETIMEDOUT, "%s: not done after %" PRId64 " s", run->o->name, seconds);
        struct pollfd p[2] = {{.fd = out_open ? run->out : -1, .events = POLLIN},
                              {.fd = status_open ? run->status : -1, .events = POLLIN}};
        int r = poll(p, 2, left > 60 * TIME_SECOND ? 60000 : (int)(left / 1000) + 1);
        if (r < 0 && errno != EINTR)
            return err_errno(e, "%s: poll", run->o->name);
        if (r <= 0)
            continue;
        if (p[0].revents && (r = take_output(run, e)) <= 0) {
            if (r < 0)
                return r;
            out_open = false;
        }
        if (p[1].revents && (r = take_status(run, e)) <= 0) {
            if (r < 0)
                return r;
            status_open = false;
        }
    }
    return 0;
}

static int judge(struct run *run, int status, struct err *e)
{
    const char *name = run->o->name;
    if (WIFSIGNALED(status)) {
        int sig = WTERMSIG(status);
        if (sig == SIGSYS)
            return err_set(e, EPERM, "%s: tried a forbidden system call and was killed", name);
        if (sig == SIGXCPU || sig == SIGKILL)
            return err_set(e, ETIMEDOUT, "%s: killed, over its processor time or by the host", name);
        if (sig == SIGXFSZ)
            return err_set(e, E2BIG, "%s: wrote more than it may", name);
        if (sig == SIGABRT)
            return err_set(e, ENOMEM, "%s: gave up, out of its memory", name);
        return err_set(e, EBADMSG, "%s: crashed with signal %d", name, sig);
    }
    if (!run->done || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, EBADMSG, "%s: ended without an answer", name);
    if (run->last.code >= 0)
        return 0;
    /* from inside the jail: only a plausible errno and a clean line pass (err_set replaces control characters) */
    int code = run->last.code > -4096 ? -run->last.code : EBADMSG;
    return err_set(e, code, "%s", run->last.text[0] ? run->last.text : "failed without a reason");
}

int jail_run(const struct jail_opts *o, struct jail_report *ret, struct err *e)
{
    _cleanup_(run_fini) struct run run = {.o = o, .out = -1, .status = -1};
    int out[2], status[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(e, "%s: pipe", o->name);
    run.out = out[0];
    _cleanup_close_ int child_out = out[1];
    if (pipe2(status, O_CLOEXEC) < 0)
        return err_errno(e, "%s: pipe", o->name);
    run.status = status[0];
    _cleanup_close_ int child_status = status[1];
    pid_t parent = getpid();
    run.pid = fork();
    if (run.pid < 0)
        return err_errno(e, "%s: fork", o->name);
    if (run.pid == 0)
        jail_child(o, parent, child_out, child_status); /* does not return */
    close(TAKE_FD(child_out));
    close(TAKE_FD(child_status));
    int r = follow(&run, e), wait_status;
    if (r < 0)
        return r;
    if ((r = child_reap(&run, &wait_status)) < 0)
        return err_set(e, -r, "%s: lost sight of the child", o->name);
    if (ret)
        *ret = run.report;
    return judge(&run, wait_status, e);
}

const char *jail_missing(const struct jail_report *r, char *out, size_t size)
{
    size_t n = 0;
    if (size)
        out[0] = 0;
    for (unsigned i = 0; i < JAIL_PARTS_N && n < size; i++)
        if (!(r->have & (1u << i)))
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", part_names[i]);
    return out;
}
