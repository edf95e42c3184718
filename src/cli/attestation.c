/* bulkhead attestation verify: is this signed verdict what the key's owner signed, and what does it say? */
#include "cli/command.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "scan/attestation.h"

#include <getopt.h>

static const char help[] =
    "usage: bulkhead attestation verify --key KEY FILE\n"
    "\n"
    "Checks a verdict signed by bulkhead scan --attest FILE --sign KEY (an in-toto statement in a DSSE\n"
    "envelope) against the signer's public key in PEM, and tells it.\n"
    "\n"
    "exit: 0 allow, 1 deny, 2 wrong usage, 3 not signed by that key, damaged or no longer valid\n";

static int tell(const struct verdict *v)
{
    char t[TIME_TEXT];
    printf("image     " STR_FMT "\nverdict   %s\nevaluated %s\n", STR_ARG(v->image_id), v->allow ? "allow" : "deny",
           time_format(v->evaluated, t));
    printf("intel     " STR_FMT "\npolicy    " STR_FMT "\n", STR_ARG(v->intel_revision), STR_ARG(v->policy_revision));
    for (size_t i = 0; i < v->reasons_n; i++)
        printf("%s " STR_FMT "\n", v->reasons[i].deny ? "denied   " : "warning  ", STR_ARG(v->reasons[i].text));
    if (v->valid_until > time_now())
        return v->allow ? 0 : 1;
    fprintf(stderr, "bulkhead attestation: the verdict held until %s; scan again\n", time_format(v->valid_until, t));
    return 3;
}

static int verify(const char *key, const char *file)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(8 * LIMIT_VERDICT);
    struct attestation t;
    struct str text, pem;
    struct err e = ERR_INIT;
    int r = fs_read(a, file, LIMIT_VERDICT, &text, &e);
    if (r >= 0)
        r = fs_read(a, key, SIGN_PEM_MAX, &pem, &e);
    if (r >= 0)
        r = attestation_read(a, text, &t, &e);
    if (r >= 0 && (r = attestation_check(&t, pem, &e)) < 0)
        err_wrap(&e, "%s", file);
    if (r >= 0)
        return tell(&t.verdict);
    fprintf(stderr, "bulkhead attestation: %s\n", e.msg);
    return r == -EINVAL ? 2 : 3;
}

int cmd_attestation(int argc, char **argv)
{
    static const struct option longs[] = {{"key", required_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *key = NULL;
    int c;
    optind = 1;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
        if (c == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (c != 'k')
            return 2;
        key = optarg;
    }
    if (optind + 2 != argc || strcmp(argv[optind], "verify") || !key) {
        fprintf(stderr, "bulkhead attestation: expected verify --key KEY FILE; --help tells more\n");
        return 2;
    }
    return verify(key, argv[optind + 1]);
}
