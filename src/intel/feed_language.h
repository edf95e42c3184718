/* feed_language: one advisory of a language ecosystem, whatever format it came in. */
#ifndef BULKHEAD_INTEL_FEED_LANGUAGE_H
#define BULKHEAD_INTEL_FEED_LANGUAGE_H

#include "intel/feed.h"

struct feed_advisory {
    const char *feed, *space;
    struct str package;
    enum version_scheme scheme;
    struct str *ids; /* the first names it, the others are aliases; none: it is left out */
    size_t ids_n;
    enum vuln_severity severity;
    double cvss; /* -1 unknown; when the vector is whole its own score counts */
    struct str vector;
    int64_t published;
    struct str title;
    struct str ranges; /* as intel/ranges.h has them */
};

void feed_advisory(struct feed *f, const struct feed_advisory *adv);

#endif
