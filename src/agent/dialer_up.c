/* The thread that brings things up to the console: events, documents, heartbeats. */
#include "agent/dialer.h"
#include "agent/spool.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/time.h"
#include "format/json.h"

#include <zstd.h>

#define BATCH_BYTES (2u << 20)
#define BATCH_LEAST (64u << 10)
#define ZSTD_LEVEL  3

struct up {
    struct dialer *d;
    struct line line;
    struct backoff backoff;
    size_t batch_bytes;
    int64_t beat_due;
    ZSTD_CCtx *zstd;
    struct buf packed;
};

static const struct {
    const char *method, *path;
} routes[SPOOL_KINDS] = {
#define SPOOL_KIND(id, method, path) [SPOOL_##id] = {method, path},
#include "agent/spool.tbl.h"
#undef SPOOL_KIND
};

static void send_or_go(struct ipc *c)
{
    struct err e = ERR_INIT;
    if (ipc_send(c, &e) < 0)
        dialer_gone(e.code == EPIPE ? NULL : e.msg);
}

/* Wait for the next message; false: timed out. */
static bool wait_message(struct up *u, struct ipc_message *m, int timeout_ms)
{
    struct err e = ERR_INIT;
    int r = ipc_wait(&u->d->up, m, timeout_ms, &e);
    if (r < 0)
        dialer_gone(r == -EPIPE ? NULL : e.msg);
    return r == 1;
}

static void must_end(const struct ipc_message *m)
{
    struct err e = ERR_INIT;
    if (ipc_end(m, &e) < 0)
        dialer_gone(e.msg);
}

/* Sleep while watching the channel; a wake is no reason to try a console that is away sooner. */
static void pause_for(struct up *u, int64_t us)
{
    int64_t until = time_monotonic() + us;
    struct ipc_message m;
    for (int64_t left; (left = until - time_monotonic()) > 0;)
        if (wait_message(u, &m, (int)(left / 1000) + 1)) {
            must_end(&m);
            if (m.type != IPC_wake)
                dialer_gone("an unexpected message");
        }
}

static void wait_for_identity(struct up *u)
{
    struct err e = ERR_INIT;
    for (;;) {
        int r = line_ready(&u->line, u->d, &e);
        if (r == 0)
            return;
        if (r != -ENOENT)
            log_warn("uplink: %s", e.msg);
        pause_for(u, TIME_SECOND / 5);
    }
}

/* ---- events ---- */

static int pack(struct up *u, struct str lines, struct err *e)
{
    size_t bound = ZSTD_compressBound(lines.n);
    buf_reset(&u->packed);
    char *room = buf_room(&u->packed, bound);
    if (!room)
        return err_set(e, E2BIG, "batch");
    size_t n = ZSTD_compressCCtx(u->zstd, room, bound, lines.p, lines.n, ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return err_set(e, EIO, "zstd: %s", ZSTD_getErrorName(n));
    u->packed.n = n;
    return 0;
}

static void batch_done(struct up *u, uint64_t seq)
{
    ipc_begin(&u->d->up, IPC_batch_done);
    ipc_put_u64(&u->d->up, seq);
    send_or_go(&u->d->up);
}

/* The seq that a bad_event answer names in its hint. */
static bool refused_seq(struct str hint, uint64_t *ret)
{
    size_t from = 0, to;
    while (from < hint.n && !(hint.p[from] >= '0' && hint.p[from] <= '9'))
        from++;
    for (to = from; to < hint.n && hint.p[to] >= '0' && hint.p[to] <= '9';)
        to++;
    return str_u64(str_sub(hint, from, to), ret) == 0;
}

/* What to do about an answer that is an error: 0 dealt with, the next pull goes on; <0 wait and try again. */
static int events_refused(struct up *u, struct arena *a, const struct http_response *s, struct err *e)
{
    struct str code = http_problem(a, s, "code");
    int r = http_check(s, e);
    struct json_value *v;
    uint64_t seq;
    if (str_eqc(code, "out_of_order") && json_parse(a, s->body, 0, &v, NULL) == 0 &&
        str_u64(json_get(v, "ack") ? json_get(v, "ack")->text : STR_NONE, &seq) == 0) {
        log_warn("uplink: the console is behind (restored from a backup?); sending again from seq %" PRIu64, seq + 1);
        batch_done(u, seq);
        return 0;
    }
    if (str_eqc(code, "bad_event") && refused_seq(http_problem(a, s, "hint"), &seq)) {
        ipc_begin(&u->d->up, IPC_event_refused);
        ipc_put_u64(&u->d->up, seq);
        ipc_put_str(&u->d->up, str_sub(http_problem(a, s, "message"), 0, 512));
        send_or_go(&u->d->up);
        return 0;
    }
    if (s->status == 413 && u->batch_bytes > BATCH_LEAST) {
        u->batch_bytes /= 2;
        return 0;
    }
    return r;
}

static int post_batch(struct up *u, struct arena *a, struct ipc_message *m, struct err *e)
{
    uint64_t after = ipc_get_u64(m), last = ipc_get_u64(m);
    ipc_get_u32(m);
    struct str lines = ipc_get_str(m);
    must_end(m);
    int r = pack(u, lines, e);
    if (r < 0)
        return r;
    struct http_header headers[] = {{STR("Content-Type"), STR("application/x-ndjson")},
                                    {STR("Content-Encoding"), STR("zstd")}};
    struct http_request q = {
        .method = "POST",
        .url = arena_printf(a, STR_FMT "/agent/v1/events?after=%" PRIu64, STR_ARG(u->line.address), after),
        .headers = headers,
        .headers_n = 2,
        .body = buf_str(&u->packed),
        .total_timeout = 300 * TIME_SECOND,
    };
    struct http_response s;
    struct json_value *v;
    uint64_t ack;
    if ((r = http_run(u->line.h, a, &q, &s, e)) < 0)
        return r;
    if (s.status >= 400)
        return events_refused(u, a, &s, e);
    if ((r = json_parse(a, s.body, 0, &v, e)) < 0)
        return r;
    const struct json_value *x = json_get(v, "ack");
    if (!x || str_u64(x->text, &ack) < 0 || ack > last || ack < after)
        return err_set(e, EBADMSG, "the console acknowledged what was not sent");
    batch_done(u, ack);
    return 0;
}

/* ---- documents, heartbeat ---- */

static int post_document(struct up *u, struct arena *a, struct ipc_message *m, struct err *e)
{
    uint32_t kind = ipc_get_u32(m);
    char *name = arena_cstr(a, ipc_get_str(m));
    uint64_t tag = ipc_get_u64(m);
    struct str json = ipc_get_str(m);
    must_end(m);
    if (kind >= SPOOL_KINDS)
        dialer_gone("an unknown kind of document");
    struct http_response s;
    int r = line_run(&u->line, a, routes[kind].method, routes[kind].path, "application/json", json, &s, e);
    if (r < 0)
        return r;
    r = http_check(&s, e);
    bool for_good = s.status >= 400 && s.status < 500 && s.status != 401 && s.status != 403 && s.status != 408 &&
                    s.status != 429 && line_verdict(a, 0, &s) == CONSOLE_LATER;
    if (r < 0 && !for_good)
        return r;
    ipc_begin(&u->d->up, IPC_document_done);
    ipc_put_u32(&u->d->up, kind);
    ipc_put_str(&u->d->up, str_c(name));
    ipc_put_u64(&u->d->up, tag);
    ipc_put_str(&u->d->up, r < 0 && e ? str_sub(str_c(e->msg), 0, 512) : STR(""));
    send_or_go(&u->d->up);
    return 0;
}

/* Has the console a scan of this image, from a pipeline or an earlier one of ours? No is an answer too. */
static int get_inventory(struct up *u, struct arena *a, struct ipc_message *m, struct err *e)
{
    _cleanup_(buf_fini) struct buf report = BUF_INIT(LIMIT_REPORT);
    struct str id = arena_str(a, ipc_get_str(m));
    struct http_response s;
    struct json_value *v = NULL;
    must_end(m);
    char *path = arena_printf(a, "/agent/v1/inventories/" STR_FMT, STR_ARG(id));
    int r = line_run(&u->line, a, "GET", path, NULL, STR_NONE, &s, e);
    if (r >= 0 && s.status == 200 && (r = json_parse(a, s.body, 0, &v, e)) == 0 && json_get(v, "report")) {
        struct json_writer w = JSON_WRITER(&report);
        json_w_value(&w, json_get(v, "report"));
    }
    ipc_begin(&u->d->up, IPC_inventory);
    ipc_put_str(&u->d->up, id);
    ipc_put_str(&u->d->up, report.full ? STR("") : buf_str(&report));
    send_or_go(&u->d->up);
    return r < 0 ? r : 0;
}

/* Nothing to send: a heartbeat when it is due, then wait for a wake or the next one. */
static int idle(struct up *u, struct arena *a, struct ipc_message *m, struct err *e)
{
    struct str body = arena_str(a, ipc_get_str(m));
    must_end(m);
    int64_t now = time_monotonic();
    if (now >= u->beat_due) {
        struct http_response s;
        struct json_value *v;
        int r = line_run(&u->line, a, "POST", "/agent/v1/heartbeat", "application/json", body, &s, e);
        if (r < 0 || (r = http_check(&s, e)) < 0)
            return r;
        u->beat_due = now + (int64_t)atomic_load(&u->d->heartbeat) * TIME_SECOND;
        if (json_parse(a, s.body, 0, &v, NULL) == 0 && json_bool(json_get(v, "status_wanted"), false)) {
            ipc_begin(&u->d->up, IPC_status_wanted);
            send_or_go(&u->d->up);
        }
    }
    struct ipc_message wake;
    int64_t left = u->beat_due - time_monotonic();
    if (left > 0 && wait_message(u, &wake, (int)(left / 1000) + 1)) {
        must_end(&wake);
        if (wake.type != IPC_wake)
            dialer_gone("an unexpected message");
    }
    return 0;
}

static int one(struct up *u, struct arena *a, struct err *e)
{
    struct ipc_message m;
    wait_for_identity(u);
    ipc_begin(&u->d->up, IPC_pull);
    ipc_put_u32(&u->d->up, (uint32_t)u->batch_bytes);
    send_or_go(&u->d->up);
    do /* a wake may have crossed our pull */
        wait_message(u, &m, -1);
    while (m.type == IPC_wake);
    switch (m.type) {
    case IPC_batch:
        return post_batch(u, a, &m, e);
    case IPC_document:
        return post_document(u, a, &m, e);
    case IPC_inventory_wanted:
        return get_inventory(u, a, &m, e);
    case IPC_nothing:
        return idle(u, a, &m, e);
    default:
        dialer_gone("an unexpected message");
    }
}

void *dialer_run_up(void *dialer)
{
    struct up u = {.d = dialer, .backoff = BACKOFF(TIME_SECOND, 120 * TIME_SECOND), .batch_bytes = BATCH_BYTES};
    u.packed = BUF_INIT(ZSTD_COMPRESSBOUND(LIMIT_IPC_MESSAGE) + 64);
    u.zstd = ZSTD_createCCtx();
    for (;;) {
        _cleanup_(arena_freep) struct arena *a = arena_new(DIALER_ARENA);
        struct err e = ERR_INIT;
        if (one(&u, a, &e) == 0) {
            backoff_reset(&u.backoff);
            continue;
        }
        log_debug("uplink: %s", e.msg); /* the other thread tells the agent how the line is */
        pause_for(&u, backoff_next(&u.backoff));
    }
}
