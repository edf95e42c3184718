#include "format/json_escape.h"

#include <errno.h>

static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *put_utf8(char *o, unsigned c)
{
    if (c < 0x80) {
        *o++ = (char)c;
    } else if (c < 0x800) {
        *o++ = (char)(0xc0 | c >> 6);
        *o++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *o++ = (char)(0xe0 | c >> 12);
        *o++ = (char)(0x80 | (c >> 6 & 63));
        *o++ = (char)(0x80 | (c & 63));
    } else {
        *o++ = (char)(0xf0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 63));
        *o++ = (char)(0x80 | (c >> 6 & 63));
        *o++ = (char)(0x80 | (c & 63));
    }
    return o;
}

ptrdiff_t json_unescape(struct str raw, char *out, const char **bad)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *o = out;
    const char *p = raw.p, *end = raw.p + raw.n;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        memcpy(o, p, n);
        o += n;
        p += n;
        if (!slash)
            break;
        char c = p[1]; /* the scanner saw at least one byte behind a backslash */
        const char *simple = c ? strchr(from, c) : NULL;
        if (simple) {
            *o++ = to[simple - from];
            p += 2;
            continue;
        }
        int v = c == 'u' ? hex4(p + 2, end) : -1;
        *bad = p;
        if (v < 0)
            return -EINVAL;
        if (v >= 0xd800 && v < 0xe000) {
            int low = v < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8, end) : -1;
            if (low < 0xdc00 || low > 0xdfff)
                return -EILSEQ;
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        }
        p += 6;
        o = put_utf8(o, (unsigned)v);
    }
    return o - out;
}
