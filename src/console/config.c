/* config: what agents should have, as one JSON body with one revision. Built again after each change; agents wait for
 * it in long polls. */
#include "base/encode.h"
#include "base/limits.h"
#include "console/console.h"
#include "console/judge.h"
#include "format/digest.h"

#define CONFIG_MAX (64u << 20)

struct config {
    pthread_mutex_t lock;
    char revision[65];
    char *body;
    size_t body_n;
};

struct config *config_new(void)
{
    struct config *cf = calloc(1, sizeof(*cf));
    if (!cf)
        abort();
    pthread_mutex_init(&cf->lock, NULL);
    return cf;
}

void config_free(struct config *cf)
{
    if (!cf)
        return;
    pthread_mutex_destroy(&cf->lock);
    free(cf->body);
    free(cf);
}

struct str config_revision(struct console *c, struct arena *a)
{
    pthread_mutex_lock(&c->config->lock);
    struct str s = arena_str(a, str_c(c->config->revision));
    pthread_mutex_unlock(&c->config->lock);
    return s;
}

struct str config_body(struct console *c, struct arena *a, struct str *ret_revision)
{
    pthread_mutex_lock(&c->config->lock);
    struct str s = arena_str(a, str_n(c->config->body, c->config->body_n));
    *ret_revision = arena_str(a, str_c(c->config->revision));
    pthread_mutex_unlock(&c->config->lock);
    return s;
}

/* Everything but the revision, which is the hash of this. */
static int render(struct console *c, struct arena *a, struct json_writer *w, struct err *e)
{
    struct db_rows q;
    struct db *db = store_read(c->store);
    struct policy_source *sources = NULL;
    size_t n = 0, cap = 0;
    int r;
    json_w_karray(w, "policies");
    for (r = db_query(db, &q, e, POLICIES_IN_FORCE, "z", NULL); r > 0; r = db_next(&q, e)) {
        json_w_object(w);
        json_w_kstr(w, "kind", db_str(&q, 0));
        json_w_kstr(w, "name", db_str(&q, 1));
        json_w_ki64(w, "revision", db_i64(&q, 2));
        json_w_kstr(w, "text", db_str(&q, 3));
        json_w_end(w);
        sources = arena_grow(a, sources, n, &cap, sizeof(*sources));
        sources[n++] = (struct policy_source){arena_strf(a, "console:" STR_FMT, STR_ARG(db_str(&q, 1))),
                                              db_copy(a, &q, 3), db_i64(&q, 2)};
    }
    json_w_end(w);
    store_done(c->store, db);
    if (r < 0)
        return r;
    struct str policy_revision = STR_NONE;
    if ((r = judge_policies(c, sources, n, a, &policy_revision, e)) < 0)
        return err_wrap(e, "stored policies");
    json_w_kstr(w, "policy_revision", policy_revision);
    struct intel_state in;
    intel_state(c, a, &in);
    if (in.revision.n) {
        json_w_kobject(w, "intel");
        json_w_kstr(w, "revision", in.revision);
        json_w_ki64(w, "size", in.size);
        json_w_kstr(w, "key", in.key);
        json_w_end(w);
    } else {
        json_w_key(w, "intel");
        json_w_null(w);
    }
    json_w_kobject(w, "settings");
    json_w_ki64(w, "heartbeat", c->o.heartbeat);
    json_w_end(w);
    return 0;
}

int config_refresh(struct console *c, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_REQUEST_ARENA);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(CONFIG_MAX);
    struct json_writer w = JSON_WRITER(&b);
    uint8_t sum[SHA256_SIZE];
    char hex[65];
    json_w_object(&w);
    int r = render(c, a, &w, e);
    if (r < 0)
        return r;
    if ((r = buf_check(&b, e)) < 0)
        return r;
    sha256_of(buf_str(&b), sum);
    hex_encode(sum, sizeof(sum), hex);
    json_w_kstrz(&w, "revision", hex);
    json_w_end(&w);
    if ((r = buf_check(&b, e)) < 0)
        return r;
    pthread_mutex_lock(&c->config->lock);
    bool changed = strcmp(hex, c->config->revision) != 0;
    memcpy(c->config->revision, hex, sizeof(hex));
    free(c->config->body);
    c->config->body_n = b.n;
    c->config->body = TAKE(b.p);
    b = BUF_INIT(CONFIG_MAX);
    pthread_mutex_unlock(&c->config->lock);
    if (changed)
        httpd_wake(c->agents, TOPIC_CONFIG);
    return 0;
}

int agent_config(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct str have = httpd_query(rq, "have"), revision;
    uint64_t wait = 0;
    int r = httpd_query_u64(rq, "wait", 0, 60, &wait, e);
    if (r < 0)
        return r;
    struct str body = config_body(c, rq->a, &revision);
    if (have.n && str_eq(have, revision)) {
        if (wait && !rq->expired)
            return httpd_park(rq, TOPIC_CONFIG, rq->arrived + (int64_t)wait * TIME_SECOND);
        an->status = 304;
        return 0;
    }
    an->body = body;
    return 0;
}
