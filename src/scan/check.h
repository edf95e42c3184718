/* check: what can be wrong with an image beside its packages, malware and secrets: the list is checks.tbl.h.
 *
 * check_image() looks at what the inventory knows; the probe (probe_checks.c) at modes and small files of the layers.
 */
#ifndef BULKHEAD_SCAN_CHECK_H
#define BULKHEAD_SCAN_CHECK_H

#include "scan/inventory.h"

#define CHECK(id, severity, title) CHECK_##id,
enum check_id {
#include "scan/checks.tbl.h"
    CHECKS
};
#undef CHECK

const char *check_name(enum check_id id);
/* A finding of this check; the caller adds path and layer. */
struct finding check_finding(enum check_id id, enum finding_origin origin, struct str match);

/* Adds the checks of config and history to inv->issues, and sorts them. history: every line, also of layers without
 * content. now: instant the image's age counts to. */
void check_image(struct arena *a, struct inventory *inv, const struct str *history, size_t history_n, int64_t now);

#endif
