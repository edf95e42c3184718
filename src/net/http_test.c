/* The client against real servers: ours over TLS with certificates of real authorities, and raw ones that misbehave. */
#include "net/http.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "net/httpd.h"
#include "net/pki.h"
#include "net/tls.h"
#include "net/tls_peek.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/un.h>

#include <cmocka.h>

/* ---- servers ---- */

struct world {
    char dir[64];
    struct arena *a;
    struct pki *pki, *other;
    struct httpd *server;
    struct tls_server *tls;
    char url[128];
    pthread_mutex_t gate;
};

static int echo(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->type = "application/octet-stream";
    an->body = rq->body;
    return 0;
}

static int agent(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->body = arena_strf(rq->a, STR_FMT "|" STR_FMT "|" STR_FMT, STR_ARG(httpd_header(rq, "User-Agent")),
                          STR_ARG(httpd_header(rq, "X-Test")), STR_ARG(rq->cert ? rq->cert->name : STR("nobody")));
    httpd_answer_header(rq, an, "X-Answer", "yes");
    return 0;
}

static int big(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->body = str_n(arena_alloc(rq->a, 1u << 20), 1u << 20);
    return 0;
}

static int hang(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct world *w = rq->ctx;
    pthread_mutex_lock(&w->gate);
    pthread_mutex_unlock(&w->gate);
    return 0;
}

static int missing(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->hint = "ask for another";
    return err_set(e, ENOENT, "no such thing");
}

static int redirect(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->status = 302;
    httpd_answer_header(rq, an, "Location", "/fail");
    return 0;
}

static const struct httpd_route routes[] = {
    {"POST", "/echo", echo, 0, 0, 1u << 20}, {"GET", "/agent", agent, 0, 0, 0},
    {"GET", "/big", big, 0, 0, 0},           {"GET", "/hang", hang, 0, 0, 0},
    {"GET", "/fail", missing, 0, 0, 0},      {"GET", "/redirect", redirect, 0, 0, 0},
};

static int sub(struct world *w, const char *name, struct pki **ret)
{
    return pki_open(arena_printf(w->a, "%s/%s", w->dir, name), ret, NULL);
}

/* A server of authority p with the names given, on a port of its own. */
static void start(struct world *w, struct pki *p, const char *folder, const struct str *names, size_t n, int64_t life)
{
    struct err e = ERR_INIT;
    struct str key;
    struct pki_cert cert;
    const char *dir = arena_printf(w->a, "%s/%s", w->dir, folder);
    assert_int_equal(fs_mkdirs(dir, 0700, &e), 0);
    if (pki_server(p, w->a, dir, names, n, life, &key, &cert, &e) < 0)
        fail_msg("%s", e.msg);
    struct str chain = arena_strf(w->a, STR_FMT "\n" STR_FMT, STR_ARG(cert.pem), STR_ARG(pki_ca(p)));
    assert_int_equal(tls_server_new(chain, key, pki_ca(p), &w->tls, &e), 0);
    struct httpd_opts o = {.listen = "127.0.0.1:0",
                           .listen_fd = -1,
                           .tls = w->tls,
                           .routes = routes,
                           .routes_n = ARRAY_LEN(routes),
                           .ctx = w};
    if (httpd_start(&o, &w->server, &e) < 0)
        fail_msg("%s", e.msg);
    snprintf(w->url, sizeof(w->url), "https://127.0.0.1:%u", httpd_port(w->server));
}

static void stop(struct world *w)
{
    httpd_stop(w->server);
    tls_server_free(w->tls);
    w->server = NULL;
    w->tls = NULL;
}

static int setup(void **state)
{
    static const struct str names[] = {{"127.0.0.1", 9}, {"localhost", 9}};
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->dir, sizeof(w->dir), "/tmp/bulkhead-http-XXXXXX");
    if (!mkdtemp(w->dir))
        return -1;
    w->a = arena_new(64u << 20);
    pthread_mutex_init(&w->gate, NULL);
    if (sub(w, "ca", &w->pki) < 0 || sub(w, "other", &w->other) < 0)
        return -1;
    start(w, w->pki, "server", names, 2, TIME_DAY);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    stop(w);
    pki_close(w->pki);
    pki_close(w->other);
    fs_remove_tree(w->dir, NULL);
    arena_free(w->a);
    free(w);
    return 0;
}

static struct http *client(struct world *w, struct str ca)
{
    struct http *h = NULL;
    struct err e = ERR_INIT;
    struct http_opts o = {.ca = ca};
    if (http_open(&o, &h, &e) < 0)
        fail_msg("%s", e.msg);
    return h;
}

static int run(struct world *w, struct http *h, struct http_request q, const char *path, struct http_response *s,
               struct err *e)
{
    q.url = arena_printf(w->a, "%s%s", w->url, path);
    return http_run(h, w->a, &q, s, e);
}

#define assert_fails(r, code, e, text)                                                                                 \
    do {                                                                                                               \
        if ((r) != -(code) || !strstr((e).msg, text))                                                                  \
            fail_msg("%d: %s", (r), (e).msg);                                                                          \
    } while (0)

/* ---- verified, always ---- */

static void test_good(void **state)
{
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    struct http_header headers[] = {{STR("X-Test"), STR("a b")}};
    struct http_request q = {.headers = headers, .headers_n = 1};
    struct http_response s;
    struct err e = ERR_INIT;
    for (int i = 0; i < 3; i++) {
        if (run(w, h, q, "/agent", &s, &e) < 0)
            fail_msg("%s", e.msg);
        assert_int_equal(s.status, 200);
        assert_true(str_eqc(s.body, "bulkhead/" BULKHEAD_VERSION "|a b|nobody"));
        assert_true(str_eqc(http_header(&s, "x-ANSWER"), "yes"));
        assert_null(http_header(&s, "absent").p);
    }
    q = (struct http_request){.body = STR("hello")};
    assert_int_equal(run(w, h, q, "/echo", &s, &e), 0);
    assert_true(str_eqc(s.body, "hello"));
    q.body = STR(""); /* a body of no bytes is a body */
    assert_int_equal(run(w, h, q, "/echo", &s, &e), 0);
    assert_int_equal(s.status, 200);
    assert_int_equal(s.body.n, 0);
}

static void test_wrong_ca(void **state)
{
    struct world *w = *state;
    struct http_response s;
    struct err e = ERR_INIT;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->other));
    assert_fails(run(w, h, (struct http_request){0}, "/agent", &s, &e), EKEYREJECTED, e, "certificate");
    _cleanup_(http_closep) struct http *sys = client(w, STR_NONE); /* the system store does not know it either */
    assert_fails(run(w, sys, (struct http_request){0}, "/agent", &s, &e), EKEYREJECTED, e, "certificate");
}

static void test_wrong_name(void **state)
{
    struct world *w = *state;
    static const struct str names[] = {{"console.example", 15}, {"10.9.8.7", 8}};
    struct http_response s;
    struct err e = ERR_INIT;
    stop(w);
    start(w, w->pki, "elsewhere", names, 2, TIME_DAY);
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    assert_fails(run(w, h, (struct http_request){0}, "/agent", &s, &e), EKEYREJECTED, e, "certificate");
}

static void test_expired(void **state)
{
    struct world *w = *state;
    static const struct str names[] = {{"127.0.0.1", 9}};
    struct http_response s;
    struct err e = ERR_INIT;
    stop(w);
    start(w, w->pki, "expired", names, 1, -TIME_SECOND);
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    assert_fails(run(w, h, (struct http_request){0}, "/agent", &s, &e), EKEYREJECTED, e, "certificate");
}

static void test_client_certificate(void **state)
{
    struct world *w = *state;
    struct pki_cert cert;
    struct str key, csr;
    struct http_response s;
    struct err e = ERR_INIT;
    assert_int_equal(pki_key(w->a, &key, &e), 0);
    assert_int_equal(pki_request(w->a, key, "x", &csr, &e), 0);
    assert_int_equal(pki_sign_agent(w->pki, w->a, csr, STR("agent-7"), TIME_DAY, &cert, &e), 0);
    struct http_opts o = {.ca = pki_ca(w->pki), .cert = cert.pem, .key = key};
    _cleanup_(http_closep) struct http *h = NULL;
    assert_int_equal(http_open(&o, &h, &e), 0);
    if (run(w, h, (struct http_request){0}, "/agent", &s, &e) < 0)
        fail_msg("%s", e.msg);
    assert_true(str_ends(s.body, STR("|agent-7")));
    struct http *bad = NULL;
    o.key = STR_NONE;
    assert_int_equal(http_open(&o, &bad, &e), -EINVAL);
    o.ca = STR("no certificate");
    assert_int_equal(http_open(&o, &bad, &e), -EINVAL);
    o = (struct http_opts){.ca_file = "/nonexistent/ca.pem"};
    assert_int_equal(http_open(&o, &bad, &e), -ENOENT);
}

static void test_no_cleartext(void **state)
{
    static const char *const urls[] = {"http://example.org/",
                                       "http://localhost@example.org/",
                                       "http://localhost.example.org/",
                                       "ftp://localhost/",
                                       "file:///etc/passwd",
                                       "localhost",
                                       "https://a b/"};
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, STR_NONE);
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct http_request q = {.url = urls[i]};
        struct http_response s;
        struct err e = ERR_INIT;
        assert_int_equal(http_run(h, w->a, &q, &s, &e), -EINVAL);
    }
    struct http_header split[] = {{STR("X"), STR("a\r\nEvil: 1")}};
    struct http_response s;
    struct err e = ERR_INIT;
    assert_int_equal(run(w, h, (struct http_request){.headers = split, .headers_n = 1}, "/agent", &s, &e), -EINVAL);
}

/* ---- bounds ---- */

static int count_sink(void *ctx, const void *p, size_t n, struct err *e)
{
    *(size_t *)ctx += n;
    return *(size_t *)ctx > 500000 ? err_set(e, ENOSPC, "enough") : 0;
}

static void test_caps(void **state)
{
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    struct http_response s;
    struct err e = ERR_INIT;
    size_t got = 0;
    assert_fails(run(w, h, (struct http_request){.max_body = 1000}, "/big", &s, &e), E2BIG, e, "limit of 1000");
    assert_int_equal(run(w, h, (struct http_request){.max_body = 1u << 20}, "/big", &s, &e), 0);
    assert_int_equal(s.body.n, 1u << 20);
    struct http_request q = {.sink = count_sink, .sink_ctx = &got, .max_body = UINT64_MAX};
    assert_fails(run(w, h, q, "/big", &s, &e), ENOSPC, e, "enough");
    got = 0; /* an error's body does not reach the sink */
    assert_int_equal(run(w, h, q, "/fail", &s, &e), 0);
    assert_int_equal(got, 0);
    assert_int_equal(s.status, 404);
    assert_int_equal(http_check(&s, &e), -ENOENT);
    assert_string_equal(e.msg, "no such thing (status 404)");
    assert_true(str_eqc(http_problem(w->a, &s, "hint"), "ask for another"));
    assert_int_equal(run(w, h, (struct http_request){0}, "/redirect", &s, &e), 0);
    assert_int_equal(s.status, 302); /* not followed */
}

static ssize_t give(void *ctx, void *p, size_t n, struct err *e)
{
    size_t *left = ctx;
    n = n > *left ? *left : n > 1000 ? 1000 : n;
    memset(p, 'x', n);
    *left -= n;
    return (ssize_t)n;
}

static void test_upload(void **state)
{
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    struct http_response s;
    struct err e = ERR_INIT;
    for (int known = 0; known < 2; known++) {
        size_t left = 100000;
        struct http_request q = {.read = give, .read_ctx = &left, .read_size = known ? 100000 : -1};
        assert_int_equal(run(w, h, q, "/echo", &s, &e), 0);
        assert_int_equal(s.body.n, 100000);
    }
}

static void test_slow(void **state)
{
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    struct http_response s;
    struct err e = ERR_INIT;
    pthread_mutex_lock(&w->gate);
    assert_fails(run(w, h, (struct http_request){.idle_timeout = 200000}, "/hang", &s, &e), ETIMEDOUT, e,
                 "nothing came");
    assert_fails(run(w, h, (struct http_request){.total_timeout = 200000}, "/hang", &s, &e), ETIMEDOUT, e, "/hang");
    pthread_mutex_unlock(&w->gate);
    assert_int_equal(run(w, h, (struct http_request){0}, "/agent", &s, &e), 0); /* usable again */
}

static void *cancel(void *h)
{
    http_cancel(h);
    return NULL;
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    struct http_response s;
    struct err e = ERR_INIT;
    pthread_t t;
    pthread_mutex_lock(&w->gate);
    assert_int_equal(pthread_create(&t, NULL, cancel, h), 0);
    assert_int_equal(run(w, h, (struct http_request){0}, "/hang", &s, &e), -ECANCELED);
    pthread_join(t, NULL);
    pthread_mutex_unlock(&w->gate);
    http_uncancel(h);
    assert_int_equal(run(w, h, (struct http_request){0}, "/agent", &s, &e), 0);
}

static void test_refused(void **state)
{
    struct world *w = *state;
    _cleanup_(http_closep) struct http *h = client(w, pki_ca(w->pki));
    struct http_request q = {.url = "https://127.0.0.1:1/"};
    struct http_response s;
    struct err e = ERR_INIT;
    assert_fails(http_run(h, w->a, &q, &s, &e), ECONNREFUSED, e, "GET https://127.0.0.1:1/");
    struct http_opts o = {.unix_socket = "/nonexistent/socket"};
    _cleanup_(http_closep) struct http *u = NULL;
    assert_int_equal(http_open(&o, &u, &e), 0);
    q.url = "http://docker/_ping";
    assert_int_equal(http_run(u, w->a, &q, &s, &e), -ECONNREFUSED);
}

/* ---- raw servers on a unix socket ---- */

struct raw {
    int fd;
    struct str answer;
};

static void *raw_server(void *arg)
{
    struct raw *raw = arg;
    char request[4096];
    _cleanup_close_ int c = accept4(raw->fd, NULL, NULL, SOCK_CLOEXEC);
    ssize_t n = read(c, request, sizeof(request));
    if (n > 0)
        send(c, raw->answer.p, raw->answer.n, MSG_NOSIGNAL);
    return NULL;
}

static int raw_run(struct world *w, struct str answer, struct http_response *s, struct err *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct raw raw = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), answer};
    pthread_t t;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/raw", w->dir);
    unlink(addr.sun_path);
    assert_int_equal(bind(raw.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(raw.fd, 1), 0);
    assert_int_equal(pthread_create(&t, NULL, raw_server, &raw), 0);
    struct http_opts o = {.unix_socket = addr.sun_path};
    struct http_request q = {.url = "http://engine/x"};
    _cleanup_(http_closep) struct http *h = NULL;
    assert_int_equal(http_open(&o, &h, e), 0);
    int r = http_run(h, w->a, &q, s, e);
    http_close(TAKE(h));
    pthread_join(t, NULL);
    close(raw.fd);
    return r;
}

static void test_misbehaving(void **state)
{
    struct world *w = *state;
    struct http_response s;
    struct err e = ERR_INIT;
    char *many = arena_alloc(w->a, 200000);
    snprintf(many, 200, "HTTP/1.1 200 OK\r\n");
    size_t n = strlen(many);
    while (n < 100000)
        n += (size_t)snprintf(many + n, 100, "X-%zu: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", n);
    assert_int_equal(raw_run(w, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), &s, &e), 0);
    assert_true(str_eqc(s.body, "ok"));
    assert_int_equal(
        raw_run(w, STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), &s, &e), 0);
    assert_int_equal(s.status, 200);
    assert_int_equal(raw_run(w, STR("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort"), &s, &e), -EBADMSG);
    assert_int_equal(raw_run(w, STR("SSH-2.0-OpenSSH\r\n"), &s, &e), -EBADMSG);
    assert_int_equal(raw_run(w, STR(""), &s, &e), -EBADMSG);
    assert_int_equal(raw_run(w, str_n(many, n), &s, &e), -E2BIG);
}

/* ---- looking at a server's authority ---- */

static void test_peek(void **state)
{
    struct world *w = *state;
    struct tls_peek seen;
    struct err e = ERR_INIT;
    char fingerprint[TLS_FINGERPRINT];
    if (tls_peek(w->a, w->url, &seen, &e) < 0)
        fail_msg("%s", e.msg);
    assert_false(seen.trusted);
    assert_int_equal(tls_fingerprint(pki_ca(w->pki), fingerprint, &e), 0);
    assert_string_equal(seen.fingerprint, fingerprint);
    _cleanup_(http_closep) struct http *h = client(w, seen.ca);
    struct http_response s;
    assert_int_equal(run(w, h, (struct http_request){0}, "/agent", &s, &e), 0);
    assert_int_equal(tls_peek(w->a, "https://127.0.0.1:1", &seen, &e), -ECONNREFUSED);
    assert_int_equal(tls_peek(w->a, "http://127.0.0.1", &seen, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        T(good),   T(wrong_ca), T(wrong_name), T(expired), T(client_certificate), T(no_cleartext), T(caps),
        T(upload), T(slow),     T(cancel),     T(refused), T(misbehaving),        T(peek),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
