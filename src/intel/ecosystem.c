#include "intel/ecosystem.h"

#include "base/cleanup.h"

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

static size_t os_spaces(struct arena *a, struct str type, const struct os_release *os,
                        struct str ret[static ECOSYSTEM_SPACES])
{
    struct str major, rest;
    str_split(os->version_id, '.', &major, &rest);
    bool deb = str_eqc(type, "deb"), apk = str_eqc(type, "apk");
    if (deb && str_eqc(os->id, "debian")) {
        ret[0] = arena_strf(a, "debian/" STR_FMT, STR_ARG(debian_codename(os)));
        ret[1] = arena_strf(a, "Debian:" STR_FMT, STR_ARG(major));
        return 2;
    }
    if (deb && str_eqc(os->id, "ubuntu")) {
        ret[0] = arena_strf(a, "Ubuntu:" STR_FMT ":LTS", STR_ARG(os->version_id));
        ret[1] = arena_strf(a, "Ubuntu:" STR_FMT, STR_ARG(os->version_id));
        return 2;
    }
    if (apk && str_eqc(os->id, "alpine")) {
        struct str branch = alpine_branch(a, os);
        ret[0] = arena_strf(a, "alpine/" STR_FMT, STR_ARG(branch));
        ret[1] = arena_strf(a, "Alpine:" STR_FMT, STR_ARG(branch));
        return 2;
    }
    if (apk && (str_eqc(os->id, "wolfi") || str_eqc(os->id, "chainguard"))) {
        ret[0] = str_eqc(os->id, "wolfi") ? STR("Wolfi") : STR("Chainguard");
        return 1;
    }
    if (str_eqc(type, "rpm") && (str_eqc(os->id, "rocky") || str_eqc(os->id, "almalinux"))) {
        ret[0] = arena_strf(a, "%s:" STR_FMT, str_eqc(os->id, "rocky") ? "Rocky Linux" : "AlmaLinux", STR_ARG(major));
        return 1;
    }
    return 0;
}

size_t ecosystem_spaces(struct arena *a, struct str purl_type, const struct os_release *os,
                        struct str ret[static ECOSYSTEM_SPACES], bool *ret_os)
{
    *ret_os = str_eqc(purl_type, "deb") || str_eqc(purl_type, "apk") || str_eqc(purl_type, "rpm");
    if (*ret_os)
        return os ? os_spaces(a, purl_type, os, ret) : 0;
    for (size_t i = 0; i < ARRAY_LEN(ecosystems); i++)
        if (ecosystems[i].type && str_eqc(purl_type, ecosystems[i].type)) {
            ret[0] = str_c(ecosystems[i].ecosystem);
            return 1;
        }
    return 0;
}
