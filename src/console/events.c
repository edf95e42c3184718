/* events: search and follow. The cursor is the order of arrival, so nothing is missed or seen twice while events come
 * in. Work per request is bounded: a search looks at no more than SCAN_MAX rows, then hands out a cursor to go on from.
 */
#include "base/limits.h"
#include "console/console.h"
#include "format/event.h"

#define SCAN_MAX   400000
#define LOOK_AGAIN 20000
#define VALUES_MAX 64

struct search {
    struct buf sql;
    struct db_value v[VALUES_MAX];
    size_t n;
    bool filtered, indexed;
};

static int value(struct search *s, struct str text)
{
    if (s->n == VALUES_MAX)
        return 0;
    s->v[s->n++] = (struct db_value){.text = true, .s = text.p ? text : STR("")};
    return (int)s->n;
}

static int number(struct search *s, int64_t i)
{
    if (s->n == VALUES_MAX)
        return 0;
    s->v[s->n++] = (struct db_value){.i = i};
    return (int)s->n;
}

/* column IN (?a, ?b): a comma separated parameter */
static void one_of(struct search *s, struct httpd_request *rq, const char *name, const char *column)
{
    struct str rest = httpd_query(rq, name), one;
    bool first = true;
    if (!rest.n)
        return;
    s->filtered = true;
    buf_printf(&s->sql, " AND %s IN (", column);
    while (str_cut(&rest, ',', &one) && s->n < VALUES_MAX / 2) {
        buf_printf(&s->sql, "%s?%d", first ? "" : ",", value(s, one));
        first = false;
    }
    buf_putz(&s->sql, ")");
}

static void subject_filter(struct search *s, struct httpd_request *rq)
{
    static const char *const by[] = {"agent", "host", "image"}, *const text[] = {"agent = ?", "host = ?", "image = ?"};
    struct str container = httpd_query(rq, "container");
    bool open = false;
    for (size_t i = 0; i < ARRAY_LEN(by); i++) {
        struct str v = httpd_query(rq, by[i]);
        if (!v.n)
            continue;
        buf_putz(&s->sql, open ? " AND " : " AND e.subject IN (SELECT id FROM subject WHERE ");
        buf_printf(&s->sql, "%s%d", text[i], value(s, v));
        open = true;
    }
    if (container.n) {
        int n = value(s, container);
        buf_putz(&s->sql, open ? " AND " : " AND e.subject IN (SELECT id FROM subject WHERE ");
        buf_printf(&s->sql, "(name = ?%d OR container = ?%d)", n, n);
        open = true;
    }
    if (open) {
        buf_putz(&s->sql, ")");
        s->filtered = s->indexed = true;
    }
}

static int filters(struct search *s, struct httpd_request *rq, struct err *e)
{
    struct str severity = httpd_query(rq, "severity"), words[8];
    int64_t since = 0, until = 0;
    enum event_severity least;
    int r;
    if ((r = query_instant(rq, "since", &since, e)) < 0 || (r = query_instant(rq, "until", &until, e)) < 0)
        return r;
    if (since)
        buf_printf(&s->sql, " AND e.time >= ?%d", number(s, since));
    if (until)
        buf_printf(&s->sql, " AND e.time < ?%d", number(s, until));
    if (severity.p && event_severity_parse(severity, &least) < 0)
        return err_set(e, EINVAL, "severity: expected info, low, medium, high or critical");
    if (severity.p && least > SEVERITY_info)
        /* the constant lets the partial index serve */
        buf_printf(&s->sql,
                   least >= SEVERITY_medium ? " AND e.severity >= 2 AND e.severity >= ?%d" : " AND e.severity >= ?%d",
                   number(s, least));
    s->filtered |= since || until || severity.p;
    one_of(s, rq, "type", "e.type");
    if (httpd_query(rq, "control").n && !str_has(httpd_query(rq, "control"), STR("none"))) {
        buf_putz(&s->sql, " AND e.control <> 'none'"); /* lets the partial index serve */
        s->indexed = true;
    }
    one_of(s, rq, "control", "e.control");
    one_of(s, rq, "action", "e.action");
    one_of(s, rq, "outcome", "e.outcome");
    subject_filter(s, rq);
    size_t n = query_words(rq, words, ARRAY_LEN(words));
    for (size_t i = 0; i < n; i++) {
        buf_printf(&s->sql, " AND e.line LIKE ?%d ESCAPE '\\'", value(s, words[i]));
        s->filtered = true;
    }
    return 0;
}

struct page {
    uint64_t limit;
    int64_t cursor;
    bool asc, ndjson;
    struct buf lines; /* ndjson */
    struct reply rp;
    size_t n;
    int64_t next; /* 0: the end of a descending list */
};

static int newest(struct db *db, int64_t *ret, struct err *e)
{
    struct db_rows q;
    int r = db_query(db, &q, e, "SELECT coalesce(max(id), 0) FROM event", "");
    if (r > 0)
        *ret = db_i64(&q, 0);
    db_end(&q);
    return r < 0 ? r : 0;
}

static int run(struct httpd_request *rq, struct db *db, struct page *p, struct err *e)
{
    struct search s = {.sql = BUF_INIT(16u << 10)};
    struct db_rows q;
    int64_t top = 0, from, to;
    int r = newest(db, &top, e);
    if (r < 0)
        return r;
    /* the window of ids this request may look at */
    from = p->asc ? p->cursor + 1 : 1;
    to = p->asc ? top : p->cursor < top + 1 ? p->cursor - 1 : top;
    buf_putz(&s.sql, "SELECT e.id, e.line FROM event e WHERE 1");
    int lo = number(&s, from), hi = number(&s, to);
    if ((r = filters(&s, rq, e)) < 0) {
        buf_fini(&s.sql);
        return r;
    }
    buf_printf(&s.sql, s.indexed ? " AND +e.id >= ?%d AND +e.id <= ?%d" : " AND e.id >= ?%d AND e.id <= ?%d", lo, hi);
    bool cut = s.filtered && !s.indexed && to - from + 1 > SCAN_MAX;
    if (cut && p->asc)
        s.v[hi - 1].i = to = from + SCAN_MAX - 1;
    else if (cut)
        s.v[lo - 1].i = from = to - SCAN_MAX + 1;
    buf_printf(&s.sql, " ORDER BY e.id %s LIMIT ?%d", p->asc ? "ASC" : "DESC", number(&s, (int64_t)p->limit));
    int64_t last = 0;
    const char *sql = buf_cstr(&s.sql);
    for (r = db_query_built(db, &q, e, sql, s.v, s.n); r > 0; r = db_next(&q, e), p->n++) {
        last = db_i64(&q, 0);
        if (p->ndjson) {
            buf_puts(&p->lines, db_str(&q, 1));
            buf_putc(&p->lines, '\n');
        } else {
            json_w_raw(&p->rp.w, db_str(&q, 1));
        }
    }
    bool full = p->n == p->limit;
    if (p->asc)
        p->next = full ? last : to > p->cursor ? to : p->cursor;
    else
        p->next = full && last > 1 ? last : !full && cut && from > 1 ? from : 0;
    buf_fini(&s.sql);
    return r;
}

/* Following starts at the end: only what is new. */
static int start(struct httpd_request *rq, struct db *db, struct page *p, struct err *e)
{
    struct str cursor = httpd_query(rq, "cursor");
    uint64_t at = 0;
    if (cursor.p) {
        if (str_u64(cursor, &at) < 0 || at > INT64_MAX)
            return err_set(e, EINVAL, "cursor: not one of ours");
        p->cursor = (int64_t)at;
        return 0;
    }
    p->cursor = INT64_MAX;
    if (!p->asc)
        return 0;
    p->cursor = 0;
    return httpd_query(rq, "wait").p ? newest(db, &p->cursor, e) : 0;
}

int events_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct page p = {.limit = PAGE_DEFAULT,
                     .asc = query_is(rq, "order", "asc"),
                     .ndjson = accepts(rq, "application/x-ndjson"),
                     .lines = BUF_INIT(LIMIT_REQUEST_ARENA / 2)};
    uint64_t wait = 0;
    int r;
    if (httpd_query(rq, "order").p && !p.asc && !query_is(rq, "order", "desc"))
        return err_set(e, EINVAL, "order: expected asc or desc");
    if ((r = httpd_query_u64(rq, "limit", 1, PAGE_MAX, &p.limit, e)) < 0 ||
        (r = httpd_query_u64(rq, "wait", 0, 60, &wait, e)) < 0)
        return r;
    reply_init(&p.rp, LIMIT_REQUEST_ARENA / 2);
    json_w_karray(&p.rp.w, "items");
    struct db *db = store_read(c->store);
    if ((r = start(rq, db, &p, e)) >= 0)
        r = run(rq, db, &p, e);
    store_done(c->store, db);
    /* Many that did not match: hand out the place reached, so that the next look does not start over. */
    bool follow = wait && p.asc && httpd_query(rq, "cursor").p && p.next - p.cursor < LOOK_AGAIN;
    if (r < 0 || (follow && !p.n && !rq->expired)) {
        buf_fini(&p.lines);
        reply_free(&p.rp);
        return r < 0 ? r : httpd_park(rq, TOPIC_EVENTS, rq->arrived + (int64_t)wait * TIME_SECOND);
    }
    struct str next = p.next || p.asc ? arena_strf(rq->a, "%" PRId64, p.next) : STR_NONE;
    if (p.ndjson) {
        an->type = "application/x-ndjson";
        an->body = arena_str(rq->a, buf_str(&p.lines));
        if (next.p)
            httpd_answer_header(rq, an, "Bulkhead-Next", next.p);
        r = buf_check(&p.lines, e);
        buf_fini(&p.lines);
        reply_free(&p.rp);
        return r;
    }
    json_w_end(&p.rp.w);
    json_w_kstr(&p.rp.w, "next", next);
    return reply_send(&p.rp, rq, an, e);
}
