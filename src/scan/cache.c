#include "scan/cache.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "format/digest.h"
#include "scan/layer.h"

const char *cache_default_dir(struct arena *a)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return arena_printf(a, "%s/bulkhead", xdg);
    if (geteuid() == 0)
        return "/var/cache/bulkhead";
    return home && home[0] == '/' ? arena_printf(a, "%s/.cache/bulkhead", home) : NULL;
}

static const char *entry_path(struct arena *a, const char *dir, const char *kind, struct str digest)
{
    return arena_printf(a, "%s/%s-%d/" STR_FMT ".json", dir, kind, LAYER_VERSION,
                        STR_ARG(str_sub(digest, 7, digest.n)));
}

int cache_get(struct arena *a, const char *dir, const char *kind, struct str digest, struct str *ret)
{
    struct str text, sum, body;
    uint8_t have[SHA256_SIZE];
    char hex[DIGEST_TEXT];
    if (!dir || !digest_valid(digest) || fs_read(a, entry_path(a, dir, kind, digest), LIMIT_REPORT, &text, NULL) < 0 ||
        !str_split(text, '\n', &sum, &body))
        return -ENOENT;
    sha256_of(body, have);
    if (!str_eqc(sum, digest_text(have, hex)))
        return -ENOENT;
    *ret = body;
    return 0;
}

void cache_put(const char *dir, const char *kind, struct str digest, struct str json)
{
    if (!dir || !digest_valid(digest))
        return;
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    uint8_t sum[SHA256_SIZE];
    char hex[DIGEST_TEXT];
    sha256_of(json, sum);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    buf_printf(&b, "%s\n", digest_text(sum, hex));
    buf_puts(&b, json);
    if (b.full || fs_mkdirs(arena_printf(a, "%s/%s-%d", dir, kind, LAYER_VERSION), 0700, NULL) < 0)
        return;
    fs_write(entry_path(a, dir, kind, digest), buf_str(&b), 0600, NULL);
}
