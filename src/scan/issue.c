#include "scan/issue.h"

#include "base/limits.h"
#include "format/digest.h"

static void put(struct json_writer *w, const char *key, struct str s)
{
    if (s.n)
        json_w_kstr(w, key, s);
}

void issue_write(struct json_writer *w, const struct finding *f)
{
    json_w_object(w);
    json_w_kstrz(w, "kind", finding_kind_name(f->kind));
    json_w_kstr(w, "id", f->id);
    json_w_kstrz(w, "severity", vuln_severity_name(f->severity));
    json_w_kstr(w, "title", f->title);
    json_w_kstrz(w, "origin", finding_origin_name(f->origin));
    put(w, "path", f->path);
    put(w, "layer", f->layer);
    put(w, "match", f->match);
    put(w, "engine", f->engine);
    put(w, "sha256", f->sha256);
    put(w, "type", f->type);
    put(w, "address", f->address);
    if (f->line)
        json_w_ki64(w, "line", f->line);
    json_w_kbool(w, "hidden", f->hidden);
    json_w_end(w);
}

int issue_read(const struct json_value *v, struct finding *ret, struct err *e)
{
    struct finding f = {
        .id = json_str(json_get(v, "id")),
        .title = json_str(json_get(v, "title")),
        .path = json_str(json_get(v, "path")),
        .layer = json_str(json_get(v, "layer")),
        .match = json_str(json_get(v, "match")),
        .engine = json_str(json_get(v, "engine")),
        .sha256 = json_str(json_get(v, "sha256")),
        .type = json_str(json_get(v, "type")),
        .address = json_str(json_get(v, "address")),
        .hidden = json_bool(json_get(v, "hidden"), false),
        .cvss = -1,
        .epss = -1,
        .kind = FINDING_KINDS,
        .origin = ORIGINS,
    };
    static const enum finding_kind kinds[] = {FINDING_MALWARE, FINDING_SECRET, FINDING_CHECK, FINDING_DYNAMIC};
    struct str kind = json_str(json_get(v, "kind")), origin = json_str(json_get(v, "origin"));
    int64_t line = json_i64(json_get(v, "line"), 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_eqc(kind, finding_kind_name(kinds[i])))
            f.kind = kinds[i];
    for (unsigned i = 0; i < ORIGINS; i++)
        if (str_eqc(origin, finding_origin_name((enum finding_origin)i)))
            f.origin = (enum finding_origin)i;
    if (f.kind == FINDING_KINDS || f.origin == ORIGINS || !f.id.n || !f.title.n || line < 0 || line > UINT32_MAX ||
        (f.layer.n && !digest_valid(f.layer)) ||
        vuln_severity_parse(json_str(json_get(v, "severity")), &f.severity) < 0)
        return err_set(e, EBADMSG, "finding \"" STR_FMT "\": malformed", STR_ARG(str_sub(f.id, 0, 80)));
    f.line = (uint32_t)line;
    *ret = f;
    return 0;
}

void issues_write(struct json_writer *w, const char *key, const struct finding *list, size_t n)
{
    json_w_karray(w, key);
    for (size_t i = 0; i < n; i++)
        issue_write(w, &list[i]);
    json_w_end(w);
}

int issues_read(struct arena *a, const struct json_value *v, struct finding **ret, size_t *ret_n, struct err *e)
{
    *ret = NULL;
    *ret_n = 0;
    if (!v || v->type == JSON_NULL)
        return 0;
    if (v->type != JSON_ARRAY || v->count > LIMIT_SCAN_ISSUES)
        return err_set(e, EBADMSG, "issues: a list was expected");
    struct finding *list = arena_array(a, v->count, sizeof(*list));
    size_t n = 0;
    JSON_EACH (v, it) {
        int r = issue_read(it, &list[n++], e);
        if (r < 0)
            return r;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

int issue_order(const void *x, const void *y)
{
    static const char rank[FINDING_KINDS] = {
        [FINDING_MALWARE] = 1, [FINDING_SECRET] = 2, [FINDING_DYNAMIC] = 3, [FINDING_CHECK] = 4};
    const struct finding *a = x, *b = y;
    if (a->kind != b->kind)
        return rank[a->kind] - rank[b->kind];
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    if (a->hidden != b->hidden)
        return a->hidden ? 1 : -1;
    int r = str_cmp(a->id, b->id);
    if (r == 0)
        r = str_cmp(a->path, b->path);
    if (r == 0)
        r = str_cmp(a->layer, b->layer);
    if (r == 0)
        r = (a->line > b->line) - (a->line < b->line);
    return r ? r : str_cmp(a->match, b->match);
}

struct str issue_place(struct arena *a, const struct finding *f)
{
    if (f->origin != ORIGIN_FILE)
        return f->path.n ? arena_strf(a, "%s " STR_FMT, finding_origin_name(f->origin), STR_ARG(f->path))
                         : str_c(finding_origin_name(f->origin));
    if (f->line)
        return arena_strf(a, STR_FMT ":%u", STR_ARG(f->path), f->line);
    return f->path;
}
