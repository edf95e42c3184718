/* apply: what `bulkhead policy apply` and `bulkhead policy plan` share with `bulkhead apply`. */
#ifndef BULKHEAD_CLI_APPLY_H
#define BULKHEAD_CLI_APPLY_H

#include "base/arena.h"
#include "base/err.h"

/* Check the files here, send them to the console of the login, print what changed (or would change with dry_run).
 * "-" is standard input; note may be NULL. */
int apply_policies(struct arena *a, const char *const *files, size_t n, const char *note, bool dry_run, bool json,
                   struct err *e);

/* The same files, checked here, as one text. */
struct buf;
int apply_read(struct arena *a, const char *const *files, size_t n, struct buf *ret, struct err *e);

#endif
