#include "format/package.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"

#define PURL_MOST (16u << 10)

struct package *package_add(struct package_list *l, struct str type, struct str name, struct str version)
{
    if (l->n >= LIMIT_SCAN_PACKAGES) {
        l->full = true;
        return arena_new_of(l->a, struct package);
    }
    l->v = arena_grow(l->a, l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n] = (struct package){
        .type = type, .name = name, .version = version, .source_name = name, .source_version = version};
    return &l->v[l->n++];
}

int package_list_check(const struct package_list *l, struct err *e)
{
    return l->full ? err_set(e, E2BIG, "more than %u packages", LIMIT_SCAN_PACKAGES) : 0;
}

/* purl-spec, "Rules for each purl component": everything but these is percent-encoded; ':' never is. */
static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == '~' || c == ':';
}

enum { LOWER = 1, DASHES = 2 };

static void put(struct buf *b, struct str s, int how)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((how & LOWER) && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        if ((how & DASHES) && c == '_')
            c = '-';
        if (plain(c))
            buf_putc(b, c);
        else
            buf_printf(b, "%%%02X", (unsigned char)c);
    }
}

/* A name with separators: each part is encoded on its own, the last is the name, the others the namespace. */
static void put_path(struct buf *b, struct str s, char separator, int how)
{
    struct str part;
    bool first = true;
    while (str_cut(&s, separator, &part)) {
        if (!first)
            buf_putc(b, '/');
        put(b, part, how);
        first = false;
    }
}

static void qualifier(struct buf *b, char *sep, const char *key, struct str value, struct str more)
{
    if (!value.n)
        return;
    buf_printf(b, "%c%s=", *sep, key);
    put(b, value, 0);
    if (more.n) {
        buf_putc(b, '-');
        put(b, more, 0);
    }
    *sep = '&';
}

struct str package_purl(struct arena *a, const struct package *p, const struct os_release *os)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(PURL_MOST);
    struct str type = p->type, version = p->version, epoch = STR_NONE;
    bool deb = str_eqc(type, "deb"), apk = str_eqc(type, "apk"), rpm = str_eqc(type, "rpm");
    buf_putz(&b, "pkg:");
    put(&b, type, LOWER);
    buf_putc(&b, '/');
    if (deb || apk || rpm) {
        if (os && os->id.n) {
            put(&b, os->id, LOWER);
            buf_putc(&b, '/');
        }
        put(&b, p->name, rpm ? 0 : LOWER);
        struct str left, right;
        if (rpm && str_split(version, ':', &left, &right)) {
            epoch = left;
            version = right;
        }
    } else if (str_eqc(type, "maven")) {
        put_path(&b, p->name, ':', 0);
    } else if (str_eqc(type, "golang") || str_eqc(type, "composer")) {
        put_path(&b, p->name, '/', LOWER);
    } else if (str_eqc(type, "npm")) {
        put_path(&b, p->name, '/', 0);
    } else if (str_eqc(type, "pypi")) {
        put(&b, p->name, LOWER | DASHES);
    } else {
        put(&b, p->name, 0);
    }
    if (version.n) {
        buf_putc(&b, '@');
        put(&b, version, 0);
    }
    char sep = '?'; /* qualifiers are sorted by key */
    if (deb || apk || rpm) {
        qualifier(&b, &sep, "arch", p->arch, STR_NONE);
        if (os && os->id.n)
            qualifier(&b, &sep, "distro", os->id, os->version_id);
        qualifier(&b, &sep, "epoch", epoch, STR_NONE);
        qualifier(&b, &sep, "rpmmod", p->module, STR_NONE);
    }
    return arena_str(a, buf_str(&b));
}

/* One value as the shell would read it: '..' as is, ".." with backslashes before " $ ` \, bare words with backslashes.
 */
static int unquote(struct arena *a, struct str s, struct str *ret)
{
    char *out = arena_alloc(a, s.n + 1), *o = out;
    char quote = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quote == '\'') {
            if (c == '\'')
                quote = 0;
            else
                *o++ = c;
        } else if (c == '\\' && i + 1 < s.n && (!quote || strchr("\"$`\\", s.p[i + 1]))) {
            *o++ = s.p[++i];
        } else if (c == '"' || (c == '\'' && !quote)) {
            quote = quote ? 0 : c;
        } else {
            *o++ = c;
        }
    }
    *ret = str_n(out, (size_t)(o - out));
    return quote ? -EBADMSG : 0;
}

int os_release_parse(struct arena *a, struct str text, struct os_release *ret)
{
    struct os_release os = {STR(""), STR(""), STR(""), STR("")};
    const struct {
        struct str key;
        struct str *to;
    } fields[] = {
        {STR("ID"), &os.id},
        {STR("VERSION_ID"), &os.version_id},
        {STR("VERSION_CODENAME"), &os.codename},
        {STR("PRETTY_NAME"), &os.pretty},
    };
    struct str line, key, value;
    while (str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (!line.n || line.p[0] == '#' || !str_split(line, '=', &key, &value))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            if (str_eq(key, fields[i].key) && unquote(a, value, fields[i].to) < 0)
                return -EBADMSG;
    }
    *ret = os;
    return 0;
}

struct package package_copy(struct arena *a, const struct package *p)
{
    struct package c = {
        .type = arena_str(a, p->type),
        .name = arena_str(a, p->name),
        .version = arena_str(a, p->version),
        .arch = arena_str(a, p->arch),
        .module = arena_str(a, p->module),
        .vendor = arena_str(a, p->vendor),
        .license = arena_str(a, p->license),
        .path = arena_str(a, p->path),
        .layer = arena_str(a, p->layer),
        .files = arena_array(a, p->files_n, sizeof(struct str)),
        .files_n = p->files_n,
    };
    c.source_name = str_eq(p->source_name, p->name) ? c.name : arena_str(a, p->source_name);
    c.source_version = str_eq(p->source_version, p->version) ? c.version : arena_str(a, p->source_version);
    for (size_t i = 0; i < p->files_n; i++)
        c.files[i] = arena_str(a, p->files[i]);
    return c;
}

void redhat_release_parse(struct arena *a, struct str text, struct os_release *ret)
{
    static const struct {
        const char *start, *id;
    } systems[] = {{"CentOS", "centos"},      {"Red Hat Enterprise Linux", "rhel"}, {"Oracle Linux", "ol"},
                   {"Fedora", "fedora"},      {"Scientific Linux", "scientific"},   {"Rocky Linux", "rocky"},
                   {"AlmaLinux", "almalinux"}};
    struct str line, rest;
    str_split(text, '\n', &line, &rest);
    for (size_t i = 0; i < ARRAY_LEN(systems); i++) {
        ptrdiff_t at = str_find(line, STR("release "));
        if (!str_starts(line, str_c(systems[i].start)) || at < 0)
            continue;
        struct str version = str_sub(line, (size_t)at + 8, line.n), name;
        str_split(version, ' ', &version, &name);
        *ret = (struct os_release){str_c(systems[i].id), arena_str(a, version), STR(""), arena_str(a, str_trim(line))};
        return;
    }
}
