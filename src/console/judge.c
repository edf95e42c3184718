#include "console/judge.h"

#include "base/fs.h"
#include "base/limits.h"
#include "scan/assess.h"
#include "scan/rescan.h"

static const char *const kinds[POLICY_KINDS] = {"ImagePolicy", "ContainerPolicy", "AccessPolicy"};

struct judge {
    pthread_mutex_t lock;
    struct policy_set *set;
    struct intel *intel;
};

struct judge *judge_new(void)
{
    struct judge *g = calloc(1, sizeof(*g));
    if (!g)
        abort();
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void judge_free(struct judge *g)
{
    if (!g)
        return;
    policy_set_unref(g->set);
    intel_unref(g->intel);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

int judge_documents(struct arena *a, struct str text, struct judged_doc **ret, size_t *ret_n, struct str **notices,
                    size_t *notices_n, struct err *e)
{
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    struct policy_source source = {STR("request"), text, 0};
    int r = policy_set_parse(&source, 1, &set, e);
    if (r < 0)
        return r;
    const struct policy_doc *docs;
    const struct str *said;
    size_t n = policy_set_docs(set, &docs), said_n = policy_set_notices(set, &said);
    struct judged_doc *out = arena_array(a, n ? n : 1, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        out[i] =
            (struct judged_doc){str_c(kinds[docs[i].kind]), arena_str(a, docs[i].name), arena_str(a, docs[i].text)};
    *notices = arena_array(a, said_n ? said_n : 1, sizeof(**notices));
    for (size_t i = 0; i < said_n; i++)
        (*notices)[i] = arena_str(a, said[i]);
    *notices_n = said_n;
    *ret = out;
    *ret_n = n;
    return 0;
}

int judge_set(const struct policy_source *sources, size_t n, struct err *e)
{
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    return policy_set_parse(sources, n, &set, e);
}

int judge_policies(struct console *c, const struct policy_source *sources, size_t n, struct arena *a,
                   struct str *ret_revision, struct err *e)
{
    struct policy_set *set = NULL;
    int r = policy_set_parse(sources, n, &set, e);
    if (r < 0)
        return r;
    *ret_revision = arena_str(a, policy_set_revision(set));
    pthread_mutex_lock(&c->judge->lock);
    struct policy_set *old = c->judge->set;
    c->judge->set = set;
    pthread_mutex_unlock(&c->judge->lock);
    policy_set_unref(old);
    return 0;
}

int judge_intel(struct console *c, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct intel *fresh = NULL;
    const char *path = arena_printf(a, STR_FMT "/intel.db", STR_ARG(c->o.state));
    int r = 0;
    if (fs_exists(path))
        r = intel_open(path, arena_printf(a, STR_FMT "/intel.pub", STR_ARG(c->o.state)), 0, &fresh, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->judge->lock);
    struct intel *old = c->judge->intel;
    c->judge->intel = fresh;
    pthread_mutex_unlock(&c->judge->lock);
    intel_unref(old);
    return 0;
}

int judge_changes(struct console *c, struct intel *old, struct intel *fresh, struct intel_changes *ret, struct err *e)
{
    const struct policy_doc *docs;
    pthread_mutex_lock(&c->judge->lock);
    _cleanup_(policy_set_unrefp) struct policy_set *set = c->judge->set ? policy_set_ref(c->judge->set) : NULL;
    pthread_mutex_unlock(&c->judge->lock);
    int flags = 0;
    for (size_t i = 0, n = set ? policy_set_docs(set, &docs) : 0; i < n; i++)
        if (docs[i].kind == POLICY_IMAGE && str_has(docs[i].text, STR("epss")))
            flags = INTEL_CHANGES_SCORES;
    return intel_changes(old, fresh, flags, ret, e);
}

void judge_current(struct console *c, struct judge_by *ret)
{
    pthread_mutex_lock(&c->judge->lock);
    ret->set = c->judge->set ? policy_set_ref(c->judge->set) : NULL;
    ret->intel = c->judge->intel ? intel_ref(c->judge->intel) : NULL;
    pthread_mutex_unlock(&c->judge->lock);
}

void judge_by_fini(struct judge_by *by)
{
    policy_set_unref(by->set);
    intel_unref(by->intel);
    *by = (struct judge_by){0};
}

int judge_report(struct console *c, struct arena *a, const struct json_value *report, const struct str *names,
                 size_t names_n, int64_t running_since, struct judged *ret, struct err *e)
{
    _cleanup_(judge_by_fini) struct judge_by by = {0};
    judge_current(c, &by);
    return judge_report_by(&by, a, report, names, names_n, running_since, ret, e);
}

int judge_report_by(const struct judge_by *by, struct arena *a, const struct json_value *report,
                    const struct str *names, size_t names_n, int64_t running_since, struct judged *ret, struct err *e)
{
    struct inventory inv;
    struct assessment as;
    int r = inventory_read(a, report, &inv, e);
    if (r < 0)
        return r;
    struct assess_input in = {.inventory = &inv,
                              .intel = by->intel,
                              .policy = by->set,
                              .now = time_now(),
                              .names = names_n ? names : NULL,
                              .names_n = names_n,
                              .running = running_since > 0,
                              .running_since = running_since};
    if ((r = assess(a, &in, &as, e)) < 0)
        return r;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_HTTP_BODY);
    struct json_writer w = JSON_WRITER(&b);
    verdict_write(&w, &as.verdict);
    *ret = (struct judged){arena_str(a, buf_str(&b)), as.verdict.allow, as.verdict.valid_until, rescan_keys(a, &inv),
                           as.verdict};
    return buf_check(&b, e);
}

static bool among(const struct judged_doc *docs, size_t n, struct str kind, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(docs[i].kind, kind) && str_eq(docs[i].name, name))
            return true;
    return false;
}

int judge_draft(struct db *db, struct arena *a, const struct judged_doc *docs, size_t n, struct policy_set **ret,
                struct err *e)
{
    struct policy_source *s = NULL;
    size_t count = 0, cap = 0;
    struct db_rows q;
    int r;
    for (r = db_query(db, &q, e, POLICIES_IN_FORCE, "z", NULL); r > 0; r = db_next(&q, e)) {
        if (among(docs, n, db_str(&q, 0), db_str(&q, 1)))
            continue;
        s = arena_grow(a, s, count, &cap, sizeof(*s));
        s[count++] = (struct policy_source){arena_strf(a, "console:" STR_FMT, STR_ARG(db_str(&q, 1))),
                                            db_copy(a, &q, 3), db_i64(&q, 2)};
    }
    for (size_t i = 0; i < n && r >= 0; i++) {
        s = arena_grow(a, s, count, &cap, sizeof(*s));
        s[count++] = (struct policy_source){STR("request"), docs[i].text, 0};
    }
    return r < 0 ? r : policy_set_parse(s, count, ret, e);
}
