/* embedded: files that the build put into the binary (tools/embed.c). */
#ifndef BULKHEAD_BASE_EMBEDDED_H
#define BULKHEAD_BASE_EMBEDDED_H

#include "base/str.h"

struct embedded {
    const char *name; /* file name without folders; NULL ends the table */
    const char *p;    /* content, with a NUL behind it */
    size_t n;
};

static inline struct str embedded_str(const struct embedded *f)
{
    return (struct str){f->p, f->n};
}

#endif
