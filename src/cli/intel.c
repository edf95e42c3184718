/* bulkhead intel build | verify | info | show | diff; the others are in intel_publish.c */
#include "cli/intel.h"

#include "base/arena.h"
#include "base/time.h"
#include "format/json.h"
#include "intel/build.h"
#include "intel/diff.h"
#include "intel/intel.h"

#include <getopt.h>

#define ARENA_MAX ((size_t)256 << 20)

static void usage(FILE *f)
{
    fputs(
        "usage: bulkhead intel build --feeds DIR --output FILE [--sign KEY [--serial N] [--expires DATE]] [--quiet]\n"
        "       bulkhead intel verify --key KEY FILE\n"
        "       bulkhead intel info [--key KEY] [--json] FILE\n"
        "       bulkhead intel show [--key KEY] [--json] --intel FILE ID\n"
        "       bulkhead intel diff A B\n"
        "       bulkhead intel delta A B --output FILE\n"
        "       bulkhead intel apply A DELTA --key KEY --output FILE\n"
        "       bulkhead intel publish --key KEY --to FOLDER|oci://REF FILE\n"
        "       bulkhead intel rescan --inventories DIR [--key KEY] A B\n"
        "       bulkhead intel update --key KEY --output FILE [--ca FILE] URL|oci://REF...\n\n"
        "build   makes an intel database out of published feeds. DIR is walked; files are recognised by their "
        "content,\n"
        "        also inside .gz .zst .xz .bz2 .zip .tar: the Debian security tracker's JSON, Alpine secdb, OSV\n"
        "        records, NVD API 2.0 pages (and feed 1.1), the KEV catalogue, EPSS scores. A file in no known format "
        "is\n"
        "        named on standard error; one that cannot be parsed ends in exit 3 and nothing is written. Equal "
        "feeds\n"
        "        give an equal revision. Feeds are parsed in a jail.\n"
        "verify  checks the signature over all bytes, the inner structure, and the revision against the rows\n"
        "info    revision, dates, counts by feed and release\n"
        "show    everything known about a CVE, GHSA or any other id\n"
        "diff    + advisories that only B has, - that only A has, ~ that changed; exit 0 equal, 1 different\n\n"
        "delta   what turns A into B, byte for byte; apply does it and checks the signature of the result\n"
        "publish adds FILE to a folder that any static server can serve: base, deltas, index; or to a registry, as\n"
        "        an OCI artifact: oci://HOST/REPOSITORY:TAG\n"
        "update  brings FILE up to date from either, or from the next of its mirrors: a delta where there is one;\n"
        "        refuses what is older or has expired. --ca FILE: CA of the server; of a registry also --auth-file "
        "FILE\n"
        "        (default: Docker's config.json and its helpers), --cert FILE and --cert-key FILE\n"
        "rescan  what B says of stored scan reports that A did not (+), and no more (-): only reports with a package\n"
        "        that changed are read. Exit 1 when there is a difference\n"
        "Keys are ed25519 in PEM, made with openssl:\n"
        "  openssl genpkey -algorithm ed25519 -out intel.key             --sign takes this one; keep it offline\n"
        "  openssl pkey -in intel.key -pubout -out intel.pub             --key takes this one\n",
        f);
}

static int fail(const struct err *e)
{
    fprintf(stderr, "bulkhead intel: %s\n", e->msg);
    return err_exit_code(e->code);
}

static int wrong(const char *what)
{
    fprintf(stderr, "bulkhead intel: %s; bulkhead intel --help tells more\n", what);
    return 2;
}

struct options {
    const char *feeds, *output, *sign, *key, *intel, *to, *inventories;
    struct registry_opts registry;
    struct signature_terms terms;
    bool quiet, json;
    int exit; /* >= 0: stop here with it */
};

/* 2027-01-31 */
static bool day(const char *text, int64_t *ret)
{
    char full[64];
    return strlen(text) == 10 && snprintf(full, sizeof(full), "%sT00:00:00Z", text) > 0 &&
           time_parse(str_c(full), ret) == 0;
}

static struct options parse(int argc, char **argv)
{
    static const struct option longs[] = {{"feeds", required_argument, NULL, 'f'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"sign", required_argument, NULL, 's'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"intel", required_argument, NULL, 'i'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"intel-key", required_argument, NULL, 'k'},
                                          {"serial", required_argument, NULL, 'n'},
                                          {"expires", required_argument, NULL, 'e'},
                                          {"to", required_argument, NULL, 't'},
                                          {"ca", required_argument, NULL, 'c'},
                                          {"inventories", required_argument, NULL, 'I'},
                                          {"auth-file", required_argument, NULL, 'a'},
                                          {"cert", required_argument, NULL, 'C'},
                                          {"cert-key", required_argument, NULL, 'K'},
                                          {0}};
    struct options o = {.exit = -1};
    for (int c; o.exit < 0 && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;)
        switch (c) {
        case 'f':
            o.feeds = optarg;
            break;
        case 'o':
            o.output = optarg;
            break;
        case 's':
            o.sign = optarg;
            break;
        case 'k':
            o.key = optarg;
            break;
        case 'i':
            o.intel = optarg;
            break;
        case 'q':
            o.quiet = true;
            break;
        case 'j':
            o.json = true;
            break;
        case 't':
            o.to = optarg;
            break;
        case 'c':
            o.registry.ca_file = optarg;
            break;
        case 'a':
            o.registry.auth_file = optarg;
            break;
        case 'C':
            o.registry.cert_file = optarg;
            break;
        case 'K':
            o.registry.key_file = optarg;
            break;
        case 'I':
            o.inventories = optarg;
            break;
        case 'n':
            if (str_u64(str_c(optarg), &o.terms.serial) < 0 || !o.terms.serial)
                o.exit = wrong("--serial: a number from 1");
            break;
        case 'e':
            if (time_parse(str_c(optarg), &o.terms.expires) < 0 && !day(optarg, &o.terms.expires))
                o.exit = wrong("--expires: a date like 2027-01-31 or an instant");
            break;
        case 'h':
            usage(stdout);
            o.exit = 0;
            break;
        default:
            o.exit = 2;
        }
    return o;
}

/* ---- build ---- */

struct progress {
    bool terminal, shown;
    int64_t started, last;
};

static void progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

static void tell(void *arg, enum intel_build_event event, struct str text)
{
    struct progress *p = arg;
    int64_t now = time_monotonic();
    if (event != INTEL_BUILD_PROGRESS) {
        progress_clear(p);
        fprintf(stderr, "bulkhead intel: " STR_FMT "%s\n", STR_ARG(text),
                event == INTEL_BUILD_UNKNOWN ? ": not a feed that is known" : "");
        return;
    }
    if (!p->terminal || now - p->started < TIME_SECOND || now - p->last < TIME_SECOND / 5)
        return;
    fprintf(stderr, "\r\033[Kreading %.*s", text.n > 70 ? 70 : (int)text.n, text.p);
    p->last = now;
    p->shown = true;
}

static int build(const struct options *o)
{
    struct progress p = {.terminal = !o->quiet && isatty(2), .started = time_monotonic()};
    struct intel_build b = {
        .dir = o->feeds, .output = o->output, .key = o->sign, .terms = o->terms, .tell = tell, .arg = &p};
    struct intel_build_report rep;
    struct err e = ERR_INIT;
    char missing[256], date[TIME_TEXT];
    if (!o->feeds || !o->output)
        return wrong("build needs --feeds DIR and --output FILE");
    int r = intel_build(&b, &rep, &e);
    progress_clear(&p);
    if (r < 0) {
        fail(&e);
        return r == -EINVAL ? 2 : 3;
    }
    if (rep.unknown)
        fprintf(stderr, "bulkhead intel: %" PRIu64 " of %" PRIu64 " files are in no known format and were left out\n",
                rep.unknown, rep.files);
    if (jail_missing(&rep.jail, missing, sizeof(missing))[0])
        fprintf(stderr, "bulkhead intel: the jail on this host is without: %s\n", missing);
    if (!o->sign)
        fprintf(stderr, "bulkhead intel: %s is not signed; agents and the console will not take it\n", o->output);
    if (!o->quiet)
        printf("%s\nrevision   %s\nbuilt      %s\nadvisories %" PRIu64 " for %" PRIu64 " packages in %" PRIu64
               " releases and ecosystems\nscores     %" PRIu64 "\nexploited  %" PRIu64 "\n",
               o->output, rep.revision, rep.built ? time_format(rep.built, date) : "unknown", rep.advisories,
               rep.affected, rep.spaces, rep.scores, rep.kev);
    return 0;
}

/* ---- the others ---- */

static int verify(const struct options *o, const char *file)
{
    _cleanup_(intel_unrefp) struct intel *i = NULL;
    struct err e = ERR_INIT;
    if (!o->key)
        return wrong("verify needs --key KEY");
    if (intel_open(file, o->key, 0, &i, &e) < 0 || intel_check(i, &e) < 0) {
        fail(&e);
        return 3;
    }
    if (!o->quiet)
        printf("%s: good, revision " STR_FMT "\n", file, STR_ARG(intel_revision(i)));
    return 0;
}

static int open_any(const struct options *o, const char *file, struct intel **ret)
{
    struct err e = ERR_INIT;
    if (intel_open(file, o->key, o->key ? 0 : INTEL_UNSIGNED_OK, ret, &e) < 0) {
        fail(&e);
        return 3;
    }
    if (!o->key && !o->quiet)
        fprintf(stderr, "bulkhead intel: %s: the signature was not checked (no --key)\n", file);
    return 0;
}

static struct str cell(const struct json_value *v, const char *key)
{
    struct str s = json_str(json_get(v, key));
    return s.n ? s : STR("-");
}

static void print_info(const struct json_value *v)
{
    printf("revision  " STR_FMT "\nbuilt     " STR_FMT "\nsigned    %s\nserial    %" PRId64 "\nexpires   " STR_FMT
           "\nbytes     %" PRId64 "\n\n",
           STR_ARG(cell(v, "revision")), STR_ARG(cell(v, "built")),
           json_bool(json_get(v, "signed"), false) ? "yes, checked" : "not checked", json_i64(json_get(v, "serial"), 0),
           STR_ARG(cell(v, "expires")), json_i64(json_get(v, "bytes"), 0));
    printf("%-12s %10s  %s\n", "FEED", "RECORDS", "NEWEST");
    JSON_EACH (json_get(v, "feeds"), f)
        printf("%-12.*s %10" PRId64 "  " STR_FMT "\n", STR_ARG(cell(f, "name")), json_i64(json_get(f, "records"), 0),
               STR_ARG(cell(f, "newest")));
    printf("\n%-24s %-10s %10s\n", "RELEASE OR ECOSYSTEM", "VERSIONS", "AFFECTED");
    JSON_EACH (json_get(v, "spaces"), s)
        printf("%-24.*s %-10.*s %10" PRId64 "\n", STR_ARG(cell(s, "name")), STR_ARG(cell(s, "scheme")),
               json_i64(json_get(s, "affected"), 0));
}

static void print_list(const struct json_value *list)
{
    bool first = true;
    JSON_EACH (list, it) {
        printf("%s" STR_FMT, first ? "" : ", ", STR_ARG(json_str(it)));
        first = false;
    }
}

static void print_show(const struct json_value *v)
{
    JSON_EACH (json_get(v, "vulnerabilities"), it) {
        const struct json_value *cvss = json_get(it, "cvss"), *aliases = json_get(it, "aliases");
        printf(STR_FMT "  [" STR_FMT "]  " STR_FMT "\n  severity " STR_FMT ", CVSS " STR_FMT " " STR_FMT
                       ", published " STR_FMT "\n",
               STR_ARG(cell(it, "id")), STR_ARG(cell(it, "feed")), STR_ARG(cell(it, "title")),
               STR_ARG(cell(it, "severity")), STR_ARG(cvss && cvss->type == JSON_NUMBER ? cvss->text : STR("-")),
               STR_ARG(json_str(json_get(it, "vector"))), STR_ARG(cell(it, "published")));
        if (aliases && aliases->count) {
            printf("  aliases ");
            print_list(aliases);
            putchar('\n');
        }
    }
    JSON_EACH (json_get(v, "scores"), it)
        printf(STR_FMT "  EPSS %.5f, percentile %.5f\n", STR_ARG(cell(it, "id")), json_double(json_get(it, "epss"), 0),
               json_double(json_get(it, "percentile"), 0));
    JSON_EACH (json_get(v, "exploited"), it)
        printf(STR_FMT "  known exploited since " STR_FMT "%s: " STR_FMT "\n", STR_ARG(cell(it, "id")),
               STR_ARG(cell(it, "added")), json_bool(json_get(it, "ransomware"), false) ? " (ransomware)" : "",
               STR_ARG(cell(it, "title")));
    JSON_EACH (json_get(v, "affected"), it) {
        const struct json_value *ranges = json_get(it, "ranges"), *versions = json_get(it, "versions");
        printf("%-22.*s %-28.*s %-20.*s %-14.*s fixed " STR_FMT, STR_ARG(cell(it, "space")),
               STR_ARG(cell(it, "package")), STR_ARG(cell(it, "id")), STR_ARG(cell(it, "status")),
               STR_ARG(cell(it, "fixed")));
        if (ranges && ranges->count) {
            printf("  ");
            print_list(ranges);
        }
        if (versions && versions->count)
            printf("  %zu versions by name", versions->count);
        putchar('\n');
    }
}

static int info_or_show(const struct options *o, const char *file, const char *id)
{
    _cleanup_(intel_unrefp) struct intel *i = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(ARENA_MAX);
    struct err e = ERR_INIT;
    struct str text;
    struct json_value *v;
    int code = open_any(o, file, &i);
    if (code)
        return code;
    if ((id ? intel_show(i, a, str_c(id), &text, &e) : intel_info(i, a, &text, &e)) < 0) {
        fail(&e);
        return e.code == ENOENT ? 2 : 3;
    }
    if (o->json) {
        printf(STR_FMT "\n", STR_ARG(text));
        return 0;
    }
    if (json_parse(a, text, 0, &v, &e) < 0)
        return fail(&e);
    if (id)
        print_show(v);
    else
        print_info(v);
    return 0;
}

static void print_change(void *arg, const struct intel_change *c)
{
    uint64_t *changes = arg;
    ++*changes;
    printf("%c " STR_FMT "\t" STR_FMT "\t" STR_FMT "\t%s\t" STR_FMT "\n", c->sign, STR_ARG(c->space),
           STR_ARG(c->package), STR_ARG(c->id), vuln_status_name(c->status), STR_ARG(c->fixed));
}

static int diff(const struct options *o, const char *file_a, const char *file_b)
{
    _cleanup_(intel_unrefp) struct intel *a = NULL;
    _cleanup_(intel_unrefp) struct intel *b = NULL;
    struct err e = ERR_INIT;
    uint64_t changes = 0;
    struct intel_diff d = {print_change, &changes};
    int code = open_any(o, file_a, &a);
    if (code || (code = open_any(o, file_b, &b)))
        return code;
    if (intel_diff(a, b, &d, &e) < 0) {
        fail(&e);
        return 3;
    }
    if (!o->quiet)
        fprintf(stderr, "%" PRIu64 " advisories differ%s\n", changes,
                str_eq(intel_revision(a), intel_revision(b)) ? "; the revisions are equal" : "");
    return str_eq(intel_revision(a), intel_revision(b)) ? 0 : 1;
}

int cmd_intel(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    struct str what = str_c(argv[1]);
    if (str_eqc(what, "--help") || str_eqc(what, "-h") || str_eqc(what, "help")) {
        usage(stdout);
        return 0;
    }
    struct options o = parse(argc - 1, argv + 1);
    if (o.exit >= 0)
        return o.exit;
    char **rest = argv + 1 + optind;
    int n = argc - 1 - optind;
    if (str_eqc(what, "build"))
        return n ? wrong("build takes no other arguments") : build(&o);
    if ((o.terms.serial || o.terms.expires) && (!o.sign || !str_eqc(what, "build")))
        return wrong("--serial and --expires go with build --sign");
    if (!o.registry.cert_file != !o.registry.key_file)
        return wrong("--cert and --cert-key go together");
    if (str_eqc(what, "delta"))
        return n != 2 || !o.output ? wrong("delta needs two files and --output FILE")
                                   : intel_cmd_delta(rest[0], rest[1], o.output);
    if (str_eqc(what, "apply"))
        return n != 2 || !o.output || !o.key ? wrong("apply needs a database, a delta, --key KEY and --output FILE")
                                             : intel_cmd_apply(rest[0], rest[1], o.key, o.output);
    if (str_eqc(what, "publish"))
        return n != 1 || !o.to || !o.key ? wrong("publish needs --key KEY, --to FOLDER or oci://REF and one FILE")
                                         : intel_cmd_publish(rest[0], o.key, o.to, &o.registry);
    if (str_eqc(what, "rescan"))
        return n != 2 || !o.inventories ? wrong("rescan needs --inventories DIR and two databases")
                                        : intel_cmd_rescan(o.inventories, rest[0], rest[1], o.key, o.quiet);
    if (str_eqc(what, "update"))
        return n < 1 || !o.output || !o.key ? wrong("update needs --key KEY, --output FILE and at least one URL")
                                            : intel_cmd_update(rest, (size_t)n, o.key, o.output, &o.registry, o.quiet);
    if (str_eqc(what, "diff"))
        return n != 2 ? wrong("diff needs two files") : diff(&o, rest[0], rest[1]);
    /* the file by --intel, or before what is left */
    const char *file = o.intel ? o.intel : n > 0 ? rest[0] : NULL;
    if (!o.intel && n > 0) {
        rest++;
        n--;
    }
    if (str_eqc(what, "verify"))
        return !file || n ? wrong("verify needs one FILE") : verify(&o, file);
    if (str_eqc(what, "info"))
        return !file || n ? wrong("info needs one FILE") : info_or_show(&o, file, NULL);
    if (str_eqc(what, "show"))
        return !file || n != 1 ? wrong("show needs --intel FILE and an ID") : info_or_show(&o, file, rest[0]);
    fprintf(stderr, "bulkhead intel: there is no \"%s\"; bulkhead intel --help lists what there is\n", argv[1]);
    return 2;
}
