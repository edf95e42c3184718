/* bulkhead policy promote: learn -> audit -> enforce, with a preview of what enforce would have stopped. */
#include "base/fs.h"
#include "base/limits.h"
#include "cli/command.h"
#include "cli/policy.h"
#include "format/yml.h"

#include <getopt.h>

struct promotion {
    const char *file, *name, *to, *events;
    bool write;
    size_t changed;
};

static const char *next_of(struct str mode)
{
    return str_eqc(mode, "learn") ? "audit" : str_eqc(mode, "audit") ? "enforce" : NULL;
}

/* Is this document a ContainerPolicy that was asked for? Then its mode. */
static bool wanted(struct arena *a, const struct promotion *p, struct str text, struct str *name, struct str *mode)
{
    struct yml_doc *docs;
    size_t n;
    if (yml_parse(a, text, &docs, &n, NULL) < 0 || n != 1)
        return false;
    const struct yml *kind = yml_get(docs[0].root, "kind"), *called = yml_get(docs[0].root, "name");
    const struct yml *now = yml_get(docs[0].root, "mode");
    if (!kind || !str_eqc(kind->text, "ContainerPolicy") || !called || !now)
        return false;
    *name = called->text;
    *mode = now->text;
    return !p->name || str_eqc(called->text, p->name);
}

/* The document with another mode; everything else, comments too, stays as it was written. */
static void put_with_mode(struct buf *out, struct str doc, const char *mode)
{
    struct str line;
    bool done = false;
    while (doc.n) {
        ptrdiff_t end = str_chr(doc, '\n');
        line = end < 0 ? doc : str_sub(doc, 0, (size_t)end + 1);
        doc = str_sub(doc, line.n, doc.n);
        ptrdiff_t comment = str_find(line, STR(" #"));
        if (done || !str_starts(line, STR("mode:"))) {
            buf_puts(out, line);
            continue;
        }
        done = true;
        buf_printf(out, "mode: %s", mode);
        if (comment >= 0)
            buf_puts(out, str_sub(line, (size_t)comment, line.n));
        else
            buf_putz(out, "\n");
    }
}

/* All documents of the file; fixed: the mode that the chosen ones get, NULL: their next one, or p->to. */
static void rewrite(struct promotion *p, struct arena *a, struct str text, const char *fixed, bool say, struct buf *out)
{
    p->changed = 0;
    while (text.n) {
        ptrdiff_t at = str_starts(text, STR("---")) ? 0 : str_find(text, STR("\n---"));
        size_t skip = at == 0 ? 3 : 0;
        ptrdiff_t end = str_find(str_sub(text, skip, text.n), STR("\n---"));
        struct str doc = end < 0 ? text : str_sub(text, 0, (size_t)end + 1 + skip), name, mode;
        text = str_sub(text, doc.n, text.n);
        if (!wanted(a, p, doc, &name, &mode)) {
            buf_puts(out, doc);
            continue;
        }
        const char *to = fixed ? fixed : p->to ? p->to : next_of(mode);
        if (!to || str_eqc(mode, to)) {
            if (say)
                printf(STR_FMT ": stays in mode " STR_FMT "\n", STR_ARG(name), STR_ARG(mode));
            buf_puts(out, doc);
            continue;
        }
        if (say)
            printf(STR_FMT ": " STR_FMT " -> %s%s\n", STR_ARG(name), STR_ARG(mode), to,
                   p->write ? "" : " (not written: --write)");
        put_with_mode(out, doc, to);
        p->changed++;
    }
}

static int parse_text(const struct promotion *p, struct buf *b, struct policy_set **ret, struct err *e)
{
    struct policy_source source = {.origin = str_c(p->file), .text = buf_str(b)};
    return policy_set_parse(&source, 1, ret, e);
}

static int run(struct promotion *p, size_t *stopped, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)LIMIT_POLICY_FILE * 64);
    _cleanup_(buf_fini) struct buf next = BUF_INIT(LIMIT_POLICY_FILE * 2), strict = BUF_INIT(LIMIT_POLICY_FILE * 2);
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL, *enforced = NULL;
    struct str text;
    int r = fs_read(a, p->file, LIMIT_POLICY_FILE, &text, e);
    if (r < 0)
        return r;
    rewrite(p, a, text, "enforce", false, &strict);
    rewrite(p, a, text, NULL, true, &next);
    if ((r = parse_text(p, &next, &set, e)) < 0 || (r = parse_text(p, &strict, &enforced, e)) < 0)
        return r;
    if (p->events) {
        printf("\nwhat mode enforce would have said of %s:\n", p->events);
        if ((r = policy_preview(enforced, p->events, stopped, e)) < 0)
            return r;
    }
    if (!p->changed && !p->events)
        return err_set(e, ENOENT, "%s: no ContainerPolicy with a mode%s%s to promote", p->file,
                       p->name ? " named " : "", p->name ? p->name : "");
    return p->write && p->changed ? fs_write(p->file, buf_str(&next), 0644, e) : 0;
}

int policy_promote(int argc, char **argv)
{
    static const struct option options[] = {{"name", required_argument, NULL, 'n'},
                                            {"to", required_argument, NULL, 't'},
                                            {"events", required_argument, NULL, 'e'},
                                            {"write", no_argument, NULL, 'w'},
                                            {0}};
    struct promotion p = {0};
    struct err e = ERR_INIT;
    size_t stopped = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 'n':
            p.name = optarg;
            break;
        case 't':
            p.to = optarg;
            break;
        case 'e':
            p.events = optarg;
            break;
        case 'w':
            p.write = true;
            break;
        default:
            return 2;
        }
    bool mode = !p.to || !strcmp(p.to, "learn") || !strcmp(p.to, "audit") || !strcmp(p.to, "enforce");
    if (optind + 1 != argc || !mode) {
        fprintf(stderr, "bulkhead policy promote: needs one FILE; --to is learn, audit or enforce\n");
        return 2;
    }
    p.file = argv[optind];
    int r = run(&p, &stopped, &e);
    if (r < 0)
        fprintf(stderr, "bulkhead policy promote: %s\n", e.msg);
    return r < 0 ? err_exit_code(r) : stopped ? 1 : 0;
}
