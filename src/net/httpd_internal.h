/* httpd_internal: shared between the files of httpd. Not for others.
 *
 * A call is one request on its way: NEW -> (AUTHORIZING ->) COLLECTING -> RUNNING <-> PARKED -> ANSWERED. It belongs to
 * the event thread, but while RUNNING to a worker and while PARKED to the minder; the connection is suspended in both.
 */
#ifndef BULKHEAD_NET_HTTPD_INTERNAL_H
#define BULKHEAD_NET_HTTPD_INTERNAL_H

#include "base/cleanup.h"
#include "base/thread.h"
#include "base/time.h"
#include "net/httpd.h"
#include "net/tls.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#define HTTPD_TOPICS      32
#define HTTPD_HEADERS_MAX 64u
#define HTTPD_CLOSED      (1u << 31)
#define HTTPD_EARLY_BODY  (64u << 10) /* above it a request is authorized before its body is read */

enum { HTTPD_DONE = 0, HTTPD_PARKED = 1, HTTPD_DEFERRED = 2 }; /* what a handler may return beside errors */

enum call_state { CALL_NEW, CALL_AUTHORIZING, CALL_COLLECTING, CALL_RUNNING, CALL_PARKED, CALL_ANSWERED };

struct pair {
    struct str name, value;
};

struct conn { /* one per connection, in the server's list; fields guarded by httpd.lock */
    struct conn *prev, *next;
    int fd;
    int64_t deadline; /* monotonic; then the socket is shut down. TIME_NEVER: none */
    bool cert_known;  /* event thread only: the peer's certificate was looked at */
    int cert_error;
    struct httpd_peer_cert cert;
    char serial[128], name[256];
};

struct call {
    struct httpd_request rq; /* first: a request is its call */
    struct httpd_answer an;
    struct httpd *h;
    struct conn *conn;
    struct MHD_Connection *mhd;
    enum call_state state;
    bool head, has_body, authorized, failed, draining;
    struct buf body;
    uint64_t accounted, announced;
    struct pair *headers, *query;
    size_t headers_n, query_n;
    int status; /* of the answer, for done() */
    /* parking */
    unsigned topics;
    int64_t park_until;
    uint64_t seen[HTTPD_TOPICS]; /* wake counters when the handler started */
    bool ready;
    struct call *prev, *next;
};

struct httpd {
    struct httpd_opts o;
    char *spool_dir, *address;
    struct MHD_Daemon *daemon;
    int listen_fd;
    unsigned port;
    bool is_unix;
    struct pool *pool;
    atomic_ullong bodies;
    atomic_uint calls; /* suspended: RUNNING, AUTHORIZING or PARKED; HTTPD_CLOSED: none may come any more */
    atomic_bool stopping, minder_stop;
    atomic_ullong wakes[HTTPD_TOPICS];
    pthread_t minder;
    pthread_mutex_t lock;   /* conns, parked, their fields */
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    struct conn *conns;
    struct call *parked;
};

/* httpd_request.c */
void httpd_parse_query(struct call *c, struct str query);
int httpd_decode(struct arena *a, struct str s, bool plus, struct str *ret); /* percent-decoding; -EINVAL */
struct pair *httpd_pair(struct pair *p, size_t n, struct str name, bool fold);
void httpd_fail(struct call *c, int r, const struct err *e); /* fill the answer with an error */

/* httpd.c: what libmicrohttpd calls */
#define HTTPD_KEEPALIVE (75 * TIME_SECOND)
enum MHD_Result httpd_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **con_cls);
void *httpd_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
void httpd_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode code);
void httpd_on_connection(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_ConnectionNotificationCode code);

/* httpd_park.c */
int httpd_minder_start(struct httpd *h, struct err *e);
void httpd_minder_stop(struct httpd *h);
void httpd_run(void *call); /* on a worker */
void httpd_park_call(struct call *c);
void httpd_deadline(struct call *c, int64_t deadline);

#endif
