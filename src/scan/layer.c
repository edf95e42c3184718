#include "scan/layer_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/digest.h"
#include "format/unpack.h"

/* Content after unpacking. Whether it is a tar archive at all shows in its first block. */
static int on_content(void *ctx, const void *p, size_t n, struct err *e)
{
    struct layer *l = ctx;
    l->content_size += n;
    if (unpack_format(l->unpack) != UNPACK_PLAIN)
        sha256_update(&l->content, p, n);
    if (l->no_tar)
        return 0;
    if (l->first_n < sizeof(l->first)) {
        size_t take = sizeof(l->first) - l->first_n < n ? sizeof(l->first) - l->first_n : n;
        memcpy(l->first + l->first_n, p, take);
        l->first_n += take;
        if (l->first_n < sizeof(l->first))
            return 0;
        static const unsigned char zero[512];
        if (!tar_is_header(l->first) && memcmp(l->first, zero, sizeof(zero)) != 0) {
            l->no_tar = true;
            return 0;
        }
        int r = tar_feed(l->tar, l->first, sizeof(l->first), e);
        if (r < 0)
            return r;
        p = (const char *)p + take;
        n -= take;
    }
    return tar_feed(l->tar, p, n, e);
}

struct layer *layer_new(struct arena *a, const struct probe_setup *setup)
{
    static const struct probe_setup none;
    struct layer *l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    l->a = a;
    l->scratch = arena_new(16u << 20);
    l->parsed = arena_new(LIMIT_SCAN_ARENA);
    l->by_path = map_new(LIMIT_SCAN_FILES_COUNT + 1);
    l->folders = map_new(LIMIT_SCAN_FILES_COUNT * 64);
    sha256_init(&l->blob);
    sha256_init(&l->content);
    l->unpack = unpack_new(on_content, l);
    l->tar = tar_new(&(struct tar_sink){layer_entry, layer_data, layer_end}, l);
    l->body = BUF_INIT(LIMIT_SCAN_FILE);
    layer_probes_open(l, setup ? setup : &none);
    return l;
}

struct layer *layer_new_tree(struct arena *a, const struct probe_setup *setup)
{
    struct layer *l = layer_new(a, setup);
    l->tree = true;
    return l;
}

void layer_free(struct layer *l)
{
    if (!l)
        return;
    layer_probes_close(l);
    arena_free(l->scratch);
    arena_free(l->parsed);
    map_free(l->by_path);
    map_free(l->folders);
    layer_paths_fini(&l->rec.paths);
    layer_paths_fini(&l->owned);
    sha256_fini(&l->blob);
    sha256_fini(&l->content);
    unpack_free(l->unpack);
    tar_free(l->tar);
    buf_fini(&l->body);
    free(l);
}

void layer_freep(struct layer **l)
{
    layer_free(*l);
}

int layer_feed(struct layer *l, const void *p, size_t n, struct err *e)
{
    l->size += n;
    sha256_update(&l->blob, p, n);
    return unpack_feed(l->unpack, p, n, e);
}

static void done(struct layer *l, struct layer_record *ret)
{
    layer_settle_owned(l);
    *ret = l->rec;
    ret->paths.v = arena_array(l->a, l->rec.paths.n, sizeof(uint64_t));
    if (l->rec.paths.n)
        memcpy(ret->paths.v, l->rec.paths.v, l->rec.paths.n * sizeof(uint64_t));
}

int layer_finish(struct layer *l, struct layer_record *ret, struct err *e)
{
    int r = unpack_finish(l->unpack, e);
    if (r < 0)
        return r;
    bool short_file = l->first_n > 0 && l->first_n < sizeof(l->first);
    l->rec.tar = !l->no_tar && !short_file;
    if (l->rec.tar && (r = tar_finish(l->tar, e)) < 0)
        return r;
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    sha256_final(&l->blob, sum);
    l->rec.digest = arena_str(l->a, str_c(digest_text(sum, text)));
    if (unpack_format(l->unpack) != UNPACK_PLAIN) {
        sha256_final(&l->content, sum);
        digest_text(sum, text);
    }
    l->rec.diff_id = arena_str(l->a, str_c(text));
    l->rec.compression = str_c(unpack_format_name(unpack_format(l->unpack)));
    l->rec.size = (int64_t)l->size;
    l->rec.content_size = (int64_t)l->content_size;
    l->rec.entries = (int64_t)tar_entries(l->tar);
    done(l, ret);
    return 0;
}

void layer_finish_tree(struct layer *l, struct layer_record *ret)
{
    l->rec.compression = STR("none");
    l->rec.digest = l->rec.diff_id = STR("");
    l->rec.entries = (int64_t)l->entries;
    done(l, ret);
}
