#include "engine/registry_internal.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"

#define ATTEMPTS         6  /* without a byte between them */
#define ATTEMPTS_CONNECT 3  /* nobody there, or no such name */
#define BREAKS           50 /* of one transfer in all */
#define REDIRECTS        5
#define PAUSE_MOST       (120 * TIME_SECOND)
#define BACKOFF          (TIME_SECOND / 2)
#define BACKOFF_MOST     (16 * TIME_SECOND)
#define CERTS_D          "/etc/docker/certs.d"
#define REQUEST_ARENA    (8u << 20)

static const char accept_documents[] =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

struct str url_origin(struct str url)
{
    ptrdiff_t at = str_find(url, STR("://"));
    size_t i = at < 0 ? 0 : (size_t)at + 3;
    while (i < url.n && !strchr("/?#", url.p[i]))
        i++;
    return str_sub(url, 0, i);
}

/* ---- endpoints ---- */

static const char *if_there(struct arena *a, struct str host, const char *file)
{
    const char *path = arena_printf(a, CERTS_D "/" STR_FMT "/%s", STR_ARG(host), file);
    return fs_exists(path) ? path : NULL;
}

static int add_endpoint(struct registry *reg, struct str where, struct err *e)
{
    struct endpoint *p = &reg->endpoints[reg->endpoints_n];
    struct str host = where, prefix = STR("");
    if (str_starts(where, STR("https://")))
        host = str_sub(where, 8, where.n);
    ptrdiff_t slash = str_chr(host, '/');
    if (slash >= 0) {
        prefix = str_sub(host, (size_t)slash, host.n);
        host = str_sub(host, 0, (size_t)slash);
        while (prefix.n && prefix.p[prefix.n - 1] == '/')
            prefix.n--;
    }
    p->ref = reg->ref;
    p->ref.host = host;
    if (!image_host_valid(host))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no host of a registry", STR_ARG(str_sub(where, 0, 200)));
    struct str server = image_ref_server(&p->ref);
    p->base = arena_strf(reg->a, "https://" STR_FMT STR_FMT, STR_ARG(server), STR_ARG(prefix));
    p->plain_possible = host_is_loopback(host) && !reg->o.ca_file && !if_there(reg->a, host, "ca.crt");
    reg->endpoints_n++;
    return 0;
}

int registry_open(const struct image_ref *ref, const struct registry_opts *o, struct registry **ret, struct err *e)
{
    struct registry *reg = calloc(1, sizeof(*reg));
    if (!reg)
        abort();
    reg->a = arena_new(4u << 20);
    reg->o = *o;
    reg->ref = (struct image_ref){.host = arena_str(reg->a, ref->host),
                                  .repository = arena_str(reg->a, ref->repository),
                                  .tag = arena_str(reg->a, ref->tag),
                                  .digest = arena_str(reg->a, ref->digest)};
    pthread_mutex_init(&reg->lock, NULL);
    pthread_cond_init(&reg->wake, NULL);
    reg->endpoints = arena_array(reg->a, o->mirrors_n + 1, sizeof(*reg->endpoints));
    int r = 0;
    for (size_t i = 0; i < o->mirrors_n && r >= 0; i++)
        r = add_endpoint(reg, arena_str(reg->a, str_c(o->mirrors[i])), e);
    if (r >= 0)
        r = add_endpoint(reg, reg->ref.host, e);
    if (r < 0) {
        registry_free(reg);
        return r;
    }
    *ret = reg;
    return 0;
}

void registry_free(struct registry *reg)
{
    if (!reg)
        return;
    for (size_t i = 0; i < reg->endpoints_n; i++) {
        char *secret = reg->endpoints[i].authorization;
        if (secret)
            fs_wipe(secret, strlen(secret));
        free(secret);
    }
    pthread_mutex_destroy(&reg->lock);
    pthread_cond_destroy(&reg->wake);
    arena_free(reg->a);
    free(reg);
}

void registry_cancel(struct registry *reg)
{
    pthread_mutex_lock(&reg->lock);
    reg->cancelled = true;
    for (struct registry_conn *c = reg->conns; c; c = c->next)
        for (size_t i = 0; i <= reg->endpoints_n; i++)
            http_cancel(c->https[i]);
    pthread_cond_broadcast(&reg->wake);
    pthread_mutex_unlock(&reg->lock);
}

/* ---- connections ---- */

/* The registry itself gets the client certificate, and is trusted by the CA given; everybody else is trusted by that
 * or by the system's, and gets nothing. */
static int open_http(struct registry *reg, size_t i, struct http **ret, struct err *e)
{
    bool own = i + 1 == reg->endpoints_n, other = i == reg->endpoints_n;
    struct str host = other ? STR("") : reg->endpoints[i].ref.host;
    struct http_opts o = {.ca_file = reg->o.ca_file, .system_ca = !own};
    if (!other && (!own || !o.ca_file) && if_there(reg->a, host, "ca.crt")) {
        o.ca_file = if_there(reg->a, host, "ca.crt");
        o.system_ca = true; /* as Docker adds it */
    }
    if (own && reg->o.cert_file) {
        o.cert_file = reg->o.cert_file;
        o.key_file = reg->o.key_file;
    } else if (!other && if_there(reg->a, host, "client.cert") && if_there(reg->a, host, "client.key")) {
        o.cert_file = if_there(reg->a, host, "client.cert");
        o.key_file = if_there(reg->a, host, "client.key");
    }
    return http_open(&o, ret, e);
}

int registry_connect(struct registry *reg, struct registry_conn **ret, struct err *e)
{
    struct registry_conn *c = calloc(1, sizeof(*c));
    if (!c || !(c->https = calloc(reg->endpoints_n + 1, sizeof(*c->https))))
        abort();
    c->reg = reg;
    int r = 0;
    pthread_mutex_lock(&reg->lock); /* also of the arena */
    for (size_t i = 0; i <= reg->endpoints_n && r >= 0; i++)
        r = open_http(reg, i, &c->https[i], e);
    if (r >= 0) {
        c->next = reg->conns;
        reg->conns = c;
    }
    pthread_mutex_unlock(&reg->lock);
    if (r < 0) {
        registry_disconnect(c);
        return r;
    }
    *ret = c;
    return 0;
}

void registry_disconnect(struct registry_conn *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->reg->lock);
    for (struct registry_conn **at = &c->reg->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    pthread_mutex_unlock(&c->reg->lock);
    for (size_t i = 0; i <= c->reg->endpoints_n; i++)
        http_close(c->https[i]);
    free(c->https);
    free(c);
}

/* ---- one transfer ---- */

struct transfer {
    struct registry_conn *c;
    enum registry_what what;
    struct str digest;
    uint64_t done, skip, max;
    int (*sink)(void *ctx, const void *p, size_t n, struct err *e);
    void *ctx;
    bool sunk;     /* the sink ended it */
    int64_t pause; /* what the server asks for */
};

static int begin(void *ctx, const struct http_response *s, struct err *e)
{
    struct transfer *t = ctx;
    t->skip = t->done; /* a server without ranges starts over */
    if (s->status != 206)
        return 0;
    char want[64];
    snprintf(want, sizeof(want), "bytes %" PRIu64 "-", t->done);
    if (!str_starts(http_header(s, "Content-Range"), str_c(want)))
        return err_set(e, EBADMSG, "the server sent another range than was asked for");
    t->skip = 0;
    return 0;
}

static int take(void *ctx, const void *p, size_t n, struct err *e)
{
    struct transfer *t = ctx;
    size_t off = t->skip < n ? (size_t)t->skip : n;
    t->skip -= off;
    if (n == off)
        return 0;
    if (t->done + (n - off) > t->max) {
        t->sunk = true;
        return err_set(e, E2BIG, "more than the announced %" PRIu64 " bytes", t->max);
    }
    int r = t->sink(t->ctx, (const char *)p + off, n - off, e);
    t->sunk = r < 0;
    t->done += n - off;
    return r;
}

static const char *path_of(struct arena *a, const struct transfer *t, const struct endpoint *p)
{
    struct str name = t->digest;
    if (t->what == REGISTRY_ROOT)
        name = p->ref.digest.n ? p->ref.digest : p->ref.tag;
    return arena_printf(a, STR_FMT "/v2/" STR_FMT "/%s/" STR_FMT, STR_ARG(p->base), STR_ARG(p->ref.repository),
                        t->what == REGISTRY_BLOB ? "blobs" : "manifests", STR_ARG(name));
}

static int redirected(struct arena *a, const char **url, const struct http_response *s, struct err *e)
{
    struct str to = http_header(s, "Location"), from = str_c(*url);
    if (to.n && to.p[0] == '/' && !str_starts(to, STR("//")))
        to = arena_strf(a, STR_FMT STR_FMT, STR_ARG(url_origin(from)), STR_ARG(to));
    bool down = str_starts(from, STR("https://")) && !str_starts(to, STR("https://"));
    if (down || !(str_starts(to, STR("https://")) || str_starts(to, STR("http://"))))
        return err_set(e, EBADMSG, "%s: redirected to \"" STR_FMT "\", which is not https", *url,
                       STR_ARG(str_sub(to, 0, 200)));
    *url = arena_cstr(a, to);
    return 0;
}

int64_t registry_asked_pause(const struct http_response *s)
{
    uint64_t seconds;
    return str_u64(http_header(s, "Retry-After"), &seconds) < 0 || seconds > 86400 ? 0 : (int64_t)seconds * TIME_SECOND;
}

/* The request and its redirects; the answer that is neither a success nor a redirect is the caller's. */
static int request(struct transfer *t, size_t i, struct arena *a, struct http_response *s, unsigned *logins,
                   struct err *e)
{
    struct registry *reg = t->c->reg;
    const struct endpoint *p = &reg->endpoints[i];
    const char *url = path_of(a, t, p);
    for (int hop = 0;; hop++) {
        bool home = str_eq(url_origin(str_c(url)), url_origin(p->base));
        struct http_header headers[3];
        struct http_request q = {
            .url = url, .headers = headers, .begin = begin, .sink = take, .sink_ctx = t, .max_body = UINT64_MAX};
        if (t->what != REGISTRY_BLOB)
            headers[q.headers_n++] = (struct http_header){STR("Accept"), str_c(accept_documents)};
        if (t->done)
            headers[q.headers_n++] = (struct http_header){STR("Range"), arena_strf(a, "bytes=%" PRIu64 "-", t->done)};
        pthread_mutex_lock(&reg->lock);
        *logins = p->logins;
        if (home && p->authorization)
            headers[q.headers_n++] = (struct http_header){STR("Authorization"), arena_str(a, str_c(p->authorization))};
        pthread_mutex_unlock(&reg->lock);
        int r = http_run(t->c->https[home ? i : reg->endpoints_n], a, &q, s, e);
        if (r < 0)
            return r;
        if (s->status < 300 || s->status >= 400 || s->status == 304)
            return 0;
        if (hop == REDIRECTS)
            return err_set(e, ELOOP, "%s: more than %d redirects", url, REDIRECTS);
        if ((r = redirected(a, &url, s, e)) < 0)
            return r;
    }
}

/* localhost: https first, as Docker does. */
void registry_probe(struct registry_conn *c, size_t i)
{
    struct registry *reg = c->reg;
    struct endpoint *p = &reg->endpoints[i];
    pthread_mutex_lock(&reg->lock);
    bool todo = p->plain_possible && !p->probed;
    p->probed = true;
    pthread_mutex_unlock(&reg->lock);
    if (!todo)
        return;
    _cleanup_(arena_freep) struct arena *a = arena_new(REQUEST_ARENA);
    struct http_response s;
    struct http_request q = {.url = arena_printf(a, STR_FMT "/v2/", STR_ARG(p->base)), .max_body = 1u << 20};
    int r = http_run(c->https[i], a, &q, &s, NULL);
    if (r == -ECONNREFUSED || r == -EBADMSG)
        p->base = arena_strf(reg->a, "http://" STR_FMT, STR_ARG(str_sub(p->base, 8, p->base.n)));
}

/* 0 done, 1 once more (logged in), <0; *again: it may pass. */
static int once(struct transfer *t, size_t i, bool *again, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REQUEST_ARENA);
    struct http_response s;
    unsigned logins;
    *again = false;
    t->pause = 0;
    int r = request(t, i, a, &s, &logins, e);
    if (r < 0) {
        *again = !t->sunk && (r == -ECONNREFUSED || r == -EBADMSG || r == -ETIMEDOUT);
        return r;
    }
    if (s.status == 401) {
        struct str challenge = http_header(&s, "WWW-Authenticate");
        if (!challenge.n)
            return http_check(&s, e);
        r = registry_login(t->c, i, challenge, logins, e);
        return r < 0 ? r : 1;
    }
    if (s.status == 429 || s.status >= 500) {
        *again = s.status != 501;
        t->pause = registry_asked_pause(&s);
    }
    if (s.status == 304)
        return err_set(e, EBADMSG, "status 304 to a request without conditions");
    return http_check(&s, e);
}

int registry_wait(struct registry *reg, int64_t pause, struct err *e)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + pause % TIME_SECOND * 1000;
    until.tv_sec += pause / TIME_SECOND + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&reg->lock);
    while (!reg->cancelled && pthread_cond_timedwait(&reg->wake, &reg->lock, &until) == 0)
        ;
    bool cancelled = reg->cancelled;
    pthread_mutex_unlock(&reg->lock);
    return cancelled ? err_set(e, ECANCELED, "cancelled") : 0;
}

static int from_endpoint(struct transfer *t, size_t i, struct err *e)
{
    struct registry *reg = t->c->reg;
    int64_t backoff = reg->o.backoff ? reg->o.backoff : BACKOFF;
    int64_t pause = backoff;
    registry_probe(t->c, i);
    for (int attempt = 1, breaks = 0, logins = 0;;) {
        uint64_t before = t->done;
        bool again;
        int r = once(t, i, &again, e);
        if (r == 0)
            return 0;
        if (r == 1) {
            if (++logins > 2 && t->done == before)
                return err_set(e, EACCES, STR_FMT ": the login is not accepted", STR_ARG(reg->endpoints[i].ref.host));
            continue;
        }
        if (t->done > before) {
            attempt = logins = 0;
            pause = backoff;
        }
        int most = r == -ECONNREFUSED ? ATTEMPTS_CONNECT : ATTEMPTS;
        if (!again || ++attempt > most || ++breaks > BREAKS)
            return r;
        if (t->pause > PAUSE_MOST)
            return err_wrap(e, "asks to wait %" PRId64 " s", t->pause / TIME_SECOND), r;
        uint8_t dice;
        fs_random(&dice, 1); /* so that many clients do not come back at once */
        int64_t now = t->pause ? t->pause : pause + pause / 4 * dice / 255;
        if ((r = registry_wait(reg, now, e)) < 0)
            return r;
        pause = pause * 2 > BACKOFF_MOST ? BACKOFF_MOST : pause * 2;
    }
}

int registry_get(struct registry_conn *c, enum registry_what what, struct str digest, uint64_t max,
                 int (*sink)(void *ctx, const void *p, size_t n, struct err *e), void *ctx, struct err *e)
{
    struct transfer t = {.c = c, .what = what, .digest = digest, .max = max, .sink = sink, .ctx = ctx};
    int r = -ENOENT;
    for (size_t i = 0; i < c->reg->endpoints_n; i++) {
        r = from_endpoint(&t, i, e);
        /* by digest a transfer goes on at the next; what a tag names may be something else there */
        if (r >= 0 || r == -ECANCELED || t.sunk || (what == REGISTRY_ROOT && t.done))
            break;
    }
    return r < 0 ? r : 0;
}
