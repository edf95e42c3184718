#include "engine/docker.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"
#include "net/http.h"

#define DOCKER_TIMEOUT     (15 * TIME_SECOND)
#define DOCKER_EXPORT_IDLE (120 * TIME_SECOND)
#define DOCKER_EVENT_ARENA (8u << 20)

struct docker {
    char *url;
};

int docker_open(const char *url, struct docker **ret, struct err *e)
{
    struct str u = str_c(url), prefix = STR("unix://");
    struct str path = str_starts(u, prefix) ? str_sub(u, prefix.n, u.n) : u;
    if (path.n < 2 || path.p[0] != '/' || path.n > 100)
        return err_set(e, EINVAL, "engine %s: expected unix:///PATH with a path of at most 100 bytes", url);
    struct docker *d = calloc(1, sizeof(*d));
    if (!d || asprintf(&d->url, "unix://%s", path.p) < 0)
        abort();
    *ret = d;
    return 0;
}

void docker_close(struct docker *d)
{
    if (d)
        free(d->url);
    free(d);
}

void docker_closep(struct docker **d)
{
    docker_close(*d);
}

const char *docker_url(const struct docker *d)
{
    return d->url;
}

bool docker_ref_valid(struct str ref)
{
    if (ref.n == 0 || ref.n > 512 || ref.p[0] == '/' || ref.p[0] == '-')
        return false;
    for (size_t i = 0; i < ref.n; i++) {
        char c = ref.p[i];
        if (!c ||
            (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && !strchr("._:/@-", c)))
            return false;
    }
    return !str_has(ref, STR("//")) && !str_has(ref, STR(".."));
}

static int open_http(const struct docker *d, int64_t idle, int64_t total, struct http **ret, struct err *e)
{
    struct http_opts opts = {.unix_socket = d->url + strlen("unix://"), .idle_timeout = idle, .total_timeout = total};
    return http_open(&opts, ret, e);
}

/* GET a small answer and parse it. */
static int get(const struct docker *d, struct arena *a, const char *path, const struct json_value **ret, struct err *e)
{
    int r;
    _cleanup_(http_closep) struct http *h = NULL;
    if ((r = open_http(d, DOCKER_TIMEOUT, DOCKER_TIMEOUT, &h, e)) < 0)
        return err_wrap(e, "engine %s", d->url);
    struct http_request q = {.url = arena_printf(a, "http://docker%s", path), .max_body = LIMIT_ENGINE_ANSWER};
    struct http_response s = {0};
    struct json_value *v = NULL;
    if ((r = http_run(h, a, &q, &s, e)) < 0 || (r = http_check(&s, e)) < 0 ||
        (ret && (r = json_parse(a, s.body, 0, &v, e)) < 0)) {
        err_wrap(e, "engine %s", d->url);
        return r;
    }
    if (ret)
        *ret = v;
    return 0;
}

static int unexpected(struct err *e, const struct docker *d, const char *what)
{
    return err_set(e, EBADMSG, "engine %s: the answer has no usable %s", d->url, what);
}

static void strings(struct arena *a, const struct json_value *list, struct str **ret, size_t *ret_n)
{
    *ret = list && list->type == JSON_ARRAY ? arena_array(a, list->count, sizeof(struct str)) : NULL;
    *ret_n = 0;
    if (*ret)
        JSON_EACH (list, it)
            if (json_str(it).n)
                (*ret)[(*ret_n)++] = json_str(it);
}

int docker_ping(const struct docker *d, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_ENGINE_ANSWER * 2);
    return get(d, a, "/_ping", NULL, e);
}

int docker_refused_by(const struct docker *d, const char *path, const char *plugin, struct err *e)
{
    struct err why = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_ENGINE_ANSWER * 2);
    int r = get(d, a, path, NULL, &why);
    if (r == 0 || r == -ENOENT)
        return 0;
    if (r != -EACCES)
        return err_set(e, -r, "%s", why.msg);
    struct str text = arena_strf(a, "authorization denied by plugin %s:", plugin);
    return str_has(str_c(why.msg), text);
}

int docker_version(const struct docker *d, struct arena *a, struct docker_version *ret, struct err *e)
{
    const struct json_value *v;
    int r = get(d, a, "/version", &v, e);
    if (r < 0)
        return r;
    const struct json_value *parts = json_get(v, "Components");
    struct str first =
        parts && parts->type == JSON_ARRAY && parts->count ? json_str(json_get(parts->first, "Name")) : STR_NONE;
    *ret = (struct docker_version){
        .engine = str_starts(first, STR("Podman")) ? STR("podman") : STR("docker"),
        .version = json_str(json_get(v, "Version")),
        .api = json_str(json_get(v, "ApiVersion")),
        .min_api = json_str(json_get(v, "MinAPIVersion")),
        .os = json_str(json_get(v, "Os")),
        .arch = json_str(json_get(v, "Arch")),
        .kernel = json_str(json_get(v, "KernelVersion")),
        .json = v,
    };
    return ret->version.n ? 0 : unexpected(e, d, "Version");
}

int docker_info(const struct docker *d, struct arena *a, struct docker_info *ret, struct err *e)
{
    const struct json_value *v;
    int r = get(d, a, "/info", &v, e);
    if (r < 0)
        return r;
    struct docker_info i = {
        .id = json_str(json_get(v, "ID")),
        .name = json_str(json_get(v, "Name")),
        .root_dir = json_str(json_get(v, "DockerRootDir")),
        .driver = json_str(json_get(v, "Driver")),
        .default_runtime = json_str(json_get(v, "DefaultRuntime")),
        .operating_system = json_str(json_get(v, "OperatingSystem")),
        .cgroup_driver = json_str(json_get(v, "CgroupDriver")),
        .cgroup_version = json_str(json_get(v, "CgroupVersion")),
        .containers = json_i64(json_get(v, "Containers"), 0),
        .running = json_i64(json_get(v, "ContainersRunning"), 0),
        .images = json_i64(json_get(v, "Images"), 0),
        .json = v,
    };
    if (!i.root_dir.n)
        return unexpected(e, d, "DockerRootDir");
    const struct json_value *runtimes = json_get(v, "Runtimes");
    i.runtimes = arena_array(a, runtimes ? runtimes->count : 0, sizeof(struct str));
    JSON_EACH (runtimes, it)
        i.runtimes[i.runtimes_n++] = it->key;
    strings(a, json_path(v, "Plugins.Authorization"), &i.authz, &i.authz_n);
    strings(a, json_get(v, "SecurityOptions"), &i.security, &i.security_n);
    *ret = i;
    return 0;
}

static bool read_image(struct arena *a, const struct json_value *v, struct docker_image *ret)
{
    *ret = (struct docker_image){
        .id = json_str(json_get(v, "Id")),
        .size = json_i64(json_get(v, "Size"), 0),
        .config = json_get(v, "Config"),
        .json = v,
    };
    const struct json_value *created = json_get(v, "Created");
    if (created && created->type == JSON_STRING) {
        ret->created = json_str(created);
    } else if (created) { /* listings have seconds */
        char text[TIME_TEXT];
        ret->created = arena_strf(a, "%s", time_format(json_i64(created, 0) * TIME_SECOND, text));
    }
    strings(a, json_get(v, "RepoTags"), &ret->tags, &ret->tags_n);
    strings(a, json_get(v, "RepoDigests"), &ret->digests, &ret->digests_n);
    /* listings of old engines say <none>:<none> where an image has no name */
    for (size_t i = 0; i < ret->tags_n; i++)
        if (str_has(ret->tags[i], STR("<none>")))
            ret->tags[i--] = ret->tags[--ret->tags_n];
    for (size_t i = 0; i < ret->digests_n; i++)
        if (str_has(ret->digests[i], STR("<none>")))
            ret->digests[i--] = ret->digests[--ret->digests_n];
    return str_starts(ret->id, STR("sha256:")) && ret->id.n == strlen("sha256:") + 64;
}

int docker_image_inspect(const struct docker *d, struct arena *a, struct str ref, struct docker_image *ret,
                         struct err *e)
{
    if (!docker_ref_valid(ref))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no image reference", STR_ARG(ref));
    const struct json_value *v;
    struct docker_image img;
    int r = get(d, a, arena_printf(a, "/images/" STR_FMT "/json", STR_ARG(ref)), &v, e);
    if (r < 0)
        return r;
    if (!read_image(a, v, &img))
        return unexpected(e, d, "image Id");
    *ret = img;
    return 0;
}

int docker_image_list(const struct docker *d, struct arena *a, struct docker_image **ret, size_t *ret_n, struct err *e)
{
    const struct json_value *v;
    int r = get(d, a, "/images/json", &v, e);
    if (r < 0)
        return r;
    if (v->type != JSON_ARRAY)
        return unexpected(e, d, "list of images");
    struct docker_image *list = arena_array(a, v->count, sizeof(*list));
    size_t n = 0;
    JSON_EACH (v, it)
        if (!read_image(a, it, &list[n++]))
            return unexpected(e, d, "image Id");
    *ret = list;
    *ret_n = n;
    return 0;
}

int docker_image_export(const struct docker *d, struct str ref, docker_sink_fn *sink, void *ctx, struct err *e)
{
    int r;
    if (!docker_ref_valid(ref))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no image reference", STR_ARG(ref));
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_ENGINE_ANSWER);
    _cleanup_(http_closep) struct http *h = NULL;
    if ((r = open_http(d, DOCKER_EXPORT_IDLE, 0, &h, e)) < 0)
        return r;
    struct http_request q = {
        .url = arena_printf(a, "http://docker/images/get?names=%s", http_escape(a, ref)),
        .sink = sink,
        .sink_ctx = ctx,
        .max_body = UINT64_MAX,
    };
    struct http_response s = {0};
    if ((r = http_run(h, a, &q, &s, e)) < 0 || (r = http_check(&s, e)) < 0)
        err_wrap(e, "engine %s", d->url);
    return r < 0 ? r : 0;
}

static struct str without_slash(struct str name)
{
    return name.n && name.p[0] == '/' ? str_sub(name, 1, name.n) : name;
}

static bool container_id_valid(struct str id)
{
    if (id.n != 64)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!id.p[i] || !strchr("0123456789abcdef", id.p[i]))
            return false;
    return true;
}

static bool read_listed(const struct json_value *v, struct docker_container *ret)
{
    const struct json_value *names = json_get(v, "Names"), *labels = json_get(v, "Labels");
    *ret = (struct docker_container){
        .id = json_str(json_get(v, "Id")),
        .image = json_str(json_get(v, "Image")),
        .image_id = json_str(json_get(v, "ImageID")),
        .state = json_str(json_get(v, "State")),
        .labels = labels && labels->type == JSON_OBJECT ? labels : NULL,
        .json = v,
    };
    /* Names also holds the links of other containers, "/other/alias": the container's own has one slash. */
    JSON_EACH (names, it) {
        struct str name = without_slash(json_str(it));
        if (!ret->name.n || str_chr(name, '/') < 0)
            ret->name = name;
    }
    return container_id_valid(ret->id);
}

static int list(const struct docker *d, struct arena *a, const char *query, struct docker_container **ret,
                size_t *ret_n, struct err *e)
{
    const struct json_value *v;
    int r = get(d, a, arena_printf(a, "/containers/json%s", query), &v, e);
    if (r < 0)
        return r;
    if (v->type != JSON_ARRAY)
        return unexpected(e, d, "list of containers");
    struct docker_container *l = arena_array(a, v->count, sizeof(*l));
    size_t n = 0;
    JSON_EACH (v, it)
        if (!read_listed(it, &l[n++]))
            return unexpected(e, d, "container Id");
    *ret = l;
    *ret_n = n;
    return 0;
}

int docker_container_list(const struct docker *d, struct arena *a, bool all, struct docker_container **ret,
                          size_t *ret_n, struct err *e)
{
    return list(d, a, all ? "?all=1" : "", ret, ret_n, e);
}

int docker_container_inspect(const struct docker *d, struct arena *a, struct str ref, struct docker_container *ret,
                             struct err *e)
{
    ref = without_slash(ref);
    if (!docker_ref_valid(ref) || str_chr(ref, '/') >= 0)
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no container name or id", STR_ARG(ref));
    const struct json_value *v;
    int r = get(d, a, arena_printf(a, "/containers/" STR_FMT "/json", STR_ARG(ref)), &v, e);
    if (r < 0)
        return r;
    const struct json_value *labels = json_path(v, "Config.Labels");
    struct docker_container c = {
        .id = json_str(json_get(v, "Id")),
        .name = without_slash(json_str(json_get(v, "Name"))),
        .image = json_str(json_path(v, "Config.Image")),
        .image_id = json_str(json_get(v, "Image")),
        .state = json_str(json_path(v, "State.Status")),
        .labels = labels && labels->type == JSON_OBJECT ? labels : NULL,
        .runtime = json_str(json_path(v, "HostConfig.Runtime")),
        .pid = json_i64(json_path(v, "State.Pid"), 0),
        .started = json_str(json_path(v, "State.StartedAt")),
        .privileged = json_bool(json_path(v, "HostConfig.Privileged"), false),
        .json = v,
    };
    if (!container_id_valid(c.id))
        return unexpected(e, d, "container Id");
    *ret = c;
    return 0;
}

int docker_container_find(const struct docker *d, struct arena *a, struct str ref, struct docker_container *ret,
                          struct err *e)
{
    ref = without_slash(ref);
    if (!docker_ref_valid(ref) || str_chr(ref, '/') >= 0)
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no container name or id", STR_ARG(ref));
    /* A full id needs no second look; anything else is looked for among all, because a name may look like a prefix. */
    const char *query = "?all=1";
    if (container_id_valid(ref))
        query = arena_printf(a, "?all=1&filters=%s",
                             http_escape(a, arena_strf(a, "{\"id\":[\"" STR_FMT "\"]}", STR_ARG(ref))));
    struct docker_container *all;
    size_t n;
    int r = list(d, a, query, &all, &n, e);
    if (r < 0)
        return r;
    const struct docker_container *found = NULL;
    for (size_t i = 0; i < n && !found; i++)
        if (str_eq(all[i].id, ref))
            found = &all[i];
    for (size_t i = 0; i < n && !found; i++)
        if (str_eq(all[i].name, ref))
            found = &all[i];
    if (!found) {
        for (size_t i = 0; i < n; i++) {
            if (!str_starts(all[i].id, ref))
                continue;
            if (found)
                return err_set(e, EEXIST, "\"" STR_FMT "\" is the beginning of several container ids", STR_ARG(ref));
            found = &all[i];
        }
    }
    if (!found)
        return err_set(e, ENOENT, "engine %s: no container \"" STR_FMT "\"", d->url, STR_ARG(ref));
    *ret = *found;
    return 0;
}

int docker_exec_inspect(const struct docker *d, struct arena *a, struct str id, struct docker_exec *ret, struct err *e)
{
    const struct json_value *v;
    if (!container_id_valid(id))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no id of an exec session", STR_ARG(id));
    int r = get(d, a, arena_printf(a, "/exec/" STR_FMT "/json", STR_ARG(id)), &v, e);
    if (r < 0)
        return r;
    *ret = (struct docker_exec){.container = json_str(json_get(v, "ContainerID")),
                                .entry = json_str(json_path(v, "ProcessConfig.entrypoint")),
                                .arguments = json_path(v, "ProcessConfig.arguments")};
    return container_id_valid(ret->container)
               ? 0
               : err_set(e, EBADMSG, "engine %s: an exec session without container", d->url);
}

/* ---- events ---- */

struct docker_follow {
    char *url;
    struct http *http;
    struct buf line;
    struct arena *arena;
    docker_event_fn *fn;
    void *ctx;
    int answer; /* what fn ended the stream with */
};

int docker_follow_open(const struct docker *d, struct docker_follow **ret, struct err *e)
{
    struct http *h = NULL;
    int r = open_http(d, TIME_NEVER, 0, &h, e);
    if (r < 0)
        return r;
    struct docker_follow *f = calloc(1, sizeof(*f));
    if (!f || !(f->url = strdup(d->url)))
        abort();
    f->http = h;
    f->line = BUF_INIT(1u << 20);
    f->arena = arena_new(DOCKER_EVENT_ARENA);
    *ret = f;
    return 0;
}

void docker_follow_close(struct docker_follow *f)
{
    if (!f)
        return;
    http_close(f->http);
    buf_fini(&f->line);
    arena_free(f->arena);
    free(f->url);
    free(f);
}

void docker_follow_closep(struct docker_follow **f)
{
    docker_follow_close(*f);
}

void docker_follow_stop(struct docker_follow *f)
{
    http_cancel(f->http);
}

static int one_event(struct docker_follow *f, struct str line, struct err *e)
{
    struct json_value *v;
    arena_reset(f->arena);
    int r = json_parse(f->arena, line, 0, &v, e);
    if (r < 0)
        return r;
    const struct json_value *attributes = json_path(v, "Actor.Attributes");
    int64_t nano = json_i64(json_get(v, "timeNano"), 0);
    struct docker_event ev = {
        .type = json_str(json_get(v, "Type")),
        .action = json_str(json_get(v, "Action")),
        .id = json_str(json_path(v, "Actor.ID")),
        .attributes = attributes && attributes->type == JSON_OBJECT ? attributes : NULL,
        .time = nano ? nano / 1000 : json_i64(json_get(v, "time"), 0) * TIME_SECOND,
    };
    return f->fn(f->ctx, &ev);
}

static int take(void *ctx, const void *p, size_t n, struct err *e)
{
    struct docker_follow *f = ctx;
    struct str rest = str_n(p, n);
    while (rest.n) {
        ptrdiff_t at = str_chr(rest, '\n');
        buf_puts(&f->line, at < 0 ? rest : str_sub(rest, 0, (size_t)at));
        if (at < 0)
            return buf_check(&f->line, e);
        rest = str_sub(rest, (size_t)at + 1, rest.n);
        int r = buf_check(&f->line, e);
        if (r < 0)
            return r;
        if (str_trim(buf_str(&f->line)).n && (r = one_event(f, buf_str(&f->line), e)) != 0) {
            f->answer = r;
            return r < 0 ? r : -ECANCELED;
        }
        buf_reset(&f->line);
    }
    return 0;
}

int docker_follow_run(struct docker_follow *f, int64_t since, docker_event_fn *fn, void *ctx, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_ENGINE_ANSWER);
    f->fn = fn;
    f->ctx = ctx;
    f->answer = 0;
    buf_reset(&f->line);
    struct http_request q = {
        .url = since ? arena_printf(a, "http://docker/events?since=%" PRId64 ".%09" PRId64, since / TIME_SECOND,
                                    since % TIME_SECOND * 1000)
                     : "http://docker/events",
        .sink = take,
        .sink_ctx = f,
        .max_body = UINT64_MAX,
        .idle_timeout = TIME_NEVER,
    };
    struct http_response s = {0};
    int r = http_run(f->http, a, &q, &s, e);
    if (f->answer)
        return f->answer;
    if (r < 0 || (r = http_check(&s, e)) < 0) {
        err_wrap(e, "engine %s", f->url);
        return r;
    }
    return err_set(e, ECONNRESET, "engine %s: the stream of events ended", f->url);
}
