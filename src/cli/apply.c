/* bulkhead apply: policies into force on the console. */
#include "cli/apply.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/table.h"

#include "policy/policy.h"

#include <getopt.h>

static const char apply_help[] =
    "usage: bulkhead apply -f FILE [OPTIONS]\n"
    "\n"
    "Check policy documents here, then put them into force on the console: all of them or none. What changed is shown\n"
    "with its new revision; agents have it within a second.\n"
    "\n"
    "  -f, --file FILE  YAML documents, - for standard input; may be repeated\n"
    "      --dry-run    only say what would change\n"
    "      --note TEXT  why, kept in the history\n"
    "      --json       the console's answer as JSON\n";

#define FILES_MAX 64u

struct apply {
    const char *files[FILES_MAX];
    size_t files_n;
    const char *note;
    bool dry_run, json;
};

/* Errors name file and line; the console would only know the documents. */
static int check_here(struct arena *a, const struct apply *ap, struct buf *all, struct err *e)
{
    struct policy_source *sources = arena_array(a, ap->files_n, sizeof(*sources));
    struct policy_set *set = NULL;
    int r;
    for (size_t i = 0; i < ap->files_n; i++) {
        struct str text;
        if ((r = read_input(a, ap->files[i], LIMIT_POLICY_FILE, &text, e)) < 0)
            return r;
        sources[i] =
            (struct policy_source){str_c(strcmp(ap->files[i], "-") ? ap->files[i] : "standard input"), text, 0};
        if (i > 0)
            buf_putz(all, "\n---\n");
        buf_puts(all, text);
    }
    if ((r = policy_set_parse(sources, ap->files_n, &set, e)) < 0)
        return r;
    policy_set_unref(set);
    return buf_check(all, e);
}

static void show(struct arena *a, const struct json_value *v)
{
    bool dry = json_bool(json_get(v, "dry_run"), false);
    JSON_EACH (json_get(v, "items"), x) {
        struct str change = json_str(json_get(x, "change"));
        printf("%s/%s  %s%s" STR_FMT "%s", plain(a, json_str(json_get(x, "kind"))),
               plain(a, json_str(json_get(x, "name"))), dry && !str_eqc(change, "unchanged") ? "would be " : "",
               color_of(stdout, change), STR_ARG(change), color_end(stdout, change));
        printf(str_eqc(change, "unchanged") ? " (revision %" PRIi64 ")\n" : ", revision %" PRIi64 "\n",
               json_i64(json_get(x, "revision"), 0));
    }
    JSON_EACH (json_get(v, "notices"), n)
        printf("notice: %s\n", plain(a, n->text));
    printf("configuration %s\n", plain(a, str_sub(json_str(json_get(v, "revision")), 0, 12)));
}

int apply_read(struct arena *a, const char *const *files, size_t n, struct buf *ret, struct err *e)
{
    struct apply ap = {.files_n = n};
    if (n == 0 || n > FILES_MAX)
        return err_set(e, EINVAL, "1 to %u files", FILES_MAX);
    for (size_t i = 0; i < n; i++)
        ap.files[i] = files[i];
    return check_here(a, &ap, ret, e);
}

int apply_policies(struct arena *a, const char *const *files, size_t n, const char *note, bool dry_run, bool json,
                   struct err *e)
{
    struct apply ap = {.files_n = n, .note = note, .dry_run = dry_run, .json = json};
    _cleanup_(buf_fini) struct buf all = BUF_INIT(LIMIT_POLICY_FILE);
    const struct json_value *v;
    struct remote rm;
    if (n == 0 || n > FILES_MAX)
        return err_set(e, EINVAL, "1 to %u files", FILES_MAX);
    for (size_t i = 0; i < n; i++)
        ap.files[i] = files[i];
    int r = check_here(a, &ap, &all, e);
    if (r < 0 || (r = remote_open(a, NULL, &rm, e)) < 0)
        return r;
    r = remote_call(&rm, a, "POST",
                    arena_printf(a, "/api/v1/policies?dry_run=%s%s%s", dry_run ? "true" : "false", note ? "&note=" : "",
                                 note ? http_escape(a, str_c(note)) : ""),
                    "application/yaml", buf_str(&all), &v, e);
    remote_close(&rm);
    if (r < 0)
        return r;
    if (json) {
        _cleanup_(buf_fini) struct buf out = BUF_INIT(16u << 20);
        struct json_writer w = JSON_WRITER(&out);
        json_w_value(&w, v);
        buf_putc(&out, '\n');
        fwrite(out.p, 1, out.n, stdout);
    } else {
        show(a, v);
    }
    return 0;
}

int cmd_apply(int argc, char **argv)
{
    static const struct option options[] = {
        {"file", required_argument, NULL, 'f'}, {"dry-run", no_argument, NULL, 'd'},
        {"note", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},       {0},
    };
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    struct apply ap = {0};
    struct err e = ERR_INIT;
    for (int c; (c = getopt_long(argc, argv, "f:h", options, NULL)) != -1;) {
        switch (c) {
        case 'f':
            if (ap.files_n == FILES_MAX)
                return command_usage("apply", "at most %u files", FILES_MAX);
            ap.files[ap.files_n++] = optarg;
            break;
        case 'd':
            ap.dry_run = true;
            break;
        case 'n':
            ap.note = optarg;
            break;
        case 'j':
            ap.json = true;
            break;
        case 'h':
            fputs(apply_help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (optind != argc || ap.files_n == 0)
        return command_usage("apply", "-f FILE is needed");
    return apply_policies(a, ap.files, ap.files_n, ap.note, ap.dry_run, ap.json, &e) < 0 ? command_failed("apply", &e)
                                                                                         : 0;
}
