#include "agent/config.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"

#include <yaml.h>

enum kind { PATH, LIST, FLAG, TIME, NUMBER, TIER };

#define OPTION(opt, kind, member, arg, help) {opt, kind, offsetof(struct config, member), arg, help},
static const struct option_row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *arg, *help;
} rows[] = {
#include "agent/option.tbl.h"
};
#undef OPTION

static const struct option_row *row_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eqc(name, rows[i].name))
            return &rows[i];
    return NULL;
}

static int take(struct arena *a, const struct option_row *o, struct str value, struct config *c, struct err *e)
{
    char *at = (char *)c + o->offset;
    uint64_t n;
    switch (o->kind) {
    case PATH:
        if (!value.n || memchr(value.p, '\0', value.n))
            return err_set(e, EINVAL, "%s needs a value", o->name);
        *(const char **)at = arena_cstr(a, value);
        return 0;
    case LIST: {
        struct config_list *l = (struct config_list *)at;
        if (!value.n || l->n == CONFIG_LIST)
            return err_set(e, EINVAL, "%s: %s", o->name, value.n ? "given too often" : "needs a value");
        l->v[l->n++] = arena_cstr(a, value);
        return 0;
    }
    case FLAG:
        if (!str_eqc(value, "true") && !str_eqc(value, "false"))
            return err_set(e, EINVAL, "%s: expected true or false, found \"" STR_FMT "\"", o->name, STR_ARG(value));
        *(bool *)at = str_eqc(value, "true");
        return 0;
    case TIME:
        if (duration_parse(value, (int64_t *)at) < 0)
            return err_set(e, EINVAL, "%s: expected a duration such as 90s, 10m or 2h, found \"" STR_FMT "\"", o->name,
                           STR_ARG(value));
        return 0;
    case NUMBER:
        if (str_u64(value, &n) < 0 || n > 1000000)
            return err_set(e, EINVAL, "%s: expected a number, found \"" STR_FMT "\"", o->name, STR_ARG(value));
        *(int64_t *)at = (int64_t)n;
        return 0;
    case TIER: {
        enum sensor_tier t = str_eqc(value, "lsm") ? SENSOR_LSM : str_eqc(value, "trace") ? SENSOR_TRACE : SENSOR_AUTO;
        if (t == SENSOR_AUTO && !str_eqc(value, "auto"))
            return err_set(e, EINVAL, "%s: expected auto, lsm or trace, found \"" STR_FMT "\"", o->name,
                           STR_ARG(value));
        *(enum sensor_tier *)at = t;
        return 0;
    }
    }
    return 0;
}

static int read_document(struct arena *a, yaml_document_t *doc, struct config *c, struct err *e)
{
    yaml_node_t *root = yaml_document_get_root_node(doc);
    if (!root)
        return 0; /* an empty file */
    if (root->type != YAML_MAPPING_NODE)
        return err_set(e, EINVAL, "expected \"option: value\" lines");
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        yaml_node_t *k = yaml_document_get_node(doc, p->key), *v = yaml_document_get_node(doc, p->value);
        struct str name =
            k->type == YAML_SCALAR_NODE ? str_n((char *)k->data.scalar.value, k->data.scalar.length) : STR("");
        const struct option_row *o = row_of(name);
        int r;
        if (!o || str_eq(name, STR("config")))
            return err_set(e, EINVAL, "line %zu: there is no option \"" STR_FMT "\"", k->start_mark.line + 1,
                           STR_ARG(name));
        if (v->type == YAML_SCALAR_NODE) {
            r = take(a, o, str_n((char *)v->data.scalar.value, v->data.scalar.length), c, e);
        } else if (v->type == YAML_SEQUENCE_NODE && o->kind == LIST) {
            r = 0;
            for (yaml_node_item_t *i = v->data.sequence.items.start; i < v->data.sequence.items.top && r == 0; i++) {
                yaml_node_t *one = yaml_document_get_node(doc, *i);
                r = one->type == YAML_SCALAR_NODE
                        ? take(a, o, str_n((char *)one->data.scalar.value, one->data.scalar.length), c, e)
                        : err_set(e, EINVAL, "%s: expected a list of texts", o->name);
            }
        } else {
            r = err_set(e, EINVAL, "%s: expected %s", o->name,
                        o->kind == LIST ? "a text or a list of texts" : "one value");
        }
        if (r < 0)
            return err_wrap(e, "line %zu", k->start_mark.line + 1), r;
    }
    return 0;
}

int config_read(struct arena *a, struct str text, struct config *c, struct err *e)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    int r = 0;
    if (!yaml_parser_load(&parser, &doc)) {
        r = err_set(e, EINVAL, "line %zu: %s", parser.problem_mark.line + 1,
                    parser.problem ? parser.problem : "not YAML");
    } else {
        r = read_document(a, &doc, c, e);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return r;
}

static int arguments(struct arena *a, int argc, char **argv, bool only_config, struct config *c, struct err *e)
{
    int r;
    for (int i = 1; i < argc; i++) {
        struct str arg = str_c(argv[i]), name, value = STR_NONE;
        if (str_eqc(arg, "--help") || str_eqc(arg, "-h")) {
            c->help = true;
            continue;
        }
        if (!str_starts(arg, STR("--")))
            return err_set(e, EINVAL, "unexpected \"%s\"; bulkhead-agent --help lists the options", argv[i]);
        bool joined = str_split(str_sub(arg, 2, arg.n), '=', &name, &value);
        const struct option_row *o = row_of(name);
        if (!o)
            return err_set(e, EINVAL, "there is no option --" STR_FMT "; bulkhead-agent --help lists them",
                           STR_ARG(name));
        if (o->kind == FLAG && !joined) {
            value = STR("true");
        } else if (!joined) {
            if (i + 1 == argc)
                return err_set(e, EINVAL, "--%s needs a value", o->name);
            value = str_c(argv[++i]);
        }
        if (only_config != str_eqc(name, "config"))
            continue;
        if ((r = take(a, o, value, c, e)) < 0)
            return err_wrap(e, "--%s", o->name), r;
    }
    return 0;
}

int config_parse(struct arena *a, int argc, char **argv, struct config *ret, struct err *e)
{
    struct config c = {.state = "/var/lib/bulkhead",
                       .podman_root = "/var/lib/containers/storage",
                       .bpf_dir = SENSOR_BPF_DIR,
                       .learn_starts = 3,
                       .learn_time = 600 * TIME_SECOND,
                       .scan_time = 900 * TIME_SECOND};
    struct str text;
    int r = arguments(a, argc, argv, true, &c, e);
    if (r < 0)
        return r;
    const char *file = c.config ? c.config : fs_exists(CONFIG_FILE) ? CONFIG_FILE : NULL;
    if (file && ((r = fs_read(a, file, LIMIT_POLICY_FILE, &text, e)) < 0 || (r = config_read(a, text, &c, e)) < 0))
        return err_wrap(e, "configuration %s", file), r;
    struct config_list policy = c.policy, engine = c.engine, rules = c.rules;
    c.policy.n = c.engine.n = c.rules.n = 0;
    if ((r = arguments(a, argc, argv, false, &c, e)) < 0)
        return r;
    if (!c.policy.n)
        c.policy = policy;
    if (!c.engine.n)
        c.engine = engine;
    if (!c.rules.n)
        c.rules = rules;
    *ret = c;
    return 0;
}

void config_help(FILE *f)
{
    fputs(
        "usage: bulkhead-agent [OPTIONS]           protect the containers of this host\n"
        "       bulkhead-agent doctor [--json]     what this host can enforce, how that was proven, and why not more\n"
        "       bulkhead-agent engine enable|disable\n"
        "                                          put the gate and the guard into the engine's configuration, or take "
        "them out\n"
        "       bulkhead-agent remove              take every kernel program away: enforcement ends\n"
        "       bulkhead-agent --version\n\noptions:\n",
        f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
        fprintf(f, "  %-24s %s\n", left, rows[i].help);
    }
    fputs("\nReady: one line {\"ready\":true,...} on standard output, and sd_notify. SIGHUP loads policies again; "
          "SIGTERM ends the agent\n"
          "and leaves enforcement in the kernel. Exit: 0 stopped, 2 wrong usage, 3 failed; doctor: 0 all essential "
          "controls work, 3 not.\n",
          f);
}
