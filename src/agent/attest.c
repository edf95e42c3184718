/* bulkhead-agent attest FILE: take a pipeline's signed verdict into the state directory. */
#include "agent/agent.h"
#include "gate/attested.h"

#include <getopt.h>

int attest_main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"state", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *state = "/var/lib/bulkhead";
    struct err e = ERR_INIT;
    char id[72];
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
        if (c == 'h') {
            printf(
                "usage: bulkhead-agent attest [--state DIR] FILE\n\nTakes a signed verdict (bulkhead scan --attest). "
                "It counts "
                "for images that were not scanned here,\nwhen every image policy that selects them names its key under "
                "`attesters`.\n");
            return 0;
        }
        if (c != 's')
            return 2;
        state = optarg;
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "bulkhead-agent attest: expected one FILE; --help tells more\n");
        return 2;
    }
    if (attested_add(state, argv[optind], id, &e) < 0) {
        fprintf(stderr, "bulkhead-agent attest: %s: %s\n", argv[optind], e.msg);
        return 3;
    }
    printf("taken: a verdict about %s\n", id);
    return 0;
}
