/* ipc: typed messages over a stream socket between processes of different privilege.
 *
 * A frame is u32 length of the payload, u16 type, u16 zero, payload; numbers little-endian. The payload is the fields
 * of ipc.tbl.h in order: u32, u64, i64, or str (u32 length and bytes). A reader takes the fields it expects and then
 * calls ipc_end(): a payload that is short, has bytes left over, is over the cap of its type, of an unknown type or
 * from the wrong side is -EBADMSG and the caller drops the channel; nothing is skipped or guessed.
 *
 * Not thread-safe: one thread per channel. The descriptor may be blocking (uplink) or not (root side).
 *
 *     struct ipc c; ipc_init(&c, fd, IPC_FROM_U);             // a reader of what U sends
 *     ipc_begin(&c, IPC_result); ipc_put_u32(&c, 0); ipc_put_str(&c, STR("")); ... ipc_send(&c, e);
 *     while ((r = ipc_next(&c, &m, e)) > 0) { ... ipc_get_u32(&m, &n); if ((r = ipc_end(&m, e)) < 0) drop; }
 */
#ifndef BULKHEAD_AGENT_IPC_H
#define BULKHEAD_AGENT_IPC_H

#include "base/buf.h"
#include "base/limits.h"

#include <sys/types.h>

#define IPC_HEADER 8u
#define IPC_CHUNK  (256u << 10)
#define IPC_SMALL  (16u << 10)

enum ipc_type {
    IPC_none,
#define IPC(name, sender, max, doc) IPC_##name,
#include "agent/ipc.tbl.h"
#undef IPC
    IPC_TYPES
};
enum ipc_side { IPC_FROM_R, IPC_FROM_U };

struct ipc {
    int fd;             /* owned */
    enum ipc_side peer; /* who sends what we read */
    struct buf in, out;
    size_t taken; /* bytes of `in` that the last message used */
    size_t frame; /* where in `out` the frame being built starts */
};

/* A received message; borrowed from the channel until the next ipc_next(). */
struct ipc_message {
    enum ipc_type type;
    struct str rest; /* not yet read part of the payload */
    bool bad;        /* a field was short */
};

void ipc_init(struct ipc *c, int fd, enum ipc_side peer);
void ipc_fini(struct ipc *c); /* closes the descriptor */

/* ---- sending ---- */
void ipc_begin(struct ipc *c, enum ipc_type type);
void ipc_put_u32(struct ipc *c, uint32_t v);
void ipc_put_u64(struct ipc *c, uint64_t v);
void ipc_put_str(struct ipc *c, struct str s);
void ipc_put_raw(struct ipc *c, const void *p, size_t n); /* without a length, as the whole payload */
/* Close the frame and write what the socket takes. 0 also when part stays for ipc_flush(); -E2BIG: over the cap of
 * the type, nothing was sent; -EPIPE. */
int ipc_send(struct ipc *c, struct err *e);
int ipc_flush(struct ipc *c, struct err *e);
static inline bool ipc_pending(const struct ipc *c)
{
    return c->out.n > 0;
}

/* ---- receiving ---- */
/* Read once from the socket. 1 something came, 0 would block, -EPIPE the peer is gone. */
int ipc_fill(struct ipc *c, struct err *e);
/* The next whole message in what was read: 1 there is one, 0 more is needed, -EBADMSG. */
int ipc_next(struct ipc *c, struct ipc_message *m, struct err *e);
/* Both, waiting up to timeout_ms (-1 without end): 1 a message, 0 timed out, -errno. */
int ipc_wait(struct ipc *c, struct ipc_message *m, int timeout_ms, struct err *e);

/* Fields in order; a short one gives 0 or an empty string and makes ipc_end() fail. */
uint32_t ipc_get_u32(struct ipc_message *m);
uint64_t ipc_get_u64(struct ipc_message *m);
static inline int64_t ipc_get_i64(struct ipc_message *m)
{
    return (int64_t)ipc_get_u64(m);
}
struct str ipc_get_str(struct ipc_message *m);
struct str ipc_get_raw(struct ipc_message *m);           /* all that is left */
int ipc_end(const struct ipc_message *m, struct err *e); /* -EBADMSG: short or trailing data */

const char *ipc_name(enum ipc_type t);

#endif
