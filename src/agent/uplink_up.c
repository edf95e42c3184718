/* What goes to the console: events, documents, the heartbeat. The child pulls. */
#include "agent/uplink_internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#define BATCH_EVENTS 10000u

/* Take out the lines of events that the console refused for good. Lines start with {"id":...,"seq":N somewhere: the
 * journal's own writer made them, and seq is unique within a line's top level. */
static void leave_out_refused(struct uplink *u, struct buf *lines)
{
    _cleanup_(buf_fini) struct buf kept = BUF_INIT(lines->max);
    struct str rest = buf_str(lines), line;
    if (!u->refused_n)
        return;
    while (rest.n && str_cut(&rest, '\n', &line)) {
        _cleanup_(arena_freep) struct arena *a = arena_new((size_t)LIMIT_EVENT * 64);
        struct json_value *v = NULL;
        bool refused = false;
        if (line.n <= LIMIT_EVENT && json_parse(a, line, 0, &v, NULL) == 0)
            for (size_t i = 0; i < u->refused_n; i++)
                refused |= (uint64_t)json_i64(json_get(v, "seq"), 0) == u->refused[i];
        if (!refused) {
            buf_puts(&kept, line);
            buf_putc(&kept, '\n');
        }
    }
    buf_reset(lines);
    buf_puts(lines, buf_str(&kept));
}

static void send_nothing(struct uplink *u)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    struct json_writer w = JSON_WRITER(&b);
    struct journal_stats s = journal_stats(u->journal);
    json_w_object(&w);
    json_w_ki64(&w, "seq", (int64_t)s.last);
    json_w_key(&w, "loss");
    json_w_object(&w);
    json_w_ki64(&w, "ring", u->on.ring_lost ? (int64_t)u->on.ring_lost(u->on.ctx) : 0);
    json_w_ki64(&w, "spool", (int64_t)spool_dropped(u->spool));
    json_w_ki64(&w, "events", (int64_t)s.dropped);
    json_w_end(&w);
    json_w_end(&w);
    ipc_begin(&u->up, IPC_nothing);
    ipc_put_str(&u->up, buf_str(&b));
}

static void send_document(struct uplink *u, enum spool_kind kind, const char *name, uint64_t tag, struct str json)
{
    ipc_begin(&u->up, IPC_document);
    ipc_put_u32(&u->up, kind);
    ipc_put_str(&u->up, str_c(name));
    ipc_put_u64(&u->up, tag);
    ipc_put_str(&u->up, json);
}

static int on_pull(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint32_t most = ipc_get_u32(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (most > LIMIT_IPC_MESSAGE / 2)
        most = LIMIT_IPC_MESSAGE / 2;
    u->waiting = false;
    if (u->wanted[0]) {
        ipc_begin(&u->up, IPC_inventory_wanted);
        ipc_put_str(&u->up, str_c(u->wanted));
        u->wanted[0] = 0;
        return ipc_send(&u->up, e);
    }
    if (u->status) {
        send_document(u, SPOOL_status, "status", u->status_tag, str_c(u->status));
        return ipc_send(&u->up, e);
    }
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_IPC_MESSAGE + (1u << 20));
    struct spool_document doc;
    struct err why = ERR_INIT;
    if (spool_next(u->spool, a, &doc, &why) == 1) {
        send_document(u, doc.kind, doc.name, doc.tag, doc.json);
        return ipc_send(&u->up, e);
    }
    _cleanup_(buf_fini) struct buf lines = BUF_INIT(LIMIT_IPC_MESSAGE - (1u << 20));
    uint64_t last = u->cursor;
    journal_flush(u->journal);
    int n = journal_read(u->journal_dir, u->cursor, BATCH_EVENTS, most, &lines, &last, &why);
    if (n < 0)
        log_warn("uplink: reading the journal: %s", why.msg);
    if (n <= 0) {
        send_nothing(u);
        u->waiting = true;
        return ipc_send(&u->up, e);
    }
    leave_out_refused(u, &lines);
    if (lines.n == 0) { /* all of them refused */
        u->cursor = last;
        journal_ack(u->journal, last);
        send_nothing(u);
        u->waiting = true;
        r = ipc_send(&u->up, e);
        uplink_wake(u);
        return r;
    }
    ipc_begin(&u->up, IPC_batch);
    ipc_put_u64(&u->up, u->cursor);
    ipc_put_u64(&u->up, last);
    ipc_put_u32(&u->up, (uint32_t)n);
    ipc_put_str(&u->up, buf_str(&lines));
    return ipc_send(&u->up, e);
}

static int on_batch_done(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint64_t seq = ipc_get_u64(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (seq > journal_last(u->journal))
        return err_set(e, EBADMSG, "seq %" PRIu64 " acknowledged, which there is not", seq);
    if (seq > u->cursor) /* lower: the console was restored; what is left here goes again */
        journal_ack(u->journal, seq);
    u->cursor = u->info.acked = seq;
    size_t kept = 0;
    for (size_t i = 0; i < u->refused_n; i++)
        if (u->refused[i] > seq)
            u->refused[kept++] = u->refused[i];
    u->refused_n = kept;
    return 0;
}

static int on_event_refused(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint64_t seq = ipc_get_u64(m);
    struct str why = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (seq <= u->cursor || u->refused_n == UPLINK_REFUSED_KEPT)
        return err_set(e, EBADMSG, "too many events refused");
    for (size_t i = 0; i < u->refused_n; i++)
        if (u->refused[i] == seq)
            return err_set(e, EBADMSG, "seq %" PRIu64 " refused twice", seq);
    u->refused[u->refused_n++] = seq;
    log_warn("the console refused event %" PRIu64 ": " STR_FMT, seq, STR_ARG(why));
    journal_gap(u->journal, seq, seq, 1, STR("refused by the console"));
    return 0;
}

static int on_document_done(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint32_t kind = ipc_get_u32(m);
    struct str name = ipc_get_str(m);
    uint64_t tag = ipc_get_u64(m);
    struct str why = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (kind >= SPOOL_KINDS)
        return err_set(e, EBADMSG, "unknown kind of document %u", kind);
    if (why.n)
        log_warn("the console refused a document: " STR_FMT, STR_ARG(why));
    if (kind != SPOOL_status)
        spool_done(u->spool, (enum spool_kind)kind, name, tag);
    else if (tag == u->status_tag)
        free(TAKE(u->status));
    return 0;
}

static int on_inventory(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct str id = ipc_get_str(m), report = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r == 0 && u->on.inventory)
        u->on.inventory(u->on.ctx, id, report);
    return r;
}

int uplink_on_up(struct uplink *u, struct ipc_message *m, struct err *e)
{
    int r;
    switch (m->type) {
    case IPC_pull:
        return on_pull(u, m, e);
    case IPC_inventory:
        return on_inventory(u, m, e);
    case IPC_batch_done:
        return on_batch_done(u, m, e);
    case IPC_event_refused:
        return on_event_refused(u, m, e);
    case IPC_document_done:
        return on_document_done(u, m, e);
    case IPC_status_wanted:
        if ((r = ipc_end(m, e)) == 0 && u->on.status_wanted)
            u->on.status_wanted(u->on.ctx);
        return r;
    default:
        return err_set(e, EBADMSG, "%s on the wrong channel", ipc_name(m->type));
    }
}
