/* issue: findings that are facts of an image, whatever intel says: malware, secrets and checks of its configuration.
 * They travel as JSON from the jail to layer records, the cache and reports; in reports they stand in `findings` behind
 * the vulnerabilities.
 */
#ifndef BULKHEAD_SCAN_ISSUE_H
#define BULKHEAD_SCAN_ISSUE_H

#include "format/json.h"
#include "policy/finding.h"

void issue_write(struct json_writer *w, const struct finding *f);
/* Strict; -EBADMSG. Strings borrow from the document. */
int issue_read(const struct json_value *v, struct finding *ret, struct err *e);
void issues_write(struct json_writer *w, const char *key, const struct finding *list, size_t n);
int issues_read(struct arena *a, const struct json_value *v, struct finding **ret, size_t *ret_n, struct err *e);

/* Worst first: malware, secrets, checks; within a kind by severity, what a container sees first, then id and path. */
int issue_order(const void *x, const void *y);
/* "home/app/.env:3", "env", "history", "layer sha256:..": where it is, for people. Lives in a. */
struct str issue_place(struct arena *a, const struct finding *f);

#endif
