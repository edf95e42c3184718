/* The thread that brings things down from the console: identity, configuration, intel. */
#include "agent/dialer.h"
#include "agent/uplink.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"

#define RESULT_TIMEOUT_MS 300000 /* verifying a large intel database takes its time */
#define POLL_SECONDS      55
#define REFUSED_WAIT      (300 * TIME_SECOND)

struct down {
    struct dialer *d;
    struct line line;
    struct backoff backoff;
    int64_t renew_not_before; /* after a failed renewal */
    enum uplink_phase phase;
    char story[512];
    char have[256]; /* revision of the configuration we have */
};

/* ---- talking to the root side ---- */

static void send_or_go(struct ipc *c)
{
    struct err e = ERR_INIT;
    if (ipc_send(c, &e) < 0)
        dialer_gone(e.code == EPIPE ? NULL : e.msg);
}

/* The answer to the last message: 0 or -errno with the root side's story. */
static int result(struct down *w, struct err *e)
{
    struct ipc *c = &w->d->down;
    struct ipc_message m;
    struct err broken = ERR_INIT;
    int r = ipc_wait(c, &m, RESULT_TIMEOUT_MS, &broken);
    if (r == 1 && m.type != IPC_result)
        r = err_set(&broken, EBADMSG, "%s instead of a result", ipc_name(m.type));
    if (r != 1)
        dialer_gone(r == -EPIPE ? NULL : r == 0 ? "the agent does not answer" : broken.msg);
    int code = (int)ipc_get_u32(&m);
    struct str story = ipc_get_str(&m);
    if (ipc_end(&m, &broken) < 0)
        dialer_gone(broken.msg);
    return code ? err_set(e, code, STR_FMT, STR_ARG(story)) : 0;
}

static void tell(struct down *w, enum uplink_phase phase, const char *story, bool token_used)
{
    if (phase == w->phase && !strcmp(story, w->story) && !token_used)
        return;
    w->phase = phase;
    snprintf(w->story, sizeof(w->story), "%s", story);
    pthread_mutex_lock(&w->d->lock);
    int64_t ends = w->d->generation ? w->d->identity.ends : 0;
    pthread_mutex_unlock(&w->d->lock);
    struct ipc *c = &w->d->down;
    ipc_begin(c, IPC_state);
    ipc_put_u32(c, phase);
    ipc_put_str(c, str_c(w->story));
    ipc_put_u64(c, (uint64_t)ends);
    ipc_put_u32(c, token_used);
    send_or_go(c);
}

/* Waiting on the channel: the agent says nothing here unasked, so all that can come is its end. */
static void rest(struct down *w, int64_t us)
{
    struct ipc_message m;
    struct err e = ERR_INIT;
    int r = ipc_wait(&w->d->down, &m, us == TIME_NEVER ? -1 : (int)(us / 1000) + 1, &e);
    if (r != 0)
        dialer_gone(r == -EPIPE ? NULL : "an unexpected message");
}

/* ---- identity ---- */

static void take_identity(struct dialer *d)
{
    struct arena *fresh = arena_new(1u << 20);
    struct identity id;
    struct err e = ERR_INIT;
    if (identity_load(fresh, ".", &id, &e) < 0) {
        log_warn("uplink: %s", e.msg);
        arena_free(fresh);
        return;
    }
    pthread_mutex_lock(&d->lock);
    arena_free(d->identity_arena);
    d->identity_arena = fresh;
    d->identity = id;
    d->generation++;
    pthread_cond_broadcast(&d->enrolled);
    pthread_mutex_unlock(&d->lock);
}

/* Certificate and chain of an answer, with the key they are for, into the files. */
static int store_answer(struct dialer *d, struct arena *a, struct str body, struct identity *id, struct err *e)
{
    struct json_value *v;
    int r = json_parse(a, body, 0, &v, e);
    if (r < 0)
        return r;
    id->certificate = json_str(json_get(v, "certificate"));
    struct str ca = json_str(json_get(v, "chain"));
    if (ca.n)
        id->ca = ca; /* the CA may have moved on; the connection that says so was verified */
    if (!id->certificate.n)
        return err_set(e, EBADMSG, "an answer without a certificate");
    if ((r = identity_store(a, ".", id, e)) < 0)
        return r;
    take_identity(d);
    return 0;
}

static int enroll_with(struct down *w, struct arena *a, enum verdict_of_console *verdict, struct err *e)
{
    struct dialer *d = w->d;
    struct json_value *token;
    struct identity id = {0};
    struct str csr;
    struct http_response s = {0};
    _cleanup_(http_closep) struct http *h = NULL;
    _cleanup_(buf_fini) struct buf body = BUF_INIT(64u << 10);
    *verdict = CONSOLE_REFUSES;
    int r = json_parse(a, d->token, 0, &token, e);
    if (r < 0)
        return err_wrap(e, "the token file"), r;
    id.address = d->address.n ? d->address : json_str(json_get(token, "address"));
    id.ca = json_str(json_get(token, "ca"));
    while (str_ends(id.address, STR("/")))
        id.address.n--;
    if (!id.address.n || !id.ca.n || !json_str(json_get(token, "id")).n || !json_str(json_get(token, "secret")).n)
        return err_set(e, EINVAL, "the token file lacks one of address, ca, id, secret");
    struct http_opts opts = {.ca = id.ca};
    if ((r = identity_request(a, STR_NONE, &id.key, &csr, e)) < 0 || (r = http_open(&opts, &h, e)) < 0)
        return r;

    struct json_writer j = JSON_WRITER(&body);
    json_w_object(&j);
    json_w_kstr(&j, "id", json_str(json_get(token, "id")));
    json_w_kstr(&j, "secret", json_str(json_get(token, "secret")));
    json_w_kstr(&j, "csr", csr);
    json_w_kstr(&j, "host", d->host);
    json_w_kstr(&j, "machine_id", d->machine_id.n ? d->machine_id : STR_NONE);
    json_w_kstrz(&j, "version", BULKHEAD_VERSION);
    json_w_end(&j);
    struct line line = {.h = h, .address = id.address};
    r = line_run(&line, a, "POST", "/agent/v1/enroll", "application/json", buf_str(&body), &s, e);
    if (body.p)
        fs_wipe(body.p, body.n);
    *verdict = r < 0 ? CONSOLE_LATER : line_verdict(a, r, &s);
    if (r < 0 || (r = http_check(&s, e)) < 0)
        return r;
    return store_answer(d, a, s.body, &id, e);
}

/* With a token: until there is an identity. */
static void enroll(struct down *w)
{
    for (;;) {
        _cleanup_(arena_freep) struct arena *a = arena_new(DIALER_ARENA);
        struct err e = ERR_INIT;
        enum verdict_of_console verdict;
        if (enroll_with(w, a, &verdict, &e) == 0) {
            fs_wipe((char *)w->d->token.p, w->d->token.n);
            w->d->token = STR_NONE;
            backoff_reset(&w->backoff);
            tell(w, UPLINK_online, "", true);
            return;
        }
        err_wrap(&e, "enrolment");
        if (verdict != CONSOLE_LATER && w->d->generation) { /* enrolled already: a crash had left a used token behind */
            log_warn("uplink: %s; going on with the identity that is stored", e.msg);
            return;
        }
        tell(w, verdict == CONSOLE_LATER ? UPLINK_enrolling : UPLINK_refused, e.msg, false);
        rest(w, verdict == CONSOLE_LATER ? backoff_next(&w->backoff) : TIME_NEVER);
    }
}

static int renew(struct down *w, struct arena *a, struct http_response *s, struct err *e)
{
    struct identity id;
    struct str key, csr;
    _cleanup_(buf_fini) struct buf body = BUF_INIT(64u << 10);
    int r;
    if ((r = identity_load(a, ".", &id, e)) < 0 || (r = identity_request(a, id.key, &key, &csr, e)) < 0)
        return r;
    struct json_writer j = JSON_WRITER(&body);
    json_w_object(&j);
    json_w_kstr(&j, "csr", csr);
    json_w_end(&j);
    if ((r = line_run(&w->line, a, "POST", "/agent/v1/renew", "application/json", buf_str(&body), s, e)) < 0 ||
        (r = http_check(s, e)) < 0)
        return r;
    return store_answer(w->d, a, s->body, &id, e);
}

static int64_t renew_at(struct dialer *d)
{
    pthread_mutex_lock(&d->lock);
    int64_t t = d->identity.begins + (d->identity.ends - d->identity.begins) / 2;
    pthread_mutex_unlock(&d->lock);
    return t;
}

/* ---- configuration ---- */

static int hand_over_policies(struct down *w, const struct json_value *config, struct err *e)
{
    struct ipc *c = &w->d->down;
    const struct json_value *policies = json_get(config, "policies");
    ipc_begin(c, IPC_policy_begin);
    ipc_put_str(c, json_str(json_get(config, "revision")));
    ipc_put_u32(c, policies ? (uint32_t)policies->count : 0);
    send_or_go(c);
    int r = result(w, e);
    if (r < 0)
        return r;
    JSON_EACH (policies, p) {
        ipc_begin(c, IPC_policy_doc);
        ipc_put_str(c, json_str(json_get(p, "kind")));
        ipc_put_str(c, json_str(json_get(p, "name")));
        ipc_put_u64(c, (uint64_t)json_i64(json_get(p, "revision"), 0));
        ipc_put_str(c, json_str(json_get(p, "text")));
        send_or_go(c);
    }
    ipc_begin(c, IPC_policy_end);
    send_or_go(c);
    return result(w, e);
}

static int intel_piece(void *ctx, const void *p, size_t n, struct err *e)
{
    struct down *w = ctx;
    for (size_t off = 0; off < n;) {
        size_t part = n - off < IPC_CHUNK ? n - off : IPC_CHUNK;
        ipc_begin(&w->d->down, IPC_intel_data);
        ipc_put_raw(&w->d->down, (const char *)p + off, part);
        send_or_go(&w->d->down);
        off += part;
    }
    return 0;
}

/* 0 also when the root side refused it (it tells so itself); an error is one of the transfer, to be tried again. */
static int hand_over_intel(struct down *w, struct arena *a, const struct json_value *intel, struct err *e)
{
    struct ipc *c = &w->d->down;
    struct str revision = json_str(json_get(intel, "revision"));
    if (!revision.n)
        return 0;
    ipc_begin(c, IPC_intel_begin);
    ipc_put_str(c, revision);
    ipc_put_u64(c, (uint64_t)json_i64(json_get(intel, "size"), 0));
    ipc_put_str(c, json_str(json_get(intel, "key")));
    send_or_go(c);
    if (result(w, NULL) < 0)
        return 0;
    struct http_response s;
    struct http_request q = {
        .method = "GET",
        .url = arena_printf(a, STR_FMT "/agent/v1/intel", STR_ARG(w->line.address)),
        .sink = intel_piece,
        .sink_ctx = w,
        .max_body = UINT64_MAX, /* the root side holds it to the announced size */
    };
    int r = http_run(w->line.h, a, &q, &s, e);
    if (r < 0 || (r = http_check(&s, e)) < 0)
        return err_wrap(e, "intel"), r;
    ipc_begin(c, IPC_intel_end);
    send_or_go(c);
    result(w, NULL);
    return 0;
}

static int take_config(struct down *w, struct arena *a, struct str body, struct err *e)
{
    struct json_value *config;
    int r = json_parse(a, body, 0, &config, e);
    if (r < 0)
        return err_wrap(e, "configuration"), r;
    int64_t heartbeat = json_i64(json_path(config, "settings.heartbeat"), 30);
    heartbeat = heartbeat < 1 ? 1 : heartbeat > 3600 ? 3600 : heartbeat;
    atomic_store(&w->d->heartbeat, (unsigned)heartbeat);
    ipc_begin(&w->d->down, IPC_settings);
    ipc_put_u32(&w->d->down, (uint32_t)heartbeat);
    send_or_go(&w->d->down);

    struct err refused = ERR_INIT;
    if (hand_over_policies(w, config, &refused) < 0)
        log_warn("uplink: the policies of the console were refused, the last good set stays: %s", refused.msg);
    if ((r = hand_over_intel(w, a, json_get(config, "intel"), e)) < 0)
        return r;
    struct str revision = json_str(json_get(config, "revision"));
    snprintf(w->have, sizeof(w->have), STR_FMT, STR_ARG(revision));
    return 0;
}

/* Renew when it is time, then one long poll. */
static int round_trip(struct down *w, struct arena *a, struct http_response *s, struct err *e)
{
    int r = line_ready(&w->line, w->d, e);
    if (r < 0)
        return r;
    int64_t now = time_now(), due = renew_at(w->d);
    if (now >= due && now >= w->renew_not_before) {
        struct err why = ERR_INIT;
        if ((r = renew(w, a, s, &why)) < 0) {
            w->renew_not_before = now + 10 * TIME_SECOND;
            if (line_verdict(a, s->status ? 0 : r, s) != CONSOLE_LATER) {
                *e = why;
                return err_wrap(e, "renewing the certificate"), r;
            }
            log_warn("uplink: renewing the certificate: %s", why.msg);
        }
        *s = (struct http_response){0};
        if ((r = line_ready(&w->line, w->d, e)) < 0)
            return r;
        due = renew_at(w->d);
    }
    int64_t wait = POLL_SECONDS;
    if (due > now && due - now < wait * TIME_SECOND)
        wait = (due - now) / TIME_SECOND + 1;
    if (w->phase != UPLINK_online) /* the first answer at once: it says that the line is up */
        wait = 0;
    char *path = w->have[0]
                     ? arena_printf(a, "/agent/v1/config?have=%s&wait=%d", http_escape(a, str_c(w->have)), (int)wait)
                     : arena_printf(a, "/agent/v1/config");
    if ((r = line_run(&w->line, a, "GET", path, NULL, STR_NONE, s, e)) < 0 || (r = http_check(s, e)) < 0)
        return r;
    tell(w, UPLINK_online, "", false);
    return s->status == 304 ? 0 : take_config(w, a, s->body, e);
}

void dialer_run_down(struct dialer *d)
{
    struct down w = {.d = d, .backoff = BACKOFF(TIME_SECOND, 120 * TIME_SECOND)};
    if (d->token.n)
        enroll(&w);
    for (;;) {
        _cleanup_(arena_freep) struct arena *a = arena_new(DIALER_ARENA);
        struct http_response s = {0};
        struct err e = ERR_INIT;
        int r = round_trip(&w, a, &s, &e);
        if (r == 0) {
            backoff_reset(&w.backoff);
            continue;
        }
        enum verdict_of_console v = line_verdict(a, s.status ? 0 : r, &s);
        if (r == -ENOENT && d->generation == 0)
            v = CONSOLE_REFUSES;
        tell(&w, v == CONSOLE_LATER ? UPLINK_away : v == CONSOLE_CLONED ? UPLINK_cloned : UPLINK_refused, e.msg, false);
        rest(&w, v == CONSOLE_LATER ? backoff_next(&w.backoff) : REFUSED_WAIT);
    }
}
