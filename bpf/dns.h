/* dns: what a container asks and what its resolver answers. Answers bind names of the policy to addresses before the
 * program that asked can use them. Believed is only an answer that comes from a configured resolver to a socket that
 * asked it (the caller looks at that); of it the question's name and all A and AAAA records. Over TCP only an
 * answer that is whole in one segment is read; over TLS or HTTPS none. Not read: no binding, so no way out.
 */
#ifndef BULKHEAD_BPF_DNS_H
#define BULKHEAD_BPF_DNS_H

#include "net.h"

#define DNS_MAX       1024
#define DNS_ANSWERS   24
#define DNS_TTL_LEAST (60 * NSEC) /* programs keep addresses longer than they should */
#define DNS_TTL_MOST  (86400ull * NSEC)
#define TUNNEL_WINDOW (60 * NSEC)
#define TUNNEL_NAME   52u /* a name this long, with */
#define TUNNEL_LABEL  24u /* a label this long, */
#define TUNNEL_NAMES  24  /* never asked before, this often in a window */

struct dns_walk {
    __u64 hash;                 /* of the name */
    __u32 at, left;             /* of the label */
    __u32 n, longest, end, bad; /* of the name: its length, longest label, what comes behind */
    __u32 records, len;         /* still to read; of the message */
    __u32 skip, skipped;        /* over the name of a record */
    __u64 container, mask;
};

struct dns_buf {
    __u8 packet[DNS_MAX + 64];
    __u8 backwards[512];
    struct bh_name_key key;
    struct dns_walk walk; /* here and not on the stack: the verifier would follow each value */
};
MAP(PERCPU_ARRAY, 3, __u32, struct dns_buf, net_bufs); /* egress, ingress, payload */

/* One byte of the question's name; it is written backwards, lower case, from the end of `backwards`. */
static long name_step(__u32 i, struct dns_buf **from)
{
    struct dns_buf *b = *from;
    struct dns_walk *w = &b->walk;
    __u32 at = w->at;
    if (at >= DNS_MAX) {
        w->bad = 1;
        return 1;
    }
    __u8 c = b->packet[at & (DNS_MAX - 1)];
    w->at = at + 1;
    if (!w->left) {
        if (!c) {
            w->end = w->at;
            return 1;
        }
        if (c > 63) {
            w->bad = 1;
            return 1;
        }
        w->left = c;
        if (c > w->longest)
            w->longest = c;
        if (!w->n)
            return 0;
        c = '.';
    } else {
        w->left--;
        if (c >= 'A' && c <= 'Z')
            c += 32;
    }
    w->hash = (w->hash ^ c) * 0x100000001b3ull;
    w->n++;
    b->backwards[(256 - w->n) & 255] = c;
    return 0;
}

static __always_inline bool dns_name(struct dns_buf *b)
{
    struct dns_walk *w = &b->walk;
    __builtin_memset(w, 0, sizeof(*w));
    w->at = 12;
    w->hash = 0xcbf29ce484222325ull;
    bpf_loop(256, name_step, &b, 0);
    return !w->bad && w->end && w->n;
}

static __always_inline bool dns_load(struct __sk_buff *skb, __u32 at, struct dns_buf *b, __u32 *ret)
{
    __u32 len = skb->len;
    if (len <= at + 12)
        return false;
    len -= at;
    if (len > DNS_MAX)
        len = DNS_MAX;
    *ret = len--;
    asm volatile("" : "+r"(len)); /* or the mask is optimized away, and the verifier lost */
    if (bpf_skb_load_bytes(skb, at, b->packet, (len & (DNS_MAX - 1)) + 1))
        return false;
    return true;
}

/* A question on its way out: how many long names nobody asked for before, when that is too many; else 0. */
__noinline int dns_asked(struct __sk_buff *skb, __u32 at, __u64 container)
{
    __u32 slot = 0, len;
    struct dns_buf *b = bpf_map_lookup_elem(&net_bufs, &slot);
    if (!b || skb->len < at + 12 + TUNNEL_NAME || !dns_load(skb, at, b, &len))
        return 0;
    if (!dns_name(b) || b->walk.n < TUNNEL_NAME || b->walk.longest < TUNNEL_LABEL)
        return 0;
    if (!net_first(container, b->walk.hash, 0xd05, 3600 * NSEC))
        return 0;
    __u32 n = net_tally(container, 0xd05, TUNNEL_WINDOW);
    return n > TUNNEL_NAMES ? n : 0;
}

static __always_inline bool dns_resolver(const struct bh_net *n, const __u8 *address)
{
    const __u64 *a = (const void *)address;
#pragma clang loop unroll(disable)
    for (int i = 0; i < BH_RESOLVERS; i++) {
        if (i >= n->resolvers_n)
            break;
        const __u64 *r = (const void *)n->resolver[i];
        if (r[0] == a[0] && r[1] == a[1])
            return true;
    }
    return false;
}

/* The container answers in its resolver's name, while names decide something. */
static __always_inline bool dns_forged(const char *id, const __u8 *source)
{
    struct bh_net *n = bpf_map_lookup_elem(&net_policies, id);
    return n && n->names_n && dns_resolver(n, source);
}

static __always_inline __u32 byte_at(const struct dns_buf *b, __u32 at)
{
    return b->packet[at & (DNS_MAX - 1)];
}

static long skip_step(__u32 i, struct dns_buf **from)
{
    struct dns_buf *b = *from;
    struct dns_walk *s = &b->walk;
    if (s->skip >= DNS_MAX)
        return 1;
    __u32 c = byte_at(b, s->skip);
    if (c >= 0xc0) {
        s->skip += 2;
        s->skipped = 1;
        return 1;
    }
    if (!c) {
        s->skip++;
        s->skipped = 1;
        return 1;
    }
    if (c > 63)
        return 1;
    s->skip += 1 + c;
    return 0;
}

static long record_step(__u32 i, struct dns_buf **from)
{
    struct dns_buf *b = *from;
    struct dns_walk *w = &b->walk;
    if (!w->records)
        return 1;
    w->records--;
    w->skip = w->at;
    w->skipped = 0;
    bpf_loop(64, skip_step, &b, 0);
    __u32 at = w->skip;
    if (!w->skipped || at + 10 > w->len || at + 10 > DNS_MAX)
        return 1;
    __u32 type = byte_at(b, at) << 8 | byte_at(b, at + 1);
    __u64 ttl =
        (__u64)byte_at(b, at + 4) << 24 | byte_at(b, at + 5) << 16 | byte_at(b, at + 6) << 8 | byte_at(b, at + 7);
    __u32 n = byte_at(b, at + 8) << 8 | byte_at(b, at + 9);
    at += 10;
    w->at = at + n;
    if (w->at > w->len || w->at > DNS_MAX)
        return 1;
    struct bh_bound_key k = {.container = w->container};
    if (type == 1 && n == 4) {
        k.address[10] = k.address[11] = 0xff;
        for (int j = 0; j < 4; j++)
            k.address[12 + j] = byte_at(b, at + j);
    } else if (type == 28 && n == 16) {
        for (int j = 0; j < 16; j++)
            k.address[j] = byte_at(b, at + j);
    } else {
        return 0;
    }
    __u64 now = bpf_ktime_get_boot_ns();
    ttl *= NSEC;
    ttl = ttl < DNS_TTL_LEAST ? DNS_TTL_LEAST : ttl > DNS_TTL_MOST ? DNS_TTL_MOST : ttl;
    struct bh_bound bound = {.mask = w->mask, .until = now + ttl};
    struct bh_bound *old = bpf_map_lookup_elem(&net_bound, &k);
    if (old && old->until > now) {
        bound.mask |= old->mask;
        if (old->until > bound.until)
            bound.until = old->until;
    }
    bpf_map_update_elem(&net_bound, &k, &bound, BPF_ANY);
    return 0;
}

static __noinline int dns_answer(struct __sk_buff *skb, __u32 at, struct id_key *id, struct net_address *source,
                                 __u64 container)
{
    if (!id || !source)
        return 0;
    struct bh_net *n = bpf_map_lookup_elem(&net_policies, id);
    void *trie = n && n->names_n ? bpf_map_lookup_elem(&net_names, id) : NULL;
    __u32 slot = 1, len = 0;
    struct dns_buf *b = bpf_map_lookup_elem(&net_bufs, &slot);
    if (!trie || !b || !dns_resolver(n, source->a) || !dns_load(skb, at, b, &len))
        return 0;
    /* a response without error to one question */
    if (!(b->packet[2] & 0x80) || b->packet[3] & 15 || b->packet[4] || b->packet[5] != 1)
        return 0;
    if (!dns_name(b) || b->walk.n >= BH_NAME)
        return 0;
    __builtin_memset(&b->key, 0, sizeof(b->key));
    __u32 chars = b->walk.n, size = chars & 127;
    if (size >= BH_NAME)
        return 0;
    /* the whole room, which the verifier can see: behind the name backwards[] is never written */
    bpf_probe_read_kernel(b->key.name, BH_NAME, &b->backwards[(256 - chars) & 255]);
    b->key.prefixlen = 8 * (size + 1); /* the NUL behind an exact name */
    struct bh_name *name = bpf_map_lookup_elem(trie, &b->key);
    if (!name)
        return 0;
    struct dns_walk *w = &b->walk;
    w->container = container;
    w->mask = name->mask;
    w->at = w->end + 4;
    w->len = len;
    w->records = b->packet[7];
    bpf_loop(DNS_ANSWERS, record_step, &b, 0);
    return 0;
}

#endif
