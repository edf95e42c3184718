#include "net/httpd_internal.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define RATE_MIN  (64 * 1024) /* bytes a second that a body must move in the long run */
#define DRAIN_MAX (64u << 20) /* of a refused body */

/* ---- the peer ---- */

static int peer_cert(gnutls_session_t s, struct conn *k)
{
    unsigned n = 0, status = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(s, &n);
    if (!chain || !n)
        return 0;
    gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT, 0};
    if (gnutls_certificate_verify_peers(s, &purpose, 1, &status) < 0)
        return -EKEYREJECTED;
    /* Expired is told apart from forged; both are refused. */
    if (status & ~(unsigned)(GNUTLS_CERT_INVALID | GNUTLS_CERT_EXPIRED))
        return -EKEYREJECTED;
    gnutls_x509_crt_t crt;
    if (gnutls_x509_crt_init(&crt) < 0)
        return -EKEYREJECTED;
    unsigned char serial[32];
    size_t serial_n = sizeof(serial), name_n = sizeof(k->name);
    int r = -EKEYREJECTED;
    if (gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
        gnutls_x509_crt_get_serial(crt, serial, &serial_n) >= 0 &&
        gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, k->name, &name_n) >= 0) {
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < serial_n; i++) {
            k->serial[2 * i] = digits[serial[i] >> 4];
            k->serial[2 * i + 1] = digits[serial[i] & 15];
        }
        k->cert = (struct httpd_peer_cert){str_n(k->serial, 2 * serial_n), str_n(k->name, name_n),
                                           gnutls_x509_crt_get_expiration_time(crt) * TIME_SECOND};
        r = status && !(status & GNUTLS_CERT_EXPIRED) ? -EKEYREJECTED : 1;
    }
    gnutls_x509_crt_deinit(crt);
    return r;
}

static void identify(struct call *c)
{
    struct conn *k = c->conn;
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "";
    if (c->h->is_unix) {
        socklen_t n = sizeof(c->rq.ucred);
        if (!k || getsockopt(k->fd, SOL_SOCKET, SO_PEERCRED, &c->rq.ucred, &n))
            c->rq.ucred = (struct ucred){0, (uid_t)-1, (gid_t)-1};
        c->rq.peer = STR("unix");
    } else if (i && i->client_addr) {
        const struct sockaddr *sa = i->client_addr;
        inet_ntop(sa->sa_family,
                  sa->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr
                                            : (const void *)&((const struct sockaddr_in *)sa)->sin_addr,
                  text, sizeof(text));
        c->rq.peer = arena_str(c->rq.a, str_c(text));
    }
    if (!c->h->o.tls || !tls_server_client_ca(c->h->o.tls) || !k)
        return;
    if (!k->cert_known) {
        i = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        k->cert_error = i ? peer_cert(i->tls_session, k) : -EKEYREJECTED;
        k->cert_known = true;
    }
    c->rq.cert = k->cert_error == 1 ? &k->cert : NULL;
}

/* ---- answers ---- */

static enum MHD_Result send_answer(struct call *c)
{
    struct httpd_answer *an = &c->an;
    struct MHD_Response *r;
    c->state = CALL_ANSWERED;
    c->status = an->status ? an->status : 200;
    if (an->fd >= 0)
        r = MHD_create_response_from_fd64(an->fd_size, an->fd); /* owns the descriptor */
    else
        r = MHD_create_response_from_buffer(an->body.n, (void *)(an->body.n ? an->body.p : ""), MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    an->fd = -1;
    const char *type = an->type ? an->type : "application/json";
    bool cache = false;
    for (unsigned i = 0; i < an->headers_n; i++) {
        MHD_add_response_header(r, an->header[i].name, an->header[i].value);
        cache |= str_ieq(str_c(an->header[i].name), STR("Cache-Control"));
    }
    if (c->status != 304 && c->status != 204)
        MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (!cache)
        MHD_add_response_header(r, "Cache-Control", "no-store");
    if (!c->h->is_unix) {
        MHD_add_response_header(r, "Strict-Transport-Security", "max-age=31536000");
        MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
        MHD_add_response_header(
            r, "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'");
        MHD_add_response_header(r, "X-Frame-Options", "DENY");
    }
    if (httpd_stopping(c->h) || c->failed)
        MHD_add_response_header(r, "Connection", "close");
    uint64_t size = an->fd_size > an->body.n ? an->fd_size : an->body.n;
    httpd_deadline(c, time_monotonic() + 2 * c->h->o.request_timeout + (int64_t)(size / RATE_MIN) * TIME_SECOND);
    enum MHD_Result ok = MHD_queue_response(c->mhd, (unsigned)c->status, r);
    MHD_destroy_response(r);
    return ok;
}

/* An answer before the body was read: most clients only read it once they could send everything, so we read on for
 * them, unless they wait for "100 Continue" or have too much. */
static enum MHD_Result answer_early(struct call *c)
{
    c->failed = true;
    if (!c->has_body || httpd_header(&c->rq, "Expect").p || c->announced > DRAIN_MAX)
        return send_answer(c);
    c->draining = true;
    c->state = CALL_COLLECTING;
    return MHD_YES;
}

static enum MHD_Result refuse(struct call *c, int status, const char *message, const char *hint)
{
    struct err e = ERR_INIT;
    c->an.status = status;
    c->an.hint = hint;
    httpd_fail(c, err_set(&e, EINVAL, "%s", message), &e);
    return answer_early(c);
}

/* ---- running ---- */

static void resume(struct call *c)
{
    struct httpd *h = c->h;
    MHD_resume_connection(c->mhd); /* c may be gone from here on */
    atomic_fetch_sub(&h->calls, 1);
}

static int authorize(struct call *c, struct err *e)
{
    if (c->authorized || !c->h->o.authorize)
        return 0;
    int r = c->h->o.authorize(&c->rq, &c->an, e);
    c->authorized = r >= 0;
    return r;
}

/* The handler, wherever we are; false when it parked or deferred. */
static int handle(struct call *c)
{
    struct err e = ERR_INIT;
    for (unsigned t = 0; t < HTTPD_TOPICS; t++)
        c->seen[t] = atomic_load(&c->h->wakes[t]);
    int r = authorize(c, &e);
    if (r >= 0)
        r = c->rq.route->handler(&c->rq, &c->an, &e);
    if (r == HTTPD_PARKED && (atomic_load(&c->h->stopping) || (c->rq.expired && time_monotonic() >= c->park_until)))
        r = err_set(&e, EAGAIN, "the server is stopping");
    if (r < 0)
        httpd_fail(c, r, &e);
    return r < 0 ? 0 : r;
}

void httpd_run(void *arg)
{
    struct call *c = arg;
    if (c->state == CALL_AUTHORIZING) {
        struct err e = ERR_INIT;
        int r = authorize(c, &e);
        if (r < 0) {
            c->failed = true;
            httpd_fail(c, r, &e);
        }
        resume(c);
        return;
    }
    if (handle(c) == HTTPD_PARKED)
        httpd_park_call(c);
    else
        resume(c);
}

static enum MHD_Result dispatch(struct call *c, enum call_state state)
{
    unsigned calls = atomic_load(&c->h->calls);
    do
        if (calls & HTTPD_CLOSED)
            return MHD_NO; /* a further request on a connection kept alive: too late */
    while (!atomic_compare_exchange_weak(&c->h->calls, &calls, calls + 1));
    c->state = state;
    httpd_deadline(c, TIME_NEVER);
    MHD_suspend_connection(c->mhd);
    if (pool_run(c->h->pool, httpd_run, c))
        return MHD_YES;
    struct err e = ERR_INIT;
    c->failed = true;
    c->an.hint = "try again in a moment";
    httpd_fail(c, err_set(&e, EAGAIN, "the server is busy"), &e);
    resume(c);
    return MHD_YES;
}

static enum MHD_Result complete(struct call *c)
{
    if (c->draining)
        return send_answer(c);
    c->rq.body = buf_str(&c->body);
    if (c->rq.body_fd >= 0)
        lseek(c->rq.body_fd, 0, SEEK_SET);
    else
        c->rq.body_size = c->body.n;
    if (!(c->rq.route->flags & HTTPD_INLINE))
        return dispatch(c, CALL_RUNNING);
    if (handle(c) == HTTPD_DONE)
        return send_answer(c);
    c->rq.deferred = true;
    return dispatch(c, CALL_RUNNING);
}

/* ---- collecting ---- */

static enum MHD_Result each_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct call *c = ctx;
    if (c->headers_n == HTTPD_HEADERS_MAX) {
        c->failed = true;
        return MHD_NO;
    }
    struct str n = arena_str(c->rq.a, str_c(name)), v = arena_str(c->rq.a, str_c(value));
    static const char *const once[] = {"Authorization",    "Content-Length",    "Content-Type",
                                       "Content-Encoding", "Transfer-Encoding", "Host"};
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        if (str_ieq(n, str_c(once[i])) && httpd_pair(c->headers, c->headers_n, n, true))
            c->failed = true;
    c->headers[c->headers_n++] = (struct pair){n, v};
    return MHD_YES;
}

static int spool_open(struct call *c)
{
    c->rq.body_fd = open(c->h->spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return c->rq.body_fd < 0 ? -errno : 0;
}

/* Headers are complete. */
static enum MHD_Result begin(struct call *c, const char *method)
{
    struct httpd *h = c->h;
    int64_t now = time_monotonic();
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    c->conn = i ? i->socket_context : NULL;
    c->rq.arrived = now;
    c->state = CALL_COLLECTING;
    httpd_deadline(c, now + 2 * h->o.request_timeout);
    c->head = !strcmp(method, "HEAD");
    c->rq.method = c->head ? STR("GET") : arena_str(c->rq.a, str_c(method));
    c->headers = arena_array(c->rq.a, HTTPD_HEADERS_MAX, sizeof(*c->headers));
    MHD_get_connection_values(c->mhd, MHD_HEADER_KIND, each_header, c);
    identify(c);
    if (c->failed)
        return refuse(c, 400, "too many headers, or one twice that may be there once", NULL);
    struct str length = httpd_header(&c->rq, "Content-Length"), coding = httpd_header(&c->rq, "Transfer-Encoding");
    uint64_t size = 0;
    if (length.p && (coding.p || str_u64(length, &size) < 0))
        return refuse(c, 400, "the length of the body is ambiguous", NULL);
    c->has_body = coding.p || size;
    c->announced = size;
    bool other;
    c->rq.route = httpd_match(h->o.routes, h->o.routes_n, c->rq.a, c->rq.method, c->rq.path, c->rq.param, &other);
    if (!c->rq.route)
        return other ? refuse(c, 405, "this path does not take that method", NULL)
                     : refuse(c, 404, "there is nothing at this path", NULL);
    if (size > c->rq.route->body_max || (coding.p && !c->rq.route->body_max))
        return refuse(c, 413, "the body is larger than this request may have", NULL);
    if (!c->has_body)
        return MHD_YES;
    if (c->rq.route->flags & HTTPD_SPOOL) {
        if (spool_open(c) < 0)
            return refuse(c, 503, "no room for the body", NULL);
    } else {
        c->body.max = c->rq.route->body_max;
    }
    if (h->o.authorize && !(c->rq.route->flags & HTTPD_INLINE) && c->rq.route->body_max > HTTPD_EARLY_BODY)
        return dispatch(c, CALL_AUTHORIZING);
    return MHD_YES;
}

static enum MHD_Result collect(struct call *c, const char *p, size_t n)
{
    struct httpd *h = c->h;
    c->rq.body_size += n;
    if (!c->draining && c->rq.body_size > c->rq.route->body_max) {
        struct err e = ERR_INIT;
        c->failed = c->draining = true;
        httpd_fail(c, err_set(&e, E2BIG, "the body is larger than this request may have"), &e);
    }
    if (c->draining)
        return c->rq.body_size > DRAIN_MAX ? MHD_NO : MHD_YES;
    httpd_deadline(c, c->rq.arrived + 2 * h->o.request_timeout + (int64_t)(c->rq.body_size / RATE_MIN) * TIME_SECOND);
    if (c->rq.body_fd >= 0)
        return fs_write_all(c->rq.body_fd, p, n, NULL) < 0 ? MHD_NO : MHD_YES;
    if (atomic_fetch_add(&h->bodies, n) + n > h->o.bodies_max) {
        atomic_fetch_sub(&h->bodies, n);
        return MHD_NO; /* the connection ends: the client comes again later */
    }
    c->accounted += n;
    return buf_put(&c->body, p, n) ? MHD_YES : MHD_NO;
}

enum MHD_Result httpd_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **con_cls)
{
    struct call *c = *con_cls;
    (void)cls, (void)url, (void)version;
    if (!c)
        return MHD_NO;
    c->mhd = mhd;
    switch (c->state) {
    case CALL_NEW:
        return begin(c, method);
    case CALL_AUTHORIZING:
        if (c->failed)
            return answer_early(c);
        c->state = CALL_COLLECTING;
        httpd_deadline(c, time_monotonic() + 2 * c->h->o.request_timeout);
        c->rq.arrived = time_monotonic();
        if (!*size)
            return MHD_YES; /* resumed in the first call, which libmicrohttpd then repeats */
        break;
    case CALL_RUNNING:
        return send_answer(c);
    case CALL_PARKED:
        return MHD_NO;
    case CALL_COLLECTING:
        break;
    case CALL_ANSWERED:
        *size = 0;
        return MHD_YES;
    }
    if (*size) {
        size_t n = *size;
        *size = 0;
        return collect(c, data, n);
    }
    return complete(c);
}

/* The raw target, before anything was decoded; makes the call. */
void *httpd_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    (void)mhd;
    c->h = cls;
    c->an.fd = c->rq.body_fd = -1;
    c->rq.a = arena_new(LIMIT_REQUEST_ARENA);
    c->rq.server = c->h;
    c->rq.ctx = c->h->o.ctx;
    struct str path, query;
    str_split(arena_str(c->rq.a, str_c(uri)), '?', &path, &query);
    c->rq.path = path;
    httpd_parse_query(c, query);
    return c;
}

void httpd_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode code)
{
    struct call *c = *con_cls;
    (void)cls, (void)mhd, (void)code;
    if (!c)
        return;
    *con_cls = NULL;
    if (c->h->o.done && c->state != CALL_NEW)
        c->h->o.done(&c->rq, c->status);
    httpd_deadline(c, time_monotonic() + HTTPD_KEEPALIVE);
    atomic_fetch_sub(&c->h->bodies, c->accounted);
    buf_fini(&c->body);
    if (c->rq.body_fd >= 0)
        close(c->rq.body_fd);
    if (c->an.fd >= 0)
        close(c->an.fd);
    arena_free(c->rq.a);
    free(c);
}

void httpd_on_connection(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;
    struct conn *k = *ctx;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        if (!(k = calloc(1, sizeof(*k))))
            abort();
        const union MHD_ConnectionInfo *i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        k->fd = i ? i->connect_fd : -1;
        k->deadline = time_monotonic() + h->o.request_timeout;
        pthread_mutex_lock(&h->lock);
        k->next = h->conns;
        if (h->conns)
            h->conns->prev = k;
        h->conns = k;
        pthread_mutex_unlock(&h->lock);
        *ctx = k;
    } else if (k) {
        pthread_mutex_lock(&h->lock);
        *(k->prev ? &k->prev->next : &h->conns) = k->next;
        if (k->next)
            k->next->prev = k->prev;
        pthread_mutex_unlock(&h->lock);
        free(k);
        *ctx = NULL;
    }
}
