/* ingest: batches of events into the database. A batch is unpacked, read once with the pull reader for the few fields
 * that are indexed (in parallel, without a lock), and stored line by line as it came, in one transaction whose commit
 * is on disk before the agent hears "ack".
 *
 * Exactly once in the store: the agent's high-water mark moves in the same transaction as its events. */
#include "base/encode.h"
#include "base/limits.h"
#include "base/map.h"
#include "console/console.h"
#include "format/event.h"

#include <zstd.h>

#define SUBJECTS_MAX 65536u

struct ingest {
    struct map *subjects; /* agent, host, container, name, image joined by NUL -> id */
    int64_t newest;       /* id put in last */
};

struct row {
    struct str line, host, container, name, image;
    struct str type, control, action, outcome; /* names of the closed lists */
    int64_t seq, time;
    enum event_severity severity;
};

struct ingest *ingest_new(void)
{
    struct ingest *in = calloc(1, sizeof(*in));
    if (!in)
        abort();
    in->subjects = map_new(SUBJECTS_MAX + 1);
    return in;
}

void ingest_free(struct ingest *in)
{
    if (!in)
        return;
    map_free(in->subjects);
    free(in);
}

static void forget(struct ingest *in)
{
    in->newest = 0;
    map_free(in->subjects);
    in->subjects = map_new(SUBJECTS_MAX + 1);
}

/* ---- reading ---- */

enum field { F_OTHER, F_SEQ, F_TIME, F_HOST, F_TYPE, F_CONTROL, F_SEVERITY, F_ACTION, F_OUTCOME, F_CONTAINER };

static enum field field_of(struct str k)
{
    static const char *const names[] = {"",        "seq",      "time",   "host",    "type",
                                        "control", "severity", "action", "outcome", "container"};
    for (unsigned i = F_SEQ; i <= F_CONTAINER; i++)
        if (str_eqc(k, names[i]))
            return i;
    return F_OTHER;
}

static int read_container(struct json *j, struct arena *a, struct row *r, struct err *e)
{
    int t = json_next(j, e);
    if (t == JSON_NULL || t < 0)
        return t < 0 ? t : 0;
    if (t != JSON_OBJECT)
        return err_set(e, EBADMSG, "container: expected an object");
    while ((t = json_next(j, e)) == JSON_KEY) {
        struct str k = json_text(j), *to = str_eqc(k, "id")      ? &r->container
                                           : str_eqc(k, "name")  ? &r->name
                                           : str_eqc(k, "image") ? &r->image
                                                                 : NULL;
        if (!to) {
            if ((t = json_skip(j, e)) < 0)
                return t;
            continue;
        }
        if ((t = json_next(j, e)) == JSON_STRING)
            *to = arena_str(a, json_text(j));
        else if (t < 0)
            return t;
        else if (t != JSON_NULL)
            return err_set(e, EBADMSG, "container: expected texts");
    }
    return t < 0 ? t : 0;
}

static int read_scalar(struct json *j, struct arena *a, enum field f, struct row *r, unsigned *have, struct err *e)
{
    int t = json_next(j, e), i = 0;
    if (t < 0)
        return t;
    struct str s = json_text(j);
    if (f == F_SEQ ? t != JSON_NUMBER || str_i64(s, &r->seq) < 0 || r->seq <= 0 : t != JSON_STRING)
        return err_set(e, EBADMSG, "seq, time, host, type, control, severity, action, outcome: one has the wrong type");
    switch (f) {
    case F_TIME:
        i = time_parse(s, &r->time);
        break;
    case F_HOST:
        r->host = arena_str(a, str_sub(s, 0, 256));
        break;
    case F_TYPE:
        if ((i = event_find(EVENT_LIST_TYPE, s)) >= 0)
            r->type = str_c(event_type_name((enum event_type)i));
        break;
    case F_CONTROL:
        if ((i = event_find(EVENT_LIST_CONTROL, s)) >= 0)
            r->control = str_c(event_control_name((enum event_control)i));
        break;
    case F_SEVERITY:
        if ((i = event_find(EVENT_LIST_SEVERITY, s)) >= 0)
            r->severity = i;
        break;
    case F_ACTION:
        if ((i = event_find(EVENT_LIST_ACTION, s)) >= 0)
            r->action = str_c(event_action_name((enum event_action)i));
        break;
    case F_OUTCOME:
        if ((i = event_find(EVENT_LIST_OUTCOME, s)) >= 0)
            r->outcome = str_c(event_outcome_name((enum event_outcome)i));
        break;
    default:
        break;
    }
    if (i < 0)
        return err_set(e, EBADMSG, "time, type, control, severity, action or outcome: unknown value");
    *have |= 1u << f;
    return 0;
}

static int read_line(struct arena *a, struct str line, struct row *ret, struct err *e)
{
    _cleanup_(json_closep) struct json *j = json_open_mem(line, 0);
    struct row row = {.line = line, .host = STR(""), .container = STR(""), .name = STR(""), .image = STR("")};
    unsigned have = 0;
    int t, r;
    if ((r = json_expect(j, JSON_OBJECT, e)) < 0)
        return r;
    while ((t = json_next(j, e)) == JSON_KEY) {
        enum field f = field_of(json_text(j));
        if (f == F_OTHER)
            r = json_skip(j, e);
        else if (f == F_CONTAINER)
            r = read_container(j, a, &row, e);
        else
            r = read_scalar(j, a, f, &row, &have, e);
        if (r < 0) {
            ret->seq = row.seq;
            return r;
        }
    }
    if (t < 0 || (t = json_next(j, e)) < 0) /* also nothing behind the object */
        return t;
    static const unsigned need = 1u << F_SEQ | 1u << F_TIME | 1u << F_TYPE | 1u << F_CONTROL | 1u << F_SEVERITY |
                                 1u << F_ACTION | 1u << F_OUTCOME;
    if ((have & need) != need) {
        ret->seq = row.seq;
        return err_set(e, EBADMSG, "seq, time, type, control, severity, action, outcome: one is missing");
    }
    *ret = row;
    return 0;
}

static int read_lines(struct arena *a, struct str text, uint64_t after, struct row **ret, size_t *ret_n,
                      struct ingest_result *res, struct err *e)
{
    struct row *rows = NULL;
    size_t n = 0, cap = 0, number = 0;
    int64_t last = (int64_t)after;
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        number++;
        if (!line.n)
            continue;
        if (n == LIMIT_CONSOLE_BATCH_EVENTS)
            return err_set(e, E2BIG, "more than %u events in a batch", LIMIT_CONSOLE_BATCH_EVENTS);
        rows = arena_grow(a, rows, n, &cap, sizeof(*rows));
        struct row row = {.line = line};
        int r = line.n > LIMIT_EVENT ? err_set(e, EBADMSG, "longer than %u bytes", LIMIT_EVENT)
                                     : read_line(a, line, &row, e);
        if (r >= 0 && row.seq <= last)
            r = err_set(e, EBADMSG, "seq %" PRId64 " is not above %" PRId64, row.seq, last);
        if (r < 0) {
            res->bad_seq = row.seq > 0 ? (uint64_t)row.seq : 0;
            return err_wrap(e, "event in line %zu", number);
        }
        last = row.seq;
        rows[n++] = row;
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

/* ---- storing ---- */

static int subject_id(struct ingest *in, struct db *db, struct str agent, const struct row *row, int64_t *ret,
                      struct err *e)
{
    char key[4096];
    size_t n = 0;
    struct str parts[] = {agent, row->host, row->container, row->name, row->image};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (n + parts[i].n + 1 > sizeof(key))
            return err_set(e, EBADMSG, "container: name or image is too long");
        if (parts[i].n)
            memcpy(key + n, parts[i].p, parts[i].n);
        n += parts[i].n;
        key[n++] = 0;
    }
    void *known = map_get(in->subjects, str_n(key, n));
    if (known) {
        *ret = (int64_t)(intptr_t)known;
        return 0;
    }
    int64_t r = db_run(
        db, e,
        "INSERT INTO subject(agent, host, container, name, image) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        "sssss", agent, row->host, row->container, row->name, row->image);
    if (r < 0)
        return (int)r;
    struct db_rows q;
    r = db_query(
        db, &q, e,
        "SELECT id FROM subject WHERE agent = ?1 AND host = ?2 AND container = ?3 AND name = ?4 AND image = ?5",
        "sssss", agent, row->host, row->container, row->name, row->image);
    if (r > 0)
        *ret = db_i64(&q, 0);
    db_end(&q);
    if (r <= 0)
        return r < 0 ? (int)r : err_set(e, EIO, "database: a subject is missing");
    if (map_count(in->subjects) >= SUBJECTS_MAX)
        forget(in);
    map_put(in->subjects, str_n(key, n), (void *)(intptr_t)*ret);
    in->newest = *ret > in->newest ? *ret : in->newest;
    return 0;
}

static int store_rows(struct ingest *in, struct db *db, struct str agent, const struct row *rows, size_t n,
                      struct err *e)
{
    struct db_stmt *s;
    int r = db_prepare(db,
                       "INSERT INTO event(subject, seq, time, severity, type, control, action, outcome, line) "
                       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                       &s, e);
    for (size_t i = 0; i < n && r >= 0; i++) {
        int64_t subject = 0;
        if ((r = subject_id(in, db, agent, &rows[i], &subject, e)) < 0)
            break;
        db_bind_i64(s, 1, subject);
        db_bind_i64(s, 2, rows[i].seq);
        db_bind_i64(s, 3, rows[i].time);
        db_bind_i64(s, 4, rows[i].severity);
        db_bind_str(s, 5, rows[i].type);
        db_bind_str(s, 6, rows[i].control);
        db_bind_str(s, 7, rows[i].action);
        db_bind_str(s, 8, rows[i].outcome);
        db_bind_str(s, 9, rows[i].line);
        r = db_exec(db, s, e);
    }
    return r;
}

/* The transaction that put the newest subject in may have failed at its commit: then what is remembered is not true. */
static int check_memory(struct ingest *in, struct db *db, struct err *e)
{
    struct db_rows q;
    if (!in->newest)
        return 0;
    int r = db_query(db, &q, e, "SELECT 1 FROM subject WHERE id = ?1", "i", in->newest);
    db_end(&q);
    if (r == 0)
        forget(in);
    return r < 0 ? r : 0;
}

int ingest_batch(struct console *c, struct arena *a, struct str agent, struct str text, uint64_t after, bool force,
                 struct ingest_result *ret, struct err *e)
{
    struct row *rows = NULL;
    size_t n = 0;
    struct db *db;
    struct db_rows q;
    int r = read_lines(a, text, after, &rows, &n, ret, e);
    if (r < 0 || (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = db_query(db, &q, e, "SELECT seq FROM agent WHERE id = ?1", "s", agent)) <= 0)
        return store_abort(c->store, r < 0 ? r : err_set(e, ENOENT, "the agent is gone"));
    int64_t have = db_i64(&q, 0), jump = 0;
    db_end(&q);
    if ((int64_t)after > have) {
        if (!force) {
            ret->ack = (uint64_t)have;
            ret->out_of_order = true;
            return store_abort(c->store, err_set(e, ESTALE, "events up to %" PRIu64 " were never stored here", after));
        }
        jump = (int64_t)after - have;
        have = (int64_t)after;
    }
    size_t skip = 0;
    while (skip < n && rows[skip].seq <= have)
        skip++;
    int64_t ack = n && rows[n - 1].seq > have ? rows[n - 1].seq : have;
    if ((r = check_memory(c->ingest, db, e)) < 0 ||
        (r = store_rows(c->ingest, db, agent, rows + skip, n - skip, e)) < 0 ||
        (r = (int)db_run(db, e, "UPDATE agent SET seq = ?2, lost = lost + ?3, last_seen = ?4, silent = 0 WHERE id = ?1",
                         "siii", agent, ack, jump, time_now())) < 0) {
        forget(c->ingest); /* it may hold subjects of the transaction that is undone */
        return store_abort(c->store, r);
    }
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    ret->ack = (uint64_t)ack;
    ret->stored = n - skip;
    ret->duplicates = skip;
    atomic_fetch_add(&c->metrics.events, n - skip);
    atomic_fetch_add(&c->metrics.events_duplicate, skip);
    if (n > skip)
        httpd_wake(c->people, TOPIC_EVENTS);
    return 0;
}

/* ---- the route ---- */

static int unpack(struct arena *a, struct str packed, struct str *ret, struct err *e)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    if (!z)
        abort();
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_CONSOLE_BATCH);
    ZSTD_inBuffer in = {packed.p, packed.n, 0};
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 24);
    size_t left = 1;
    int r = 0;
    while (r >= 0 && left) {
        size_t n = b.max - b.n < ZSTD_DStreamOutSize() ? b.max - b.n : ZSTD_DStreamOutSize();
        char *room = n ? buf_room(&b, n) : NULL;
        if (!room) {
            r = err_set(e, E2BIG, "the batch is larger than %u bytes unpacked", LIMIT_CONSOLE_BATCH);
            break;
        }
        ZSTD_outBuffer out = {room, n, 0};
        left = ZSTD_decompressStream(z, &out, &in);
        b.n += out.pos;
        if (ZSTD_isError(left))
            r = err_set(e, EBADMSG, "zstd: %s", ZSTD_getErrorName(left));
        else if (left && in.pos == in.size && !out.pos)
            r = err_set(e, EBADMSG, "zstd: cut off");
    }
    if (r >= 0 && in.pos != in.size)
        r = err_set(e, EBADMSG, "zstd: something behind the frame");
    ZSTD_freeDStream(z);
    if (r >= 0)
        *ret = arena_str(a, buf_str(&b));
    return r;
}

static int answer_order(struct httpd_request *rq, struct httpd_answer *an, uint64_t ack, struct err *e)
{
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_kobject(&rp.w, "error");
    json_w_kstrz(&rp.w, "code", "out_of_order");
    json_w_kstrz(&rp.w, "message", e->msg);
    json_w_kstrz(&rp.w, "hint", "send again from ack + 1, or with force=true");
    json_w_end(&rp.w);
    json_w_ki64(&rp.w, "ack", (int64_t)ack);
    an->status = 409;
    return reply_send(&rp, rq, an, e);
}

int agent_events(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str coding = httpd_header(rq, "Content-Encoding"), text = rq->body;
    uint64_t after = 0;
    struct ingest_result res = {0};
    int r = httpd_query_u64(rq, "after", 0, INT64_MAX, &after, e);
    if (r < 0)
        return r;
    if (str_ieq(coding, STR("zstd")))
        r = unpack(rq->a, rq->body, &text, e);
    else if (coding.n && !str_ieq(coding, STR("identity")))
        return refuse(an, 415, "unsupported_type", e, "Content-Encoding: expected zstd or none");
    if (r >= 0)
        r = ingest_batch(c, rq->a, principal_of(rq)->agent, text, after, query_is(rq, "force", "true"), &res, e);
    if (res.out_of_order)
        return answer_order(rq, an, res.ack, e);
    if (r == -EBADMSG) {
        atomic_fetch_add(&c->metrics.events_refused, 1);
        an->code = "bad_event";
        an->hint = arena_printf(rq->a, "%" PRIu64, res.bad_seq);
    }
    if (r < 0)
        return r;
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_ki64(&rp.w, "ack", (int64_t)res.ack);
    json_w_ki64(&rp.w, "stored", (int64_t)res.stored);
    json_w_ki64(&rp.w, "duplicates", (int64_t)res.duplicates);
    return reply_send(&rp, rq, an, e);
}

/* ---- the console's own ---- */

int ingest_own(struct console *c, struct event *ev, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT);
    char id[ULID_TEXT];
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    struct db_rows q;
    if ((r = (int)db_run(db, e,
                         "INSERT INTO setting(name, value) VALUES('events.seq', '1') ON CONFLICT(name) DO UPDATE SET "
                         "value = value + 1",
                         "")) < 0)
        return store_abort(c->store, r);
    if (db_query(db, &q, e, "SELECT CAST(value AS INTEGER) FROM setting WHERE name = 'events.seq'", "") > 0)
        ev->seq = (uint64_t)db_i64(&q, 0);
    db_end(&q);
    ev->time = time_now();
    ev->id = ulid_make(ev->time, id);
    struct json_writer w = JSON_WRITER(&b);
    event_write(&w, ev);
    struct row row = {.line = buf_str(&b),
                      .host = ev->host,
                      .container = STR(""),
                      .name = STR(""),
                      .image = STR(""),
                      .type = str_c(event_type_name(ev->type)),
                      .control = str_c(event_control_name(ev->control)),
                      .action = str_c(event_action_name(ev->action)),
                      .outcome = str_c(event_outcome_name(ev->outcome)),
                      .seq = (int64_t)ev->seq,
                      .time = ev->time,
                      .severity = ev->severity};
    if ((r = buf_check(&b, e)) < 0 || (r = check_memory(c->ingest, db, e)) < 0 ||
        (r = store_rows(c->ingest, db, STR("console"), &row, 1, e)) < 0) {
        forget(c->ingest);
        return store_abort(c->store, r);
    }
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    httpd_wake(c->people, TOPIC_EVENTS);
    return 0;
}
