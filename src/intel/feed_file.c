/* One file of the feeds directory: what it is packed in, and what is inside. */
#include "base/cleanup.h"
#include "intel/feed.h"

#include <archive.h>
#include <archive_entry.h>

enum { MEMBERS_MAX = 4000000, NAME_MAX_SHOWN = 256 };

/* A member: its first bytes, read ahead for recognition, and then the rest. */
struct member {
    struct archive *ar;
    char *prefix;
    size_t prefix_n, at;
    bool ended;
};

static ssize_t data_read(struct member *m, void *p, size_t n, struct err *e)
{
    la_ssize_t got = m->ended ? 0 : archive_read_data(m->ar, p, n);
    if (got < 0) {
        const char *why = archive_error_string(m->ar);
        return err_set(e, EBADMSG, "unpacking: %s", why ? why : "damaged");
    }
    m->ended = got == 0;
    return got;
}

static ssize_t member_read(void *arg, void *p, size_t n, struct err *e)
{
    struct member *m = arg;
    if (m->at == m->prefix_n)
        return data_read(m, p, n, e);
    if (n > m->prefix_n - m->at)
        n = m->prefix_n - m->at;
    memcpy(p, m->prefix + m->at, n);
    m->at += n;
    return (ssize_t)n;
}

static int fill_prefix(struct member *m, struct err *e)
{
    m->prefix_n = m->at = 0;
    m->ended = false;
    while (m->prefix_n < FEED_PREFIX && !m->ended) {
        ssize_t got = data_read(m, m->prefix + m->prefix_n, FEED_PREFIX - m->prefix_n, e);
        if (got < 0)
            return (int)got;
        m->prefix_n += (size_t)got;
    }
    return 0;
}

struct file {
    struct feed *feed;
    struct member member;
    struct str number;
};

static void tell_bad(struct file *f, struct str member, const struct err *e)
{
    struct arena *a = f->feed->a;
    arena_reset(a);
    struct str text = member.n ? arena_strf(a, STR_FMT ": %s", STR_ARG(feed_text(a, member)), e->msg) : str_c(e->msg);
    RECORD_WRITE(f->feed->w, BAD, f->number, str_utf8(text) ? text : STR("damaged"));
}

static int member_parse(struct file *f, struct str name, struct err *e)
{
    enum feed_kind kind;
    int r = fill_prefix(&f->member, e);
    if (r < 0)
        return r;
    struct str prefix = {f->member.prefix, f->member.prefix_n};
    if (str_starts(prefix, STR("\xef\xbb\xbf"))) { /* byte order mark */
        f->member.at = 3;
        prefix = str_sub(prefix, 3, prefix.n);
    }
    if ((r = feed_recognise(prefix, f->member.ended, &kind, e)) < 0)
        return r;
    RECORD_WRITE(f->feed->w, FILE, f->number, name.n ? name : STR("."));
    if (kind == FEED_UNKNOWN) {
        RECORD_WRITE(f->feed->w, UNKNOWN, f->number, name);
        return 0;
    }
    return feed_parse(kind, f->feed, e);
}

static struct str member_name(struct archive_entry *entry, bool raw, char out[static NAME_MAX_SHOWN])
{
    const char *path = raw ? NULL : archive_entry_pathname(entry);
    size_t n = path ? strnlen(path, NAME_MAX_SHOWN - 1) : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = path[i] < ' ' || path[i] == 0x7f ? '?' : path[i];
    return (struct str){out, n};
}

static int read_members(struct file *f, struct err *e)
{
    struct archive *ar = f->member.ar;
    struct archive_entry *entry;
    char name[NAME_MAX_SHOWN];
    for (size_t count = 0;; count++) {
        int r = archive_read_next_header(ar, &entry);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return err_set(e, EBADMSG, "unpacking: %s",
                           archive_error_string(ar) ? archive_error_string(ar) : "damaged");
        if (count == MEMBERS_MAX)
            return err_set(e, E2BIG, "more than %d files inside", MEMBERS_MAX);
        bool raw = archive_format(ar) == ARCHIVE_FORMAT_RAW;
        if (!raw && archive_entry_filetype(entry) != AE_IFREG)
            continue;
        struct str member = member_name(entry, raw, name);
        struct err local = ERR_INIT;
        if (member_parse(f, member, &local) < 0) {
            if (f->feed->w->code)
                return err_set(e, -f->feed->w->code, "%s", local.msg);
            tell_bad(f, member, &local);
        }
    }
}

static void reader_free(struct archive **ar)
{
    if (*ar)
        archive_read_free(*ar);
}

static void support(struct archive *ar)
{
    archive_read_support_filter_gzip(ar);
    archive_read_support_filter_zstd(ar);
    archive_read_support_filter_xz(ar);
    archive_read_support_filter_bzip2(ar);
    archive_read_support_format_zip(ar);
    archive_read_support_format_tar(ar);
    archive_read_support_format_raw(ar);
    archive_read_support_format_empty(ar);
}

int feed_file(int fd, unsigned number, struct record_writer *w, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(FEED_ARENA);
    _cleanup_(reader_free) struct archive *ar = archive_read_new();
    _cleanup_free_ char *prefix = malloc(FEED_PREFIX);
    char text[16];
    int n = snprintf(text, sizeof(text), "%u", number);
    if (!ar || !prefix)
        abort();
    struct feed feed = {.w = w, .a = a};
    struct file f = {.feed = &feed, .member = {.ar = ar, .prefix = prefix}, .number = {text, (size_t)n}};
    struct err local = ERR_INIT;
    feed.read = member_read;
    feed.read_arg = &f.member;
    support(ar);
    int r = archive_read_open_fd(ar, fd, 65536) == ARCHIVE_OK
                ? read_members(&f, &local)
                : err_set(&local, EBADMSG, "unpacking: %s",
                          archive_error_string(ar) ? archive_error_string(ar) : "damaged");
    if (r < 0 && !w->code)
        tell_bad(&f, STR_NONE, &local);
    return w->code ? err_set(e, -w->code, "cannot hand on what was read") : 0;
}
