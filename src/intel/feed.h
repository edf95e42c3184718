/* feed: bytes of published vulnerability feeds -> records (intel/record.h). Runs inside the jail.
 *
 * A file is recognised by its content, plain or inside gzip, zstd, xz, bzip2, zip and tar; names do not matter. What is
 * streamed (Debian tracker, NVD, KEV, EPSS) needs memory for one entry; documents (OSV, Alpine) are read whole, at most
 * FEED_DOCUMENT_MAX. A file in no known format is an UNKNOWN record, a broken one a BAD record; both go on with the
 * next.
 */
#ifndef BULKHEAD_INTEL_FEED_H
#define BULKHEAD_INTEL_FEED_H

#include "format/json.h"
#include "format/vuln.h"
#include "intel/record.h"

/* FEED(id, name, what it is) */
#define FEEDS(X)                                                                                                       \
    X(DEBIAN, "debian", "Debian security tracker, JSON")                                                               \
    X(ALPINE, "alpine", "Alpine secdb, JSON")                                                                          \
    X(OSV, "osv", "OSV 1.x record, JSON")                                                                              \
    X(OSV_YAML, "osv", "OSV 1.x record, YAML")                                                                         \
    X(ALPINE_YAML, "alpine", "Alpine secdb, YAML")                                                                     \
    X(NVD, "nvd", "NVD API 2.0 page, JSON")                                                                            \
    X(NVD1, "nvd", "NVD feed 1.1, JSON")                                                                               \
    X(KEV, "kev", "CISA known exploited vulnerabilities, JSON")                                                        \
    X(EPSS, "epss", "FIRST EPSS scores, CSV")

enum feed_kind {
    FEED_UNKNOWN,
#define X(id, name, doc) FEED_##id,
    FEEDS(X)
#undef X
};

enum { FEED_PREFIX = 64 << 10, FEED_DOCUMENT_MAX = 32 << 20, FEED_TITLE_MAX = 160, FEED_ALIASES_MAX = 64 };
#define FEED_ARENA ((size_t)1 << 30)

struct feed {
    struct record_writer *w;
    struct arena *a; /* for one entry; the parsers reset it */
    json_read_fn *read;
    void *read_arg;
    uint64_t left;  /* bytes it may still read */
    int64_t newest; /* newest date seen, told as a DATE record at the end */
};

/* By the first FEED_PREFIX bytes (or all, when `whole`). -EBADMSG: meant to be JSON, but broken. */
int feed_recognise(struct str prefix, bool whole, enum feed_kind *ret, struct err *e);
/* Parse one plain file of that kind. */
int feed_parse(enum feed_kind kind, struct feed *f, struct err *e);
/* Read one file, unpacking what it is packed in. Only failures to write are errors. */
int feed_file(int fd, unsigned number, struct record_writer *w, struct err *e);

/* ---- the parsers and what they share ---- */
int feed_debian(struct feed *f, struct err *e);
int feed_alpine(struct feed *f, struct err *e);
int feed_osv(struct feed *f, struct err *e);
int feed_osv_yaml(struct feed *f, struct err *e);
int feed_alpine_yaml(struct feed *f, struct err *e);
int feed_osv_document(struct feed *f, const struct json_value *doc, struct err *e);
int feed_alpine_document(struct feed *f, const struct json_value *doc, struct err *e);
int feed_nvd(struct feed *f, struct err *e);
int feed_nvd1(struct feed *f, struct err *e);
int feed_kev(struct feed *f, struct err *e);
int feed_epss(struct feed *f, struct err *e);

ssize_t feed_read(void *feed, void *p, size_t n, struct err *e); /* json_read_fn with the cap of `left` */
struct json *feed_json(struct feed *f);
struct str feed_title(struct arena *a, struct str text); /* one line, at most FEED_TITLE_MAX bytes */
struct str feed_text(struct arena *a, struct str text);  /* control characters become blanks */
bool feed_is_cve(struct str s);                          /* CVE-, then digits and hyphens */
struct str feed_number(struct arena *a, int64_t v);
int64_t feed_date(struct arena *a, struct str s); /* 0 when it is none; also without zone or seconds */
void feed_saw_date(struct feed *f, int64_t date);

#endif
