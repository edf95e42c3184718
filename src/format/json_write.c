/* The writer. */
#include "format/json.h"

#include <stdio.h>

static void separate(struct json_writer *w)
{
    if (w->comma && !w->keyed)
        buf_putc(w->b, ',');
    w->comma = true;
    w->keyed = false;
}

static void open(struct json_writer *w, char c, char close)
{
    separate(w);
    buf_putc(w->b, c);
    if (w->depth < LIMIT_JSON_DEPTH)
        w->close[w->depth] = close;
    else
        w->b->full = true; /* no reader of ours would take it: buf_check tells */
    w->depth++;
    w->comma = false;
}

void json_w_object(struct json_writer *w)
{
    open(w, '{', '}');
}

void json_w_array(struct json_writer *w)
{
    open(w, '[', ']');
}

void json_w_end(struct json_writer *w)
{
    if (!w->depth)
        return;
    w->depth--;
    if (w->depth < LIMIT_JSON_DEPTH)
        buf_putc(w->b, w->close[w->depth]);
    w->comma = true;
    w->keyed = false;
}

/* Length of the UTF-8 sequence at the front of s, 0 when it is none. */
static size_t sequence(struct str s)
{
    for (size_t n = 2; n <= 4 && n <= s.n; n++)
        if (str_utf8(str_sub(s, 0, n)))
            return n;
    return 0;
}

static void put_escaped(struct buf *b, struct str s)
{
    static const char digits[] = "0123456789abcdef";
    bool valid = s.n ? str_utf8(s) : true;
    size_t from = 0, i = 0;
    buf_putc(b, '"');
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || valid)) {
            i++;
            continue;
        }
        size_t n = c >= 0x80 ? sequence(str_sub(s, i, s.n)) : 0;
        if (n) {
            i += n;
            continue;
        }
        buf_put(b, s.p + from, i - from);
        from = ++i;
        char esc[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        if (c == '"' || c == '\\' || c == '\n' || c == '\t' || c == '\r') {
            esc[1] = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : (char)c;
            buf_put(b, esc, 2);
        } else if (c < 0x20) {
            buf_put(b, esc, 6);
        } else {
            buf_putz(b, "\xef\xbf\xbd");
        }
    }
    buf_put(b, s.p + from, s.n - from);
    buf_putc(b, '"');
}

static void put_key(struct json_writer *w, struct str key)
{
    separate(w);
    put_escaped(w->b, key);
    buf_putc(w->b, ':');
    w->keyed = true;
}

void json_w_key(struct json_writer *w, const char *key)
{
    put_key(w, str_c(key));
}

void json_w_str(struct json_writer *w, struct str s)
{
    separate(w);
    if (s.p)
        put_escaped(w->b, s);
    else
        buf_putz(w->b, "null");
}

void json_w_i64(struct json_writer *w, int64_t v)
{
    separate(w);
    char text[24], *p = text + sizeof(text);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    buf_put(w->b, p, (size_t)(text + sizeof(text) - p));
}

/* The shortest text that reads back as the same number. */
void json_w_double(struct json_writer *w, double v)
{
    char text[40];
    if (v - v != 0) {
        json_w_null(w);
        return;
    }
    separate(w);
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (str_double(str_c(text), &back) == 0 && back == v)
            break;
    }
    buf_putz(w->b, text);
}

void json_w_bool(struct json_writer *w, bool v)
{
    separate(w);
    buf_putz(w->b, v ? "true" : "false");
}

void json_w_null(struct json_writer *w)
{
    separate(w);
    buf_putz(w->b, "null");
}

void json_w_raw(struct json_writer *w, struct str json)
{
    separate(w);
    buf_puts(w->b, json);
}

/* Walks without recursion: a value knows its next, the stack knows the way back. */
void json_w_value(struct json_writer *w, const struct json_value *v)
{
    const struct json_value *stack[LIMIT_JSON_DEPTH + 1];
    unsigned depth = 0;
    if (!v) {
        json_w_null(w);
        return;
    }
    for (;;) {
        const struct json_value *down = NULL;
        switch (v->type) {
        case JSON_OBJECT:
        case JSON_ARRAY:
            open(w, v->type == JSON_OBJECT ? '{' : '[', v->type == JSON_OBJECT ? '}' : ']');
            down = v->first;
            if (!down)
                json_w_end(w);
            break;
        case JSON_STRING:
            json_w_str(w, v->text.p ? v->text : STR(""));
            break;
        case JSON_NUMBER:
            json_w_raw(w, v->text);
            break;
        case JSON_TRUE:
        case JSON_FALSE:
            json_w_bool(w, v->type == JSON_TRUE);
            break;
        default:
            json_w_null(w);
        }
        if (down && depth < LIMIT_JSON_DEPTH) {
            stack[depth++] = v;
            v = down;
        } else {
            if (down)
                json_w_end(w);
            while (depth && !v->next) {
                v = stack[--depth];
                json_w_end(w);
            }
            if (!depth)
                return;
            v = v->next;
        }
        if (stack[depth - 1]->type == JSON_OBJECT)
            put_key(w, v->key);
    }
}

void json_w_kstr(struct json_writer *w, const char *key, struct str s)
{
    json_w_key(w, key);
    json_w_str(w, s);
}

void json_w_kstrz(struct json_writer *w, const char *key, const char *s)
{
    json_w_key(w, key);
    json_w_str(w, str_c(s));
}

void json_w_ki64(struct json_writer *w, const char *key, int64_t v)
{
    json_w_key(w, key);
    json_w_i64(w, v);
}

void json_w_kbool(struct json_writer *w, const char *key, bool v)
{
    json_w_key(w, key);
    json_w_bool(w, v);
}

void json_w_kobject(struct json_writer *w, const char *key)
{
    json_w_key(w, key);
    json_w_object(w);
}

void json_w_karray(struct json_writer *w, const char *key)
{
    json_w_key(w, key);
    json_w_array(w);
}

void json_w_member(struct json_writer *w, const struct json_value *member)
{
    put_key(w, member->key);
    json_w_value(w, member);
}
