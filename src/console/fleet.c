/* fleet: agents and their containers: what they say is in force, and what people see and do about it. */
#include "base/limits.h"
#include "base/map.h"
#include "console/console.h"

#define SILENT_AFTER 3 /* heartbeats */

static const char *state_of(struct console *c, const struct db_rows *q, int revoked, int cloned, int expires,
                            int last_seen)
{
    int64_t now = time_now();
    if (db_i64(q, revoked))
        return "revoked";
    if (db_i64(q, cloned))
        return "cloned";
    if (db_i64(q, expires) < now)
        return "expired";
    return db_i64(q, last_seen) + SILENT_AFTER * c->o.heartbeat * TIME_SECOND < now ? "silent" : "active";
}

#define AGENT_COLUMNS                                                                                                  \
    "SELECT id, host, version, tier, kernel, enrolled, last_seen, address, certificate_expires, config_revision, "     \
    "policy_revision, intel_revision, seq, lost + reported, revoked, cloned, "                                         \
    "(SELECT count(*) FROM container c WHERE c.agent = a.id), status FROM agent a "

static bool w_agent(struct console *c, struct json_writer *w, const struct db_rows *q, struct str config,
                    struct str only, bool status)
{
    const char *state = state_of(c, q, 14, 15, 8, 6);
    if (only.n && !str_eqc(only, state))
        return false;
    json_w_object(w);
    json_w_kstr(w, "id", db_str(q, 0));
    json_w_kstr(w, "host", db_str(q, 1));
    json_w_kstrz(w, "state", state);
    json_w_kstr(w, "version", db_str(q, 2));
    json_w_kstr(w, "tier", db_str(q, 3));
    json_w_kstr(w, "kernel", db_str(q, 4));
    w_instant(w, "enrolled", db_i64(q, 5));
    w_instant(w, "last_seen", db_i64(q, 6));
    json_w_kstr(w, "address", db_str(q, 7));
    w_instant(w, "certificate_expires", db_i64(q, 8));
    json_w_kstr(w, "config_revision", db_str(q, 9));
    json_w_kstr(w, "policy_revision", db_str(q, 10));
    json_w_kstr(w, "intel_revision", db_str(q, 11));
    json_w_kbool(w, "up_to_date", str_eq(db_str(q, 9), config));
    json_w_ki64(w, "seq", db_i64(q, 12));
    json_w_ki64(w, "lost", db_i64(q, 13));
    json_w_ki64(w, "containers", db_i64(q, 16));
    if (status) {
        json_w_key(w, "status");
        json_w_raw(w, db_null(q, 17) ? STR("null") : db_str(q, 17));
    }
    json_w_end(w);
    return true;
}

int agents_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str only = httpd_query(rq, "state"), config = config_revision(c, rq->a);
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    int r;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e, AGENT_COLUMNS "ORDER BY host, id", ""); r > 0; r = db_next(&q, e))
        w_agent(c, &rp.w, &q, config, only, false);
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "next", STR_NONE);
    if (r < 0) {
        reply_free(&rp);
        return r;
    }
    return reply_send(&rp, rq, an, e);
}

int agents_get(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY);
    struct json_writer w = JSON_WRITER(&b);
    struct db_rows q;
    struct db *db = store_read(c->store);
    int r = db_query(db, &q, e, AGENT_COLUMNS "WHERE id = ?1", "s", rq->param[0]);
    if (r > 0)
        w_agent(c, &w, &q, config_revision(c, rq->a), STR_NONE, true);
    db_end(&q);
    store_done(c->store, db);
    if (r <= 0)
        return r < 0 ? r : err_set(e, ENOENT, "there is no agent " STR_FMT, STR_ARG(rq->param[0]));
    an->body = arena_str(rq->a, buf_str(&b));
    return buf_check(&b, e);
}

static int end_access(struct httpd_request *rq, struct httpd_answer *an, bool forget, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    if ((r = (int)db_run(db, e, "UPDATE agent SET revoked = 1 WHERE id = ?1", "s", rq->param[0])) == 0)
        r = err_set(e, ENOENT, "there is no agent " STR_FMT, STR_ARG(rq->param[0]));
    /* its certificates stay listed nowhere: what is not in the table is refused */
    if (r >= 0 && forget)
        r = (int)db_run(db, e, "DELETE FROM certificate WHERE agent = ?1", "s", rq->param[0]);
    if (r >= 0 && forget)
        r = (int)db_run(db, e, "DELETE FROM agent WHERE id = ?1", "s", rq->param[0]);
    if (r < 0 || (r = audit_add(db, rq, forget ? "agent.delete" : "agent.revoke", rq->param[0], "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    return reply_ok(rq, an);
}

int agents_revoke(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    return end_access(rq, an, false, e);
}
int agents_delete(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    return end_access(rq, an, true, e);
}

/* ---- what agents say ---- */

static int64_t losses(const struct json_value *v)
{
    int64_t n = 0;
    JSON_EACH (json_get(v, "loss"), it) {
        int64_t x = json_i64(it, 0);
        if (x > 0 && x < INT64_MAX / 8)
            n += x;
    }
    return n;
}

static int seen(struct db *db, struct httpd_request *rq, int64_t lost, struct err *e)
{
    return (int)db_run(db, e,
                       "UPDATE agent SET last_seen = ?2, address = ?3, reported = ?4, silent = 0, "
                       "serial_used = CASE WHEN serial = ?5 THEN 1 ELSE serial_used END WHERE id = ?1",
                       "sisis", principal_of(rq)->agent, time_now(), rq->peer, lost, rq->cert->serial);
}

/* 0: it does not run. */
static int64_t running_since(const struct json_value *container)
{
    int64_t t;
    if (!str_eqc(json_str(json_get(container, "state")), "running"))
        return 0;
    return time_parse(json_str(json_get(container, "started")), &t) == 0 && t > 0 ? t : time_now();
}

/* The images of the agent's containers. */
static int images_running(struct db *db, struct arena *a, struct str agent, struct map *ret, struct err *e)
{
    struct db_rows q;
    int r;
    for (r = db_query(db, &q, e, "SELECT DISTINCT image_id FROM container WHERE agent = ?1", "s", agent); r > 0;
         r = db_next(&q, e))
        if (!db_null(&q, 0) && map_count(ret) < LIMIT_CONSOLE_CONTAINERS)
            map_put(ret, db_copy(a, &q, 0), ret);
    return r;
}

static int put_containers(struct db *db, struct httpd_request *rq, const struct json_value *list, struct err *e)
{
    struct str agent = principal_of(rq)->agent;
    _cleanup_(map_freep) struct map *ran = map_new(LIMIT_CONSOLE_CONTAINERS + 1);
    size_t n = 0;
    int r = images_running(db, rq->a, agent, ran, e);
    if (r >= 0)
        r = (int)db_run(db, e, "DELETE FROM container WHERE agent = ?1", "s", agent);
    JSON_EACH (list, it) {
        struct str id = json_str(json_get(it, "id")), name = json_str(json_get(it, "name")),
                   image = json_str(json_get(it, "image"));
        if (r < 0)
            break;
        struct str image_id = json_str(json_get(it, "image_id"));
        if (++n > LIMIT_CONSOLE_CONTAINERS)
            return err_set(e, E2BIG, "more than %u containers", LIMIT_CONSOLE_CONTAINERS);
        if (id.n == 0 || id.n > 128)
            return err_set(e, EINVAL, "containers: one has no id");
        _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
        struct json_writer w = JSON_WRITER(&b);
        json_w_value(&w, it);
        if ((r = buf_check(&b, e)) < 0)
            return r;
        r = (int)db_run(db, e,
                        "INSERT OR REPLACE INTO container(agent, id, name, image, body, image_id, running_since) "
                        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, nullif(?7, 0))",
                        "ssssssi", agent, id, name.p ? name : STR(""), image.p ? image : STR(""), buf_str(&b), image_id,
                        running_since(it));
        if (r >= 0 && image_id.n && !map_has(ran, image_id)) /* it runs from now on: a grace may begin, judge again */
            r = (int)db_run(db, e, "UPDATE image SET valid_until = 0 WHERE id = ?1 AND allow = 0", "s", image_id);
    }
    return r;
}

/* The status as it came, without its containers: they have a table. */
static int put_status(struct db *db, struct httpd_request *rq, const struct json_value *v, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_CONSOLE_STATUS);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    JSON_EACH (v, it)
        if (!str_eqc(it->key, "containers")) {
            json_w_key(&w, arena_cstr(rq->a, it->key));
            json_w_value(&w, it);
        }
    json_w_end(&w);
    int r = buf_check(&b, e);
    if (r < 0)
        return r;
    return (int)db_run(
        db, e,
        "UPDATE agent SET status = ?2, status_time = ?3, version = coalesce(?4, version), kernel = ?5, tier = ?6, "
        "host = coalesce(?7, host), config_revision = ?8, policy_revision = ?9, intel_revision = ?10 WHERE id = ?1",
        "ssisssssss", principal_of(rq)->agent, buf_str(&b), time_now(), json_str(json_get(v, "version")),
        json_str(json_get(v, "kernel")), json_str(json_get(v, "tier")), json_str(json_get(v, "host")),
        json_str(json_get(v, "config_revision")), json_str(json_get(v, "policy_revision")),
        json_str(json_get(v, "intel_revision")));
}

static int answer_revision(struct httpd_request *rq, struct httpd_answer *an, bool wanted, bool with, struct err *e)
{
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_kstr(&rp.w, "config_revision", config_revision(console_of(rq), rq->a));
    if (with)
        json_w_kbool(&rp.w, "status_wanted", wanted);
    return reply_send(&rp, rq, an, e);
}

int agent_status(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct json_value *v;
    struct db *db;
    int r = body_json(rq, &v, e);
    if (r < 0 || (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = seen(db, rq, losses(v), e)) < 0 || (r = put_status(db, rq, v, e)) < 0 ||
        (r = put_containers(db, rq, json_get(v, "containers"), e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    return answer_revision(rq, an, false, false, e);
}

int agent_heartbeat(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct json_value *v;
    struct db *db;
    struct db_rows q;
    int r = body_json(rq, &v, e);
    if (r < 0 || (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = seen(db, rq, losses(v), e)) < 0)
        return store_abort(c->store, r);
    bool wanted =
        db_query(db, &q, e, "SELECT status IS NULL FROM agent WHERE id = ?1", "s", principal_of(rq)->agent) > 0 &&
        db_i64(&q, 0);
    db_end(&q);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    return answer_revision(rq, an, wanted, true, e);
}

/* ---- containers ---- */

int containers_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str agent = httpd_query(rq, "agent"), words[1], after_agent = STR(""), after_id = STR(""),
               cursor = httpd_query(rq, "cursor");
    uint64_t limit = PAGE_DEFAULT, n = 0;
    int r = httpd_query_u64(rq, "limit", 1, PAGE_MAX, &limit, e);
    if (r < 0)
        return r;
    if (cursor.p)
        str_split(cursor, '.', &after_agent, &after_id);
    struct str q_word = query_words(rq, words, 1) ? words[0] : STR_NONE;
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    char *next = NULL;
    reply_init(&rp, LIMIT_REQUEST_ARENA / 2);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e,
                      "SELECT c.agent, c.id, a.host, c.body FROM container c JOIN agent a ON a.id = c.agent "
                      "WHERE (c.agent, c.id) > (?1, ?2) AND (?3 IS NULL OR c.agent = ?3) AND (?4 IS NULL OR c.name "
                      "LIKE ?4 ESCAPE '\\' "
                      "OR c.image LIKE ?4 ESCAPE '\\' OR c.id LIKE ?4 ESCAPE '\\') ORDER BY c.agent, c.id LIMIT ?5",
                      "ssssi", after_agent, after_id, agent, q_word, (int64_t)limit);
         r > 0; r = db_next(&q, e)) {
        struct json_value *v;
        struct err ignored = ERR_INIT;
        if (json_parse(rq->a, db_str(&q, 3), 0, &v, &ignored) < 0)
            continue;
        json_w_object(&rp.w);
        json_w_kstr(&rp.w, "agent", db_str(&q, 0));
        json_w_kstr(&rp.w, "host", db_str(&q, 2));
        static const char *const texts[] = {"id",           "name",   "image", "image_id",
                                            "image_digest", "engine", "state", "started"};
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
            json_w_kstr(&rp.w, texts[i], json_str(json_get(v, texts[i])));
        static const char *const objects[] = {"labels", "policy", "controls"};
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            const struct json_value *o = json_get(v, objects[i]);
            json_w_key(&rp.w, objects[i]);
            if (o && o->type == JSON_OBJECT)
                json_w_value(&rp.w, o);
            else
                json_w_raw(&rp.w, i == 1 ? STR("null") : STR("{}"));
        }
        json_w_end(&rp.w);
        if (++n == limit)
            next = arena_printf(rq->a, STR_FMT "." STR_FMT, STR_ARG(db_str(&q, 0)), STR_ARG(db_str(&q, 1)));
    }
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "next", str_c(next));
    if (r < 0) {
        reply_free(&rp);
        return r;
    }
    return reply_send(&rp, rq, an, e);
}
