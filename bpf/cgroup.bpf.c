/* cgroup: what a container may talk to and be reached by, refused in the kernel with EPERM (calls) or dropped
 * (packets). Both tiers: these programs need no LSM. All of them hang on the root of the cgroup2 hierarchy and know a
 * container by the label of its sockets, so it does not matter where, or whether at all, an engine puts its containers
 * there.
 */
#include "dns.h"
#include "net.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* The label of a socket, made here when it has none and the task is in a container. */
static __always_inline struct net_label *label_of(struct bpf_sock *sk, __u64 cookie, __u64 netns, __u64 host)
{
    struct net_label *l = bpf_sk_storage_get(&net_socks, sk, 0, 0);
    if (l)
        return l;
    __u64 cgroup = 0;
    struct task_struct *t = bpf_get_current_task_btf();
    const char *id = ident_of_task(t, &cgroup);
    if (!id || !(l = bpf_sk_storage_get(&net_socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE)))
        return NULL;
    bpf_probe_read_kernel(&l->id, BH_ID, id);
    l->hash = id_hash(l->id.id);
    l->cookie = cookie;
    l->pid = READ(t, tgid);
    l->started = READ(t, group_leader, start_boottime);
    bpf_core_read(l->comm, sizeof(l->comm), &t->group_leader->comm);
    l->flags = netns == host ? LABEL_HOSTNET : 0;
    if (sk->type == SOCK_RAW)
        l->flags |= LABEL_RAW;
    return l;
}
#define LABEL(ctx, sk) label_of(sk, bpf_get_socket_cookie(ctx), bpf_get_netns_cookie(ctx), bpf_get_netns_cookie(NULL))

SEC("cgroup/sock_create")
int may_socket(struct bpf_sock *sk)
{
    struct net_label *l = LABEL(sk, sk);
    if (!l || sk->type != SOCK_RAW)
        return 1;
    struct bh_policy *p = net_policy(l->id.id);
    struct net_ask a = {.hash = l->hash, .protocol = sk->protocol};
    if (!p)
        return 1;
    net_consider(&a, p, BH_CONTROL_raw, 0);
    net_decide(&a, p);
    if (a.action)
        net_tell_task(&l->id, &a, BH_SOCKET);
    return !a.acts;
}

/* ---- calls ---- */

static __always_inline int refuse(struct net_label *l, struct net_ask *a, __u32 type)
{
    net_judge(&l->id, a);
    if (a->direction == BH_EGRESS)
        net_scan(&l->id, a);
    if (a->action)
        net_tell_task(&l->id, a, type);
    return !a->acts;
}

static __always_inline void ask4(struct bpf_sock_addr *ctx, struct net_ask *a)
{
    address4(a->address, ctx->user_ip4);
}

static __always_inline void ask6(struct bpf_sock_addr *ctx, struct net_ask *a)
{
    __u32 w[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
    __builtin_memcpy(a->address, w, 16);
}

/* An engine's own resolver is behind a translation of addresses: the answer comes from where the call turned to, the
 * question leaves for where that really listens. So the call notes who asked. */
static __always_inline int asks(struct bpf_sock_addr *ctx, struct net_ask *a, int passes)
{
    if (!passes || a->protocol != IPPROTO_UDP || a->port != 53 || !is_loopback(a->address))
        return passes;
    struct net_flow_key k = {.cookie = bpf_get_socket_cookie(ctx), .port = 53, .protocol = IPPROTO_UDP};
    struct net_flow f = {.generation = generation(), .time = bpf_ktime_get_boot_ns(), .direction = BH_EGRESS};
    __builtin_memcpy(k.address, a->address, 16);
    bpf_map_update_elem(&net_flows, &k, &f, BPF_ANY);
    return passes;
}

#define ADDRESS_HOOK(section, name, fill, dir, kind)                                                                   \
    SEC(section)                                                                                                       \
    int name(struct bpf_sock_addr *ctx)                                                                                \
    {                                                                                                                  \
        struct bpf_sock *sk = ctx->sk;                                                                                 \
        struct net_label *l = sk ? LABEL(ctx, sk) : NULL;                                                              \
        if (!l)                                                                                                        \
            return 1;                                                                                                  \
        struct net_ask a = {.hash = l->hash,                                                                           \
                            .port = bpf_ntohs((__u16)ctx->user_port),                                                  \
                            .protocol = ctx->protocol,                                                                 \
                            .direction = dir,                                                                          \
                            .hostnet = l->flags & LABEL_HOSTNET};                                                      \
        fill(ctx, &a);                                                                                                 \
        return asks(ctx, &a, refuse(l, &a, kind));                                                                     \
    }
ADDRESS_HOOK("cgroup/connect4", may_connect4, ask4, BH_EGRESS, BH_CONNECT)
ADDRESS_HOOK("cgroup/connect6", may_connect6, ask6, BH_EGRESS, BH_CONNECT)

/* A datagram to somebody who asked first is an answer: the packet knows (may_send), the call does not. */
static __always_inline bool answers(struct bpf_sock_addr *ctx, struct net_ask *a)
{
    struct net_flow_key k = {.cookie = bpf_get_socket_cookie(ctx), .port = a->port, .protocol = a->protocol};
    __builtin_memcpy(k.address, a->address, 16);
    struct net_flow *f = bpf_map_lookup_elem(&net_flows, &k);
    return f && f->generation == generation();
}

#define SEND_HOOK(section, name, fill)                                                                                 \
    SEC(section)                                                                                                       \
    int name(struct bpf_sock_addr *ctx)                                                                                \
    {                                                                                                                  \
        struct bpf_sock *sk = ctx->sk;                                                                                 \
        struct net_label *l = sk ? LABEL(ctx, sk) : NULL;                                                              \
        if (!l)                                                                                                        \
            return 1;                                                                                                  \
        struct net_ask a = {.hash = l->hash,                                                                           \
                            .port = bpf_ntohs((__u16)ctx->user_port),                                                  \
                            .protocol = ctx->protocol,                                                                 \
                            .direction = BH_EGRESS,                                                                    \
                            .hostnet = l->flags & LABEL_HOSTNET};                                                      \
        fill(ctx, &a);                                                                                                 \
        return answers(ctx, &a) ? 1 : asks(ctx, &a, refuse(l, &a, BH_CONNECT));                                        \
    }
SEND_HOOK("cgroup/sendmsg4", may_sendmsg4, ask4)
SEND_HOOK("cgroup/sendmsg6", may_sendmsg6, ask6)

/* A TCP port that no ingress rule lets anybody reach is not bound at all. Port 0 is a client's. */
#define BIND_HOOK(section, name)                                                                                       \
    SEC(section)                                                                                                       \
    int name(struct bpf_sock_addr *ctx)                                                                                \
    {                                                                                                                  \
        struct bpf_sock *sk = ctx->sk;                                                                                 \
        struct net_label *l = sk ? LABEL(ctx, sk) : NULL;                                                              \
        __u16 port = bpf_ntohs((__u16)ctx->user_port);                                                                 \
        if (!l || !port || ctx->protocol != IPPROTO_TCP)                                                               \
            return 1;                                                                                                  \
        struct net_ask a = {                                                                                           \
            .hash = l->hash, .port = port, .protocol = ctx->protocol, .direction = BH_LISTENING, .local = port};       \
        if (bpf_map_lookup_elem(&net_cuts, &l->id))                                                                    \
            return 1;                                                                                                  \
        address4(a.address, 0);                                                                                        \
        return refuse(l, &a, BH_BIND);                                                                                 \
    }
BIND_HOOK("cgroup/bind4", may_bind4)
BIND_HOOK("cgroup/bind6", may_bind6)

/* ---- packets: what no call shows (fast open, raw sockets, SCTP, connections older than the rule, who comes in) ----
 */

struct packet {
    struct net_address source, target;
    __u16 source_port, target_port;
    __u8 protocol, pad;
    __u16 payload;  /* where it starts */
    __u16 fragment; /* not the first: no ports */
};

__noinline int parse(struct __sk_buff *skb, struct packet *p)
{
    if (!p)
        return 0;
    __u32 at;
    if (skb->protocol == bpf_htons(0x0800)) {
        __u8 h[20];
        if (bpf_skb_load_bytes(skb, 0, h, sizeof(h)))
            return false;
        __u32 w[2];
        __builtin_memcpy(w, h + 12, 8);
        address4(p->source.a, w[0]);
        address4(p->target.a, w[1]);
        p->protocol = h[9];
        p->fragment = ((h[6] & 0x1f) << 8 | h[7]) != 0;
        at = (h[0] & 15) * 4;
    } else if (skb->protocol == bpf_htons(0x86dd)) {
        __u8 h[40];
        if (bpf_skb_load_bytes(skb, 0, h, sizeof(h)))
            return false;
        __builtin_memcpy(p->source.a, h + 8, 16);
        __builtin_memcpy(p->target.a, h + 24, 16);
        p->protocol = h[6];
        at = 40;
#pragma clang loop unroll(disable)
        for (int i = 0; i < 6; i++) { /* hop by hop, routing, fragment, destination */
            __u8 x[4];
            if (p->protocol != 0 && p->protocol != 43 && p->protocol != 44 && p->protocol != 60)
                break;
            if (bpf_skb_load_bytes(skb, at, x, sizeof(x)))
                return false;
            if (p->protocol == 44 && (x[2] || x[3] & 0xf8))
                p->fragment = 1;
            at += p->protocol == 44 ? 8 : (x[1] + 1) * 8;
            p->protocol = x[0];
        }
    } else {
        return false;
    }
    p->payload = at;
    if (p->fragment)
        return true;
    if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == 132) {
        __be16 ports[2];
        if (bpf_skb_load_bytes(skb, at, ports, sizeof(ports)))
            return true;
        p->source_port = bpf_ntohs(ports[0]);
        p->target_port = bpf_ntohs(ports[1]);
        if (p->protocol == IPPROTO_TCP) {
            __u8 offset = 0;
            bpf_skb_load_bytes(skb, at + 12, &offset, 1);
            p->payload = at + (offset >> 4) * 4;
        } else if (p->protocol == IPPROTO_UDP) {
            p->payload = at + 8;
        }
    }
    return true;
}

struct stratum {
    const __u8 *text;
    __u32 mining, login, agent;
};

static long stratum_step(__u32 i, struct stratum *w)
{
    __u64 v;
    if (i > 504)
        return 1;
    __builtin_memcpy(&v, w->text + i, 8);
    if (v == 0x732e676e696e696dull || v == 0x612e676e696e696dull || v == 0x6d6275735f687465ull)
        w->mining = 1; /* mining.s(ubscribe), mining.a(uthorize), eth_subm(it) */
    v &= 0xffffffffffffffull;
    if (v == 0x226e69676f6c22ull)
        w->login = 1; /* "login" */
    if (v == 0x22746e65676122ull)
        w->agent = 1; /* "agent" */
    return !!w->mining;
}

/* The first bytes a connection sends, once: JSON with the words of stratum, eth proxies or monero's pools. */
__noinline int is_stratum(struct __sk_buff *skb, __u32 at, __u32 len)
{
    __u32 slot = 2;
    struct dns_buf *b = bpf_map_lookup_elem(&net_bufs, &slot);
    __u8 first = 0;
    if (!b || len < 16 || bpf_skb_load_bytes(skb, at, &first, 1) || first != '{')
        return 0;
    if (len > 512)
        len = 512;
    __builtin_memset(b->packet, 0, 512);
    len--;
    asm volatile("" : "+r"(len)); /* or the mask is optimized away, and the verifier lost */
    if (bpf_skb_load_bytes(skb, at, b->packet, (len & 511) + 1))
        return 0;
    struct stratum w = {.text = b->packet};
    bpf_loop(505, stratum_step, &w, 0);
    return w.mining || (w.login && w.agent);
}

static __always_inline struct net_flow *flow_of(struct net_flow_key *k, __u64 cookie, const __u8 *address, __u16 port,
                                                __u8 protocol)
{
    __builtin_memset(k, 0, sizeof(*k));
    k->cookie = cookie;
    k->port = port;
    k->protocol = protocol;
    __builtin_memcpy(k->address, address, 16);
    return bpf_map_lookup_elem(&net_flows, k);
}

static __always_inline void flow_put(struct net_flow_key *k, struct net_flow *old, __u64 g, __u32 direction)
{
    struct net_flow f = {.generation = g, .time = bpf_ktime_get_boot_ns(), .direction = direction};
    if (old && old->generation == g)
        return;
    bpf_map_update_elem(&net_flows, k, &f, BPF_ANY);
}

static __always_inline int drop(struct net_label *l, struct net_ask *a)
{
    if (a->action)
        net_tell_packet(l, a, a->direction == BH_EGRESS ? BH_CONNECT : BH_ACCEPT);
    return !a->acts;
}

/* Control of contents: judged after addresses, for what would pass. */
static __noinline int drop_content(struct net_label *l, struct net_ask *a, __u32 control, __u32 why, __u32 count)
{
    struct bh_policy *p = net_policy(l->id.id);
    if (!p)
        return 1;
    a->action = a->acts = 0;
    a->count = count;
    net_consider(a, p, control, why);
    net_decide(a, p);
    return drop(l, a);
}

/* Did this socket turn to port 53 of that address, which was translated since? */
static __always_inline bool asked_here(const struct packet *p, __u64 cookie)
{
    struct net_flow_key k;
    return is_loopback(p->target.a) && flow_of(&k, cookie, p->target.a, 53, IPPROTO_UDP);
}

/* A TCP connection that was judged by the rules of now: its packets are not even read. */
static __always_inline bool settled(const struct bpf_sock *sk, const struct net_label *l, __u64 g)
{
    return sk->protocol == IPPROTO_TCP && !(l->flags & LABEL_RAW) && l->generation == g;
}

SEC("cgroup_skb/egress")
int may_send(struct __sk_buff *skb)
{
    struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;
    struct net_label *l = sk ? bpf_sk_storage_get(&net_socks, sk, 0, 0) : NULL;
    if (!l)
        return 1;
    __u64 g = generation(), cookie = bpf_get_socket_cookie(skb);
    if (settled(sk, l, g) && (l->flags & LABEL_PAYLOAD || cookie != l->cookie))
        return 1;
    struct packet p = {};
    if (!parse(skb, &p))
        return 1;
    bool tcp = p.protocol == IPPROTO_TCP && !(l->flags & LABEL_RAW);
    bool passive = tcp && (sk->state == TCP_LISTEN_STATE || cookie != l->cookie);
    struct net_ask a = {.hash = l->hash, .protocol = p.protocol, .hostnet = l->flags & LABEL_HOSTNET};
    __builtin_memcpy(a.address, p.target.a, 16);
    a.direction = passive ? BH_INGRESS : BH_EGRESS;
    a.port = passive ? p.source_port : p.target_port;
    a.local = p.source_port;
    if (tcp) {
        if (l->generation == g)
            goto content;
        net_judge(&l->id, &a);
        if (!passive && sk->state != TCP_LISTEN_STATE)
            net_scan(&l->id, &a);
        if (a.action) {
            if (!drop(l, &a))
                return 0;
        }
        if (sk->state != TCP_LISTEN_STATE)
            l->generation = g;
        goto content;
    }
    if (p.source_port == 53 && dns_forged(l->id.id, p.source.a)) {
        a.why = BH_NET_FORGED;
        a.action = BH_BLOCK;
        a.control = BH_CONTROL_egress;
        struct bh_policy *pol = net_policy(l->id.id);
        if (pol)
            net_decide(&a, pol);
        return drop(l, &a);
    }
    struct net_flow_key k;
    struct net_flow *f = flow_of(&k, cookie, p.target.a, p.target_port, p.protocol);
    if (!f || f->generation != g) {
        if (f && f->direction == BH_INGRESS) {
            a.direction = BH_INGRESS;
            a.port = p.source_port;
        }
        net_judge(&l->id, &a);
        if (a.direction == BH_EGRESS)
            net_scan(&l->id, &a);
        if (!drop(l, &a))
            return 0;
        flow_put(&k, f, g, f ? f->direction : BH_EGRESS);
    }
    if (p.protocol == IPPROTO_UDP && !p.fragment && (p.target_port == 53 || asked_here(&p, cookie))) {
        __u32 n = dns_asked(skb, p.payload, l->hash);
        if (n)
            return drop_content(l, &a, BH_CONTROL_tunnels, BH_NET_DNS_DATA, n);
    }
    return 1;
content:
    if (tcp && !passive && !(l->flags & LABEL_PAYLOAD) && skb->len > p.payload) {
        l->flags |= LABEL_PAYLOAD;
        if (is_stratum(skb, p.payload, skb->len - p.payload)) {
            int r = drop_content(l, &a, BH_CONTROL_mining, BH_NET_STRATUM, 0);
            if (!r)
                l->flags &= ~LABEL_PAYLOAD; /* it is sent again, and refused again */
            return r;
        }
    }
    return 1;
}

SEC("cgroup_skb/ingress")
int may_receive(struct __sk_buff *skb)
{
    struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;
    struct net_label *l = sk ? bpf_sk_storage_get(&net_socks, sk, 0, 0) : NULL;
    if (!l)
        return 1;
    __u64 g = generation();
    if (settled(sk, l, g) && sk->dst_port != bpf_htons(53)) /* of port 53 answers are read */
        return 1;
    __u64 cookie = bpf_get_socket_cookie(skb);
    struct packet p = {};
    if (!parse(skb, &p))
        return 1;
    bool tcp = p.protocol == IPPROTO_TCP && !(l->flags & LABEL_RAW);
    bool passive = tcp && (sk->state == TCP_LISTEN_STATE || cookie != l->cookie);
    struct net_ask a = {.hash = l->hash, .protocol = p.protocol, .hostnet = l->flags & LABEL_HOSTNET};
    __builtin_memcpy(a.address, p.source.a, 16);
    a.local = p.target_port;
    if (tcp) {
        a.direction = passive ? BH_INGRESS : BH_EGRESS;
        a.port = passive ? p.target_port : p.source_port;
        if (l->generation != g) {
            net_judge(&l->id, &a);
            if (!drop(l, &a))
                return 0;
            if (sk->state != TCP_LISTEN_STATE)
                l->generation = g;
        }
        if (!passive && p.source_port == 53)
            dns_answer(skb, p.payload + 2, &l->id, &p.source, l->hash);
        return 1;
    }
    struct net_flow_key k;
    struct net_flow *f = flow_of(&k, cookie, p.source.a, p.source_port, p.protocol);
    bool asked = f && f->direction == BH_EGRESS;
    a.direction = asked ? BH_EGRESS : BH_INGRESS;
    a.port = asked ? p.source_port : p.target_port;
    if (!f || f->generation != g) {
        if (l->flags & LABEL_RAW)
            return 1; /* a raw socket hears all that comes in: what its container may receive is judged elsewhere */
        net_judge(&l->id, &a);
        if (!drop(l, &a))
            return 0;
        flow_put(&k, f, g, f ? f->direction : BH_INGRESS);
    }
    if (asked && p.protocol == IPPROTO_UDP && p.source_port == 53)
        dns_answer(skb, p.payload, &l->id, &p.source, l->hash);
    return 1;
}
