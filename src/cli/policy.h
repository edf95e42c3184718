/* policy: what the files of `bulkhead policy` share. */
#ifndef BULKHEAD_CLI_POLICY_H
#define BULKHEAD_CLI_POLICY_H

#include "policy/policy.h"

int policy_simulate(int argc, char **argv); /* argv[0] = "simulate"; returns the exit code */
int policy_promote(int argc, char **argv);  /* argv[0] = "promote" */
/* Prints what the set would have done to recorded events; *stopped: how many that went through it would have stopped.
 */
int policy_preview(struct policy_set *set, const char *path, size_t *stopped, struct err *e);

/* simulate_console.c: against the images of the console of the login at url; intel NULL: the policies. Exit code. */
int simulate_console(const char *url, const char *const *files, size_t n, const char *intel, bool json);

#endif
