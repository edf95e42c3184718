/* The set: loading, revision, reference counting. */
#include "policy/policy.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/limits.h"
#include "format/digest.h"
#include "policy/policy_internal.h"

#include <dirent.h>
#include <sys/stat.h>

#define SET_ARENA ((size_t)1 << 30)

static const char *const kind_names[] = {"ImagePolicy", "ContainerPolicy", "AccessPolicy", NULL};

const char *policy_kind_name(enum policy_kind kind)
{
    return kind_names[kind];
}

struct policy_set *policy_set_ref(struct policy_set *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void policy_set_unref(struct policy_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(s->a);
    free(s);
}

void policy_set_unrefp(struct policy_set **s)
{
    policy_set_unref(*s);
    *s = NULL;
}

struct str policy_set_revision(const struct policy_set *s)
{
    return str_c(s->revision);
}

size_t policy_set_docs(const struct policy_set *s, const struct policy_doc **ret)
{
    *ret = s->docs;
    return s->docs_n;
}

size_t policy_set_notices(const struct policy_set *s, const struct str **ret)
{
    *ret = s->notices.v;
    return s->notices.n;
}

static int read_name(struct reading *r, const struct yml *doc)
{
    static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const struct yml *v = yml_get(doc, "name");
    struct str name;
    if (!v)
        return read_fail(r, doc, "name is missing");
    int rc = read_text(r, v, "name", &name);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < name.n; i++)
        if (name.n > 128 || !name.p[i] || !strchr(ok, name.p[i]))
            return read_fail(r, v, "name: expected at most 128 letters, digits, - _ . and found \"" STR_FMT "\"",
                             STR_ARG(str_sub(name, 0, 60)));
    r->name = name;
    return 0;
}

/* Files written by the agent (agent/install.c) carry the revision that the console gave a document in its first line.
 */
static int64_t written_revision(struct str text)
{
    struct str line;
    int64_t revision;
    if (!str_cut(&text, '\n', &line) || !str_starts(line, STR("# revision: ")) ||
        str_i64(str_trim(str_sub(line, 12, line.n)), &revision) < 0)
        return 0;
    return revision;
}

static int read_doc(struct reading *r, const struct yml_doc *doc, int64_t revision)
{
    struct policy_set *s = r->set;
    const struct yml *root = doc->root, *kind_at = yml_get(root, "kind");
    int kind = 0, rc;
    if (revision == 0)
        revision = written_revision(doc->text);
    r->name = STR_NONE;
    if (root->kind != YML_MAP)
        return read_fail(r, root, "expected a policy document, a mapping with kind and name");
    if (!kind_at)
        return read_fail(r, root, "kind is missing: ImagePolicy, ContainerPolicy or AccessPolicy");
    if ((rc = read_choice(r, kind_at, "kind", kind_names, &kind)) < 0 || (rc = read_name(r, root)) < 0)
        return rc;
    for (size_t i = 0; i < s->docs_n; i++)
        if ((int)s->docs[i].kind == kind && str_eq(s->docs[i].name, r->name))
            return read_fail(r, root, "there is another %s of this name", kind_names[kind]);
    switch ((enum policy_kind)kind) {
    case POLICY_IMAGE:
        s->images = arena_grow(r->a, s->images, s->images_n, &s->images_cap, sizeof(*s->images));
        s->images[s->images_n] = (struct image_policy){0};
        if ((rc = image_policy_read(r, root, &s->images[s->images_n])) < 0)
            return rc;
        s->images_n++;
        break;
    case POLICY_CONTAINER:
        s->containers = arena_grow(r->a, s->containers, s->containers_n, &s->containers_cap, sizeof(*s->containers));
        if ((rc = container_policy_read(r, root, revision, &s->containers[s->containers_n])) < 0)
            return rc;
        s->containers_n++;
        break;
    case POLICY_ACCESS:
    case POLICY_KINDS:
        if ((rc = access_policy_read(r, root)) < 0)
            return rc;
        break;
    }
    s->docs = arena_grow(r->a, s->docs, s->docs_n, &s->docs_cap, sizeof(*s->docs));
    s->docs[s->docs_n++] = (struct policy_doc){.kind = (enum policy_kind)kind,
                                               .name = r->name,
                                               .revision = revision,
                                               .text = doc->text,
                                               .json = yml_json(r->a, root)};
    return 0;
}

/* ---- revision ---- */

static int by_key(const void *a, const void *b)
{
    return str_cmp((*(const struct json_value *const *)a)->key, (*(const struct json_value *const *)b)->key);
}

/* Compact JSON with sorted keys. The depth of a document was capped when it was read. */
static void canonical(struct arena *a, struct json_writer *w, const struct json_value *v)
{
    if (v->type != JSON_OBJECT && v->type != JSON_ARRAY) {
        json_w_value(w, v);
        return;
    }
    const struct json_value **m = arena_array(a, v->count, sizeof(*m));
    size_t n = 0;
    JSON_EACH (v, it)
        m[n++] = it;
    if (v->type == JSON_OBJECT) {
        qsort(m, n, sizeof(*m), by_key);
        json_w_object(w);
    } else {
        json_w_array(w);
    }
    for (size_t i = 0; i < n; i++) {
        if (v->type == JSON_OBJECT)
            json_w_key(w, m[i]->key.p);
        canonical(a, w, m[i]);
    }
    json_w_end(w);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int set_revision(struct policy_set *s, struct err *e)
{
    struct str *lines = arena_array(s->a, s->docs_n, sizeof(*lines));
    uint8_t sum[SHA256_SIZE];
    for (size_t i = 0; i < s->docs_n; i++) {
        _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
        struct json_writer w = JSON_WRITER(&b);
        canonical(s->a, &w, s->docs[i].json);
        int rc = buf_check(&b, e);
        if (rc < 0)
            return rc;
        lines[i] = arena_str(s->a, buf_str(&b));
    }
    qsort(lines, s->docs_n, sizeof(*lines), by_text);
    struct sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < s->docs_n; i++) {
        sha256_update(&h, lines[i].p, lines[i].n);
        sha256_update(&h, "\n", 1);
    }
    sha256_final(&h, sum);
    hex_encode(sum, sizeof(sum), s->revision);
    return 0;
}

/* ---- loading ---- */

static int read_source(struct policy_set *s, const struct policy_source *source, struct err *e)
{
    struct reading r = {.set = s, .a = s->a, .origin = arena_str(s->a, source->origin), .e = e};
    struct yml_doc *docs;
    size_t n;
    if (source->text.n > LIMIT_POLICY_FILE)
        return err_set(e, E2BIG, STR_FMT ": larger than %u bytes", STR_ARG(r.origin), LIMIT_POLICY_FILE);
    if (arena_used(s->a) > SET_ARENA / 4)
        return err_set(e, E2BIG, STR_FMT ": the policies are too large together", STR_ARG(r.origin));
    int rc = yml_parse(s->a, source->text, &docs, &n, e);
    if (rc < 0) {
        err_wrap(e, STR_FMT, STR_ARG(r.origin));
        return rc;
    }
    if (s->docs_n + n > LIMIT_POLICY_DOCS)
        return err_set(e, E2BIG, STR_FMT ": more than %u documents in the set", STR_ARG(r.origin), LIMIT_POLICY_DOCS);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_doc(&r, &docs[i], source->revision);
    return rc;
}

int policy_set_parse(const struct policy_source *sources, size_t n, struct policy_set **ret, struct err *e)
{
    _cleanup_(policy_set_unrefp) struct policy_set *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    atomic_init(&s->refs, 1);
    s->a = arena_new(SET_ARENA);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_source(s, &sources[i], e);
    if (rc == 0)
        rc = set_revision(s, e);
    if (rc == 0)
        *ret = TAKE(s);
    return rc;
}

struct sources {
    struct arena *a;
    struct policy_source *v;
    size_t n, cap;
};

static int add_file(struct sources *s, const char *path, struct err *e)
{
    s->v = arena_grow(s->a, s->v, s->n, &s->cap, sizeof(*s->v));
    s->v[s->n] = (struct policy_source){.origin = arena_str(s->a, str_c(path))};
    if (s->n >= LIMIT_POLICY_DOCS)
        return err_set(e, E2BIG, "%s: more than %u files", path, LIMIT_POLICY_DOCS);
    int rc = fs_read(s->a, path, LIMIT_POLICY_FILE, &s->v[s->n].text, e);
    if (rc == 0 && arena_used(s->a) > SET_ARENA / 4)
        rc = err_set(e, E2BIG, "%s: the policies are too large together", path);
    s->n += rc == 0;
    return rc;
}

static int visible_yaml(const struct dirent *d)
{
    struct str name = str_c(d->d_name);
    return name.p[0] != '.' && (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")));
}

static int add_folder(struct sources *s, const char *path, struct err *e)
{
    struct dirent **names;
    int n = scandir(path, &names, visible_yaml, alphasort), rc = 0; /* C locale: bytewise */
    if (n < 0)
        return err_errno(e, "%s", path);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = add_file(s, arena_printf(s->a, "%s/%s", path, names[i]->d_name), e);
        free(names[i]);
    }
    free(names);
    return rc;
}

int policy_set_load(const char *const *paths, size_t n, struct policy_set **ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(SET_ARENA);
    struct sources s = {.a = a};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct stat st;
        if (stat(paths[i], &st) < 0)
            return err_errno(e, "%s", paths[i]);
        rc = S_ISDIR(st.st_mode) ? add_folder(&s, paths[i], e) : add_file(&s, paths[i], e);
    }
    return rc < 0 ? rc : policy_set_parse(s.v, s.n, ret, e);
}
