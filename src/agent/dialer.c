#include "agent/dialer.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/time.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#define HELLO_TIMEOUT_MS 30000

void dialer_gone(const char *why)
{
    if (why)
        log_warn("uplink: %s", why);
    _exit(why != NULL);
}

/* ---- the connection of a thread ---- */

int line_ready(struct line *l, struct dialer *d, struct err *e)
{
    int r = 0;
    pthread_mutex_lock(&d->lock);
    if (d->generation == 0) {
        r = err_set(e, ENOENT, "not enrolled");
    } else if (l->generation != d->generation) {
        struct http_opts opts = {.ca = d->identity.ca,
                                 .cert = d->identity.certificate,
                                 .key = d->identity.key,
                                 .idle_timeout = 90 * TIME_SECOND};
        http_close(TAKE(l->h));
        if (!l->a)
            l->a = arena_new(1u << 20);
        arena_reset(l->a);
        l->address = arena_str(l->a, d->address.n ? d->address : d->identity.address);
        if ((r = http_open(&opts, &l->h, e)) == 0)
            l->generation = d->generation;
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

int line_run(struct line *l, struct arena *a, const char *method, const char *path, const char *type, struct str body,
             struct http_response *ret, struct err *e)
{
    struct http_header headers[] = {{STR("Content-Type"), str_c(type)}};
    struct http_request q = {
        .method = method,
        .url = arena_printf(a, STR_FMT "%s", STR_ARG(l->address), path),
        .headers = headers,
        .headers_n = type ? 1 : 0,
        .body = body,
        .total_timeout = 300 * TIME_SECOND,
    };
    return http_run(l->h, a, &q, ret, e);
}

enum verdict_of_console line_verdict(struct arena *a, int code, const struct http_response *s)
{
    static const char *const refusals[] = {"bad_token", "bad_csr", "certificate_required", "certificate_expired",
                                           "certificate_revoked"};
    if (code < 0) /* no answer at all; a refused TLS handshake is one only for a certificate of ours */
        return code == -EKEYREJECTED ? CONSOLE_REFUSES : CONSOLE_LATER;
    struct str problem = http_problem(a, s, "code");
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (str_eqc(problem, refusals[i]))
            return CONSOLE_REFUSES;
    return str_eqc(problem, "cloned") ? CONSOLE_CLONED : CONSOLE_LATER;
}

/* ---- start ---- */

static void read_hello(struct dialer *d)
{
    struct ipc_message m;
    struct err e = ERR_INIT;
    int r = ipc_wait(&d->down, &m, HELLO_TIMEOUT_MS, &e);
    if (r == 1 && m.type != IPC_hello)
        r = err_set(&e, EBADMSG, "%s instead of hello", ipc_name(m.type));
    if (r != 1)
        dialer_gone(r == 0 ? "no hello from the agent" : e.msg);
    d->address = arena_str(d->a, ipc_get_str(&m));
    d->token = arena_str(d->a, ipc_get_str(&m));
    d->host = arena_str(d->a, ipc_get_str(&m));
    d->machine_id = arena_str(d->a, ipc_get_str(&m));
    if (ipc_end(&m, &e) < 0)
        dialer_gone(e.msg);
}

static void load_identity(struct dialer *d)
{
    struct err e = ERR_INIT;
    int r = identity_load(d->identity_arena, ".", &d->identity, &e);
    if (r == 0)
        d->generation = 1;
    else if (r != -ENOENT)
        log_warn("uplink: the stored identity is not usable: %s", e.msg);
}

static int parse_id(const char *s, unsigned *ret)
{
    uint64_t v;
    if (str_u64(str_c(s), &v) < 0 || v > UINT32_MAX - 1)
        return -EINVAL;
    *ret = (unsigned)v;
    return 0;
}

int dialer_main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    unsigned uid, gid;
    log_setup("bulkhead-agent", LOG_INFO_, false);
    if (argc != 5 || parse_id(argv[3], &uid) < 0 || parse_id(argv[4], &gid) < 0) {
        fprintf(stderr, "bulkhead-agent uplink is started by the agent itself\n");
        return 2;
    }
    _cleanup_close_ int dirfd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dirfd < 0) {
        log_error("uplink: %s: %s", argv[2], strerror(errno));
        return 3;
    }
    if (fcntl(DIALER_FD_DOWN, F_SETFD, FD_CLOEXEC) < 0 || fcntl(DIALER_FD_UP, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "bulkhead-agent uplink is started by the agent itself\n");
        return 2;
    }
    if (dialer_lock_down(dirfd, uid, gid, &e) < 0) {
        log_error("uplink: %s", e.msg);
        return 3;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);

    struct dialer d = {.a = arena_new(LIMIT_IPC_MESSAGE * 2), .identity_arena = arena_new(1u << 20)};
    pthread_mutex_init(&d.lock, NULL);
    pthread_cond_init(&d.enrolled, NULL);
    atomic_init(&d.heartbeat, 30);
    ipc_init(&d.down, DIALER_FD_DOWN, IPC_FROM_R);
    ipc_init(&d.up, DIALER_FD_UP, IPC_FROM_R);
    read_hello(&d);
    load_identity(&d);
    pthread_t up;
    if (pthread_create(&up, NULL, dialer_run_up, &d) != 0)
        dialer_gone("no thread");
    dialer_run_down(&d);
}
