#include "format/tar.h"

#include "base/buf.h"
#include "base/limits.h"

#define BLOCK 512u

enum state { HEADER, EXTENSION, SPARSE_MAP, DATA, PADDING, ENDED };

struct tar {
    struct tar_sink sink;
    void *ctx;
    enum state state;
    uint64_t offset;   /* of the next byte */
    uint64_t left;     /* bytes of the extension or content still to come */
    unsigned padding;  /* bytes up to the next block */
    bool wanted, zero; /* zero: the block before was zero */
    char extension;    /* 'x' 'L' 'K', 0: skip it */
    unsigned have;
    unsigned char block[BLOCK];
    struct buf body; /* of the extension */
    /* collected for the next real entry */
    struct buf name, link;
    bool has_name, has_link, has_size, sparse;
    char capabilities[64]; /* a struct vfs_ns_cap_data has 24 bytes */
    size_t capabilities_n;
    uint64_t size;
    uint64_t entries;
};

struct tar *tar_new(const struct tar_sink *sink, void *ctx)
{
    struct tar *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->sink = *sink;
    t->ctx = ctx;
    t->body = BUF_INIT(LIMIT_TAR_EXTENSION);
    t->name = BUF_INIT(LIMIT_TAR_EXTENSION);
    t->link = BUF_INIT(LIMIT_TAR_EXTENSION);
    return t;
}

void tar_free(struct tar *t)
{
    if (!t)
        return;
    buf_fini(&t->body);
    buf_fini(&t->name);
    buf_fini(&t->link);
    free(t);
}

void tar_freep(struct tar **t)
{
    tar_free(*t);
}

uint64_t tar_entries(const struct tar *t)
{
    return t->entries;
}

bool tar_ended(const struct tar *t)
{
    return t->state == ENDED;
}

static int bad(struct tar *t, const char *what, struct err *e)
{
    return err_set(e, EBADMSG, "tar: %s at %" PRIu64, what, t->offset - t->offset % BLOCK);
}

/* A number field: octal with blanks and NULs around it, or base 256 when the top bit is set. */
static bool number(const unsigned char *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    if (p[0] & 0x80) {
        if (p[0] & 0x40)
            return false; /* negative */
        v = p[0] & 0x3f;
        for (size_t i = 1; i < n; i++) {
            if (v >> 55)
                return false;
            v = v << 8 | p[i];
        }
        *ret = v;
        return v <= INT64_MAX;
    }
    size_t i = 0;
    while (i < n && (p[i] == ' ' || p[i] == 0))
        i++;
    while (n > i && (p[n - 1] == ' ' || p[n - 1] == 0))
        n--;
    for (; i < n && p[i]; i++) {
        if (p[i] < '0' || p[i] > '7' || v >> 60)
            return false;
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    *ret = v;
    return true;
}

static struct str field(const unsigned char *p, size_t n)
{
    const void *end = memchr(p, 0, n);
    return str_n((const char *)p, end ? (size_t)((const unsigned char *)end - p) : n);
}

bool tar_is_header(const void *block)
{
    const unsigned char *p = block;
    uint64_t want;
    unsigned sum = 0, field = 0, high = 0; /* high: bytes that are negative to those who summed signed chars */
    for (unsigned i = 0; i < BLOCK; i++)
        sum += p[i];
    for (unsigned i = 148; i < 156; i++)
        field += p[i];
    sum = sum - field + 8 * ' ';
    if (!number(p + 148, 8, &want) || sum == 8 * ' ')
        return false;
    if (want == sum)
        return true;
    for (unsigned i = 0; i < BLOCK; i++)
        high += p[i] >= 128 && (i < 148 || i >= 156);
    return (int64_t)want == (int64_t)sum - 256 * (int64_t)high;
}

static bool all_zero(const unsigned char *p)
{
    return p[0] == 0 && !memcmp(p, p + 1, BLOCK - 1);
}

static void set(struct buf *b, bool *has, struct str s)
{
    buf_reset(b);
    buf_puts(b, s);
    *has = true;
}

/* PAX records: "LENGTH KEY=VALUE\n", LENGTH in decimal and counting itself. */
static int pax(struct tar *t, struct err *e)
{
    struct str rest = buf_str(&t->body);
    while (rest.n > 0) {
        ptrdiff_t blank = str_chr(str_sub(rest, 0, 21), ' ');
        uint64_t length;
        if (blank < 1 || str_u64(str_sub(rest, 0, (size_t)blank), &length) < 0 || length > rest.n ||
            length < (uint64_t)blank + 3 || rest.p[length - 1] != '\n')
            return bad(t, "malformed PAX record", e);
        struct str record = str_sub(rest, (size_t)blank + 1, length - 1), key, value;
        rest = str_sub(rest, length, rest.n);
        if (!str_split(record, '=', &key, &value) || key.n == 0)
            return bad(t, "PAX record without a key", e);
        if (str_eqc(key, "path")) {
            if (memchr(value.p, 0, value.n))
                return bad(t, "NUL in a PAX path", e);
            if (value.n)
                set(&t->name, &t->has_name, value);
            else
                t->has_name = false; /* an empty value takes the record back */
        } else if (str_eqc(key, "linkpath")) {
            if (memchr(value.p, 0, value.n))
                return bad(t, "NUL in a PAX link", e);
            if (value.n)
                set(&t->link, &t->has_link, value);
            else
                t->has_link = false;
        } else if (str_eqc(key, "size")) {
            if (value.n == 0)
                t->has_size = false;
            else if (str_u64(value, &t->size) < 0 || t->size > INT64_MAX)
                return bad(t, "malformed PAX size", e);
            else
                t->has_size = true;
        } else if (str_eqc(key, "SCHILY.xattr.security.capability")) {
            t->capabilities_n = value.n < sizeof(t->capabilities) ? value.n : sizeof(t->capabilities);
            memcpy(t->capabilities, value.p, t->capabilities_n);
        } else if (str_eqc(key, "GNU.sparse.name")) {
            set(&t->name, &t->has_name, value);
            t->sparse = true;
        } else if (str_starts(key, STR("GNU.sparse."))) {
            t->sparse = true;
        }
    }
    return 0;
}

static int extension_done(struct tar *t, struct err *e)
{
    struct str s = buf_str(&t->body);
    if (t->extension == 'x')
        return pax(t, e);
    s = field((const unsigned char *)(s.p ? s.p : ""), s.n);
    if (t->extension == 'L')
        set(&t->name, &t->has_name, s);
    else if (t->extension == 'K')
        set(&t->link, &t->has_link, s);
    return 0;
}

static int content_done(struct tar *t, struct err *e)
{
    t->state = t->padding ? PADDING : HEADER;
    if (!t->wanted)
        return 0;
    t->wanted = false;
    return t->sink.end ? t->sink.end(t->ctx, e) : 0;
}

static int begin_extension(struct tar *t, char type, uint64_t size, struct err *e)
{
    if (size > LIMIT_TAR_EXTENSION)
        return bad(t, "over-long extension header", e);
    t->extension = type == 'X' ? 'x' : type;
    t->left = size;
    t->padding = (unsigned)(-size & (BLOCK - 1));
    buf_reset(&t->body);
    t->state = EXTENSION;
    if (size == 0) {
        t->state = HEADER;
        return extension_done(t, e);
    }
    return 0;
}

static enum tar_type entry_type(char flag, struct str name)
{
    switch (flag) {
    case 0:
        return str_ends(name, STR("/")) ? TAR_DIR : TAR_FILE;
    case '0':
    case 'S':
        return TAR_FILE;
    case '1' ... '6':
        return (enum tar_type)flag;
    default:
        return TAR_OTHER;
    }
}

static int entry(struct tar *t, const unsigned char *h, char flag, uint64_t size, struct err *e)
{
    uint64_t mode, uid, gid;
    if (!number(h + 100, 8, &mode))
        return bad(t, "malformed mode", e);
    if (!number(h + 108, 8, &uid) || !number(h + 116, 8, &gid))
        return bad(t, "malformed owner", e);
    bool ustar = !memcmp(h + 257, "ustar\0", 6);
    char joined[100 + 1 + 155];
    struct str name = field(h, 100), prefix = ustar ? field(h + 345, 155) : STR_NONE;
    if (prefix.n > 0) {
        memcpy(joined, prefix.p, prefix.n);
        joined[prefix.n] = '/';
        memcpy(joined + prefix.n + 1, name.p, name.n);
        name = str_n(joined, prefix.n + 1 + name.n);
    }
    if (t->has_size)
        size = t->size;
    struct tar_entry ent = {
        .name = t->has_name ? buf_str(&t->name) : name,
        .link = t->has_link ? buf_str(&t->link) : field(h + 157, 100),
        .mode = (uint32_t)mode & 07777,
        .uid = uid,
        .gid = gid,
        .capabilities = str_n(t->capabilities, t->capabilities_n),
        .sparse = t->sparse || flag == 'S',
    };
    ent.type = entry_type(flag, ent.name);
    bool bare = ent.type >= TAR_HARDLINK && ent.type <= TAR_FIFO;
    ent.size = bare ? 0 : size;
    t->left = ent.size;
    t->padding = (unsigned)(-ent.size & (BLOCK - 1));
    t->has_name = t->has_link = t->has_size = t->sparse = false;
    t->capabilities_n = 0;
    t->entries++;

    int r = t->sink.entry(t->ctx, &ent, e);
    if (r < 0)
        return r;
    t->wanted = r > 0;
    t->state = DATA;
    if (flag == 'S' && h[482])
        t->state = SPARSE_MAP; /* more map blocks come before the content */
    else if (t->left == 0)
        return content_done(t, e);
    return 0;
}

static int header(struct tar *t, const unsigned char *h, struct err *e)
{
    if (all_zero(h)) {
        if (t->zero)
            t->state = ENDED;
        t->zero = true;
        return 0;
    }
    if (t->zero)
        return bad(t, "data behind a lone zero block", e);
    if (!tar_is_header(h))
        return bad(t, "bad checksum", e);
    uint64_t size;
    if (!number(h + 124, 12, &size))
        return bad(t, "malformed size", e);
    char flag = (char)h[156];
    switch (flag) {
    case 'g': /* applies to nothing: Go hands it out as an entry of its own, engines skip it */
        if (size > LIMIT_TAR_EXTENSION)
            return bad(t, "over-long extension header", e);
        return begin_extension(t, 'g', size, e);
    case 'x':
    case 'X':
    case 'L':
    case 'K':
        return begin_extension(t, flag, size, e);
    }
    return entry(t, h, flag, size, e);
}

int tar_feed(struct tar *t, const void *data, size_t n, struct err *e)
{
    const unsigned char *p = data;
    int r = 0;
    while (n > 0) {
        size_t take = n;
        switch (t->state) {
        case ENDED:
            t->offset += n;
            return 0;
        case HEADER:
        case SPARSE_MAP: {
            const unsigned char *block = p;
            take = BLOCK;
            if (t->have || n < BLOCK) {
                take = BLOCK - t->have < n ? BLOCK - t->have : n;
                memcpy(t->block + t->have, p, take);
                t->have += (unsigned)take;
                if (t->have < BLOCK)
                    break;
                t->have = 0;
                block = t->block;
            }
            if (t->state == HEADER) {
                r = header(t, block, e);
            } else if (!block[504]) {
                t->state = DATA;
                if (t->left == 0)
                    r = content_done(t, e);
            }
            break;
        }
        case EXTENSION:
            take = t->left < n ? (size_t)t->left : n;
            if (t->extension != 'g')
                buf_put(&t->body, p, take);
            t->left -= take;
            if (t->left == 0) {
                t->state = t->padding ? PADDING : HEADER;
                r = extension_done(t, e);
            }
            break;
        case DATA:
            take = t->left < n ? (size_t)t->left : n;
            if (t->wanted && (r = t->sink.data(t->ctx, p, take, e)) < 0)
                break;
            t->left -= take;
            if (t->left == 0)
                r = content_done(t, e);
            break;
        case PADDING:
            take = t->padding < n ? t->padding : n;
            t->padding -= (unsigned)take;
            if (t->padding == 0)
                t->state = HEADER;
            break;
        }
        if (r < 0)
            return r;
        p += take;
        n -= take;
        t->offset += take;
    }
    return 0;
}

int tar_finish(struct tar *t, struct err *e)
{
    /* Go takes a stream that ends at a block boundary between entries as whole, and so does everything after it. */
    if (t->state == ENDED || (t->state == HEADER && t->have == 0 && !t->has_name && !t->has_link && !t->has_size))
        return 0;
    return err_set(e, EBADMSG, "tar: ends too early, at %" PRIu64, t->offset);
}

int tar_clean(struct arena *a, struct str name, struct str *ret)
{
    if (name.n > LIMIT_TAR_PATH || (name.n && memchr(name.p, 0, name.n)))
        return -EINVAL;
    char *out = arena_alloc(a, name.n + 1);
    size_t n = 0;
    struct str part;
    while (str_cut(&name, '/', &part)) {
        if (part.n == 0 || str_eqc(part, "."))
            continue;
        if (str_eqc(part, "..")) {
            if (n == 0)
                return -EINVAL;
            while (n > 0 && out[--n] != '/')
                ;
            continue;
        }
        if (n > 0)
            out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    out[n] = 0;
    *ret = str_n(out, n);
    return 0;
}

uint64_t tar_skip(struct tar *t)
{
    if (t->state == DATA && t->wanted)
        return 0;
    uint64_t n = t->state == DATA ? t->left + t->padding : t->state == PADDING ? t->padding : 0;
    if (n) {
        t->left = t->padding = 0;
        t->state = HEADER;
        t->offset += n;
    }
    return n;
}
