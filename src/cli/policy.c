/* bulkhead policy: documents checked here, planned and applied on the console, tried on what was recorded. */
#include "cli/policy.h"

#include "cli/apply.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "policy/policy.h"

#include <getopt.h>

static const char help[] =
    "usage: bulkhead policy check FILE... [--json]\n"
    "       bulkhead policy plan FILE... [--json]\n"
    "       bulkhead policy apply FILE... [--note TEXT] [--json]\n"
    "       bulkhead policy simulate --inventories DIR --policy FILE... [--intel FILE] [--json]\n"
    "       bulkhead policy simulate --events FILE --policy FILE... [--json]\n"
    "       bulkhead policy simulate --console URL --policy FILE... | --intel FILE [--json]\n"
    "       bulkhead policy promote FILE [--name NAME] [--to audit|enforce] [--events FILE] [--write]\n"
    "\n"
    "  check     read ImagePolicy, ContainerPolicy and AccessPolicy documents and say what is wrong with them: file,\n"
    "            line, field, what was expected. Lists the documents, and what this version reads but does not "
    "enforce.\n"
    "  plan      what `apply` would change on the console\n"
    "  apply     put the documents into force on the console, all or none\n"
    "  simulate  what a draft would have said: of stored scan reports (one verdict each), or of recorded events. With\n"
    "            --console of the images that the console of the login knows: which would be newly denied or allowed\n"
    "            if the documents were among those in force, or if the signed intel.db were; and what is stale\n"
    "  promote   the next mode of the ContainerPolicies of FILE (learn, audit, enforce), with a preview of what "
    "enforce\n"
    "            would have stopped of the recorded events; --write changes the file, and nothing else in it\n"
    "\n"
    "FILE is a YAML file with one or more documents, or a folder of *.yaml and *.yml; - is standard input.\n"
    "Exit: 0 fine, 1 simulate: an image or a process that went through would be stopped, 2 wrong usage or a document\n"
    "that is not in order, 3 something else failed.\n"
    "\n"
    "  bulkhead policy check policies/\n"
    "  bulkhead policy simulate --inventories /var/lib/bulkhead/inventories --policy draft.yaml\n";

static void print_json(const struct policy_set *s)
{
    const struct policy_doc *docs;
    const struct str *notices;
    size_t n = policy_set_docs(s, &docs), notices_n = policy_set_notices(s, &notices);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(256u << 20);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "revision", policy_set_revision(s));
    json_w_karray(&w, "documents");
    for (size_t i = 0; i < n; i++) {
        json_w_object(&w);
        json_w_kstrz(&w, "kind", policy_kind_name(docs[i].kind));
        json_w_kstr(&w, "name", docs[i].name);
        json_w_key(&w, "document");
        json_w_value(&w, docs[i].json);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_karray(&w, "notices");
    for (size_t i = 0; i < notices_n; i++)
        json_w_str(&w, notices[i]);
    json_w_end(&w);
    json_w_end(&w);
    buf_putc(&b, '\n');
    fwrite(b.p, 1, b.n, stdout);
}

static void print_text(const struct policy_set *s)
{
    const struct policy_doc *docs;
    const struct str *notices;
    size_t n = policy_set_docs(s, &docs), notices_n = policy_set_notices(s, &notices);
    for (size_t i = 0; i < n; i++)
        printf("%-16s " STR_FMT "\n", policy_kind_name(docs[i].kind), STR_ARG(docs[i].name));
    for (size_t i = 0; i < notices_n; i++)
        printf("notice: " STR_FMT "\n", STR_ARG(notices[i]));
    printf("%zu document%s in order, policy set " STR_FMT "\n", n, n == 1 ? "" : "s",
           STR_ARG(str_sub(policy_set_revision(s), 0, 12)));
}

static int check(const char *const *files, size_t n, bool json)
{
    _cleanup_(policy_set_unrefp) struct policy_set *s = NULL;
    struct err e = ERR_INIT;
    int r = policy_set_load(files, n, &s, &e);
    if (r < 0) {
        fprintf(stderr, "bulkhead policy check: %s\n", e.msg);
        return r == -EBADMSG || r == -E2BIG ? 2 : err_exit_code(r); /* here the data is the user's input */
    }
    if (json)
        print_json(s);
    else
        print_text(s);
    return 0;
}

int cmd_policy(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"note", required_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct str verb = argc > 1 ? str_c(argv[1]) : STR("");
    if (str_eqc(verb, "--help") || str_eqc(verb, "-h") || str_eqc(verb, "help")) {
        fputs(help, stdout);
        return 0;
    }
    bool plan = str_eqc(verb, "plan"), json = false;
    if (str_eqc(verb, "simulate"))
        return policy_simulate(argc - 1, argv + 1);
    if (str_eqc(verb, "promote"))
        return policy_promote(argc - 1, argv + 1);
    if (!plan && !str_eqc(verb, "check") && !str_eqc(verb, "apply")) {
        fputs(help, stderr);
        return 2;
    }
    const char *note = NULL;
    optind = 2;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        switch (c) {
        case 'j':
            json = true;
            break;
        case 'n':
            note = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return 2;
        }
    if (optind >= argc) {
        fprintf(stderr, "bulkhead policy " STR_FMT ": which files? --help tells more\n", STR_ARG(verb));
        return 2;
    }
    size_t n = (size_t)(argc - optind);
    const char **files = (const char **)argv + optind;
    for (size_t i = 0; i < n && str_eqc(verb, "check"); i++)
        if (!strcmp(files[i], "-"))
            files[i] = "/dev/stdin";
    if (str_eqc(verb, "check"))
        return check(files, n, json);
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    struct err e = ERR_INIT;
    return apply_policies(a, files, n, note, plan, json, &e) < 0 ? command_failed("policy", &e) : 0;
}
