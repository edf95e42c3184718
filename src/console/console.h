/* console: what the parts of bulkhead-console share. One process, one database, two ports.
 *
 * people (tokens)  \                                      / store   everything that must survive
 *                   > httpd -> authorize -> handler ->   <  fleet   the configuration that agents should have
 * agents (mTLS)    /                                      \ audit   who did what
 *
 * Handlers (routes.tbl.h) take all they know from the request and struct console, write within one transaction
 * together with their audit entry, and answer. Constant after console_open() but for what says its lock.
 */
#ifndef BULKHEAD_CONSOLE_CONSOLE_H
#define BULKHEAD_CONSOLE_CONSOLE_H

#include "base/cleanup.h"
#include "base/time.h"
#include "console/limiter.h"
#include "format/json.h"
#include "net/httpd.h"
#include "net/pki.h"
#include "net/tls.h"
#include "store/db.h"

#include <pthread.h>
#include <stdatomic.h>

#define TOPIC_EVENTS 1u /* of the people's port: something was stored */
#define TOPIC_CONFIG 1u /* of the agents' port: their configuration changed, or one was revoked */

#define PERMISSION(id, name, ...) PERMISSION_##id,
enum permission {
#include "console/permissions.tbl.h"
    PERMISSIONS
};
#undef PERMISSION

enum role { ROLE_ADMIN, ROLE_OPERATOR, ROLE_AUDITOR, ROLE_CI, ROLES };

#define METRIC(id, help) atomic_ullong id;
struct metrics {
#include "console/metrics.tbl.h"
};
#undef METRIC

struct console_opts {
    struct str state;    /* directory */
    struct str database; /* empty: STATE/console.db */
    struct str listen, listen_agents;
    struct str admin_password_file;
    struct str *names; /* more names for the certificates */
    size_t names_n;
    struct str agents_address; /* what enrolment tokens tell agents to dial; empty: by the first name */
    int64_t heartbeat;         /* seconds between heartbeats of agents */
    int64_t events_max;        /* rows of events kept */
};

struct config;
struct ingest;
struct judge;

struct console {
    struct console_opts o;
    struct arena *a; /* options, names: constant after open */
    struct store *store;
    struct pki *pki;
    struct tls_server *people_tls, *agents_tls;
    struct httpd *people, *agents;
    const char *host;
    const char *agents_url;
    int64_t started;           /* instant */
    int64_t certificate_renew; /* when the servers' certificate is half used: start again */
    struct config *config;     /* locked inside */
    struct judge *judge;       /* locked inside */
    struct ingest *ingest;     /* under the store's write lock */
    struct limiter *limiter;
    struct str nobody;  /* a hash for unknown users: checking them takes as long */
    atomic_int hashing; /* argon2id runs now */
    atomic_bool audit_broken;
    atomic_bool outdated;     /* verdicts: policy changed, or intel came for the first time */
    struct outdated *changed; /* what newer intel concerns; locked inside */
    struct metrics metrics;
};

struct principal {
    enum role role;
    struct str user; /* for ci: who made the token */
    struct str token_id;
    struct str kind; /* session user ci agent */
    int64_t expires;
    struct str agent; /* kind agent: its id */
    struct str actor; /* for audit and sources: user:NAME ci:TOKEN agent:ID */
};

int console_open(const struct console_opts *o, struct console **ret, struct err *e);
int console_listen(struct console *c, struct err *e); /* both ports */
void console_stop(struct console *c);                 /* answers what runs, closes both ports */
void console_close(struct console *c);
void console_tick(struct console *c); /* every few seconds: silent agents, old events and tokens */

/* ---- routes ---- */
extern const struct httpd_route console_routes[], console_agent_routes[];
size_t console_routes_count(void);
size_t console_agent_routes_count(void);
const char *permission_name(enum permission p);
bool permission_given(enum permission p, enum role r);
const char *role_name(enum role r);
int role_parse(struct str s, enum role *ret, struct err *e);
#define ROUTE(method, pattern, handler, ...) httpd_handler handler;
#define AGENT_ROUTE                          ROUTE
#include "console/routes.tbl.h"
#undef ROUTE
#undef AGENT_ROUTE

static inline struct console *console_of(const struct httpd_request *rq)
{
    return rq->ctx;
}
static inline struct principal *principal_of(const struct httpd_request *rq)
{
    return rq->principal;
}

/* ---- answers ---- */
struct reply {
    struct buf b;
    struct json_writer w;
};
void reply_init(struct reply *rp, size_t max);
int reply_send(struct reply *rp, struct httpd_request *rq, struct httpd_answer *an, struct err *e); /* also frees */
void reply_free(struct reply *rp);
int reply_ok(struct httpd_request *rq, struct httpd_answer *an);
/* Refuse with a code of our own. */
int refuse(struct httpd_answer *an, int status, const char *code, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void w_instant(struct json_writer *w, const char *key, int64_t t);               /* 0: null */
int body_json(struct httpd_request *rq, struct json_value **ret, struct err *e); /* an object */
int body_fields(struct httpd_request *rq, const struct json_field *fields, size_t n, int flags, void *out,
                struct err *e);
int query_instant(struct httpd_request *rq, const char *name, int64_t *io, struct err *e);
bool query_is(const struct httpd_request *rq, const char *name, const char *value);
bool accepts(const struct httpd_request *rq, const char *type);
/* Words of `q` as LIKE patterns, escaped with '\'. */
size_t query_words(struct httpd_request *rq, struct str *out, size_t max);
#define PAGE_DEFAULT 100u
#define PAGE_MAX     1000u

/* ---- secrets (secret.c) ---- */
#define SECRET_TEXT 44 /* 32 random bytes, base64url, NUL */
struct str secret_new(struct arena *a);
struct str secret_hash(struct arena *a, struct str secret); /* hex SHA-256: for secrets of 256 bits only */
bool secret_matches(struct arena *a, struct str secret, struct str hash); /* constant time */
/* argon2id; -EAGAIN when too many run at once */
int password_hash(struct console *c, struct arena *a, struct str password, struct str *ret, struct err *e);
int password_check(struct console *c, struct str password, struct str hash, bool *ret,
                   struct err *e); /* hash empty: false, as slowly */
int password_good(struct str password, struct err *e);

/* ---- tokens (tokens.c) ---- */
int token_create(struct db *db, struct arena *a, const char *kind, struct str owner, struct str role, struct str note,
                 int64_t life, int64_t uses, struct str *ret_id, struct str *ret_secret, struct err *e);
int authorize_people(struct httpd_request *rq, struct httpd_answer *an, struct err *e);
int authorize_agent(struct httpd_request *rq, struct httpd_answer *an, struct err *e);

/* ---- operator log (audit.c) ---- */
/* Within the caller's transaction. detail: a JSON object, STR_NONE: {}. */
int audit_add(struct db *db, struct httpd_request *rq, const char *action, struct str target, const char *outcome,
              struct str detail, struct err *e);
int audit_one(struct httpd_request *rq, const char *action, struct str target, const char *outcome, struct str detail,
              struct err *e); /* in a transaction of its own */
struct audit_state {
    bool ok;
    int64_t entries, broken_at; /* 0: nowhere */
    char head[65];
};
int audit_check(struct db *db, struct audit_state *ret, struct err *e);
struct str audit_detail(struct arena *a, const char *key, struct str value); /* {"key":"value"} */

/* ---- agents' configuration (config.c) ---- */
struct config *config_new(void);
void config_free(struct config *cf);
int config_refresh(struct console *c, struct err *e); /* build it again; wakes agents when it changed */
struct str config_revision(struct console *c, struct arena *a);
struct str config_body(struct console *c, struct arena *a, struct str *ret_revision);

/* ---- events ---- */
struct ingest *ingest_new(void);
void ingest_free(struct ingest *in);
struct ingest_result {
    uint64_t ack, stored, duplicates;
    uint64_t bad_seq;  /* with -EBADMSG: seq of the bad event, 0 unknown */
    bool out_of_order; /* with -ESTALE */
};
/* text: JSON lines. Stores all or nothing. */
int ingest_batch(struct console *c, struct arena *a, struct str agent, struct str text, uint64_t after, bool force,
                 struct ingest_result *ret, struct err *e);
struct event;
int ingest_own(struct console *c, struct event *ev, struct err *e); /* an event of the console itself */

/* ---- images ---- */
void images_outdated(struct console *c); /* policy or intel changed: console_tick() judges all again */
/* Newer intel: only those with a package that it says something else of. Takes the changes over. */
struct intel_changes;
void images_intel_changed(struct console *c, struct intel_changes *changes, struct str from, struct str to);
struct outdated *outdated_new(void);
void outdated_free(struct outdated *o);
int images_reassess(struct console *c, struct err *e);

#endif
