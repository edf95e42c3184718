/* scan_content: what `bulkhead scan` looks for in the content of files: secrets, checks, malware. */
#ifndef BULKHEAD_CLI_SCAN_CONTENT_H
#define BULKHEAD_CLI_SCAN_CONTENT_H

#include "intel/intel.h"
#include "scan/malware.h"
#include "scan/scan.h"

struct scan_content {
    const char **yara; /* files and folders of rules and hashes */
    size_t yara_n;
    const char *clamd; /* path of its socket */
    bool no_secrets, no_checks;
    /* open */
    struct malware *malware;
    struct clamd session;
};

/* Load rules, connect; then so->probes is ready. Everything lives until scan_content_close(). */
int scan_content_open(struct arena *a, struct scan_content *c, struct scan_opts *so, struct err *e);
void scan_content_close(struct scan_content *c);

#endif
