/* vex: statements about vulnerabilities as VEX documents (OpenVEX, CSAF VEX, CycloneDX VEX) and policies make them.
 * What they do to findings is in scan/vex.h.
 */
#ifndef BULKHEAD_POLICY_VEX_H
#define BULKHEAD_POLICY_VEX_H

#include "base/arena.h"
#include "base/err.h"
#include "policy/finding.h"

enum vex_effect { VEX_STATUS, VEX_IGNORE };

struct vex_statement {
    enum vex_effect effect;
    bool by_policy;    /* who told it tells when it is stale, too */
    struct str origin; /* "app.openvex.json", ".trivyignore:3" */
    struct str *ids;   /* the vulnerability's names; none: any */
    size_t ids_n;
    int kind;               /* enum finding_kind; -1: any but package */
    struct str product;     /* purl or name of the image or package; empty: any */
    struct str *components; /* purls inside of the product; none: all of it */
    size_t components_n;
    enum vuln_status status;
    struct str justification; /* "vulnerable_code_not_in_execute_path" */
    struct str note;          /* for people: impact statement, reason */
    int64_t expires;          /* 0 never */
    /* Grype's ignore rules, and paths of .trivyignore.yaml; empty: any */
    struct str name, version, type, path, fix_state;
};

struct vex {
    struct vex_statement *v;
    size_t n, cap;
};

enum { LIMIT_VEX_FILE = 64 << 20, LIMIT_VEX_STATEMENTS = 1000000 };

struct vex_statement *vex_add(struct arena *a, struct vex *vex, struct str origin);
/* -EBADMSG: no VEX document, or a broken one. */
int vex_parse(struct arena *a, struct str origin, struct str text, struct vex *ret, struct err *e);

#endif
