/* calls: the system calls a container made, as bits by number, and the names that people and seccomp give them.
 *
 * The kernel side (bpf/learn.bpf.c) notes the calls of a container from calls_watch() on, while programs of demand
 * `learn` are attached. Numbers are those of this machine's architecture; files hold names.
 */
#ifndef BULKHEAD_RUNTIME_CALLS_H
#define BULKHEAD_RUNTIME_CALLS_H

#include "base/err.h"
#include "base/str.h"
#include "bpf/event.h"

#define CALL_NAME 40u

struct calls {
    uint64_t bits[BH_CALLS / 64];
};

static inline bool calls_has(const struct calls *c, unsigned number)
{
    return number < BH_CALLS && (c->bits[number / 64] >> (number % 64) & 1);
}
static inline void calls_drop(struct calls *c, unsigned number)
{
    if (number < BH_CALLS)
        c->bits[number / 64] &= ~(UINT64_C(1) << (number % 64));
}
static inline void calls_add(struct calls *c, unsigned number)
{
    if (number < BH_CALLS)
        c->bits[number / 64] |= UINT64_C(1) << (number % 64);
}
bool calls_any(const struct calls *c);
bool calls_merge(struct calls *into, const struct calls *more); /* true: there was something new */
/* "openat"; a number nobody has named: "#463". */
const char *call_name(unsigned number, char out[static CALL_NAME]);
int call_number(struct str name); /* -ENOENT: not on this architecture */
/* What any program may need (nothing of it reaches beyond the process and its files), and what the runtime does between
 * the filter and the first instruction. */
void calls_add_basic(struct calls *c);

/* Note the calls of this container from now on; what was noted before stays. -ENOENT: there is no sensor's pin. */
int calls_watch(const char *bpf_dir, struct str id, struct err *e);
int calls_seen(const char *bpf_dir, struct str id, struct calls *ret, struct err *e); /* -ENOENT: not watched */
void calls_forget(const char *bpf_dir, struct str id);

#endif
