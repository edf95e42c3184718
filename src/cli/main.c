/* bulkhead: the command line. One file per subcommand; command.tbl.h is the only list. */
#include "cli/command.h"

#include "base/log.h"

#define COMMAND(name, fn, summary) {#name, fn, summary},
static const struct command commands[] = {
#include "cli/command.tbl.h"
};
#undef COMMAND

static void usage(FILE *f)
{
    fprintf(f, "usage: bulkhead COMMAND [OPTIONS]\n\n"
               "Image assurance, runtime protection and policy for containers.\n\ncommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(f, "\nbulkhead COMMAND --help tells more; bulkhead --version prints the version.\n");
}

int main(int argc, char **argv)
{
    log_setup("bulkhead", LOG_WARN_, false);
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    struct str name = str_c(argv[1]);
    if (str_eqc(name, "--help") || str_eqc(name, "-h") || str_eqc(name, "help")) {
        usage(stdout);
        return 0;
    }
    if (str_eqc(name, "--version")) {
        printf("bulkhead %s\n", BULKHEAD_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (str_eqc(name, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "bulkhead: there is no command \"%s\"; bulkhead --help lists them\n", argv[1]);
    return 2;
}
