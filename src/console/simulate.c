/* simulate: what drafts of policies, or another intel.db, would say of the images known here. Nothing is kept. The
 * verdict before is the one in force. */
#include "base/encode.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "console/console.h"
#include "console/judge.h"
#include "intel/changes.h"
#include "scan/rescan.h"

#define STALE_MAX 10000u

struct stale {
    struct stale_exception x;
    int64_t images;
};

struct simulation {
    struct console *c;
    struct arena *a;
    struct judge_by by;
    const struct intel_changes *changes; /* NULL: all images are looked at */
    struct reply rp;
    struct map *stale;
    int64_t judged, before, after, newly_denied, newly_allowed;
};

/* The same exception or statement in many images is one line. */
static void count_stale(struct simulation *s, const struct stale_exception *x)
{
    struct str key = arena_strf(s->a, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(x->policy),
                                STR_ARG(x->what), STR_ARG(x->package), STR_ARG(x->owner));
    struct stale *known = map_get(s->stale, key);
    if (!known && map_count(s->stale) < STALE_MAX) {
        known = arena_new_of(s->a, struct stale);
        known->x = (struct stale_exception){arena_str(s->a, x->policy),
                                            arena_str(s->a, x->what),
                                            arena_str(s->a, x->package),
                                            arena_str(s->a, x->owner),
                                            x->expires,
                                            x->expired,
                                            x->unused};
        map_put(s->stale, key, known);
    }
    if (known)
        known->images++;
}

static int one(struct simulation *s, struct str id, bool allowed, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(2 * (size_t)LIMIT_REQUEST_ARENA);
    struct stored_image im;
    struct judged now;
    struct json_writer *w = &s->rp.w;
    int r = image_stored(s->c, a, id, &im, e);
    if (r < 0 || (r = judge_report_by(&s->by, a, im.report, im.names, im.names_n, im.since, &now, e)) < 0)
        return r == -ENOENT ? 0 : r; /* it went meanwhile */
    s->judged++;
    s->before += !allowed;
    s->after += !now.allow;
    for (size_t i = 0; i < now.v.stale_n; i++)
        count_stale(s, &now.v.stale[i]);
    if (allowed == now.allow)
        return 0;
    s->newly_denied += allowed;
    s->newly_allowed += !allowed;
    json_w_object(w);
    json_w_kstr(w, "id", id);
    json_w_karray(w, "names");
    for (size_t i = 0; i < im.names_n; i++)
        json_w_str(w, im.names[i]);
    json_w_end(w);
    w_instant(w, "running_since", im.since);
    json_w_kbool(w, "allowed_before", allowed);
    json_w_key(w, "verdict");
    json_w_raw(w, now.verdict);
    json_w_end(w);
    return 0;
}

struct known {
    struct str id;
    bool allowed;
};

static int list(struct simulation *s, struct str cursor, uint64_t limit, struct known **ret, size_t *ret_n,
                struct str *ret_last, struct err *e)
{
    struct known *v = arena_array(s->a, limit, sizeof(*v));
    struct db_rows q;
    struct db *db = store_read(s->c->store);
    size_t n = 0, rows = 0;
    int r;
    *ret_last = STR_NONE;
    for (r = db_query(db, &q, e,
                      "SELECT id, allow, package_keys FROM image WHERE report IS NOT NULL AND id > coalesce(?1, '') "
                      "ORDER BY id LIMIT ?2",
                      "si", cursor, (int64_t)limit);
         r > 0; r = db_next(&q, e)) {
        *ret_last = ++rows == limit ? db_copy(s->a, &q, 0) : STR_NONE;
        if (!s->changes || db_null(&q, 2) || rescan_concerned(db_str(&q, 2), s->changes))
            v[n++] = (struct known){db_copy(s->a, &q, 0), db_i64(&q, 1)};
    }
    store_done(s->c->store, db);
    *ret = v;
    *ret_n = n;
    return r;
}

static void write_stale(struct simulation *s)
{
    struct json_writer *w = &s->rp.w;
    json_w_karray(w, "stale");
    MAP_EACH (s->stale, it) {
        const struct stale *v = it->value;
        json_w_object(w);
        json_w_kstr(w, "policy", v->x.policy);
        json_w_kstr(w, "what", v->x.what);
        json_w_kstr(w, "package", v->x.package.n ? v->x.package : STR_NONE);
        json_w_kstr(w, "owner", v->x.owner);
        w_instant(w, "expires", v->x.expires);
        json_w_kbool(w, "expired", v->x.expired);
        json_w_ki64(w, "images", v->images);
        json_w_end(w);
    }
    json_w_end(w);
}

static int simulate(struct simulation *s, struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct known *images;
    struct str last;
    size_t n;
    uint64_t limit = PAGE_MAX;
    int r = httpd_query_u64(rq, "limit", 1, PAGE_MAX, &limit, e);
    if (r < 0 || (r = list(s, httpd_query(rq, "cursor"), limit, &images, &n, &last, e)) < 0)
        return r;
    s->stale = map_new(STALE_MAX);
    reply_init(&s->rp, LIMIT_REQUEST_ARENA / 2);
    json_w_karray(&s->rp.w, "items");
    for (size_t i = 0; i < n && r >= 0; i++)
        r = one(s, images[i].id, images[i].allowed, e);
    json_w_end(&s->rp.w);
    json_w_ki64(&s->rp.w, "judged", s->judged);
    json_w_ki64(&s->rp.w, "denied_before", s->before);
    json_w_ki64(&s->rp.w, "denied_after", s->after);
    json_w_ki64(&s->rp.w, "newly_denied", s->newly_denied);
    json_w_ki64(&s->rp.w, "newly_allowed", s->newly_allowed);
    write_stale(s);
    json_w_kstr(&s->rp.w, "next", last);
    map_free(s->stale);
    if (r < 0) {
        reply_free(&s->rp);
        return r;
    }
    return reply_send(&s->rp, rq, an, e);
}

int simulate_policies(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct simulation s = {.c = c, .a = rq->a};
    struct judged_doc *docs;
    struct str *notices;
    size_t n, notices_n;
    int r = judge_documents(rq->a, rq->body, &docs, &n, &notices, &notices_n, e);
    if (r < 0)
        return r == -EBADMSG || r == -EINVAL ? refuse(an, 400, "bad_policy", e, "%s", e->msg) : r;
    _cleanup_(judge_by_fini) struct judge_by by = {0};
    judge_current(c, &by);
    struct policy_set *set = NULL;
    struct db *db = store_read(c->store);
    r = judge_draft(db, rq->a, docs, n, &set, e);
    store_done(c->store, db);
    if (r < 0)
        return r == -EBADMSG || r == -EINVAL ? refuse(an, 400, "bad_policy", e, "%s", e->msg) : r;
    policy_set_unref(by.set);
    by.set = set;
    s.by = by;
    return simulate(&s, rq, an, e);
}

int simulate_intel(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct simulation s = {.c = c, .a = rq->a};
    char tag[ULID_TEXT];
    struct intel_changes changes = {0};
    struct intel *fresh = NULL;
    const char *key = arena_printf(rq->a, STR_FMT "/intel.pub", STR_ARG(c->o.state));
    const char *path = arena_printf(rq->a, STR_FMT "/intel.%s.try", STR_ARG(c->o.state), ulid_make(time_now(), tag));
    if (rq->body_fd < 0)
        return err_set(e, EINVAL, "the body must be an intel.db");
    if (!fs_exists(key))
        return refuse(an, 409, "no_key", e, "this console has no public key to verify intel with");
    int r = intel_copy_body(rq, path, e);
    if (r >= 0 && (r = intel_open(path, key, 0, &fresh, e)) == -EKEYREJECTED) {
        an->status = 422;
        an->code = "bad_signature";
    } else if (r == -EBADMSG) {
        an->code = "bad_intel";
    }
    unlink(path);
    if (r < 0)
        return r;
    _cleanup_(judge_by_fini) struct judge_by by = {0};
    judge_current(c, &by);
    if (by.intel && judge_changes(c, by.intel, fresh, &changes, NULL) == 0)
        s.changes = &changes;
    intel_unref(by.intel);
    by.intel = fresh;
    s.by = by;
    r = simulate(&s, rq, an, e);
    intel_changes_fini(&changes);
    return r;
}
