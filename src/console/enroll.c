/* enroll: how agents become known and stay so: enrolment with a token, certificates, renewal, revocation. */
#include "base/encode.h"
#include "console/console.h"
#include "format/digest.h"

#define CERTIFICATE_LIFE (7 * TIME_DAY)
#define TEXT_MAX         256 /* host, machine id, version */

static int not_agent(struct console *c, struct httpd_answer *an, const char *code, struct err *e, const char *why)
{
    atomic_fetch_add(&c->metrics.unauthenticated, 1);
    return refuse(an, 401, code, e, "%s", why);
}

/* Every request: the certificate is ours, not at its end, issued to an agent that is still welcome. */
int authorize_agent(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    if (rq->route->permission == PERMISSION_PUBLIC)
        return 0;
    if (!rq->cert)
        return not_agent(c, an, "certificate_required", e, "no good certificate of this console's authority was shown");
    if (rq->cert->expires <= time_now())
        return not_agent(c, an, "certificate_expired", e, "the certificate has expired: enrol again with a new token");
    struct db_rows q;
    struct db *db = store_read(c->store);
    int r = db_query(
        db, &q, e,
        "SELECT a.id, a.revoked FROM certificate c JOIN agent a ON a.id = c.agent WHERE c.serial = ?1 AND a.id = ?2",
        "ss", rq->cert->serial, rq->cert->name);
    bool known = r > 0, revoked = known && db_i64(&q, 1);
    db_end(&q);
    store_done(c->store, db);
    if (r < 0)
        return r;
    if (!known || revoked) {
        an->hint = "an operator took this agent's access away; it needs a new token";
        return not_agent(c, an, "certificate_revoked", e, "the certificate is revoked");
    }
    struct principal *p = arena_new_of(rq->a, struct principal);
    p->agent = arena_str(rq->a, rq->cert->name);
    p->kind = STR("agent");
    p->actor = arena_strf(rq->a, "agent:" STR_FMT, STR_ARG(p->agent));
    rq->principal = p;
    return 0;
}

struct enrolment {
    struct str id, secret, csr, host, machine_id, version;
};

static bool text_good(struct str s, bool required)
{
    if (s.n > TEXT_MAX || (required && !s.n) || !str_utf8(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20)
            return false;
    return true;
}

/* One use of the token, in the caller's transaction; -EKEYREJECTED without telling why. */
static int use_token(struct db *db, struct arena *a, const struct enrolment *in, struct err *e)
{
    struct db_rows q;
    int r = db_query(db, &q, e, "SELECT hash, revoked, expires, uses_left FROM token WHERE id = ?1 AND kind = 'agent'",
                     "s", in->id);
    bool good = r > 0;
    struct str hash =
        good ? db_copy(a, &q, 0) : STR("0000000000000000000000000000000000000000000000000000000000000000");
    bool same = secret_matches(a, in->secret, hash);
    good = good && same && !db_i64(&q, 1) && time_now() < db_i64(&q, 2) && db_i64(&q, 3) > 0;
    db_end(&q);
    if (r < 0)
        return r;
    if (!good)
        return -EKEYREJECTED;
    r = (int)db_run(db, e, "UPDATE token SET uses_left = uses_left - 1, last_used = ?2 WHERE id = ?1 AND uses_left > 0",
                    "si", in->id, time_now());
    return r < 0 ? r : r == 0 ? -EKEYREJECTED : 0;
}

static int answer_certificate(struct httpd_request *rq, struct httpd_answer *an, struct str agent,
                              const struct pki_cert *cert, struct err *e)
{
    struct reply rp;
    reply_init(&rp, 64u << 10);
    if (agent.p)
        json_w_kstr(&rp.w, "agent", agent);
    json_w_kstr(&rp.w, "certificate", cert->pem);
    json_w_kstr(&rp.w, "chain", pki_ca(console_of(rq)->pki));
    w_instant(&rp.w, "expires", cert->expires);
    w_instant(&rp.w, "renew_after", cert->expires - CERTIFICATE_LIFE / 2);
    return reply_send(&rp, rq, an, e);
}

static int enroll_within(struct httpd_request *rq, struct db *db, const struct enrolment *in, struct str agent,
                         const struct pki_cert *cert, struct err *e)
{
    int64_t now = time_now();
    int r = use_token(db, rq->a, in, e);
    if (r < 0)
        return r;
    if ((r = (int)db_run(
             db, e,
             "INSERT INTO agent(id, host, machine_id, version, address, token, enrolled, last_seen, serial, "
             "certificate_expires) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)",
             "ssssssisi", agent, in->host, in->machine_id, in->version, rq->peer, in->id, now, cert->serial,
             cert->expires)) < 0 ||
        (r = (int)db_run(db, e, "INSERT INTO certificate(serial, agent, issued, expires) VALUES(?1, ?2, ?3, ?4)",
                         "ssii", cert->serial, agent, now, cert->expires)) < 0)
        return r;
    return audit_add(db, rq, "agent.enroll", agent, "ok", audit_detail(rq->a, "host", in->host), e);
}

int agent_enroll(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct enrolment in = {0};
    static const struct json_field fields[] = {
        {"id", JSON_F_STR, offsetof(struct enrolment, id), true},
        {"secret", JSON_F_STR, offsetof(struct enrolment, secret), true},
        {"csr", JSON_F_STR, offsetof(struct enrolment, csr), true},
        {"host", JSON_F_STR, offsetof(struct enrolment, host), true},
        {"machine_id", JSON_F_STR, offsetof(struct enrolment, machine_id), false},
        {"version", JSON_F_STR, offsetof(struct enrolment, version), true}};
    int r = body_fields(rq, fields, ARRAY_LEN(fields), JSON_DECODE_UNKNOWN_OK, &in, e);
    if (r < 0)
        return r;
    if (!text_good(in.host, true) || !text_good(in.machine_id, false) || !text_good(in.version, true))
        return err_set(e, EINVAL, "host, machine_id, version: at most %d bytes of plain text", TEXT_MAX);
    if (!limiter_take(c->limiter, "enroll-ip:", rq->peer, 30, 2 * TIME_SECOND))
        return refuse(an, 429, "rate_limited", e, "too many enrolments from this address");
    /* The request is checked and signed before the token is used up: a bad one must not cost it. Strangers learn only
     * that their request was well made. */
    char *agent = arena_alloc(rq->a, ULID_TEXT);
    struct pki_cert cert;
    ulid_make(time_now(), agent);
    if ((r = pki_sign_agent(c->pki, rq->a, in.csr, str_c(agent), CERTIFICATE_LIFE, &cert, e)) < 0) {
        an->code = "bad_csr";
        return r;
    }
    struct db *db;
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = enroll_within(rq, db, &in, str_c(agent), &cert, e)) < 0)
        r = store_abort(c->store, r);
    else
        r = store_commit(c->store, e);
    if (r == -EKEYREJECTED) {
        struct err ignored = ERR_INIT;
        audit_one(rq, "agent.enroll", str_sub(in.id, 0, 64), "denied", audit_detail(rq->a, "host", in.host), &ignored);
        an->hint = "make a new one: bulkhead token create --kind agent";
        return not_agent(c, an, "bad_token", e, "the enrolment token is unknown, wrong, used up, expired or revoked");
    }
    if (r < 0)
        return r;
    limiter_give(c->limiter, "enroll-ip:", rq->peer, 30);
    atomic_fetch_add(&c->metrics.enrolled, 1);
    an->status = 201;
    return answer_certificate(rq, an, str_c(agent), &cert, e);
}

/* Which certificates may renew: the newest, or the one before while the newest was never seen (its answer was lost). */
static int may_renew(struct db *db, struct httpd_request *rq, bool *cloned, struct err *e)
{
    struct db_rows q;
    int r = db_query(db, &q, e, "SELECT serial, serial_used FROM agent WHERE id = ?1", "s", principal_of(rq)->agent);
    *cloned = r > 0 && !str_eq(db_str(&q, 0), rq->cert->serial) && db_i64(&q, 1);
    db_end(&q);
    return r < 0 ? r : 0;
}

int agent_renew(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str agent = principal_of(rq)->agent, csr = STR_NONE;
    static const struct json_field fields[] = {{"csr", JSON_F_STR, 0, true}};
    struct pki_cert cert;
    struct db *db;
    bool cloned = false;
    int r = body_fields(rq, fields, 1, JSON_DECODE_UNKNOWN_OK, &csr, e);
    if (r < 0)
        return r;
    if (!limiter_take(c->limiter, "renew:", agent, 10, 60 * TIME_SECOND))
        return refuse(an, 429, "rate_limited", e, "too many renewals");
    if ((r = pki_sign_agent(c->pki, rq->a, csr, agent, CERTIFICATE_LIFE, &cert, e)) < 0) {
        an->code = "bad_csr";
        return r;
    }
    if ((r = store_write(c->store, &db, e)) < 0)
        return r;
    if ((r = may_renew(db, rq, &cloned, e)) < 0)
        return store_abort(c->store, r);
    if (cloned) {
        if ((r = (int)db_run(db, e, "UPDATE agent SET cloned = 1 WHERE id = ?1", "s", agent)) < 0 ||
            (r = audit_add(db, rq, "agent.renew", agent, "denied", STR("{\"reason\":\"cloned\"}"), e)) < 0)
            return store_abort(c->store, r);
        if ((r = store_commit(c->store, e)) < 0)
            return r;
        an->hint = "two hosts share this identity: enrol one of them again, with an empty state directory";
        return refuse(an, 409, "cloned", e, "an older certificate asked for renewal after the newer one was used");
    }
    if ((r = (int)db_run(db, e, "UPDATE agent SET serial = ?2, serial_used = 0, certificate_expires = ?3 WHERE id = ?1",
                         "ssi", agent, cert.serial, cert.expires)) < 0 ||
        (r = (int)db_run(db, e, "INSERT INTO certificate(serial, agent, issued, expires) VALUES(?1, ?2, ?3, ?4)",
                         "ssii", cert.serial, agent, time_now(), cert.expires)) < 0 ||
        (r = audit_add(db, rq, "agent.renew", agent, "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    if ((r = store_commit(c->store, e)) < 0)
        return r;
    atomic_fetch_add(&c->metrics.renewed, 1);
    return answer_certificate(rq, an, STR_NONE, &cert, e);
}
