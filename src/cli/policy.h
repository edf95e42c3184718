/* policy: what the files of `bulkhead policy` share. */
#ifndef BULKHEAD_CLI_POLICY_H
#define BULKHEAD_CLI_POLICY_H

int policy_simulate(int argc, char **argv); /* argv[0] = "simulate"; returns the exit code */

#endif
