/* console: opening and closing, and what is done every few seconds. */
#include "console/console.h"

#include "base/encode.h"
#include "base/fs.h"
#include "base/log.h"
#include "console/judge.h"
#include "format/event.h"

#include <sodium.h>

#define SERVER_LIFE  (398 * TIME_DAY)
#define READERS      10 /* at least as many as workers, so that none waits for another */
#define WORKERS      4
#define SILENT_AFTER 3
#define PRUNE_CHUNK  20000

static void add_name(struct console *c, struct str *names, size_t *n, struct str name)
{
    for (size_t i = 0; i < *n; i++)
        if (str_eq(names[i], name))
            return;
    if (name.n)
        names[(*n)++] = arena_str(c->a, name);
}

/* The host part of ADDRESS:PORT, empty when it stands for all addresses. */
static struct str host_of(struct str listen)
{
    ptrdiff_t colon = str_rchr(listen, ':');
    struct str h = colon < 0 ? STR("") : str_sub(listen, 0, (size_t)colon);
    if (h.n > 1 && h.p[0] == '[')
        h = str_sub(h, 1, h.n - 1);
    return str_eqc(h, "0.0.0.0") || str_eqc(h, "::") ? STR("") : h;
}

static int make_tls(struct console *c, struct err *e)
{
    struct str *names = arena_array(c->a, c->o.names_n + 8, sizeof(*names)), key;
    struct pki_cert cert;
    size_t n = 0;
    for (size_t i = 0; i < c->o.names_n; i++)
        add_name(c, names, &n, c->o.names[i]);
    add_name(c, names, &n, str_c(c->host));
    add_name(c, names, &n, STR("localhost"));
    add_name(c, names, &n, STR("127.0.0.1"));
    add_name(c, names, &n, STR("::1"));
    add_name(c, names, &n, host_of(c->o.listen));
    add_name(c, names, &n, host_of(c->o.listen_agents));
    int r = pki_server(c->pki, c->a, arena_cstr(c->a, c->o.state), names, n, SERVER_LIFE, &key, &cert, e);
    if (r < 0)
        return err_wrap(e, "server certificate");
    c->certificate_renew = cert.starts + (cert.expires - cert.starts) / 2;
    /* with the authority itself: `bulkhead login` shows its fingerprint to whoever meets this console first */
    struct str chain = arena_strf(c->a, STR_FMT STR_FMT, STR_ARG(cert.pem), STR_ARG(pki_ca(c->pki)));
    tls_server_free(TAKE(c->people_tls));
    tls_server_free(TAKE(c->agents_tls));
    if ((r = tls_server_new(chain, key, STR_NONE, &c->people_tls, e)) >= 0)
        r = tls_server_new(chain, key, pki_ca(c->pki), &c->agents_tls, e);
    fs_wipe((void *)key.p, key.n);
    return r;
}

/* The first start: somebody must be able to log in. The password is told before it is stored: told and not stored can
 * be tried again, stored and not told cannot. */
static int first_admin(struct console *c, struct db *db, struct err *e)
{
    struct db_rows q;
    struct str hash;
    int r = db_query(db, &q, e, "SELECT 1 FROM user LIMIT 1", "");
    db_end(&q);
    if (r != 0)
        return r < 0 ? r : 0;
    struct str password = str_sub(secret_new(c->a), 0, 24);
    if ((r = password_hash(c, c->a, password, &hash, e)) < 0 ||
        (r = (int)db_run(db, e, "INSERT INTO user(name, role, password, created) VALUES('admin', 'admin', ?1, ?2)",
                         "si", hash, time_now())) < 0)
        return r;
    if (c->o.admin_password_file.n)
        r = fs_write(arena_cstr(c->a, c->o.admin_password_file), arena_strf(c->a, STR_FMT "\n", STR_ARG(password)),
                     0600, e);
    else
        printf("{\"admin\":{\"user\":\"admin\",\"password\":\"" STR_FMT "\"}}\n", STR_ARG(password));
    fflush(stdout);
    fs_wipe((void *)password.p, password.n);
    return r;
}

static int check_log(struct console *c, struct err *e)
{
    struct audit_state s;
    struct db *db = store_read(c->store);
    int r = audit_check(db, &s, e);
    store_done(c->store, db);
    if (r < 0)
        return r;
    atomic_store(&c->audit_broken, !s.ok);
    if (s.ok)
        log_info("audit log: %" PRId64 " entries, head %s", s.entries, s.head);
    else
        log_error("audit log: broken at entry %" PRId64 ": somebody changed the database", s.broken_at);
    return 0;
}

static int prepare(struct console *c, struct err *e)
{
    struct db *db;
    struct str nobody = secret_new(c->a);
    int r = password_hash(c, c->a, nobody, &c->nobody, e);
    if (r < 0 || (r = check_log(c, e)) < 0 || (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = first_admin(c, db, e)) < 0 ||
        (r = audit_add(db, NULL, "console.start", str_c(BULKHEAD_VERSION), "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    if ((r = judge_intel(c, e)) < 0) {
        log_warn("intel is not used: %s", e->msg); /* a damaged file must not keep the console from starting */
        *e = ERR_INIT;
    }
    images_outdated(c); /* this program may judge otherwise than the last one */
    return config_refresh(c, e);
}

int console_open(const struct console_opts *o, struct console **ret, struct err *e)
{
    struct console *c = calloc(1, sizeof(*c));
    char host[256] = "localhost";
    if (!c || sodium_init() < 0)
        abort();
    c->o = *o;
    c->started = time_now();
    c->a = arena_new(64u << 20);
    gethostname(host, sizeof(host) - 1);
    c->host = arena_cstr(c->a, str_c(host));
    c->config = config_new();
    c->judge = judge_new();
    c->changed = outdated_new();
    c->ingest = ingest_new();
    c->limiter = limiter_new();
    const char *url =
        o->database.n ? arena_cstr(c->a, o->database) : arena_printf(c->a, STR_FMT "/console.db", STR_ARG(o->state));
    int r = fs_mkdirs(arena_cstr(c->a, o->state), 0700, e);
    if (r >= 0)
        r = pki_open(arena_cstr(c->a, o->state), &c->pki, e);
    if (r >= 0)
        r = store_open(url, READERS, store_migrations, &c->store, e);
    if (r >= 0)
        r = prepare(c, e);
    if (r < 0) {
        console_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

static void done(struct httpd_request *rq, int status)
{
    struct console *c = console_of(rq);
    atomic_fetch_add(&c->metrics.requests, 1);
    if (status < 500)
        return;
    atomic_fetch_add(&c->metrics.errors, 1);
    log_warn(STR_FMT " " STR_FMT " from " STR_FMT ": %d", STR_ARG(rq->method), STR_ARG(rq->path), STR_ARG(rq->peer),
             status);
}

int console_listen(struct console *c, struct err *e)
{
    int r = make_tls(c, e);
    if (r < 0)
        return r;
    struct httpd_opts people = {.listen = arena_cstr(c->a, c->o.listen),
                                .listen_fd = -1,
                                .tls = c->people_tls,
                                .routes = console_routes,
                                .routes_n = console_routes_count(),
                                .ctx = c,
                                .authorize = authorize_people,
                                .done = done,
                                .workers = WORKERS,
                                .connections = 1024,
                                .connections_per_ip = 256,
                                .spool_dir = arena_cstr(c->a, c->o.state)};
    struct httpd_opts agents = people;
    agents.listen = arena_cstr(c->a, c->o.listen_agents);
    agents.tls = c->agents_tls;
    agents.routes = console_agent_routes;
    agents.routes_n = console_agent_routes_count();
    agents.authorize = authorize_agent;
    agents.connections = 8192;
    agents.connections_per_ip = 0; /* fleets behind one address */
    agents.queue_max = 1024;
    if ((r = httpd_start(&people, &c->people, e)) < 0 || (r = httpd_start(&agents, &c->agents, e)) < 0)
        return r;
    /* listening again later (a new certificate) means the same ports */
    c->o.listen = arena_str(c->a, str_c(httpd_address(c->people)));
    c->o.listen_agents = arena_str(c->a, str_c(httpd_address(c->agents)));
    struct str host = host_of(c->o.listen_agents);
    if (!host.n)
        host = c->o.names_n ? c->o.names[0] : str_c(c->host);
    bool v6 = str_chr(host, ':') >= 0;
    c->agents_url = c->o.agents_address.n
                        ? arena_cstr(c->a, c->o.agents_address)
                        : arena_printf(c->a, v6 ? "https://[" STR_FMT "]:%u" : "https://" STR_FMT ":%u", STR_ARG(host),
                                       httpd_port(c->agents));
    return 0;
}

void console_stop(struct console *c)
{
    httpd_stop(TAKE(c->people));
    httpd_stop(TAKE(c->agents));
}

void console_close(struct console *c)
{
    if (!c)
        return;
    console_stop(c);
    tls_server_free(c->people_tls);
    tls_server_free(c->agents_tls);
    store_close(c->store);
    pki_close(c->pki);
    config_free(c->config);
    judge_free(c->judge);
    outdated_free(c->changed);
    ingest_free(c->ingest);
    limiter_free(c->limiter);
    arena_free(c->a);
    free(c);
}

/* ---- every few moments ---- */

static int tell_silent(struct console *c, struct arena *a, struct str id, struct str host, int64_t last_seen,
                       struct err *e)
{
    char when[TIME_TEXT];
    struct event ev = {.type = EVENT_TYPE_agent,
                       .control = CONTROL_sensor,
                       .rule = STR("Agent is silent"),
                       .severity = SEVERITY_high,
                       .action = ACTION_alert,
                       .level = LEVEL_detect,
                       .outcome = OUTCOME_detected,
                       .host = host,
                       .detail = arena_strf(a, "{\"agent\":\"" STR_FMT "\",\"last_seen\":\"%s\"}", STR_ARG(id),
                                            time_format(last_seen, when))};
    return ingest_own(c, &ev, e);
}

static int find_silent(struct console *c, struct arena *a, struct err *e)
{
    struct db_rows q;
    int64_t now = time_now();
    if (now - c->started < SILENT_AFTER * c->o.heartbeat * TIME_SECOND)
        return 0; /* it was us who could not hear */
    struct str id = STR_NONE, host = STR_NONE;
    int64_t last_seen = 0;
    for (;;) {
        struct db *db = store_read(c->store);
        int r = db_query(
            db, &q, e,
            "SELECT id, host, last_seen FROM agent WHERE silent = 0 AND revoked = 0 AND last_seen < ?1 LIMIT 1", "i",
            now - SILENT_AFTER * c->o.heartbeat * TIME_SECOND);
        if (r > 0) {
            id = db_copy(a, &q, 0);
            host = db_copy(a, &q, 1);
            last_seen = db_i64(&q, 2);
        }
        db_end(&q);
        store_done(c->store, db);
        if (r <= 0)
            return r;
        if ((r = store_write(c->store, &db, e)) < 0)
            return r;
        r = (int)db_run(db, e, "UPDATE agent SET silent = 1 WHERE id = ?1 AND last_seen = ?2", "si", id, last_seen);
        if (r < 0)
            return store_abort(c->store, r);
        if ((r = store_commit(c->store, e)) < 0 || (r = tell_silent(c, a, id, host, last_seen, e)) < 0)
            return r;
    }
}

static int prune(struct console *c, struct err *e)
{
    struct db *db;
    for (int i = 0; i < 4; i++) {
        int64_t n = store_write(c->store, &db, e);
        if (n < 0)
            return (int)n;
        n = db_run(db, e,
                   "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id <= (SELECT max(id) FROM event) - ?1 "
                   "ORDER BY id LIMIT ?2)",
                   "ii", c->o.events_max, (int64_t)PRUNE_CHUNK);
        if (n < 0)
            return store_abort(c->store, (int)n);
        if ((n = n ? (int64_t)store_commit(c->store, e) : store_abort(c->store, 1)) != 0)
            return n < 0 ? (int)n : 0;
    }
    return 0;
}

void console_tick(struct console *c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct err e = ERR_INIT;
    if (find_silent(c, a, &e) < 0)
        log_warn("looking for silent agents: %s", e.msg);
    if (prune(c, &e) < 0)
        log_warn("removing old events: %s", e.msg);
    if (images_reassess(c, &e) < 0)
        log_warn("judging images again: %s", e.msg);
}
