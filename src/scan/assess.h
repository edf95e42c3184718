/* assess: inventory + intel + policy -> findings -> verdict. The one place where an image is judged: used by the
 * command line, the agent (also again when intel or policy change), the console and `policy simulate`.
 *
 * Deterministic: the same inventory, intel revision, policy revision and instant give the same verdict. Everything
 * lives in the arena and borrows from the inventory.
 *
 *     struct assess_input in = {.inventory = &inv, .intel = intel, .policy = set, .now = time_now()};
 *     struct assessment as;
 *     if ((r = assess(a, &in, &as, e)) < 0) ...
 *     if (!as.verdict.allow) ...
 */
#ifndef BULKHEAD_SCAN_ASSESS_H
#define BULKHEAD_SCAN_ASSESS_H

#include "intel/intel.h"
#include "policy/policy.h"
#include "scan/vex.h"

struct assess_input {
    const struct inventory *inventory;
    struct intel *intel;             /* NULL: the findings stored in the inventory are used, with their revision */
    const struct policy_set *policy; /* NULL: no policy */
    const struct vex *vex;           /* NULL: none */
    enum vuln_severity fail_on;      /* VULN_UNKNOWN: off */
    int64_t now;                     /* instant of the evaluation */
    const struct str *names;         /* names under which the image is about to be used; NULL: those of the inventory */
    size_t names_n;
    bool running; /* the id already runs: grace counts from running_since */
    int64_t running_since;
};

struct assessment {
    struct image_facts facts; /* facts.findings: all, vulnerabilities first, then one FINDING_PACKAGE per package */
    struct finding *vulns; /* worst first (exploited ones lead within a severity), then by id, type, name, version; one
                              for each (id, type, name, version) */
    size_t vulns_n;
    struct finding *issues; /* malware, secrets, checks: those of the inventory */
    size_t issues_n;
    struct vex_result vex;     /* what was ignored, and what is stale */
    struct str intel_revision; /* empty: judged without intel */
    int64_t intel_built;
    bool intel_signed;
    struct verdict verdict;
};

int assess(struct arena *a, const struct assess_input *in, struct assessment *ret, struct err *e);

/* The whole scan report (api/scan-report.schema.json) as one JSON object, and back: the inventory by inventory_read(),
 * the verdict by verdict_read() of its member "verdict". */
void assess_write(struct json_writer *w, const struct inventory *inv, const struct assessment *as);

#endif
