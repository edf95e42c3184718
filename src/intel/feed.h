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
#include "intel/version.h"

#include "intel/feed.tbl.h"

enum feed_kind {
    FEED_UNKNOWN,
#define X(id, name, parse, max, doc) FEED_##id,
    FEEDS(X)
#undef X
        FEED_KINDS
};

enum {
    FEED_PREFIX = 64 << 10,
    FEED_DOCUMENT_MAX = 32 << 20,
    FEED_TITLE_MAX = 160,
    FEED_ALIASES_MAX = 64,
    FEED_ID_MAX = 128,
    FEED_NAME_MAX = 1024,
    FEED_LINE = 64 << 10
};
#define FEED_ARENA  ((size_t)1 << 30)
#define FEED_GIB(n) (UINT64_C(n) << 30)

struct feed {
    struct record_writer *w;
    struct arena *a; /* for one entry; the parsers reset it */
    json_read_fn *read;
    void *read_arg;
    uint64_t left;    /* bytes it may still read */
    const char *name; /* of the feed */
    int64_t newest;   /* newest date seen, told as a DATE record at the end */
};

/* By the first FEED_PREFIX bytes (or all, when `whole`). -EBADMSG: meant to be JSON, but broken. */
int feed_recognise(struct str prefix, bool whole, enum feed_kind *ret, struct err *e);
/* Parse one plain file of that kind. */
int feed_parse(enum feed_kind kind, struct feed *f, struct err *e);
/* Read one file, unpacking what it is packed in. Only failures to write are errors. */
int feed_file(int fd, unsigned number, struct record_writer *w, struct err *e);

/* ---- the parsers and what they share ---- */
#define X(id, name, parse, max, doc) int parse(struct feed *f, struct err *e);
FEEDS(X)
#undef X
int feed_osv_document(struct feed *f, const struct json_value *doc, struct err *e);
int feed_alpine_document(struct feed *f, const struct json_value *doc, struct err *e);
int feed_yaml_read(struct feed *f, struct json_value **ret, struct err *e); /* a YAML document as JSON values */
int feed_text_read(struct feed *f, struct str *ret, struct err *e);         /* the whole file, into f->a */
int feed_json_read(struct feed *f, struct json_value **ret, struct err *e); /* the whole document, into f->a */

/* A row of `affected` (README.md) whose fix is one version; the space is made known too. Texts are cleaned. */
struct feed_row {
    const char *feed;
    struct str space, name, id;
    enum version_scheme scheme;
    enum vuln_status status;
    enum vuln_severity severity;
    struct str fixed;  /* empty: none */
    struct str ranges; /* as intel/ranges.h has them; empty: by `fixed` */
};
void feed_row(struct feed *f, const struct feed_row *row);
/* What a feed says about an id, whatever the package; cvss -1 and empty texts where it does not. */
struct feed_vuln {
    const char *feed;
    struct str id, aliases; /* aliases separated by blanks */
    enum vuln_severity severity;
    double cvss;
    struct str vector;
    int64_t published;
    struct str title;
};
void feed_vuln(struct feed *f, const struct feed_vuln *v);
struct str feed_score(struct arena *a, double score);                 /* "7.5", "-1" */
enum vuln_severity feed_severity(struct str word);                    /* vendors' words; unknown when it is none */
bool feed_id_ok(struct str id);                                       /* printable, no blanks, not too long */
struct str feed_join(struct arena *a, const struct str *v, size_t n); /* with blanks between */

ssize_t feed_read(void *feed, void *p, size_t n, struct err *e); /* json_read_fn with the cap of `left` */
int feed_lines(struct feed *f, int (*take)(void *arg, struct str line, size_t number, struct err *e), void *arg,
               struct err *e); /* line by line, at most 64 KiB each */
struct json *feed_json(struct feed *f);
struct str feed_title(struct arena *a, struct str text); /* one line, at most FEED_TITLE_MAX bytes */
struct str feed_text(struct arena *a, struct str text);  /* control characters become blanks */
bool feed_is_cve(struct str s);                          /* CVE-, then digits and hyphens */
struct str feed_number(struct arena *a, int64_t v);
int64_t feed_date(struct arena *a, struct str s); /* 0 when it is none; also without zone or seconds */
void feed_saw_date(struct feed *f, int64_t date);

#endif
