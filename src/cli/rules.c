/* bulkhead rules: detection rules: what they say, what of them is not here, and what they would have told of recorded
 * events. */
#include "cli/command.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/log.h"
#include "cli/rules.h"
#include "cli/table.h"
#include "detect/rules.h"
#include "format/json.h"

#include <getopt.h>

static const char usage[] = "usage: bulkhead rules check [--json] FILE|DIR...\n"
                            "       bulkhead rules list [--json] FILE|DIR...\n"
                            "       bulkhead rules show NAME FILE|DIR...\n"
                            "       bulkhead rules test [--json] --events FILE FILE|DIR...\n"
                            "       bulkhead rules fields\n"
                            "Reads Falco rule files, in the order given. check prints what cannot be had here, by rule "
                            "and field, and ends in 1\n"
                            "when a file has mistakes. test replays recorded events (JSON lines) and prints what the "
                            "rules tell of them; it ends\n"
                            "in 1 when one fired.\n";

static void json_names(struct json_writer *w, const char *key, const struct str *v, size_t n)
{
    json_w_karray(w, key);
    for (size_t i = 0; i < n; i++)
        json_w_str(w, v[i]);
    json_w_end(w);
}

static void write_rule(struct json_writer *w, const struct detect_rule *r)
{
    json_w_object(w);
    json_w_kstr(w, "name", r->name);
    json_w_kstr(w, "description", r->desc);
    json_w_kstrz(w, "priority", detect_priority_name(r->priority));
    json_w_kstrz(w, "severity", event_severity_name(detect_priority_severity(r->priority)));
    json_w_kbool(w, "enabled", r->enabled);
    json_w_kbool(w, "in_force", r->steps_n != 0);
    json_w_kbool(w, "always", r->always);
    json_names(w, "tags", r->tags, r->tags_n);
    json_names(w, "mitre", r->mitre, r->mitre_n);
    json_w_kstr(w, "output", r->output);
    json_w_kstr(w, "advice", r->advice);
    json_w_kstr(w, "false_alarms", r->false_alarms);
    json_w_kstrz(w, "file", r->file);
    json_w_ki64(w, "line", (int64_t)r->line);
    json_w_end(w);
}

static int print_json(struct buf *b, struct err *e)
{
    int r = buf_check(b, e);
    buf_putc(b, '\n');
    return r < 0 ? r : fs_write_all(STDOUT_FILENO, b->p, b->n, e);
}

static int check_json(const struct detect_rules *rs, struct err *e)
{
    static const char *const kinds[] = {"error", "unsupported", "warning"};
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
    struct json_writer w = JSON_WRITER(&b);
    struct detect_rule *const *list;
    const struct detect_notice *notices;
    size_t n = detect_rules_notices(rs, &notices);
    json_w_object(&w);
    json_w_ki64(&w, "rules", (int64_t)detect_rules_list(rs, &list));
    json_w_ki64(&w, "in_force", (int64_t)detect_rules_in_force(rs));
    json_w_ki64(&w, "errors", (int64_t)detect_rules_errors(rs));
    json_w_karray(&w, "notices");
    for (size_t i = 0; i < n; i++) {
        json_w_object(&w);
        json_w_kstrz(&w, "kind", kinds[notices[i].kind]);
        json_w_kstrz(&w, "file", notices[i].file);
        json_w_ki64(&w, "line", (int64_t)notices[i].line);
        json_w_kstr(&w, "rule", notices[i].rule.n ? notices[i].rule : STR_NONE);
        json_w_kstr(&w, "text", notices[i].text);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    return print_json(&b, e);
}

static int check(const struct detect_rules *rs, bool json, struct err *e)
{
    static const char *const kinds[] = {"error", "not supported", "warning"};
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct detect_rule *const *list;
    const struct detect_notice *notices;
    size_t n = detect_rules_notices(rs, &notices), rules = detect_rules_list(rs, &list), on = 0;
    int r = json ? check_json(rs, e) : 0;
    for (size_t i = 0; i < rules; i++)
        on += list[i]->enabled;
    for (size_t i = 0; i < n && !json; i++)
        printf("%s:%zu: %s: %s%s%s\n", notices[i].file, notices[i].line, kinds[notices[i].kind],
               plain(a, notices[i].rule), notices[i].rule.n ? ": " : "", plain(a, notices[i].text));
    if (!json)
        printf("%zu rules, %zu enabled, %zu in force, %zu mistakes\n", rules, on, detect_rules_in_force(rs),
               detect_rules_errors(rs));
    return r < 0 ? r : detect_rules_errors(rs) ? 1 : 0;
}

static int list_rules(const struct detect_rules *rs, bool json, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct json_writer w = JSON_WRITER(&b);
    struct detect_rule *const *list;
    size_t n = detect_rules_list(rs, &list);
    if (json)
        json_w_array(&w);
    for (size_t i = 0; i < n; i++) {
        struct str ids = STR_NONE;
        if (json) {
            write_rule(&w, list[i]);
            continue;
        }
        for (size_t k = 0; k < list[i]->mitre_n; k++)
            ids = arena_strf(a, STR_FMT "%s" STR_FMT, STR_ARG(ids), k ? "," : "", STR_ARG(list[i]->mitre[k]));
        printf("%-9s %-8s %-22s %s\n", detect_priority_name(list[i]->priority),
               list[i]->steps_n   ? "on"
               : list[i]->enabled ? "not here"
                                  : "off",
               plain(a, ids), plain(a, list[i]->name));
    }
    if (json)
        json_w_end(&w);
    return json ? print_json(&b, e) : 0;
}

static int show(const struct detect_rules *rs, const char *name, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    struct json_writer w = JSON_WRITER(&b);
    struct detect_rule *const *list;
    size_t n = detect_rules_list(rs, &list);
    for (size_t i = 0; i < n; i++)
        if (str_eqc(list[i]->name, name)) {
            write_rule(&w, list[i]);
            return print_json(&b, e);
        }
    return err_set(e, ENOENT, "no rule \"%s\"", name);
}

/* docs/falco-fields.md is this. */
static void print_fields(void)
{
    static const char *const haves[] = {"yes", "live", "no"};
    static const char *const types[] = {"text", "number", "duration", "word",     "true/false",
                                        "list", "texts",  "address",  "existence"};
    printf(
        "# Falco's fields and event types, and what is behind them here\n\n"
        "Made by `bulkhead rules fields` from src/detect/fields.tbl.h and src/detect/kinds.tbl.h. *yes*: from every "
        "event that has such a\nthing, live or recorded. *live*: asked from /proc while the process lives, absent in "
        "recorded events. *no*: not here; a comparison\nwith it is never true, and `bulkhead rules check` names the "
        "rule that uses it.\n\n## Events\n\n| evt.type | event | seen when |\n|---|---|---|\n");
    for (unsigned k = 0; k < KINDS; k++)
        printf("| " STR_FMT " | %s | %s |\n", STR_ARG(detect_kind_names((enum detect_kind)k)),
               event_type_name(detect_kind_type((enum detect_kind)k)), detect_kind_doc((enum detect_kind)k));
    printf("\n## Fields\n\n| field | type | here | meaning |\n|---|---|---|---|\n");
    for (unsigned f = 0; f < FIELDS; f++)
        printf("| `%s%s` | %s | %s | %s |\n", detect_schema.fields[f].name,
               detect_schema.fields[f].arg == EXPR_NO_ARG      ? ""
               : detect_schema.fields[f].arg == EXPR_MAYBE_ARG ? "[N]"
               : detect_schema.fields[f].arg == EXPR_DOT_ARG   ? ".NAME"
                                                               : "[NAME]",
               types[detect_schema.fields[f].type], haves[detect_have(f)], detect_field_doc(f));
}

struct request {
    const char *verb, *name, *events;
    bool json;
    char **files;
    int files_n;
};

static int run(const struct request *q, struct err *e)
{
    _cleanup_(detect_rules_freep) struct detect_rules *rs = detect_rules_new();
    int r;
    for (int i = 0; i < q->files_n; i++)
        if ((r = detect_rules_read(rs, q->files[i], e)) < 0)
            return r;
    detect_rules_compile(rs);
    if (!strcmp(q->verb, "check"))
        return check(rs, q->json, e);
    if (!strcmp(q->verb, "list"))
        return list_rules(rs, q->json, e);
    if (!strcmp(q->verb, "show"))
        return show(rs, q->name, e);
    return rules_test(rs, q->events, q->json, e);
}

static int parse(int argc, char **argv, struct request *q)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"events", required_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int c;
    q->verb = argc > 1 ? argv[1] : "";
    optind = 2;
    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
        switch (c) {
        case 'j':
            q->json = true;
            break;
        case 'e':
            q->events = optarg;
            break;
        default:
            return -EINVAL;
        }
    if (!strcmp(q->verb, "show") && optind < argc)
        q->name = argv[optind++];
    q->files = argv + optind;
    q->files_n = argc - optind;
    bool known = !strcmp(q->verb, "check") || !strcmp(q->verb, "list") || (!strcmp(q->verb, "show") && q->name) ||
                 (!strcmp(q->verb, "test") && q->events);
    return known && q->files_n ? 0 : -EINVAL;
}

int cmd_rules(int argc, char **argv)
{
    struct request q = {0};
    struct err e = ERR_INIT;
    bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"));
    if (argc == 2 && !strcmp(argv[1], "fields")) {
        print_fields();
        return 0;
    }
    if (help || parse(argc, argv, &q) < 0) {
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    int r = run(&q, &e);
    if (r < 0) {
        fprintf(stderr, "bulkhead rules %s: %s\n", q.verb, e.msg);
        return 3;
    }
    return r;
}
