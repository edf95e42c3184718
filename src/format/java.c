#include "format/java.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/zip.h"

#define TYPE     STR("maven")
#define DOCUMENT (4u << 20) /* a manifest or pom.properties */

struct archive {
    struct package_list *list;
    uint64_t unpacked; /* in all that is nested */
};

static bool java_name(struct str name)
{
    return str_ends(name, STR(".jar")) || str_ends(name, STR(".war")) || str_ends(name, STR(".ear"));
}

/* key=value lines, key: value lines; a line of a manifest goes on behind a space. */
static struct str field(struct arena *a, struct str text, const char *key, char separator)
{
    struct str line, k, v;
    while (str_cut(&text, '\n', &line)) {
        if (!str_split(line, separator, &k, &v) || !str_eqc(str_trim(k), key))
            continue;
        struct str value = str_trim(v);
        while (separator == ':' && text.n && text.p[0] == ' ') {
            str_cut(&text, '\n', &line);
            if (value.n + line.n > 65536)
                break;
            value = arena_strf(a, STR_FMT STR_FMT, STR_ARG(value), STR_ARG(str_trim(line)));
        }
        return value;
    }
    return STR("");
}

static void add(struct archive *j, struct str path, struct str group, struct str artifact, struct str version)
{
    struct arena *a = j->list->a;
    struct str name =
        group.n ? arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(group), STR_ARG(artifact)) : arena_str(a, artifact);
    for (size_t i = j->list->n; i-- > 0 && str_eq(j->list->v[i].path, path);)
        if (str_eq(j->list->v[i].name, name) && str_eq(j->list->v[i].version, version))
            return;
    package_add(j->list, TYPE, name, arena_str(a, version))->path = path;
}

/* name-1.2.3.jar -> name, 1.2.3: the version begins at the first digit behind a '-'. */
static void from_name(struct str path, struct str *artifact, struct str *version)
{
    struct str base = str_sub(path, (size_t)(str_rchr(path, '/') + 1), path.n);
    base.n -= base.n > 4 ? 4 : 0;
    *artifact = base;
    *version = STR("");
    for (size_t i = 1; i + 1 < base.n; i++)
        if (base.p[i] == '-' && base.p[i + 1] >= '0' && base.p[i + 1] <= '9') {
            *artifact = str_sub(base, 0, i);
            *version = str_sub(base, i + 1, base.n);
            return;
        }
}

static bool word(struct str s)
{
    return s.n > 0 && str_chr(s, ' ') < 0 && str_chr(s, '$') < 0;
}

static bool has_version(const struct archive *j, struct str path, struct str version)
{
    for (size_t i = j->list->n; i-- > 0 && str_eq(j->list->v[i].path, path);)
        if (str_eq(j->list->v[i].version, version))
            return true;
    return false;
}

/* As Maven, Gradle and bnd write manifests. A jar whose pom.properties are all of another version has others put into
 * it, and is itself one more. */
static bool from_manifest(struct archive *j, struct str path, struct str text)
{
    struct arena *a = j->list->a;
    struct str file_artifact, file_version, group = field(a, text, "Implementation-Vendor-Id", ':'), rest;
    struct str bundle = field(a, text, "Bundle-SymbolicName", ':');
    from_name(path, &file_artifact, &file_version);
    str_split(bundle, ';', &bundle, &rest);
    struct str version = field(a, text, "Implementation-Version", ':');
    if (!word(version))
        version = field(a, text, "Bundle-Version", ':');
    if (!word(version))
        version = file_version;
    struct str artifact = field(a, text, "Implementation-Title", ':');
    ptrdiff_t last = str_rchr(bundle, '.');
    if (!word(artifact))
        artifact = file_artifact;
    if (!word(group) && last > 0) { /* org.slf4j.api of slf4j-api, but com.google.inject of guice */
        struct str end = str_sub(bundle, (size_t)last + 1, bundle.n);
        group = str_has(artifact, end) ? str_sub(bundle, 0, (size_t)last) : bundle;
    }
    /* a title that looks like group.artifact or group:artifact */
    ptrdiff_t colon = str_chr(artifact, ':');
    if (colon > 0)
        artifact = str_sub(artifact, (size_t)colon + 1, artifact.n);
    if (!word(group) || !word(artifact) || !word(version) || has_version(j, path, version))
        return false;
    add(j, path, group, artifact, version);
    return true;
}

static int archive(struct archive *j, struct str path, struct str bytes, unsigned depth, struct err *e);

static void nested(struct archive *j, const struct zip *z, const struct zip_member *m, struct str path, unsigned depth)
{
    struct str content;
    if (depth >= LIMIT_SCAN_NESTED || j->unpacked >= LIMIT_SCAN_UNPACKED)
        return;
    /* one at a time: what was unpacked is not needed once its packages are known */
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    if (zip_read(a, z, m, LIMIT_SCAN_UNPACKED - j->unpacked, &content, NULL) < 0)
        return;
    j->unpacked += content.n;
    struct str inner = arena_strf(j->list->a, STR_FMT "!/" STR_FMT, STR_ARG(path), STR_ARG(m->name));
    archive(j, inner, content, depth + 1, NULL);
}

static int archive(struct archive *j, struct str path, struct str bytes, unsigned depth, struct err *e)
{
    struct arena *a = j->list->a;
    struct zip z;
    struct zip_member m;
    struct str manifest = STR(""), text;
    size_t found = 0;
    int r = zip_open(bytes, &z, e);
    if (r < 0)
        return r;
    while ((r = zip_next(&z, &m, e)) > 0) {
        if (java_name(m.name)) {
            nested(j, &z, &m, path, depth);
        } else if (str_starts(m.name, STR("META-INF/maven/")) && str_ends(m.name, STR("/pom.properties"))) {
            if (zip_read(a, &z, &m, DOCUMENT, &text, NULL) < 0)
                continue;
            struct str group = field(a, text, "groupId", '='), artifact = field(a, text, "artifactId", '='),
                       version = field(a, text, "version", '=');
            if (!word(group) || !word(artifact) || !word(version))
                continue;
            add(j, path, group, artifact, version);
            found++;
        } else if (str_eqc(m.name, "META-INF/MANIFEST.MF")) {
            if (zip_read(a, &z, &m, DOCUMENT, &manifest, NULL) < 0)
                manifest = STR("");
        }
    }
    if (r < 0 || (manifest.n && from_manifest(j, path, manifest)) || found)
        return r;
    struct str artifact, version;
    from_name(path, &artifact, &version);
    if (artifact.n && version.n)
        add(j, path, STR(""), artifact, version);
    return 0;
}

int java_archive(struct package_list *list, struct str path, struct str bytes, struct err *e)
{
    struct archive j = {.list = list};
    int r = archive(&j, arena_str(list->a, path), bytes, 0, e);
    return r < 0 ? r : package_list_check(list, e);
}
