/* json_escape: the escapes inside of JSON strings. Internal to json.c. */
#ifndef BULKHEAD_FORMAT_JSON_ESCAPE_H
#define BULKHEAD_FORMAT_JSON_ESCAPE_H

#include "base/str.h"

/* Decode raw (between the quotes, every backslash followed by a byte) into out, which holds raw.n bytes. Returns the
 * length; -EINVAL bad escape, -EILSEQ half a surrogate pair, with *bad at the backslash. */
ptrdiff_t json_unescape(struct str raw, char *out, const char **bad);

#endif
