#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->full = false;
}

/* One byte more than the content is always there, for buf_cstr. */
static bool reserve(struct buf *b, size_t n)
{
    if (n > b->max || b->n > b->max - n) {
        b->full = true;
        return false;
    }
    if (b->p && b->cap - b->n >= n)
        return true;
    size_t want = b->cap < 128 ? 256 : b->cap * 2;
    if (want < b->n + n)
        want = b->n + n;
    if (want > b->max)
        want = b->max;
    char *p = realloc(b->p, want + 1);
    if (!p) {
        fprintf(stderr, "fatal: buf: out of memory (%zu bytes)\n", want);
        abort();
    }
    b->p = p;
    b->cap = want;
    return true;
}

bool buf_put(struct buf *b, const void *p, size_t n)
{
    if (!n)
        return true;
    if (!reserve(b, n))
        return false;
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

bool buf_puts(struct buf *b, struct str s)
{
    return buf_put(b, s.p, s.n);
}

bool buf_putz(struct buf *b, const char *s)
{
    return buf_put(b, s, strlen(s));
}

bool buf_putc(struct buf *b, char c)
{
    return buf_put(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n))
        return false;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return true;
}

char *buf_room(struct buf *b, size_t n)
{
    return reserve(b, n) ? b->p + b->n : NULL;
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_cstr(struct buf *b)
{
    if (!b->p)
        return "";
    b->p[b->n] = '\0';
    return b->p;
}

int buf_check(const struct buf *b, struct err *e)
{
    if (b->full)
        return err_set(e, E2BIG, "more than %zu bytes", b->max);
    return 0;
}
