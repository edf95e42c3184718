/* bulkhead profile: what the agent learned of an image (runtime/profile.h), for people and as a policy. */
#include "cli/command.h"

#include "base/arena.h"
#include "base/fs.h"
#include "base/time.h"
#include "runtime/profile.h"

#include <dirent.h>

#define PROFILE_ARENA (64u << 20)

static const char usage[] =
    "usage: bulkhead profile show|export|list [--state DIR] [--mode learn|audit|enforce] [--json] [IMAGE]\n\n"
    "list    the images that the agent on this host has learned\n"
    "show    what containers of IMAGE run: programs, users, how often, since when\n"
    "export  a ContainerPolicy (YAML) that allows exactly that; --mode (default audit) is the mode it gets\n\n"
    "IMAGE is an image id (sha256:...) or the name that the profile carries. --state is the agent's state directory\n"
    "(default /var/lib/bulkhead).\n";

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
    printf(STR_FMT "  " STR_FMT "\n%s after %" PRId64 " starts, last new %s\n\n", STR_ARG(p->image),
           STR_ARG(p->image_id),
           p->overflow ? "too many programs to learn"
           : p->stable ? "stable"
                       : "learning",
           p->starts, time_format(p->changed, t));
    printf("%-8s %-8s %-27s %-16s %s\n", "COUNT", "WHERE", "FIRST SEEN", "USERS", "PROGRAM");
    for (size_t i = 0; i < p->executables_n; i++) {
        const struct profile_executable *x = &p->executables[i];
        char users[128] = "";
        for (size_t k = 0, at = 0; k < x->users_n && at < sizeof(users) - 24; k++)
            at += (size_t)snprintf(users + at, sizeof(users) - at, "%s%" PRId64, k ? "," : "", x->users[k]);
        printf("%-8" PRId64 " %-8.*s %-27s %-16s " STR_FMT "\n", x->count, (int)x->where.n, x->where.p,
               time_format(x->first, s), users, STR_ARG(x->path));
    }
}

int cmd_profile(int argc, char **argv)
{
    const char *state = "/var/lib/bulkhead", *mode = "audit", *verb = NULL, *image = NULL;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        struct str arg = str_c(argv[i]);
        if (str_eqc(arg, "--help")) {
            fputs(usage, stdout);
            return 0;
        }
        if (str_eqc(arg, "--state") && i + 1 < argc)
            state = argv[++i];
        else if (str_eqc(arg, "--mode") && i + 1 < argc)
            mode = argv[++i];
        else if (str_eqc(arg, "--json"))
            json = true;
        else if (arg.n && arg.p[0] == '-')
            return fail(2, "unknown option; bulkhead profile --help");
        else if (!verb)
            verb = argv[i];
        else if (!image)
            image = argv[i];
        else
            return fail(2, "one image only; bulkhead profile --help");
    }
    if (strcmp(mode, "learn") && strcmp(mode, "audit") && strcmp(mode, "enforce"))
        return fail(2, "--mode is learn, audit or enforce");
    _cleanup_(arena_freep) struct arena *a = arena_new(PROFILE_ARENA);
    const char *dir = arena_printf(a, "%s/profiles", state);
    if (verb && !strcmp(verb, "list") && !image)
        return each(a, dir, list_one, NULL);
    if (!verb || !image || (strcmp(verb, "show") && strcmp(verb, "export"))) {
        fputs(usage, stderr);
        return 2;
    }
    struct wanted w = {.name = str_c(image)};
    if (!each(a, dir, is_it, &w))
        return fail(2, arena_printf(a, "no profile of \"%s\" in %s (is a policy with mode: learn in force for it?)",
                                    image, dir));
    _cleanup_(buf_fini) struct buf out = BUF_INIT(PROFILE_FILE);
    if (!strcmp(verb, "export")) {
        profile_policy(&out, &w.found, mode);
    } else if (json) {
        struct json_writer jw = JSON_WRITER(&out);
        profile_write(&jw, &w.found);
        buf_putc(&out, '\n');
    } else {
        show(&w.found);
    }
    fwrite(out.p ? out.p : "", 1, out.n, stdout);
    return fflush(stdout) == 0 ? 0 : fail(3, "standard output could not be written");
}
