#include "gate/request.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define REFUSED -1
#define BODY    "{\"Image\":\"a\"}"

/* What a request is taken for, or REFUSED with a piece of the reason. The adversarial shapes are those of the public
 * advisories on Docker's authorization plugins and of what dockerd 20.10 was measured to accept. */
static const struct {
    const char *method, *uri, *body, *type, *upgrade;
    int class;
    const char *say; /* REFUSED: part of the reason; else the path it is brought to (NULL: not checked) */
} table[] = {
    /* plain */
    {"GET", "/_ping", NULL, NULL, NULL, REQUEST_READ, "/_ping"},
    {"HEAD", "/_ping", NULL, NULL, NULL, REQUEST_READ, NULL},
    {"GET", "/v1.41/containers/json?all=1", NULL, NULL, NULL, REQUEST_READ, "/containers/json"},
    {"GET", "/v1.12/info", NULL, NULL, NULL, REQUEST_READ, "/info"},
    {"GET", "/v1.41/images/registry:5000/team/app:1/json", NULL, NULL, NULL, REQUEST_READ, NULL},
    {"GET", "/v1.41/images/team%2Fapp/json", NULL, NULL, NULL, REQUEST_READ, "/images/team/app/json"},
    {"POST", "/v1.41/containers/create?name=x", BODY, "application/json", NULL, REQUEST_CREATE, "/containers/create"},
    {"POST", "/containers/create", BODY, "application/json", NULL, REQUEST_CREATE, NULL},
    {"POST", "/v1.51/containers/create", BODY, NULL, NULL, REQUEST_CREATE, NULL},
    {"POST", "/v1.24/containers/create", BODY, NULL, NULL, REQUEST_CREATE, NULL},
    {"POST", "/v1.41/containers/web/start", NULL, "text/plain", NULL, REQUEST_START, "/containers/web/start"},
    {"POST", "/v1.41/containers/web/start", "{}", NULL, NULL, REQUEST_START, NULL},
    {"POST", "/v1.41/containers/web/start", "null", NULL, NULL, REQUEST_START, NULL},
    {"POST", "/v1.41/containers/web/restart?t=1", NULL, NULL, NULL, REQUEST_START, NULL},
    {"POST", "/v1.41/containers/web/attach?stream=1", NULL, "text/plain", "tcp", REQUEST_WRITE, NULL},
    {"GET", "/v1.41/containers/web/attach/ws", NULL, NULL, "websocket", REQUEST_READ, NULL},
    {"POST", "/v1.41/exec/ab/start", "{\"Detach\":false}", NULL, NULL, REQUEST_WRITE, NULL},
    {"POST", "/v1.41/containers/web/exec", "{\"Cmd\":[\"ls\"]}", NULL, NULL, REQUEST_WRITE, NULL},
    {"POST", "/v1.41/auth", NULL, "application/json", NULL, REQUEST_WRITE, NULL},
    {"POST", "/v1.41/commit?container=c", "null", NULL, NULL, REQUEST_WRITE, NULL},
    {"POST", "/v1.41/commit?container=c", NULL, NULL, NULL, REQUEST_WRITE, NULL},
    {"POST", "/v1.41/images/create?fromImage=a", NULL, NULL, NULL, REQUEST_WRITE, NULL},
    {"DELETE", "/v1.41/images/team/app:1?force=1", NULL, NULL, NULL, REQUEST_WRITE, NULL},
    {"PUT", "/v1.41/containers/web/archive?path=/", NULL, "application/x-tar", NULL, REQUEST_WRITE, NULL},
    {"POST", "/v1.41/build?t=x&version=1", NULL, "application/x-tar", NULL, REQUEST_BUILD, NULL},
    {"POST", "/session", NULL, NULL, "h2c", REQUEST_BUILDKIT, NULL},
    {"POST", "/grpc", NULL, NULL, "h2c", REQUEST_BUILDKIT, NULL},
    {"POST", "/v1.41/plugins/vieux/sshfs/disable?force=1", NULL, NULL, NULL, REQUEST_PLUGIN, NULL},
    {"DELETE", "/v1.41/plugins/vieux/sshfs", NULL, NULL, NULL, REQUEST_PLUGIN, NULL},
    {"POST", "/v1.41/plugins/pull?remote=a", NULL, NULL, NULL, REQUEST_PLUGIN, NULL},
    {"POST", "/v1.41/services/create", "{}", NULL, NULL, REQUEST_SERVICE, NULL},
    {"POST", "/v1.41/swarm/init", "{\"ListenAddr\":\"a\"}", NULL, NULL, REQUEST_SWARM, NULL},
    {"POST", "/%763.1/_ping", NULL, NULL, NULL, REFUSED, "no API version"},
    /* encodings of what they are */
    {"POST", "/containers/x/%73tart", NULL, NULL, NULL, REQUEST_START, "/containers/x/start"},
    {"POST", "/%631.41/containers/x/start", NULL, NULL, NULL, REFUSED, "no request that Bulkhead knows"},
    {"POST", "/v1.41/%63ontainers%2Fcreate", BODY, NULL, NULL, REQUEST_CREATE, "/containers/create"},
    {"POST", "/%76%31.41/containers/create", BODY, NULL, NULL, REQUEST_CREATE, "/containers/create"},
    /* ambiguous addresses */
    {"POST", "//v1.41/containers/create", BODY, NULL, NULL, REFUSED, "empty segment"},
    {"POST", "/v1.41//containers/create", BODY, NULL, NULL, REFUSED, "empty segment"},
    {"POST", "/v1.41/containers/create/", BODY, NULL, NULL, REFUSED, "empty segment"},
    {"POST", "/v1.41/containers/x/../create", BODY, NULL, NULL, REFUSED, "\"..\" segment"},
    {"POST", "/v1.41/containers/x/%2e%2e/create", BODY, NULL, NULL, REFUSED, "\"..\" segment"},
    {"POST", "/v1.41/./containers/create", BODY, NULL, NULL, REFUSED, "\".\" segment"},
    {"POST", "http://docker/v1.41/containers/create", BODY, NULL, NULL, REFUSED, "not a plain path"},
    {"POST", "*", NULL, NULL, NULL, REFUSED, "not a plain path"},
    {"POST", "", NULL, NULL, NULL, REFUSED, "not a plain path"},
    {"POST", "/containers/x/%2573tart", NULL, NULL, NULL, REFUSED, "bytes that no path"},
    {"POST", "/containers/x%00/start", NULL, NULL, NULL, REFUSED, "bytes that no path"},
    {"POST", "/containers/x%0a/start", NULL, NULL, NULL, REFUSED, "bytes that no path"},
    {"POST", "/containers/x%zz/start", NULL, NULL, NULL, REFUSED, "broken percent"},
    {"POST", "/containers/x%7", NULL, NULL, NULL, REFUSED, "broken percent"},
    {"POST", "/containers\\x/start", NULL, NULL, NULL, REFUSED, "bytes that no path"},
    {"POST", "/containers/\xc3\xa9/start", NULL, NULL, NULL, REFUSED, "not a plain path"},
    /* a query that looks like a path, a path that is longer than known */
    {"POST", "/containers/create?x=/images/json", BODY, NULL, NULL, REQUEST_CREATE, "/containers/create"},
    {"POST", "/containers/a/b/start", NULL, NULL, NULL, REFUSED, "no request that"},
    {"POST", "/v1.41/v1.41/containers/create", BODY, NULL, NULL, REFUSED, "no request that"},
    {"GET", "/debug/pprof/cmdline", NULL, NULL, NULL, REFUSED, "no request that"},
    {"POST", "/containers/new-thing", NULL, NULL, NULL, REFUSED, "no request that"},
    {"PATCH", "/containers/json", NULL, NULL, NULL, REFUSED, "no request that"},
    {"OPTIONS", "/containers/json", NULL, NULL, NULL, REFUSED, "no request that"},
    {"get", "/_ping", NULL, NULL, NULL, REFUSED, "no request that"},
    /* versions */
    {"POST", "/v1.23/containers/x/start", "{\"Runtime\":\"runc\"}", NULL, NULL, REFUSED, "1.23 is refused"},
    {"POST", "/v1.12/containers/x/start", NULL, NULL, NULL, REFUSED, "1.12 is refused"},
    {"POST", "/v1.041/containers/create", BODY, NULL, NULL, REFUSED, "no API version"},
    {"POST", "/v1/containers/create", BODY, NULL, NULL, REFUSED, "no API version"},
    {"POST", "/v1.4.1/containers/create", BODY, NULL, NULL, REFUSED, "no API version"},
    {"POST", "/v2.0/containers/create", BODY, NULL, NULL, REFUSED, "no API version"},
    /* bodies: CVE-2024-41110, CVE-2026-34040 and relatives */
    {"POST", "/v1.41/containers/create", NULL, "application/json", NULL, REFUSED, "did not show the body"},
    {"POST", "/v1.41/containers/create", "", NULL, NULL, REFUSED, "did not show the body"},
    {"POST", "/v1.41/containers/create", "  ", NULL, NULL, REFUSED, "did not show the body"},
    {"POST", "/v1.41/containers/x/exec", NULL, NULL, NULL, REFUSED, "did not show the body"},
    {"POST", "/v1.41/containers/x/update", NULL, NULL, NULL, REFUSED, "did not show the body"},
    {"POST", "/v1.41/exec/x/start", NULL, NULL, NULL, REFUSED, "did not show the body"},
    {"POST", "/v1.41/containers/create", "null", NULL, NULL, REFUSED, "no JSON object"},
    {"POST", "/v1.41/containers/create", "[]", NULL, NULL, REFUSED, "no JSON object"},
    {"POST", "/v1.41/containers/create", "{\"Image\":\"a\"}{\"Image\":\"b\"}", NULL, NULL, REFUSED,
     "ambiguous or no JSON"},
    {"POST", "/v1.41/containers/create", "{\"Image\":\"a\",\"Image\":\"b\"}", NULL, NULL, REFUSED,
     "ambiguous or no JSON"},
    {"POST", "/v1.41/containers/create", "{\"Image\":\"a\",\"image\":\"b\"}", NULL, NULL, REFUSED,
     "ambiguous or no JSON"},
    {"POST", "/v1.41/containers/create", "{\"HostConfig\":{},\"hostconfig\":{\"Privileged\":true}}", NULL, NULL,
     REFUSED, "ambiguous or no JSON"},
    {"POST", "/v1.41/containers/create", "{'Image':'a'}", NULL, NULL, REFUSED, "ambiguous or no JSON"},
    {"POST", "/v1.41/containers/create", "{\"Image\":\"a\"", NULL, NULL, REFUSED, "ambiguous or no JSON"},
    {"POST", "/v1.41/containers/x/start", "{\"HostConfig\":{}}", NULL, NULL, REFUSED, "a body does not belong"},
    {"POST", "/v1.41/build?version=1", NULL, "application/x-www-form-urlencoded", NULL, REFUSED, "form"},
    {"POST", "/v1.41/build?version=1", NULL, "Application/X-WWW-Form-Urlencoded; charset=utf-8", NULL, REFUSED, "form"},
    {"POST", "/v1.41/images/create", NULL, "multipart/form-data; boundary=x", NULL, REFUSED, "form"},
    {"POST", "/v1.41/build?version=1&version=2", NULL, NULL, NULL, REFUSED, "twice"},
    {"POST", "/v1.41/build?version=3", NULL, NULL, NULL, REFUSED, "unknown"},
    {"GET", "/v1.41/info", NULL, NULL, "h2c", REFUSED, "upgrade"},
    {"POST", "/v1.41/containers/x/attach", NULL, NULL, "h2c", REFUSED, "upgrade"},
};

static void classified(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct err e = ERR_INIT;
        struct request rq;
        struct request_raw raw = {
            .method = str_c(table[i].method),
            .uri = str_c(table[i].uri),
            .body = str_c(table[i].body),
            .content_type = str_c(table[i].type),
            .upgrade = str_c(table[i].upgrade),
        };
        int r = request_classify(a, &raw, &rq, &e);
        if (table[i].class == REFUSED) {
            if (r != -EACCES || !strstr(e.msg, table[i].say))
                fail_msg("%s %s: %d \"%s\", expected a refusal with \"%s\"", table[i].method, table[i].uri, r, e.msg,
                         table[i].say);
        } else {
            if (r != 0 || (int)rq.class != table[i].class)
                fail_msg("%s %s: %d class %d (%s)", table[i].method, table[i].uri, r, r ? -1 : (int)rq.class, e.msg);
            if (table[i].say && !str_eqc(rq.path, table[i].say))
                fail_msg("%s %s: path " STR_FMT, table[i].method, table[i].uri, STR_ARG(rq.path));
        }
    }
}

static void names_and_builders(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct request rq;
    struct request_raw raw = {.method = STR("POST"), .uri = STR("/v1.41/containers/web-1/start")};
    assert_int_equal(request_classify(a, &raw, &rq, NULL), 0);
    assert_true(str_eqc(rq.name, "web-1"));
    assert_int_equal(rq.api_minor, 41);
    raw = (struct request_raw){.method = STR("POST"), .uri = STR("/images/r.example:5000/a/b:1/tag?repo=x")};
    assert_int_equal(request_classify(a, &raw, &rq, NULL), 0);
    assert_true(str_eqc(rq.name, "r.example:5000/a/b:1"));
    raw = (struct request_raw){.method = STR("POST"), .uri = STR("/build?%76ersion=2&session=x")};
    assert_int_equal(request_classify(a, &raw, &rq, NULL), 0);
    assert_true(rq.buildkit);
    raw.uri = STR("/build?t=a");
    assert_int_equal(request_classify(a, &raw, &rq, NULL), 0);
    assert_false(rq.buildkit);
}

/* body of create -> image and runtime, NULL image: refused */
static const struct {
    const char *body, *image, *runtime;
} creates[] = {
    {"{\"Image\":\"bb:1\"}", "bb:1", ""},
    {"{\"Image\":\"bb:1\",\"HostConfig\":{\"Runtime\":\"runc\"}}", "bb:1", "runc"},
    {"{\"Image\":\"bb:1\",\"HostConfig\":null}", "bb:1", ""},
    {"{\"Image\":\"bb:1\",\"HostConfig\":{\"Runtime\":null}}", "bb:1", ""},
    {"{\"Cmd\":[]}", "", ""},
    {"{\"Image\":\"bb:1\",\"Runtime\":\"runc\"}", "bb:1", "runc"}, /* engines to 23 read it there too */
    {"{\"Image\":\"bb:1\",\"Runtime\":\"a\",\"HostConfig\":{\"Runtime\":\"b\"}}", NULL, NULL},
    {"{\"image\":\"bb:1\"}", NULL, NULL},
    {"{\"IMAGE\":\"bb:1\"}", NULL, NULL},
    {"{\"Image\":\"bb:1\",\"hostconfig\":{\"Runtime\":\"runc\"}}", NULL, NULL},
    {"{\"Image\":\"bb:1\",\"HostConfig\":{\"runtime\":\"runc\"}}", NULL, NULL},
    {"{\"Image\":\"bb:1\",\"runTime\":\"runc\"}", NULL, NULL},
    {"{\"Image\":\"bb:1\",\"Ho\\u017ftConfig\":{\"Runtime\":\"runc\"}}", NULL, NULL}, /* Go folds U+017F to s */
    {"{\"Image\":[\"bb:1\"]}", NULL, NULL},
    {"{\"Image\":\"bb:1\",\"HostConfig\":[]}", NULL, NULL},
    {"{\"Image\":\"bb:1\",\"HostConfig\":{\"Runtime\":7}}", NULL, NULL},
};

static void create_bodies(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(creates); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct json_value *v;
        struct request_create c;
        struct err e = ERR_INIT;
        assert_int_equal(json_parse(a, str_c(creates[i].body), JSON_FOLD_KEYS, &v, &e), 0);
        int r = request_create(v, &c, &e);
        if (!creates[i].image) {
            if (r != -EACCES)
                fail_msg("%s was taken", creates[i].body);
            continue;
        }
        if (r != 0 || !str_eqc(c.image, creates[i].image) || !str_eqc(c.runtime, creates[i].runtime))
            fail_msg("%s: %d " STR_FMT " " STR_FMT " %s", creates[i].body, r, STR_ARG(c.image), STR_ARG(c.runtime),
                     e.msg);
    }
}

static void services(void **state)
{
    static const struct {
        const char *body;
        int r;
    } t[] = {
        {"{\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"a\"}}}", 0},
        {"{\"TaskTemplate\":{\"Runtime\":\"container\"}}", 0},
        {"{\"TaskTemplate\":{\"Runtime\":\"plugin\",\"PluginSpec\":{\"Remote\":\"x\"}}}", -EACCES},
        {"{\"TaskTemplate\":{\"pluginspec\":{\"Remote\":\"x\"}}}", -EACCES},
        {"{\"tasktemplate\":{\"PluginSpec\":{}}}", -EACCES},
        {"{}", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct json_value *v;
        assert_int_equal(json_parse(a, str_c(t[i].body), JSON_FOLD_KEYS, &v, NULL), 0);
        assert_int_equal(request_service(v, NULL), t[i].r);
    }
}

static void queries(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str v;
    assert_int_equal(request_query(a, STR("a=1&b=x%20y+z&c"), "b", &v, NULL), 0);
    assert_true(str_eqc(v, "x y z"));
    assert_int_equal(request_query(a, STR("a=1"), "b", &v, NULL), 0);
    assert_null(v.p);
    assert_int_equal(request_query(a, STR("a=1&%61=2"), "a", &v, NULL), -EACCES);
    assert_int_equal(request_query(a, STR("a=%"), "a", &v, NULL), -EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classified),    cmocka_unit_test(names_and_builders),
        cmocka_unit_test(create_bodies), cmocka_unit_test(services),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
