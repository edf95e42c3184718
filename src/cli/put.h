/* put: what `bulkhead scan --console URL` shares with `bulkhead put report`. */
#ifndef BULKHEAD_CLI_PUT_H
#define BULKHEAD_CLI_PUT_H

#include "cli/remote.h"

/* Hand a scan report (JSON text of `bulkhead scan --format json`) to the console; the answer is its Image with the
 * verdict by the console's policies and intel. -EINVAL: the report has no image id. */
int put_report(struct remote *rm, struct arena *a, struct str report, const struct json_value **ret, struct err *e);

/* The same for the console of the login at `url`, with its verdict and the reasons of a denial on stderr (not when
 * quiet). *allow: what the console says; true also when it has no policy for the image. */
int put_scan(struct arena *a, const char *url, struct str report, bool quiet, bool *allow, struct err *e);

/* A file as the body of a request; the answer is JSON. */
int put_stream(struct remote *rm, struct arena *a, const char *method, const char *file, const char *path,
               const char *type, const struct json_value **ret, struct err *e);

#endif
