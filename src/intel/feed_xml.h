/* feed_xml: a stream of XML elements (expat). No document type is taken, so no entities; depth and text are capped.
 *
 *     struct feed_xml x = {.f = f, .arg = &state, .start = start, .end = end};
 *     r = feed_xml_read(&x, e);
 */
#ifndef BULKHEAD_INTEL_FEED_XML_H
#define BULKHEAD_INTEL_FEED_XML_H

#include "intel/feed.h"

enum { FEED_XML_DEPTH = 200, FEED_XML_TEXT = 64 << 10 };

struct feed_xml {
    struct feed *f;
    void *arg;
    /* Names come without their namespace. attrs: name, value, ..., NULL. Text: what stood between the last tag and this
     * end, trimmed, cut at FEED_XML_TEXT. A negative return stops the reading. */
    int (*start)(void *arg, struct str name, const char *const *attrs, struct err *e);
    int (*end)(void *arg, struct str name, struct str text, struct err *e);
};

int feed_xml_read(struct feed_xml *x, struct err *e);
struct str feed_xml_attr(const char *const *attrs, const char *name); /* empty when it is not there */

#endif
