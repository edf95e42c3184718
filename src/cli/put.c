/* bulkhead put: give the console intel, its key, or a scan report. */
#include "cli/put.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/table.h"

#include "base/fs.h"
#include "scan/inventory.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>

static const char put_help[] = "usage: bulkhead put intel FILE | intel-key FILE | report FILE\n"
                               "\n"
                               "  intel FILE      an intel.db signed by the key that the console knows\n"
                               "  intel-key FILE  the ed25519 public key (PEM) that intel must be signed with\n"
                               "  report FILE     a scan report (bulkhead scan --format json), - for standard input; "
                               "prints the console's verdict\n";

static ssize_t read_file(void *ctx, void *p, size_t n, struct err *e)
{
    ssize_t r;
    do
        r = read(*(int *)ctx, p, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? err_errno(e, "read") : r;
}

/* A large file, streamed. */
int put_stream(struct remote *rm, struct arena *a, const char *method, const char *file, const char *path,
               const char *type, const struct json_value **ret, struct err *e)
{
    struct stat st;
    struct json_value *v;
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, "%s", file);
    struct http_header headers[] = {
        {STR("Authorization"), arena_strf(a, "Bearer " STR_FMT, STR_ARG(rm->token))},
        {STR("Content-Type"), str_c(type)},
    };
    struct http_request q = {
        .method = method,
        .url = arena_printf(a, STR_FMT "%s", STR_ARG(rm->url), path),
        .headers = headers,
        .headers_n = 2,
        .read = read_file,
        .read_ctx = &fd,
        .read_size = S_ISREG(st.st_mode) ? st.st_size : -1,
    };
    struct http_response s;
    int r;
    if ((r = http_run(rm->h, a, &q, &s, e)) < 0 || (r = http_check(&s, e)) < 0 ||
        (r = json_parse(a, s.body, 0, &v, e)) < 0)
        return r;
    *ret = v;
    return 0;
}

int put_report(struct remote *rm, struct arena *a, struct str report, const struct json_value **ret, struct err *e)
{
    struct json_value *v;
    int r = json_parse(a, report, 0, &v, e);
    if (r < 0)
        return err_wrap(e, "report"), r;
    struct inventory inv;
    if ((r = inventory_read(a, v, &inv, e)) < 0)
        return err_wrap(e, "report"), r;
    if (!inv.image_id.n)
        return err_set(e, EINVAL, "the report has no image id (a scanned folder has none)");
    _cleanup_(buf_fini) struct buf b = BUF_INIT((size_t)512 << 20);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "image_id", inv.image_id);
    json_w_key(&w, "names");
    json_w_array(&w);
    for (size_t i = 0; i < inv.names_n; i++)
        json_w_str(&w, inv.names[i]);
    json_w_end(&w);
    json_w_key(&w, "report");
    json_w_value(&w, v);
    const struct json_value *verdict = json_get(v, "verdict");
    json_w_key(&w, "verdict");
    if (verdict)
        json_w_value(&w, verdict);
    else
        json_w_null(&w);
    json_w_end(&w);
    if ((r = buf_check(&b, e)) < 0)
        return r;
    return remote_call(rm, a, "POST", "/api/v1/reports", "application/json", buf_str(&b), ret, e);
}

int put_scan(struct arena *a, const char *url, struct str report, bool quiet, bool *allow, struct err *e)
{
    const struct json_value *v;
    struct remote rm = {0};
    int r = remote_open(a, url, &rm, e);
    if (r == 0)
        r = put_report(&rm, a, report, &v, e);
    remote_close(&rm);
    if (r < 0)
        return r;
    *allow = json_bool(json_path(v, "verdict.allow"), true);
    if (!quiet) {
        fprintf(stderr, "console " STR_FMT ": %s\n", STR_ARG(rm.url), *allow ? "allow" : "deny");
        JSON_EACH (json_path(v, "verdict.reasons"), reason)
            if (json_bool(json_get(reason, "deny"), false))
                fprintf(stderr, "  %s: %s\n", plain(a, json_str(json_get(reason, "policy"))),
                        plain(a, json_str(json_get(reason, "text"))));
    }
    return 0;
}

static int put(struct arena *a, const char *kind, const char *file, struct err *e)
{
    const struct json_value *v = NULL;
    struct remote rm;
    struct str text;
    int r = remote_open(a, NULL, &rm, e);
    if (r < 0)
        return r;
    if (!strcmp(kind, "intel")) {
        if ((r = put_stream(&rm, a, "PUT", file, "/api/v1/intel", "application/octet-stream", &v, e)) == 0)
            printf("intel %s, built %s, is in force\n", plain(a, json_str(json_get(v, "revision"))),
                   plain(a, json_str(json_get(v, "built"))));
    } else if (!strcmp(kind, "intel-key")) {
        if ((r = read_input(a, file, 4096, &text, e)) == 0 &&
            (r = remote_call(&rm, a, "PUT", "/api/v1/intel/key", "application/x-pem-file", text, &v, e)) == 0)
            printf("intel must be signed with this key from now on\n");
    } else {
        if ((r = read_input(a, file, 256u << 20, &text, e)) == 0 && (r = put_report(&rm, a, text, &v, e)) == 0)
            printf("%s: %s\n", plain(a, json_str(json_get(v, "id"))),
                   json_get(v, "verdict") && json_get(v, "verdict")->type == JSON_OBJECT
                       ? json_bool(json_path(v, "verdict.allow"), false) ? "allow" : "deny"
                       : "stored");
    }
    remote_close(&rm);
    return r;
}

int cmd_put(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA * 2);
    struct err e = ERR_INIT;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        fputs(c == 'h' ? put_help : "", stdout);
        return c == 'h' ? 0 : 2;
    }
    if (argc - optind != 2)
        return command_usage("put", "a kind and a file are needed");
    const char *kind = argv[optind];
    if (strcmp(kind, "intel") && strcmp(kind, "intel-key") && strcmp(kind, "report"))
        return command_usage("put", "there is no kind \"%s\"", kind);
    return put(a, kind, argv[optind + 1], &e) < 0 ? command_failed("put", &e) : 0;
}
