/* bulkhead scan: an image becomes a report and a verdict. */
#include "cli/command.h"
#include "cli/put.h"
#include "cli/scan_content.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "engine/target.h"
#include "sandbox/sandbox.h"
#include "scan/attestation.h"
#include "scan/cache.h"
#include "scan/report.h"
#include "scan/scan.h"

#include <getopt.h>

enum { OK = 0, DENIED = 1, USAGE = 2, FAILED = 3 };

static const char help[] =
    "usage: bulkhead scan TARGET [OPTIONS]\n"
    "\n"
    "TARGET  NAME[:TAG|@DIGEST] image of a local engine (Docker, podman), else of its registry\n"
    "        registry:REF docker:REF podman:REF   the same from one source\n"
    "        archive:FILE[:NAME]  docker save or OCI archive, also compressed with gzip or zstd; - is standard input\n"
    "        oci:DIR[:TAG]      OCI image layout\n"
    "        dir:PATH           file tree\n"
    "        sbom:FILE          CycloneDX 1.4 to 1.6 or SPDX 2.3, JSON\n"
    "        report:FILE        JSON report of an earlier scan: judged again, or written in another format\n"
    "\n"
    "  --intel FILE             look up vulnerabilities in this database (bulkhead intel build)\n"
    "  --intel-key FILE         public key that must have signed it\n"
    "  --policy FILE            judge by these policies (may be given several times; files or folders)\n"
    "  --vex FILE               what people say about findings: OpenVEX, CSAF or CycloneDX (may be given several "
    "times)\n"
    "  --ignore FILE            findings to leave out: .trivyignore, .trivyignore.yaml or Grype's rules (several "
    "times)\n"
    "  --fail-on SEVERITY       deny at this severity or above: negligible low medium high critical\n"
    "  --format FORMAT          table (default), json, tsv, cyclonedx, spdx, sarif, junit, html\n"
    "  --list packages|findings what tsv and table show\n"
    "  --output FILE            write the report there\n"
    "  --report FORMAT=FILE     write a further report (may be given several times)\n"
    "  --attest FILE            write the verdict there, signed by --sign KEY (ed25519, PEM)\n"
    "  --yara FILE|DIR          look for malware with these YARA rules (*.yar) and SHA-256 lists (several times)\n"
    "  --clamd SOCKET           ask ClamAV's daemon about every file\n"
    "  --no-secrets             do not look for secrets\n"
    "  --no-checks              do not check the configuration\n"
    "  --dynamic[=SECONDS]      run the image in a sealed sandbox (root; archive: and Docker images), default 30 "
    "seconds\n"
    "  --profile-out FILE       with --dynamic: write the ContainerPolicy that allows what the image ran\n"
    "  --at INSTANT             judge as of then: with the same report, intel and policy the same verdict again\n"
    "  --console URL            hand the report to this console (bulkhead login) and obey its verdict as well\n"
    "  --platform OS/ARCH       which image of an index; default: this machine's\n"
    "  --ca FILE                CA of the registry (PEM); --cert FILE and --key FILE: client certificate\n"
    "  --auth-file FILE         login of the registry; default: Docker's config.json, its stores and helpers\n"
    "  --mirror HOST            ask this registry first (may be given several times)\n"
    "  --memory SIZE  budget of the reader's memory, default 256M\n"
    "  --no-cache               read every layer again\n"
    "  --quiet                  no progress and no notices\n"
    "\n"
    "exit: 0 allow, 1 deny, 2 wrong usage, 3 the scan failed or is incomplete\n";

#define REPORT_FORMAT(name, function, about) FORMAT_##name,
enum format {
#include "scan/report.tbl.h"
};
#undef REPORT_FORMAT

static const struct {
    const char *name;
    void (*write)(struct buf *b, const struct report *r);
} formats[] = {
#define REPORT_FORMAT(name, function, about) {#name, function},
#include "scan/report.tbl.h"
#undef REPORT_FORMAT
};

struct options {
    const char *target, *intel, *intel_key, *output, *console, *attest, *sign;
    const char **policies, **reports; /* reports: FORMAT=FILE */
    const char **vex, **ignore;
    size_t policies_n, reports_n, vex_n, ignore_n;
    enum format format;
    enum report_list list;
    enum vuln_severity fail_on;
    uint64_t memory;
    int64_t at; /* instant of the evaluation; 0: now */
    bool quiet, no_cache;
    struct registry_opts registry;
    const char **mirrors;
    const char *platform, *profile_out;
    unsigned dynamic; /* seconds; 0: no */
    struct scan_content content;
};

static const char *report_file(const struct options *o)
{
    return strncmp(o->target, "report:", 7) ? NULL : o->target + 7;
}

static int usage(const char *fmt, const char *what)
{
    fprintf(stderr, "bulkhead scan: ");
    fprintf(stderr, fmt, what);
    fprintf(stderr, "; bulkhead scan --help tells more\n");
    return USAGE;
}

static int parse_format(struct str name, enum format *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (str_eqc(name, formats[i].name)) {
            *ret = (enum format)i;
            return OK;
        }
    return usage("there is no format \"%s\"", name.p);
}

/* FORMAT=FILE */
static int parse_report(const char *value, enum format *ret, const char **file)
{
    struct str name, rest;
    if (!str_split(str_c(value), '=', &name, &rest) || !rest.n)
        return usage("--report %s: expected FORMAT=FILE", value);
    *file = rest.p;
    return parse_format(name, ret);
}

static int parse_dynamic(struct options *o, const char *value)
{
    uint64_t n = SANDBOX_SECONDS;
    if (value && (str_u64(str_c(value), &n) < 0 || !n || n > SANDBOX_SECONDS_MAX))
        return usage("--dynamic=%s: seconds, from 1 to 3600", value);
    o->dynamic = (unsigned)n;
    return OK;
}

static int parse_option(struct options *o, int c, const char *value)
{
    switch (c) {
    case 'i':
        o->intel = value;
        return OK;
    case 'k':
        o->intel_key = value;
        return OK;
    case 'p':
        o->policies[o->policies_n++] = value;
        return OK;
    case 'v':
        o->vex[o->vex_n++] = value;
        return OK;
    case 'g':
        o->ignore[o->ignore_n++] = value;
        return OK;
    case 'o':
        o->output = value;
        return OK;
    case 'f':
        return parse_format(str_c(value), &o->format);
    case 'r':
        o->reports[o->reports_n++] = value;
        return parse_report(value, &(enum format){0}, &(const char *){NULL});
    case 'a':
        o->attest = value;
        return OK;
    case 't':
        return time_parse(str_c(value), &o->at) < 0 ? usage("--at %s: an instant like 2026-11-23T17:00:00Z", value)
                                                    : OK;
    case 's':
        o->sign = value;
        return OK;
    case 'l':
        o->list = !strcmp(value, "packages") ? REPORT_PACKAGES : REPORT_FINDINGS;
        if (o->list == REPORT_FINDINGS && strcmp(value, "findings") != 0)
            return usage("--list %s: packages or findings", value);
        return OK;
    case 'F':
        if (vuln_severity_parse(str_c(value), &o->fail_on) < 0 || o->fail_on == VULN_UNKNOWN)
            return usage("--fail-on %s: negligible low medium high or critical", value);
        return OK;
    case 'm':
        if (str_size(str_c(value), &o->memory) < 0 || o->memory < (64u << 20))
            return usage("--memory %s: a size of at least 64M", value);
        return OK;
    case 'q':
        o->quiet = true;
        return OK;
    case 'C':
        o->console = value;
        return OK;
    case 'n':
        o->no_cache = true;
        return OK;
    case 'y':
        o->content.yara[o->content.yara_n++] = value;
        return OK;
    case 'c':
        o->content.clamd = value;
        return OK;
    case 'S':
        o->content.no_secrets = true;
        return OK;
    case 'K':
        o->content.no_checks = true;
        return OK;
    case 'P':
        o->platform = value;
        return str_chr(str_c(value), '/') > 0 ? OK : usage("--platform %s: OS/ARCH, like linux/arm64", value);
    case 1:
        o->registry.ca_file = value;
        return OK;
    case 2:
        o->registry.cert_file = value;
        return OK;
    case 3:
        o->registry.key_file = value;
        return OK;
    case 4:
        o->registry.auth_file = value;
        return OK;
    case 5:
        o->mirrors[o->registry.mirrors_n++] = value;
        return OK;
    case 6:
        return parse_dynamic(o, value);
    case 7:
        o->profile_out = value;
        return OK;
    }
    return usage("wrong option%s", "");
}

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        {"intel", required_argument, NULL, 'i'},
        {"intel-key", required_argument, NULL, 'k'},
        {"policy", required_argument, NULL, 'p'},
        {"format", required_argument, NULL, 'f'},
        {"list", required_argument, NULL, 'l'},
        {"output", required_argument, NULL, 'o'},
        {"fail-on", required_argument, NULL, 'F'},
        {"memory", required_argument, NULL, 'm'},
        {"quiet", no_argument, NULL, 'q'},
        {"no-cache", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"vex", required_argument, NULL, 'v'},
        {"ignore", required_argument, NULL, 'g'},
        {"console", required_argument, NULL, 'C'},
        {"report", required_argument, NULL, 'r'},
        {"attest", required_argument, NULL, 'a'},
        {"sign", required_argument, NULL, 's'},
        {"at", required_argument, NULL, 't'},
        {"dynamic", optional_argument, NULL, 6},
        {"yara", required_argument, NULL, 'y'},
        {"clamd", required_argument, NULL, 'c'},
        {"no-secrets", no_argument, NULL, 'S'},
        {"no-checks", no_argument, NULL, 'K'},
        {"platform", required_argument, NULL, 'P'},
        {"ca", required_argument, NULL, 1},
        {"cert", required_argument, NULL, 2},
        {"key", required_argument, NULL, 3},
        {"auth-file", required_argument, NULL, 4},
        {"mirror", required_argument, NULL, 5},
        {"profile-out", required_argument, NULL, 7},
        {0},
    };
    int c, index = 0, r;
    opterr = 0;
    optind = 1;
    while ((c = getopt_long(argc, argv, ":o:qh", longs, &index)) >= 0) {
        if (c == 'h') {
            fputs(help, stdout);
            return -1;
        }
        if (c == ':')
            return usage("%s needs a value", argv[optind - 1]);
        if (c == '?')
            return usage("there is no option %s", argv[optind - 1]);
        if ((r = parse_option(o, c, optarg)) != OK)
            return r;
    }
    if (optind + 1 != argc)
        return usage(optind == argc ? "what is to be scanned is missing%s" : "more than one target%s", "");
    o->target = argv[optind];
    if (!o->attest != !o->sign)
        return usage("%s", "--attest FILE and --sign KEY go together");
    if (!o->registry.cert_file != !o->registry.key_file)
        return usage("%s", "--cert FILE and --key FILE go together");
    if (o->profile_out && !o->dynamic)
        return usage("%s FILE goes with --dynamic", "--profile-out");
    if (o->dynamic && report_file(o))
        return usage("%s: there is only a report, no image to run", "--dynamic");
    if (o->intel_key && !o->intel)
        return usage("--intel-key is of no use without %s", "--intel");
    if (o->fail_on != VULN_UNKNOWN && !o->intel)
        return usage("--fail-on needs %s FILE: without it no vulnerability is known", "--intel");
    if (o->list == REPORT_FINDINGS && o->format == FORMAT_tsv && !o->intel)
        return usage("--list findings needs %s FILE", "--intel");
    return OK;
}

static int failed(const struct err *e)
{
    fprintf(stderr, "bulkhead scan: %s\n", e->msg);
    return FAILED;
}

static void progress(void *ctx, uint64_t bytes)
{
    fprintf(stderr, "\r%" PRIu64 " MiB read", bytes >> 20);
}

static int read_image(struct arena *a, const struct options *o, struct inventory *inv, struct err *e)
{
    if (report_file(o))
        return inventory_load(a, report_file(o), inv, e);
    struct jail_report jail = {0};
    bool show = !o->quiet && isatty(STDERR_FILENO);
    struct scan_opts so = {
        .cache_dir = o->no_cache ? NULL : cache_default_dir(a),
        .memory = o->memory,
        .progress = show ? progress : NULL,
        .jail = &jail,
        .registry = o->registry,
        .platform = o->platform,
    };
    so.registry.mirrors = o->mirrors;
    struct scan_content content = o->content;
    int r = scan_content_open(a, &content, &so, e);
    if (r >= 0)
        r = scan_target(a, o->target, &so, inv, e);
    scan_content_close(&content);
    if (show)
        fputs("\r\033[K", stderr);
    char missing[200];
    if (r >= 0 && !o->quiet && jail.have && jail_missing(&jail, missing, sizeof(missing))[0])
        fprintf(stderr, "bulkhead scan: the reader ran without %s, which this host does not offer\n", missing);
    return r;
}

static int load(const struct options *o, struct intel **intel, struct policy_set **set, struct err *e)
{
    int r = 0;
    if (o->intel)
        r = intel_open(o->intel, o->intel_key, o->intel_key ? 0 : INTEL_UNSIGNED_OK, intel, e);
    if (r >= 0 && *intel && !intel_signed(*intel) && !o->quiet)
        fprintf(stderr, "bulkhead scan: notice: %s was not checked against a key (--intel-key FILE)\n", o->intel);
    char date[TIME_TEXT];
    if (r >= 0 && *intel && intel_expires(*intel) <= time_now()) /* also with --quiet */
        fprintf(stderr, "bulkhead scan: notice: %s expired %s: what became known since is not in it\n", o->intel,
                time_format(intel_expires(*intel), date));
    if (r >= 0 && o->policies_n)
        r = policy_set_load(o->policies, o->policies_n, set, e);
    return r;
}

static int load_vex(struct arena *a, const struct options *o, struct vex *ret, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < o->vex_n && r >= 0; i++)
        r = vex_load(a, o->vex[i], ret, e);
    for (size_t i = 0; i < o->ignore_n && r >= 0; i++)
        r = ignore_load(a, o->ignore[i], ret, e);
    return r;
}

static void tell_stale(const struct assessment *as)
{
    for (size_t i = 0; i < as->vex.stale_n; i++)
        fprintf(stderr, "bulkhead scan: stale: " STR_FMT "\n", STR_ARG(as->vex.stale[i]));
}

static int write_report(const struct options *o, enum format format, const char *file, const struct inventory *inv,
                        const struct assessment *as, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    struct report r = {.inventory = inv,
                       .assessment = as,
                       .list = o->list,
                       .color = !file && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
                       .judged = o->policies_n || o->fail_on != VULN_UNKNOWN};
    formats[format].write(&b, &r);
    int rc = buf_check(&b, e);
    if (rc < 0)
        return err_wrap(e, "report"), rc;
    return file ? fs_write(file, buf_str(&b), 0644, e) : fs_write_all(STDOUT_FILENO, b.p, b.n, e);
}

static int attest(const struct options *o, const struct inventory *inv, const struct assessment *as, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    int r = attestation_write(&b, inv, as, o->sign, e);
    return r < 0 || (r = buf_check(&b, e)) < 0 ? r : fs_write(o->attest, buf_str(&b), 0644, e);
}

static int deliver(const struct options *o, const struct inventory *inv, const struct assessment *as, struct err *e)
{
    const char *file;
    enum format format;
    int r = write_report(o, o->format, o->output, inv, as, e);
    for (size_t i = 0; i < o->reports_n && r >= 0; i++) {
        parse_report(o->reports[i], &format, &file);
        r = write_report(o, format, file, inv, as, e);
    }
    return r < 0 || !o->attest ? r : attest(o, inv, as, e);
}

/* The console judges by its own policies and intel; both verdicts must allow. */
static int hand_in(struct arena *a, const struct options *o, const struct inventory *inv, const struct assessment *as,
                   bool *allow, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    bool also = true;
    report_json(&b, &(struct report){.inventory = inv, .assessment = as});
    int r = buf_check(&b, e);
    if (r < 0 || (r = put_scan(a, o->console, buf_str(&b), o->quiet, &also, e)) < 0)
        return err_wrap(e, "console"), r;
    *allow = *allow && also;
    return 0;
}

static int run_it(struct arena *a, const struct options *o, struct inventory *inv, struct err *e)
{
    struct sandbox_opts so = {.target = o->target, .profile_out = o->profile_out, .seconds = o->dynamic};
    if (!o->quiet)
        fprintf(stderr, "bulkhead scan: running the image for %u seconds\n", o->dynamic);
    return sandbox_run(a, &so, inv, e);
}

static int scan(const struct options *o)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(2 * LIMIT_SCAN_ARENA);
    _cleanup_(intel_unrefp) struct intel *intel = NULL;
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    struct err e = ERR_INIT;
    struct target t;
    struct inventory inv;
    struct assessment as;
    if (!report_file(o) && target_parse(a, o->target, &t, &e) < 0) {
        failed(&e);
        return USAGE;
    }
    struct vex vex = {0};
    int r = load(o, &intel, &set, &e);
    if (r >= 0)
        r = load_vex(a, o, &vex, &e);
    if (r < 0) {
        failed(&e);
        return err_exit_code(-r);
    }
    if (read_image(a, o, &inv, &e) < 0)
        return failed(&e);
    if (o->dynamic && run_it(a, o, &inv, &e) < 0)
        return failed(&e);
    if (intel && inv.os.id.n && !intel_covers(intel, &inv.os)) /* also with --quiet: silence would look like safety */
        fprintf(stderr,
                "bulkhead scan: notice: %s has no advisories for " STR_FMT " " STR_FMT
                "; its OS packages were not judged\n",
                o->intel, STR_ARG(inv.os.id), STR_ARG(inv.os.version_id));
    struct assess_input in = {.inventory = &inv,
                              .intel = intel,
                              .policy = set,
                              .vex = vex.n ? &vex : NULL,
                              .fail_on = o->fail_on,
                              .now = o->at ? o->at : time_now()};
    if (assess(a, &in, &as, &e) < 0)
        return failed(&e);
    if (deliver(o, &inv, &as, &e) < 0)
        return failed(&e);
    if (!o->quiet)
        tell_stale(&as);
    bool allow = as.verdict.allow;
    if (o->console && (r = hand_in(a, o, &inv, &as, &allow, &e)) < 0)
        return failed(&e);
    for (size_t i = 0; i < inv.problems_n && !o->quiet && o->format != FORMAT_table; i++)
        fprintf(stderr, "bulkhead scan: incomplete: " STR_FMT "\n", STR_ARG(inv.problems[i]));
    return inv.incomplete ? FAILED : allow ? OK : DENIED;
}

int cmd_scan(int argc, char **argv)
{
    struct options o = {.policies = calloc((size_t)argc, sizeof(char *)),
                        .reports = calloc((size_t)argc, sizeof(char *)),
                        .vex = calloc((size_t)argc, sizeof(char *)),
                        .ignore = calloc((size_t)argc, sizeof(char *)),
                        .mirrors = calloc((size_t)argc, sizeof(char *)),
                        .content.yara = calloc((size_t)argc, sizeof(char *))};
    if (!o.mirrors || !o.policies || !o.reports || !o.vex || !o.ignore || !o.content.yara)
        abort();
    int r = parse(&o, argc, argv);
    r = r < 0 ? OK : r != OK ? r : scan(&o);
    free(o.content.yara);
    free(o.policies);
    free(o.vex);
    free(o.ignore);
    free(o.reports);
    free(o.mirrors);
    return r;
}
