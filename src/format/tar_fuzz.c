#include "format/tar.h"

static int entry(void *ctx, const struct tar_entry *ent, struct err *e)
{
    struct arena *a = ctx;
    struct str path;
    arena_reset(a);
    if (tar_clean(a, ent->name, &path) == 0 && (path.n > 0 && (path.p[0] == '/' || str_starts(path, STR("../")))))
        abort();
    return ent->size & 1;
}

static int data(void *ctx, const void *p, size_t n, struct err *e)
{
    return n == 0 ? -EINVAL : 0;
}

static int end(void *ctx, struct err *e)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(64u << 20);
    struct tar *t = tar_new(&(struct tar_sink){entry, data, end}, a);
    struct err e = ERR_INIT;
    size_t piece = n ? p[0] * 7 + 1 : 1; /* any way to cut the stream must do */
    int r = 0;
    for (size_t at = 0; at < n && r >= 0; at += piece)
        r = tar_feed(t, p + at, piece < n - at ? piece : n - at, &e);
    if (r >= 0)
        tar_finish(t, &e);
    tar_free(t);
    arena_free(a);
    return 0;
}
