#include "format/npm.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/json_each.h"

#define TYPE STR("npm")

/* ---- package.json ---- */

struct manifest {
    struct arena *a;
    struct str name, version, license;
};

/* "MIT", {"type": "MIT"} or a list of these */
static struct str license_of(const struct json_value *v)
{
    if (v->type == JSON_ARRAY)
        v = v->first;
    return v && v->type == JSON_OBJECT ? json_str(json_get(v, "type")) : json_str(v);
}

static int manifest_member(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct manifest *m = ctx;
    struct json_value *v;
    if (str_eqc(key, "name"))
        return json_each_str(j, m->a, &m->name, e);
    if (str_eqc(key, "version"))
        return json_each_str(j, m->a, &m->version, e);
    if (!str_eqc(key, "license") && !str_eqc(key, "licenses"))
        return json_skip(j, e);
    int r = json_value_read(j, m->a, &v, e);
    if (r >= 0 && license_of(v).n)
        m->license = license_of(v);
    return r;
}

int npm_installed(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct manifest m = {.a = list->a};
    int r = json_each_text(text, manifest_member, &m, e);
    if (r < 0)
        return r;
    if (m.name.n && m.version.n)
        package_add(list, TYPE, m.name, m.version)->license = m.license;
    return package_list_check(list, e);
}

/* ---- package-lock.json ---- */

struct lock {
    struct package_list *list;
    struct arena *entry; /* one at a time */
    bool packages;       /* versions 2 and 3 have both; the newer member counts */
};

static bool digit(struct str s)
{
    return s.n && s.p[0] >= '0' && s.p[0] <= '9';
}

/* "npm:real@1.2.3", an alias, or just the version */
static void add(struct package_list *list, struct str name, struct str version, struct str license)
{
    if (str_starts(version, STR("npm:"))) {
        ptrdiff_t at = str_rchr(version, '@');
        if (at <= 4)
            return;
        name = str_sub(version, 4, (size_t)at);
        version = str_sub(version, (size_t)at + 1, version.n);
    }
    if (name.n && digit(version))
        package_add(list, TYPE, arena_str(list->a, name), arena_str(list->a, version))->license =
            arena_str(list->a, license);
}

/* Versions 2 and 3: "node_modules/a/node_modules/@b/c": {...} */
static int lock_package(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct lock *l = ctx;
    struct json_value *v;
    arena_reset(l->entry);
    struct str name = arena_str(l->entry, key), rest = name;
    int r = json_value_read(j, l->entry, &v, e);
    if (r < 0)
        return r;
    ptrdiff_t at, last = -1;
    for (size_t from = 0; (at = str_find(rest, STR("node_modules/"))) >= 0; rest = str_sub(name, from, name.n))
        last = (ptrdiff_t)(from += (size_t)at + 13);
    if (last < 0 || json_bool(json_get(v, "dev"), false) || json_bool(json_get(v, "link"), false))
        return 0;
    struct str real = json_str(json_get(v, "name")); /* of an alias */
    const struct json_value *license = json_get(v, "license");
    add(l->list, real.n ? real : str_sub(name, (size_t)last, name.n), json_str(json_get(v, "version")),
        license ? license_of(license) : STR(""));
    return 0;
}

/* Version 1: "a": {"version": ..., "dependencies": {...}} */
static void lock_tree(struct lock *l, struct str name, const struct json_value *v, unsigned depth)
{
    if (!json_bool(json_get(v, "dev"), false))
        add(l->list, name, json_str(json_get(v, "version")), STR(""));
    if (depth < LIMIT_JSON_DEPTH)
        JSON_EACH (json_get(v, "dependencies"), it)
            lock_tree(l, it->key, it, depth + 1);
}

static int lock_dependency(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct lock *l = ctx;
    struct json_value *v;
    arena_reset(l->entry);
    struct str name = arena_str(l->entry, key);
    int r = json_value_read(j, l->entry, &v, e);
    if (r >= 0)
        lock_tree(l, name, v, 0);
    return r;
}

static int lock_member(void *ctx, struct str key, struct json *j, struct err *e)
{
    struct lock *l = ctx;
    if (str_eqc(key, "packages")) {
        l->packages = true;
        l->list->n = 0; /* should the other have come first */
        return json_each(j, lock_package, l, e);
    }
    return str_eqc(key, "dependencies") && !l->packages ? json_each(j, lock_dependency, l, e) : json_skip(j, e);
}

/* The same package at several places counts once. */
static int by_name(const void *x, const void *y)
{
    const struct package *a = x, *b = y;
    int r = str_cmp(a->name, b->name);
    return r ? r : str_cmp(a->version, b->version);
}

static int once(struct package_list *list, struct err *e)
{
    size_t n = 0;
    if (list->n > 1)
        qsort(list->v, list->n, sizeof(*list->v), by_name);
    for (size_t i = 0; i < list->n; i++)
        if (n == 0 || by_name(&list->v[n - 1], &list->v[i]) != 0)
            list->v[n++] = list->v[i];
    list->n = n;
    return package_list_check(list, e);
}

int npm_lock(struct package_list *list, struct str path, struct str text, struct err *e)
{
    _cleanup_(arena_freep) struct arena *entry = arena_new(LIMIT_SCAN_ARENA);
    struct lock l = {.list = list, .entry = entry};
    int r = json_each_text(text, lock_member, &l, e);
    return r < 0 ? r : once(list, e);
}

/* ---- yarn.lock ---- */

static struct str unquote(struct str s)
{
    s = str_trim(s);
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        return str_sub(s, 1, s.n - 1);
    return s;
}

/* "@scope/name@^1.0.0", "name@npm:^1" -> the name; "alias@npm:real@1" -> real */
static struct str pattern_name(struct str pattern)
{
    ptrdiff_t at = str_chr(str_sub(pattern, 1, pattern.n), '@');
    if (at < 0)
        return STR("");
    struct str name = str_sub(pattern, 0, (size_t)at + 1), range = str_sub(pattern, (size_t)at + 2, pattern.n);
    ptrdiff_t inner = str_starts(range, STR("npm:")) ? str_rchr(range, '@') : -1;
    return inner > 4 ? str_sub(range, 4, (size_t)inner) : name;
}

struct yarn {
    struct str name, version, link;
};

static void yarn_flush(struct package_list *list, struct yarn *y)
{
    bool local = str_eqc(y->link, "soft") || str_has(y->version, STR("use.local"));
    if (y->name.n && digit(y->version) && !local)
        package_add(list, TYPE, y->name, y->version);
    *y = (struct yarn){0};
}

int npm_yarn(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct yarn y = {0};
    for (struct str line, key, value; str_cut(&text, '\n', &line);) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (line.p[0] != ' ') {
            yarn_flush(list, &y);
            struct str first, more;
            str_split(line, ',', &first, &more);
            if (first.n && first.p[first.n - 1] == ':')
                first.n--;
            while (first.n && (first.p[0] == '"' || first.p[0] == '\''))
                first = str_sub(first, 1, first.n);
            if (!str_starts(first, STR("__metadata")))
                y.name = pattern_name(unquote(first));
            while (y.name.n && y.name.p[y.name.n - 1] == '"')
                y.name.n--;
            continue;
        }
        if (line.n < 3 || line.p[2] == ' ') /* only the entry's own members */
            continue;
        line = str_trim(line);
        ptrdiff_t gap = str_chr(line, ' ');
        if (gap < 0)
            continue;
        key = str_sub(line, 0, (size_t)gap);
        value = unquote(str_sub(line, (size_t)gap, line.n));
        if (key.n && key.p[key.n - 1] == ':')
            key.n--;
        if (str_eqc(key, "version"))
            y.version = value;
        else if (str_eqc(key, "linkType"))
            y.link = value;
        else if (str_eqc(key, "resolution") && str_has(value, STR("@workspace:")))
            y.link = STR("soft");
        else if (str_eqc(key, "resolution"))
            y.name = pattern_name(value).n ? pattern_name(value) : y.name;
    }
    yarn_flush(list, &y);
    return once(list, e);
}

/* ---- pnpm-lock.yaml ---- */

/* 5.x "/name/1.0.0_peer", 6.x "/name@1.0.0(peer@2)", 9.x "name@1.0.0"; "file:..." and addresses are no registry's. */
static void pnpm_key(struct str key, struct str *name, struct str *version)
{
    *name = *version = STR("");
    bool slash = key.n && key.p[0] == '/';
    if (slash)
        key = str_sub(key, 1, key.n);
    ptrdiff_t peers = str_chr(key, '(');
    if (peers >= 0)
        key = str_sub(key, 0, (size_t)peers);
    ptrdiff_t at = str_rchr(key, '@');
    if (at <= 0 || !digit(str_sub(key, (size_t)at + 1, key.n)))
        at = slash ? str_rchr(key, '/') : -1;
    if (at <= 0)
        return;
    *name = str_sub(key, 0, (size_t)at);
    *version = str_sub(key, (size_t)at + 1, key.n);
    ptrdiff_t peer = str_chr(*version, '_');
    if (peer > 0)
        *version = str_sub(*version, 0, (size_t)peer);
}

int npm_pnpm(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct str name = STR(""), version = STR("");
    bool packages = false, dev = false;
    for (bool more = true; more;) {
        struct str line = STR("");
        more = str_cut(&text, '\n', &line);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        size_t indent = 0;
        while (indent < line.n && line.p[indent] == ' ')
            indent++;
        if (more && (indent == line.n || line.p[indent] == '#'))
            continue;
        struct str rest = str_sub(line, indent, line.n);
        if (indent <= 2) {
            if (name.n && digit(version) && !dev)
                package_add(list, TYPE, name, version);
            name = version = STR("");
            dev = false;
        }
        if (indent == 0)
            packages = str_eqc(rest, "packages:");
        else if (packages && indent == 2 && rest.n && rest.p[rest.n - 1] == ':')
            pnpm_key(unquote(str_sub(rest, 0, rest.n - 1)), &name, &version);
        else if (packages && indent == 4 && str_eqc(rest, "dev: true"))
            dev = true;
        else if (packages && indent == 4 && str_starts(rest, STR("name: ")))
            name = unquote(str_sub(rest, 6, rest.n));
        else if (packages && indent == 4 && str_starts(rest, STR("version: ")))
            version = unquote(str_sub(rest, 9, rest.n));
    }
    return once(list, e);
}
