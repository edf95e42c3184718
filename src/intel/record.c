#include "intel/record.h"

#include "base/cleanup.h"
#include "base/fs.h"

static const uint8_t fields_of[] = {
#define X(id, n) [RECORD_##id] = n,
    RECORDS(X)
#undef X
};

int record_flush(struct record_writer *w)
{
    if (w->code == 0 && w->b.n)
        w->code = fs_write_all(w->fd, w->b.p, w->b.n, w->e);
    buf_reset(&w->b);
    return w->code;
}

void record_write(struct record_writer *w, enum record_type type, const struct str *fields)
{
    size_t size = 2;
    if (w->code)
        return;
    for (size_t i = 0; i < fields_of[type]; i++)
        size += 4 + fields[i].n;
    if (size > RECORD_MAX) {
        w->code = err_set(w->e, E2BIG, "one record of more than %d bytes", RECORD_MAX);
        return;
    }
    buf_putc(&w->b, (char)type);
    buf_putc(&w->b, (char)fields_of[type]);
    for (size_t i = 0; i < fields_of[type]; i++) {
        uint32_t n = (uint32_t)fields[i].n;
        buf_put(&w->b, &n, sizeof(n));
        buf_puts(&w->b, fields[i]);
    }
    if (w->b.n >= 65536)
        record_flush(w);
}

/* Text that goes into a database and onto terminals: valid UTF-8 without control characters but newline. */
static bool clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\n') || s.p[i] == 0x7f)
            return false;
    return str_utf8(s);
}

/* Bytes of the record at the front; 0: not whole yet. */
static int decode(struct str in, struct record *r, size_t *ret_used, struct err *e)
{
    *ret_used = 0;
    if (in.n < 2)
        return 0;
    uint8_t type = (uint8_t)in.p[0];
    if (type >= RECORD_TYPES || (uint8_t)in.p[1] != fields_of[type])
        return err_set(e, EBADMSG, "the feed parser sent garbage");
    size_t at = 2;
    *r = (struct record){.type = type};
    for (size_t i = 0; i < fields_of[type]; i++) {
        uint32_t n;
        if (in.n - at < sizeof(n))
            return 0;
        memcpy(&n, in.p + at, sizeof(n));
        at += sizeof(n);
        if (n > RECORD_MAX || at + n > RECORD_MAX)
            return err_set(e, E2BIG, "the feed parser sent a record that is too big");
        if (in.n - at < n)
            return 0;
        r->f[i] = (struct str){in.p + at, n};
        if (!clean(r->f[i]))
            return err_set(e, EBADMSG, "the feed parser sent unclean text");
        at += n;
    }
    *ret_used = at;
    return 0;
}

int record_feed(struct record_reader *r, const void *p, size_t n, struct err *e)
{
    if (!buf_put(&r->b, p, n))
        return buf_check(&r->b, e);
    size_t at = 0;
    while (at < r->b.n) {
        struct record record;
        size_t used;
        int q = decode((struct str){r->b.p + at, r->b.n - at}, &record, &used, e);
        if (q < 0)
            return q;
        if (!used)
            break;
        if ((q = r->take(r->arg, &record, e)) < 0)
            return q;
        at += used;
    }
    buf_drop(&r->b, at);
    return 0;
}
