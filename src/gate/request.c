#include "gate/request.h"

#include "base/cleanup.h"

#define URI_MAX       8192u
#define API_MINOR_MIN 24u

struct route {
    const char *method, *pattern;
    enum request_class class;
    enum request_body body;
};
#define REQUEST(method, pattern, class, body) {#method, pattern, REQUEST_##class, REQUEST_##body},
static const struct route routes[] = {
#include "gate/request.tbl.h"
};
#undef REQUEST

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decode %XX once; false on a bad escape. */
static bool percent_decode(struct arena *a, struct str s, bool plus, struct str *ret)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%') {
            if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
                return false;
            out[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        } else {
            out[n++] = plus && s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    *ret = str_n(out, n);
    return true;
}

static bool plain_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

/* "v1.41" -> 41. 0: not a version, -1: something like one that is not plain. */
static int api_version(struct str segment)
{
    struct str major, minor;
    uint64_t n;
    if (segment.n < 2 || segment.p[0] != 'v' || segment.p[1] < '0' || segment.p[1] > '9')
        return 0;
    if (!str_split(str_sub(segment, 1, segment.n), '.', &major, &minor) || !str_eqc(major, "1") || minor.n > 3 ||
        (minor.n > 1 && minor.p[0] == '0') || str_u64(minor, &n) < 0 || n == 0)
        return -1;
    return (int)n;
}

static int normalise(struct arena *a, struct str uri, struct request *ret, struct err *e)
{
    if (!uri.n || uri.n > URI_MAX || uri.p[0] != '/' || !plain_bytes(uri))
        return err_set(e, EACCES, "the address of the request is not a plain path");
    struct str raw_path, query, path, rest, segment;
    str_split(uri, '?', &raw_path, &query);
    if (!percent_decode(a, raw_path, false, &path))
        return err_set(e, EACCES, "the path of the request has a broken percent escape");
    if (!plain_bytes(path) || str_chr(path, '%') >= 0 || str_chr(path, '\\') >= 0 || str_chr(path, '#') >= 0 ||
        str_chr(path, '?') >= 0)
        return err_set(e, EACCES, "the path of the request has bytes that no path of the engine has");
    rest = str_sub(path, 1, path.n);
    if (str_has(path, STR("//")) || (path.n > 1 && path.p[path.n - 1] == '/'))
        return err_set(e, EACCES, "the path of the request has an empty segment");
    while (str_cut(&rest, '/', &segment))
        if (str_eqc(segment, ".") || str_eqc(segment, ".."))
            return err_set(e, EACCES, "the path of the request has a \"" STR_FMT "\" segment", STR_ARG(segment));
    rest = str_sub(path, 1, path.n);
    segment = STR_NONE; /* "/" has none */
    str_cut(&rest, '/', &segment);
    int version = api_version(segment);
    if (version < 0)
        return err_set(e, EACCES, "\"" STR_FMT "\" is no API version", STR_ARG(segment));
    if (version > 0)
        path = str_sub(path, 1 + segment.n, path.n);
    if (!path.n)
        return err_set(e, EACCES, "the path of the request is empty");
    ret->api_minor = (unsigned)version;
    ret->path = path;
    ret->query = query;
    return 0;
}

/* Whole-path match. {*} takes as many segments as leave enough for what follows it, which is literal in every pattern.
 */
static bool matches(const char *pattern, struct str path, struct str *name)
{
    struct str p = str_c(pattern), rest = path, want, have;
    bool named = false;
    *name = STR_NONE;
    p = str_sub(p, 1, p.n);
    rest = str_sub(rest, 1, rest.n);
    while (str_cut(&p, '/', &want)) {
        if (str_eqc(want, "{*}")) {
            size_t keep = p.n ? p.n + 1 : 0; /* "/" and the literal rest of the pattern */
            if (rest.n <= keep)
                return false;
            *name = str_sub(rest, 0, rest.n - keep);
            return keep == 0 || (rest.p[name->n] == '/' && str_eq(str_sub(rest, name->n + 1, rest.n), p));
        }
        if (!str_cut(&rest, '/', &have) || !have.n)
            return false;
        if (!str_eqc(want, "{}")) {
            if (!str_eq(want, have))
                return false;
        } else if (!named) {
            *name = have;
            named = true;
        }
    }
    return rest.n == 0;
}

static const struct route *find_route(struct str method, struct str path, struct str *name)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (str_eqc(method, routes[i].method) && matches(routes[i].pattern, path, name))
            return &routes[i];
    return NULL;
}

static bool media_is(struct str content_type, struct str media)
{
    struct str type, parameters;
    str_split(content_type, ';', &type, &parameters);
    return str_ieq(str_trim(type), media);
}

static int check_headers(const struct request_raw *raw, const struct route *route, struct err *e)
{
    if (media_is(raw->content_type, STR("application/x-www-form-urlencoded")) ||
        media_is(raw->content_type, STR("multipart/form-data")))
        return err_set(e, EACCES,
                       "a form as content type is refused: the engine would read settings from its body that "
                       "cannot be judged");
    /* BuildKit is all side channel: whether it may be used at all is decided by class. */
    if (raw->upgrade.n && route->class != REQUEST_BUILDKIT && !str_ieq(raw->upgrade, STR("tcp")) &&
        !str_ieq(raw->upgrade, STR("websocket")))
        return err_set(e, EACCES, "an upgrade to \"" STR_FMT "\" is refused: requests inside it cannot be judged",
                       STR_ARG(raw->upgrade));
    return 0;
}

static int check_body(struct arena *a, const struct request_raw *raw, const struct route *route, struct request *ret,
                      struct err *e)
{
    int r;
    struct json_value *v = NULL;
    if (route->body == REQUEST_OPAQUE)
        return 0;
    if (!str_trim(raw->body).n) {
        if (route->body == REQUEST_REQUIRED)
            return err_set(
                e, EACCES,
                "the engine did not show the body of this request, so it cannot be judged (absent, not JSON, "
                "Content-Length 0, or too large for an engine with CVE-2026-34040)");
        return 0;
    }
    struct err why = ERR_INIT;
    if ((r = json_parse(a, raw->body, JSON_FOLD_KEYS, &v, &why)) < 0)
        return err_set(e, EACCES, "the body of the request is ambiguous or no JSON: %s", why.msg);
    bool empty = v->type == JSON_NULL || (v->type == JSON_OBJECT && v->count == 0);
    if (route->body == REQUEST_NONE && !empty)
        return err_set(e, EACCES, "a body does not belong to this request");
    if (v->type != JSON_OBJECT && (route->body == REQUEST_REQUIRED || v->type != JSON_NULL))
        return err_set(e, EACCES, "the body of the request is no JSON object");
    if (route->body != REQUEST_NONE && v->type == JSON_OBJECT)
        ret->body = v;
    return 0;
}

int request_query(struct arena *a, struct str query, const char *name, struct str *ret, struct err *e)
{
    struct str rest = query, pair, key, value, found = STR_NONE;
    while (str_cut(&rest, '&', &pair)) {
        str_split(pair, '=', &key, &value);
        if (!percent_decode(a, key, true, &key) || !percent_decode(a, value, true, &value))
            return err_set(e, EACCES, "the query of the request has a broken percent escape");
        if (!str_eqc(key, name))
            continue;
        if (found.p)
            return err_set(e, EACCES, "the query of the request has \"%s\" twice", name);
        found = value;
    }
    *ret = found;
    return 0;
}

int request_classify(struct arena *a, const struct request_raw *raw, struct request *ret, struct err *e)
{
    int r;
    struct request rq = {.method = raw->method};
    if ((r = normalise(a, raw->uri, &rq, e)) < 0)
        return r;
    const struct route *route = find_route(rq.method, rq.path, &rq.name);
    if (!route)
        return err_set(e, EACCES, STR_FMT " " STR_FMT " is no request that Bulkhead knows, so it is refused",
                       STR_ARG(str_sub(rq.method, 0, 16)), STR_ARG(str_sub(rq.path, 0, 200)));
    rq.class = route->class;
    rq.body_kind = route->body;
    rq.pattern = route->pattern;
    if (rq.class != REQUEST_READ && rq.api_minor && rq.api_minor < API_MINOR_MIN)
        return err_set(e, EACCES, "API version 1.%u is refused: engines read settings at start in versions below 1.%u",
                       rq.api_minor, API_MINOR_MIN);
    if ((r = check_headers(raw, route, e)) < 0 || (r = check_body(a, raw, route, &rq, e)) < 0)
        return r;
    if (rq.class == REQUEST_BUILD) {
        struct str version;
        if ((r = request_query(a, rq.query, "version", &version, e)) < 0)
            return r;
        if (version.n && !str_eqc(version, "1") && !str_eqc(version, "2"))
            return err_set(e, EACCES, "builder version \"" STR_FMT "\" is unknown", STR_ARG(version));
        rq.buildkit = str_eqc(version, "2");
    }
    *ret = rq;
    return 0;
}

/* The engine's decoder takes keys in any case, and U+017F and U+212A for s and k. A key that is not written exactly
 * as documented but would be taken for `name` is refused, and so is any key of these objects outside ASCII. */
static int exact_member(const struct json_value *object, const char *name, const struct json_value **ret, struct err *e)
{
    *ret = NULL;
    JSON_EACH (object, it) {
        if (str_eqc(it->key, name))
            *ret = it->type == JSON_NULL ? NULL : it;
        else if (str_ieq(it->key, str_c(name)))
            return err_set(e, EACCES, "the key \"" STR_FMT "\" is ambiguous: write \"%s\"", STR_ARG(it->key), name);
        else if (!plain_bytes(it->key))
            return err_set(e, EACCES, "a key of the body is outside of ASCII");
    }
    return 0;
}

static int string_member(const struct json_value *object, const char *name, struct str *ret, struct err *e)
{
    const struct json_value *v;
    int r = exact_member(object, name, &v, e);
    if (r < 0)
        return r;
    if (v && v->type != JSON_STRING)
        return err_set(e, EACCES, "\"%s\" is no string", name);
    *ret = json_str(v);
    return 0;
}

int request_create(const struct json_value *body, struct request_create *ret, struct err *e)
{
    int r;
    struct request_create c = {0};
    struct str outer;
    const struct json_value *host;
    if ((r = string_member(body, "Image", &c.image, e)) < 0 || (r = exact_member(body, "HostConfig", &host, e)) < 0 ||
        /* Engines up to 23 also read the members of HostConfig at the top level. */
        (r = string_member(body, "Runtime", &outer, e)) < 0)
        return r;
    if (host && host->type != JSON_OBJECT)
        return err_set(e, EACCES, "\"HostConfig\" is no object");
    if (host && (r = string_member(host, "Runtime", &c.runtime, e)) < 0)
        return r;
    if (outer.n && c.runtime.n && !str_eq(outer, c.runtime))
        return err_set(e, EACCES, "the body names two runtimes");
    if (outer.n)
        c.runtime = outer;
    *ret = c;
    return 0;
}

int request_service(const struct json_value *body, struct err *e)
{
    int r;
    const struct json_value *task, *plugin;
    struct str runtime;
    if ((r = exact_member(body, "TaskTemplate", &task, e)) < 0)
        return r;
    if (task && task->type != JSON_OBJECT)
        return err_set(e, EACCES, "\"TaskTemplate\" is no object");
    if (!task)
        return 0;
    if ((r = exact_member(task, "PluginSpec", &plugin, e)) < 0 || (r = string_member(task, "Runtime", &runtime, e)) < 0)
        return r;
    if (plugin || (runtime.n && !str_eqc(runtime, "container")))
        return err_set(e, EACCES, "a service that is not an ordinary container would install a plugin");
    return 0;
}
