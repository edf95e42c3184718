/* tokens: sessions, API tokens and enrolment tokens; and what they authorize. Text form: bh_<id>_<secret>. */
#include "base/encode.h"
#include "base/limits.h"
#include "console/console.h"

#define SESSION_LIFE (8 * 3600 * TIME_SECOND)
#define TOKEN_LIFE   (30 * TIME_DAY)
#define ENROL_LIFE   (3600 * TIME_SECOND)
#define LIFE_MIN     (60 * TIME_SECOND)
#define LIFE_MAX     (366 * TIME_DAY)
#define USED_GRAIN   (60 * TIME_SECOND) /* last_used is kept this exactly */

int token_create(struct db *db, struct arena *a, const char *kind, struct str owner, struct str role, struct str note,
                 int64_t life, int64_t uses, struct str *ret_id, struct str *ret_secret, struct err *e)
{
    int64_t now = time_now();
    char *id = arena_alloc(a, ULID_TEXT);
    ulid_make(now, id);
    struct str secret = secret_new(a);
    int64_t r = db_run(db, e,
                       "INSERT INTO token(id, kind, hash, owner, role, note, created, expires, uses_left) "
                       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, 0))",
                       "zzssssiii", id, kind, secret_hash(a, secret), owner, role, note.p ? note : STR(""), now,
                       now + life, uses);
    if (r < 0)
        return (int)r;
    *ret_id = str_c(id);
    *ret_secret = secret;
    return 0;
}

static struct str token_text(struct arena *a, struct str id, struct str secret)
{
    return arena_strf(a, "bh_" STR_FMT "_" STR_FMT, STR_ARG(id), STR_ARG(secret));
}

/* ---- authorization ---- */

static int unknown(struct console *c, struct httpd_answer *an, struct err *e)
{
    atomic_fetch_add(&c->metrics.unauthenticated, 1);
    an->hint = "bulkhead login, or a token in the header Authorization: Bearer";
    return refuse(an, 401, "unauthenticated", e, "the token is missing, unknown, expired or revoked");
}

/* The token of the request, -ENOENT when there is no good one. */
static int find_token(struct httpd_request *rq, struct db *db, struct principal *p, int64_t *last_used, struct err *e)
{
    struct str h = httpd_header(rq, "Authorization"), scheme, text, id, secret, prefix;
    if (!str_split(h, ' ', &scheme, &text) || !str_ieq(scheme, STR("Bearer")) ||
        !str_split(text, '_', &prefix, &text) || !str_eqc(prefix, "bh") || !str_split(text, '_', &id, &secret) ||
        secret.n > 64)
        return -ENOENT;
    struct db_rows q;
    int r = db_query(db, &q, e,
                     "SELECT t.hash, t.kind, t.owner, t.role, t.expires, t.revoked, t.last_used, u.role, u.disabled "
                     "FROM token t LEFT JOIN user u ON u.name = t.owner WHERE t.id = ?1 AND t.kind <> 'agent'",
                     "s", id);
    if (r < 0)
        return r;
    bool ok = false;
    if (r > 0) {
        bool ci = str_eqc(db_str(&q, 1), "ci");
        ok = secret_matches(rq->a, secret, db_str(&q, 0)) && !db_i64(&q, 5) && time_now() < db_i64(&q, 4) &&
             !db_null(&q, 7) && !db_i64(&q, 8);
        p->user = db_copy(rq->a, &q, 2);
        p->kind = db_copy(rq->a, &q, 1);
        p->token_id = arena_str(rq->a, id);
        p->expires = db_i64(&q, 4);
        *last_used = db_i64(&q, 6);
        /* a user's tokens have the role that the user has now */
        ok = ok && role_parse(ci ? db_str(&q, 3) : db_str(&q, 7), &p->role, NULL) >= 0;
        p->actor =
            ci ? arena_strf(rq->a, "ci:" STR_FMT, STR_ARG(id)) : arena_strf(rq->a, "user:" STR_FMT, STR_ARG(p->user));
    }
    db_end(&q);
    return ok ? 0 : -ENOENT;
}

static void note_use(struct console *c, struct principal *p)
{
    struct db *db;
    if (store_write(c->store, &db, NULL) < 0)
        return;
    db_run(db, NULL, "UPDATE token SET last_used = ?2 WHERE id = ?1", "si", p->token_id, time_now());
    store_commit(c->store, NULL);
}

int authorize_people(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    if (rq->route->permission == PERMISSION_PUBLIC)
        return 0;
    struct principal *p = arena_new_of(rq->a, struct principal);
    int64_t last_used = 0;
    struct db *db = store_read(c->store);
    int r = find_token(rq, db, p, &last_used, e);
    store_done(c->store, db);
    if (r == -ENOENT)
        return unknown(c, an, e);
    if (r < 0)
        return r;
    rq->principal = p;
    if (!permission_given(rq->route->permission, p->role)) {
        atomic_fetch_add(&c->metrics.forbidden, 1);
        struct err ignored = ERR_INIT;
        audit_one(rq, permission_name(rq->route->permission), rq->path.n > 200 ? str_sub(rq->path, 0, 200) : rq->path,
                  "denied", STR_NONE, &ignored);
        an->hint = "ask an administrator for the role";
        return err_set(e, EACCES, "the role %s may not: %s", role_name(p->role),
                       permission_name(rq->route->permission));
    }
    if (time_now() - last_used > USED_GRAIN)
        note_use(c, p);
    return 0;
}

/* ---- routes ---- */

int login(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct {
        struct str user, password;
    } in = {0};
    static const struct json_field fields[] = {{"user", JSON_F_STR, 0, true},
                                               {"password", JSON_F_STR, sizeof(struct str), true}};
    int r = body_fields(rq, fields, ARRAY_LEN(fields), 0, &in, e);
    if (r < 0)
        return r;
    struct str who = arena_strf(rq->a, STR_FMT "|" STR_FMT, STR_ARG(str_sub(in.user, 0, 64)), STR_ARG(rq->peer));
    if (!limiter_take(c->limiter, "login-user-ip:", who, 5, 10 * TIME_SECOND) ||
        !limiter_take(c->limiter, "login-ip:", rq->peer, 30, 2 * TIME_SECOND) ||
        !limiter_take(c->limiter, "login-user:", in.user, 50, 2 * TIME_SECOND)) {
        atomic_fetch_add(&c->metrics.logins_failed, 1);
        an->hint = "wait a minute";
        return refuse(an, 429, "rate_limited", e, "too many logins");
    }
    struct str hash = STR_NONE, role = STR_NONE;
    struct db_rows q;
    struct db *db = store_read(c->store);
    r = db_query(db, &q, e, "SELECT password, role FROM user WHERE name = ?1 AND disabled = 0", "s", in.user);
    if (r > 0) {
        hash = db_copy(rq->a, &q, 0);
        role = db_copy(rq->a, &q, 1);
    }
    db_end(&q);
    store_done(c->store, db);
    bool good = false;
    if (r < 0 || (r = password_check(c, in.password, hash, &good, e)) < 0)
        return r;
    if (!good) {
        atomic_fetch_add(&c->metrics.logins_failed, 1);
        if ((r = audit_one(rq, "login", str_sub(in.user, 0, 64), "denied", STR_NONE, e)) < 0)
            return r;
        return refuse(an, 401, "bad_login", e, "wrong user or password");
    }
    limiter_give(c->limiter, "login-user-ip:", who, 5);
    limiter_give(c->limiter, "login-ip:", rq->peer, 30);
    limiter_give(c->limiter, "login-user:", in.user, 50);
    struct principal *p = arena_new_of(rq->a, struct principal);
    p->actor = arena_strf(rq->a, "user:" STR_FMT, STR_ARG(in.user));
    rq->principal = p;
    struct str id, secret;
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = token_create(db, rq->a, "session", in.user, role, STR_NONE, SESSION_LIFE, 0, &id, &secret, e)) < 0 ||
        (r = (int)db_run(db, e, "UPDATE user SET last_login = ?2 WHERE name = ?1", "si", in.user, time_now())) < 0 ||
        (r = audit_add(db, rq, "login", in.user, "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_kstr(&rp.w, "token", token_text(rq->a, id, secret));
    w_instant(&rp.w, "expires", time_now() + SESSION_LIFE);
    json_w_kstr(&rp.w, "user", in.user);
    json_w_kstr(&rp.w, "role", role);
    return reply_send(&rp, rq, an, e);
}

int logout(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct principal *p = principal_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    if ((r = (int)db_run(db, e, "UPDATE token SET revoked = 1 WHERE id = ?1", "s", p->token_id)) < 0 ||
        (r = audit_add(db, rq, "logout", p->token_id, "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    r = store_commit(c->store, e);
    return r < 0 ? r : reply_ok(rq, an);
}

int whoami(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct principal *p = principal_of(rq);
    struct reply rp;
    reply_init(&rp, 8192);
    json_w_kstr(&rp.w, "user", str_eqc(p->kind, "ci") ? STR_NONE : p->user);
    json_w_kstrz(&rp.w, "role", role_name(p->role));
    json_w_kstr(&rp.w, "kind", p->kind);
    json_w_kstr(&rp.w, "token_id", p->token_id);
    w_instant(&rp.w, "expires", p->expires);
    json_w_karray(&rp.w, "permissions");
    for (unsigned i = PERMISSION_SELF + 1; i < PERMISSIONS; i++)
        if (permission_given(i, p->role))
            json_w_str(&rp.w, str_c(permission_name(i)));
    json_w_end(&rp.w);
    return reply_send(&rp, rq, an, e);
}

int tokens_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str kind = httpd_query(rq, "kind");
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    int r;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e,
                      "SELECT id, kind, role, owner, note, created, expires, last_used, uses_left, revoked FROM token "
                      "WHERE ?1 IS NULL OR kind = ?1 ORDER BY id DESC LIMIT 1000",
                      "s", kind);
         r > 0; r = db_next(&q, e)) {
        json_w_object(&rp.w);
        json_w_kstr(&rp.w, "id", db_str(&q, 0));
        json_w_kstr(&rp.w, "kind", db_str(&q, 1));
        json_w_kstr(&rp.w, "role", db_str(&q, 2));
        json_w_kstr(&rp.w, "owner", db_str(&q, 3));
        json_w_kstr(&rp.w, "note", db_str(&q, 4));
        w_instant(&rp.w, "created", db_i64(&q, 5));
        w_instant(&rp.w, "expires", db_i64(&q, 6));
        w_instant(&rp.w, "last_used", db_i64(&q, 7));
        json_w_key(&rp.w, "uses_left");
        if (db_null(&q, 8))
            json_w_null(&rp.w);
        else
            json_w_i64(&rp.w, db_i64(&q, 8));
        json_w_kbool(&rp.w, "revoked", db_i64(&q, 9));
        json_w_end(&rp.w);
    }
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "next", STR_NONE);
    if (r < 0) {
        reply_free(&rp);
        return r;
    }
    return reply_send(&rp, rq, an, e);
}

int tokens_create(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct principal *p = principal_of(rq);
    struct {
        struct str kind, expires_in, note;
        int64_t uses;
    } in = {.uses = 1};
    static const struct json_field fields[] = {{"kind", JSON_F_STR, 0, true},
                                               {"expires_in", JSON_F_STR, sizeof(struct str), false},
                                               {"note", JSON_F_STR, 2 * sizeof(struct str), false},
                                               {"uses", JSON_F_I64, 3 * sizeof(struct str), false}};
    int r = body_fields(rq, fields, ARRAY_LEN(fields), 0, &in, e);
    if (r < 0)
        return r;
    bool agent = str_eqc(in.kind, "agent"), ci = str_eqc(in.kind, "ci");
    if (!agent && !ci && !str_eqc(in.kind, "user"))
        return err_set(e, EINVAL, "kind: expected user, agent or ci");
    int64_t life = agent ? ENROL_LIFE : TOKEN_LIFE;
    if (in.expires_in.p && (duration_parse(in.expires_in, &life) < 0 || life < LIFE_MIN || life > LIFE_MAX))
        return err_set(e, EINVAL, "expires_in: expected a duration from 1m to 366d, like 1h");
    if (in.uses < 1 || in.uses > 10000 || in.note.n > 200)
        return err_set(e, EINVAL, "uses: 1 to 10000; note: at most 200 bytes");
    struct db *db;
    struct str id, secret, role = agent ? STR_NONE : ci ? STR("ci") : str_c(role_name(p->role));
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = token_create(db, rq->a,
                          agent ? "agent"
                          : ci  ? "ci"
                                : "user",
                          p->user, role, in.note, life, agent ? in.uses : 0, &id, &secret, e)) < 0 ||
        (r = audit_add(db, rq, "token.create", id, "ok", audit_detail(rq->a, "kind", in.kind), e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    struct reply rp;
    reply_init(&rp, 64u << 10);
    json_w_kstr(&rp.w, "id", id);
    json_w_kstr(&rp.w, "kind", in.kind);
    w_instant(&rp.w, "expires", time_now() + life);
    if (agent) {
        json_w_kobject(&rp.w, "token_file");
        json_w_kstrz(&rp.w, "address", c->agents_url);
        json_w_kstr(&rp.w, "ca", pki_ca(c->pki));
        json_w_kstr(&rp.w, "id", id);
        json_w_kstr(&rp.w, "secret", secret);
        w_instant(&rp.w, "expires", time_now() + life);
        json_w_end(&rp.w);
    } else {
        json_w_kstr(&rp.w, "token", token_text(rq->a, id, secret));
    }
    an->status = 201;
    return reply_send(&rp, rq, an, e);
}

int tokens_revoke(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    if ((r = (int)db_run(db, e, "UPDATE token SET revoked = 1 WHERE id = ?1", "s", rq->param[0])) == 0)
        r = err_set(e, ENOENT, "there is no token " STR_FMT, STR_ARG(rq->param[0]));
    if (r < 0 || (r = audit_add(db, rq, "token.revoke", rq->param[0], "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    r = store_commit(c->store, e);
    return r < 0 ? r : reply_ok(rq, an);
}
