/* version: compare two versions the way their ecosystem does. */
#ifndef BULKHEAD_INTEL_VERSION_H
#define BULKHEAD_INTEL_VERSION_H

#include "base/str.h"

/* VERSION_SCHEME(id, name) */
#define VERSION_SCHEMES(X)                                                                                             \
    X(DPKG, "dpkg")                                                                                                    \
    X(RPM, "rpm")                                                                                                      \
    X(APK, "apk")                                                                                                      \
    X(SEMVER, "semver")                                                                                                \
    X(NPM, "npm")                                                                                                      \
    X(PEP440, "pep440")                                                                                                \
    X(GEM, "gem")                                                                                                      \
    X(MAVEN, "maven")                                                                                                  \
    X(GO, "go")                                                                                                        \
    X(COMPOSER, "composer")                                                                                            \
    X(NUGET, "nuget")                                                                                                  \
    X(PUB, "pub")                                                                                                      \
    X(GENERIC, "generic")

enum version_scheme {
#define X(id, name) VERSION_##id,
    VERSION_SCHEMES(X)
#undef X
};

int version_scheme_parse(struct str name, enum version_scheme *ret); /* -EINVAL */
const char *version_scheme_name(enum version_scheme scheme);
bool version_valid(enum version_scheme scheme, struct str v);
/* *ret -1, 0, 1. -EINVAL when either is no version of the scheme. apk and pep440 also give an order to what is none but
 * is found in the wild ("0.8.21.r2", "trunk"), as their tools do: version_valid tells. Never allocates. */
int version_compare(enum version_scheme scheme, struct str a, struct str b, int *ret);

/* Is the version in the npm range ("^1.2.3 || >=2 <3")? -EINVAL when either is malformed. */
int version_npm_range(struct str range, struct str version, bool *ret);

#endif
