/* Ignore files as people have them: .trivyignore (an id a line, "exp:2027-01-31" behind it), .trivyignore.yaml
 * (https://trivy.dev: vulnerabilities, secrets, misconfigurations with paths, purls, expired_at, statement), and the
 * list "ignore" of Grype's configuration. */
#include "base/cleanup.h"
#include "base/time.h"
#include "format/yml.h"
#include "scan/vex.h"

struct reading {
    struct arena *a;
    struct str origin;
    struct vex *vex;
};

static struct str *one(struct arena *a, struct str s)
{
    struct str *v = arena_array(a, 1, sizeof(*v));
    v[0] = s;
    return v;
}

static struct vex_statement *add(struct reading *r, size_t line)
{
    struct vex_statement *s = vex_add(r->a, r->vex, arena_strf(r->a, STR_FMT ":%zu", STR_ARG(r->origin), line));
    s->effect = VEX_IGNORE;
    s->status = VULN_NOT_AFFECTED;
    return s;
}

static int date(struct reading *r, struct str text, int64_t *ret, struct err *e)
{
    struct str full = text.n == 10 ? arena_strf(r->a, STR_FMT "T00:00:00Z", STR_ARG(text)) : text;
    if (time_parse(full, ret) < 0)
        return err_set(e, EBADMSG, "\"" STR_FMT "\" is no date (2027-01-31)", STR_ARG(text));
    return 0;
}

static int lines(struct reading *r, struct str text, struct err *e)
{
    struct str line;
    for (size_t number = 1; str_cut(&text, '\n', &line); number++) {
        struct str id = STR_NONE, word, note = STR_NONE;
        ptrdiff_t hash = str_chr(line, '#');
        if (hash >= 0) {
            note = str_trim(str_sub(line, (size_t)hash + 1, line.n));
            line = str_sub(line, 0, (size_t)hash);
        }
        line = str_trim(line);
        struct vex_statement *s = NULL;
        while (str_cut(&line, ' ', &word)) {
            if (!word.n)
                continue;
            if (!id.n) {
                id = word;
                s = add(r, number);
                s->kind = -1; /* rules of secrets and checks are named in the same list */
                s->ids = one(r->a, arena_str(r->a, id));
                s->ids_n = 1;
                s->note = arena_str(r->a, note);
            } else if (str_starts(word, STR("exp:"))) {
                int q = date(r, str_sub(word, 4, word.n), &s->expires, e);
                if (q < 0)
                    return err_wrap(e, "line %zu", number), q;
            } else {
                return err_set(e, EBADMSG, "line %zu: \"" STR_FMT "\" behind the id; expected exp:DATE or nothing",
                               number, STR_ARG(word));
            }
        }
    }
    return 0;
}

static struct str scalar(const struct yml *map, const char *key)
{
    const struct yml *v = yml_get(map, key);
    return v && v->kind == YML_SCALAR && !yml_null(v) ? v->text : STR_NONE;
}

/* ---- .trivyignore.yaml ---- */

static int trivy_entry(struct reading *r, const struct yml *it, enum finding_kind kind, struct err *e)
{
    struct str id = scalar(it, "id"), expires = scalar(it, "expired_at");
    const struct yml *paths = yml_get(it, "paths"), *purls = yml_get(it, "purls");
    struct vex_statement base = {.kind = kind, .note = scalar(it, "statement")};
    int q;
    if (!id.n)
        return err_set(e, EBADMSG, "line %zu: an entry without id", it->line);
    if (expires.n && (q = date(r, expires, &base.expires, e)) < 0)
        return err_wrap(e, "line %zu", it->line), q;
    const struct yml *path = paths ? paths->first : NULL;
    do { /* each path with all purls */
        struct vex_statement *s = add(r, it->line);
        s->kind = base.kind;
        s->note = base.note;
        s->expires = base.expires;
        s->ids = one(r->a, id);
        s->ids_n = 1;
        s->path = path ? path->text : STR_NONE;
        s->components = arena_array(r->a, purls ? purls->count + 1 : 1, sizeof(*s->components));
        YML_EACH(purls, purl)
        s->components[s->components_n++] = purl->text;
        path = path ? path->next : NULL;
    } while (path);
    return 0;
}

static int trivy(struct reading *r, const struct yml *root, struct err *e)
{
    static const struct {
        const char *key;
        enum finding_kind kind;
    } lists[] = {{"vulnerabilities", FINDING_VULN}, {"secrets", FINDING_SECRET}, {"misconfigurations", FINDING_CHECK}};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        YML_EACH(yml_get(root, lists[i].key), it)
        {
            int q = trivy_entry(r, it, lists[i].kind, e);
            if (q < 0)
                return q;
        }
    return 0;
}

/* ---- Grype ---- */

/* Grype's names of package types */
static struct str purl_type(struct str type)
{
    static const char *const types[][2] = {
        {"python", "pypi"},           {"go-module", "golang"}, {"java-archive", "maven"}, {"rust-crate", "cargo"},
        {"php-composer", "composer"}, {"dotnet", "nuget"},     {"binary", "generic"}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eqc(type, types[i][0]))
            return str_c(types[i][1]);
    return type;
}

static int grype_rule(struct reading *r, const struct yml *it, struct err *e)
{
    static const char *const known[] = {"vulnerability", "reason", "fix-state", "package", "include-aliases"};
    const struct yml *package = yml_get(it, "package");
    YML_EACH(it, member)
    {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            found = found || str_eqc(member->key, known[i]);
        if (!found) /* passed over, the rule would ignore more than it says */
            return err_set(e, EBADMSG, "line %zu: \"" STR_FMT "\" is not supported in an ignore rule", member->line,
                           STR_ARG(member->key));
    }
    struct vex_statement *s = add(r, it->line);
    struct str id = scalar(it, "vulnerability");
    if (id.n) {
        s->ids = one(r->a, id);
        s->ids_n = 1;
    }
    s->note = scalar(it, "reason");
    s->fix_state = scalar(it, "fix-state");
    s->name = scalar(package, "name");
    s->version = scalar(package, "version");
    s->type = purl_type(scalar(package, "type"));
    s->path = scalar(package, "location");
    if (!id.n && !s->fix_state.n && !s->name.n && !s->type.n && !s->path.n)
        return err_set(e, EBADMSG, "line %zu: an ignore rule that would ignore everything", it->line);
    return 0;
}

static bool looks_like_yaml(struct str text)
{
    static const char *const keys[] = {"vulnerabilities:", "secrets:", "misconfigurations:", "licenses:", "ignore:"};
    struct str line;
    while (str_cut(&text, '\n', &line))
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            if (str_starts(line, str_c(keys[i])))
                return true;
    return false;
}

int ignore_parse(struct arena *a, struct str origin, struct str text, struct vex *ret, struct err *e)
{
    struct reading r = {a, arena_str(a, origin), ret};
    struct yml_doc *docs;
    size_t n;
    if (!looks_like_yaml(text))
        return lines(&r, text, e);
    int q = yml_parse(a, text, &docs, &n, e);
    if (q < 0)
        return q;
    for (size_t i = 0; i < n && q == 0; i++) {
        const struct yml *rules = yml_get(docs[i].root, "ignore");
        YML_EACH(rules, it)
        if (q == 0)
            q = grype_rule(&r, it, e);
        if (q == 0)
            q = trivy(&r, docs[i].root, e);
    }
    return q;
}
