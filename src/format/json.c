/* The pull reader. Bytes are looked at in one window [p, end); a token that reaches its end is kept while more is
 * read behind it (more()), so every token is contiguous and json_text() is usually a view into the window. */
#include "format/json.h"

#include "format/json_escape.h"
#include "format/json_keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define BLOCK (64u << 10)

enum state { S_TOP, S_FIRST, S_COLON, S_AFTER, S_DONE };
enum { AT_END = -1, AT_ERROR = -2 };

struct json {
    const char *p, *end; /* window: what is not yet consumed */
    const char *start;   /* where the window's memory begins */
    const char *token;   /* start of the last token, for messages */
    char *block;         /* stream: memory of the window */
    size_t block_cap;
    json_read_fn *read;
    void *ctx;
    bool eof;
    int flags, last;
    enum state state;
    unsigned depth;
    char open[LIMIT_JSON_DEPTH + 1]; /* [depth]: '}' or ']' that closes it */
    struct str text;
    struct buf scratch;
    struct json_keys keys;
    size_t lines, column; /* before start: newlines, bytes behind the last */
    struct err failed;
};

static struct json *json_new(int flags)
{
    struct json *j = calloc(1, sizeof(*j));
    if (!j)
        abort();
    j->flags = flags;
    j->last = -1;
    j->scratch.max = LIMIT_JSON_STRING;
    j->keys.fold = flags & JSON_FOLD_KEYS;
    return j;
}

struct json *json_open_mem(struct str text, int flags)
{
    struct json *j = json_new(flags);
    j->p = j->start = text.n ? text.p : "";
    j->end = j->p + text.n;
    j->eof = true;
    return j;
}

struct json *json_open(json_read_fn *read, void *ctx, int flags)
{
    struct json *j = json_new(flags);
    j->block = malloc(BLOCK);
    if (!j->block)
        abort();
    j->block_cap = BLOCK;
    j->p = j->start = j->end = j->block;
    j->read = read;
    j->ctx = ctx;
    return j;
}

void json_close(struct json *j)
{
    if (!j)
        return;
    json_keys_fini(&j->keys);
    buf_fini(&j->scratch);
    free(j->block);
    free(j);
}

void json_closep(struct json **j)
{
    json_close(*j);
    *j = NULL;
}

/* ---- errors and input ---- */

static void count_lines(struct json *j, const char *to)
{
    const char *from = j->start, *nl;
    while (from < to && (nl = memchr(from, '\n', (size_t)(to - from)))) {
        j->lines++;
        j->column = 0;
        from = nl + 1;
    }
    j->column += (size_t)(to - from);
    j->start = to;
}

/* The first failure stays: a reader that failed gives the same error for ever. */
static int __attribute__((format(printf, 4, 5))) fail(struct json *j, const char *at, int code, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    count_lines(j, at);
    return err_set(&j->failed, code, "line %zu, column %zu: %s", j->lines + 1, j->column + 1, what);
}

static int report(const struct json *j, struct err *e)
{
    if (e)
        *e = j->failed;
    return -j->failed.code;
}

/* Read more behind the window, keeping everything from p. False at the end of input and on errors (j->failed). */
static bool more(struct json *j)
{
    if (j->eof)
        return false;
    size_t left = (size_t)(j->end - j->p);
    count_lines(j, j->p);
    if (left == j->block_cap) {
        if (j->block_cap > 6 * (size_t)LIMIT_JSON_STRING) {
            fail(j, j->p, E2BIG, "a token is longer than %u bytes", LIMIT_JSON_STRING);
            return false;
        }
        char *bigger = malloc(j->block_cap * 2);
        if (!bigger)
            abort();
        memcpy(bigger, j->p, left);
        free(j->block);
        j->block = bigger;
        j->block_cap *= 2;
    } else {
        memmove(j->block, j->p, left);
    }
    j->p = j->start = j->token = j->block;
    j->end = j->p + left;
    ssize_t n = j->read(j->ctx, j->block + left, j->block_cap - left, &j->failed);
    if (n < 0) {
        if (!j->failed.code)
            err_set(&j->failed, (int)-n, "read: %s", strerror((int)-n));
        return false;
    }
    if (n == 0) {
        j->eof = true;
        return false;
    }
    j->end += n;
    return true;
}

static int peek(struct json *j)
{
    for (;;) {
        while (j->p < j->end) {
            unsigned char c = (unsigned char)*j->p;
            if (c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r'))
                return c;
            j->p++;
        }
        if (!more(j))
            return j->failed.code ? AT_ERROR : AT_END;
    }
}

/* ---- tokens ---- */

/* Index of the first '"', '\\' or control character at or behind i, or n; *high is set when a byte >= 0x80 was passed.
 */
static size_t plain_run(const char *p, size_t i, size_t n, bool *high)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), ctrl = _mm_set1_epi8(0x1f);
    int seen = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, ctrl), v); /* v <= 0x1f, unsigned */
        int hit =
            _mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash))));
        int top = _mm_movemask_epi8(v);
        if (hit) {
            int at = __builtin_ctz((unsigned)hit);
            *high |= (seen | (top & ((1 << at) - 1))) != 0;
            return i + (size_t)at;
        }
        seen |= top;
    }
    *high |= seen != 0;
#endif
    for (; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '"' || c == '\\' || c < 0x20)
            break;
        *high |= c >= 0x80;
    }
    return i;
}

static int decode_escapes(struct json *j, struct str raw)
{
    const char *bad;
    buf_reset(&j->scratch);
    char *out = buf_room(&j->scratch, raw.n);
    ptrdiff_t n = json_unescape(raw, out, &bad);
    if (n < 0)
        return fail(j, bad, EBADMSG, n == -EINVAL ? "bad escape in a string" : "half a surrogate pair in a string");
    j->text = str_n(out, (size_t)n);
    return 0;
}

/* At the opening quote. */
static int read_string(struct json *j)
{
    size_t i = 1, n = (size_t)(j->end - j->p);
    bool high = false, escaped = false;
    for (;;) {
        i = plain_run(j->p, i, n, &high);
        if (i >= n || (j->p[i] == '\\' && i + 1 >= n)) {
            if (!more(j))
                return j->failed.code ? -j->failed.code : fail(j, j->p, EBADMSG, "a string does not end");
            n = (size_t)(j->end - j->p);
            continue;
        }
        unsigned char c = (unsigned char)j->p[i];
        if (c == '"')
            break;
        if (c == '\\') {
            escaped = true;
            i += 2;
        } else if (c < 0x20) {
            return fail(j, j->p + i, EBADMSG, "a control character in a string");
        }
    }
    struct str raw = str_n(j->p + 1, i - 1);
    if (raw.n > LIMIT_JSON_STRING)
        return fail(j, j->p, E2BIG, "a string is longer than %u bytes", LIMIT_JSON_STRING);
    if (high && !str_utf8(raw))
        return fail(j, j->p, EBADMSG, "a string is not valid UTF-8");
    j->text = raw;
    if (escaped && decode_escapes(j, raw) < 0)
        return -j->failed.code;
    j->token = j->p;
    j->p += i + 1;
    return 0;
}

static bool number_valid(struct str s)
{
    size_t i = s.p[0] == '-', digits = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    if (i == digits || (i > digits + 1 && s.p[digits] == '0'))
        return false;
    if (i < s.n && s.p[i] == '.') {
        digits = ++i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        if (i == digits)
            return false;
    }
    if (i < s.n && (s.p[i] | 32) == 'e') {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
            i++;
        digits = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        if (i == digits)
            return false;
    }
    return i == s.n;
}

static int read_number(struct json *j)
{
    size_t i = 0;
    for (;;) {
        const char *end = j->end;
        for (; j->p + i < end; i++) {
            char c = j->p[i];
            if (!((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || (c | 32) == 'e'))
                goto done;
        }
        if (!more(j))
            break;
    }
done:
    if (j->failed.code)
        return -j->failed.code;
    j->text = str_n(j->p, i);
    if (!number_valid(j->text))
        return fail(j, j->p, EBADMSG, "bad number");
    j->token = j->p;
    j->p += i;
    return JSON_NUMBER;
}

static int read_literal(struct json *j, struct str want, int token)
{
    while ((size_t)(j->end - j->p) < want.n && more(j))
        ;
    if (j->failed.code)
        return -j->failed.code;
    if (!str_starts(str_n(j->p, (size_t)(j->end - j->p)), want))
        return fail(j, j->p, EBADMSG, "expected a value");
    j->token = j->p;
    j->p += want.n;
    return token;
}

static int open_container(struct json *j, char close)
{
    if (j->depth >= LIMIT_JSON_DEPTH)
        return fail(j, j->p, E2BIG, "nested deeper than %d", LIMIT_JSON_DEPTH);
    j->open[++j->depth] = close;
    j->state = S_FIRST;
    j->token = j->p++;
    if (close == ']')
        return JSON_ARRAY;
    if (!(j->flags & JSON_ANY_KEYS))
        json_keys_open(&j->keys, j->depth);
    return JSON_OBJECT;
}

static int close_container(struct json *j)
{
    bool object = j->open[j->depth] == '}';
    if (object && !(j->flags & JSON_ANY_KEYS))
        json_keys_close(&j->keys, j->depth);
    j->token = j->p++;
    j->depth--;
    j->state = j->depth ? S_AFTER : S_DONE;
    return object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static int read_key(struct json *j, int c)
{
    if (c != '"')
        return fail(j, j->p, EBADMSG, "expected a key in quotes%s", j->state == S_FIRST ? " or '}'" : "");
    if (read_string(j) < 0)
        return -j->failed.code;
    if (!(j->flags & JSON_ANY_KEYS)) {
        int r = json_keys_add(&j->keys, j->depth, j->text);
        if (r == -EEXIST)
            return fail(j, j->token, EBADMSG, "the key \"%.*s\" is there twice", (int)(j->text.n < 80 ? j->text.n : 80),
                        j->text.p);
        if (r < 0)
            return fail(j, j->token, E2BIG, "too many keys");
    }
    j->state = S_COLON;
    return JSON_KEY;
}

static int read_value(struct json *j, int c)
{
    int t;
    switch (c) {
    case '{':
        return open_container(j, '}');
    case '[':
        return open_container(j, ']');
    case '"':
        t = read_string(j) < 0 ? -j->failed.code : JSON_STRING;
        break;
    case 't':
        t = read_literal(j, STR("true"), JSON_TRUE);
        break;
    case 'f':
        t = read_literal(j, STR("false"), JSON_FALSE);
        break;
    case 'n':
        t = read_literal(j, STR("null"), JSON_NULL);
        break;
    case AT_END:
        return fail(j, j->p, EBADMSG, "the text ends where a value should be");
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return fail(j, j->p, EBADMSG, "expected a value");
        t = read_number(j);
    }
    j->state = j->depth ? S_AFTER : S_DONE;
    return t;
}

static int next(struct json *j)
{
    int c = peek(j);
    bool object = j->open[j->depth] == '}';
    if (c == AT_ERROR)
        return -j->failed.code;
    switch (j->state) {
    case S_DONE:
        if (c == AT_END)
            return JSON_END;
        if (!(j->flags & JSON_LINES))
            return fail(j, j->p, EBADMSG, "more data behind the end");
        return read_value(j, c);
    case S_TOP:
        if (c == AT_END && (j->flags & JSON_LINES))
            return JSON_END;
        return read_value(j, c);
    case S_FIRST:
        if (c == j->open[j->depth])
            return close_container(j);
        return object ? read_key(j, c) : read_value(j, c);
    case S_COLON:
        if (c != ':')
            return fail(j, j->p, EBADMSG, "expected ':' behind the key");
        j->p++;
        if ((c = peek(j)) == AT_ERROR)
            return -j->failed.code;
        return read_value(j, c);
    case S_AFTER:
        if (c == j->open[j->depth])
            return close_container(j);
        if (c != ',')
            return fail(j, j->p, EBADMSG, c == AT_END ? "the text ends inside of %s" : "expected ',' or the end of %s",
                        object ? "an object" : "an array");
        j->p++;
        if ((c = peek(j)) == AT_ERROR)
            return -j->failed.code;
        return object ? read_key(j, c) : read_value(j, c);
    }
    return -EINVAL;
}

int json_next(struct json *j, struct err *e)
{
    if (j->failed.code)
        return report(j, e);
    int t = next(j);
    if (t < 0)
        return report(j, e);
    j->last = t;
    return t;
}

struct str json_text(const struct json *j)
{
    return j->text;
}

unsigned json_depth(const struct json *j)
{
    return j->depth;
}

int json_skip(struct json *j, struct err *e)
{
    unsigned target = j->depth;
    int t;
    if (j->last == JSON_OBJECT || j->last == JSON_ARRAY) {
        target--;
    } else {
        if ((t = json_next(j, e)) < 0)
            return t;
        if (t == JSON_ARRAY_END || t == JSON_END)
            return err_set(e, ENOENT, "no more values");
    }
    while (j->depth > target)
        if ((t = json_next(j, e)) < 0)
            return t;
    return 0;
}

static const char *token_name(int t)
{
    static const char *const names[] = {
        [JSON_END] = "the end",
        [JSON_OBJECT] = "an object",
        [JSON_OBJECT_END] = "the end of an object",
        [JSON_ARRAY] = "an array",
        [JSON_ARRAY_END] = "the end of an array",
        [JSON_KEY] = "a key",
        [JSON_STRING] = "a string",
        [JSON_NUMBER] = "a number",
        [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",
        [JSON_NULL] = "null",
    };
    return names[t];
}

int json_expect(struct json *j, enum json_token want, struct err *e)
{
    int t = json_next(j, e);
    if (t < 0)
        return t;
    if (t != (int)want) {
        fail(j, j->token, EBADMSG, "expected %s, found %s", token_name((int)want), token_name(t));
        return report(j, e);
    }
    return 0;
}
