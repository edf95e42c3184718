/* package: one piece of software found in an image, and the operating system it was found on. */
#ifndef BULKHEAD_FORMAT_PACKAGE_H
#define BULKHEAD_FORMAT_PACKAGE_H

#include "base/arena.h"

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
    struct str license;        /* as declared, SPDX expression where it is one; empty unknown */
    struct str path;           /* file that proves it, relative to the root, no leading slash */
    struct str layer;          /* diff id of the layer whose record it is; empty for dir: */
    struct str *files;         /* owned files that matter to later steps; may be NULL */
    size_t files_n;
};

/* Package URL (purl-spec), e.g. pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12. os may be NULL. */
struct str package_purl(struct arena *a, const struct package *p, const struct os_release *os);

struct package package_copy(struct arena *a, const struct package *p); /* with all its strings */

int os_release_parse(struct arena *a, struct str text,
                     struct os_release *ret); /* shell-like quoting, unknown keys skipped */

#endif
