#include "cli/remote.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <stdarg.h>

#define FILE_MAX (256u << 10)

/* ---- the file ---- */

char *remote_file(struct arena *a)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return arena_printf(a, "%s/bulkhead/console.json", xdg);
    return arena_printf(a, "%s/.config/bulkhead/console.json", home ? home : "");
}

int remote_load(struct arena *a, struct remote *ret, struct err *e)
{
    struct remote rm = {0};
    struct str text;
    struct json_value *v;
    const char *path = remote_file(a);
    int r = fs_read(a, path, FILE_MAX, &text, e);
    if (r == -ENOENT)
        return err_set(e, ENOENT, "not logged in; bulkhead login URL comes first");
    if (r < 0)
        return r;
    if ((r = json_parse(a, text, 0, &v, e)) < 0)
        return err_wrap(e, "%s", path), r;
    rm.url = json_str(json_get(v, "url"));
    rm.ca = json_str(json_get(v, "ca"));
    rm.token = json_str(json_get(v, "token"));
    rm.user = json_str(json_get(v, "user"));
    rm.expires = json_str(json_get(v, "expires"));
    if (!rm.url.n || !rm.token.n)
        return err_set(e, EBADMSG, "%s lacks url or token; log in again", path);
    *ret = rm;
    return 0;
}

int remote_store(struct arena *a, const struct remote *rm, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(FILE_MAX);
    struct json_writer w = JSON_WRITER(&b);
    const char *path = remote_file(a);
    int r;
    json_w_object(&w);
    json_w_kstr(&w, "url", rm->url);
    json_w_kstr(&w, "ca", rm->ca.n ? rm->ca : STR_NONE);
    json_w_kstr(&w, "token", rm->token);
    json_w_kstr(&w, "user", rm->user.n ? rm->user : STR_NONE);
    json_w_kstr(&w, "expires", rm->expires.n ? rm->expires : STR_NONE);
    json_w_end(&w);
    buf_putc(&b, '\n');
    if ((r = buf_check(&b, e)) == 0 &&
        (r = fs_mkdirs(arena_cstr(a, str_sub(str_c(path), 0, (size_t)str_rchr(str_c(path), '/'))), 0700, e)) == 0)
        r = fs_write(path, buf_str(&b), 0600, e);
    if (b.p)
        fs_wipe(b.p, b.n);
    return r;
}

/* ---- the connection ---- */

int remote_connect(struct remote *rm, struct err *e)
{
    struct http_opts opts = {.ca = rm->ca.n ? rm->ca : STR_NONE, .idle_timeout = 120000000};
    return http_open(&opts, &rm->h, e);
}

int remote_open(struct arena *a, const char *url, struct remote *ret, struct err *e)
{
    struct remote rm = {0};
    struct str want;
    int r = remote_load(a, &rm, e);
    if (r < 0)
        return r;
    if (url) {
        if ((r = url_normal(a, url, &want, e)) < 0)
            return r;
        if (!str_eq(want, rm.url))
            return err_set(e, ENOENT,
                           "logged in to " STR_FMT ", not to " STR_FMT "; bulkhead login " STR_FMT " comes first",
                           STR_ARG(rm.url), STR_ARG(want), STR_ARG(want));
    }
    if ((r = remote_connect(&rm, e)) < 0)
        return r;
    *ret = rm;
    return 0;
}

void remote_close(struct remote *rm)
{
    http_close(rm->h);
    rm->h = NULL;
}

int remote_raw(struct remote *rm, struct arena *a, const char *method, const char *path, const char *type,
               struct str body, const char *accept, struct http_response *ret, struct err *e)
{
    struct http_header headers[3];
    size_t n = 0;
    if (rm->token.n)
        headers[n++] = (struct http_header){STR("Authorization"), arena_strf(a, "Bearer " STR_FMT, STR_ARG(rm->token))};
    if (type)
        headers[n++] = (struct http_header){STR("Content-Type"), str_c(type)};
    if (accept)
        headers[n++] = (struct http_header){STR("Accept"), str_c(accept)};
    struct http_request q = {
        .method = method,
        .url = arena_printf(a, STR_FMT "%s", STR_ARG(rm->url), path),
        .headers = headers,
        .headers_n = n,
        .body = body,
        .max_body = 256u << 20,
    };
    struct http_response s;
    int r = http_run(rm->h, a, &q, &s, e);
    if (r < 0)
        return r;
    if ((r = http_check(&s, e)) < 0) {
        struct str hint = http_problem(a, &s, "hint");
        if (s.status == 401 && rm->token.n)
            err_set(e, EKEYREJECTED, "the console does not take this login any more (%s); bulkhead login " STR_FMT,
                    arena_cstr(a, http_problem(a, &s, "message")), STR_ARG(rm->url));
        else if (hint.n && e)
            err_set(e, -r, "%s; " STR_FMT, arena_printf(a, "%s", e->msg), STR_ARG(hint));
        return r;
    }
    *ret = s;
    return 0;
}

int remote_call(struct remote *rm, struct arena *a, const char *method, const char *path, const char *type,
                struct str body, const struct json_value **ret, struct err *e)
{
    struct http_response s;
    struct json_value *v = NULL;
    int r = remote_raw(rm, a, method, path, type, body, "application/json", &s, e);
    if (r < 0)
        return r;
    if (s.body.n && (r = json_parse(a, s.body, 0, &v, e)) < 0)
        return err_wrap(e, "%s", path), r;
    *ret = v;
    return 0;
}

/* ---- shared ---- */

int command_failed(const char *command, const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "bulkhead %s: %s\n", command, e->msg);
    return err_exit_code(e->code);
}

int command_usage(const char *command, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "bulkhead %s: ", command);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "; bulkhead %s --help tells more\n", command);
    return 2;
}

int url_normal(struct arena *a, const char *url, struct str *ret, struct err *e)
{
    struct str s = str_c(url);
    if (!str_has(s, STR("://")))
        s = arena_strf(a, "https://%s", url);
    while (str_ends(s, STR("/")))
        s.n--;
    if (!str_starts(s, STR("https://")) || s.n <= 8)
        return err_set(e, EINVAL, "%s is not an https:// address", url);
    *ret = arena_str(a, s);
    return 0;
}

int read_input(struct arena *a, const char *path, size_t max, struct str *ret, struct err *e)
{
    if (!strcmp(path, "-")) {
        int r = fs_read_fd(a, STDIN_FILENO, max, ret, e);
        return r < 0 ? (err_wrap(e, "standard input"), r) : 0;
    }
    return fs_read(a, path, max, ret, e);
}
