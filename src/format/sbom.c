#include "format/sbom.h"

#include "base/limits.h"
#include "format/json.h"
#include "format/purl.h"

#define DEPTH 16 /* of components inside components */

struct reader {
    struct arena *a;
    struct sbom s;
    size_t cap;
    struct str distro; /* from package URLs, for documents without a component of the system */
};

static bool known_type(struct str type)
{
    static const char *const types[] = {"deb",   "apk",    "rpm",   "npm",      "pypi", "gem",
                                        "maven", "golang", "cargo", "composer", "nuget"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (str_eqc(type, types[i]))
            return true;
    return str_eqc(type, "generic");
}

static int from_purl(struct arena *a, struct str text, struct package *ret, struct str *distro)
{
    struct purl u;
    if (purl_parse(a, text, &u) < 0 || !known_type(u.type) || u.version.n == 0)
        return -EINVAL;
    bool system = str_eqc(u.type, "deb") || str_eqc(u.type, "apk") || str_eqc(u.type, "rpm");
    struct str epoch = purl_qualifier(&u, "epoch"), upstream = purl_qualifier(&u, "upstream");
    struct package p = {
        .type = u.type,
        .name = purl_package_name(a, &u),
        .version = u.version,
        .arch = purl_qualifier(&u, "arch"),
        .module = purl_qualifier(&u, "rpmmod"),
        .license = STR(""),
        .path = STR(""),
    };
    if (epoch.n && !str_eqc(epoch, "0"))
        p.version = arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(epoch), STR_ARG(u.version));
    p.source_name = p.name;
    p.source_version = p.version;
    if (str_ends(upstream, STR(".src.rpm"))) { /* NAME-VERSION-RELEASE.src.rpm */
        ptrdiff_t dash = str_rchr(upstream, '-');
        dash = dash > 0 ? str_rchr(str_sub(upstream, 0, (size_t)dash), '-') : -1;
        p.source_name = dash > 0 ? str_sub(upstream, 0, (size_t)dash) : upstream;
    } else if (upstream.n) { /* as Syft writes it: NAME or NAME@VERSION */
        struct str version;
        if (str_split(upstream, '@', &p.source_name, &version))
            p.source_version = version;
    }
    *distro = purl_qualifier(&u, "distro");
    if (distro->n == 0 && system)
        *distro = u.namespace;
    *ret = p;
    return 0;
}

static struct package *add(struct reader *r, struct str purl)
{
    struct package p;
    struct str distro;
    if (r->s.packages_n >= LIMIT_SCAN_PACKAGES || from_purl(r->a, purl, &p, &distro) < 0) {
        r->s.unknown++;
        return NULL;
    }
    if (distro.n && r->distro.n == 0)
        r->distro = distro;
    r->s.packages = arena_grow(r->a, r->s.packages, r->s.packages_n, &r->cap, sizeof(p));
    r->s.packages[r->s.packages_n] = p;
    return &r->s.packages[r->s.packages_n++];
}

static void set(struct str *to, struct str value)
{
    if (value.n)
        *to = value;
}

/* ---- CycloneDX ---- */

static void properties(struct arena *a, const struct json_value *list, struct package *p)
{
    struct str version = STR(""), release = STR(""), epoch = STR("");
    JSON_EACH (list, it) {
        struct str name = json_str(json_get(it, "name")), value = json_str(json_get(it, "value"));
        if (str_eqc(name, "bulkhead:source:name") || str_eqc(name, "aquasecurity:trivy:SrcName") ||
            str_eqc(name, "syft:metadata:source") || str_eqc(name, "syft:metadata:originPackage"))
            set(&p->source_name, value);
        else if (str_eqc(name, "bulkhead:source:version") || str_eqc(name, "syft:metadata:sourceVersion"))
            set(&p->source_version, value);
        else if (str_eqc(name, "aquasecurity:trivy:SrcVersion"))
            version = value;
        else if (str_eqc(name, "aquasecurity:trivy:SrcRelease"))
            release = value;
        else if (str_eqc(name, "aquasecurity:trivy:SrcEpoch"))
            epoch = value;
        else if (str_eqc(name, "bulkhead:path") || str_eqc(name, "aquasecurity:trivy:FilePath") ||
                 str_eqc(name, "syft:location:0:path"))
            set(&p->path, value.n && value.p[0] == '/' ? str_sub(value, 1, value.n) : value);
    }
    if (version.n)
        p->source_version = arena_strf(a, STR_FMT "%s" STR_FMT "%s" STR_FMT, STR_ARG(epoch), epoch.n ? ":" : "",
                                       STR_ARG(version), release.n ? "-" : "", STR_ARG(release));
}

static struct str license_of(const struct json_value *list)
{
    const struct json_value *first = list ? list->first : NULL;
    struct str text = json_str(json_get(first, "expression"));
    if (!text.n)
        text = json_str(json_path(first, "license.id"));
    return text.n ? text : json_str(json_path(first, "license.name"));
}

static int components(struct reader *r, const struct json_value *list, int depth, struct err *e)
{
    if (depth > DEPTH)
        return err_set(e, E2BIG, "components nested too deep");
    JSON_EACH (list, it) {
        struct str type = json_str(json_get(it, "type")), purl = json_str(json_get(it, "purl"));
        if (str_eqc(type, "operating-system")) {
            r->s.os.id = json_str(json_get(it, "name"));
            r->s.os.version_id = json_str(json_get(it, "version"));
        } else if (purl.n) {
            struct package *p = add(r, purl);
            if (p) {
                set(&p->license, license_of(json_get(it, "licenses")));
                properties(r->a, json_get(it, "properties"), p);
            }
        } else if (str_eqc(type, "library") || str_eqc(type, "framework")) {
            r->s.unknown++;
        }
        int x = components(r, json_get(it, "components"), depth + 1, e);
        if (x < 0)
            return x;
    }
    return 0;
}

static int cyclonedx(struct reader *r, const struct json_value *v, struct err *e)
{
    struct str version = json_str(json_get(v, "specVersion"));
    if (!str_eqc(version, "1.4") && !str_eqc(version, "1.5") && !str_eqc(version, "1.6"))
        return err_set(e, ENOTSUP, "CycloneDX " STR_FMT ": 1.4, 1.5 and 1.6 are read",
                       STR_ARG(str_sub(version, 0, 20)));
    r->s.format = arena_strf(r->a, "CycloneDX " STR_FMT, STR_ARG(version));
    r->s.name = json_str(json_path(v, "metadata.component.name"));
    return components(r, json_get(v, "components"), 0, e);
}

/* ---- SPDX ---- */

static struct str external_purl(const struct json_value *p)
{
    JSON_EACH (json_get(p, "externalRefs"), it)
        if (str_eqc(json_str(json_get(it, "referenceType")), "purl"))
            return json_str(json_get(it, "referenceLocator"));
    return STR_NONE;
}

/* Trivy: "built package from: util-linux 2.38.1-5"; this program: "source: NAME VERSION". */
static void source_info(struct str info, struct package *p)
{
    static const char *const before[] = {"built package from: ", "source: "};
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        struct str name, version;
        ptrdiff_t at = str_find(info, str_c(before[i]));
        if (at < 0)
            continue;
        str_split(str_sub(info, (size_t)at + strlen(before[i]), info.n), ' ', &name, &version);
        set(&p->source_name, name);
        set(&p->source_version, str_trim(version));
        return;
    }
}

static int spdx(struct reader *r, const struct json_value *v, struct err *e)
{
    struct str version = json_str(json_get(v, "spdxVersion"));
    if (!str_eqc(version, "SPDX-2.2") && !str_eqc(version, "SPDX-2.3"))
        return err_set(e, ENOTSUP, STR_FMT ": SPDX-2.2 and SPDX-2.3 are read", STR_ARG(str_sub(version, 0, 20)));
    r->s.format = version;
    r->s.name = json_str(json_get(v, "name"));
    JSON_EACH (json_get(v, "packages"), it) {
        struct str purl = external_purl(it), purpose = json_str(json_get(it, "primaryPackagePurpose"));
        if (str_eqc(purpose, "OPERATING-SYSTEM") || str_eqc(purpose, "OPERATING_SYSTEM")) {
            r->s.os.id = json_str(json_get(it, "name"));
            r->s.os.version_id = json_str(json_get(it, "versionInfo"));
            continue;
        }
        if (str_starts(purl, STR("pkg:oci/")) || str_starts(purl, STR("pkg:docker/")) ||
            str_eqc(purpose, "CONTAINER") ||
            (purl.n == 0 &&
             (str_eqc(purpose, "APPLICATION") || str_eqc(purpose, "FILE") || str_eqc(purpose, "SOURCE"))))
            continue;
        struct package *p = purl.n ? add(r, purl) : NULL;
        if (!purl.n)
            r->s.unknown++;
        if (!p)
            continue;
        struct str license = json_str(json_get(it, "licenseDeclared"));
        if (!str_eqc(license, "NOASSERTION") && !str_eqc(license, "NONE"))
            set(&p->license, license);
        source_info(json_str(json_get(it, "sourceInfo")), p);
    }
    return 0;
}

/* "debian-12.5" of a package URL. */
static void os_from_distro(struct reader *r)
{
    ptrdiff_t dash = str_rchr(r->distro, '-');
    if (r->s.os.id.n || r->distro.n == 0)
        return;
    r->s.os.id = dash < 0 ? r->distro : str_sub(r->distro, 0, (size_t)dash);
    r->s.os.version_id = dash < 0 ? STR("") : str_sub(r->distro, (size_t)dash + 1, r->distro.n);
}

int sbom_parse(struct arena *a, struct str text, struct sbom *ret, struct err *e)
{
    struct reader r = {.a = a, .s = {.name = STR("")}, .distro = STR("")};
    struct json_value *v;
    int x = json_parse(a, text, 0, &v, e);
    if (x < 0)
        return x;
    if (str_eqc(json_str(json_get(v, "bomFormat")), "CycloneDX"))
        x = cyclonedx(&r, v, e);
    else if (json_get(v, "spdxVersion"))
        x = spdx(&r, v, e);
    else
        x = err_set(e, EBADMSG, "neither a CycloneDX nor an SPDX document in JSON");
    if (x < 0)
        return x;
    os_from_distro(&r);
    *ret = r.s;
    return 0;
}
