#include "engine/registry_push.h"

#include "base/cleanup.h"
#include "base/time.h"
#include "engine/registry_internal.h"

#define ATTEMPTS     5
#define BACKOFF      (TIME_SECOND / 2)
#define SEND_ARENA   (4u << 20)
#define ANSWER_MAX   (1u << 20)
#define UPLOAD_QUIET (5 * 60 * TIME_SECOND) /* a registry may store for long before it answers */

struct message {
    const char *method, *url, *type;
    struct str body; /* p NULL: none */
};

/* One request; 401 and what may pass are the caller's. */
static int send_once(struct registry_conn *c, struct arena *a, const struct message *m, struct http_response *s,
                     unsigned *logins, struct err *e)
{
    struct registry *reg = c->reg;
    const struct endpoint *p = &reg->endpoints[reg->endpoints_n - 1];
    bool home = str_eq(url_origin(str_c(m->url)), url_origin(p->base));
    struct http_header headers[2];
    struct http_request q = {.method = m->method,
                             .url = m->url,
                             .headers = headers,
                             .body = m->body,
                             .max_body = ANSWER_MAX,
                             .idle_timeout = UPLOAD_QUIET};
    if (m->type)
        headers[q.headers_n++] = (struct http_header){STR("Content-Type"), str_c(m->type)};
    pthread_mutex_lock(&reg->lock);
    *logins = p->logins;
    if (home && p->authorization)
        headers[q.headers_n++] = (struct http_header){STR("Authorization"), arena_str(a, str_c(p->authorization))};
    pthread_mutex_unlock(&reg->lock);
    return http_run(c->https[home ? reg->endpoints_n - 1 : reg->endpoints_n], a, &q, s, e);
}

static int deliver(struct registry_conn *c, struct arena *a, const struct message *m, struct http_response *s,
                   struct err *e)
{
    struct registry *reg = c->reg;
    int64_t pause = reg->o.backoff ? reg->o.backoff : BACKOFF;
    for (int attempt = 1, answers = 0;; attempt++, pause *= 2) {
        unsigned logins;
        int r = send_once(c, a, m, s, &logins, e);
        if (r == 0 && s->status == 401 && http_header(s, "WWW-Authenticate").n) {
            if (answers++ == 2)
                return err_set(e, EACCES, STR_FMT ": the login is not accepted", STR_ARG(reg->ref.host));
            if ((r = registry_login(c, reg->endpoints_n - 1, http_header(s, "WWW-Authenticate"), logins, e)) < 0)
                return r;
            continue;
        }
        bool passes = r == 0 ? s->status == 429 || s->status >= 500 : r == -ECONNREFUSED || r == -EBADMSG;
        if (!passes || attempt >= ATTEMPTS)
            return r;
        int64_t asked = r == 0 ? registry_asked_pause(s) : 0;
        if ((r = registry_wait(reg, asked ? asked : pause, e)) < 0)
            return r;
    }
}

/* Where an upload goes on: the registry may name another host, which gets no login of ours. */
static const char *upload_url(struct arena *a, const struct endpoint *p, const struct http_response *s,
                              const char *digest, struct err *e)
{
    struct str to = http_header(s, "Location");
    if (to.n && to.p[0] == '/' && !str_starts(to, STR("//")))
        to = arena_strf(a, STR_FMT STR_FMT, STR_ARG(url_origin(p->base)), STR_ARG(to));
    bool plain = str_starts(p->base, STR("http://"));
    if (!str_starts(to, STR("https://")) && !(plain && str_starts(to, STR("http://")))) {
        err_set(e, EBADMSG, "the registry wants the upload at \"" STR_FMT "\", which is not https",
                STR_ARG(str_sub(to, 0, 200)));
        return NULL;
    }
    return arena_printf(a, STR_FMT "%cdigest=%s", STR_ARG(to), str_chr(to, '?') < 0 ? '?' : '&', digest);
}

static int is_there(struct registry_conn *c, struct arena *a, const char *url, bool *ret, struct err *e)
{
    struct http_response s;
    struct message head = {.method = "HEAD", .url = url};
    int r = deliver(c, a, &head, &s, e);
    *ret = r == 0 && s.status == 200;
    return r < 0 || s.status == 404 ? r : http_check(&s, e);
}

int registry_push_blob(struct registry_conn *c, struct str bytes, char digest[static DIGEST_TEXT], struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(SEND_ARENA);
    size_t home = c->reg->endpoints_n - 1;
    const struct endpoint *p = &c->reg->endpoints[home];
    uint8_t sum[SHA256_SIZE];
    struct http_response s;
    bool there;
    sha256_of(bytes, sum);
    digest_text(sum, digest);
    registry_probe(c, home);
    const char *blobs = arena_printf(a, STR_FMT "/v2/" STR_FMT "/blobs", STR_ARG(p->base), STR_ARG(p->ref.repository));
    int r = is_there(c, a, arena_printf(a, "%s/%s", blobs, digest), &there, e);
    if (r < 0 || there)
        return r;
    struct message start = {.method = "POST", .url = arena_printf(a, "%s/uploads/", blobs)};
    if ((r = deliver(c, a, &start, &s, e)) < 0 || (r = http_check(&s, e)) < 0)
        return r;
    struct message put = {.method = "PUT", .type = "application/octet-stream", .body = bytes};
    if (!(put.url = upload_url(a, p, &s, digest, e)))
        return -EBADMSG;
    r = deliver(c, a, &put, &s, e);
    return r < 0 ? r : http_check(&s, e);
}

int registry_push_manifest(struct registry_conn *c, const char *media_type, struct str bytes, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(SEND_ARENA);
    size_t home = c->reg->endpoints_n - 1;
    const struct endpoint *p = &c->reg->endpoints[home];
    struct http_response s;
    if (p->ref.digest.n)
        return err_set(e, EINVAL, "a manifest is written under a tag, not under a digest");
    registry_probe(c, home);
    struct message put = {.method = "PUT", .type = media_type, .body = bytes};
    put.url = arena_printf(a, STR_FMT "/v2/" STR_FMT "/manifests/" STR_FMT, STR_ARG(p->base),
                           STR_ARG(p->ref.repository), STR_ARG(p->ref.tag));
    int r = deliver(c, a, &put, &s, e);
    return r < 0 ? r : http_check(&s, e);
}
