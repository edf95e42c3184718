/* Targets and queries as strangers send them: decoding never grows a text nor lets a NUL through, and what a route's
 * parameter holds is never "." or "..". */
#include "net/httpd_internal.h"

static int none(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    return 0;
}

static const struct httpd_route routes[] = {
    {"GET", "/", none, 0, 0, 0},
    {"GET", "/api/v1/policies/{kind}/{name}", none, 0, 0, 0},
    {"PUT", "/api/v1/images/{id}/report", none, 0, 0, 0},
    {"GET", "/{a}/{b}/{c}/{d}", none, 0, 0, 0},
};

static void sound(struct str s, size_t most)
{
    if (s.n > most || (s.n && memchr(s.p, 0, s.n)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > LIMIT_HTTP_HEADER)
        return 0;
    struct arena *a = arena_new(64u << 20);
    struct call c = {.rq = {.a = a}};
    struct str path, query, param[HTTPD_PARAMS_MAX] = {{0}};
    bool other;
    str_split(str_n((const char *)data, size), '?', &path, &query);
    httpd_parse_query(&c, query);
    for (size_t i = 0; i < c.query_n; i++) {
        sound(c.query[i].name, size);
        sound(c.query[i].value, size);
    }
    uint64_t n = 7;
    httpd_query_u64(&c.rq, "limit", 1, 1000, &n, NULL);
    if (n < 1 || n > 1000)
        abort();
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const struct httpd_route *r =
            httpd_match(routes, ARRAY_LEN(routes), a, str_c(routes[i].method), path, param, &other);
        for (size_t p = 0; r && p < HTTPD_PARAMS_MAX; p++) {
            sound(param[p], size);
            if (str_eqc(param[p], ".") || str_eqc(param[p], ".."))
                abort();
        }
    }
    arena_free(a);
    return 0;
}
