/* Reading rule files: what is defined, appended and overridden. Nothing is compiled here. */
#include "detect/rules_internal.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"

#include <dirent.h>
#include <strings.h>

static const char *const priorities[] = {"EMERGENCY", "ALERT",  "CRITICAL", "ERROR",
                                         "WARNING",   "NOTICE", "INFO",     "DEBUG"};

const char *detect_priority_name(enum detect_priority p)
{
    return priorities[p];
}

enum event_severity detect_priority_severity(enum detect_priority p)
{
    static const enum event_severity severities[] = {SEVERITY_critical, SEVERITY_critical, SEVERITY_critical,
                                                     SEVERITY_high,     SEVERITY_medium,   SEVERITY_low,
                                                     SEVERITY_info,     SEVERITY_info};
    return severities[p];
}

struct detect_rules *detect_rules_new(void)
{
    struct detect_rules *rs = calloc(1, sizeof(*rs));
    if (!rs)
        abort();
    rs->a = arena_new(DETECT_ARENA);
    rs->macros = map_new(DETECT_ITEMS_MAX);
    rs->lists = map_new(DETECT_ITEMS_MAX);
    rs->by_name = map_new(DETECT_ITEMS_MAX);
    return rs;
}

void detect_rules_free(struct detect_rules *rs)
{
    if (!rs)
        return;
    if (rs->set)
        expr_set_fini(rs->set);
    map_free(rs->macros);
    map_free(rs->lists);
    map_free(rs->by_name);
    arena_free(rs->a);
    free(rs);
}

void detect_rules_freep(struct detect_rules **rs)
{
    detect_rules_free(*rs);
}

void detect_notice(struct detect_rules *rs, enum detect_notice_kind kind, const char *file, size_t line,
                   struct str rule, const char *fmt, ...)
{
    va_list ap;
    rs->errors += kind == NOTICE_ERROR;
    if (rs->notices_n >= DETECT_NOTICES)
        return;
    va_start(ap, fmt);
    struct str text = str_c(arena_vprintf(rs->a, fmt, ap));
    va_end(ap);
    rs->notices = arena_grow(rs->a, rs->notices, rs->notices_n, &rs->notices_cap, sizeof(*rs->notices));
    rs->notices[rs->notices_n++] = (struct detect_notice){kind, file, line, rule, text};
}

/* ---- small readers ---- */

static struct str text_of(const struct yml *map, const char *key)
{
    const struct yml *v = yml_get(map, key);
    return v && v->kind == YML_SCALAR ? str_trim(v->text) : STR_NONE;
}

static bool flag_of(const struct yml *map, const char *key, bool fallback)
{
    struct str t = text_of(map, key);
    if (!t.n)
        return fallback;
    return str_ieq(t, STR("true")) || str_ieq(t, STR("yes")) || str_ieq(t, STR("on"));
}

static struct str *texts_of(struct arena *a, const struct yml *v, size_t *n)
{
    struct str *list = arena_array(a, (v ? v->count : 0) + 1, sizeof(*list));
    *n = 0;
    if (v && v->kind == YML_SCALAR)
        list[(*n)++] = str_trim(v->text);
    else
        YML_EACH(v, it)
    if (it->kind == YML_SCALAR)
        list[(*n)++] = it->text;
    return list;
}

enum how { SET, APPEND, REPLACE };

/* What the item's `override` says about a key; `append: true` is the older way. */
static enum how how_of(struct detect_rules *rs, const char *file, const struct yml *item, const char *key)
{
    const struct yml *o = yml_get(item, "override");
    struct str word = text_of(o, key);
    if (str_eqc(word, "append"))
        return APPEND;
    if (str_eqc(word, "replace"))
        return REPLACE;
    if (word.n)
        detect_notice(rs, NOTICE_ERROR, file, o->line, STR_NONE, "override: %s is append or replace, not " STR_FMT, key,
                      STR_ARG(word));
    if (o)
        return SET;
    bool appendable = !strcmp(key, "condition") || !strcmp(key, "items") || !strcmp(key, "exceptions");
    return appendable && flag_of(item, "append", false) ? APPEND : SET;
}

static bool changes(const struct yml *item)
{
    return yml_get(item, "override") || flag_of(item, "append", false);
}

static struct str joined(struct arena *a, struct str first, struct str second)
{
    if (!first.n || !second.n)
        return first.n ? first : second;
    return arena_strf(a, STR_FMT " " STR_FMT, STR_ARG(first), STR_ARG(second));
}

/* ---- macros and lists ---- */

static void read_macro(struct detect_rules *rs, const char *file, const struct yml *item, struct str name)
{
    struct definition *d = map_get(rs->macros, name);
    struct str condition = text_of(item, "condition");
    enum how how = how_of(rs, file, item, "condition");
    if (!condition.n) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, name, "a macro needs a condition");
        return;
    }
    if (changes(item) && !d) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, name, "there is no macro of this name yet to append to");
        return;
    }
    if (!d) {
        d = arena_new_of(rs->a, struct definition);
        d->name = name;
        map_put(rs->macros, name, d);
    }
    d->condition = how == APPEND ? joined(rs->a, d->condition, condition) : condition;
    d->file = file;
    d->line = item->line;
}

static void read_list(struct detect_rules *rs, const char *file, const struct yml *item, struct str name)
{
    struct definition *d = map_get(rs->lists, name);
    const struct yml *items = yml_get(item, "items");
    enum how how = how_of(rs, file, item, "items");
    if (!items || (items->kind != YML_LIST && !yml_null(items))) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, name, "a list needs items");
        return;
    }
    if (changes(item) && !d) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, name, "there is no list of this name yet to append to");
        return;
    }
    if (!d) {
        d = arena_new_of(rs->a, struct definition);
        d->name = name;
        map_put(rs->lists, name, d);
    }
    if (how != APPEND) {
        d->items = NULL;
        d->items_n = d->items_cap = 0;
    }
    YML_EACH(items, it)
    {
        if (it->kind != YML_SCALAR) {
            detect_notice(rs, NOTICE_ERROR, file, it->line, name, "items of a list are texts");
            continue;
        }
        d->items = arena_grow(rs->a, d->items, d->items_n, &d->items_cap, sizeof(*d->items));
        d->items[d->items_n++] = it->text;
    }
    d->file = file;
    d->line = item->line;
}

/* ---- rules ---- */

static bool read_priority(struct str word, enum detect_priority *ret)
{
    if (str_ieq(word, STR("informational")))
        word = STR("INFO");
    for (size_t i = 0; i < ARRAY_LEN(priorities); i++)
        if (str_ieq(word, str_c(priorities[i]))) {
            *ret = (enum detect_priority)i;
            return true;
        }
    return false;
}

static bool is_mitre(struct str tag)
{
    size_t i = 1;
    if (!tag.n || (tag.p[0] != 'T' && tag.p[0] != 't'))
        return false;
    i += tag.n > 1 && (tag.p[1] | 32) == 'a';
    size_t from = i;
    while (i < tag.n && ((tag.p[i] >= '0' && tag.p[i] <= '9') || (tag.p[i] == '.' && i > from)))
        i++;
    return i == tag.n && i - from >= 4;
}

static void read_tags(struct detect_rules *rs, struct detect_rule *r, const struct yml *v, bool append)
{
    size_t n, old = append ? r->tags_n : 0;
    struct str *more = texts_of(rs->a, v, &n), *all = arena_array(rs->a, old + n + 1, sizeof(*all));
    if (old)
        memcpy(all, r->tags, old * sizeof(*all));
    memcpy(all + old, more, n * sizeof(*all));
    r->tags = all;
    r->tags_n = old + n;
    r->mitre = arena_array(rs->a, r->tags_n + 1, sizeof(*r->mitre));
    r->mitre_n = 0;
    for (size_t i = 0; i < r->tags_n; i++)
        if (is_mitre(r->tags[i]))
            r->mitre[r->mitre_n++] = r->tags[i];
}

static void read_text(struct detect_rules *rs, const char *file, const struct yml *item, const char *key,
                      struct str *to)
{
    struct str value = text_of(item, key);
    if (value.n)
        *to = how_of(rs, file, item, key) == APPEND ? joined(rs->a, *to, value) : value;
}

static void read_keys(struct detect_rules *rs, const char *file, const struct yml *item, struct rule_source *src)
{
    struct detect_rule *r = &src->rule;
    struct str priority = text_of(item, "priority");
    const struct yml *v;
    read_text(rs, file, item, "condition", &src->condition);
    read_text(rs, file, item, "desc", &r->desc);
    read_text(rs, file, item, "output", &r->output);
    read_text(rs, file, item, "advice", &r->advice);
    read_text(rs, file, item, "false_alarms", &r->false_alarms);
    read_text(rs, file, item, "source", &r->source);
    read_text(rs, file, item, "within", &src->within);
    if (priority.n && !read_priority(priority, &r->priority))
        detect_notice(rs, NOTICE_ERROR, file, item->line, r->name, "\"" STR_FMT "\" is no priority", STR_ARG(priority));
    if ((v = yml_get(item, "tags")))
        read_tags(rs, r, v, how_of(rs, file, item, "tags") == APPEND);
    if ((v = yml_get(item, "exceptions")))
        detect_exceptions_read(rs, src, v, how_of(rs, file, item, "exceptions") == APPEND);
    if ((v = yml_get(item, "sequence")))
        src->sequence = v;
    if ((v = yml_get(item, "count")))
        src->count = v;
    if ((v = yml_get(item, "by")))
        src->by = v;
    r->enabled = flag_of(item, "enabled", r->enabled);
    r->always = flag_of(item, "always", r->always);
    src->skip_unknown = flag_of(item, "skip-if-unknown-filter", src->skip_unknown);
}

static void unknown_keys(struct detect_rules *rs, const char *file, const struct yml *item, struct str name)
{
    static const char *const known[] = {"rule",
                                        "desc",
                                        "condition",
                                        "output",
                                        "priority",
                                        "tags",
                                        "enabled",
                                        "source",
                                        "append",
                                        "exceptions",
                                        "override",
                                        "sequence",
                                        "count",
                                        "within",
                                        "by",
                                        "always",
                                        "advice",
                                        "capture",
                                        "capture_duration",
                                        "false_alarms",
                                        "warn_evttypes",
                                        "skip-if-unknown-filter"};
    YML_EACH(item, it)
    {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known) && !found; i++)
            found = str_eqc(it->key, known[i]);
        if (!found)
            detect_notice(rs, NOTICE_WARNING, file, it->key_line, name, "the key " STR_FMT " is not known",
                          STR_ARG(it->key));
        else if (str_starts(it->key, STR("capture")))
            detect_notice(rs, NOTICE_UNSUPPORTED, file, it->key_line, name, "captures are not made here");
    }
}

static void read_rule(struct detect_rules *rs, const char *file, const struct yml *item, struct str name)
{
    struct rule_source *src = map_get(rs->by_name, name);
    bool whole = (yml_get(item, "condition") || yml_get(item, "sequence")) && !changes(item);
    unknown_keys(rs, file, item, name);
    if (!src && !whole) {
        if (changes(item) || !yml_get(item, "enabled") || yml_get(item, "desc"))
            detect_notice(rs, NOTICE_ERROR, file, item->line, name,
                          changes(item) ? "there is no rule of this name yet to change"
                                        : "a rule needs condition, desc, output and priority");
        else
            detect_notice(rs, NOTICE_WARNING, file, item->line, name, "there is no rule of this name to switch");
        return;
    }
    if (!src) {
        src = arena_new_of(rs->a, struct rule_source);
        rs->sources = arena_grow(rs->a, rs->sources, rs->n, &rs->cap, sizeof(struct rule_source *));
        rs->sources[rs->n++] = src;
        map_put(rs->by_name, name, src);
    }
    if (whole) {
        *src = (struct rule_source){
            .rule = {.name = name, .enabled = true, .source = STR("syscall"), .priority = PRIORITY_DEBUG}};
        src->rule.file = file;
        src->rule.line = item->line;
    }
    read_keys(rs, file, item, src);
    if (whole && (!src->rule.desc.n || !src->rule.output.n || !yml_get(item, "priority")))
        detect_notice(rs, NOTICE_ERROR, file, item->line, name, "a rule needs condition, desc, output and priority");
}

/* ---- files ---- */

/* "0.31.0" or the older 31 */
static bool version_of(struct str s, uint64_t *ret)
{
    struct str part;
    uint64_t v[3] = {0}, n = 0;
    while (n < 3 && str_cut(&s, '.', &part))
        if (str_u64(part, &v[n++]) < 0)
            return false;
    if (!n)
        return false;
    *ret = n == 1 ? v[0] << 16 : v[0] << 32 | v[1] << 16 | v[2];
    return true;
}

static void read_version(struct detect_rules *rs, const char *file, const struct yml *v)
{
    uint64_t want, have = 0;
    version_of(STR(DETECT_ENGINE_VERSION), &have);
    if (v->kind != YML_SCALAR || !version_of(v->text, &want))
        detect_notice(rs, NOTICE_ERROR, file, v->line, STR_NONE, "required_engine_version is no version");
    else if (want > have)
        detect_notice(rs, NOTICE_UNSUPPORTED, file, v->line, STR_NONE,
                      "the file wants engine version " STR_FMT ", the language here is that of " DETECT_ENGINE_VERSION
                      ": what is newer is told rule by rule",
                      STR_ARG(v->text));
}

static void read_plugins(struct detect_rules *rs, const char *file, const struct yml *list)
{
    YML_EACH(list, it)
    {
        struct str name = text_of(it, "name");
        if (!str_eqc(name, "container")) /* what that plugin adds is here without it */
            detect_notice(rs, NOTICE_UNSUPPORTED, file, it->line, STR_NONE,
                          "there are no plugins here; the file wants " STR_FMT, STR_ARG(name));
    }
}

static void read_item(struct detect_rules *rs, const char *file, const struct yml *item)
{
    const struct yml *v;
    if (item->kind != YML_MAP) {
        detect_notice(rs, NOTICE_ERROR, file, item->line, STR_NONE, "expected a rule, macro or list");
        return;
    }
    if ((v = yml_get(item, "rule")) && v->text.n)
        read_rule(rs, file, item, v->text);
    else if ((v = yml_get(item, "macro")) && v->text.n)
        read_macro(rs, file, item, v->text);
    else if ((v = yml_get(item, "list")) && v->text.n)
        read_list(rs, file, item, v->text);
    else if ((v = yml_get(item, "required_engine_version")))
        read_version(rs, file, v);
    else if ((v = yml_get(item, "required_plugin_versions")))
        read_plugins(rs, file, v);
    else
        detect_notice(rs, NOTICE_ERROR, file, item->line, STR_NONE, "neither a rule nor a macro nor a list");
}

int detect_rules_add(struct detect_rules *rs, const char *file, struct str text, struct err *e)
{
    struct yml_doc *docs;
    size_t n;
    int r = yml_parse(rs->a, text, &docs, &n, e);
    if (r < 0)
        return err_wrap(e, "%s", file), r;
    rs->fingerprint = rs->fingerprint * 31 + str_hash(text);
    file = arena_cstr(rs->a, str_c(file));
    for (size_t i = 0; i < n; i++) {
        if (docs[i].root->kind != YML_LIST)
            return err_set(e, EBADMSG, "%s: line %zu: expected a list of rules, macros and lists", file,
                           docs[i].root->line);
        YML_EACH(docs[i].root, item)
        {
            if (rs->n + map_count(rs->macros) + map_count(rs->lists) >= DETECT_ITEMS_MAX - 1)
                return err_set(e, E2BIG, "%s: more than %u rules, macros and lists", file, DETECT_ITEMS_MAX);
            read_item(rs, file, item);
        }
    }
    return 0;
}

static int is_rule_file(const struct dirent *d)
{
    struct str name = str_c(d->d_name);
    return d->d_name[0] != '.' && (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_file(struct detect_rules *rs, const char *path, struct err *e)
{
    struct str text;
    int r = fs_read(rs->a, path, LIMIT_POLICY_FILE, &text, e);
    return r < 0 ? r : detect_rules_add(rs, path, text, e);
}

int detect_rules_read(struct detect_rules *rs, const char *path, struct err *e)
{
    struct dirent **names;
    int n = scandir(path, &names, is_rule_file, by_bytes), r = 0;
    if (n < 0)
        return errno == ENOTDIR ? read_file(rs, path, e) : err_errno(e, "%s", path);
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = read_file(rs, arena_printf(rs->a, "%s/%s", path, names[i]->d_name), e);
        free(names[i]);
    }
    free(names);
    return r;
}

size_t detect_rules_list(const struct detect_rules *rs, struct detect_rule *const **ret)
{
    *ret = rs->rules;
    return rs->rules ? rs->n : 0;
}

size_t detect_rules_notices(const struct detect_rules *rs, const struct detect_notice **ret)
{
    *ret = rs->notices;
    return rs->notices_n;
}

size_t detect_rules_errors(const struct detect_rules *rs)
{
    return rs->errors;
}

size_t detect_rules_in_force(const struct detect_rules *rs)
{
    return rs->in_force;
}

const struct expr_set *detect_rules_set(const struct detect_rules *rs)
{
    return rs->set;
}

uint64_t detect_rules_kinds(const struct detect_rules *rs)
{
    return rs->kinds;
}

uint64_t detect_rules_fingerprint(const struct detect_rules *rs)
{
    return rs->fingerprint;
}
