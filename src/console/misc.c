/* misc: what tells about the console itself. */
#include "console/console.h"

extern const struct embedded console_files[]; /* landing.html, openapi.yaml */

static struct str file(const char *name)
{
    for (const struct embedded *f = console_files; f->name; f++)
        if (!strcmp(f->name, name))
            return embedded_str(f);
    return STR("");
}

int landing(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    (void)e;
    struct str page = file("landing.html"), mark = STR("@VERSION@");
    ptrdiff_t at = str_find(page, mark);
    an->type = "text/html; charset=utf-8";
    an->body = at < 0 ? page
                      : arena_strf(rq->a, STR_FMT BULKHEAD_VERSION STR_FMT, STR_ARG(str_sub(page, 0, (size_t)at)),
                                   STR_ARG(str_sub(page, (size_t)at + mark.n, page.n)));
    return 0;
}

int openapi(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    (void)rq, (void)e;
    an->type = "application/yaml";
    an->body = file("openapi.yaml");
    return 0;
}

int version(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    (void)rq, (void)e;
    an->body = STR("{\"name\":\"bulkhead-console\",\"version\":\"" BULKHEAD_VERSION "\"}");
    return 0;
}

int health(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    (void)e;
    return reply_ok(rq, an);
}

int ready(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct db_rows q;
    struct db *db = store_read(c->store);
    int r = db_query(db, &q, e, "SELECT 1 FROM setting LIMIT 1", "");
    db_end(&q);
    store_done(c->store, db);
    if (r < 0 || httpd_stopping(rq->server) || atomic_load(&c->audit_broken)) {
        an->hint = "see the log";
        return refuse(an, 503, "not_ready", e, "%s",
                      r < 0                        ? "the database does not answer"
                      : httpd_stopping(rq->server) ? "stopping"
                                                   : "the audit log is broken: GET /api/v1/audit/verify");
    }
    return reply_ok(rq, an);
}

int metrics(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(256u << 10);
    struct db_rows q;
#define METRIC(id, help)                                                                                               \
    buf_printf(&b,                                                                                                     \
               "# HELP bulkhead_console_" #id "_total " help "\n# TYPE bulkhead_console_" #id "_total counter\n"       \
               "bulkhead_console_" #id "_total %llu\n",                                                                \
               atomic_load(&c->metrics.id));
#include "console/metrics.tbl.h"
#undef METRIC
    struct db *db = store_read(c->store);
    int r = db_query(db, &q, e,
                     "SELECT (SELECT count(*) FROM agent WHERE revoked = 0), (SELECT count(*) FROM container), "
                     "(SELECT count(*) FROM image), (SELECT coalesce(max(id), 0) - coalesce(min(id), 0) FROM event)",
                     "");
    static const char *const gauges[] = {"agents", "containers", "images", "events_kept"};
    for (size_t i = 0; r > 0 && i < ARRAY_LEN(gauges); i++)
        buf_printf(&b, "# TYPE bulkhead_console_%s gauge\nbulkhead_console_%s %" PRId64 "\n", gauges[i], gauges[i],
                   db_i64(&q, (int)i));
    db_end(&q);
    store_done(c->store, db);
    buf_printf(&b, "# TYPE bulkhead_console_audit_broken gauge\nbulkhead_console_audit_broken %d\n",
               atomic_load(&c->audit_broken));
    buf_printf(&b,
               "# TYPE bulkhead_console_certificate_renewal_seconds "
               "gauge\nbulkhead_console_certificate_renewal_seconds %" PRId64 "\n",
               (c->certificate_renew - time_now()) / TIME_SECOND);
    an->type = "text/plain; version=0.0.4";
    an->body = arena_str(rq->a, buf_str(&b));
    return r < 0 ? r : buf_check(&b, e);
}
