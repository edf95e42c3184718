/* buf: a growing byte buffer that never outgrows its maximum.
 *
 * Appending past `max` sets `full` and drops the bytes; test once at the end with buf_check(). Out of memory aborts.
 *
 *     _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT);
 *     buf_printf(&b, "%d\n", n);
 *     if ((r = buf_check(&b, e)) < 0) return r;
 */
#ifndef BULKHEAD_BASE_BUF_H
#define BULKHEAD_BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p; /* not NUL-terminated; NULL when empty */
    size_t n, cap, max;
    bool full;
};

#define BUF_INIT(maximum) ((struct buf){.max = (maximum)})

void buf_fini(struct buf *b);  /* free and zero, keeps max */
void buf_reset(struct buf *b); /* n = 0, full = false, keeps the memory */
bool buf_put(struct buf *b, const void *p, size_t n);
bool buf_puts(struct buf *b, struct str s);
bool buf_putz(struct buf *b, const char *s);
bool buf_putc(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *buf_room(struct buf *b, size_t n); /* space for n bytes behind the content, NULL if over max; then b->n += used */
void buf_drop(struct buf *b, size_t n);  /* remove n bytes at the front */
const char *buf_cstr(struct buf *b);     /* NUL-terminate behind the content (which may fill it), "" when empty */
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
int buf_check(const struct buf *b, struct err *e); /* -E2BIG if anything was dropped */

#endif
