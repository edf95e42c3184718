/* The uplink with its real child process, against a console played by our own server and certificate authority that can
 * be told to misbehave. (With the real console: test/integration/uplink.test.ts.) */
#include "agent/dialer.h"
#include "agent/uplink.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "net/httpd.h"
#include "net/pki.h"
#include "net/tls.h"
#include "policy/policy.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <zstd.h>

#include <cmocka.h>

#define DEADLINE   (40 * TIME_SECOND)
#define EVENTS_MAX 4096u

struct console {
    pthread_mutex_t lock;
    struct pki *pki;
    struct arena *a;
    struct tls_server *tls;
    struct httpd *server;
    char listen[64];
    /* told by the tests */
    int64_t life;
    bool token_used, revoked;
    const char *policy;
    unsigned config;  /* revision */
    uint64_t bad_seq; /* this event is never taken */
    /* seen by the tests */
    uint64_t ack, duplicates, batches;
    uint64_t seqs[EVENTS_MAX];
    size_t seqs_n;
    unsigned enrolments, renewals, beats, reports;
    char status[256], report[256];
};

struct world {
    char dir[64];
    struct arena *a;
    struct console c;
    struct journal *journal;
    struct uplink *uplink;
    const char *state, *token;
};

/* ---- the console ---- */

static int known(struct console *c, struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->code = rq->cert ? "certificate_revoked" : "certificate_required";
    return !rq->cert || c->revoked ? err_set(e, EKEYREJECTED, "not you") : 0;
}

static int certify(struct console *c, struct httpd_request *rq, struct httpd_answer *an, const char *name, int status,
                   struct err *e)
{
    struct json_value *v;
    struct pki_cert cert;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 10);
    struct json_writer w = JSON_WRITER(&b);
    int r = json_parse(rq->a, rq->body, 0, &v, e);
    if (r < 0 || (r = pki_sign_agent(c->pki, rq->a, json_str(json_get(v, "csr")), str_c(name), c->life, &cert, e)) < 0)
        return r;
    json_w_object(&w);
    json_w_kstrz(&w, "agent", name);
    json_w_kstr(&w, "certificate", cert.pem);
    json_w_kstr(&w, "chain", pki_ca(c->pki));
    json_w_end(&w);
    an->status = status;
    an->body = arena_str(rq->a, buf_str(&b));
    return 0;
}

static int enroll(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = rq->ctx;
    struct json_value *v;
    int r = json_parse(rq->a, rq->body, 0, &v, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    an->code = "bad_token";
    if (c->token_used || !str_eqc(json_str(json_get(v, "secret")), "s3cret"))
        r = err_set(e, EKEYREJECTED, "the token is not good");
    else if ((r = certify(c, rq, an, "agent-1", 201, e)) == 0)
        c->token_used = true, c->enrolments++;
    pthread_mutex_unlock(&c->lock);
    return r;
}

static int renew(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = rq->ctx;
    int r = known(c, rq, an, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    c->life = TIME_DAY; /* the next one lives long */
    if ((r = certify(c, rq, an, "agent-1", 200, e)) == 0)
        c->renewals++;
    pthread_mutex_unlock(&c->lock);
    return r;
}

static int config(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = rq->ctx;
    uint64_t wait = 0;
    int r = known(c, rq, an, e);
    if (r < 0 || (r = httpd_query_u64(rq, "wait", 0, 60, &wait, e)) < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    const char *now = arena_printf(rq->a, "rev-%u", c->config);
    const char *text = c->policy;
    pthread_mutex_unlock(&c->lock);
    if (str_eqc(httpd_query(rq, "have"), now)) {
        if (!rq->expired && !c->revoked)
            return httpd_park(rq, 1, rq->arrived + (int64_t)wait * TIME_SECOND);
        an->status = 304;
        return 0;
    }
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 10);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "revision", now);
    json_w_key(&w, "policies");
    json_w_array(&w);
    if (text) {
        json_w_object(&w);
        json_w_kstrz(&w, "kind", "ContainerPolicy");
        json_w_kstrz(&w, "name", "web");
        json_w_ki64(&w, "revision", 12);
        json_w_kstrz(&w, "text", text);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_key(&w, "settings");
    json_w_object(&w);
    json_w_ki64(&w, "heartbeat", 1);
    json_w_end(&w);
    json_w_end(&w);
    an->body = arena_str(rq->a, buf_str(&b));
    return 0;
}

static int take_events(struct console *c, struct httpd_request *rq, struct httpd_answer *an, struct str lines,
                       uint64_t after, struct err *e)
{
    uint64_t seqs[EVENTS_MAX], last = after;
    size_t n = 0;
    struct str line;
    if (after > c->ack) {
        an->status = 409;
        an->body = arena_strf(
            rq->a, "{\"error\":{\"code\":\"out_of_order\",\"message\":\"ahead\",\"hint\":null},\"ack\":%" PRIu64 "}",
            c->ack);
        return 0;
    }
    while (lines.n && str_cut(&lines, '\n', &line)) {
        struct json_value *v;
        int r = json_parse(rq->a, line, 0, &v, e);
        if (r < 0)
            return r;
        uint64_t seq = (uint64_t)json_i64(json_get(v, "seq"), 0);
        if (seq <= last)
            return err_set(e, EINVAL, "seq %" PRIu64 " does not rise", seq);
        last = seq;
        if (seq == c->bad_seq) {
            an->code = "bad_event";
            an->hint = arena_printf(rq->a, "seq %" PRIu64, seq);
            return err_set(e, EINVAL, "an event that cannot be");
        }
        if (seq <= c->ack)
            c->duplicates++;
        else
            seqs[n++] = seq;
    }
    for (size_t i = 0; i < n; i++)
        c->seqs[c->seqs_n++] = seqs[i];
    c->ack = last > c->ack ? last : c->ack;
    c->batches++;
    an->body = arena_strf(rq->a, "{\"ack\":%" PRIu64 ",\"stored\":%zu,\"duplicates\":0}", c->ack, n);
    return 0;
}

static int events(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = rq->ctx;
    uint64_t after = 0;
    int r = known(c, rq, an, e);
    if (r < 0 || (r = httpd_query_u64(rq, "after", 0, UINT64_MAX, &after, e)) < 0)
        return r;
    an->code = NULL;
    if (!str_eqc(httpd_header(rq, "Content-Encoding"), "zstd"))
        return err_set(e, EINVAL, "not zstd");
    size_t size = 8u << 20;
    char *room = arena_alloc(rq->a, size);
    size_t n = ZSTD_decompress(room, size, rq->body.p, rq->body.n);
    if (ZSTD_isError(n))
        return err_set(e, EINVAL, "%s", ZSTD_getErrorName(n));
    pthread_mutex_lock(&c->lock);
    r = take_events(c, rq, an, str_n(room, n), after, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}

static int heartbeat(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = rq->ctx;
    int r = known(c, rq, an, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    an->body =
        arena_strf(rq->a, "{\"config_revision\":\"x\",\"status_wanted\":%s}", c->beats++ == 0 ? "true" : "false");
    pthread_mutex_unlock(&c->lock);
    return 0;
}

static int document(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = rq->ctx;
    int r = known(c, rq, an, e);
    if (r < 0)
        return r;
    bool report = str_ends(rq->path, STR("/reports"));
    pthread_mutex_lock(&c->lock);
    snprintf(report ? c->report : c->status, sizeof(c->status), STR_FMT, STR_ARG(rq->body));
    c->reports += report;
    pthread_mutex_unlock(&c->lock);
    an->body = STR("{}");
    return 0;
}

static const struct httpd_route routes[] = {
    {"POST", "/agent/v1/enroll", enroll, 0, 0, 64u << 10},
    {"POST", "/agent/v1/renew", renew, 0, 0, 64u << 10},
    {"GET", "/agent/v1/config", config, 0, 0, 0},
    {"POST", "/agent/v1/events", events, 0, 0, 16u << 20},
    {"POST", "/agent/v1/heartbeat", heartbeat, 0, 0, 64u << 10},
    {"PUT", "/agent/v1/status", document, 0, 0, 1u << 20},
    {"POST", "/agent/v1/reports", document, 0, 0, 1u << 20},
};

static void console_start(struct console *c)
{
    struct err e = ERR_INIT;
    struct httpd_opts o = {
        .listen = c->listen, .listen_fd = -1, .tls = c->tls, .routes = routes, .routes_n = ARRAY_LEN(routes), .ctx = c};
    if (httpd_start(&o, &c->server, &e) < 0)
        fail_msg("%s", e.msg);
    snprintf(c->listen, sizeof(c->listen), "127.0.0.1:%u", httpd_port(c->server));
}

static void console_stop(struct console *c)
{
    httpd_stop(TAKE(c->server));
}

/* ---- the agent ---- */

static void on_status_wanted(void *ctx)
{
    struct world *w = ctx;
    uplink_status(w->uplink, STR("{\"version\":\"wanted\"}"));
}

static void agent_start(struct world *w)
{
    struct err e = ERR_INIT;
    struct journal_opts jo = {.dir = arena_printf(w->a, "%s/journal", w->state), .spool = true, .host = STR("node-1")};
    if (journal_open(&jo, &w->journal, &e) < 0)
        fail_msg("%s", e.msg);
    struct uplink_opts o = {.state = w->state,
                            .token_file = w->token,
                            .host = STR("node-1"),
                            .journal = w->journal,
                            .on = {.ctx = w, .status_wanted = on_status_wanted}};
    if (uplink_start(&o, &w->uplink, &e) < 0)
        fail_msg("%s", e.msg);
}

static void agent_stop(struct world *w)
{
    uplink_stop(TAKE(w->uplink));
    journal_close(TAKE(w->journal));
}

static void put_events(struct world *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct event ev = {.type = EVENT_TYPE_exec,
                           .control = CONTROL_drift,
                           .severity = SEVERITY_critical,
                           .action = ACTION_block,
                           .level = LEVEL_kill,
                           .outcome = OUTCOME_killed};
        assert_int_equal(journal_put(w->journal, &ev), 1);
    }
    journal_flush(w->journal);
}

/* Run the agent's loop until the condition holds. */
#define until(w, condition)                                                                                            \
    do {                                                                                                               \
        int64_t end_ = time_monotonic() + DEADLINE;                                                                    \
        while (!(condition)) {                                                                                         \
            if (time_monotonic() > end_)                                                                               \
                fail_msg("never: %s (phase %s: %s)", #condition, uplink_phase_name(uplink_info((w)->uplink)->phase),   \
                         uplink_info((w)->uplink)->story.p);                                                           \
            turn(w);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void turn(struct world *w)
{
    struct pollfd p = {.fd = uplink_fd(w->uplink), .events = POLLIN};
    poll(&p, 1, 20);
    uplink_dispatch(w->uplink);
    uplink_wake(w->uplink);
}

static bool seen(struct console *c, size_t n)
{
    pthread_mutex_lock(&c->lock);
    bool r = c->seqs_n >= n;
    pthread_mutex_unlock(&c->lock);
    return r;
}

static enum uplink_phase phase(struct world *w)
{
    return uplink_info(w->uplink)->phase;
}

static void exactly_once(struct console *c, size_t n)
{
    pthread_mutex_lock(&c->lock);
    assert_int_equal(c->seqs_n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(c->seqs[i], i + 1);
    pthread_mutex_unlock(&c->lock);
}

static int setup(void **state)
{
    static const struct str names[] = {{"127.0.0.1", 9}};
    struct world *w = calloc(1, sizeof(*w));
    struct err e = ERR_INIT;
    struct str key;
    struct pki_cert cert;
    snprintf(w->dir, sizeof(w->dir), "/tmp/bulkhead-uplink-XXXXXX");
    if (!mkdtemp(w->dir))
        return -1;
    w->a = arena_new(16u << 20);
    struct console *c = &w->c;
    pthread_mutex_init(&c->lock, NULL);
    c->life = TIME_DAY;
    c->config = 1;
    c->policy =
        "kind: ContainerPolicy\nname: web\nmode: enforce\nselect: {names: [\"web-*\"]}\nprocess: {drift: block}\n";
    snprintf(c->listen, sizeof(c->listen), "127.0.0.1:0");
    const char *pki = arena_printf(w->a, "%s/pki", w->dir);
    if (pki_open(pki, &c->pki, &e) < 0 || pki_server(c->pki, w->a, pki, names, 1, TIME_DAY, &key, &cert, &e) < 0 ||
        tls_server_new(cert.pem, key, pki_ca(c->pki), &c->tls, &e) < 0)
        return -1;
    console_start(c);
    w->state = arena_printf(w->a, "%s/state", w->dir);
    w->token = arena_printf(w->a, "%s/token", w->dir);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 10);
    struct json_writer j = JSON_WRITER(&b);
    json_w_object(&j);
    json_w_kstrz(&j, "address", arena_printf(w->a, "https://%s", c->listen));
    json_w_kstr(&j, "ca", pki_ca(c->pki));
    json_w_kstrz(&j, "id", "01J");
    json_w_kstrz(&j, "secret", "s3cret");
    json_w_end(&j);
    if (fs_mkdirs(w->state, 0700, &e) < 0 || fs_write(w->token, buf_str(&b), 0600, &e) < 0)
        return -1;
    agent_start(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    agent_stop(w);
    console_stop(&w->c);
    tls_server_free(w->c.tls);
    pki_close(w->c.pki);
    fs_remove_tree(w->dir, NULL);
    arena_free(w->a);
    free(w);
    return 0;
}

/* ---- tests ---- */

static void test_enrolment_and_policy(void **state)
{
    struct world *w = *state;
    struct str text;
    struct stat st;
    const char *file = arena_printf(w->a, "%s/policy/console.yaml", w->state);
    until(w, phase(w) == UPLINK_online && fs_exists(file));
    assert_false(fs_exists(w->token)); /* used up and removed */
    assert_int_equal(stat(arena_printf(w->a, "%s/console/agent.key", w->state), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    if (geteuid() == 0)
        assert_int_not_equal(st.st_uid, 0);
    assert_int_equal(fs_read(w->a, file, 1u << 20, &text, NULL), 0);
    assert_true(str_has(text, STR("# revision: 12\nkind: ContainerPolicy")));
    assert_true(str_eqc(uplink_info(w->uplink)->config_revision, "rev-1"));
    struct policy_set *set;
    const struct policy_doc *docs;
    const char *paths[] = {arena_printf(w->a, "%s/policy", w->state)};
    assert_int_equal(policy_set_load(paths, 1, &set, NULL), 0);
    assert_int_equal(policy_set_docs(set, &docs), 1);
    assert_int_equal(docs[0].revision, 12);
    policy_set_unref(set);

    /* A set that does not parse is refused, and what is in force stays. */
    pthread_mutex_lock(&w->c.lock);
    w->c.policy = "kind: ContainerPolicy\nname: web\nmode: nonsense\n";
    w->c.config = 2;
    pthread_mutex_unlock(&w->c.lock);
    httpd_wake(w->c.server, 1);
    until(w, uplink_info(w->uplink)->policy_error.n > 0);
    struct str after;
    assert_int_equal(fs_read(w->a, file, 1u << 20, &after, NULL), 0);
    assert_true(str_eq(text, after));
    /* A good one heals it; an empty set is a set. */
    pthread_mutex_lock(&w->c.lock);
    w->c.policy = NULL;
    w->c.config = 3;
    pthread_mutex_unlock(&w->c.lock);
    httpd_wake(w->c.server, 1);
    until(w, uplink_info(w->uplink)->policy_error.n == 0);
    assert_int_equal(fs_read(w->a, file, 1u << 20, &after, NULL), 0);
    assert_false(str_has(after, STR("kind:")));

    /* A restart goes on with the identity, without a token. */
    agent_stop(w);
    agent_start(w);
    until(w, phase(w) == UPLINK_online);
    assert_int_equal(w->c.enrolments, 1);
}

static void test_events_exactly_once(void **state)
{
    struct world *w = *state;
    put_events(w, 100);
    until(w, seen(&w->c, 100));
    exactly_once(&w->c, 100);
    until(w, uplink_info(w->uplink)->acked == 100);
    assert_int_equal(journal_stats(w->journal).acked, 100);
    /* The console is away while events come, and the agent restarts meanwhile. */
    console_stop(&w->c);
    put_events(w, 150);
    until(w, phase(w) == UPLINK_away);
    agent_stop(w);
    agent_start(w);
    put_events(w, 50);
    console_start(&w->c);
    until(w, seen(&w->c, 300));
    exactly_once(&w->c, 300);
    until(w, phase(w) == UPLINK_online);
}

static void test_refused_event(void **state)
{
    struct world *w = *state;
    w->c.bad_seq = 5;
    put_events(w, 10);
    until(w, seen(&w->c, 10)); /* nine of them and the gap event that tells of the tenth */
    pthread_mutex_lock(&w->c.lock);
    for (size_t i = 0; i < w->c.seqs_n; i++)
        assert_int_not_equal(w->c.seqs[i], 5);
    assert_int_equal(w->c.seqs[9], 11);
    pthread_mutex_unlock(&w->c.lock);
}

static void test_restored_console(void **state)
{
    struct world *w = *state;
    put_events(w, 20);
    until(w, seen(&w->c, 20) && uplink_info(w->uplink)->acked == 20);
    pthread_mutex_lock(&w->c.lock); /* restored from a backup of when it had 15 */
    w->c.ack = 15;
    w->c.seqs_n = 15;
    pthread_mutex_unlock(&w->c.lock);
    put_events(w, 1);
    until(w, w->c.ack == 21);
    assert_int_equal(w->c.seqs[w->c.seqs_n - 1], 21);
}

static void test_renewal(void **state)
{
    struct world *w = *state;
    agent_stop(w); /* the first certificate must be short */
    fs_remove_tree(arena_printf(w->a, "%s/console", w->state), NULL);
    (void)w->token;
    w->c.token_used = false;
    w->c.life = 6 * TIME_SECOND;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 10);
    struct json_writer j = JSON_WRITER(&b);
    json_w_object(&j);
    json_w_kstrz(&j, "address", arena_printf(w->a, "https://%s", w->c.listen));
    json_w_kstr(&j, "ca", pki_ca(w->c.pki));
    json_w_kstrz(&j, "id", "01J");
    json_w_kstrz(&j, "secret", "s3cret");
    json_w_end(&j);
    assert_int_equal(fs_write(w->token, buf_str(&b), 0600, NULL), 0);
    agent_start(w);
    until(w, phase(w) == UPLINK_online);
    until(w, w->c.renewals > 0);
    put_events(w, 3); /* over a connection with the new certificate */
    until(w, seen(&w->c, 3));
    assert_int_equal(w->c.renewals, 1);
}

static void test_revoked(void **state)
{
    struct world *w = *state;
    struct str text;
    const char *file = arena_printf(w->a, "%s/policy/console.yaml", w->state);
    until(w, phase(w) == UPLINK_online && fs_exists(file));
    w->c.revoked = true;
    httpd_wake(w->c.server, 1);
    put_events(w, 5);
    console_stop(&w->c); /* the next poll, not the one that is parked */
    console_start(&w->c);
    until(w, phase(w) == UPLINK_refused);
    assert_true(str_has(uplink_info(w->uplink)->story, STR("not you")));
    assert_int_equal(w->c.seqs_n, 0);
    assert_int_equal(fs_read(w->a, file, 1u << 20, &text, NULL), 0); /* what protects stays */
    assert_true(str_has(text, STR("mode: enforce")));
    assert_int_equal(journal_stats(w->journal).acked, 0); /* and the events wait */
}

static void test_documents(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    until(w, str_eqc(str_c(w->c.status), "{\"version\":\"wanted\"}")); /* the first heartbeat asked for it */
    uplink_status(w->uplink, STR("{\"version\":\"2\"}"));
    uplink_status(w->uplink, STR("{\"version\":\"3\"}"));
    until(w, str_eqc(str_c(w->c.status), "{\"version\":\"3\"}"));
    assert_int_equal(uplink_report(w->uplink, STR("aaaa"), STR("{\"image_id\":\"a\"}"), &e), 0);
    until(w, w->c.reports == 1);
    assert_string_equal(w->c.report, "{\"image_id\":\"a\"}");
    /* kept over a restart while the console is away */
    console_stop(&w->c);
    assert_int_equal(uplink_report(w->uplink, STR("bbbb"), STR("{\"image_id\":\"b\"}"), &e), 0);
    agent_stop(w);
    agent_start(w);
    console_start(&w->c);
    /* at least once: the first may come again when the agent stopped before it knew that it had arrived */
    until(w, w->c.reports >= 2 && str_eqc(str_c(w->c.report), "{\"image_id\":\"b\"}"));
    assert_in_range(w->c.reports, 2, 3);
}

static void test_bad_token(void **state)
{
    struct world *w = *state;
    agent_stop(w);
    fs_remove_tree(arena_printf(w->a, "%s/console", w->state), NULL);
    w->c.token_used = true;
    assert_int_equal(fs_write(w->token,
                              STR("{\"address\":\"https://127.0.0.1:1\",\"ca\":\"x\",\"id\":\"a\",\"secret\":\"b\"}"),
                              0600, NULL),
                     0);
    agent_start(w);
    until(w, phase(w) == UPLINK_refused);
    assert_true(fs_exists(w->token)); /* not used: not removed */
}

static pid_t child_of(pid_t parent)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str text, pid = STR("");
    uint64_t v = 0;
    if (fs_read(a, arena_printf(a, "/proc/%d/task/%d/children", parent, parent), 4096, &text, NULL) < 0)
        return 0;
    str_cut(&text, ' ', &pid);
    return str_u64(pid, &v) == 0 ? (pid_t)v : 0;
}

static void test_child_is_replaced(void **state)
{
    struct world *w = *state;
    until(w, phase(w) == UPLINK_online);
    pid_t child = child_of(getpid());
    if (child <= 0)
        skip();
    /* locked down: unprivileged, no new privileges, seccomp filter */
    struct str status;
    assert_int_equal(fs_read(w->a, arena_printf(w->a, "/proc/%d/status", child), 16384, &status, NULL), 0);
    assert_true(str_has(status, STR("NoNewPrivs:\t1")));
    assert_true(str_has(status, STR("Seccomp:\t2")));
    if (geteuid() == 0)
        assert_true(str_has(status, STR("CapEff:\t0000000000000000")));
    kill(child, SIGKILL);
    until(w, uplink_info(w->uplink)->restarts == 1);
    put_events(w, 7);
    until(w, seen(&w->c, 7));
    exactly_once(&w->c, 7);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "uplink"))
        return dialer_main(argc, argv);
    log_setup("uplink_test", LOG_ERROR_, false);
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        T(enrolment_and_policy),
        T(events_exactly_once),
        T(refused_event),
        T(restored_console),
        T(renewal),
        T(revoked),
        T(documents),
        T(bad_token),
        T(child_is_replaced),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
