/* toml: a reader for the lock files that package managers write themselves (Cargo.lock, poetry.lock, uv.lock,
 * pdm.lock): table headers, and keys whose values are strings. Arrays, inline tables, numbers and dates are passed
 * over, also over several lines. No TOML validator: a file of another shape gives nothing instead of an error. Format:
 * https://toml.io/en/v1.0.0
 */
#ifndef BULKHEAD_FORMAT_TOML_H
#define BULKHEAD_FORMAT_TOML_H

#include "base/arena.h"

enum toml_kind { TOML_END, TOML_TABLE, TOML_ELEMENT, TOML_STRING, TOML_OTHER };

struct toml {
    struct arena *a;
    struct str rest;
};

struct toml_item {
    enum toml_kind kind;
    struct str name;  /* of the [table] or [[element]], or the key */
    struct str value; /* TOML_STRING: without quotes and escapes; TOML_OTHER: its first line as written */
};

enum toml_kind toml_next(struct toml *t, struct toml_item *ret);

#endif
