#include "intel/feed.h"

#include "base/cleanup.h"
#include "base/time.h"

ssize_t feed_read(void *feed, void *p, size_t n, struct err *e)
{
    struct feed *f = feed;
    ssize_t got = f->read(f->read_arg, p, n, e);
    if (got <= 0)
        return got;
    if ((uint64_t)got > f->left)
        return err_set(e, E2BIG, "larger than this kind of file may be");
    f->left -= (uint64_t)got;
    return got;
}

/* Twin keys in a feed are no attack on anyone, and some publishers have them. */
struct json *feed_json(struct feed *f)
{
    return json_open(feed_read, f, JSON_ANY_KEYS);
}

/* Text files, unlike JSON, may hold bytes that are not UTF-8. */
static struct str cleaned(struct arena *a, struct str text, bool lines)
{
    char *p = arena_cstr(a, text);
    bool utf8 = !text.n || str_utf8(text);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c < ' ' && !(lines && c == '\n')) || c == 0x7f)
            p[i] = ' ';
        else if (c >= 0x80 && !utf8)
            p[i] = '?';
    }
    return (struct str){p, text.n};
}

struct str feed_text(struct arena *a, struct str text)
{
    return cleaned(a, text, false);
}

struct str feed_title(struct arena *a, struct str text)
{
    char *out = arena_alloc(a, FEED_TITLE_MAX + 4);
    size_t n = 0;
    text = str_trim(text);
    for (size_t i = 0; i < text.n; i++) {
        bool blank = (unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f;
        if (blank && n && out[n - 1] == ' ')
            continue;
        if (n == FEED_TITLE_MAX) {
            while (n && ((unsigned char)out[n - 1] & 0xc0) == 0x80) /* not inside a character */
                n--;
            if (n && (unsigned char)out[n - 1] >= 0xc0)
                n--;
            memcpy(out + n, "...", 3);
            return (struct str){out, n + 3};
        }
        out[n++] = blank ? ' ' : text.p[i];
    }
    return (struct str){out, n};
}

bool feed_is_cve(struct str s)
{
    if (!str_starts(s, STR("CVE-")) || s.n < 6 || s.n > 64)
        return false;
    for (size_t i = 4; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '-')
            return false;
    return true;
}

struct str feed_number(struct arena *a, int64_t v)
{
    return arena_strf(a, "%" PRId64, v);
}

int64_t feed_date(struct arena *a, struct str s)
{
    int64_t t;
    if (s.n > 64)
        return 0;
    if (s.n == 17 && s.p[16] == 'Z') /* 2021-01-01T00:15Z, as NVD wrote once */
        s = arena_strf(a, STR_FMT ":00Z", STR_ARG(str_sub(s, 0, 16)));
    if (time_parse(s, &t) == 0 || time_parse(arena_strf(a, STR_FMT "Z", STR_ARG(s)), &t) == 0)
        return t > 0 ? t : 0;
    /* +0000 for +00:00 */
    if (s.n > 5 && (s.p[s.n - 5] == '+' || s.p[s.n - 5] == '-') &&
        time_parse(
            arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(str_sub(s, 0, s.n - 2)), STR_ARG(str_sub(s, s.n - 2, s.n))),
            &t) == 0)
        return t > 0 ? t : 0;
    return 0;
}

void feed_saw_date(struct feed *f, int64_t date)
{
    if (date > f->newest)
        f->newest = date;
}

/* ---- what the parsers say ---- */

struct str feed_score(struct arena *a, double score)
{
    if (!(score >= 0 && score <= 10))
        return STR("-1");
    return arena_strf(a, "%d.%d", (int)(score + 0.05), (int)(score * 10 + 0.5) % 10);
}

enum vuln_severity feed_severity(struct str word)
{
    enum vuln_severity s;
    word = str_trim(word);
    if (str_ieq(word, STR("important")))
        return VULN_HIGH;
    if (str_ieq(word, STR("unimportant")))
        return VULN_LOW;
    return word.n && vuln_severity_parse(word, &s) == 0 ? s : VULN_UNKNOWN;
}

bool feed_id_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= FEED_ID_MAX;
}

struct str feed_join(struct arena *a, const struct str *v, size_t n)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        bytes += v[i].n + 1;
    char *out = arena_alloc(a, bytes + 1);
    for (size_t i = 0; i < n; i++) {
        if (at)
            out[at++] = ' ';
        memcpy(out + at, v[i].p, v[i].n);
        at += v[i].n;
    }
    return (struct str){out, at};
}

void feed_row(struct feed *f, const struct feed_row *row)
{
    struct arena *a = f->a;
    struct str space = feed_text(a, row->space);
    f->name = row->feed;
    if (!row->name.n || row->name.n > FEED_NAME_MAX || !feed_id_ok(row->id))
        return;
    RECORD_WRITE(f->w, SPACE, space, str_c(version_scheme_name(row->scheme)));
    RECORD_WRITE(f->w, AFFECTED, space, feed_text(a, row->name), row->id, str_c(row->feed), feed_number(a, row->status),
                 feed_number(a, row->severity), feed_text(a, row->fixed), cleaned(a, row->ranges, true), STR_NONE);
}

void feed_vuln(struct feed *f, const struct feed_vuln *v)
{
    struct arena *a = f->a;
    f->name = v->feed;
    if (feed_id_ok(v->id))
        RECORD_WRITE(f->w, VULN, v->id, str_c(v->feed), feed_text(a, v->aliases), feed_number(a, v->severity),
                     feed_score(a, v->cvss), feed_text(a, v->vector), feed_number(a, v->published),
                     feed_title(a, feed_text(a, v->title)));
}

int feed_json_read(struct feed *f, struct json_value **ret, struct err *e)
{
    _cleanup_(json_closep) struct json *j = feed_json(f);
    int r = json_value_read(j, f->a, ret, e);
    return r < 0 ? r : json_next(j, e);
}

int feed_parse(enum feed_kind kind, struct feed *f, struct err *e)
{
    static const struct {
        int (*parse)(struct feed *, struct err *);
        const char *name;
        uint64_t max;
    } kinds[FEED_KINDS] = {
#define X(id, name, parse, max, doc) [FEED_##id] = {parse, name, max},
        FEEDS(X)
#undef X
    };
    f->left = kinds[kind].max;
    f->newest = 0;
    f->name = kinds[kind].name;
    arena_reset(f->a);
    int r = kinds[kind].parse(f, e);
    if (r < 0)
        return r;
    arena_reset(f->a);
    if (f->name[0])
        RECORD_WRITE(f->w, DATE, str_c(f->name), feed_number(f->a, f->newest));
    return f->w->code;
}

int feed_lines(struct feed *f, int (*take)(void *arg, struct str line, size_t number, struct err *e), void *arg,
               struct err *e)
{
    _cleanup_free_ char *block = malloc(65536 + FEED_LINE);
    size_t n = 0, number = 0;
    if (!block)
        abort();
    for (;;) {
        ssize_t got = feed_read(f, block + n, 65536, e);
        if (got < 0)
            return (int)got;
        struct str rest = {block, n + (size_t)got}, line;
        while (rest.n) {
            ptrdiff_t end = str_chr(rest, '\n');
            if (end < 0 && got > 0)
                break;
            line = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
            rest = str_sub(rest, end < 0 ? rest.n : (size_t)end + 1, rest.n);
            int r = take(arg, line, ++number, e);
            if (r < 0)
                return r;
        }
        if (got == 0)
            return 0;
        if (rest.n > FEED_LINE)
            return err_set(e, E2BIG, "line %zu: longer than %d bytes", number + 1, FEED_LINE);
        memmove(block, rest.p, rest.n);
        n = rest.n;
    }
}

int feed_text_read(struct feed *f, struct str *ret, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(FEED_DOCUMENT_MAX);
    for (;;) {
        char *room = buf_room(&b, 65536);
        ssize_t n = room ? feed_read(f, room, 65536, e) : buf_check(&b, e);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        b.n += (size_t)n;
    }
    *ret = arena_str(f->a, buf_str(&b));
    return 0;
}
