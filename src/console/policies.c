/* policies: versioned documents. Each (kind, name) has revisions 1, 2, ...; the newest is in force unless it says
 * deleted. */
#include "base/limits.h"
#include "console/console.h"
#include "console/judge.h"

static void w_policy(struct json_writer *w, const struct db_rows *q)
{
    json_w_object(w);
    json_w_kstr(w, "kind", db_str(q, 0));
    json_w_kstr(w, "name", db_str(q, 1));
    json_w_ki64(w, "revision", db_i64(q, 2));
    w_instant(w, "time", db_i64(q, 4));
    json_w_kstr(w, "author", db_str(q, 5));
    json_w_kstr(w, "text", db_str(q, 3));
    json_w_end(w);
}

static void put_document(struct buf *b, struct str text)
{
    buf_putz(b, "---\n");
    buf_puts(b, text);
    if (!text.n || text.p[text.n - 1] != '\n')
        buf_putc(b, '\n');
}

int policies_list(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    bool yaml = accepts(rq, "application/yaml");
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    _cleanup_(buf_fini) struct buf text = BUF_INIT(LIMIT_HTTP_BODY);
    int r;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e, POLICIES_IN_FORCE, "s", httpd_query(rq, "kind")); r > 0; r = db_next(&q, e)) {
        if (yaml)
            put_document(&text, db_str(&q, 3));
        else
            w_policy(&rp.w, &q);
    }
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "next", STR_NONE);
    json_w_kstr(&rp.w, "revision", config_revision(c, rq->a));
    if (r < 0 || yaml) {
        reply_free(&rp);
        an->type = "application/yaml";
        an->body = arena_str(rq->a, buf_str(&text));
        return r < 0 ? r : buf_check(&text, e);
    }
    return reply_send(&rp, rq, an, e);
}

int policies_get(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db_rows q;
    struct db *db = store_read(c->store);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY);
    struct json_writer w = JSON_WRITER(&b);
    int r =
        db_query(db, &q, e,
                 "SELECT kind, name, revision, text, time, author, deleted FROM policy WHERE kind = ?1 AND name = ?2 "
                 "ORDER BY revision DESC LIMIT 1",
                 "ss", rq->param[0], rq->param[1]);
    if (r > 0 && db_i64(&q, 6))
        r = 0;
    if (r == 0)
        r = err_set(e, ENOENT, "there is no " STR_FMT " " STR_FMT, STR_ARG(rq->param[0]), STR_ARG(rq->param[1]));
    if (r > 0 && accepts(rq, "application/yaml")) {
        an->type = "application/yaml";
        buf_puts(&b, db_str(&q, 3));
    } else if (r > 0) {
        w_policy(&w, &q);
    }
    db_end(&q);
    store_done(c->store, db);
    an->body = arena_str(rq->a, buf_str(&b));
    return r < 0 ? r : buf_check(&b, e);
}

int policies_history(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct reply rp;
    int r;
    size_t n = 0;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (r = db_query(db, &q, e,
                      "SELECT revision, time, author, deleted, note, text FROM policy WHERE kind = ?1 AND name = ?2 "
                      "ORDER BY revision DESC LIMIT 1000",
                      "ss", rq->param[0], rq->param[1]);
         r > 0; r = db_next(&q, e), n++) {
        json_w_object(&rp.w);
        json_w_ki64(&rp.w, "revision", db_i64(&q, 0));
        w_instant(&rp.w, "time", db_i64(&q, 1));
        json_w_kstr(&rp.w, "author", db_str(&q, 2));
        json_w_kbool(&rp.w, "deleted", db_i64(&q, 3));
        json_w_kstr(&rp.w, "note", db_str(&q, 4));
        json_w_kstr(&rp.w, "text", db_str(&q, 5));
        json_w_end(&rp.w);
    }
    store_done(c->store, db);
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "next", STR_NONE);
    if (r == 0 && !n)
        r = err_set(e, ENOENT, "there never was a " STR_FMT " " STR_FMT, STR_ARG(rq->param[0]), STR_ARG(rq->param[1]));
    if (r < 0) {
        reply_free(&rp);
        return r;
    }
    return reply_send(&rp, rq, an, e);
}

struct change {
    struct judged_doc doc;
    int64_t revision;
    const char *what;
};

/* What the document would do to the policy in force. */
static int compare(struct db *db, const struct judged_doc *doc, struct change *ret, struct err *e)
{
    struct db_rows q;
    int r = db_query(
        db, &q, e,
        "SELECT revision, text, deleted FROM policy WHERE kind = ?1 AND name = ?2 ORDER BY revision DESC LIMIT 1", "ss",
        doc->kind, doc->name);
    if (r < 0)
        return r;
    *ret = (struct change){*doc, 1, "created"};
    if (r > 0) {
        bool deleted = db_i64(&q, 2), same = str_eq(str_trim(db_str(&q, 1)), str_trim(doc->text));
        ret->revision = db_i64(&q, 0) + (deleted || !same);
        ret->what = deleted ? "created" : same ? "unchanged" : "updated";
    }
    db_end(&q);
    return 0;
}

/* The set as it would be must parse as a whole. */
static int check_set(struct db *db, struct arena *a, struct err *e)
{
    struct db_rows q;
    struct policy_source *s = NULL;
    size_t n = 0, cap = 0;
    int r;
    for (r = db_query(db, &q, e, POLICIES_IN_FORCE, "z", NULL); r > 0; r = db_next(&q, e)) {
        s = arena_grow(a, s, n, &cap, sizeof(*s));
        s[n++] = (struct policy_source){arena_strf(a, "console:" STR_FMT, STR_ARG(db_str(&q, 1))), db_copy(a, &q, 3),
                                        db_i64(&q, 2)};
    }
    return r < 0 ? r : judge_set(s, n, e);
}

static int apply_all(struct httpd_request *rq, struct db *db, const struct judged_doc *docs, size_t n,
                     struct change *changes, struct err *e)
{
    struct str note = httpd_query(rq, "note");
    int r = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        if ((r = compare(db, &docs[i], &changes[i], e)) < 0 || !strcmp(changes[i].what, "unchanged"))
            continue;
        if ((r = (int)db_run(db, e,
                             "INSERT INTO policy(kind, name, revision, time, author, note, text) VALUES(?1, ?2, ?3, "
                             "?4, ?5, ?6, ?7)",
                             "ssiisss", docs[i].kind, docs[i].name, changes[i].revision, time_now(),
                             principal_of(rq)->user, note.p ? note : STR(""), docs[i].text)) < 0)
            break;
        r = audit_add(db, rq, "policy.apply",
                      arena_strf(rq->a, STR_FMT "/" STR_FMT, STR_ARG(docs[i].kind), STR_ARG(docs[i].name)), "ok",
                      arena_strf(rq->a, "{\"revision\":%" PRId64 "}", changes[i].revision), e);
    }
    return r < 0 ? r : check_set(db, rq->a, e);
}

int policies_apply(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    bool dry = query_is(rq, "dry_run", "true");
    struct judged_doc *docs;
    struct str *notices;
    size_t n, notices_n;
    if (httpd_query(rq, "note").n > 200)
        return err_set(e, EINVAL, "note: at most 200 bytes");
    int r = judge_documents(rq->a, rq->body, &docs, &n, &notices, &notices_n, e);
    if (r < 0)
        return r == -EBADMSG || r == -EINVAL ? refuse(an, 400, "bad_policy", e, "%s", e->msg) : r;
    if (!n)
        return err_set(e, EINVAL, "there is no document in the body");
    struct change *changes = arena_array(rq->a, n, sizeof(*changes));
    struct db *db;
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    r = apply_all(rq, db, docs, n, changes, e);
    if (r < 0 || dry)
        r = store_abort(c->store, r);
    else
        r = store_commit(c->store, e);
    if (r < 0 || (!dry && (r = config_refresh(c, e)) < 0))
        return r;
    bool any = false;
    struct reply rp;
    reply_init(&rp, LIMIT_HTTP_BODY);
    json_w_karray(&rp.w, "items");
    for (size_t i = 0; i < n; i++) {
        bool changed = strcmp(changes[i].what, "unchanged");
        any |= changed;
        if (changed && !dry)
            atomic_fetch_add(&c->metrics.policies_applied, 1);
        json_w_object(&rp.w);
        json_w_kstr(&rp.w, "kind", changes[i].doc.kind);
        json_w_kstr(&rp.w, "name", changes[i].doc.name);
        json_w_kstrz(&rp.w, "change", changes[i].what);
        json_w_ki64(&rp.w, "revision", changes[i].revision);
        json_w_end(&rp.w);
    }
    json_w_end(&rp.w);
    json_w_kstr(&rp.w, "revision", config_revision(c, rq->a));
    json_w_kbool(&rp.w, "dry_run", dry);
    json_w_karray(&rp.w, "notices");
    for (size_t i = 0; i < notices_n; i++)
        json_w_str(&rp.w, notices[i]);
    json_w_end(&rp.w);
    if (any && !dry)
        images_outdated(c);
    return reply_send(&rp, rq, an, e);
}

int policies_delete(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    r = (int)db_run(
        db, e,
        "INSERT INTO policy(kind, name, revision, time, author, note, deleted, text) SELECT kind, name, revision + 1, "
        "?3, "
        "?4, 'deleted', 1, '' FROM policy WHERE kind = ?1 AND name = ?2 AND deleted = 0 AND revision = (SELECT "
        "max(revision) FROM policy WHERE kind = ?1 AND name = ?2)",
        "ssis", rq->param[0], rq->param[1], time_now(), principal_of(rq)->user);
    if (r == 0)
        r = err_set(e, ENOENT, "there is no " STR_FMT " " STR_FMT, STR_ARG(rq->param[0]), STR_ARG(rq->param[1]));
    if (r < 0 || (r = audit_add(db, rq, "policy.delete",
                                arena_strf(rq->a, STR_FMT "/" STR_FMT, STR_ARG(rq->param[0]), STR_ARG(rq->param[1])),
                                "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0 || (r = config_refresh(c, e)) < 0)
        return r;
    images_outdated(c);
    return reply_ok(rq, an);
}
