/* Secrets in files: text streams through windows that overlap, so a file of any size costs a megabyte. A file that
 * arrives in one piece is read where it lies. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "scan/probe.h"
#include "scan/secret.h"

#define WINDOW   (1u << 20)
#define HITS_MAX 50u /* of one file */

struct finder {
    struct layer *l;
    struct secrets *s;
    struct arena *a;
    struct buf window;
    bool started, env;
    unsigned hits;
    uint64_t size, seen; /* of the file; bytes that came */
    uint64_t offset;     /* of the window's first byte in the file */
    uint64_t done;       /* end of the last hit, in the file */
    uint32_t lines;      /* before the window */
    /* of the window that is being read */
    struct str text;
    size_t end; /* hits that begin behind it are left for the next window */
};

static uint32_t count_lines(struct str s)
{
    uint32_t n = 0;
    for (const char *p = s.p, *end = s.p + s.n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        n++;
    return n;
}

static void tell(struct finder *f, const char *id, const char *title, enum vuln_severity severity, size_t at,
                 struct str match)
{
    struct finding d = {.kind = FINDING_SECRET,
                        .id = str_c(id),
                        .title = str_c(title),
                        .severity = severity,
                        .match = match,
                        .line = f->lines + count_lines(str_sub(f->text, 0, at)) + 1,
                        .cvss = -1,
                        .epss = -1};
    f->hits++;
    probe_issue(f->l, &d);
}

static bool on_hit(void *ctx, const struct secret_hit *hit)
{
    struct finder *f = ctx;
    if (hit->from >= f->end)
        return false;
    if (f->offset + hit->from < f->done)
        return true;
    f->done = f->offset + hit->to;
    tell(f, hit->id, hit->title, hit->severity, hit->from, secret_evidence(f->a, hit));
    arena_reset(f->a);
    return f->hits < HITS_MAX;
}

/* A .env file: the names tell. */
static void variables(struct finder *f, struct str text)
{
    struct str rest = text, line, name, value;
    while (f->hits < HITS_MAX && str_cut(&rest, '\n', &line)) {
        size_t at = (size_t)(line.p - text.p);
        if (!secret_env_line(line, &name, &value) || !secret_variable(name, value))
            continue;
        tell(f, "variable", "secret in a variable", VULN_HIGH, at,
             arena_strf(f->a, STR_FMT "=**** (%zu characters)", STR_ARG(str_sub(name, 0, 100)), value.n));
        arena_reset(f->a);
    }
}

static void look(struct finder *f, struct str text, size_t end)
{
    f->text = text;
    f->end = end;
    unsigned before = f->hits;
    secrets_scan(f->s, text, on_hit, f);
    if (f->env && f->hits == before)
        variables(f, text);
}

static void *secrets_probe_open(const struct probe_setup *setup, struct layer *l)
{
    struct finder *f = calloc(1, sizeof(*f));
    if (!f)
        abort();
    f->l = l;
    f->s = secrets_new();
    f->a = arena_new(1u << 20);
    f->window = BUF_INIT(2 * WINDOW);
    return f;
}

static int secrets_probe_entry(void *state, const struct tar_entry *ent, struct str path)
{
    struct finder *f = state;
    ptrdiff_t slash = str_rchr(path, '/');
    struct str base = str_sub(path, (size_t)(slash + 1), path.n);
    if (ent->type != TAR_FILE || ent->size < 16 || secret_path_skipped(path))
        return 0;
    f->started = false;
    f->env = str_starts(base, STR(".env")) || str_ends(base, STR(".env"));
    f->hits = 0;
    f->size = ent->size;
    f->seen = f->offset = f->done = f->lines = 0;
    buf_reset(&f->window);
    return 1;
}

static int secrets_probe_data(void *state, const void *p, size_t n)
{
    struct finder *f = state;
    struct str piece = str_n(p, n);
    if (!f->started && !secret_is_text(piece)) {
        f->hits = HITS_MAX;
        return 0;
    }
    f->started = true;
    f->seen += n;
    if (n == f->size) {
        look(f, piece, n);
        f->hits = HITS_MAX;
        return 0;
    }
    while (piece.n > 0 && f->hits < HITS_MAX) {
        size_t take = WINDOW - f->window.n < piece.n ? WINDOW - f->window.n : piece.n;
        buf_put(&f->window, piece.p, take);
        piece = str_sub(piece, take, piece.n);
        if (f->window.n < WINDOW)
            break;
        size_t drop = WINDOW - SECRET_REACH;
        look(f, buf_str(&f->window), drop);
        f->lines += count_lines(str_sub(buf_str(&f->window), 0, drop));
        f->offset += drop;
        buf_drop(&f->window, drop);
    }
    return f->hits < HITS_MAX;
}

static void secrets_probe_end(void *state)
{
    struct finder *f = state;
    if (f->hits < HITS_MAX && f->window.n)
        look(f, buf_str(&f->window), f->window.n);
}

static void secrets_probe_close(void *state)
{
    struct finder *f = state;
    secrets_free(f->s);
    arena_free(f->a);
    buf_fini(&f->window);
    free(f);
}

const struct probe probe_secrets = {secrets_probe_open, secrets_probe_entry, secrets_probe_data, secrets_probe_end,
                                    secrets_probe_close};
