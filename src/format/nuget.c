#include "format/nuget.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/json_each.h"

struct reader {
    struct package_list *list;
    struct arena *entry;
};

static void add(struct reader *n, struct str name, struct str version)
{
    for (size_t i = n->list->n; i-- > 0 && n->list->n - i < 4096;) /* once for all target frameworks */
        if (str_eq(n->list->v[i].name, name) && str_eq(n->list->v[i].version, version))
            return;
    if (name.n && version.n)
        package_add(n->list, STR("nuget"), arena_str(n->list->a, name), arena_str(n->list->a, version));
}

/* "libraries": {"Newtonsoft.Json/13.0.1": {"type": "package", ...}} */
static int library(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct reader *n = ctx;
    struct json_value *v;
    struct str name, version;
    arena_reset(n->entry);
    bool parted = str_split(arena_str(n->entry, key), '/', &name, &version);
    int r = json_value_read(j, n->entry, &v, e);
    if (r >= 0 && parted && str_ieq(json_str(json_get(v, "type")), STR("package")))
        add(n, name, version);
    return r;
}

static int deps_member(void *ctx, struct str key, struct json *j, struct err *e)
{
    return str_eqc(key, "libraries") ? json_each(j, library, ctx, e) : json_skip(j, e);
}

/* "dependencies": {"net6.0": {"Name": {"type": "Direct", "resolved": "1.0.0"}}} */
static int locked(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct reader *n = ctx;
    struct json_value *v;
    arena_reset(n->entry);
    struct str name = arena_str(n->entry, key);
    int r = json_value_read(j, n->entry, &v, e);
    if (r >= 0 && !str_ieq(json_str(json_get(v, "type")), STR("Project")))
        add(n, name, json_str(json_get(v, "resolved")));
    return r;
}

static int framework(void *ctx, struct str key, struct json *j, struct err *e)
{
    return json_each(j, locked, ctx, e);
}

static int lock_member(void *ctx, struct str key, struct json *j, struct err *e)
{
    return str_eqc(key, "dependencies") ? json_each(j, framework, ctx, e) : json_skip(j, e);
}

static int read_all(struct package_list *list, struct str text, json_each_fn *member, struct err *e)
{
    _cleanup_(arena_freep) struct arena *entry = arena_new(LIMIT_SCAN_ARENA);
    struct reader n = {list, entry};
    int r = json_each_text(text, member, &n, e);
    return r < 0 ? r : package_list_check(list, e);
}

int nuget_deps(struct package_list *list, struct str path, struct str text, struct err *e)
{
    return read_all(list, text, deps_member, e);
}

int nuget_lock(struct package_list *list, struct str path, struct str text, struct err *e)
{
    return read_all(list, text, lock_member, e);
}
