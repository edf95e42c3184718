#include "format/composer.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/json_each.h"

struct reader {
    struct package_list *list;
    struct arena *entry;
};

static int package(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct reader *c = ctx;
    struct json_value *v;
    arena_reset(c->entry);
    int r = json_value_read(j, c->entry, &v, e);
    if (r < 0)
        return r;
    struct str name = json_str(json_get(v, "name")), version = json_str(json_get(v, "version"));
    const struct json_value *license = json_get(v, "license");
    if (license && license->type == JSON_ARRAY)
        license = license->first;
    if (name.n && version.n) {
        struct package p = {.type = STR("composer"), .name = name, .version = version, .license = json_str(license)};
        p.source_name = name;
        p.source_version = version;
        *package_add(c->list, p.type, name, version) = package_copy(c->list->a, &p);
    }
    return 0;
}

static int member(void *ctx, struct str key, struct json *j, struct err *e)
{
    if (key.n == 0) /* the whole is a list */
        return package(ctx, key, j, e);
    return str_eqc(key, "packages") ? json_each(j, package, ctx, e) : json_skip(j, e);
}

int composer_packages(struct package_list *list, struct str path, struct str text, struct err *e)
{
    _cleanup_(arena_freep) struct arena *entry = arena_new(LIMIT_SCAN_ARENA);
    struct reader c = {list, entry};
    int r = json_each_text(text, member, &c, e);
    return r < 0 ? r : package_list_check(list, e);
}
