#include "intel/ecosystem.h"

#include "base/cleanup.h"
#include "intel/cpe.h"

static const struct {
    const char *ecosystem; /* OSV's, up to its colon */
    enum version_scheme scheme;
    const char *type; /* purl type of its packages; NULL: OS packages or none of ours */
} ecosystems[] = {
    {"npm", VERSION_NPM, "npm"},
    {"PyPI", VERSION_PEP440, "pypi"},
    {"RubyGems", VERSION_GEM, "gem"},
    {"Maven", VERSION_MAVEN, "maven"},
    {"Go", VERSION_GO, "golang"},
    {"crates.io", VERSION_SEMVER, "cargo"},
    {"Packagist", VERSION_COMPOSER, "composer"},
    {"NuGet", VERSION_NUGET, "nuget"},
    {"Pub", VERSION_PUB, "pub"},
    {"Bitnami", VERSION_SEMVER, "generic"},
    {"Hex", VERSION_SEMVER, "hex"},
    {"SwiftURL", VERSION_SEMVER, "swift"},
    {"GitHub Actions", VERSION_SEMVER, NULL},
    {"Debian", VERSION_DPKG, NULL},
    {"Ubuntu", VERSION_DPKG, NULL},
    {"Echo", VERSION_DPKG, NULL},
    {"Alpine", VERSION_APK, NULL},
    {"Wolfi", VERSION_APK, NULL},
    {"Chainguard", VERSION_APK, NULL},
    {"Alpaquita", VERSION_APK, NULL},
    {"BellSoft Hardened Containers", VERSION_APK, NULL},
    {"MinimOS", VERSION_APK, NULL},
    {"Red Hat", VERSION_RPM, NULL},
    {"Rocky Linux", VERSION_RPM, NULL},
    {"AlmaLinux", VERSION_RPM, NULL},
    {"openSUSE", VERSION_RPM, NULL},
    {"SUSE", VERSION_RPM, NULL},
    {"Mageia", VERSION_RPM, NULL},
    {"openEuler", VERSION_RPM, NULL},
    {"Photon OS", VERSION_RPM, NULL},
    {"Azure Linux", VERSION_RPM, NULL},
};

enum version_scheme ecosystem_scheme(struct str ecosystem)
{
    struct str base, rest;
    str_split(ecosystem, ':', &base, &rest);
    for (size_t i = 0; i < ARRAY_LEN(ecosystems); i++)
        if (str_eqc(base, ecosystems[i].ecosystem))
            return ecosystems[i].scheme;
    return VERSION_GENERIC;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

struct str ecosystem_name(struct arena *a, struct str ecosystem, struct str name)
{
    bool pypi = str_eqc(ecosystem, "PyPI");
    if (!pypi && !str_eqc(ecosystem, "NuGet") && !str_eqc(ecosystem, "Packagist"))
        return name;
    char *out = arena_alloc(a, name.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        bool mark = pypi && (name.p[i] == '-' || name.p[i] == '_' || name.p[i] == '.');
        if (mark && n && out[n - 1] == '-')
            continue;
        out[n++] = mark ? '-' : lower(name.p[i]);
    }
    return (struct str){out, n};
}

static const struct {
    const char *version, *codename;
} debian_releases[] = {{"7", "wheezy"},    {"8", "jessie"},    {"9", "stretch"}, {"10", "buster"},
                       {"11", "bullseye"}, {"12", "bookworm"}, {"13", "trixie"}, {"14", "forky"}};

/* Releases in the tracker have code names; unstable has no VERSION_ID and names the release to come. */
static struct str debian_codename(const struct os_release *os)
{
    struct str major, rest;
    str_split(os->version_id, '.', &major, &rest);
    for (size_t i = 0; i < ARRAY_LEN(debian_releases); i++)
        if (str_eqc(major, debian_releases[i].version))
            return str_c(debian_releases[i].codename);
    return os->codename.n ? os->codename : STR("sid");
}

static struct str major_minor(struct str version)
{
    ptrdiff_t dot = str_chr(version, '.');
    size_t n = dot < 0 ? version.n : (size_t)dot + 1;
    while (n < version.n && version.p[n] >= '0' && version.p[n] <= '9')
        n++;
    return str_sub(version, 0, n);
}

/* "3.19.1" -> v3.19; "3.21.0_alpha20240807" and anything without a number -> edge */
static struct str alpine_branch(struct arena *a, const struct os_release *os)
{
    struct str v = os->version_id;
    if (!v.n || v.p[0] < '0' || v.p[0] > '9' || str_has(v, STR("_alpha")) || str_has(v, STR("edge")))
        return STR("edge");
    return arena_strf(a, "v" STR_FMT, STR_ARG(major_minor(v)));
}

static const struct {
    const char *version, *codename;
} ubuntu_releases[] = {{"14.04", "trusty"}, {"16.04", "xenial"},   {"18.04", "bionic"}, {"20.04", "focal"},
                       {"22.04", "jammy"},  {"22.10", "kinetic"},  {"23.04", "lunar"},  {"23.10", "mantic"},
                       {"24.04", "noble"},  {"24.10", "oracular"}, {"25.04", "plucky"}, {"25.10", "questing"}};

static struct str ubuntu_codename(const struct os_release *os)
{
    for (size_t i = 0; i < ARRAY_LEN(ubuntu_releases); i++)
        if (str_eqc(os->version_id, ubuntu_releases[i].version))
            return str_c(ubuntu_releases[i].codename);
    return os->codename;
}

struct list {
    struct arena *a;
    struct ecosystem_lookup *v;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static struct ecosystem_lookup *add(struct list *l, const char *fmt, ...)
{
    va_list ap;
    struct ecosystem_lookup *at =
        l->n < ECOSYSTEM_LOOKUPS ? &l->v[l->n++] : arena_new_of(l->a, struct ecosystem_lookup);
    va_start(ap, fmt);
    *at = (struct ecosystem_lookup){.space = str_c(arena_vprintf(l->a, fmt, ap))};
    va_end(ap);
    return at;
}

static void ubuntu_spaces(struct list *l, const struct os_release *os)
{
    struct str codename = ubuntu_codename(os);
    add(l, "ubuntu/" STR_FMT, STR_ARG(codename));
    add(l, "Ubuntu:" STR_FMT ":LTS", STR_ARG(os->version_id));
    add(l, "Ubuntu:" STR_FMT, STR_ARG(os->version_id));
    add(l, "ubuntu/esm/" STR_FMT, STR_ARG(codename))->subscription = true;
    add(l, "Ubuntu:Pro:" STR_FMT ":LTS", STR_ARG(os->version_id))->subscription = true;
}

static void suse_spaces(struct list *l, const struct os_release *os)
{
    struct str major, minor;
    bool sp = str_split(os->version_id, '.', &major, &minor);
    if (str_eqc(os->id, "opensuse-tumbleweed")) {
        add(l, "opensuse/tumbleweed");
        add(l, "openSUSE:Tumbleweed");
    } else if (str_starts(os->id, STR("opensuse"))) {
        add(l, "opensuse/" STR_FMT, STR_ARG(os->version_id));
        add(l, "openSUSE:Leap " STR_FMT, STR_ARG(os->version_id));
    } else {
        add(l, "suse/" STR_FMT, STR_ARG(os->version_id));
        add(l, "SUSE:Linux Enterprise Server " STR_FMT "%s" STR_FMT, STR_ARG(major), sp ? " SP" : "", STR_ARG(minor));
    }
}

static void rpm_spaces(struct list *l, const struct os_release *os)
{
    static const struct {
        const char *id, *space, *osv; /* by the first part of VERSION_ID */
    } by_major[] = {{"rhel", "redhat", NULL},           {"centos", "redhat", NULL}, {"rocky", "rocky", "Rocky Linux"},
                    {"almalinux", "alma", "AlmaLinux"}, {"ol", "oracle", NULL},     {"fedora", "fedora", NULL}};
    static const struct {
        const char *id, *space, *osv; /* by VERSION_ID */
    } by_version[] = {{"photon", "photon", "Photon OS"},
                      {"mariner", "azurelinux", "Azure Linux"},
                      {"azurelinux", "azurelinux", "Azure Linux"}};
    struct str major, rest;
    str_split(os->version_id, '.', &major, &rest);
    for (size_t i = 0; i < ARRAY_LEN(by_major); i++) {
        if (!str_eqc(os->id, by_major[i].id))
            continue;
        add(l, "%s/" STR_FMT, by_major[i].space, STR_ARG(major));
        if (by_major[i].osv)
            add(l, "%s:" STR_FMT, by_major[i].osv, STR_ARG(major));
    }
    for (size_t i = 0; i < ARRAY_LEN(by_version); i++) {
        if (!str_eqc(os->id, by_version[i].id))
            continue;
        add(l, "%s/" STR_FMT, by_version[i].space, STR_ARG(major_minor(os->version_id)));
        add(l, "%s:" STR_FMT, by_version[i].osv, STR_ARG(major));
    }
    if (str_eqc(os->id, "amzn")) /* the first one counted in years and months */
        add(l, "amazon/" STR_FMT, STR_ARG(str_eqc(major, "2018") || str_eqc(major, "2017") ? STR("1") : major));
    if (str_starts(os->id, STR("sle")) || str_starts(os->id, STR("opensuse")))
        suse_spaces(l, os);
}

size_t ecosystem_os_spaces(struct arena *a, const struct os_release *os,
                           struct ecosystem_lookup ret[static ECOSYSTEM_LOOKUPS])
{
    struct list l = {a, ret, 0};
    struct str major, rest;
    str_split(os->version_id, '.', &major, &rest);
    if (str_eqc(os->id, "debian")) {
        add(&l, "debian/" STR_FMT, STR_ARG(debian_codename(os)));
        add(&l, "Debian:" STR_FMT, STR_ARG(major))->otherwise = true;
    } else if (str_eqc(os->id, "ubuntu")) {
        ubuntu_spaces(&l, os);
    } else if (str_eqc(os->id, "alpine")) {
        struct str branch = alpine_branch(a, os);
        add(&l, "alpine/" STR_FMT, STR_ARG(branch));
        add(&l, "Alpine:" STR_FMT, STR_ARG(branch))->otherwise = true;
    } else if (str_eqc(os->id, "wolfi") || str_eqc(os->id, "chainguard")) {
        add(&l, STR_FMT, STR_ARG(os->id));
        add(&l, "%s", str_eqc(os->id, "wolfi") ? "Wolfi" : "Chainguard")->otherwise = true;
    } else {
        rpm_spaces(&l, os);
    }
    return l.n;
}

/* 1.2-3+b1 was built again from the source 1.2-3. */
static struct str without_binnmu(struct str v)
{
    size_t n = v.n;
    while (n && v.p[n - 1] >= '0' && v.p[n - 1] <= '9')
        n--;
    return n < v.n && n >= 2 && v.p[n - 1] == 'b' && v.p[n - 2] == '+' ? str_sub(v, 0, n - 2) : v;
}

/* Debian signs its kernels as packages of their own: linux-signed-amd64 6.1.99+1 is linux 6.1.99-1. */
static void unsign_linux(struct arena *a, struct str *name, struct str *version)
{
    ptrdiff_t plus = str_chr(*version, '+');
    if (!str_starts(*name, STR("linux-signed-")) || plus < 0)
        return;
    char *v = arena_cstr(a, *version);
    v[plus] = '-';
    *name = STR("linux");
    version->p = v;
}

/* "nodejs:18" of the modularity label "nodejs:18:8090020231201:5f0e1e9e" */
static struct str module_stream(struct str label)
{
    struct str name, stream, rest = label;
    return str_cut(&rest, ':', &name) && str_cut(&rest, ':', &stream) ? str_sub(label, 0, name.n + 1 + stream.n)
                                                                      : STR_NONE;
}

/* Modules, Oracle's kernels that patch themselves and its FIPS builds have names of their own in the database. */
static struct str rpm_variant(struct arena *a, const struct package *p)
{
    struct str module = module_stream(p->module);
    if (module.n)
        return arena_strf(a, STR_FMT "::", STR_ARG(module));
    return str_has(p->version, STR(".ksplice")) ? STR("ksplice::")
           : str_has(p->version, STR("_fips"))  ? STR("fips::")
                                                : STR("");
}

/* Every space once by each name under which the package may be told: by its source, or by itself. */
static size_t os_lookups(struct arena *a, const struct package *p, const struct os_release *os,
                         struct ecosystem_lookup ret[static ECOSYSTEM_LOOKUPS])
{
    struct ecosystem_lookup spaces[ECOSYSTEM_LOOKUPS];
    size_t spaces_n = ecosystem_os_spaces(a, os, spaces), n = 0;
    struct str source = p->source_name.n ? p->source_name : p->name, names[2];
    struct str versions[2] = {p->source_version.n ? p->source_version : p->version, p->version};
    if (str_eqc(p->type, "rpm")) {
        struct str variant = rpm_variant(a, p);
        names[0] = arena_strf(a, STR_FMT STR_FMT, STR_ARG(variant), STR_ARG(p->name));
        names[1] = arena_strf(a, STR_FMT "src:" STR_FMT, STR_ARG(variant), STR_ARG(source));
        versions[0] = p->version;
    } else {
        names[0] = source;
        names[1] = str_eqc(p->type, "deb") ? arena_strf(a, "bin:" STR_FMT, STR_ARG(p->name)) : STR_NONE;
    }
    if (str_eqc(p->type, "deb")) {
        versions[0] = without_binnmu(versions[0]);
        unsign_linux(a, &names[0], &versions[0]);
    }
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < spaces_n && n < ECOSYSTEM_LOOKUPS && names[k].n; i++) {
            ret[n] = spaces[i];
            ret[n].name = names[k];
            ret[n].version = versions[k];
            ret[n++].otherwise = spaces[i].otherwise;
        }
    return n;
}

size_t ecosystem_lookups(struct arena *a, const struct package *p, const struct os_release *os,
                         struct ecosystem_lookup ret[static ECOSYSTEM_LOOKUPS], bool *ret_os)
{
    size_t n = 0;
    *ret_os = str_eqc(p->type, "deb") || str_eqc(p->type, "apk") || str_eqc(p->type, "rpm");
    if (*ret_os)
        return os ? os_lookups(a, p, os, ret) : 0;
    for (size_t i = 0; i < ARRAY_LEN(ecosystems); i++)
        if (ecosystems[i].type && str_eqc(p->type, ecosystems[i].type)) {
            struct str space = str_c(ecosystems[i].ecosystem);
            ret[n++] = (struct ecosystem_lookup){
                .space = space, .name = ecosystem_name(a, space, p->name), .version = p->version};
        }
    if (str_eqc(p->type, "generic")) {
        struct str names[CPE_NAMES_MAX];
        size_t names_n = cpe_names(p->name, names);
        for (size_t i = 0; i < names_n && n < ECOSYSTEM_LOOKUPS; i++)
            ret[n++] = (struct ecosystem_lookup){.space = STR("cpe"), .name = names[i], .version = p->version};
    }
    return n;
}
