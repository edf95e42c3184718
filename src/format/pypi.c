#include "format/pypi.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/json_each.h"
#include "format/toml.h"

#define TYPE STR("pypi")

/* A License field may hold the whole text: what is longer than this is not a name. */
#define LICENSE_MOST 100

int pypi_metadata(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct str name = STR(""), version = STR(""), license = STR(""), expression = STR(""), classifier = STR("");
    for (struct str line, key, value; str_cut(&text, '\n', &line);) {
        if (str_trim(line).n == 0)
            break;
        if (line.p[0] == ' ' || line.p[0] == '\t' || !str_split(line, ':', &key, &value))
            continue;
        value = str_trim(value);
        if (str_ieq(key, STR("Name")))
            name = value;
        else if (str_ieq(key, STR("Version")))
            version = value;
        else if (str_ieq(key, STR("License-Expression")))
            expression = value;
        else if (str_ieq(key, STR("License")) && value.n <= LICENSE_MOST && !str_eqc(value, "UNKNOWN"))
            license = value;
        else if (str_ieq(key, STR("Classifier")) && str_starts(value, STR("License ::")))
            classifier = str_trim(str_sub(value, (size_t)str_rchr(value, ':') + 1, value.n));
    }
    if (name.n && version.n)
        package_add(list, TYPE, name, version)->license = expression.n ? expression : license.n ? license : classifier;
    return package_list_check(list, e);
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
}

/* name [extras] ==version ; marker # comment --hash=... */
static void requirement(struct package_list *list, struct str line)
{
    size_t n = 0;
    line = str_trim(line);
    while (n < line.n && name_char(line.p[n]))
        n++;
    struct str name = str_sub(line, 0, n), rest = str_trim(str_sub(line, n, line.n));
    if (rest.n && rest.p[0] == '[') {
        ptrdiff_t end = str_chr(rest, ']');
        rest = end < 0 ? STR("") : str_trim(str_sub(rest, (size_t)end + 1, rest.n));
    }
    if (rest.n && rest.p[0] == '(')
        rest = str_trim(str_sub(rest, 1, rest.n));
    if (name.n == 0 || name.p[0] == '-' || !str_starts(rest, STR("==")))
        return;
    rest = str_sub(rest, str_starts(rest, STR("===")) ? 3 : 2, rest.n);
    rest = str_trim(rest);
    for (n = 0; n < rest.n && !strchr(" \t;,#)\\", rest.p[n]); n++)
        continue;
    struct str version = str_sub(rest, 0, n);
    if (version.n && str_chr(version, '*') < 0)
        package_add(list, TYPE, name, version);
}

int pypi_requirements(struct package_list *list, struct str path, struct str text, struct err *e)
{
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_sub(text, 3, text.n);
    for (struct str line; str_cut(&text, '\n', &line);)
        requirement(list, line);
    return package_list_check(list, e);
}

/* One [[package]]. uv's sources of the project itself: virtual, editable, directory. */
struct locked {
    struct str name, version;
    bool dev, local;
};

int pypi_lock(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct toml t = {list->a, text};
    struct toml_item it;
    struct locked p = {0};
    for (bool more = true, inside = false; more;) {
        enum toml_kind kind = toml_next(&t, &it);
        if (kind == TOML_STRING || kind == TOML_OTHER) {
            if (!inside)
                continue;
            if (str_eqc(it.name, "name"))
                p.name = it.value;
            else if (str_eqc(it.name, "version"))
                p.version = it.value;
            else if (str_eqc(it.name, "category"))
                p.dev = str_eqc(it.value, "dev");
            else if (str_eqc(it.name, "groups"))
                p.dev = str_eqc(it.value, "[\"dev\"]");
            else if (str_eqc(it.name, "source"))
                p.local = str_has(it.value, STR("virtual")) || str_has(it.value, STR("editable")) ||
                          str_has(it.value, STR("directory"));
            continue;
        }
        if (kind == TOML_TABLE) { /* [package.dependencies] and such: the package goes on behind them no more */
            inside = false;
            continue;
        }
        bool package = str_eqc(it.name, "package");
        if (kind == TOML_ELEMENT && !package) {
            inside = false;
            continue;
        }
        if (p.name.n && p.version.n && !p.dev && !p.local)
            package_add(list, TYPE, p.name, p.version);
        p = (struct locked){0};
        inside = package;
        more = kind != TOML_END;
    }
    return package_list_check(list, e);
}

struct pipfile {
    struct package_list *list;
    struct arena *entry;
};

static int pipfile_package(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct pipfile *f = ctx;
    struct json_value *v;
    arena_reset(f->entry);
    struct str name = arena_str(f->list->a, key);
    int r = json_value_read(j, f->entry, &v, e);
    if (r < 0)
        return r;
    struct str version = json_str(json_get(v, "version"));
    if (name.n && str_starts(version, STR("==")))
        package_add(f->list, TYPE, name, arena_str(f->list->a, str_sub(version, 2, version.n)));
    return 0;
}

static int pipfile_member(void *ctx, struct str key, struct json *j, struct err *e)
{
    return str_eqc(key, "default") ? json_each(j, pipfile_package, ctx, e) : json_skip(j, e);
}

int pypi_pipfile(struct package_list *list, struct str path, struct str text, struct err *e)
{
    _cleanup_(arena_freep) struct arena *entry = arena_new(LIMIT_SCAN_ARENA);
    struct pipfile f = {list, entry};
    int r = json_each_text(text, pipfile_member, &f, e);
    return r < 0 ? r : package_list_check(list, e);
}
