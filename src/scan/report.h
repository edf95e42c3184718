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
};

void report_json(struct buf *b, const struct report *r);
void report_tsv(struct buf *b, const struct report *r);       /* rows sorted bytewise, no header */
void report_table(struct buf *b, const struct report *r);     /* up to 100 columns */
void report_cyclonedx(struct buf *b, const struct report *r); /* CycloneDX 1.6 JSON; vulnerabilities when there is
                                                               * intel, unless REPORT_PACKAGES */

/* Append with control characters (C0, DEL, C1) replaced. */
void report_puts(struct buf *b, struct str s);

#endif
