/* table: aligned columns for people, from JSON objects. Control characters of the data never reach the terminal.
 *
 *     static const struct table_column columns[] = {{"HOST", "host", TABLE_TEXT}, {"LAST SEEN", "last_seen",
 * TABLE_AGE}}; table_print(stdout, columns, ARRAY_LEN(columns), items);
 */
#ifndef BULKHEAD_CLI_TABLE_H
#define BULKHEAD_CLI_TABLE_H

#include "format/json.h"

enum table_cell {
    TABLE_TEXT,   /* string or number; a list joined by commas; "-" when absent or null */
    TABLE_YES_NO, /* boolean */
    TABLE_ALLOW,  /* boolean: allow or deny, coloured */
    TABLE_STATE,  /* text, coloured: active, enforce green; silent, expired, revoked, cloned, killed red ... */
    TABLE_AGE,    /* instant: "5m ago", "in 3d" */
    TABLE_SHORT,  /* sha256:HEX and HEX cut to 12 digits */
};

struct table_column {
    const char *title, *path; /* path as in json_path() */
    enum table_cell cell;
};

void table_print(FILE *f, const struct table_column *columns, size_t n, const struct json_value *items);

bool color_wanted(FILE *f);                     /* a terminal, and NO_COLOR is not set */
const char *color_of(FILE *f, struct str word); /* escape sequence for a state or severity, "" for none */
const char *color_end(FILE *f, struct str word);
/* Text with control characters replaced by '?', in the arena. */
char *plain(struct arena *a, struct str s);
char *age_text(struct arena *a, struct str instant, int64_t now);

#endif
