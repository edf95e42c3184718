/* oval: one definition of OVAL 5 -> rows. Read are the comments of its criteria ("bind-libs is earlier than
 * 30:9.3.3-8.el5", "Module nodejs:12 is enabled", "Oracle Linux 5 is installed"), which every publisher generates from
 * the tests they stand for: so a file of any size is streamed, one definition at a time.
 */
#ifndef BULKHEAD_INTEL_OVAL_H
#define BULKHEAD_INTEL_OVAL_H

#include "intel/feed.h"

struct oval_node { /* criteria or, with a comment, criterion */
    struct oval_node *parent, *first, *last, *next;
    struct str comment;
};

enum { OVAL_CVES_MAX = 2048, OVAL_PLATFORMS_MAX = 64, OVAL_RESOLUTIONS_MAX = 256 };

struct oval_definition {
    struct str id, klass, title;
    struct str advisory; /* RHSA-..., ELSA-... */
    struct str cves[OVAL_CVES_MAX];
    size_t cves_n;
    struct str platforms[OVAL_PLATFORMS_MAX];
    size_t platforms_n;
    struct str cpes[OVAL_PLATFORMS_MAX]; /* Red Hat: for which streams it is */
    size_t cpes_n;
    struct str severity, vector;
    double cvss;
    int64_t issued;
    struct { /* Red Hat on what has no fix: "Will not fix" for a component */
        struct str state, component;
    } resolutions[OVAL_RESOLUTIONS_MAX];
    size_t resolutions_n;
    struct oval_node root;
};

struct oval_node *oval_add(struct arena *a, struct oval_node *parent, struct str comment);
int oval_emit(struct feed *f, const struct oval_definition *d);

/* "SUSE Linux Enterprise Server 15 SP1" -> suse/15.1, "Oracle Linux 8" -> oracle/8, ...: the space of a product's name,
 * empty when there is none of ours in it. *ret_scheme, *ret_feed go with it. */
struct str oval_space(struct arena *a, struct str product, enum version_scheme *ret_scheme, const char **ret_feed);

#endif
