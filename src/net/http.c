#include "net/http.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"

#include <curl/curl.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define CONNECT_TIMEOUT (10 * TIME_SECOND)
#define IDLE_TIMEOUT    (60 * TIME_SECOND)
#define PEM_MAX         (1u << 20)
#define POLL_MS         1000

struct http {
    CURLM *multi;
    CURL *easy;
    char *unix_socket;
    bool system_ca;
    int ca, cert, key; /* memfds: GnuTLS-flavoured libcurl takes no blobs, only file names; -1 none */
    int64_t connect_timeout, idle_timeout, total_timeout;
    atomic_bool cancelled;
    char message[CURL_ERROR_SIZE];
};

/* One request under way. */
struct run {
    const struct http_request *q;
    struct http *h;
    struct arena *a;
    struct buf body;
    uint64_t got, max;
    size_t sent; /* of q->body */
    size_t header_bytes, headers_cap;
    struct http_response s;
    int64_t moved; /* when a byte last moved */
    int code;      /* negative: a callback ended the request; err holds why */
    struct err err;
    bool is_error, begun;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- certificates ---- */

static int check_certs(struct str pem, struct err *e)
{
    gnutls_x509_crt_t *crts = NULL;
    unsigned n = 0;
    gnutls_datum_t d = {(unsigned char *)pem.p, (unsigned)pem.n};
    int r = gnutls_x509_crt_list_import2(&crts, &n, &d, GNUTLS_X509_FMT_PEM, 0);
    if (r < 0)
        return err_set(e, EINVAL, "no PEM certificate: %s", gnutls_strerror(r));
    for (unsigned i = 0; i < n; i++)
        gnutls_x509_crt_deinit(crts[i]);
    gnutls_free(crts);
    return 0;
}

static int check_key(struct str pem, struct err *e)
{
    gnutls_x509_privkey_t k;
    gnutls_datum_t d = {(unsigned char *)pem.p, (unsigned)pem.n};
    int r = gnutls_x509_privkey_init(&k);
    if (r < 0)
        return err_set(e, ENOMEM, "%s", gnutls_strerror(r));
    r = gnutls_x509_privkey_import2(k, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_x509_privkey_deinit(k);
    return r < 0 ? err_set(e, EINVAL, "no PEM private key: %s", gnutls_strerror(r)) : 0;
}

/* PEM given or from a file, into a memfd of ours. Neither: *ret stays -1. */
static int pem_fd(struct str pem, const char *file, int (*check)(struct str, struct err *), int *ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(2 * PEM_MAX + (64 << 10));
    int r;
    if (!pem.p && !file)
        return 0;
    if (!pem.p && (r = fs_read(a, file, PEM_MAX, &pem, e)) < 0)
        return r;
    r = pem.n > PEM_MAX ? err_set(e, E2BIG, "over %u bytes of PEM", PEM_MAX) : check(pem, e);
    _cleanup_close_ int fd = -1;
    if (r == 0) {
        fd = memfd_create("bulkhead-pem", MFD_CLOEXEC);
        r = fd < 0 ? err_errno(e, "memfd_create") : fs_write_all(fd, pem.p, pem.n, e);
    }
    if (file)
        fs_wipe((char *)pem.p, pem.n); /* our own copy in the arena */
    if (r < 0)
        return file && e ? err_wrap(e, "%s", file) : r;
    *ret = TAKE_FD(fd);
    return 0;
}

int http_open(const struct http_opts *opts, struct http **ret, struct err *e)
{
    _cleanup_(http_closep) struct http *h = calloc(1, sizeof(*h));
    int r;
    pthread_once(&global_once, global_init);
    if (!h)
        abort();
    h->ca = h->cert = h->key = -1;
    h->system_ca = opts->system_ca;
    h->connect_timeout = opts->connect_timeout ? opts->connect_timeout : CONNECT_TIMEOUT;
    h->idle_timeout = opts->idle_timeout ? opts->idle_timeout : IDLE_TIMEOUT;
    h->total_timeout = opts->total_timeout ? opts->total_timeout : TIME_NEVER;
    if (opts->unix_socket && !(h->unix_socket = strdup(opts->unix_socket)))
        abort();
    if ((r = pem_fd(opts->ca, opts->ca_file, check_certs, &h->ca, e)) < 0 ||
        (r = pem_fd(opts->cert, opts->cert_file, check_certs, &h->cert, e)) < 0 ||
        (r = pem_fd(opts->key, opts->key_file, check_key, &h->key, e)) < 0)
        return r;
    if ((h->cert < 0) != (h->key < 0))
        return err_set(e, EINVAL, "a client certificate needs both certificate and key");
    if (!(h->multi = curl_multi_init()) || !(h->easy = curl_easy_init()))
        abort();
    *ret = TAKE(h);
    return 0;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    if (h->easy)
        curl_easy_cleanup(h->easy);
    if (h->multi)
        curl_multi_cleanup(h->multi);
    free(h->unix_socket);
    cleanup_close(&h->ca);
    cleanup_close(&h->cert);
    cleanup_close(&h->key);
    free(h);
}

void http_closep(struct http **h)
{
    http_close(*h);
}

void http_cancel(struct http *h)
{
    atomic_store(&h->cancelled, true);
    curl_multi_wakeup(h->multi);
}

void http_uncancel(struct http *h)
{
    atomic_store(&h->cancelled, false);
}

/* ---- callbacks of libcurl ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct run *run = ctx;
    n *= size;
    run->moved = time_monotonic();
    if (run->is_error) { /* what does not fit of an error's body is not needed */
        buf_put(&run->body, p, n < run->body.max - run->body.n ? n : run->body.max - run->body.n);
        return n;
    }
    if (run->q->begin && !run->begun) {
        run->begun = true;
        if ((run->code = run->q->begin(run->q->sink_ctx, &run->s, &run->err)) < 0)
            return 0;
    }
    if ((run->got += n) > run->max) {
        run->code = err_set(&run->err, E2BIG, "the answer is over the limit of %" PRIu64 " bytes", run->max);
        return 0;
    }
    if (run->q->sink) {
        int r = run->q->sink(run->q->sink_ctx, p, n, &run->err);
        if (r < 0) {
            run->code = r;
            return 0;
        }
    } else {
        buf_put(&run->body, p, n);
    }
    return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct run *run = ctx;
    struct str line = str_trim(str_n(p, n * size)), name, value;
    run->moved = time_monotonic();
    if ((run->header_bytes += n) > LIMIT_HTTP_HEADER) {
        run->code = err_set(&run->err, E2BIG, "headers of over %u bytes", LIMIT_HTTP_HEADER);
        return 0;
    }
    if (str_starts(line, STR("HTTP/"))) { /* also behind a 100 Continue */
        long status = 0;
        curl_easy_getinfo(run->h->easy, CURLINFO_RESPONSE_CODE, &status);
        run->s.status = (int)status;
        run->s.headers_n = 0;
        run->is_error = status < 200 || status >= 300;
        run->body.max = run->is_error && run->q->sink ? LIMIT_HTTP_ERROR : run->max;
        run->is_error = run->is_error && run->q->sink;
    } else if (str_split(line, ':', &name, &value)) {
        run->s.headers =
            arena_grow(run->a, run->s.headers, run->s.headers_n, &run->headers_cap, sizeof(struct http_header));
        run->s.headers[run->s.headers_n++] =
            (struct http_header){arena_str(run->a, str_trim(name)), arena_str(run->a, str_trim(value))};
    }
    return n * size;
}

static size_t on_read(char *p, size_t size, size_t n, void *ctx)
{
    struct run *run = ctx;
    n *= size;
    run->moved = time_monotonic();
    if (run->q->read) {
        ssize_t r = run->q->read(run->q->read_ctx, p, n, &run->err);
        if (r < 0) {
            run->code = (int)r;
            return CURL_READFUNC_ABORT;
        }
        return (size_t)r;
    }
    if (n > run->q->body.n - run->sent)
        n = run->q->body.n - run->sent;
    if (n)
        memcpy(p, run->q->body.p + run->sent, n);
    run->sent += n;
    return n;
}

/* A kept-alive connection that died meanwhile makes libcurl send again: possible for whole bodies only. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct run *run = ctx;
    if (run->q->read || origin != SEEK_SET || offset < 0 || (size_t)offset > run->q->body.n)
        return CURL_SEEKFUNC_CANTSEEK;
    run->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- one request ---- */

static bool loopback_url(struct str url)
{
    struct str rest = str_sub(url, 7, url.n);
    size_t end = 0;
    while (end < rest.n && !strchr("/?#", rest.p[end]))
        end++;
    rest = str_sub(rest, 0, end);
    if (str_chr(rest, '@') >= 0) /* user@host would hide the host */
        return false;
    if (str_starts(rest, STR("[::1]")))
        return rest.n == 5 || rest.p[5] == ':';
    struct str host, port;
    str_split(rest, ':', &host, &port);
    return str_eqc(host, "localhost") || str_eqc(host, "127.0.0.1");
}

static int check_request(const struct http *h, const struct http_request *q, struct err *e)
{
    struct str url = str_c(q->url);
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f)
            return err_set(e, EINVAL, "blank or control character in the address");
    if (str_starts(url, STR("http://")) ? !h->unix_socket && !loopback_url(url) : !str_starts(url, STR("https://")))
        return err_set(e, EINVAL, "not an https:// address");
    for (size_t i = 0; i < q->headers_n; i++)
        for (size_t k = 0; k < q->headers[i].value.n; k++)
            if (strchr("\r\n", q->headers[i].value.p[k])) /* also finds NUL */
                return err_set(e, EINVAL, "line break in header " STR_FMT, STR_ARG(q->headers[i].name));
    return 0;
}

static struct curl_slist *header_list(struct arena *a, const struct http_request *q)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; list && i < q->headers_n; i++) {
        const struct http_header *x = &q->headers[i];
        /* "Name;" is libcurl's way to send an empty header */
        list = curl_slist_append(list, arena_printf(a, x->value.n ? STR_FMT ": " STR_FMT : STR_FMT ";" STR_FMT,
                                                    STR_ARG(x->name), STR_ARG(x->value)));
    }
    if (!list)
        abort();
    return list;
}

static long ms(int64_t us)
{
    int64_t v = us / 1000;
    return us == TIME_NEVER ? 0 : v < 1 ? 1 : v > INT32_MAX ? INT32_MAX : (long)v;
}

static void set_options(struct http *h, struct run *run, struct curl_slist *headers)
{
    const struct http_request *q = run->q;
    CURL *c = h->easy;
    bool sends = q->read || q->body.p;
    const char *method = q->method ? q->method : sends ? "POST" : "GET";
    curl_easy_reset(c);
    h->message[0] = 0;
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->message);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_URL, q->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, ms(h->connect_timeout));
    int64_t total = q->total_timeout ? q->total_timeout : h->total_timeout;
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, ms(total));
    if (h->unix_socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, h->unix_socket);

    char path[64];
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (h->ca >= 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", h->ca);
        curl_easy_setopt(c, CURLOPT_CAINFO, path);
        if (!h->system_ca)
            curl_easy_setopt(c, CURLOPT_CAPATH, NULL); /* else the system store is trusted as well */
    }
    if (h->cert >= 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", h->cert);
        curl_easy_setopt(c, CURLOPT_SSLCERT, path);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", h->key);
        curl_easy_setopt(c, CURLOPT_SSLKEY, path);
    }

    bool wants_length = !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH");
    if (sends || wants_length) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(c, CURLOPT_READDATA, run);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, run);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(q->read ? q->read_size : (int64_t)q->body.n));
    }
    if (!strcmp(method, "HEAD"))
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, run);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, run);
}

static int translate(CURLcode code, const char *message)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return EKEYREJECTED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        /* With TLS 1.3 the refusal of our certificate comes as an alert to the first read. */
        return strstr(message, "alert") ? EKEYREJECTED : code == CURLE_SSL_CONNECT_ERROR ? ECONNREFUSED : EBADMSG;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return ETIMEDOUT;
    case CURLE_URL_MALFORMAT:
        return EINVAL;
    case CURLE_OUT_OF_MEMORY:
        abort();
    default:
        return EBADMSG;
    }
}

static int perform(struct http *h, struct run *run)
{
    const struct http_request *q = run->q;
    int64_t idle = q->idle_timeout ? q->idle_timeout : h->idle_timeout;
    int running = 1;
    run->moved = time_monotonic();
    if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
        return err_set(&run->err, EBUSY, "the client is in use");
    while (run->code == 0) {
        if (atomic_load(&h->cancelled)) {
            run->code = err_set(&run->err, ECANCELED, "cancelled");
            break;
        }
        if (curl_multi_perform(h->multi, &running) != CURLM_OK) {
            run->code = err_set(&run->err, EIO, "libcurl gave up");
            break;
        }
        if (!running || run->code < 0)
            break;
        int64_t left = idle == TIME_NEVER ? TIME_NEVER : run->moved + idle - time_monotonic();
        if (left <= 0) {
            run->code = err_set(&run->err, ETIMEDOUT, "nothing came for %.1f s", (double)idle / TIME_SECOND);
            break;
        }
        curl_multi_poll(h->multi, NULL, 0, left > POLL_MS * 1000 ? POLL_MS : (int)(left / 1000) + 1, NULL);
    }
    CURLMsg *msg;
    while (run->code == 0 && (msg = curl_multi_info_read(h->multi, &running)))
        if (msg->msg == CURLMSG_DONE && msg->data.result != CURLE_OK) {
            CURLcode code = msg->data.result;
            const char *story = h->message[0] ? h->message : curl_easy_strerror(code);
            run->code = err_set(&run->err, translate(code, story), "%s", story);
        }
    curl_multi_remove_handle(h->multi, h->easy);
    return run->code;
}

int http_run(struct http *h, struct arena *a, const struct http_request *q, struct http_response *ret, struct err *e)
{
    struct run run = {.q = q, .h = h, .a = a, .max = q->max_body ? q->max_body : LIMIT_HTTP_BODY};
    const char *method = q->method ? q->method : q->read || q->body.p ? "POST" : "GET";
    if (!q->sink && run.max == UINT64_MAX)
        run.max = LIMIT_HTTP_BODY;
    int r = check_request(h, q, &run.err);
    if (r == 0) {
        struct curl_slist *headers = header_list(a, q);
        set_options(h, &run, headers);
        r = perform(h, &run);
        curl_slist_free_all(headers);
    }
    if (r == 0) {
        run.s.body = run.body.n ? arena_str(a, buf_str(&run.body)) : STR("");
        *ret = run.s;
    } else {
        r = err_set(e, -r, "%s %s: %s", method, q->url, run.err.msg[0] ? run.err.msg : strerror(-r));
    }
    buf_fini(&run.body);
    return r;
}

/* ---- answers ---- */

struct str http_header(const struct http_response *s, const char *name)
{
    for (size_t i = 0; i < s->headers_n; i++)
        if (str_ieq(s->headers[i].name, str_c(name)))
            return s->headers[i].value;
    return STR_NONE;
}

static int status_errno(int status)
{
    static const struct {
        int status, code;
    } table[] = {{400, EINVAL}, {401, EKEYREJECTED}, {403, EACCES},  {404, ENOENT}, {409, EEXIST},   {412, ESTALE},
                 {413, E2BIG},  {429, EAGAIN},       {501, ENOTSUP}, {503, EAGAIN}, {504, ETIMEDOUT}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].code;
    return status < 500 ? EINVAL : EIO;
}

static struct str own_words(struct arena *a, struct str body)
{
    struct json_value *v = NULL;
    struct str line = STR_NONE;
    if (json_parse(a, body, 0, &v, NULL) == 0) {
        static const char *const members[] = {"message", "error", "detail"};
        for (size_t i = 0; i < ARRAY_LEN(members) && !line.n; i++)
            line = json_str(json_get(v, members[i]));
        const struct json_value *errors = json_get(v, "errors"); /* registries: {"errors": [{"message": ...}]} */
        if (!line.n && errors && errors->type == JSON_ARRAY)
            line = json_str(json_get(errors->first, "message"));
        for (size_t i = 0; i < ARRAY_LEN(members) && !line.n; i++) /* {"error": {"message": ...}} */
            line = json_str(json_get(json_get(v, members[i]), "message"));
        return line;
    }
    str_cut(&body, '\n', &line);
    return str_sub(str_trim(line), 0, 300);
}

int http_check(const struct http_response *s, struct err *e)
{
    if (s->status < 400)
        return 0;
    /* decoded text and members need at most a small multiple of the body */
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)LIMIT_HTTP_ERROR * 256);
    struct str words = s->body.n <= LIMIT_HTTP_ERROR ? own_words(a, s->body) : STR_NONE;
    return err_set(e, status_errno(s->status), words.n ? STR_FMT " (status %d)" : STR_FMT "status %d", STR_ARG(words),
                   s->status);
}

struct str http_problem(struct arena *a, const struct http_response *s, const char *member)
{
    struct json_value *v = NULL;
    if (s->status < 400 || s->body.n > LIMIT_HTTP_ERROR || json_parse(a, s->body, 0, &v, NULL) < 0)
        return STR("");
    struct str x = json_str(json_get(json_get(v, "error"), member));
    return x.p ? x : STR("");
}

char *http_escape(struct arena *a, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, 3 * s.n + 1), *p = out;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c))) {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = digits[c >> 4];
            *p++ = digits[c & 15];
        }
    }
    return out;
}
