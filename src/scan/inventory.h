/* inventory: what one scan saw in one image: its identity, configuration, layers, operating system and packages.
 * It holds facts only; what they mean today (findings, verdict) is computed from it by assess.h, again whenever intel
 * or policy change, without the image.
 *
 * As JSON it is the scan report (api/scan-report.schema.json): inventory_write() gives the members of the inventory
 * inside an object the caller opened, so that report.h can add the assessment; inventory_read() takes a whole report.
 * Everything lives in the caller's arena.
 *
 *     struct json_value *v;  json_parse(a, text, 0, &v, e);
 *     struct inventory inv;  inventory_read(a, v, &inv, e);
 */
#ifndef BULKHEAD_SCAN_INVENTORY_H
#define BULKHEAD_SCAN_INVENTORY_H

#include "format/json.h"
#include "policy/finding.h"
#include "scan/layer.h"

struct inventory_layer {
    struct str diff_id;     /* sha256:HEX of the uncompressed content, verified */
    struct str digest;      /* sha256:HEX of the blob as stored, verified; equals diff_id when not compressed */
    int64_t size;           /* bytes of the blob */
    int64_t content_size;   /* bytes uncompressed */
    struct str compression; /* none gzip zstd */
    struct str created_by;  /* from the config's history; empty unknown */
};

struct inventory {
    struct str target;   /* as asked for: "archive:app.tar" */
    struct str image_id; /* sha256:HEX of the config JSON; empty for dir: */
    struct str digest;   /* sha256:HEX of the manifest; empty when the source has none */
    struct str *names;   /* tags and digests it is known by */
    size_t names_n;
    struct os_release os;
    struct image_config config;
    struct inventory_layer *layers; /* lowest first */
    size_t layers_n;
    struct package *packages; /* of the merged file system, sorted by type, name, version, arch, path */
    size_t packages_n;
    struct str *problems; /* one line each: what could not be read; none: complete */
    size_t problems_n;
    bool incomplete;
    struct finding *issues; /* malware, secrets, checks (issue.h), sorted by issue_order() */
    size_t issues_n;
    size_t base_layers;     /* how many of the layers are the base image's, as far as known; 0 unknown */
    struct str *looked_for; /* "packages" "secrets" "malware" "checks" "dynamic" */
    size_t looked_for_n;
    int64_t scanned;    /* instant of the scan */
    struct str scanner; /* version of the program that made it */
    /* From a stored report only: its findings and their intel revision, used again when no newer intel is at hand. */
    struct finding *findings;
    size_t findings_n;
    struct str intel_revision;
    int64_t intel_built;
    bool intel_signed;
};

void inventory_write(struct json_writer *w, const struct inventory *inv);
int inventory_read(struct arena *a, const struct json_value *report, struct inventory *ret, struct err *e);
int inventory_load(struct arena *a, const char *path, struct inventory *ret,
                   struct err *e); /* read + parse + inventory_read */

#endif
