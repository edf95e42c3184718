/* feed_nvd: the part of NVD's entries that names products. */
#ifndef BULKHEAD_INTEL_FEED_NVD_H
#define BULKHEAD_INTEL_FEED_NVD_H

#include "intel/feed.h"

void feed_nvd_nodes(struct feed *f, struct str id, const struct json_value *nodes);

#endif
