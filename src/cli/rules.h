/* rules: parts of `bulkhead rules` in files of their own. */
#ifndef BULKHEAD_CLI_RULES_H
#define BULKHEAD_CLI_RULES_H

#include "detect/rules.h"

/* Replays recorded events and prints what fired. 1 when something did, 0 when nothing, -errno. */
int rules_test(const struct detect_rules *rs, const char *events, bool json, struct err *e);

#endif
