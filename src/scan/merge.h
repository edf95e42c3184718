/* merge: layer records, lowest first, become the operating system and packages of the merged file system. Whiteouts and
 * opaque directories of a layer act on the layers below it. A package is attributed to the layer in whose record this
 * name, architecture and version appeared first and stayed until the top.
 */
#ifndef BULKHEAD_SCAN_MERGE_H
#define BULKHEAD_SCAN_MERGE_H

#include "scan/inventory.h"
#include "scan/layer.h"

/* Fills os, packages (sorted), problems and incomplete of the inventory. The result borrows from the records. */
#define SBOM_PATH "sbom" /* of the record of a bill of materials */

void merge_layers(struct arena *a, const struct layer_record *layers, size_t n, struct inventory *inv);

void inventory_problem(struct arena *a, struct inventory *inv, struct str text); /* also makes it incomplete */

#endif
