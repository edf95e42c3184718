/* Logging in at a registry: RFC 7617 basic, and Docker's token authentication (distribution, spec/auth/token.md and
 * oauth.md). The token server's answer is JSON from the party we hand our password to; it is parsed here. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "engine/credentials.h"
#include "engine/registry_internal.h"
#include "format/json.h"

#include <ctype.h>

#define AUTH_ARENA (16u << 20)

/* SCHEME name="value", name=value ...: RFC 9110, 11.6.1; of several challenges in one header the first. */
void registry_challenge(struct arena *a, struct str s, struct registry_challenge *ret)
{
    *ret = (struct registry_challenge){0};
    s = str_trim(s);
    ptrdiff_t blank = str_chr(s, ' ');
    ret->scheme = str_sub(s, 0, blank < 0 ? s.n : (size_t)blank);
    size_t i = ret->scheme.n;
    while (i < s.n) {
        while (i < s.n && (s.p[i] == ' ' || s.p[i] == ',' || s.p[i] == '\t'))
            i++;
        size_t from = i;
        while (i < s.n && s.p[i] != '=' && s.p[i] != ',')
            i++;
        struct str name = str_trim(str_sub(s, from, i)), value;
        if (i == s.n || s.p[i] != '=')
            continue;
        char *out = arena_alloc(a, s.n + 1);
        size_t n = 0;
        if (++i < s.n && s.p[i] == '"') {
            for (i++; i < s.n && s.p[i] != '"'; i++) {
                if (s.p[i] == '\\' && i + 1 < s.n)
                    i++;
                out[n++] = s.p[i];
            }
            i++;
        } else {
            while (i < s.n && s.p[i] != ',')
                out[n++] = s.p[i++];
        }
        value = str_n(out, n);
        if (str_ieq(name, STR("realm")) && !ret->realm.n)
            ret->realm = value;
        else if (str_ieq(name, STR("service")) && !ret->service.n)
            ret->service = value;
        else if (str_ieq(name, STR("scope")) && !ret->scope.n)
            ret->scope = value;
    }
}

static struct str basic(struct arena *a, const struct credentials *who)
{
    struct str both = arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(who->user), STR_ARG(who->password));
    return arena_strf(a, "Basic " STR_FMT, STR_ARG(base64_encode(a, both)));
}

static int token(struct registry_conn *c, size_t endpoint, struct arena *a, const struct registry_challenge *ch,
                 const struct credentials *who, struct str *ret, struct err *e)
{
    const struct endpoint *p = &c->reg->endpoints[endpoint];
    struct str scope =
        ch->scope.n ? ch->scope : arena_strf(a, "repository:" STR_FMT ":pull", STR_ARG(p->ref.repository));
    const char *query = arena_printf(a, "service=%s&scope=%s", http_escape(a, ch->service), http_escape(a, scope));
    bool same = str_eq(url_origin(ch->realm), url_origin(p->base));
    struct http_header headers[2] = {{.name = STR("Accept"), .value = STR("application/json")}};
    struct http_request q = {.headers = headers, .headers_n = 1, .max_body = 1u << 20};
    struct http_response s;
    struct json_value *v;
    if (str_starts(ch->realm, STR("http://")) && !str_starts(p->base, STR("http://")))
        return err_set(e, EKEYREJECTED, "the registry names a token server without TLS: " STR_FMT,
                       STR_ARG(str_sub(ch->realm, 0, 200)));
    if (who->identity_token.n) {
        q.url = arena_cstr(a, ch->realm);
        q.body = arena_strf(a, "grant_type=refresh_token&client_id=bulkhead&%s&refresh_token=%s", query,
                            http_escape(a, who->identity_token));
        headers[q.headers_n++] = (struct http_header){STR("Content-Type"), STR("application/x-www-form-urlencoded")};
    } else {
        q.url = arena_printf(a, STR_FMT "%c%s", STR_ARG(ch->realm), str_chr(ch->realm, '?') < 0 ? '?' : '&', query);
        if (who->user.n)
            headers[q.headers_n++] = (struct http_header){STR("Authorization"), basic(a, who)};
    }
    struct http *h = c->https[same ? endpoint : c->reg->endpoints_n];
    int r = http_run(h, a, &q, &s, e);
    if (r < 0)
        return r;
    if ((r = http_check(&s, e)) < 0)
        return err_wrap(e, "token server " STR_FMT, STR_ARG(url_origin(ch->realm)));
    if ((r = json_parse(a, s.body, 0, &v, e)) < 0)
        return err_wrap(e, "token server");
    struct str t = json_str(json_get(v, "token"));
    if (t.n == 0)
        t = json_str(json_get(v, "access_token"));
    if (t.n == 0 || t.n > (64u << 10))
        return err_set(e, EBADMSG, "token server " STR_FMT ": no token", STR_ARG(url_origin(ch->realm)));
    *ret = arena_strf(a, "Bearer " STR_FMT, STR_ARG(t));
    return 0;
}

static int make(struct registry_conn *c, size_t endpoint, struct str challenge, struct arena *a, struct str *ret,
                struct err *e)
{
    const struct registry *reg = c->reg;
    const struct endpoint *p = &reg->endpoints[endpoint];
    struct registry_challenge ch;
    struct credentials who;
    registry_challenge(a, challenge, &ch);
    int r = credentials_find(a, reg->o.auth_file, &p->ref, &who, e);
    if (r < 0)
        return r;
    if (str_ieq(ch.scheme, STR("basic"))) {
        if (!who.user.n)
            return err_set(e, EACCES, STR_FMT " wants a login, and there is none in Docker's config.json",
                           STR_ARG(p->ref.host));
        *ret = basic(a, &who);
        return 0;
    }
    if (!str_ieq(ch.scheme, STR("bearer")) || !ch.realm.n)
        return err_set(e, ENOTSUP, STR_FMT " wants an unknown kind of login: " STR_FMT, STR_ARG(p->ref.host),
                       STR_ARG(str_sub(challenge, 0, 200)));
    return token(c, endpoint, a, &ch, &who, ret, e);
}

int registry_login(struct registry_conn *c, size_t endpoint, struct str challenge, unsigned seen, struct err *e)
{
    struct registry *reg = c->reg;
    struct endpoint *p = &reg->endpoints[endpoint];
    _cleanup_(arena_freep) struct arena *a = arena_new(AUTH_ARENA);
    struct str value;
    pthread_mutex_lock(&reg->lock);
    bool done = p->logins != seen;
    pthread_mutex_unlock(&reg->lock);
    if (done) /* by another thread meanwhile */
        return 0;
    int r = make(c, endpoint, challenge, a, &value, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&reg->lock);
    if (p->authorization)
        fs_wipe(p->authorization, strlen(p->authorization));
    free(p->authorization);
    if (!(p->authorization = strndup(value.p, value.n)))
        abort();
    p->logins++;
    pthread_mutex_unlock(&reg->lock);
    fs_wipe((char *)(uintptr_t)value.p, value.n);
    return 0;
}
