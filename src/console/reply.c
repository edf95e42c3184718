/* reply: answers and the reading of requests, for all handlers. */
#include "console/console.h"

#include <stdarg.h>

void reply_init(struct reply *rp, size_t max)
{
    rp->b = BUF_INIT(max);
    rp->w = JSON_WRITER(&rp->b);
    json_w_object(&rp->w);
}

void reply_free(struct reply *rp)
{
    buf_fini(&rp->b);
}

int reply_send(struct reply *rp, struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    json_w_end(&rp->w);
    int r = buf_check(&rp->b, e);
    if (r >= 0)
        an->body = arena_str(rq->a, buf_str(&rp->b));
    buf_fini(&rp->b);
    return r < 0 ? err_set(e, EINVAL, "the answer would be too large: ask for fewer") : 0;
}

int reply_ok(struct httpd_request *rq, struct httpd_answer *an)
{
    (void)rq;
    an->body = STR("{\"ok\":true}");
    return 0;
}

int refuse(struct httpd_answer *an, int status, const char *code, struct err *e, const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    an->status = status;
    an->code = code;
    return err_set(e, EINVAL, "%s", msg);
}

void w_instant(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    json_w_key(w, key);
    if (t)
        json_w_str(w, str_c(time_format(t, text)));
    else
        json_w_null(w);
}

int body_json(struct httpd_request *rq, struct json_value **ret, struct err *e)
{
    int r = json_parse(rq->a, rq->body, 0, ret, e);
    if (r < 0)
        return err_wrap(e, "body");
    return (*ret)->type == JSON_OBJECT ? 0 : err_set(e, EINVAL, "body: expected an object");
}

int body_fields(struct httpd_request *rq, const struct json_field *fields, size_t n, int flags, void *out,
                struct err *e)
{
    struct json_value *v;
    int r = body_json(rq, &v, e);
    if (r < 0)
        return r;
    if ((r = json_decode(rq->a, v, fields, n, flags, out, e)) < 0)
        return err_wrap(e, "body");
    return 0;
}

int query_instant(struct httpd_request *rq, const char *name, int64_t *io, struct err *e)
{
    struct str s = httpd_query(rq, name);
    if (s.p && time_parse(s, io) < 0)
        return err_set(e, EINVAL, "query parameter \"%s\": expected an instant like 2026-11-23T17:00:00Z", name);
    return 0;
}

bool query_is(const struct httpd_request *rq, const char *name, const char *value)
{
    return str_eqc(httpd_query(rq, name), value);
}

bool accepts(const struct httpd_request *rq, const char *type)
{
    return str_has(httpd_header(rq, "Accept"), str_c(type));
}

size_t query_words(struct httpd_request *rq, struct str *out, size_t max)
{
    struct str rest = httpd_query(rq, "q"), word;
    size_t n = 0;
    while (n < max && str_cut(&rest, ' ', &word)) {
        if (!word.n || word.n > 200)
            continue;
        char *p = arena_alloc(rq->a, 2 * word.n + 3);
        size_t at = 0;
        p[at++] = '%';
        for (size_t i = 0; i < word.n; i++) {
            if (word.p[i] == '%' || word.p[i] == '_' || word.p[i] == '\\')
                p[at++] = '\\';
            p[at++] = word.p[i];
        }
        p[at++] = '%';
        out[n++] = str_n(p, at);
    }
    return n;
}
