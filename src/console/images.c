/* images: scan reports and the verdicts on them. A report is kept once per image id, compressed; its verdict is
 * computed here from it, by this console's policies and intel, again whenever one of them changes or the verdict runs
 * out. */
#include "base/limits.h"
#include "console/console.h"
#include "console/judge.h"
#include "format/digest.h"
#include "scan/rescan.h"

#include <zstd.h>

#define NAMES_MAX 256

static struct str pack(struct arena *a, struct str s)
{
    size_t room = ZSTD_compressBound(s.n);
    char *p = arena_alloc(a, room);
    size_t n = ZSTD_compress(p, room, s.p, s.n, 3);
    return ZSTD_isError(n) ? STR_NONE : str_n(p, n);
}

static int unpack(struct arena *a, struct str packed, int64_t size, struct str *ret, struct err *e)
{
    if (size < 0 || size > (int64_t)LIMIT_HTTP_BODY * 2)
        return err_set(e, EBADMSG, "stored report: bad size");
    char *p = arena_alloc(a, (size_t)size + 1);
    size_t n = ZSTD_decompress(p, (size_t)size, packed.p, packed.n);
    if (ZSTD_isError(n) || n != (size_t)size)
        return err_set(e, EBADMSG, "stored report: damaged");
    *ret = str_n(p, n);
    return 0;
}

struct outdated {
    pthread_mutex_t lock;
    bool set;
    struct intel_changes changes;
    char from[65], to[65]; /* intel revisions */
};

struct outdated *outdated_new(void)
{
    struct outdated *o = calloc(1, sizeof(*o));
    if (!o)
        abort();
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

void outdated_free(struct outdated *o)
{
    if (!o)
        return;
    intel_changes_fini(&o->changes);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

void images_intel_changed(struct console *c, struct intel_changes *changes, struct str from, struct str to)
{
    struct outdated *o = c->changed;
    pthread_mutex_lock(&o->lock);
    if (o->set || from.n > 64 || to.n > 64) { /* two steps at once */
        intel_changes_fini(changes);
        atomic_store(&c->outdated, true);
    } else {
        o->set = true;
        o->changes = *changes;
        *changes = (struct intel_changes){0};
        memcpy(o->from, from.p, from.n);
        memcpy(o->to, to.p, to.n);
        o->from[from.n] = o->to[to.n] = 0;
    }
    pthread_mutex_unlock(&o->lock);
}

void images_outdated(struct console *c)
{
    atomic_store(&c->outdated, true);
}

/* ---- reading ---- */

static void w_names(struct json_writer *w, struct db *db, struct str id)
{
    struct db_rows q;
    json_w_karray(w, "names");
    for (int r = db_query(db, &q, NULL,
                          "SELECT name FROM image_name WHERE image = ?1 ORDER BY seen DESC, name LIMIT 256", "s", id);
         r > 0; r = db_next(&q, NULL))
        json_w_str(w, db_str(&q, 0));
    json_w_end(w);
}

#define IMAGE_COLUMNS "SELECT i.id, i.first_seen, i.scanned, i.source, i.verdict FROM image i "

static void w_image(struct arena *a, struct json_writer *w, struct db *db, const struct db_rows *q)
{
    struct str id = db_copy(a, q, 0);
    json_w_object(w);
    json_w_kstr(w, "id", id);
    w_names(w, db, id);
    w_instant(w, "first_seen", db_i64(q, 1));
    w_instant(w, "scanned", db_i64(q, 2));
    json_w_kstr(w, "source", db_str(q, 3));
    json_w_key(w, "verdict");
    json_w_raw(w, db_null(q, 4) ? STR("null") : db_str(q, 4));
    json_w_end(w);
}

int images_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str words[1], allow = httpd_query(rq, "allow"), cursor = httpd_query(rq, "cursor");
    struct str word = query_words(rq, words, 1) ? words[0] : STR_NONE, last = STR_NONE;
    uint64_t limit = PAGE_DEFAULT, n = 0;
    int r = httpd_query_u64(rq, "limit", 1, PAGE_MAX, &limit, e);
    if (r < 0)
        return r;
    if (allow.p && !str_eqc(allow, "true") && !str_eqc(allow, "false"))
        return err_set(e, EINVAL, "allow: expected true or false");
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    reply_init(&rp, LIMIT_REQUEST_ARENA / 2);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e,
                      IMAGE_COLUMNS "WHERE i.id > coalesce(?1, '') AND (?2 < 0 OR i.allow = ?2) AND (?3 IS NULL OR "
                                    "i.id LIKE ?3 ESCAPE '\\' OR "
                                    "EXISTS (SELECT 1 FROM image_name n WHERE n.image = i.id AND n.name LIKE ?3 ESCAPE "
                                    "'\\')) ORDER BY i.id LIMIT ?4",
                      "sisi", cursor, (int64_t)(allow.p ? str_eqc(allow, "true") : -1), word, (int64_t)limit);
         r > 0; r = db_next(&q, e), n++) {
        last = db_copy(rq->a, &q, 0);
        w_image(rq->a, &rp.w, db, &q);
    }
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "next", n == limit ? last : STR_NONE);
    if (r < 0) {
        reply_free(&rp);
        return r;
    }
    return reply_send(&rp, rq, an, e);
}

/* sha256:HEX, HEX, or a name: the image that was seen under it last. */
static int resolve(struct db *db, struct arena *a, struct str given, struct str *ret, struct err *e)
{
    struct str id = given.n == 64 ? arena_strf(a, "sha256:" STR_FMT, STR_ARG(given)) : given;
    struct db_rows q;
    int r = db_query(
        db, &q, e,
        "SELECT id FROM image WHERE id = ?1 UNION ALL SELECT * FROM (SELECT image FROM image_name WHERE name = ?2 "
        "ORDER BY seen DESC LIMIT 1) LIMIT 1",
        "ss", id, given);
    if (r > 0)
        *ret = db_copy(a, &q, 0);
    db_end(&q);
    return r == 0 ? err_set(e, ENOENT, "there is no image " STR_FMT " here", STR_ARG(given)) : r < 0 ? r : 0;
}

static int write_one(struct db *db, struct arena *a, struct str id, struct buf *b, struct err *e)
{
    struct db_rows q;
    struct json_writer w = JSON_WRITER(b);
    int r = db_query(db, &q, e, IMAGE_COLUMNS "WHERE i.id = ?1", "s", id);
    if (r > 0)
        w_image(a, &w, db, &q);
    db_end(&q);
    return r < 0 ? r : buf_check(b, e);
}

int images_get(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db = store_read(c->store);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY);
    struct str id;
    int r = resolve(db, rq->a, rq->param[0], &id, e);
    if (r >= 0)
        r = write_one(db, rq->a, id, &b, e);
    store_done(c->store, db);
    an->body = arena_str(rq->a, buf_str(&b));
    return r;
}

static int load_report(struct db *db, struct arena *a, struct str id, struct str *ret, int64_t *ret_scanned,
                       struct str *ret_source, struct err *e)
{
    struct db_rows q;
    int r = db_query(db, &q, e,
                     "SELECT report, report_size, scanned, source FROM image WHERE id = ?1 AND report IS NOT NULL", "s",
                     id);
    if (r > 0) {
        r = unpack(a, db_str(&q, 0), db_i64(&q, 1), ret, e);
        *ret_scanned = db_i64(&q, 2);
        *ret_source = db_copy(a, &q, 3);
        db_end(&q);
        return r;
    }
    return r < 0 ? r : err_set(e, ENOENT, "there is no report on " STR_FMT " here", STR_ARG(id));
}

int images_report(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db = store_read(c->store);
    struct str id, source;
    int64_t scanned;
    int r = resolve(db, rq->a, rq->param[0], &id, e);
    if (r >= 0)
        r = load_report(db, rq->a, id, &an->body, &scanned, &source, e);
    store_done(c->store, db);
    return r;
}

/* Agents trust what pipelines and people handed in and what they found themselves, not each other. */
int agent_inventory(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db = store_read(c->store);
    struct str report, source;
    int64_t scanned = 0;
    int r = load_report(db, rq->a, rq->param[0], &report, &scanned, &source, e);
    store_done(c->store, db);
    if (r < 0)
        return r;
    if (str_starts(source, STR("agent:")) && !str_eq(source, principal_of(rq)->actor))
        return err_set(e, ENOENT, "there is no report on " STR_FMT " here", STR_ARG(rq->param[0]));
    struct reply rp;
    reply_init(&rp, LIMIT_REQUEST_ARENA / 2);
    json_w_key(&rp.w, "report");
    json_w_raw(&rp.w, report);
    w_instant(&rp.w, "stored", scanned);
    return reply_send(&rp, rq, an, e);
}

/* ---- storing ---- */

struct incoming {
    struct str id, names[NAMES_MAX];
    size_t names_n;
    struct str report, packed, verdict, keys; /* rendered; p NULL: none */
    bool allow;
    int64_t until;
};

/* Since when the image runs on any host; 0: nowhere. */
static int running_since(struct db *db, struct str id, int64_t *ret, struct err *e)
{
    struct db_rows q;
    *ret = 0;
    int r = db_query(db, &q, e, "SELECT coalesce(min(running_since), 0) FROM container WHERE image_id = ?1", "s", id);
    if (r > 0)
        *ret = db_i64(&q, 0);
    db_end(&q);
    return r < 0 ? r : 0;
}

static int read_incoming(struct console *c, struct arena *a, const struct json_value *body, struct incoming *in,
                         struct err *e)
{
    const struct json_value *report = json_get(body, "report"), *verdict = json_get(body, "verdict");
    in->id = json_str(json_get(body, "image_id"));
    if (!digest_valid(in->id))
        return err_set(e, EINVAL, "image_id: expected sha256: and 64 hex digits");
    JSON_EACH (json_get(body, "names"), it) {
        struct str s = json_str(it);
        if (s.n && s.n <= 512 && in->names_n < NAMES_MAX)
            in->names[in->names_n++] = s;
    }
    in->until = TIME_NEVER;
    if (verdict && verdict->type == JSON_OBJECT) {
        _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY);
        struct json_writer w = JSON_WRITER(&b);
        json_w_value(&w, verdict);
        in->verdict = arena_str(a, buf_str(&b));
        in->allow = json_bool(json_get(verdict, "allow"), false);
    }
    if (!report || report->type != JSON_OBJECT)
        return 0;
    struct str inside = json_str(json_path(report, "image.id"));
    if (!inside.p)
        inside = json_str(json_get(report, "image_id"));
    if (inside.n && !str_eq(inside, in->id))
        return err_set(e, EINVAL, "image_id: the report is about " STR_FMT, STR_ARG(inside));
    struct judged judged;
    int64_t since = 0;
    struct db *db = store_read(c->store);
    int r = running_since(db, in->id, &since, e);
    store_done(c->store, db);
    if (r < 0 || (r = judge_report(c, a, report, in->names, in->names_n, since, &judged, e)) < 0)
        return err_wrap(e, "report");
    in->verdict = judged.verdict;
    in->allow = judged.allow;
    in->until = judged.until;
    in->keys = judged.keys;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY * 2);
    struct json_writer w = JSON_WRITER(&b);
    json_w_value(&w, report);
    in->report = arena_str(a, buf_str(&b));
    in->packed = pack(a, in->report);
    return buf_check(&b, e);
}

static int put_image(struct db *db, const struct incoming *in, struct str source, struct err *e)
{
    int64_t now = time_now();
    int r = (int)db_run(db, e, "INSERT INTO image(id, first_seen) VALUES(?1, ?2) ON CONFLICT DO NOTHING", "si", in->id,
                        now);
    /* What an agent says never takes the place of what a pipeline or a person handed in. */
    if (r >= 0 && in->report.p)
        r = (int)db_run(
            db, e,
            "UPDATE image SET report = ?2, report_size = ?3, scanned = ?4, source = ?5, verdict = ?6, allow = ?7, "
            "valid_until = ?8, package_keys = ?9 WHERE id = ?1 AND (?5 NOT LIKE 'agent:%' OR source IS NULL OR source "
            "LIKE 'agent:%')",
            "sbiissiib", in->id, in->packed, (int64_t)in->report.n, now, source, in->verdict, (int64_t)in->allow,
            in->until, in->keys);
    else if (r >= 0 && in->verdict.p)
        r = (int)db_run(
            db, e,
            "UPDATE image SET verdict = ?2, allow = ?3, source = coalesce(source, ?4) WHERE id = ?1 AND report IS NULL",
            "ssis", in->id, in->verdict, (int64_t)in->allow, source);
    for (size_t i = 0; i < in->names_n && r >= 0; i++)
        r = (int)db_run(
            db, e, "INSERT INTO image_name(name, image, seen) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET seen = ?3",
            "ssi", in->names[i], in->id, now);
    return r < 0 ? r : 0;
}

static int take(struct httpd_request *rq, struct incoming *in, bool audited, struct err *e)
{
    struct console *c = console_of(rq);
    struct json_value *v;
    struct db *db;
    int r = body_json(rq, &v, e);
    if (r < 0 || (r = read_incoming(c, rq->a, v, in, e)) < 0 || (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = put_image(db, in, principal_of(rq)->actor, e)) < 0 ||
        (audited && (r = audit_add(db, rq, "report.put", in->id, "ok", STR_NONE, e)) < 0))
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    atomic_fetch_add(&c->metrics.reports, 1);
    return 0;
}

int reports_post(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct incoming *in = arena_new_of(rq->a, struct incoming);
    int r = take(rq, in, true, e);
    if (r < 0)
        return r;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY);
    struct db *db = store_read(c->store);
    r = write_one(db, rq->a, in->id, &b, e);
    store_done(c->store, db);
    an->body = arena_str(rq->a, buf_str(&b));
    return r;
}

int agent_report(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct incoming *in = arena_new_of(rq->a, struct incoming);
    int r = take(rq, in, false, e);
    if (r < 0)
        return r;
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_kstr(&rp.w, "image_id", in->id);
    json_w_kbool(&rp.w, "stored", true);
    return reply_send(&rp, rq, an, e);
}

/* ---- judging again ---- */

int image_stored(struct console *c, struct arena *a, struct str id, struct stored_image *ret, struct err *e)
{
    struct str text, source;
    struct json_value *report;
    struct db_rows q;
    struct db *db = store_read(c->store);
    *ret = (struct stored_image){.names = arena_array(a, NAMES_MAX, sizeof(*ret->names))};
    int r = load_report(db, a, id, &text, &ret->scanned, &source, e);
    for (int more = r < 0 ? 0 : db_query(db, &q, e, "SELECT name FROM image_name WHERE image = ?1 LIMIT 256", "s", id);
         more > 0; more = db_next(&q, e))
        ret->names[ret->names_n++] = db_copy(a, &q, 0);
    if (r >= 0)
        r = running_since(db, id, &ret->since, e);
    store_done(c->store, db);
    if (r < 0 || (r = json_parse(a, text, 0, &report, e)) < 0)
        return r;
    ret->report = report;
    return 0;
}

static int judge_again(struct console *c, struct str id, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(2 * (size_t)LIMIT_REQUEST_ARENA);
    struct stored_image im;
    struct judged judged;
    struct db *db;
    int r = image_stored(c, a, id, &im, e);
    if (r < 0 || (r = judge_report(c, a, im.report, im.names, im.names_n, im.since, &judged, e)) < 0 ||
        (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = (int)db_run(db, e,
                         "UPDATE image SET verdict = ?2, allow = ?3, valid_until = ?4, package_keys = ?6 WHERE id = ?1 "
                         "AND scanned = ?5",
                         "ssiiib", id, judged.verdict, (int64_t)judged.allow, judged.until, im.scanned, judged.keys)) <
        0)
        return store_abort(c->store, r);
    return store_commit(c->store, e);
}

/* What is not concerned has the same verdict, now by the newer intel. */
static int same_verdict(struct console *c, const struct str *ids, size_t n, const struct outdated *o, struct err *e)
{
    struct db *db;
    int r = n ? store_write(c->store, &db, e) : 0;
    if (r < 0 || !n)
        return r;
    for (size_t i = 0; i < n && r >= 0; i++)
        r = (int)db_run(db, e, "UPDATE image SET verdict = replace(verdict, ?2, ?3) WHERE id = ?1", "szz", ids[i],
                        o->from, o->to);
    return r < 0 ? store_abort(c->store, r) : store_commit(c->store, e);
}

/* All of them when policy changed, those that newer intel concerns, and those whose verdict has run out. */
int images_reassess(struct console *c, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    bool all = atomic_exchange(&c->outdated, false);
    struct outdated step = {0};
    struct str *same = NULL;
    size_t same_n = 0, same_cap = 0;
    pthread_mutex_lock(&c->changed->lock);
    step.set = c->changed->set;
    step.changes = c->changed->changes;
    memcpy(step.from, c->changed->from, sizeof(step.from));
    memcpy(step.to, c->changed->to, sizeof(step.to));
    c->changed->set = false;
    c->changed->changes = (struct intel_changes){0};
    pthread_mutex_unlock(&c->changed->lock);
    struct str *ids = NULL;
    size_t n = 0, cap = 0;
    struct db_rows q;
    struct db *db = store_read(c->store);
    int r, failed = 0;
    for (r = db_query(db, &q, e,
                      "SELECT id, package_keys, valid_until <= ?2 FROM image WHERE report IS NOT NULL AND (?1 OR "
                      "valid_until <= ?2)",
                      "ii", (int64_t)(all || step.set), time_now());
         r > 0; r = db_next(&q, e)) {
        if (!all && !db_i64(&q, 2) && !db_null(&q, 1) && !rescan_concerned(db_str(&q, 1), &step.changes)) {
            same = arena_grow(a, same, same_n, &same_cap, sizeof(*same));
            same[same_n++] = db_copy(a, &q, 0);
            continue;
        }
        ids = arena_grow(a, ids, n, &cap, sizeof(*ids));
        ids[n++] = db_copy(a, &q, 0);
    }
    store_done(c->store, db);
    intel_changes_fini(&step.changes);
    if (r >= 0)
        r = same_verdict(c, same, same_n, &step, e);
    for (size_t i = 0; i < n && r >= 0; i++)
        if (judge_again(c, ids[i], e) < 0)
            failed = -e->code;
    return r < 0 ? r : failed;
}
