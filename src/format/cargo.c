#include "format/cargo.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/json.h"
#include "format/toml.h"
#include "format/unzlib.h"

int cargo_lock(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct toml t = {list->a, text};
    struct toml_item it;
    struct str name = STR_NONE, version = STR_NONE, source = STR_NONE;
    for (bool more = true, inside = false; more;) {
        enum toml_kind kind = toml_next(&t, &it);
        if (kind == TOML_STRING && inside) {
            if (str_eqc(it.name, "name"))
                name = it.value;
            else if (str_eqc(it.name, "version"))
                version = it.value;
            else if (str_eqc(it.name, "source"))
                source = it.value;
        }
        if (kind == TOML_STRING || kind == TOML_OTHER)
            continue;
        if (name.n && version.n && source.n)
            package_add(list, STR("cargo"), name, version);
        name = version = source = STR_NONE;
        inside = kind == TOML_ELEMENT && str_eqc(it.name, "package");
        more = kind != TOML_END;
    }
    return package_list_check(list, e);
}

int cargo_audit(struct package_list *list, struct str section, struct err *e)
{
    struct str text;
    struct json_value *v;
    int r = unzlib(list->a, UNZLIB_ZLIB, section, LIMIT_SCAN_DOCUMENT, &text, e);
    if (r < 0 || (r = json_parse(list->a, text, JSON_ANY_KEYS, &v, e)) < 0)
        return err_wrap(e, ".dep-v0");
    JSON_EACH (json_get(v, "packages"), it) {
        struct str kind = json_str(json_get(it, "kind"));
        struct str name = json_str(json_get(it, "name")), version = json_str(json_get(it, "version"));
        if (name.n && version.n && (kind.n == 0 || str_eqc(kind, "runtime")))
            package_add(list, STR("cargo"), name, version);
    }
    return package_list_check(list, e);
}
