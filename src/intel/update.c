#include "intel/update.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"
#include "intel/delta.h"
#include "intel/intel.h"
#include "net/http.h"

#include <fcntl.h>

enum { INDEX_MAX = 1 << 20 };

struct update {
    const struct intel_update *u;
    struct arena *a;
    struct http *http;
    struct intel_source source;
    uint64_t bytes;
    const char *url; /* of the mirror */
    char temporary[4096], unpacked[4096];
};

static int open_old(const struct intel_update *u, struct intel **ret, struct err *e)
{
    *ret = NULL;
    return fs_exists(u->output) ? intel_open(u->output, u->key_path, 0, ret, e) : 0;
}

/* ---- one file of the mirror ---- */

struct sink {
    int fd;
    uint64_t *bytes;
};

static int take(void *arg, const void *p, size_t n, struct err *e)
{
    struct sink *s = arg;
    *s->bytes += n;
    return fs_write_all(s->fd, p, n, e);
}

static const char *address(struct update *x, struct str file)
{
    size_t n = strlen(x->url);
    return arena_printf(x->a, "%s%s" STR_FMT, x->url, n && x->url[n - 1] == '/' ? "" : "/", STR_ARG(file));
}

static int web_file(void *ctx, struct str file, uint64_t max, http_sink_fn *sink, void *sink_ctx, struct err *e)
{
    struct update *x = ctx;
    struct http_response s;
    struct http_request q = {.url = address(x, file), .sink = sink, .sink_ctx = sink_ctx, .max_body = max};
    int r = http_run(x->http, x->a, &q, &s, e);
    return r < 0 ? r : http_check(&s, e);
}

static int fetch_file(struct update *x, struct str file, uint64_t size, const char *to, struct err *e)
{
    _cleanup_close_ int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "%s", to);
    struct sink sink = {fd, &x->bytes};
    return x->source.file(x->source.ctx, file, size + 4096, take, &sink, e);
}

/* A name inside of the folder, nothing else. */
static bool file_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              (c == '.' && i > 0)))
            return false;
    }
    return name.n > 0 && name.n < 256;
}

/* ---- index ---- */

static const char *etag_path(struct update *x)
{
    return arena_printf(x->a, "%s.etag", x->u->output);
}

static int web_index(void *ctx, struct arena *a, struct str known, struct str *ret, struct str *ret_tag, struct err *e)
{
    struct update *x = ctx;
    struct http_response s;
    struct http_header headers[] = {{STR("If-None-Match"), known}};
    struct http_request q = {
        .url = address(x, STR("index.json")), .headers = headers, .headers_n = known.n ? 1 : 0, .max_body = INDEX_MAX};
    int r = http_run(x->http, a, &q, &s, e);
    *ret = STR_NONE;
    if (r < 0 || (s.status == 304 && known.n))
        return r;
    *ret = s.body;
    *ret_tag = http_header(&s, "ETag");
    return http_check(&s, e);
}

/* 0 and *ret NULL: nothing new there. */
static int fetch_index(struct update *x, bool have, struct json_value **ret, struct str *ret_tag, struct err *e)
{
    struct str known = STR_NONE, url, tag, text;
    struct err ignored = ERR_INIT;
    if (have && fs_read(x->a, etag_path(x), 4096, &known, &ignored) == 0 && str_split(known, ' ', &url, &tag) &&
        str_eqc(url, x->url))
        known = str_trim(tag);
    else
        known = STR_NONE;
    *ret = NULL;
    int r = x->source.index(x->source.ctx, x->a, known, &text, ret_tag, e);
    if (r < 0 || !text.p)
        return r;
    x->bytes += text.n;
    return json_parse(x->a, text, 0, ret, e);
}

static int index_check(const struct json_value *index, struct err *e)
{
    int64_t size = json_i64(json_get(index, "size"), 0);
    if (!str_eqc(json_str(json_get(index, "format")), "bulkhead/intel-index/1"))
        return err_set(e, EBADMSG, "index.json: not an index of intel that is known to this version");
    if (!file_ok(json_str(json_get(index, "file"))) || size <= 0 || (uint64_t)size > LIMIT_CONSOLE_INTEL)
        return err_set(e, EBADMSG, "index.json: malformed");
    return 0;
}

/* ---- the two ways ---- */

static int by_delta(struct update *x, const struct json_value *index, bool *done, struct err *e)
{
    struct delta_file have;
    int r = delta_digest(x->u->output, &have, e);
    *done = false;
    if (r < 0)
        return r;
    JSON_EACH (json_get(index, "deltas"), d) {
        struct str file = json_str(json_get(d, "file"));
        int64_t size = json_i64(json_get(d, "size"), 0);
        if (!str_eqc(json_str(json_get(d, "from")), have.sha256) || !file_ok(file) || size <= 0 ||
            (uint64_t)size > LIMIT_CONSOLE_INTEL)
            continue;
        if ((r = fetch_file(x, file, (uint64_t)size, x->temporary, e)) < 0 ||
            (r = delta_apply(x->u->output, x->temporary, x->unpacked, e)) < 0)
            return r;
        *done = true;
        return 0;
    }
    return 0;
}

static int by_base(struct update *x, const struct json_value *index, struct err *e)
{
    uint64_t size = (uint64_t)json_i64(json_get(index, "size"), 0);
    int r = fetch_file(x, json_str(json_get(index, "file")), size, x->temporary, e);
    return r < 0 ? r : delta_unpack(x->temporary, size, x->unpacked, e);
}

static int install(struct update *x, const struct intel *old, struct err *e)
{
    _cleanup_(intel_unrefp) struct intel *fresh = NULL;
    int r = intel_open(x->unpacked, x->u->key_path, 0, &fresh, e);
    if (r < 0 || (r = intel_supersedes(fresh, old, time_now(), e)) < 0)
        return r;
    return rename(x->unpacked, x->u->output) < 0 ? err_errno(e, "%s", x->u->output) : 0;
}

static int from_mirror(struct update *x, enum intel_updated *ret, struct err *e)
{
    _cleanup_(intel_unrefp) struct intel *old = NULL;
    struct json_value *index;
    struct str tag = STR_NONE;
    struct err local = ERR_INIT;
    bool done = false;
    int r;
    if ((r = open_old(x->u, &old, e)) < 0 || (r = fetch_index(x, old != NULL, &index, &tag, e)) < 0)
        return r;
    *ret = INTEL_UNCHANGED;
    if (!index)
        return old ? intel_supersedes(old, NULL, time_now(), e) : 0;
    if ((r = index_check(index, e)) < 0)
        return r;
    struct delta_file have;
    if (old && delta_digest(x->u->output, &have, &local) == 0 &&
        str_eqc(json_str(json_get(index, "sha256")), have.sha256)) {
        r = intel_supersedes(old, NULL, time_now(), e); /* nothing new for longer than the signer meant it */
    } else {
        if (old)
            by_delta(x, index, &done, &local); /* what fails with the delta may go with the base */
        if (!done && (r = by_base(x, index, e)) < 0)
            return r;
        r = install(x, old, e);
        *ret = done ? INTEL_DELTA : INTEL_BASE;
    }
    if (r == 0 && tag.n)
        r = fs_write(etag_path(x), arena_strf(x->a, "%s " STR_FMT "\n", x->url, STR_ARG(tag)), 0644, e);
    return r;
}

static int open_source(struct update *x, struct err *e)
{
    struct http_opts opts = {.ca_file = x->u->ca_file};
    if (str_starts(str_c(x->url), STR("oci://")))
        return x->u->open ? x->u->open(x->u->arg, x->a, x->url, &x->source, e)
                          : err_set(e, ENOTSUP, "no registries here");
    x->source = (struct intel_source){.index = web_index, .file = web_file, .ctx = x};
    return x->http ? 0 : http_open(&opts, &x->http, e);
}

static int try_mirror(struct update *x, enum intel_updated *ret, struct err *e)
{
    int r = open_source(x, e);
    if (r < 0)
        return r;
    r = from_mirror(x, ret, e);
    if (x->source.close)
        x->source.close(x->source.ctx);
    unlink(x->temporary);
    unlink(x->unpacked);
    return r;
}

int intel_update(const struct intel_update *u, enum intel_updated *ret, uint64_t *ret_bytes, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct update x = {.u = u, .a = a};
    if (snprintf(x.temporary, sizeof(x.temporary), "%s.part-%d", u->output, (int)getpid()) >=
            (int)sizeof(x.temporary) ||
        snprintf(x.unpacked, sizeof(x.unpacked), "%s.next-%d", u->output, (int)getpid()) >= (int)sizeof(x.unpacked))
        return err_set(e, ENAMETOOLONG, "%s", u->output);
    int r = err_set(e, EINVAL, "no address");
    for (size_t i = 0; i < u->urls_n && r < 0; i++) {
        struct err local = ERR_INIT;
        x.url = u->urls[i];
        if ((r = try_mirror(&x, ret, &local)) == 0)
            break;
        err_set(e, -r, "%s: %s", x.url, local.msg);
        if (u->tell && i + 1 < u->urls_n)
            u->tell(u->arg, e->msg);
    }
    http_close(x.http);
    *ret_bytes = x.bytes;
    return r;
}
