/* record: what the jailed feed parser tells the builder, as bytes on a pipe.
 *
 * A record is a type and a fixed number of text fields (numbers in decimal). The reader takes nothing but whole records
 * of known types with the right number of fields, all lengths capped, and hands out cleaned text: the sender is
 * hostile.
 *
 * On the wire: u8 type, u8 number of fields, then per field u32 length (native order: same machine) and bytes.
 */
#ifndef BULKHEAD_INTEL_RECORD_H
#define BULKHEAD_INTEL_RECORD_H

#include "base/arena.h"
#include "base/buf.h"

/* RECORD(id, number of fields) */
#define RECORDS(X)                                                                                                     \
    X(FILE, 2)     /* number of the file, member name or empty: what follows is from there */                          \
    X(UNKNOWN, 2)  /* number of the file, member name or empty: in no format we know */                                \
    X(BAD, 2)      /* number of the file, what is wrong and where */                                                   \
    X(SPACE, 2)    /* name, scheme: the feed speaks of it, also when nothing follows */                                \
    X(DATE, 2)     /* feed, newest date inside (microseconds) */                                                       \
    X(OSV, 3)      /* id, modified (microseconds), withdrawn 0 or 1: begins a record of the feed osv */                \
    X(AFFECTED, 9) /* space, name, id, feed, status, severity, fixed, ranges, versions */                              \
    X(VULN, 8)     /* id, feed, aliases, severity, cvss, vector, published, title */                                   \
    X(SCORE, 3)    /* id, epss, percentile */                                                                          \
    X(KEV, 5)      /* id, added, due, ransomware 0 or 1, title */

enum record_type {
#define X(id, n) RECORD_##id,
    RECORDS(X)
#undef X
        RECORD_TYPES
};

enum { RECORD_FIELDS = 9, RECORD_MAX = 8 << 20 };

struct record {
    enum record_type type;
    struct str f[RECORD_FIELDS];
};

struct record_writer {
    int fd;
    struct buf b;
    struct err *e;
    int code; /* first failure; later writes do nothing */
};

void record_write(struct record_writer *w, enum record_type type, const struct str *fields);
#define RECORD_WRITE(w, type, ...) record_write((w), RECORD_##type, (const struct str[]){__VA_ARGS__})
int record_flush(struct record_writer *w);

struct record_reader {
    struct buf b; /* max set by the owner, at least RECORD_MAX + 64 KiB */
    int (*take)(void *arg, const struct record *r, struct err *e);
    void *arg;
};

int record_feed(struct record_reader *r, const void *p, size_t n, struct err *e); /* -EBADMSG, or what take returned */

#endif
