/* users: who may log in. The last administrator cannot be removed, disabled or degraded. */
#include "base/fs.h"
#include "base/limits.h"
#include "console/console.h"

static bool name_good(struct str s)
{
    if (!s.n || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || !strchr("._@-", c) || !c))
            return false;
    }
    return true;
}

int users_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    int r;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e, "SELECT name, role, disabled, created, last_login FROM user ORDER BY name", ""); r > 0;
         r = db_next(&q, e)) {
        json_w_object(&rp.w);
        json_w_kstr(&rp.w, "name", db_str(&q, 0));
        json_w_kstr(&rp.w, "role", db_str(&q, 1));
        json_w_kbool(&rp.w, "disabled", db_i64(&q, 2));
        w_instant(&rp.w, "created", db_i64(&q, 3));
        w_instant(&rp.w, "last_login", db_i64(&q, 4));
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

int users_create(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct {
        struct str name, role, password;
    } in = {0};
    static const struct json_field fields[] = {{"name", JSON_F_STR, 0, true},
                                               {"role", JSON_F_STR, sizeof(struct str), true},
                                               {"password", JSON_F_STR, 2 * sizeof(struct str), false}};
    enum role role;
    struct str hash, made = STR_NONE;
    int r = body_fields(rq, fields, ARRAY_LEN(fields), 0, &in, e);
    if (r < 0 || (r = role_parse(in.role, &role, e)) < 0)
        return r;
    if (!name_good(in.name))
        return err_set(e, EINVAL, "name: expected 1 to 64 of a-z 0-9 . _ @ - beginning with a letter or digit");
    if (!in.password.p)
        in.password = made = secret_new(rq->a);
    if ((r = password_good(in.password, e)) < 0 || (r = password_hash(c, rq->a, in.password, &hash, e)) < 0)
        return r;
    struct db *db;
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    r = (int)db_run(db, e, "INSERT INTO user(name, role, password, created) VALUES(?1, ?2, ?3, ?4)", "sssi", in.name,
                    in.role, hash, time_now());
    if (r == -EEXIST)
        r = err_set(e, EEXIST, "there is a user " STR_FMT " already", STR_ARG(in.name));
    if (r < 0 || (r = audit_add(db, rq, "user.create", in.name, "ok", audit_detail(rq->a, "role", in.role), e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    struct reply rp;
    reply_init(&rp, 4096);
    json_w_kstr(&rp.w, "name", in.name);
    json_w_kstr(&rp.w, "role", in.role);
    if (made.p)
        json_w_kstr(&rp.w, "password", made);
    an->status = 201;
    return reply_send(&rp, rq, an, e);
}

/* After the change, within its transaction. */
static int still_governed(struct db *db, struct err *e)
{
    struct db_rows q;
    int r = db_query(db, &q, e, "SELECT 1 FROM user WHERE role = 'admin' AND disabled = 0 LIMIT 1", "");
    db_end(&q);
    return r == 0 ? err_set(e, EBUSY, "this is the last administrator") : r < 0 ? r : 0;
}

static int end_tokens(struct db *db, struct str user, struct str but, struct err *e)
{
    return (int)db_run(
        db, e, "UPDATE token SET revoked = 1 WHERE owner = ?1 AND kind IN ('session', 'user', 'ci') AND id IS NOT ?2",
        "ss", user, but);
}

int users_change(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str user = rq->param[0], hash = STR_NONE, role = STR_NONE;
    struct json_value *v;
    enum role ignored;
    int r = body_json(rq, &v, e);
    if (r < 0)
        return r;
    JSON_EACH (v, it)
        if (!str_eqc(it->key, "role") && !str_eqc(it->key, "password") && !str_eqc(it->key, "disabled"))
            return err_set(e, EINVAL, "body: unknown field \"" STR_FMT "\"", STR_ARG(it->key));
    const struct json_value *disabled = json_get(v, "disabled"), *password = json_get(v, "password");
    role = json_str(json_get(v, "role"));
    if (role.p && (r = role_parse(role, &ignored, e)) < 0)
        return r;
    if (disabled && disabled->type != JSON_TRUE && disabled->type != JSON_FALSE)
        return err_set(e, EINVAL, "disabled: expected true or false");
    if (password && ((r = password_good(json_str(password), e)) < 0 ||
                     (r = password_hash(c, rq->a, json_str(password), &hash, e)) < 0))
        return r;
    struct db *db;
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    r = (int)db_run(db, e,
                    "UPDATE user SET role = coalesce(?2, role), password = coalesce(?3, password), "
                    "disabled = CASE WHEN ?4 < 0 THEN disabled ELSE ?4 END WHERE name = ?1",
                    "sssi", user, role, hash, (int64_t)(disabled ? json_bool(disabled, false) : -1));
    if (r == 0)
        r = err_set(e, ENOENT, "there is no user " STR_FMT, STR_ARG(user));
    if (r < 0 || (r = still_governed(db, e)) < 0 || (r = end_tokens(db, user, STR_NONE, e)) < 0 ||
        (r = audit_add(db, rq, "user.change", user, "ok", audit_detail(rq->a, "role", role.p ? role : STR("")), e)) < 0)
        return store_abort(c->store, r);
    r = store_commit(c->store, e);
    return r < 0 ? r : reply_ok(rq, an);
}

int users_delete(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    r = (int)db_run(db, e, "DELETE FROM user WHERE name = ?1", "s", rq->param[0]);
    if (r == 0)
        r = err_set(e, ENOENT, "there is no user " STR_FMT, STR_ARG(rq->param[0]));
    if (r < 0 || (r = still_governed(db, e)) < 0 || (r = end_tokens(db, rq->param[0], STR_NONE, e)) < 0 ||
        (r = audit_add(db, rq, "user.delete", rq->param[0], "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    r = store_commit(c->store, e);
    return r < 0 ? r : reply_ok(rq, an);
}

int password(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct principal *p = principal_of(rq);
    struct {
        struct str old, new;
    } in = {0};
    static const struct json_field fields[] = {{"old", JSON_F_STR, 0, true},
                                               {"new", JSON_F_STR, sizeof(struct str), true}};
    int r = body_fields(rq, fields, ARRAY_LEN(fields), 0, &in, e);
    if (r < 0 || (r = password_good(in.new, e)) < 0)
        return r;
    if (!str_eqc(p->kind, "session"))
        return err_set(e, EACCES, "only a login session may change the password");
    if (!limiter_take(c->limiter, "password:", p->user, 5, 10 * TIME_SECOND))
        return refuse(an, 429, "rate_limited", e, "too many tries");
    struct str hash = STR_NONE, fresh;
    struct db_rows q;
    struct db *db = store_read(c->store);
    if ((r = db_query(db, &q, e, "SELECT password FROM user WHERE name = ?1", "s", p->user)) > 0)
        hash = db_copy(rq->a, &q, 0);
    db_end(&q);
    store_done(c->store, db);
    bool good = false;
    if (r < 0 || (r = password_check(c, in.old, hash, &good, e)) < 0)
        return r;
    if (!good)
        return refuse(an, 403, "bad_login", e, "the old password is wrong");
    if ((r = password_hash(c, rq->a, in.new, &fresh, e)) < 0 || (r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = (int)db_run(db, e, "UPDATE user SET password = ?2 WHERE name = ?1", "ss", p->user, fresh)) < 0 ||
        (r = end_tokens(db, p->user, p->token_id, e)) < 0 ||
        (r = audit_add(db, rq, "user.password", p->user, "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    r = store_commit(c->store, e);
    return r < 0 ? r : reply_ok(rq, an);
}
