/* bulkhead get, delete, put: what the console knows. */
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/table.h"

#include "base/fs.h"

#include <getopt.h>
#include <sys/stat.h>

#define MAX_COLUMNS 12

struct kind {
    const char *name, *path;
    bool one; /* path/NAME gives one */
    struct table_column columns[MAX_COLUMNS];
};

static const struct kind kinds[] = {
    {"agents",
     "/api/v1/agents",
     true,
     {{"ID", "id", TABLE_TEXT},
      {"HOST", "host", TABLE_TEXT},
      {"STATE", "state", TABLE_STATE},
      {"TIER", "tier", TABLE_TEXT},
      {"VERSION", "version", TABLE_TEXT},
      {"CONTAINERS", "containers", TABLE_TEXT},
      {"UP TO DATE", "up_to_date", TABLE_YES_NO},
      {"EVENTS", "seq", TABLE_TEXT},
      {"LOST", "lost", TABLE_TEXT},
      {"CERTIFICATE", "certificate_expires", TABLE_AGE},
      {"LAST SEEN", "last_seen", TABLE_AGE}}},
    {"images",
     "/api/v1/images",
     true,
     {{"ID", "id", TABLE_SHORT},
      {"NAMES", "names", TABLE_TEXT},
      {"VERDICT", "verdict.allow", TABLE_ALLOW},
      {"SCANNED", "scanned", TABLE_AGE},
      {"SOURCE", "source", TABLE_TEXT}}},
    {"verdicts",
     "/api/v1/images",
     true,
     {{"IMAGE", "id", TABLE_SHORT},
      {"NAMES", "names", TABLE_TEXT},
      {"VERDICT", "verdict.allow", TABLE_ALLOW},
      {"INTEL", "verdict.intel_revision", TABLE_SHORT},
      {"POLICY", "verdict.policy_revision", TABLE_SHORT},
      {"EVALUATED", "verdict.evaluated", TABLE_AGE},
      {"VALID UNTIL", "verdict.valid_until", TABLE_AGE}}},
    {"containers",
     "/api/v1/containers",
     false,
     {{"ID", "id", TABLE_SHORT},
      {"NAME", "name", TABLE_TEXT},
      {"HOST", "host", TABLE_TEXT},
      {"IMAGE", "image", TABLE_TEXT},
      {"STATE", "state", TABLE_STATE},
      {"POLICY", "policy.name", TABLE_TEXT},
      {"MODE", "policy.mode", TABLE_STATE}}},
    {"policies",
     "/api/v1/policies",
     true,
     {{"KIND", "kind", TABLE_TEXT},
      {"NAME", "name", TABLE_TEXT},
      {"REVISION", "revision", TABLE_TEXT},
      {"CHANGED", "time", TABLE_AGE},
      {"BY", "author", TABLE_TEXT}}},
    {"events",
     "/api/v1/events",
     false,
     {{"TIME", "time", TABLE_TEXT},
      {"SEVERITY", "severity", TABLE_STATE},
      {"HOST", "host", TABLE_TEXT},
      {"TYPE", "type", TABLE_TEXT},
      {"CONTROL", "control", TABLE_TEXT},
      {"OUTCOME", "outcome", TABLE_STATE},
      {"CONTAINER", "container.name", TABLE_TEXT},
      {"PROGRAM", "process.exe", TABLE_TEXT},
      {"RULE", "rule", TABLE_TEXT}}},
    {"audit",
     "/api/v1/audit",
     false,
     {{"TIME", "time", TABLE_TEXT},
      {"WHO", "actor", TABLE_TEXT},
      {"ACTION", "action", TABLE_TEXT},
      {"WHAT", "target", TABLE_TEXT},
      {"OUTCOME", "outcome", TABLE_STATE},
      {"FROM", "address", TABLE_TEXT}}},
    {"tokens",
     "/api/v1/tokens",
     false,
     {{"ID", "id", TABLE_TEXT},
      {"KIND", "kind", TABLE_TEXT},
      {"OWNER", "owner", TABLE_TEXT},
      {"NOTE", "note", TABLE_TEXT},
      {"EXPIRES", "expires", TABLE_AGE},
      {"USES LEFT", "uses_left", TABLE_TEXT},
      {"REVOKED", "revoked", TABLE_YES_NO},
      {"LAST USED", "last_used", TABLE_AGE}}},
    {"users",
     "/api/v1/users",
     false,
     {{"NAME", "name", TABLE_TEXT},
      {"ROLE", "role", TABLE_TEXT},
      {"DISABLED", "disabled", TABLE_YES_NO},
      {"LAST LOGIN", "last_login", TABLE_AGE}}},
    {"intel",
     "/api/v1/intel",
     false,
     {{"REVISION", "revision", TABLE_TEXT},
      {"BUILT", "built", TABLE_AGE},
      {"UPLOADED", "uploaded", TABLE_AGE},
      {"BYTES", "size", TABLE_TEXT}}},
};

static const char get_help[] =
    "usage: bulkhead get KIND [NAME] [OPTIONS]\n"
    "\n"
    "Show what the console knows. KIND is agents, images, verdicts, containers, policies, events, audit, tokens, "
    "users\n"
    "or intel. NAME: the id of an agent, id or name of an image, KIND/NAME of a policy (as in "
    "ImagePolicy/production).\n"
    "\n"
    "  --json              JSON, one array (or one object with NAME)\n"
    "  --format FORMAT     table, json, or yaml (policies: the documents as they were applied)\n"
    "  --filter KEY=VALUE  narrow the list by a parameter of the API (--filter severity=high); may be repeated\n"
    "  --limit N           at most N rows (1000)\n";

static const struct kind *find_kind(const char *name)
{
    struct str s = str_c(name);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eqc(s, kinds[i].name) || str_eq(s, str_sub(str_c(kinds[i].name), 0, strlen(kinds[i].name) - 1)) ||
            (str_eqc(s, "policy") && str_eqc(str_c("policies"), kinds[i].name)))
            return &kinds[i];
    return NULL;
}

/* "KIND/NAME" or "NAME" as path segments. */
static char *name_path(struct arena *a, const struct kind *k, const char *name)
{
    struct str left, right;
    if (!strcmp(k->name, "policies") && str_split(str_c(name), '/', &left, &right))
        return arena_printf(a, "%s/%s/%s", k->path, http_escape(a, left), http_escape(a, right));
    return arena_printf(a, "%s/%s", k->path, http_escape(a, str_c(name)));
}

struct get {
    const struct kind *kind;
    const char *name, *format;
    char *filters; /* "&key=value..." */
    uint64_t limit;
};

/* All pages up to the limit, as one array. */
static int fetch_list(struct remote *rm, struct arena *a, const struct get *g, const struct json_value **ret,
                      struct err *e)
{
    struct json_value *all = NULL, *last = NULL;
    struct str cursor = STR_NONE;
    do {
        const struct json_value *page;
        uint64_t left = g->limit - (all ? all->count : 0);
        int r = remote_get(rm, a,
                           arena_printf(a, "%s?limit=%" PRIu64 "%s%s%s", g->kind->path, left > 1000 ? 1000 : left,
                                        g->filters, cursor.n ? "&cursor=" : "", cursor.n ? http_escape(a, cursor) : ""),
                           &page, e);
        if (r < 0)
            return r;
        struct json_value *items = (struct json_value *)json_get(page, "items"); /* ours: it lives in our arena */
        if (!items || items->type != JSON_ARRAY)
            return err_set(e, EBADMSG, "%s: an answer without items", g->kind->path);
        if (!all)
            all = items;
        else if (last)
            last->next = items->first, all->count += items->count;
        for (last = items->first ? items->first : last; last && last->next;)
            last = last->next;
        cursor = items->count ? json_str(json_get(page, "next")) : STR_NONE;
    } while (cursor.n && all->count < g->limit);
    *ret = all;
    return 0;
}

static void print_json(const struct json_value *v)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(512u << 20);
    struct json_writer w = JSON_WRITER(&b);
    json_w_value(&w, v);
    buf_putc(&b, '\n');
    fwrite(b.p, 1, b.n, stdout);
}

static void print_reasons(struct arena *a, const struct json_value *image)
{
    JSON_EACH (json_path(image, "verdict.reasons"), reason) {
        bool deny = json_bool(json_get(reason, "deny"), false);
        struct str word = deny ? STR("deny") : STR("warn");
        printf("  %s" STR_FMT "%s  %s: %s\n", color_of(stdout, word), STR_ARG(word), color_end(stdout, word),
               plain(a, json_str(json_get(reason, "policy"))), plain(a, json_str(json_get(reason, "text"))));
    }
}

static void print_one(struct arena *a, const struct kind *k, const struct json_value *v)
{
    if (!strcmp(k->name, "policies")) {
        struct str text = json_str(json_get(v, "text"));
        fwrite(text.p ? text.p : "", 1, text.n, stdout);
        return;
    }
    struct json_value copy = *v, list = {.type = JSON_ARRAY, .count = 1, .first = &copy};
    copy.next = NULL;
    size_t n = 0;
    while (n < MAX_COLUMNS && k->columns[n].title)
        n++;
    table_print(stdout, k->columns, n, &list);
    print_reasons(a, v);
}

static int get_yaml(struct remote *rm, struct arena *a, const struct get *g, struct err *e)
{
    struct http_response s;
    const char *path = g->name ? name_path(a, g->kind, g->name) : g->kind->path;
    int r = remote_raw(rm, a, "GET", path, NULL, STR_NONE, "application/yaml", &s, e);
    if (r == 0)
        fwrite(s.body.p, 1, s.body.n, stdout);
    return r;
}

static int get(struct arena *a, const struct get *g, struct err *e)
{
    const struct json_value *v = NULL;
    struct remote rm;
    bool single = g->name || !strcmp(g->kind->name, "intel");
    int r = remote_open(a, NULL, &rm, e);
    if (r < 0)
        return r;
    if (!strcmp(g->format, "yaml"))
        r = get_yaml(&rm, a, g, e);
    else if (g->name)
        r = remote_get(&rm, a, name_path(a, g->kind, g->name), &v, e);
    else if (single)
        r = remote_get(&rm, a, g->kind->path, &v, e);
    else
        r = fetch_list(&rm, a, g, &v, e);
    remote_close(&rm);
    if (r < 0 || !v)
        return r;
    if (!strcmp(g->format, "json")) {
        print_json(v);
    } else if (single) {
        print_one(a, g->kind, v);
    } else {
        size_t n = 0;
        while (n < MAX_COLUMNS && g->kind->columns[n].title)
            n++;
        table_print(stdout, g->kind->columns, n, v);
    }
    return fflush(stdout) < 0 ? err_errno(e, "standard output") : 0;
}

int cmd_get(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},         {"format", required_argument, NULL, 'f'},
        {"filter", required_argument, NULL, 'F'}, {"limit", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    struct get g = {.format = "table", .limit = 1000, .filters = arena_printf(a, "%s", "")};
    struct err e = ERR_INIT;
    struct str key, value;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'j':
            g.format = "json";
            break;
        case 'f':
            g.format = optarg;
            break;
        case 'F':
            if (!str_split(str_c(optarg), '=', &key, &value))
                return command_usage("get", "--filter needs KEY=VALUE");
            g.filters = arena_printf(a, "%s&%s=%s", g.filters, http_escape(a, key), http_escape(a, value));
            break;
        case 'l':
            if (str_u64(str_c(optarg), &g.limit) < 0 || g.limit == 0)
                return command_usage("get", "--limit needs a number");
            break;
        case 'h':
            fputs(get_help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (argc - optind < 1 || argc - optind > 2)
        return command_usage("get", "KIND is needed, and at most one NAME");
    if (!(g.kind = find_kind(argv[optind])))
        return command_usage("get", "there is no kind \"%s\"", argv[optind]);
    g.name = argv[optind + 1];
    if (g.name && !g.kind->one)
        return command_usage("get", "%s are listed, not taken by name", g.kind->name);
    if (strcmp(g.format, "table") && strcmp(g.format, "json") &&
        (strcmp(g.format, "yaml") || strcmp(g.kind->name, "policies")))
        return command_usage("get", "no format \"%s\" for %s", g.format, g.kind->name);
    return get(a, &g, &e) < 0 ? command_failed("get", &e) : 0;
}

/* ---- delete ---- */

static const char delete_help[] =
    "usage: bulkhead delete policy KIND/NAME | agent ID | token ID | user NAME\n"
    "\n"
    "Take a policy out of force, revoke and forget an agent, revoke a token, remove a user. With --revoke an agent is\n"
    "only revoked: its certificate is refused from now on and it stays listed. What it protects stays protected.\n"
    "\n"
    "  --revoke  agents: revoke, do not forget\n";

int cmd_delete(int argc, char **argv)
{
    static const struct option options[] = {{"revoke", no_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {0}};
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    const struct json_value *v;
    struct remote rm;
    struct err e = ERR_INIT;
    bool revoke = false;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h')
            fputs(delete_help, stdout);
        if (c != 'r')
            return c == 'h' ? 0 : 2;
        revoke = true;
    }
    const struct kind *k = argc - optind == 2 ? find_kind(argv[optind]) : NULL;
    if (!k || (strcmp(k->name, "policies") && strcmp(k->name, "agents") && strcmp(k->name, "tokens") &&
               strcmp(k->name, "users")))
        return command_usage("delete", "policy, agent, token or user and its name are needed");
    if (revoke && strcmp(k->name, "agents"))
        return command_usage("delete", "--revoke is for agents");
    if (!strcmp(k->name, "policies") && !strchr(argv[optind + 1], '/'))
        return command_usage("delete", "a policy is named KIND/NAME, as in ImagePolicy/production");
    char *path = name_path(a, k, argv[optind + 1]);
    int r = remote_open(a, NULL, &rm, &e);
    if (r < 0)
        return command_failed("delete", &e);
    r = revoke ? remote_call(&rm, a, "POST", arena_printf(a, "%s/revoke", path), NULL, STR_NONE, &v, &e)
               : remote_call(&rm, a, "DELETE", path, NULL, STR_NONE, &v, &e);
    remote_close(&rm);
    if (r < 0)
        return command_failed("delete", &e);
    printf("%s %s %s\n", argv[optind], argv[optind + 1], revoke ? "revoked" : "deleted");
    return 0;
}
