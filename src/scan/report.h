/* report: views of an inventory and its assessment, for people and for other programs. The JSON report itself is
 * assess_write(). Text views replace control characters of names from the image by '?', so that an image can neither
 * move the cursor nor forge columns.
 */
#ifndef BULKHEAD_SCAN_REPORT_H
#define BULKHEAD_SCAN_REPORT_H

#include "scan/assess.h"

enum report_list { REPORT_DEFAULT, REPORT_PACKAGES, REPORT_FINDINGS };

struct report {
    const struct inventory *inventory;
    const struct assessment *assessment;
    enum report_list list; /* REPORT_DEFAULT: tsv packages; table findings, or packages without intel */
    bool color;            /* table only */
    bool judged;           /* a policy or a threshold was given: the verdict says more than "nothing asked" */
};

/* One function for each format of report.tbl.h. tsv: rows sorted bytewise, no header. table: up to 100 columns.
 * cyclonedx: vulnerabilities when there is intel, unless REPORT_PACKAGES. spdx: packages only. */
#define REPORT_FORMAT(name, function, about) void function(struct buf *b, const struct report *r);
#include "scan/report.tbl.h"
#undef REPORT_FORMAT

/* Append with control characters (C0, DEL, C1) replaced. */
void report_puts(struct buf *b, struct str s);
/* The same, escaped for XML and HTML text and attributes; bytes that are not UTF-8 become U+FFFD. */
void report_xml(struct buf *b, struct str s);

/* ---- what the views share ---- */
/* Every finding but the one per package; NULL starts, NULL ends. */
const struct finding *report_next(const struct report *r, const struct finding *f);
const char *report_kind(enum finding_kind kind);                      /* "vulnerability" "secret" ... */
struct str report_what(struct arena *a, const struct finding *f);     /* "libc6 2.36-9", or the path */
struct str report_sentence(struct arena *a, const struct finding *f); /* one line for people */
/* The verdict's reason that names this finding; NULL: none. */
const struct reason *report_reason(const struct report *r, const struct finding *f);

#endif
