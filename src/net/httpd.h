/* httpd: an HTTP/1.1 server over TLS or an inherited unix socket, on libmicrohttpd.
 *
 * One event thread collects whole requests (bounded: per route, per server, per peer, and in time), suspends the
 * connection, and hands the request to a worker of the pool, which runs straight-line blocking code over the
 * request's arena; the answer resumes the connection. So slow requests never hold up fast ones, and slow clients
 * never hold a worker. Routes are one static table; path parameters are segments `{name}`.
 *
 * A handler returns 0 with the answer filled, or a negative errno with `e` set: that becomes
 * {"error":{"code","message","hint"}} with the status of err_http_status(). It may also return httpd_park(): the
 * connection then waits without a thread until httpd_wake() of one of its topics, or its deadline, runs the handler
 * again from the start (rq->woken, rq->expired tell; long polls are a loop around that).
 *
 * Threads: handlers run concurrently on workers (HTTPD_INLINE ones on the event thread: they must not block).
 * httpd_wake() may be called from any thread. Everything in struct httpd_request lives until the answer is sent.
 *
 *     static const struct httpd_route routes[] = {{"POST", "/Plugin.Activate", activate, 0, HTTPD_INLINE, 0}};
 *     struct httpd_opts o = {.listen_fd = fd, .tls = NULL, .routes = routes, .routes_n = 1};
 *     if ((r = httpd_start(&o, &h, e)) < 0) return r;    ...    httpd_stop(h);
 */
#ifndef BULKHEAD_NET_HTTPD_H
#define BULKHEAD_NET_HTTPD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

#include <sys/socket.h>

struct httpd;
struct httpd_request;
struct httpd_answer;
struct tls_server;

typedef int httpd_handler(struct httpd_request *rq, struct httpd_answer *an, struct err *e);

enum {
    HTTPD_INLINE = 1, /* run on the event thread: no blocking, no locks held long, no parking */
    HTTPD_SPOOL = 2,  /* the body goes to an unlinked temporary file: rq->body_fd, body_max up to 64 bits */
};

struct httpd_route {
    const char *method, *pattern; /* "GET", "/api/v1/policies/{kind}/{name}" */
    httpd_handler *handler;
    unsigned permission; /* meaning belongs to the server's owner: see httpd_opts.authorize */
    unsigned flags;
    uint64_t body_max; /* 0: a request with a body is refused */
};

#define HTTPD_PARAMS_MAX 4

struct httpd_peer_cert { /* client certificate; verified, but for its end: the owner compares expires */
    struct str serial;   /* hex, lower case */
    struct str name;     /* common name */
    int64_t expires;
};

struct httpd_request {
    struct arena *a;         /* LIMIT_REQUEST_ARENA, freed behind the answer */
    struct str method, path; /* path as sent, without the query, not decoded */
    const struct httpd_route *route;
    struct str param[HTTPD_PARAMS_MAX]; /* decoded; any byte but NUL, also an encoded slash: no file names */
    struct str body;
    int body_fd; /* HTTPD_SPOOL: at offset 0; else -1 */
    uint64_t body_size;
    struct str peer;                    /* address without port; "unix" */
    struct ucred ucred;                 /* unix sockets: who is at the other end; pid 0 otherwise */
    const struct httpd_peer_cert *cert; /* NULL: none was shown */
    int64_t arrived;                    /* time_monotonic() when the headers were complete */
    bool woken, expired;                /* why a parked handler runs again; both false the first time */
    bool deferred;                      /* why an inline handler runs again, now on a worker: httpd_defer() */
    void *principal;                    /* set by authorize, for the handler */
    void *ctx;                          /* httpd_opts.ctx */
    struct httpd *server;
};

struct httpd_answer {
    int status;       /* 0: 200, or by the error */
    const char *type; /* NULL: application/json */
    struct str body;  /* must live in rq->a (or be static) */
    int fd;           /* >= 0: the file is the body, from offset 0; closed by the server */
    uint64_t fd_size;
    const char *code; /* errors: NULL takes the one that belongs to the status */
    const char *hint; /* errors: what to do about it; NULL: none */
    struct {
        const char *name, *value;
    } header[6];
    unsigned headers_n;
};

struct httpd_opts {
    /* where: an address "127.0.0.1:8443", "[::]:0" (port 0 picks one) or a listening socket (>= 0 is used, and closed
     * by httpd_stop; the address is ignored then) */
    const char *listen;
    int listen_fd;          /* set to -1 when `listen` is used */
    struct tls_server *tls; /* net/tls.h; NULL only with a unix listen_fd */
    const struct httpd_route *routes;
    size_t routes_n;
    void *ctx;
    /* Who may call this: runs before the handler, on the same thread. Negative refuses. NULL: everybody. */
    int (*authorize)(struct httpd_request *rq, struct httpd_answer *an, struct err *e);
    /* Told behind each answered request: for metrics and the access log. NULL: nobody. */
    void (*done)(struct httpd_request *rq, int status);
    size_t workers;              /* 0: 4 */
    size_t queue_max;            /* 0: 256; beyond: 503 */
    unsigned connections;        /* 0: 512 in all */
    unsigned connections_per_ip; /* 0: no limit but the one above */
    uint64_t bodies_max;         /* memory of all bodies in flight; 0: 256 MB; beyond: 503 */
    int64_t request_timeout;     /* headers within this, body within twice this; 0: 30 s */
    const char *spool_dir;       /* for HTTPD_SPOOL; NULL: /var/tmp */
};

/* -EADDRINUSE, -EACCES, -EINVAL ... with the story. */
int httpd_start(const struct httpd_opts *opts, struct httpd **ret, struct err *e);
/* Stop listening, finish what runs (parked requests run a last time with `expired`), free. NULL is fine. */
void httpd_stop(struct httpd *h);
unsigned httpd_port(const struct httpd *h);       /* 0 for unix sockets */
const char *httpd_address(const struct httpd *h); /* "127.0.0.1:8443", with the real port */

/* ---- for handlers ---- */
/* return httpd_park(rq, TOPIC_A | TOPIC_B, deadline): deadline is a time_monotonic() instant. */
int httpd_park(struct httpd_request *rq, unsigned topics, int64_t deadline);
/* return httpd_defer(rq) from an HTTPD_INLINE handler: it runs again from the start on a worker, with rq->deferred set,
 * and may then block and park like any other. (The gate answers reads inline and defers what needs the engine.) */
int httpd_defer(struct httpd_request *rq);
void httpd_wake(struct httpd *h, unsigned topics);
bool httpd_stopping(const struct httpd *h);

struct str httpd_header(const struct httpd_request *rq, const char *name); /* STR_NONE when absent */
struct str httpd_query(const struct httpd_request *rq, const char *name);  /* decoded, STR_NONE when absent */
/* Whole number from the query: the fallback when absent, -EINVAL when it is none or outside of [min, max]. */
int httpd_query_u64(const struct httpd_request *rq, const char *name, uint64_t min, uint64_t max, uint64_t *io,
                    struct err *e);
void httpd_answer_header(struct httpd_request *rq, struct httpd_answer *an, const char *name, const char *value);
/* "error" object of the house, for owners that answer errors themselves */
struct str httpd_error_body(struct arena *a, const char *code, const char *message, const char *hint);
const char *httpd_error_code(int status); /* 404: "not_found" */

/* Find the route; *allowed tells whether another method would match (405). For tests and the server itself. */
const struct httpd_route *httpd_match(const struct httpd_route *routes, size_t n, struct arena *a, struct str method,
                                      struct str path, struct str param[static HTTPD_PARAMS_MAX], bool *allowed);

#endif
