#include "net/httpd_internal.h"

#include "format/json.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int httpd_decode(struct arena *a, struct str s, bool plus, struct str *ret)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
                return -EINVAL;
            c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (!c)
            return -EINVAL;
        out[n++] = c;
    }
    *ret = str_n(out, n);
    return 0;
}

void httpd_parse_query(struct call *c, struct str query)
{
    struct str part, name, value;
    size_t cap = 0;
    while (str_cut(&query, '&', &part)) {
        if (!part.n || c->query_n == HTTPD_HEADERS_MAX)
            continue;
        str_split(part, '=', &name, &value);
        struct pair p;
        if (httpd_decode(c->rq.a, name, true, &p.name) < 0 || httpd_decode(c->rq.a, value, true, &p.value) < 0)
            continue;
        c->query = arena_grow(c->rq.a, c->query, c->query_n, &cap, sizeof(*c->query));
        c->query[c->query_n++] = p;
    }
}

struct pair *httpd_pair(struct pair *p, size_t n, struct str name, bool fold)
{
    for (size_t i = 0; i < n; i++)
        if (fold ? str_ieq(p[i].name, name) : str_eq(p[i].name, name))
            return &p[i];
    return NULL;
}

struct str httpd_header(const struct httpd_request *rq, const char *name)
{
    const struct call *c = (const struct call *)rq;
    struct pair *p = httpd_pair(c->headers, c->headers_n, str_c(name), true);
    return p ? p->value : STR_NONE;
}

struct str httpd_query(const struct httpd_request *rq, const char *name)
{
    const struct call *c = (const struct call *)rq;
    struct pair *p = httpd_pair(c->query, c->query_n, str_c(name), false);
    return p ? p->value : STR_NONE;
}

int httpd_query_u64(const struct httpd_request *rq, const char *name, uint64_t min, uint64_t max, uint64_t *io,
                    struct err *e)
{
    struct str s = httpd_query(rq, name);
    uint64_t v;
    if (!s.p)
        return 0;
    if (str_u64(s, &v) < 0 || v < min || v > max)
        return err_set(e, EINVAL, "query parameter \"%s\": expected a whole number from %" PRIu64 " to %" PRIu64, name,
                       min, max);
    *io = v;
    return 0;
}

void httpd_answer_header(struct httpd_request *rq, struct httpd_answer *an, const char *name, const char *value)
{
    if (an->headers_n == ARRAY_LEN(an->header))
        abort(); /* a handler's bug: the count does not depend on the request */
    an->header[an->headers_n].name = name;
    an->header[an->headers_n++].value = value;
}

/* One segment of the path against one of the pattern. */
static bool segment(struct arena *a, struct str pattern, struct str s, struct str *param, size_t *params)
{
    if (pattern.n < 2 || pattern.p[0] != '{')
        return str_eq(pattern, s);
    struct str v;
    if (*params == HTTPD_PARAMS_MAX || !s.n || httpd_decode(a, s, false, &v) < 0)
        return false;
    if (str_eqc(v, ".") || str_eqc(v, ".."))
        return false;
    param[(*params)++] = v;
    return true;
}

static bool match(struct arena *a, struct str pattern, struct str path, struct str *param)
{
    size_t params = 0;
    bool p, s;
    for (;;) {
        struct str ps, ss;
        p = str_cut(&pattern, '/', &ps);
        s = str_cut(&path, '/', &ss);
        if (!p || !s)
            return p == s;
        if (!segment(a, ps, ss, param, &params))
            return false;
    }
}

const struct httpd_route *httpd_match(const struct httpd_route *routes, size_t n, struct arena *a, struct str method,
                                      struct str path, struct str param[static HTTPD_PARAMS_MAX], bool *allowed)
{
    *allowed = false;
    for (size_t i = 0; i < n; i++) {
        struct str found[HTTPD_PARAMS_MAX] = {{0}};
        if (!match(a, str_c(routes[i].pattern), path, found))
            continue;
        if (!str_eqc(method, routes[i].method)) {
            *allowed = true;
            continue;
        }
        memcpy(param, found, sizeof(found));
        return &routes[i];
    }
    return NULL;
}

const char *httpd_error_code(int status)
{
    switch (status) {
    case 400:
        return "invalid";
    case 401:
        return "unauthenticated";
    case 403:
        return "forbidden";
    case 404:
        return "not_found";
    case 405:
        return "method_not_allowed";
    case 409:
        return "conflict";
    case 411:
        return "length_required";
    case 413:
        return "too_large";
    case 415:
        return "unsupported_type";
    case 429:
        return "rate_limited";
    case 501:
        return "not_supported";
    case 502:
        return "unreachable";
    case 503:
        return "unavailable";
    case 504:
        return "timeout";
    default:
        return status < 500 ? "invalid" : "internal";
    }
}

struct str httpd_error_body(struct arena *a, const char *code, const char *message, const char *hint)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(16u << 10);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kobject(&w, "error");
    json_w_kstrz(&w, "code", code);
    json_w_kstrz(&w, "message", message);
    json_w_key(&w, "hint");
    json_w_str(&w, str_c(hint));
    json_w_end(&w);
    json_w_end(&w);
    return arena_str(a, buf_str(&b));
}

void httpd_fail(struct call *c, int r, const struct err *e)
{
    struct httpd_answer *an = &c->an;
    if (an->fd >= 0)
        close(TAKE_FD(an->fd));
    an->fd = -1;
    if (an->status < 400)
        an->status = err_http_status(-r);
    if (!an->code)
        an->code = httpd_error_code(an->status);
    /* What went wrong inside is for the log (done() of the owner), not for strangers; the message says the story all
     * the same because our errors carry no secrets. */
    if (!an->body.n)
        an->body = httpd_error_body(c->rq.a, an->code, e && e->msg[0] ? e->msg : "the request failed", an->hint);
    an->type = NULL;
}
