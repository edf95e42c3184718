/* command: what a subcommand of `bulkhead` is. run() gets argv[0] = the subcommand's name and returns the exit code
 * of the contract: 0, 1 (verdict deny), 2 wrong usage, 3 failed or incomplete. It prints its own one-line error.
 */
#ifndef BULKHEAD_CLI_COMMAND_H
#define BULKHEAD_CLI_COMMAND_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

#define COMMAND(name, fn, summary) int fn(int argc, char **argv);
#include "cli/command.tbl.h"
#undef COMMAND

#endif
