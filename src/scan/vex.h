/* vex: what people say about findings: VEX documents (OpenVEX, CSAF VEX, CycloneDX VEX) and ignore files (.trivyignore,
 * .trivyignore.yaml, Grype's ignore rules), read into one list of statements that assess() goes by.
 *
 * A statement of not_affected or fixed gives the findings it is about the status not_affected, so that rules pass them
 * over (policy.h) while reports still show them with their justification; affected and under_investigation set the
 * status as they say. What an ignore file names is taken out of the findings and listed apart. Statements that are
 * about nothing in the image, or have expired, are told as stale: exceptions rot.
 *
 *     struct vex vex = {0};
 *     r = vex_load(a, "app.openvex.json", &vex, e);
 *     r = ignore_load(a, ".trivyignore", &vex, e);
 *     struct assess_input in = {..., .vex = &vex};
 *
 * Products: a statement is about a package when its purl is (type, namespace, name, and version and qualifiers as far
 * as it has them), or when its product is the image (pkg:oci/NAME@sha256:..., a name or digest of it, or nothing at
 * all) and its subcomponents name the package or are not there.
 */
#ifndef BULKHEAD_SCAN_VEX_H
#define BULKHEAD_SCAN_VEX_H

#include "policy/vex.h"
#include "scan/inventory.h"

int vex_load(struct arena *a, const char *path, struct vex *ret, struct err *e);
int ignore_load(struct arena *a, const char *path, struct vex *ret, struct err *e);
int ignore_parse(struct arena *a, struct str origin, struct str text, struct vex *ret, struct err *e);

/* Is the statement, not expired, about this finding of this image? */
bool vex_about(struct arena *a, const struct vex_statement *s, const struct inventory *inv, const struct finding *f,
               int64_t now);

/* What became of the findings. */
struct vex_suppressed {
    struct finding finding;
    const struct vex_statement *by;
};
struct vex_result {
    struct vex_suppressed *suppressed; /* taken out by an ignore file */
    size_t suppressed_n;
    struct str *stale; /* one line each: statements that expired or are about nothing here, but those of policies */
    size_t stale_n;
    bool *used;    /* by statement: it was about something */
    int64_t until; /* when the first of those that were expires; TIME_NEVER */
};
/* Set statuses in findings[0..*n) and take out what is ignored; the order stays. The first statement that is about a
 * finding counts. */
void vex_apply(struct arena *a, const struct vex *vex, const struct inventory *inv, int64_t now,
               struct finding *findings, size_t *n, struct vex_result *ret);

#endif
