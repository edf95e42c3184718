#include "agent/ipc.h"

#include "base/cleanup.h"

#include <poll.h>
#include <sys/socket.h>

#define READ_BLOCK (64u << 10)

static const struct {
    const char *name;
    enum ipc_side sender;
    uint32_t max;
} types[IPC_TYPES] = {
#define R                       IPC_FROM_R
#define U                       IPC_FROM_U
#define IPC(n, from, most, doc) [IPC_##n] = {#n, from, most},
#include "agent/ipc.tbl.h"
#undef IPC
#undef R
#undef U
};

const char *ipc_name(enum ipc_type t)
{
    return t > IPC_none && t < IPC_TYPES ? types[t].name : "?";
}

void ipc_init(struct ipc *c, int fd, enum ipc_side peer)
{
    *c = (struct ipc){.fd = fd, .peer = peer};
    c->in.max = LIMIT_IPC_MESSAGE + IPC_HEADER + READ_BLOCK;
    c->out.max = LIMIT_IPC_MESSAGE + (1u << 20); /* one big message at a time, by protocol */
}

void ipc_fini(struct ipc *c)
{
    buf_fini(&c->in);
    buf_fini(&c->out);
    cleanup_close(&c->fd);
    c->fd = -1;
    c->taken = 0;
}

static void put_le(struct buf *b, uint64_t v, size_t bytes)
{
    unsigned char p[8];
    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * i));
    buf_put(b, p, bytes);
}

static uint64_t get_le(const char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

/* ---- sending ---- */

void ipc_begin(struct ipc *c, enum ipc_type type)
{
    c->frame = c->out.n;
    put_le(&c->out, 0, 4);
    put_le(&c->out, (uint64_t)type, 2);
    put_le(&c->out, 0, 2);
}

void ipc_put_u32(struct ipc *c, uint32_t v)
{
    put_le(&c->out, v, 4);
}

void ipc_put_u64(struct ipc *c, uint64_t v)
{
    put_le(&c->out, v, 8);
}

void ipc_put_str(struct ipc *c, struct str s)
{
    put_le(&c->out, s.n, 4);
    buf_puts(&c->out, s);
}

void ipc_put_raw(struct ipc *c, const void *p, size_t n)
{
    buf_put(&c->out, p, n);
}

int ipc_send(struct ipc *c, struct err *e)
{
    size_t length = c->out.n - c->frame - IPC_HEADER;
    unsigned type = c->out.full ? 0 : (unsigned)get_le(c->out.p + c->frame + 4, 2);
    if (c->out.full || length > types[type].max) {
        c->out.n = c->frame;
        c->out.full = false;
        return err_set(e, E2BIG, "message %s of %zu bytes is too big", ipc_name(type), length);
    }
    for (size_t i = 0; i < 4; i++)
        c->out.p[c->frame + i] = (char)(length >> (8 * i));
    return ipc_flush(c, e);
}

int ipc_flush(struct ipc *c, struct err *e)
{
    size_t done = 0;
    int r = 0;
    while (done < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + done, c->out.n - done, MSG_NOSIGNAL);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            r = err_set(e, EPIPE, "the other process is gone: %s", strerror(errno));
            break;
        }
    }
    buf_drop(&c->out, done);
    if (c->out.n == 0 && c->out.cap > READ_BLOCK)
        buf_fini(&c->out);
    return r;
}

/* ---- receiving ---- */

int ipc_fill(struct ipc *c, struct err *e)
{
    char *room = buf_room(&c->in, READ_BLOCK);
    if (!room)
        return err_set(e, EBADMSG, "more data than a message can have");
    for (;;) {
        ssize_t n = recv(c->fd, room, READ_BLOCK, 0);
        if (n > 0) {
            c->in.n += (size_t)n;
            return 1;
        }
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        return err_set(e, EPIPE, n == 0 ? "the other process closed" : "the other process is gone");
    }
}

int ipc_next(struct ipc *c, struct ipc_message *m, struct err *e)
{
    buf_drop(&c->in, c->taken);
    c->taken = 0;
    if (c->in.n == 0 && c->in.cap > 2 * READ_BLOCK)
        buf_fini(&c->in);
    if (c->in.n < IPC_HEADER)
        return 0;
    uint32_t length = (uint32_t)get_le(c->in.p, 4);
    unsigned type = (unsigned)get_le(c->in.p + 4, 2);
    if (type == IPC_none || type >= IPC_TYPES || get_le(c->in.p + 6, 2))
        return err_set(e, EBADMSG, "unknown message %u", type);
    if (types[type].sender != c->peer)
        return err_set(e, EBADMSG, "message %s from the wrong side", ipc_name(type));
    if (length > types[type].max)
        return err_set(e, EBADMSG, "message %s of %u bytes, at most %u", ipc_name(type), length, types[type].max);
    if (c->in.n - IPC_HEADER < length)
        return 0;
    c->taken = IPC_HEADER + length;
    *m = (struct ipc_message){.type = (enum ipc_type)type, .rest = str_n(c->in.p + IPC_HEADER, length)};
    return 1;
}

int ipc_wait(struct ipc *c, struct ipc_message *m, int timeout_ms, struct err *e)
{
    for (;;) {
        int r = ipc_next(c, m, e);
        if (r != 0)
            return r;
        struct pollfd p = {.fd = c->fd, .events = POLLIN | (ipc_pending(c) ? POLLOUT : 0)};
        r = poll(&p, 1, timeout_ms);
        if (r < 0 && errno != EINTR)
            return err_errno(e, "poll");
        if (r == 0)
            return 0;
        if (r > 0 && (p.revents & POLLOUT) && (r = ipc_flush(c, e)) < 0)
            return r;
        if (r > 0 && (p.revents & ~POLLOUT) && (r = ipc_fill(c, e)) < 0)
            return r;
    }
}

static struct str take(struct ipc_message *m, size_t n)
{
    if (m->bad || m->rest.n < n) {
        m->bad = true;
        return STR_NONE;
    }
    struct str s = str_n(m->rest.p, n);
    m->rest = str_n(m->rest.p + n, m->rest.n - n);
    return s;
}

uint32_t ipc_get_u32(struct ipc_message *m)
{
    struct str s = take(m, 4);
    return s.p ? (uint32_t)get_le(s.p, 4) : 0;
}

uint64_t ipc_get_u64(struct ipc_message *m)
{
    struct str s = take(m, 8);
    return s.p ? get_le(s.p, 8) : 0;
}

struct str ipc_get_str(struct ipc_message *m)
{
    uint32_t n = ipc_get_u32(m);
    return take(m, n);
}

struct str ipc_get_raw(struct ipc_message *m)
{
    return take(m, m->rest.n);
}

int ipc_end(const struct ipc_message *m, struct err *e)
{
    if (m->bad)
        return err_set(e, EBADMSG, "message %s is short", ipc_name(m->type));
    if (m->rest.n)
        return err_set(e, EBADMSG, "message %s has %zu bytes too many", ipc_name(m->type), m->rest.n);
    return 0;
}
