/* purl: package URLs, pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS#SUBPATH (https://github.com/package-url/purl-spec).
 * Written by package_purl(), read here. */
#ifndef BULKHEAD_FORMAT_PURL_H
#define BULKHEAD_FORMAT_PURL_H

#include "base/arena.h"

struct purl {
    struct str type;      /* lower case */
    struct str namespace; /* "redhat", "@scope", "github.com/org"; empty none */
    struct str name, version;
    struct str qualifiers; /* as written, percent-encoded */
    struct str qualifier_values[16];
    struct str qualifier_keys[16];
    size_t qualifiers_n;
};

/* Everything decoded, in the arena. -EINVAL when it is no package URL. */
int purl_parse(struct arena *a, struct str text, struct purl *ret);
struct str purl_qualifier(const struct purl *p, const char *key); /* empty when it is not there */
/* The name as `struct package` has it: "@scope/name", "group:artifact", "vendor/name", "module/path"; else the name. */
struct str purl_package_name(struct arena *a, const struct purl *p);

#endif
