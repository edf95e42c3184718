/* bulkhead profile: what the agent learned of an image (runtime/profile.h), for people and as a policy. */
#include "cli/command.h"

#include "base/arena.h"
#include "base/fs.h"
#include "base/time.h"
#include "runtime/profile.h"

#include <dirent.h>
#include <getopt.h>

#define PROFILE_ARENA (64u << 20)

static const char usage[] =
    "usage: bulkhead profile list [--state DIR]\n"
    "       bulkhead profile show IMAGE [--state DIR] [--json]\n"
    "       bulkhead profile export IMAGE [--format policy|seccomp|networkpolicy|apparmor] [--mode "
    "learn|audit|enforce]\n"
    "                               [--selector KEY=VALUE,...] [--state DIR]\n"
    "       bulkhead profile diff OLD NEW [--state DIR]\n"
    "       bulkhead profile merge IMAGE IMAGE... [--state DIR]\n"
    "       bulkhead profile propose OLD NEW [--mode learn|audit|enforce] [--state DIR]\n\n"
    "list     the images that the agent on this host has learned\n"
    "show     what containers of IMAGE run: programs, users, how often, since when; peers; how stable it is\n"
    "export   what was learned as a ContainerPolicy (YAML), a seccomp profile (JSON), a Kubernetes NetworkPolicy, or "
    "an\n"
    "         AppArmor profile; --mode (default audit) is the policy's, --selector the NetworkPolicy's\n"
    "diff     what NEW has that OLD had not, and the other way round; exit 1 when there is something\n"
    "merge    everything that any of them allows, as a profile (JSON): replicas on several hosts\n"
    "propose  for an upgraded image: a policy for NEW that allows what either does, with the difference on top\n\n"
    "IMAGE is an image id (sha256:...), the name that the profile carries, or a file with a profile. --state is the\n"
    "agent's state directory (default /var/lib/bulkhead).\n";

static int fail(int code, const char *what)
{
    fprintf(stderr, "bulkhead: profile: %s\n", what);
    return code;
}

/* Calls fn for each profile; stops at the first non-zero answer, which it returns. */
static int each(struct arena *a, const char *dir, int (*fn)(void *ctx, const struct profile *p), void *ctx)
{
    DIR *d = opendir(dir);
    int r = 0;
    if (!d)
        return 0;
    for (struct dirent *de; r == 0 && (de = readdir(d));) {
        struct str name = str_c(de->d_name), id;
        struct profile p;
        if (name.n != 69 || !str_ends(name, STR(".json")))
            continue;
        id = arena_strf(a, "sha256:" STR_FMT, STR_ARG(str_sub(name, 0, 64)));
        if (profile_load(a, dir, id, &p, NULL) >= 0)
            r = fn(ctx, &p);
    }
    closedir(d);
    return r;
}

struct wanted {
    struct str name;
    struct profile found;
};

static int is_it(void *ctx, const struct profile *p)
{
    struct wanted *w = ctx;
    if (!str_eq(p->image, w->name) && !str_eq(p->image_id, w->name) && !str_eq(str_sub(p->image_id, 7, 71), w->name))
        return 0;
    w->found = *p;
    return 1;
}

static int list_one(void *ctx, const struct profile *p)
{
    char t[TIME_TEXT];
    printf("%-40.*s %-12.*s %-10s %4zu programs %4" PRId64 " starts  last new %s\n", (int)p->image.n, p->image.p,
           (int)(p->image_id.n < 19 ? p->image_id.n - 7 : 12), p->image_id.p + 7,
           p->overflow ? "overflow"
           : p->stable ? "stable"
                       : "learning",
           p->executables_n, p->starts, time_format(p->changed, t));
    return 0;
}

static void show(const struct profile *p)
{
    char t[TIME_TEXT], s[TIME_TEXT];
    printf(STR_FMT "  " STR_FMT "\n%s after %" PRId64 " starts (%" PRId64 " since something was new), last new %s\n\n",
           STR_ARG(p->image), STR_ARG(p->image_id),
           p->overflow ? "too many programs to learn"
           : p->stable ? "stable"
                       : "learning",
           p->starts, p->starts - p->starts_then, time_format(p->changed, t));
    printf("%-8s %-8s %-27s %-16s %s\n", "COUNT", "WHERE", "FIRST SEEN", "USERS", "PROGRAM");
    for (size_t i = 0; i < p->executables_n; i++) {
        const struct profile_executable *x = &p->executables[i];
        char users[128] = "";
        for (size_t k = 0, at = 0; k < x->users_n && at < sizeof(users) - 24; k++)
            at += (size_t)snprintf(users + at, sizeof(users) - at, "%s%" PRId64, k ? "," : "", x->users[k]);
        printf("%-8" PRId64 " %-8.*s %-27s %-16s " STR_FMT "\n", x->count, (int)x->where.n, x->where.p,
               time_format(x->first, s), users, STR_ARG(x->path));
    }
    for (size_t i = 0; i < p->peers_n; i++)
        printf("%-8" PRId64 " %-8s %-27s " STR_FMT " port %" PRId64 "/" STR_FMT "\n", p->peers[i].count,
               p->peers[i].ingress ? "ingress" : "egress", time_format(p->peers[i].first, s),
               STR_ARG(p->peers[i].address), p->peers[i].port, STR_ARG(p->peers[i].protocol));
    for (size_t i = 0; i < p->folders_n; i++)
        printf("%-8s %-8s %-27s " STR_FMT "\n", "", "writes", "", STR_ARG(p->folders[i]));
}

struct profile_request {
    const char *state, *mode, *format, *selector, *verb;
    const char *images[64];
    size_t images_n;
    bool json;
};

static int parse(int argc, char **argv, struct profile_request *q)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},  {"mode", required_argument, NULL, 'm'},
        {"format", required_argument, NULL, 'f'}, {"selector", required_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},         {0}};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 's':
            q->state = optarg;
            break;
        case 'm':
            q->mode = optarg;
            break;
        case 'f':
            q->format = optarg;
            break;
        case 'l':
            q->selector = optarg;
            break;
        case 'j':
            q->json = true;
            break;
        default:
            return fail(2, "unknown option; bulkhead profile --help");
        }
    if (optind < argc)
        q->verb = argv[optind++];
    while (optind < argc && q->images_n < ARRAY_LEN(q->images))
        q->images[q->images_n++] = argv[optind++];
    if (strcmp(q->mode, "learn") && strcmp(q->mode, "audit") && strcmp(q->mode, "enforce"))
        return fail(2, "--mode is learn, audit or enforce");
    return 0;
}

/* By id, by name, or from a file. */
static int find(struct arena *a, const struct profile_request *q, const char *image, struct profile *ret)
{
    const char *dir = arena_printf(a, "%s/profiles", q->state);
    struct wanted w = {.name = str_c(image)};
    struct err e = ERR_INIT;
    struct json_value *v;
    struct str text;
    if (str_ends(w.name, STR(".json")) && fs_exists(image)) {
        if (fs_read(a, image, PROFILE_FILE, &text, &e) < 0 || json_parse(a, text, 0, &v, &e) < 0 ||
            profile_read(a, v, ret, &e) < 0)
            return fail(2, e.msg);
        return 0;
    }
    if (!each(a, dir, is_it, &w))
        return fail(2, arena_printf(a, "no profile of \"%s\" in %s (is a policy with mode: learn in force for it?)",
                                    image, dir));
    *ret = w.found;
    return 0;
}

static int export(struct buf *out, const struct profile_request *q, const struct profile *p)
{
    if (!q->format || !strcmp(q->format, "policy"))
        profile_policy(out, p, q->mode);
    else if (!strcmp(q->format, "seccomp"))
        profile_seccomp(out, p);
    else if (!strcmp(q->format, "networkpolicy"))
        profile_network_policy(out, p, q->selector);
    else if (!strcmp(q->format, "apparmor"))
        profile_apparmor(out, p);
    else
        return fail(2, "--format is policy, seccomp, networkpolicy or apparmor");
    return 0;
}

static void propose(struct buf *out, struct arena *a, const struct profile_request *q, const struct profile *x,
                    const struct profile *y)
{
    _cleanup_(buf_fini) struct buf diff = BUF_INIT(PROFILE_FILE);
    struct profile merged;
    struct str rest, line;
    profile_merge(a, x, y, &merged);
    size_t n = profile_diff(&diff, x, y);
    buf_printf(out,
               "# proposal for " STR_FMT ", which follows " STR_FMT ": %zu differences (+ new, - not seen any more)\n",
               STR_ARG(y->image), STR_ARG(x->image), n);
    for (rest = buf_str(&diff); str_cut(&rest, '\n', &line);)
        if (line.n)
            buf_printf(out, "# " STR_FMT "\n", STR_ARG(line));
    profile_policy(out, &merged, q->mode);
}

/* The verbs that take two profiles or more. */
static int several(struct buf *out, struct arena *a, const struct profile_request *q)
{
    struct profile p, next;
    int r = find(a, q, q->images[0], &p);
    for (size_t i = 1; r == 0 && i < q->images_n; i++) {
        if ((r = find(a, q, q->images[i], &next)) != 0)
            break;
        if (!strcmp(q->verb, "diff"))
            return profile_diff(out, &p, &next) ? 1 : 0;
        if (!strcmp(q->verb, "propose"))
            return propose(out, a, q, &p, &next), 0;
        profile_merge(a, &p, &next, &p);
    }
    if (r == 0) {
        struct json_writer w = JSON_WRITER(out);
        profile_write(&w, &p);
        buf_putc(out, '\n');
    }
    return r;
}

static int one(struct buf *out, struct arena *a, const struct profile_request *q)
{
    struct profile p;
    int r = find(a, q, q->images[0], &p);
    if (r != 0)
        return r;
    if (!strcmp(q->verb, "export"))
        return export(out, q, &p);
    if (q->json) {
        struct json_writer w = JSON_WRITER(out);
        profile_write(&w, &p);
        buf_putc(out, '\n');
    } else {
        show(&p);
    }
    return 0;
}

int cmd_profile(int argc, char **argv)
{
    struct profile_request q = {.state = "/var/lib/bulkhead", .mode = "audit", .verb = ""};
    if (argc > 1 && !strcmp(argv[1], "--help")) {
        fputs(usage, stdout);
        return 0;
    }
    int r = parse(argc, argv, &q);
    if (r != 0)
        return r;
    _cleanup_(arena_freep) struct arena *a = arena_new(PROFILE_ARENA);
    _cleanup_(buf_fini) struct buf out = BUF_INIT(PROFILE_FILE);
    bool single = !strcmp(q.verb, "show") || !strcmp(q.verb, "export");
    bool pair = !strcmp(q.verb, "diff") || !strcmp(q.verb, "propose");
    if (!strcmp(q.verb, "list") && !q.images_n)
        return each(a, arena_printf(a, "%s/profiles", q.state), list_one, NULL);
    if (single && q.images_n == 1) {
        r = one(&out, a, &q);
    } else if ((pair && q.images_n == 2) || (!strcmp(q.verb, "merge") && q.images_n >= 2)) {
        r = several(&out, a, &q);
    } else {
        fputs(usage, stderr);
        return 2;
    }
    if (r > 1)
        return r;
    fwrite(out.p ? out.p : "", 1, out.n, stdout);
    return fflush(stdout) == 0 ? r : fail(3, "standard output could not be written");
}
