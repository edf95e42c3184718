/* package: one piece of software found in an image, and the operating system it was found on. */
#ifndef BULKHEAD_FORMAT_PACKAGE_H
#define BULKHEAD_FORMAT_PACKAGE_H

#include "base/arena.h"
#include "base/err.h"

struct os_release {
    struct str id;         /* debian alpine ubuntu ... (ID=) */
    struct str version_id; /* "12", "3.19.1" (VERSION_ID=) */
    struct str codename;   /* bookworm (VERSION_CODENAME=) */
    struct str pretty;     /* PRETTY_NAME= */
};

struct package {
    struct str type;           /* purl type: deb apk rpm npm pypi gem maven golang cargo composer nuget generic */
    struct str name;           /* as the ecosystem writes it; the binary package for deb, apk, rpm */
    struct str version;        /* with epoch when it is not 0 */
    struct str arch;           /* empty when it has none */
    struct str source_name;    /* deb: Source:, apk: origin, rpm: from SOURCERPM; else = name */
    struct str source_version; /* deb: version in Source: parentheses; else = version */
    struct str module;         /* rpm: modularity label, "nodejs:18:8090020:abc"; else empty */
    struct str vendor;         /* rpm: who built it; else empty */
    struct str license;        /* as declared, SPDX expression where it is one; empty unknown */
    struct str path;           /* file that proves it, relative to the root, no leading slash */
    struct str layer;          /* diff id of the layer whose record it is; empty for dir: */
    struct str *files;         /* rpm, apk: owned files, no leading slash; while a layer is read only */
    size_t files_n;
};

/* Packages one parser finds: all package parsers fill one. What they add borrows from the text they were given or lives
 * in `a`. Over LIMIT_SCAN_PACKAGES additions go nowhere and package_list_check() is -E2BIG; check once at the end. */
struct package_list {
    struct arena *a;
    struct package *v;
    size_t n, cap;
    bool full;
};
#define PACKAGE_LIST(arena) ((struct package_list){.a = (arena)})

/* source_name and source_version are set to name and version. Never NULL. */
struct package *package_add(struct package_list *l, struct str type, struct str name, struct str version);
int package_list_check(const struct package_list *l, struct err *e);

/* Package URL (purl-spec), e.g. pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12. os may be NULL. */
struct str package_purl(struct arena *a, const struct package *p, const struct os_release *os);

struct package package_copy(struct arena *a, const struct package *p); /* with all its strings */

int os_release_parse(struct arena *a, struct str text,
                     struct os_release *ret); /* shell-like quoting, unknown keys skipped */
/* etc/redhat-release of systems that have no os-release, "CentOS release 6.10 (Final)"; others leave *ret alone. */
void redhat_release_parse(struct arena *a, struct str text, struct os_release *ret);

#endif
