/* audit: who did what here. Each entry's hash covers the entry before it, so a changed, removed or inserted row breaks
 * the chain from there on; a cut tail shows to whoever kept a head (GET /api/v1/audit/verify, the log at start). */
#include "base/encode.h"
#include "console/console.h"
#include "format/digest.h"

static void link_hash(struct str prev, struct str body, char out[static 65])
{
    struct sha256 h;
    uint8_t sum[SHA256_SIZE];
    sha256_init(&h);
    sha256_update(&h, prev.p, prev.n);
    sha256_update(&h, "\n", 1);
    sha256_update(&h, body.p, body.n);
    sha256_final(&h, sum);
    hex_encode(sum, sizeof(sum), out);
}

struct str audit_detail(struct arena *a, const char *key, struct str value)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 10);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, key, value);
    json_w_end(&w);
    return arena_str(a, buf_str(&b));
}

int audit_add(struct db *db, struct httpd_request *rq, const char *action, struct str target, const char *outcome,
              struct str detail, struct err *e)
{
    struct db_rows q;
    char prev[65] = "", hash[65], when[TIME_TEXT];
    int64_t id = 1;
    int r = db_query(db, &q, e, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", "");
    if (r < 0)
        return r;
    if (r > 0) {
        struct str h = db_str(&q, 1);
        id = db_i64(&q, 0) + 1;
        memcpy(prev, h.p, h.n < 64 ? h.n : 64);
    }
    db_end(&q);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(256u << 10);
    struct json_writer w = JSON_WRITER(&b);
    struct principal *p = rq ? rq->principal : NULL;
    json_w_object(&w);
    json_w_ki64(&w, "id", id);
    json_w_kstrz(&w, "time", time_format(time_now(), when));
    json_w_kstr(&w, "actor", p ? p->actor : rq ? STR("nobody") : STR("console"));
    json_w_kstrz(&w, "action", action);
    json_w_kstr(&w, "target", target.p ? target : STR(""));
    json_w_kstrz(&w, "outcome", outcome);
    json_w_kstr(&w, "address", rq ? rq->peer : STR(""));
    json_w_key(&w, "detail");
    json_w_raw(&w, detail.n ? detail : STR("{}"));
    json_w_end(&w);
    if ((r = buf_check(&b, e)) < 0)
        return r;
    link_hash(str_c(prev), buf_str(&b), hash);
    r = (int)db_run(db, e, "INSERT INTO audit(id, body, prev, hash) VALUES(?1, ?2, ?3, ?4)", "iszz", id, buf_str(&b),
                    prev, hash);
    return r < 0 ? r : 0;
}

int audit_one(struct httpd_request *rq, const char *action, struct str target, const char *outcome, struct str detail,
              struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    if ((r = audit_add(db, rq, action, target, outcome, detail, e)) < 0)
        return store_abort(c->store, r);
    return store_commit(c->store, e);
}

int audit_check(struct db *db, struct audit_state *ret, struct err *e)
{
    struct audit_state s = {.ok = true};
    struct db_rows q;
    char hash[65];
    int r;
    for (r = db_query(db, &q, e, "SELECT id, body, prev, hash FROM audit ORDER BY id", ""); r > 0; r = db_next(&q, e)) {
        link_hash(str_c(s.head), db_str(&q, 1), hash);
        bool good = db_i64(&q, 0) == s.entries + 1 && str_eqc(db_str(&q, 2), s.head) && str_eqc(db_str(&q, 3), hash);
        if (!good && s.ok) {
            s.ok = false;
            s.broken_at = db_i64(&q, 0);
        }
        s.entries++;
        struct str stored = db_str(&q, 3);
        memset(s.head, 0, sizeof(s.head));
        memcpy(s.head, stored.p, stored.n < 64 ? stored.n : 64);
    }
    if (r < 0)
        return r;
    *ret = s;
    return 0;
}

int audit_verify(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct audit_state s;
    struct db *db = store_read(c->store);
    int r = audit_check(db, &s, e);
    store_done(c->store, db);
    if (r < 0)
        return r;
    atomic_store(&c->audit_broken, !s.ok);
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_kbool(&rp.w, "ok", s.ok);
    json_w_ki64(&rp.w, "entries", s.entries);
    json_w_kstrz(&rp.w, "head", s.head);
    json_w_key(&rp.w, "broken_at");
    if (s.broken_at)
        json_w_i64(&rp.w, s.broken_at);
    else
        json_w_null(&rp.w);
    return reply_send(&rp, rq, an, e);
}

int audit_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    uint64_t limit = PAGE_DEFAULT, cursor = INT64_MAX;
    int r;
    if ((r = httpd_query_u64(rq, "limit", 1, PAGE_MAX, &limit, e)) < 0 ||
        (r = httpd_query_u64(rq, "cursor", 0, INT64_MAX, &cursor, e)) < 0)
        return r;
    struct reply rp;
    struct db_rows q;
    struct db *db = store_read(c->store);
    int64_t last = 0;
    uint64_t n = 0;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e, "SELECT id, body, prev, hash FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2", "ii",
                      (int64_t)cursor, (int64_t)limit);
         r > 0; r = db_next(&q, e), n++) {
        struct str body = db_str(&q, 1);
        last = db_i64(&q, 0);
        json_w_object(&rp.w);
        /* the stored object's members, as hashed, and the links */
        struct json_value *v;
        struct err ignored = ERR_INIT;
        if (json_parse(rq->a, body, 0, &v, &ignored) >= 0)
            JSON_EACH (v, it) {
                json_w_key(&rp.w, arena_cstr(rq->a, it->key));
                json_w_value(&rp.w, it);
            }
        json_w_kstr(&rp.w, "prev", db_str(&q, 2));
        json_w_kstr(&rp.w, "hash", db_str(&q, 3));
        json_w_end(&rp.w);
    }
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_key(&rp.w, "next");
    if (n == limit && last > 1)
        json_w_str(&rp.w, arena_strf(rq->a, "%" PRId64, last));
    else
        json_w_null(&rp.w);
    if (r < 0) {
        reply_free(&rp);
        return r;
    }
    return reply_send(&rp, rq, an, e);
}
