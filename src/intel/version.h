/* version: compare two versions the way their ecosystem does. */
#ifndef BULKHEAD_INTEL_VERSION_H
#define BULKHEAD_INTEL_VERSION_H

#include "base/str.h"

/* VERSION_SCHEME(id, name) */
#define VERSION_SCHEMES(X) \
    X(DPKG, "dpkg")        \
    X(RPM, "rpm")          \
    X(APK, "apk")          \
    X(SEMVER, "semver")    \
    X(NPM, "npm")          \
    X(PEP440, "pep440")    \
    X(GEM, "gem")          \
    X(MAVEN, "maven")      \
    X(GO, "go")            \
    X(COMPOSER, "composer") \
    X(NUGET, "nuget")      \
    X(PUB, "pub")          \
    X(GENERIC, "generic")

enum version_scheme {
#define X(id, name) VERSION_##id,
    VERSION_SCHEMES(X)
#undef X
};

int version_scheme_parse(struct str name, enum version_scheme *ret); /* -EINVAL */
bool version_valid(enum version_scheme scheme, struct str v);
/* *ret <0, 0, >0. -EINVAL when either is no version of the scheme. Never allocates. */
int version_compare(enum version_scheme scheme, struct str a, struct str b, int *ret);

#endif
