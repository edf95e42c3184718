#include "runc/identity.h"

#include "base/fs.h"
#include "base/limits.h"

#define NAMES_MAX  256u
#define ROOT_DEPTH 8u

static struct json_value *load(struct arena *a, const char *path, size_t max)
{
    struct str text;
    struct json_value *v;
    if (fs_read(a, path, max, &text, NULL) < 0 || json_parse(a, text, 0, &v, NULL) < 0)
        return NULL;
    return v;
}

/* The engine's root is the ancestor of the root file system that holds containers/ID; the driver is the next segment.
 */
static struct json_value *engine_file(struct arena *a, const char *bundle, struct str id, struct str *root,
                                      struct str *driver)
{
    const struct json_value *config = load(a, arena_printf(a, "%s/config.json", bundle), LIMIT_SUBJECT * 4);
    struct str path = json_str(json_path(config, "root.path"));
    if (!path.n || path.p[0] != '/')
        return NULL;
    for (unsigned i = 0; i < ROOT_DEPTH; i++) {
        ptrdiff_t slash = str_rchr(path, '/');
        if (slash <= 0)
            break;
        *driver = str_sub(path, (size_t)slash + 1, path.n);
        path = str_sub(path, 0, (size_t)slash);
        char *file = arena_printf(a, STR_FMT "/containers/" STR_FMT "/config.v2.json", STR_ARG(path), STR_ARG(id));
        struct json_value *v = fs_exists(file) ? load(a, file, LIMIT_SUBJECT * 4) : NULL;
        if (v) {
            *root = path;
            return v;
        }
    }
    return NULL;
}

static void add_name(struct subject *s, struct str name)
{
    for (size_t i = 0; i < s->names_n; i++)
        if (str_eq(s->names[i], name))
            return;
    if (name.n && s->names_n < NAMES_MAX)
        s->names[s->names_n++] = name;
}

static void add_repository_names(struct arena *a, struct str root, struct str driver, struct subject *s)
{
    const struct json_value *v =
        load(a, arena_printf(a, STR_FMT "/image/" STR_FMT "/repositories.json", STR_ARG(root), STR_ARG(driver)),
             LIMIT_ENGINE_ANSWER);
    JSON_EACH (json_get(v, "Repositories"), repository)
        JSON_EACH (repository, it)
            if (str_eq(json_str(it), s->image_id))
                add_name(s, it->key);
}

void identity_find(struct arena *a, const char *state, const char *bundle, struct str id, struct subject *ret)
{
    struct str root, driver;
    struct subject s = {0}, noted = {0};
    s.id = id;
    s.names = arena_array(a, NAMES_MAX, sizeof(struct str));
    *ret = s;
    if (!hex_id_valid(id))
        return;
    if (subject_read(a, state, id, &noted, NULL) == 0) {
        struct str *names = s.names;
        s = noted;
        s.names = names;
        s.names_n = 0;
        for (size_t i = 0; i < noted.names_n; i++)
            add_name(&s, noted.names[i]);
    }
    const struct json_value *v = engine_file(a, bundle, id, &root, &driver);
    if (v) {
        const struct json_value *labels = json_path(v, "Config.Labels");
        struct str name = json_str(json_get(v, "Name"));
        s.name = name.n && name.p[0] == '/' ? str_sub(name, 1, name.n) : name;
        s.image = json_str(json_path(v, "Config.Image"));
        s.image_id = json_str(json_get(v, "Image"));
        s.labels = labels && labels->type == JSON_OBJECT ? labels : NULL;
        s.engine = STR("docker");
        add_repository_names(a, root, driver, &s);
    }
    s.id = id;
    *ret = s;
}
