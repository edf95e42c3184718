#include "runtime/evidence.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "format/digest.h"
#include "format/json.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zstd.h>

#define BLOCK 512u

struct packed {
    char name[100];
    uint64_t size;
    uint8_t sum[SHA256_SIZE];
};

struct pack {
    int fd;
    uint64_t max, size;
    ZSTD_CCtx *zstd;
    struct packed *v;
    size_t n, cap;
    char out[128 << 10];
};

int pack_new(int fd, uint64_t max, struct pack **ret, struct err *e)
{
    struct pack *p = calloc(1, sizeof(*p));
    if (!p || !(p->zstd = ZSTD_createCCtx()))
        abort();
    p->fd = fd;
    p->max = max;
    ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1);
    *ret = p;
    return 0;
}

void pack_free(struct pack *p)
{
    if (!p)
        return;
    ZSTD_freeCCtx(p->zstd);
    free(p->v);
    free(p);
}

void pack_freep(struct pack **p)
{
    pack_free(*p);
}

uint64_t pack_size(const struct pack *p)
{
    return p->size;
}

bool pack_full(const struct pack *p, uint64_t more)
{
    return p->size + more > p->max;
}

static int squeeze(struct pack *p, const void *data, size_t n, ZSTD_EndDirective how, struct err *e)
{
    ZSTD_inBuffer in = {data, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {p->out, sizeof(p->out), 0};
        size_t left = ZSTD_compressStream2(p->zstd, &out, &in, how);
        if (ZSTD_isError(left))
            return err_set(e, EIO, "zstd: %s", ZSTD_getErrorName(left));
        int r = out.pos ? fs_write_all(p->fd, p->out, out.pos, e) : 0;
        if (r < 0)
            return r;
        if (how == ZSTD_e_end ? !left : in.pos == in.size)
            return 0;
    }
}

static int header(struct pack *p, const char *name, uint64_t size, struct err *e)
{
    char h[BLOCK] = "";
    unsigned sum = 0;
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "%07o", 0400);
    snprintf(h + 108, 8, "%07o", 0);
    snprintf(h + 116, 8, "%07o", 0);
    snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
    snprintf(h + 136, 12, "%011o", 0);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    return squeeze(p, h, BLOCK, ZSTD_e_continue, e);
}

static int padding(struct pack *p, uint64_t size, struct err *e)
{
    static const char zeros[BLOCK];
    return size % BLOCK ? squeeze(p, zeros, BLOCK - size % BLOCK, ZSTD_e_continue, e) : 0;
}

static void note(struct pack *p, const char *name, uint64_t size, struct sha256 *h)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->v = reallocarray(p->v, p->cap, sizeof(*p->v));
        if (!p->v)
            abort();
    }
    struct packed *k = &p->v[p->n++];
    *k = (struct packed){.size = size};
    snprintf(k->name, sizeof(k->name), "%s", name);
    sha256_final(h, k->sum);
    p->size += size;
}

int pack_file(struct pack *p, const char *name, struct str content, struct err *e)
{
    struct sha256 h;
    int r = header(p, name, content.n, e);
    if (r < 0 || (r = squeeze(p, content.p, content.n, ZSTD_e_continue, e)) < 0 || (r = padding(p, content.n, e)) < 0)
        return r;
    sha256_init(&h);
    sha256_update(&h, content.p, content.n);
    note(p, name, content.n, &h);
    return 0;
}

int pack_fd(struct pack *p, const char *name, int fd, int64_t at, uint64_t size, struct err *e)
{
    struct sha256 h;
    int r = header(p, name, size, e);
    _cleanup_free_ char *block = malloc(1 << 16);
    if (!block)
        abort();
    sha256_init(&h);
    for (uint64_t done = 0; r == 0 && done < size;) {
        size_t want = size - done < 1 << 16 ? (size_t)(size - done) : 1 << 16;
        ssize_t n = at >= 0 ? pread(fd, block, want, (off_t)(at + (int64_t)done)) : read(fd, block, want);
        if (n <= 0) { /* a hole, or it shrank */
            memset(block, 0, want);
            n = (ssize_t)want;
        }
        sha256_update(&h, block, (size_t)n);
        r = squeeze(p, block, (size_t)n, ZSTD_e_continue, e);
        done += (uint64_t)n;
    }
    if (r < 0 || (r = padding(p, size, e)) < 0) {
        sha256_fini(&h);
        return r;
    }
    note(p, name, size, &h);
    return 0;
}

void pack_list(const struct pack *p, struct json_writer *w)
{
    for (size_t i = 0; i < p->n; i++) {
        char hex[2 * SHA256_SIZE + 1];
        hex_encode(p->v[i].sum, SHA256_SIZE, hex);
        json_w_object(w);
        json_w_kstrz(w, "name", p->v[i].name);
        json_w_ki64(w, "size", (int64_t)p->v[i].size);
        json_w_kstrz(w, "sha256", hex);
        json_w_end(w);
    }
}

int pack_end(struct pack *p, struct err *e)
{
    static const char zeros[2 * BLOCK];
    int r = squeeze(p, zeros, sizeof(zeros), ZSTD_e_continue, e);
    if (r == 0)
        r = squeeze(p, NULL, 0, ZSTD_e_end, e);
    return r == 0 && fsync(p->fd) < 0 ? err_errno(e, "evidence") : r;
}
