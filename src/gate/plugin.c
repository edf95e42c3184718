#include "gate/plugin.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "engine/docker.h"
#include "gate/register.h"
#include "gate/request.h"
#include "net/httpd.h"

#include <libgen.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SCAN_WAIT     (60 * TIME_SECOND)
#define INLINE_MAX    (64u << 10) /* larger messages are not parsed on the event thread; no read is that large */
#define TOPIC_SCANNED 1u

struct plugin {
    struct plugin_opts opts;
    char *socket, *state;
    struct docker *engine;
    struct httpd *server;
    _Atomic uint64_t reads, writes, decisions, denied, failed;
};

/* One message of the engine, and what becomes of it. */
struct asked {
    struct plugin *p;
    struct httpd_request *rq;
    struct arena *a;
    const struct json_value *message;
    struct str user, user_method;
    struct request request;
    struct str guard; /* runtime that containers must use; empty: any */
    /* what is known so far of what it is about, for the event */
    struct str image, image_id, container, policy;
    int64_t wait_until; /* of a request that waits for a scan */
};

enum verdict_of_request { ALLOW, DENY, PARK };

/* ---- answers ---- */

static void answer(struct asked *k, struct httpd_answer *an, bool allow, struct str message)
{
    struct buf b = BUF_INIT(16u << 10);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kbool(&w, "Allow", allow);
    if (!allow)
        json_w_kstr(&w, "Msg", str_sub(message, 0, 4096));
    json_w_end(&w);
    an->type = "application/vnd.docker.plugins.v1.2+json";
    an->body =
        buf_check(&b, NULL) < 0 ? STR("{\"Allow\":false,\"Msg\":\"internal error\"}") : arena_str(k->a, buf_str(&b));
    buf_fini(&b);
}

static void tell(struct asked *k, enum event_control control, const char *rule, struct str text)
{
    if (!k->p->opts.tell)
        return;
    struct buf b = BUF_INIT(16u << 10);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "method", k->request.method);
    json_w_kstr(&w, "path", str_sub(k->request.path, 0, 512));
    json_w_kstr(&w, "reason", str_sub(text, 0, 4096));
    if (k->image.n)
        json_w_kstr(&w, "image", str_sub(k->image, 0, 512));
    if (k->image_id.n)
        json_w_kstr(&w, "image_id", k->image_id);
    if (k->user_method.n)
        json_w_kstr(&w, "authentication", str_sub(k->user_method, 0, 64));
    json_w_end(&w);
    struct event ev = {
        .type = EVENT_TYPE_gate,
        .control = control,
        .rule = str_c(rule),
        .severity = SEVERITY_high,
        .action = ACTION_block,
        .level = LEVEL_block,
        .outcome = OUTCOME_prevented,
        .user_name = k->user,
        .user_via = STR("docker-api"),
        .policy_name = k->policy,
        .detail = buf_check(&b, NULL) < 0 ? STR("{}") : buf_str(&b),
    };
    struct subject s;
    if (k->container.n) {
        if (subject_read(k->a, k->p->state, k->container, &s, NULL) == 0)
            subject_for_event(&s, &ev.container);
        ev.container.id = k->container;
        ev.container.image_id = k->image_id;
        if (!ev.container.image.n)
            ev.container.image = k->image;
        ev.container.engine = STR("docker");
    }
    k->p->opts.tell(k->p->opts.ctx, &ev);
    buf_fini(&b);
}

static enum verdict_of_request refuse(struct asked *k, enum event_control control, const char *rule, struct str text,
                                      struct str *ret)
{
    tell(k, control, rule, text);
    *ret = text;
    return DENY;
}

/* ---- decisions ---- */

static enum verdict_of_request wait_for_scan(struct asked *k, const struct gate_decision *d, struct str *ret)
{
    struct err e = ERR_INIT;
    const struct plugin_opts *o = &k->p->opts;
    int64_t end = k->rq->arrived + (o->scan_wait ? o->scan_wait : SCAN_WAIT), now = time_monotonic();
    if (!o->scan)
        return refuse(k, CONTROL_image, "Unscanned image", d->text, ret);
    if (o->scan(o->ctx, k->image_id, k->image_id, &e) < 0)
        return refuse(k, CONTROL_image, "Unscanned image",
                      arena_strf(k->a, STR_FMT "; its scan failed: %s", STR_ARG(d->text), e.msg), ret);
    if (now >= end)
        return refuse(k, CONTROL_image, "Unscanned image",
                      arena_strf(k->a, STR_FMT "; the scan is still at work, try again in a moment", STR_ARG(d->text)),
                      ret);
    k->wait_until = end;
    return PARK;
}

static enum verdict_of_request judge_image(struct asked *k, const struct str *names, size_t names_n, struct str *ret)
{
    const struct plugin_opts *o = &k->p->opts;
    struct gate_question q = {
        .image_id = k->image_id, .image = k->image, .names = names, .names_n = names_n, .now = time_now()};
    if (o->running && k->image_id.n)
        q.running = o->running(o->ctx, k->image_id, &q.running_since);
    struct gate_decision d;
    gate_decide(o->gate, k->a, &q, &d);
    k->policy = d.policy;
    *ret = d.text;
    switch (d.answer) {
    case GATE_ALLOW:
        return ALLOW;
    case GATE_SCAN:
        return wait_for_scan(k, &d, ret);
    case GATE_DENY:
        break;
    }
    return refuse(k, CONTROL_image, d.verdict ? "Image denied" : "Image not judged", d.text, ret);
}

static struct str *all_names(struct arena *a, const struct docker_image *img, size_t *n)
{
    struct str *names = arena_array(a, img->tags_n + img->digests_n, sizeof(*names));
    *n = 0;
    for (size_t i = 0; i < img->tags_n; i++)
        names[(*n)++] = img->tags[i];
    for (size_t i = 0; i < img->digests_n; i++)
        names[(*n)++] = img->digests[i];
    return names;
}

static bool governed(struct asked *k)
{
    return gate_governs_images(k->p->opts.gate);
}

static enum verdict_of_request judge_create(struct asked *k, struct str *ret)
{
    int r;
    size_t n;
    struct err e = ERR_INIT;
    struct docker_image img;
    struct request_create c;
    if (request_create(k->request.body, &c, &e) < 0)
        return refuse(k, CONTROL_request, "Ambiguous request", arena_strf(k->a, "%s", e.msg), ret);
    k->image = c.image;
    if (k->guard.n && c.runtime.n && !str_eq(c.runtime, k->guard))
        return refuse(k, CONTROL_request, "Runtime bypasses the guard",
                      arena_strf(k->a,
                                 "runtime \"" STR_FMT
                                 "\" would start the container past the guard: leave it out or use \"" STR_FMT "\"",
                                 STR_ARG(str_sub(c.runtime, 0, 200)), STR_ARG(k->guard)),
                      ret);
    if (!c.image.n)
        return judge_image(k, NULL, 0, ret);
    r = docker_image_inspect(k->p->engine, k->a, c.image, &img, &e);
    if (r == -ENOENT) /* the engine answers 404 itself, clients then pull; what appears meanwhile is judged at start */
        return ALLOW;
    if (r < 0) {
        if (r != -EINVAL && !governed(k))
            return ALLOW;
        return refuse(
            k, CONTROL_image, "Image not judged",
            arena_strf(k->a, "image " STR_FMT " could not be resolved: %s", STR_ARG(str_sub(c.image, 0, 300)), e.msg),
            ret);
    }
    k->image_id = img.id;
    struct str *names = all_names(k->a, &img, &n);
    return judge_image(k, names, n, ret);
}

static enum verdict_of_request judge_start(struct asked *k, struct str *ret)
{
    int r;
    size_t n = 0;
    struct err e = ERR_INIT;
    struct docker_container c;
    struct docker_image img;
    struct subject s;
    struct str *names = NULL;
    if (!governed(k))
        return ALLOW;
    if ((r = docker_container_find(k->p->engine, k->a, k->request.name, &c, &e)) < 0)
        return refuse(k, CONTROL_image, "Container not judged",
                      arena_strf(k->a, "container " STR_FMT " could not be looked up: %s",
                                 STR_ARG(str_sub(k->request.name, 0, 200)), e.msg),
                      ret);
    k->container = c.id;
    k->image_id = c.image_id;
    k->image = c.image;
    /* Names the image has now; when it was removed, those it had when the container was made. */
    if (c.image_id.n && docker_image_inspect(k->p->engine, k->a, c.image_id, &img, &e) == 0)
        names = all_names(k->a, &img, &n);
    if (!n && subject_read(k->a, k->p->state, c.id, &s, NULL) == 0) {
        names = s.names;
        n = s.names_n;
    }
    return judge_image(k, names, n, ret);
}

/* Whose session it is, for the events of what happens in it. Only the engine knows which container it belongs to. */
static void tell_exec(struct asked *k)
{
    const struct plugin_opts *o = &k->p->opts;
    struct docker_exec x;
    if (!o->exec || !k->user.n || !str_eqc(str_c(k->request.pattern), "/exec/{}/start") ||
        docker_exec_inspect(k->p->engine, k->a, k->request.name, &x, NULL) < 0)
        return;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8192);
    buf_puts(&b, x.entry);
    for (const struct json_value *v = x.arguments ? x.arguments->first : NULL; v; v = v->next) {
        buf_putc(&b, '\0');
        buf_puts(&b, json_str(v));
    }
    o->exec(o->ctx, x.container, k->user, buf_str(&b));
}

static enum verdict_of_request judge(struct asked *k, struct str *ret)
{
    struct err e = ERR_INIT;
    k->guard = register_guard(k->a, k->p->state);
    switch (k->request.class) {
    case REQUEST_WRITE:
        tell_exec(k);
        __attribute__((fallthrough));
    case REQUEST_READ:
        return ALLOW;
    case REQUEST_PROBE:
        return DENY;
    case REQUEST_CREATE:
        return judge_create(k, ret);
    case REQUEST_START:
        return judge_start(k, ret);
    case REQUEST_BUILD: {
        struct str remote;
        if (request_query(k->a, k->request.query, "remote", &remote, &e) < 0)
            return refuse(k, CONTROL_request, "Ambiguous request", arena_strf(k->a, "%s", e.msg), ret);
        if (!k->request.buildkit && !str_eqc(remote, "client-session"))
            return ALLOW;
    }
        __attribute__((fallthrough));
    case REQUEST_BUILDKIT:
        if (!governed(k))
            return ALLOW;
        return refuse(k, CONTROL_request, "BuildKit bypasses the guard",
                      STR("BuildKit runs build steps of any image where neither plugin nor guard see them, and image "
                          "policies are in force. Build with DOCKER_BUILDKIT=0, or on another host"),
                      ret);
    case REQUEST_PLUGIN:
        return refuse(
            k, CONTROL_request, "Engine plugins are fixed",
            STR("installing, changing or disabling plugins of the engine could switch protection off. Take the "
                "gate out first: bulkhead-agent engine disable"),
            ret);
    case REQUEST_SERVICE:
        if (request_service(k->request.body, &e) < 0)
            return refuse(k, CONTROL_request, "Engine plugins are fixed", arena_strf(k->a, "%s", e.msg), ret);
        __attribute__((fallthrough));
    case REQUEST_SWARM:
        if (k->guard.n || !governed(k))
            return ALLOW;
        return refuse(k, CONTROL_request, "Swarm bypasses the gate",
                      STR("a swarm starts containers without asking plugins; register the guard first: bulkhead-agent "
                          "engine enable"),
                      ret);
    }
    return refuse(k, CONTROL_request, "Ambiguous request", STR("unknown kind of request"), ret);
}

/* ---- the protocol ---- */

static int read_message(struct asked *k, struct request_raw *raw, struct err *e)
{
    int r;
    struct json_value *m;
    if ((r = json_parse(k->a, k->rq->body, 0, &m, e)) < 0)
        return r;
    k->message = m;
    k->user = json_str(json_get(m, "User"));
    k->user_method = json_str(json_get(m, "UserAuthNMethod"));
    const struct json_value *headers = json_get(m, "RequestHeaders"), *body = json_get(m, "RequestBody");
    *raw = (struct request_raw){
        .method = json_str(json_get(m, "RequestMethod")),
        .uri = json_str(json_get(m, "RequestUri")),
        .content_type = json_str(json_get(headers, "Content-Type")),
        .upgrade = json_str(json_get(headers, "Upgrade")),
    };
    k->request.method = raw->method;
    k->request.path = raw->uri;
    if (json_str(body).n && (r = base64_decode(k->a, json_str(body), &raw->body)) < 0)
        return err_set(e, EBADMSG, "RequestBody is no base64");
    return 0;
}

static int on_request(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    int r;
    struct err why = ERR_INIT;
    struct request_raw raw;
    struct str message = STR("");
    struct asked k = {.p = rq->ctx, .rq = rq, .a = rq->a};
    if (!rq->deferred && rq->body.n > INLINE_MAX)
        return httpd_defer(rq);
    if ((r = read_message(&k, &raw, e)) < 0) {
        k.p->failed++;
        return r;
    }
    r = request_classify(rq->a, &raw, &k.request, &why);
    if (r == 0 && k.request.class == REQUEST_READ) {
        k.p->reads++;
        answer(&k, an, true, message);
        return 0;
    }
    if (r == 0 && k.request.class == REQUEST_PROBE) {
        answer(&k, an, false, STR("Bulkhead is here"));
        return 0;
    }
    if (!rq->deferred)
        return httpd_defer(rq);
    enum verdict_of_request v =
        r < 0 ? refuse(&k, CONTROL_request, "Ambiguous request", arena_strf(rq->a, "%s", why.msg), &message)
              : judge(&k, &message);
    if (v == PARK)
        return httpd_park(rq, TOPIC_SCANNED, k.wait_until);
    if (r == 0 && k.request.class == REQUEST_WRITE)
        k.p->writes++;
    else
        k.p->decisions++;
    if (v == DENY)
        k.p->denied++;
    answer(&k, an, v == ALLOW, message);
    return 0;
}

/* A container was made: learn which image it really got, from the engine, and remember it for the guard. */
static void learn(struct asked *k, struct str id)
{
    struct docker_container c;
    struct docker_image img;
    struct err e = ERR_INIT;
    struct plugin *p = k->p;
    size_t n = 0;
    if (!hex_id_valid(id) || docker_container_find(p->engine, k->a, id, &c, &e) < 0)
        return;
    struct subject s = {
        .id = c.id,
        .name = c.name,
        .image = c.image,
        .image_id = c.image_id,
        .engine = STR("docker"),
        .labels = c.labels,
    };
    if (c.image_id.n && docker_image_inspect(p->engine, k->a, c.image_id, &img, &e) == 0) {
        s.names = all_names(k->a, &img, &n);
        s.names_n = n;
        ptrdiff_t at = img.digests_n ? str_chr(img.digests[0], '@') : -1;
        if (at >= 0)
            s.image_digest = str_sub(img.digests[0], (size_t)at + 1, img.digests[0].n);
    }
    if (subject_write(p->state, &s, &e) == 0 && p->opts.learned)
        p->opts.learned(p->opts.ctx, &s);
}

static int on_response(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    int r;
    struct request_raw raw;
    struct asked k = {.p = rq->ctx, .rq = rq, .a = rq->a};
    if (!rq->deferred && rq->body.n > INLINE_MAX)
        return httpd_defer(rq);
    if ((r = read_message(&k, &raw, e)) < 0)
        return r;
    struct str reply;
    struct json_value *v;
    if (json_i64(json_get(k.message, "ResponseStatusCode"), 0) == 201 && str_eqc(raw.method, "POST") &&
        request_classify(rq->a, &raw, &k.request, NULL) == 0 && k.request.class == REQUEST_CREATE) {
        if (!rq->deferred)
            return httpd_defer(rq);
        if (base64_decode(rq->a, json_str(json_get(k.message, "ResponseBody")), &reply) == 0 &&
            json_parse(rq->a, str_trim(reply), 0, &v, NULL) == 0)
            learn(&k, json_str(json_get(v, "Id")));
    }
    answer(&k, an, true, STR(""));
    return 0;
}

static int on_activate(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    an->type = "application/vnd.docker.plugins.v1.2+json";
    an->body = STR("{\"Implements\":[\"authz\"]}");
    return 0;
}

static const struct httpd_route routes[] = {
    {"POST", "/Plugin.Activate", on_activate, 0, HTTPD_INLINE, 4096},
    {"POST", "/AuthZPlugin.AuthZReq", on_request, 0, HTTPD_INLINE, LIMIT_AUTHZ_BODY},
    {"POST", "/AuthZPlugin.AuthZRes", on_response, 0, HTTPD_INLINE, LIMIT_AUTHZ_BODY},
};

/* ---- life ---- */

static int listen_on(const char *path, int *ret, struct err *e)
{
    int r;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return err_set(e, EINVAL, "%s: the path of a socket has at most %zu bytes", path, sizeof(addr.sun_path) - 1);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    _cleanup_free_ char *copy = strdup(path);
    if (!copy)
        abort();
    if ((r = fs_mkdirs(dirname(copy), 0755, e)) < 0)
        return r;
    _cleanup_close_ int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0 || fd < 0)
        return err_errno(e, "%s", path);
    if (connect(probe, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return err_set(e, EADDRINUSE, "%s: another plugin answers there", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(e, "%s", path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(path, 0600) < 0 || listen(fd, 512) < 0)
        return err_errno(e, "%s", path);
    *ret = TAKE_FD(fd);
    return 0;
}

int plugin_start(const struct plugin_opts *opts, struct plugin **ret, struct err *e)
{
    int r, fd = -1;
    struct plugin *p = calloc(1, sizeof(*p));
    if (!p || !(p->socket = strdup(opts->socket ? opts->socket : PLUGIN_SOCKET)) || !(p->state = strdup(opts->state)))
        abort();
    p->opts = *opts;
    if ((r = docker_open(opts->engine ? opts->engine : DOCKER_DEFAULT_URL, &p->engine, e)) < 0 ||
        (r = listen_on(p->socket, &fd, e)) < 0)
        goto fail;
    struct httpd_opts o = {
        .listen_fd = fd,
        .routes = routes,
        .routes_n = ARRAY_LEN(routes),
        .ctx = p,
        .workers = 4,
        .queue_max = 1024,
        .connections = 2048,
    };
    if ((r = httpd_start(&o, &p->server, e)) < 0) {
        close(fd);
        unlink(p->socket);
        goto fail;
    }
    *ret = p;
    return 0;
fail:
    docker_close(p->engine);
    free(p->socket);
    free(p->state);
    free(p);
    return r;
}

void plugin_stop(struct plugin *p)
{
    if (!p)
        return;
    unlink(p->socket);
    httpd_stop(p->server);
    docker_close(p->engine);
    free(p->socket);
    free(p->state);
    free(p);
}

void plugin_scanned(struct plugin *p)
{
    httpd_wake(p->server, TOPIC_SCANNED);
}

struct plugin_stats plugin_stats(const struct plugin *p)
{
    return (struct plugin_stats){p->reads, p->writes, p->decisions, p->denied, p->failed};
}
