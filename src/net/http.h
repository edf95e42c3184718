/* http: a blocking HTTP/1.1 client over TLS or a unix socket, on libcurl.
 *
 * Invariants: the server's certificate and name are always verified, against the CA given or else the system store;
 * there is no switch to turn that off. No redirects, no proxies from the environment, TLS 1.2 at least. Every answer
 * has a cap. An answer with a status of 400 or more is an answer, not an error: http_check() turns it into one.
 *
 * Threads: one client per thread at a time; it keeps its connections alive between requests. http_cancel() may be
 * called from any thread. Clients in different threads are independent.
 *
 *     struct http_opts opts = {.unix_socket = "/run/docker.sock"};
 *     _cleanup_(http_closep) struct http *h = NULL;
 *     if ((r = http_open(&opts, &h, e)) < 0) return r;
 *     struct http_request q = {.method = "GET", .url = "http://docker/v1.41/info"};
 *     struct http_response s;
 *     if ((r = http_run(h, a, &q, &s, e)) < 0 || (r = http_check(&s, e)) < 0) return r;
 *     use(s.body);
 */
#ifndef BULKHEAD_NET_HTTP_H
#define BULKHEAD_NET_HTTP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/limits.h"

#include <sys/types.h>

struct http;

/* All zero: https with the system store, default timeouts, body cap LIMIT_HTTP_BODY. Strings are copied. */
struct http_opts {
    const char *unix_socket; /* connect here whatever the host in the URL is (which goes into Host:) */
    struct str ca;           /* PEM; then nothing else is trusted, not even the system store */
    const char *ca_file;     /* the same from a file; read when the client is opened */
    struct str cert, key;    /* PEM of the client certificate (with chain) and key */
    const char *cert_file, *key_file;
    bool system_ca;          /* with a CA given: trust the system store as well */
    int64_t connect_timeout; /* microseconds; 0: 10 s */
    int64_t idle_timeout;    /* no byte moved in either direction for so long; 0: 60 s, TIME_NEVER: none */
    int64_t total_timeout;   /* whole request; 0 or TIME_NEVER: none */
};

struct http_header {
    struct str name, value;
};

/* Consume n bytes of the answer; <0 ends the request with that error. Called only for status 2xx: other bodies are
 * collected (up to LIMIT_HTTP_ERROR) for http_check(). */
typedef int http_sink_fn(void *ctx, const void *p, size_t n, struct err *e);
/* Give up to n bytes of the request's body; 0 at the end, <0 ends the request. */
typedef ssize_t http_read_fn(void *ctx, void *p, size_t n, struct err *e);

struct http_response;

struct http_request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;    /* http:// only together with unix_socket or a loopback address */
    const struct http_header *headers;
    size_t headers_n;
    struct str body;    /* whole, borrowed; p == NULL: none */
    http_read_fn *read; /* or streamed */
    int64_t read_size;  /* bytes that read will give; -1: unknown, sent chunked */
    void *read_ctx;
    /* Called once when status and headers of a 2xx answer are known, before its first byte; <0 ends the request. NULL.
     */
    int (*begin)(void *ctx, const struct http_response *s, struct err *e);
    http_sink_fn *sink;    /* NULL: collected in the arena */
    void *sink_ctx;        /* also of begin */
    uint64_t max_body;     /* cap on the answer; 0: LIMIT_HTTP_BODY, UINT64_MAX: none (only with a sink) */
    int64_t idle_timeout;  /* 0: the client's */
    int64_t total_timeout; /* 0: the client's */
};

struct http_response {
    int status;
    struct http_header *headers; /* as received, names in any case: use http_header() */
    size_t headers_n;
    struct str body; /* empty when a sink took it */
};

/* -EINVAL: CA, certificate or key is unusable; -ENOENT ... from files. */
int http_open(const struct http_opts *opts, struct http **ret, struct err *e);
void http_close(struct http *h); /* NULL is fine */
void http_closep(struct http **h);

/* Send, wait, receive. The answer lives in the arena.
 * -EKEYREJECTED the server's certificate does not verify or ours was refused; -ECONNREFUSED no connection (also name
 * not found); -ETIMEDOUT; -E2BIG over the cap; -ECANCELED; -EBADMSG not HTTP or cut off; else what sink or read gave.
 * The message starts with "METHOD URL: ". */
int http_run(struct http *h, struct arena *a, const struct http_request *q, struct http_response *ret, struct err *e);

/* Ends the request that runs in h, or the next one if none does, with -ECANCELED. From any thread, not from a
 * signal handler. http_uncancel() makes the client usable again. */
void http_cancel(struct http *h);
void http_uncancel(struct http *h);

/* Value of the first header of that name (ASCII case folded), STR_NONE when absent. */
struct str http_header(const struct http_response *s, const char *name);

/* 0 below 400; else an error with the server's own message (JSON member "message", "error" or "detail", else the
 * first line of the body) and a code by status: 400 EINVAL, 401 EKEYREJECTED, 403 EACCES, 404 ENOENT, 409 EEXIST,
 * 412 ESTALE, 413 E2BIG, 429 and 503 EAGAIN, 501 ENOTSUP, 504 ETIMEDOUT, other 4xx EINVAL, other 5xx EIO. */
int http_check(const struct http_response *s, struct err *e);

/* A member of an error answer of our own servers, {"error": {"code", "message", "hint"}}; empty when it is not one. */
struct str http_problem(struct arena *a, const struct http_response *s, const char *member);

/* Percent-encode everything but A-Z a-z 0-9 - . _ ~ for use inside a path segment or query value. */
char *http_escape(struct arena *a, struct str s);

#endif
