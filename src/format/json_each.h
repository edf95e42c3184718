/* json_each: the members of one object or array after each other, so that a lock file of any size needs the memory of
 * its largest entry. On top of json.h's pull reader.
 *
 *     json_each(j, take, &ctx, e)     where the reader is about to give the object or array
 */
#ifndef BULKHEAD_FORMAT_JSON_EACH_H
#define BULKHEAD_FORMAT_JSON_EACH_H

#include "format/json.h"

/* Must read or skip the value. key: of a member, valid until then; empty for elements, of which -ENOENT (as
 * json_value_read gives it) tells the end. */
typedef int json_each_fn(void *ctx, struct str key, struct json *j, struct err *e);

/* A value of another kind is passed over. */
int json_each(struct json *j, json_each_fn *take, void *ctx, struct err *e);
/* The whole text, without the mark that some editors put in front. Keys may repeat: package managers take the last. */
int json_each_text(struct str text, json_each_fn *take, void *ctx, struct err *e);
/* A string where one is about to come, else nothing: copied into a. */
int json_each_str(struct json *j, struct arena *a, struct str *ret, struct err *e);

#endif
