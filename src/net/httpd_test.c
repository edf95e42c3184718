#include "net/httpd.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"
#include "net/http.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/un.h>

#include <cmocka.h>

/* ---- the server under test ---- */

struct world {
    struct httpd *server;
    char dir[64], path[96];
    atomic_uint runs, done;
    atomic_uint news;     /* what the long poll waits for */
    pthread_mutex_t gate; /* /slow waits for it */
};

static int echo(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->body = rq->body;
    an->type = "application/octet-stream";
    return 0;
}

static int slow(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct world *w = rq->ctx;
    pthread_mutex_lock(&w->gate);
    pthread_mutex_unlock(&w->gate);
    an->body = STR("{}");
    return 0;
}

static int show(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->body = arena_strf(rq->a, STR_FMT "|" STR_FMT "|" STR_FMT "|%d", STR_ARG(rq->param[0]), STR_ARG(rq->param[1]),
                          STR_ARG(httpd_query(rq, "q")), rq->ucred.pid == getpid());
    return 0;
}

static int refuse(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->hint = "do better";
    return err_set(e, ENOENT, "no such \"thing\"");
}

static int poll_news(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct world *w = rq->ctx;
    atomic_fetch_add(&w->runs, 1);
    uint64_t have = 0, wait = 20000;
    if (httpd_query_u64(rq, "have", 0, UINT32_MAX, &have, e) < 0 || httpd_query_u64(rq, "ms", 0, 60000, &wait, e) < 0)
        return -e->code;
    if (atomic_load(&w->news) == have && !rq->expired)
        return httpd_park(rq, 2, rq->arrived + (int64_t)wait * 1000);
    an->body = arena_strf(rq->a, "%u %d", atomic_load(&w->news), rq->expired);
    return 0;
}

static int inline_then_deferred(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    if (!rq->deferred && httpd_query(rq, "defer").p)
        return httpd_defer(rq);
    an->body = rq->deferred ? STR("deferred") : STR("inline");
    return 0;
}

static int spool(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct str s;
    int r = fs_read_fd(rq->a, rq->body_fd, 64u << 20, &s, e);
    if (r < 0)
        return r;
    an->fd = dup(rq->body_fd);
    an->fd_size = rq->body_size;
    return s.n == rq->body_size ? 0 : err_set(e, EIO, "short");
}

static int authorize(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    if (rq->route->permission && !str_eqc(httpd_header(rq, "Authorization"), "Bearer good"))
        return err_set(e, EKEYREJECTED, "who are you?");
    return 0;
}

static void done(struct httpd_request *rq, int status)
{
    struct world *w = rq->ctx;
    atomic_fetch_add(&w->done, 1);
}

static const struct httpd_route routes[] = {
    {"POST", "/echo", echo, 0, 0, 1u << 20},
    {"POST", "/secret", echo, 1, 0, 8u << 20},
    {"GET", "/slow", slow, 0, 0, 0},
    {"GET", "/a/{x}/b/{y}", show, 0, 0, 0},
    {"GET", "/fail", refuse, 0, 0, 0},
    {"GET", "/news", poll_news, 0, 0, 0},
    {"POST", "/inline", inline_then_deferred, 0, HTTPD_INLINE, 100},
    {"PUT", "/spool", spool, 1, HTTPD_SPOOL, 48u << 20},
};

static int listen_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static int start(void **state, int64_t request_timeout)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err e = ERR_INIT;
    snprintf(w->dir, sizeof(w->dir), "/tmp/bh-httpd-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
    pthread_mutex_init(&w->gate, NULL);
    struct httpd_opts o = {.listen_fd = listen_unix(w->path),
                           .routes = routes,
                           .routes_n = ARRAY_LEN(routes),
                           .ctx = w,
                           .authorize = authorize,
                           .done = done,
                           .workers = 2,
                           .request_timeout = request_timeout};
    if (httpd_start(&o, &w->server, &e) < 0)
        fail_msg("%s", e.msg);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return start(state, 60 * TIME_SECOND);
}

static int setup_impatient(void **state)
{
    return start(state, 2 * TIME_SECOND);
}

static int teardown(void **state)
{
    struct world *w = *state;
    httpd_stop(w->server);
    fs_remove_tree(w->dir, NULL);
    pthread_mutex_destroy(&w->gate);
    free(w);
    return 0;
}

/* ---- clients ---- */

static int ask(struct world *w, struct arena *a, const char *method, const char *target, struct str body,
               const char *auth, struct str *ret)
{
    struct err e = ERR_INIT;
    struct http_opts o = {.unix_socket = w->path};
    _cleanup_(http_closep) struct http *h = NULL;
    if (http_open(&o, &h, &e) < 0)
        fail_msg("%s", e.msg);
    struct http_header header = {STR("Authorization"), str_c(auth)};
    struct http_request q = {.method = method,
                             .url = arena_printf(a, "http://x%s", target),
                             .body = body,
                             .headers = &header,
                             .headers_n = auth ? 1 : 0,
                             .max_body = 64u << 20};
    struct http_response s = {0};
    if (http_run(h, a, &q, &s, &e) < 0)
        fail_msg("%s", e.msg);
    if (ret)
        *ret = s.body;
    return s.status;
}

static int dial(struct world *w)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, w->path, strlen(w->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

/* Everything until the peer closes, it ends with `end`, or nothing more comes for a while. */
static struct str slurp(struct arena *a, int fd, const char *end)
{
    char *p = arena_alloc(a, 65536);
    size_t n = 0;
    struct pollfd f = {fd, POLLIN, 0};
    while (n < 65535 && !str_ends(str_n(p, n), str_c(end)) && poll(&f, 1, n ? 1000 : 20000) == 1) {
        ssize_t got = read(fd, p + n, 65535 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return str_n(p, n);
}

static struct str raw(struct world *w, struct arena *a, const char *text)
{
    _cleanup_close_ int fd = dial(w);
    struct err e = ERR_INIT;
    assert_int_equal(fs_write_all(fd, text, strlen(text), &e), 0);
    return slurp(a, fd, "}");
}

/* ---- tests ---- */

static void bodies(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    struct str s;
    assert_int_equal(ask(w, a, "POST", "/echo", STR("hello"), NULL, &s), 200);
    assert_true(str_eq(s, STR("hello")));
    char *big = arena_alloc(a, (1u << 20) + 1);
    memset(big, 'x', (1u << 20) + 1);
    assert_int_equal(ask(w, a, "POST", "/echo", str_n(big, 1u << 20), NULL, &s), 200);
    assert_int_equal(s.n, 1u << 20);
    assert_int_equal(ask(w, a, "POST", "/echo", str_n(big, (1u << 20) + 1), NULL, &s), 413);
    /* the same without a length in front: collected, then refused */
    struct buf b = BUF_INIT(4u << 20);
    buf_putz(&b, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
    buf_put(&b, big, (1u << 20) + 1);
    buf_putz(&b, "\r\n0\r\n\r\n");
    s = raw(w, a, buf_cstr(&b));
    buf_fini(&b);
    assert_true(str_starts(s, STR("HTTP/1.1 413")));
    assert_int_equal(ask(w, a, "POST", "/fail", STR("x"), NULL, &s), 405);
}

static void spooled(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    struct str s;
    size_t n = 20u << 20;
    char *big = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 7 >> 3);
    assert_int_equal(ask(w, a, "PUT", "/spool", str_n(big, n), "Bearer good", &s), 200);
    assert_true(str_eq(s, str_n(big, n)));
    /* refused before the body was read */
    assert_int_equal(ask(w, a, "PUT", "/spool", str_n(big, n), "Bearer bad", &s), 401);
    assert_int_equal(ask(w, a, "POST", "/secret", str_n(big, 1u << 20), "Bearer bad", &s), 401);
    assert_int_equal(ask(w, a, "POST", "/secret", str_n(big, 1u << 20), "Bearer good", &s), 200);
}

static void paths(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    static const struct {
        const char *target;
        int status;
        const char *body;
    } cases[] = {
        {"/a/1/b/2", 200, "1|2||1"}, {"/a/1%2F2/b/%41?q=a+b%26c&x=1", 200, "1/2|A|a b&c|1"},
        {"/a/1/b/2/", 404, NULL},    {"/a//b/2", 404, NULL},
        {"//a/1/b/2", 404, NULL},    {"/a/%2e%2e/b/2", 404, NULL},
        {"/a/%00/b/2", 404, NULL},   {"/a/%zz/b/2", 404, NULL},
        {"/a/1/b", 404, NULL},       {"/A/1/b/2", 404, NULL},
        {"/%61/1/b/2", 404, NULL},   {"/news?have=x", 400, NULL},
        {"/echo", 405, NULL},        {"/", 404, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str s;
        print_message("%s\n", cases[i].target);
        assert_int_equal(ask(w, a, "GET", cases[i].target, STR_NONE, NULL, &s), cases[i].status);
        if (cases[i].body)
            assert_true(str_eqc(s, cases[i].body));
    }
}

static void errors_are_json(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct str s;
    assert_int_equal(ask(w, a, "GET", "/fail", STR_NONE, NULL, &s), 404);
    assert_true(str_eqc(
        s, "{\"error\":{\"code\":\"not_found\",\"message\":\"no such \\\"thing\\\"\",\"hint\":\"do better\"}}"));
}

static void ambiguous_requests(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    static const char *const bad[] = {
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        "POST /secret HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bad\r\nAuthorization: Bearer "
        "good\r\nContent-Length: 1\r\n\r\na",
        "GET /echo\r\n\r\n",
        "\1\2\3\4\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct str s = raw(w, a, bad[i]);
        assert_false(str_has(s, STR(" 200 ")));
    }
    struct str s =
        raw(w, a, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_true(str_starts(s, STR("HTTP/1.1 200")));
}

static void keep_alive(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    _cleanup_close_ int fd = dial(w);
    for (int i = 0; i < 5; i++) {
        static const char q[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
        assert_int_equal(fs_write_all(fd, q, sizeof(q) - 1, NULL), 0);
        struct str s = slurp(a, fd, "\r\n\r\nhi");
        assert_true(str_starts(s, STR("HTTP/1.1 200")) && str_ends(s, STR("\r\n\r\nhi")));
    }
}

static void slow_clients_do_not_hold_others(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    int fds[40];
    static const char half[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of a bo";
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial(w);
        assert_int_equal(fs_write_all(fds[i], half, i % 2 ? sizeof(half) - 1 : 20, NULL), 0);
    }
    struct str s;
    assert_int_equal(ask(w, a, "POST", "/echo", STR("fast"), NULL, &s), 200);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) /* it waited for none of them */
        assert_int_equal(poll(&(struct pollfd){fds[i], POLLIN, 0}, 1, 0), 0);
    /* and they are thrown out: headers late after one request timeout, bodies after two */
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        struct pollfd f = {fds[i], POLLIN, 0};
        assert_int_equal(poll(&f, 1, 60000), 1);
        char c;
        while (read(fds[i], &c, 1) == 1)
            ;
        close(fds[i]);
    }
}

struct asker {
    struct world *w;
    const char *target;
    int status;
    char body[64];
    pthread_t thread;
};

static void *asker_run(void *arg)
{
    struct asker *k = arg;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct str s;
    k->status = ask(k->w, a, "GET", k->target, STR_NONE, NULL, &s);
    snprintf(k->body, sizeof(k->body), STR_FMT, STR_ARG(s));
    return NULL;
}

static void slow_handlers_do_not_hold_inline_ones(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct asker k[2] = {{w, "/slow"}, {w, "/slow"}};
    struct str s;
    pthread_mutex_lock(&w->gate);
    for (size_t i = 0; i < 2; i++)
        pthread_create(&k[i].thread, NULL, asker_run, &k[i]);
    assert_int_equal(ask(w, a, "POST", "/inline", STR("x"), NULL, &s), 200);
    assert_true(str_eqc(s, "inline"));
    pthread_mutex_unlock(&w->gate);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(k[i].thread, NULL);
        assert_int_equal(k[i].status, 200);
    }
    assert_int_equal(ask(w, a, "POST", "/inline?defer=1", STR("x"), NULL, &s), 200);
    assert_true(str_eqc(s, "deferred"));
}

static void long_polls_wait_without_a_thread(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct asker k[12];
    struct str s;
    for (size_t i = 0; i < ARRAY_LEN(k); i++) {
        k[i] = (struct asker){w, "/news?have=0"};
        pthread_create(&k[i].thread, NULL, asker_run, &k[i]);
    }
    while (atomic_load(&w->runs) < ARRAY_LEN(k)) /* all looked once */
        sched_yield();
    assert_int_equal(ask(w, a, "POST", "/echo", STR("free"), NULL, &s), 200); /* two workers, twelve polls */
    httpd_wake(w->server, 1);                                                 /* another topic: nobody runs */
    atomic_fetch_add(&w->news, 1);
    httpd_wake(w->server, 2);
    for (size_t i = 0; i < ARRAY_LEN(k); i++) {
        pthread_join(k[i].thread, NULL);
        assert_int_equal(k[i].status, 200);
        assert_string_equal(k[i].body, "1 0");
    }
    assert_int_equal(ask(w, a, "GET", "/news?have=1&ms=50", STR_NONE, NULL, &s), 200);
    assert_true(str_eqc(s, "1 1"));
}

static void stop_answers_what_is_parked(void **state)
{
    struct world *w = *state;
    struct asker k = {w, "/news?have=0"};
    unsigned before = atomic_load(&w->runs);
    atomic_store(&w->news, 0);
    pthread_create(&k.thread, NULL, asker_run, &k);
    while (atomic_load(&w->runs) == before)
        sched_yield();
    httpd_stop(w->server);
    w->server = NULL;
    pthread_join(k.thread, NULL);
    assert_true(k.status == 200 || k.status == 503);
}

/* Sends requests on one connection until the server ends it. */
static void *go_on(void *arg)
{
    struct world *w = arg;
    static const char q[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    char got[512];
    _cleanup_close_ int fd = dial(w);
    while (send(fd, q, sizeof(q) - 1, MSG_NOSIGNAL) == sizeof(q) - 1 && recv(fd, got, sizeof(got), 0) > 0)
        atomic_fetch_add(&w->runs, 1);
    return NULL;
}

static void stop_while_clients_go_on(void **state)
{
    struct world *w = *state;
    pthread_t t[8];
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_create(&t[i], NULL, go_on, w);
    while (atomic_load(&w->runs) < 100)
        sched_yield();
    httpd_stop(w->server);
    w->server = NULL;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
}

static void matching(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str p[HTTPD_PARAMS_MAX];
    bool other;
    assert_non_null(httpd_match(routes, ARRAY_LEN(routes), a, STR("GET"), STR("/a/x/b/y"), p, &other));
    assert_true(str_eqc(p[1], "y"));
    assert_null(httpd_match(routes, ARRAY_LEN(routes), a, STR("PUT"), STR("/echo"), p, &other));
    assert_true(other);
    assert_null(httpd_match(routes, ARRAY_LEN(routes), a, STR("GET"), STR("/b"), p, &other));
    assert_false(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matching),
        cmocka_unit_test_setup_teardown(bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(spooled, setup, teardown),
        cmocka_unit_test_setup_teardown(paths, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_json, setup, teardown),
        cmocka_unit_test_setup_teardown(ambiguous_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(keep_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_clients_do_not_hold_others, setup_impatient, teardown),
        cmocka_unit_test_setup_teardown(slow_handlers_do_not_hold_inline_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(long_polls_wait_without_a_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_answers_what_is_parked, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_while_clients_go_on, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
