/* Pieces every kind of policy document is made of, with messages that say file, line, field and what to do. */
#include "base/cleanup.h"
#include "base/time.h"
#include "policy/policy_internal.h"

#include <stdarg.h>
#include <stdio.h>

int read_fail(const struct reading *r, const struct yml *at, const char *fmt, ...)
{
    char what[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    size_t line = at ? at->line : 1;
    if (r->name.n)
        return err_set(r->e, EINVAL, STR_FMT ":%zu: policy " STR_FMT ": %s", STR_ARG(r->origin), line,
                       STR_ARG(str_sub(r->name, 0, 80)), what);
    return err_set(r->e, EINVAL, STR_FMT ":%zu: %s", STR_ARG(r->origin), line, what);
}

void strs_add(struct arena *a, struct strs *s, struct str v)
{
    s->v = arena_grow(a, s->v, s->n, &s->cap, sizeof(*s->v));
    s->v[s->n++] = v;
}

void read_notice(const struct reading *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = arena_vprintf(r->a, fmt, ap);
    va_end(ap);
    strs_add(r->a, &r->set->notices, arena_strf(r->a, "policy " STR_FMT ": %s", STR_ARG(r->name), what));
}

static const char *kind_word(const struct yml *v)
{
    return v->kind == YML_MAP ? "a mapping" : v->kind == YML_LIST ? "a list" : "a single value";
}

static const char *nearest(struct str key, const char *const *known)
{
    const char *best = NULL;
    size_t least = key.n / 3 + 2;
    for (; *known; known++) {
        size_t d = str_distance(key, str_c(*known));
        if (d < least) {
            least = d;
            best = *known;
        }
    }
    return best;
}

static void join(char *out, size_t size, const char *const *names)
{
    size_t n = 0;
    out[0] = '\0';
    for (; *names && n < size - 1; names++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", *names);
}

int read_map(const struct reading *r, const struct yml *v, const char *where, const char *const *known)
{
    if (v->kind != YML_MAP)
        return read_fail(r, v, "%s: expected a mapping, found %s", where, kind_word(v));
    YML_EACH(v, it)
    {
        size_t i = 0;
        while (known[i] && !str_eqc(it->key, known[i]))
            i++;
        if (known[i])
            continue;
        struct yml at = {.line = it->key_line};
        const char *guess = nearest(it->key, known);
        struct str key = str_sub(it->key, 0, 60);
        if (guess)
            return read_fail(r, &at, "%s: unknown field \"" STR_FMT "\"; did you mean \"%s\"?", where, STR_ARG(key),
                             guess);
        char all[400];
        join(all, sizeof(all), known);
        return read_fail(r, &at, "%s: unknown field \"" STR_FMT "\"; there are %s", where, STR_ARG(key), all);
    }
    return 0;
}

int read_text(const struct reading *r, const struct yml *v, const char *where, struct str *ret)
{
    if (v->kind != YML_SCALAR)
        return read_fail(r, v, "%s: expected a text, found %s", where, kind_word(v));
    struct str s = str_trim(v->text);
    if (!s.n || yml_null(v))
        return read_fail(r, v, "%s: must not be empty", where);
    *ret = s;
    return 0;
}

int read_bool(const struct reading *r, const struct yml *v, const char *where, bool *ret)
{
    if (v->kind != YML_SCALAR || (!str_eqc(v->text, "true") && !str_eqc(v->text, "false")))
        return read_fail(r, v, "%s: expected true or false", where);
    *ret = str_eqc(v->text, "true");
    return 0;
}

int read_duration(const struct reading *r, const struct yml *v, const char *where, int64_t *ret)
{
    if (v->kind != YML_SCALAR || duration_parse(v->text, ret) < 0)
        return read_fail(r, v, "%s: expected a duration like 90s, 15m, 72h, 14d or 2w", where);
    return 0;
}

int read_choice(const struct reading *r, const struct yml *v, const char *where, const char *const *names, int *ret)
{
    if (v->kind == YML_SCALAR)
        for (int i = 0; names[i]; i++)
            if (str_eqc(v->text, names[i])) {
                *ret = i;
                return 0;
            }
    char all[300];
    join(all, sizeof(all), names);
    if (v->kind != YML_SCALAR)
        return read_fail(r, v, "%s: expected one of %s, found %s", where, all, kind_word(v));
    return read_fail(r, v, "%s: \"" STR_FMT "\" is not one of %s", where, STR_ARG(str_sub(v->text, 0, 60)), all);
}

int read_strs(const struct reading *r, const struct yml *v, const char *where, struct strs *ret)
{
    if (v->kind != YML_LIST)
        return read_fail(r, v, "%s: expected a list, found %s", where, kind_word(v));
    ret->given = true;
    YML_EACH(v, it)
    {
        struct str s;
        char at[100];
        snprintf(at, sizeof(at), "%s[%zu]", where, ret->n);
        int rc = read_text(r, it, at, &s);
        if (rc < 0)
            return rc;
        strs_add(r->a, ret, s);
    }
    return 0;
}

int read_selector(const struct reading *r, const struct yml *v, struct selector *ret)
{
    static const char *const known[] = {"images", "names", "labels", NULL};
    if (!v)
        return 0;
    int rc = read_map(r, v, "select", known);
    const struct yml *images = yml_get(v, "images"), *names = yml_get(v, "names"), *labels = yml_get(v, "labels");
    if (rc == 0 && images)
        rc = read_strs(r, images, "select.images", &ret->images);
    if (rc == 0 && names)
        rc = read_strs(r, names, "select.names", &ret->names);
    if (rc < 0 || !labels)
        return rc;
    if (labels->kind != YML_MAP)
        return read_fail(r, labels, "select.labels: expected a mapping of labels to values, found %s",
                         kind_word(labels));
    ret->label_keys = arena_array(r->a, labels->count, sizeof(struct str));
    ret->label_values = arena_array(r->a, labels->count, sizeof(struct str));
    ret->by_labels = true;
    YML_EACH(labels, it)
    {
        if (it->kind != YML_SCALAR)
            return read_fail(r, it, "select.labels: the value of a label is a text, found %s", kind_word(it));
        ret->label_keys[ret->labels_n] = it->key;
        ret->label_values[ret->labels_n++] = it->text;
    }
    return 0;
}

/* A name as Docker would complete it: host and library/ made explicit. Empty when it already is. */
static struct str canonical(struct str name, char *out, size_t size)
{
    struct str first, rest;
    int n;
    if (!str_split(name, '/', &first, &rest))
        n = snprintf(out, size, "docker.io/library/" STR_FMT, STR_ARG(name));
    else if (str_chr(first, '.') < 0 && str_chr(first, ':') < 0 && !str_eqc(first, "localhost"))
        n = snprintf(out, size, "docker.io/" STR_FMT, STR_ARG(name));
    else
        return STR_NONE;
    return n > 0 && (size_t)n < size ? str_n(out, (size_t)n) : STR_NONE;
}

static struct str without_tag(struct str name)
{
    ptrdiff_t at = str_chr(name, '@');
    if (at >= 0)
        return str_sub(name, 0, (size_t)at);
    ptrdiff_t slash = str_rchr(name, '/'), colon = str_rchr(name, ':');
    return colon > slash ? str_sub(name, 0, (size_t)colon) : name;
}

/* A pattern means a name as it is written, with or without tag or digest, and in Docker's long form: a policy must
 * not be passed by because one image has several spellings. */
static bool image_matches(struct str pattern, struct str name)
{
    char text[1024];
    struct str longer = canonical(name, text, sizeof(text));
    return str_glob(pattern, name, true) || str_glob(pattern, without_tag(name), true) ||
           (longer.n && (str_glob(pattern, longer, true) || str_glob(pattern, without_tag(longer), true)));
}

bool select_images(const struct strs *patterns, const struct str *names, size_t n, struct str image_id)
{
    for (size_t i = 0; i < patterns->n; i++) {
        if (str_glob(patterns->v[i], image_id, true))
            return true;
        for (size_t k = 0; k < n; k++)
            if (image_matches(patterns->v[i], names[k]))
                return true;
    }
    return false;
}
