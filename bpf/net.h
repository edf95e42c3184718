/* net: judging one end of a connection: which container, which rule, who is told.
 *
 * Cgroup programs run for every socket of the host; a socket of a container carries a label (socket storage) from the
 * moment it is made, and inherits it from its listener when it is accepted. One without a label is the host's and costs
 * one look. A label keeps what was allowed and in which generation of the rules, so an allowed connection is judged
 * once, and again after each change.
 */
#ifndef BULKHEAD_BPF_NET_H
#define BULKHEAD_BPF_NET_H

#include "judge.h"
#include "network.h"

#define IPPROTO_ICMP     1
#define IPPROTO_TCP      6
#define IPPROTO_UDP      17
#define IPPROTO_ICMPV6   58
#define SOCK_STREAM      1
#define SOCK_RAW         3
#define TCP_LISTEN_STATE 10

#define LABEL_HOSTNET 1 /* made in the host's network namespace: loopback is no private place there */
#define LABEL_PAYLOAD 2 /* the first payload was looked at */
#define LABEL_RAW     4

struct net_label {
    struct id_key id;
    __u64 hash;    /* of the id */
    __u64 cookie;  /* of the socket that was made; another one: it was accepted */
    __u64 started; /* of the process that made it */
    __u32 pid;
    __u32 flags;
    char comm[16];
    __u64 generation; /* of the rules that allowed what follows (TCP) */
};

struct net_flow_key {
    __u64 cookie;
    __u8 address[16];
    __u16 port;
    __u8 protocol, pad[5];
};
struct net_flow {
    __u64 generation, time;
    __u32 direction, pad;
};
struct net_seen_key {
    __u64 container, a, b;
};
struct net_count_key {
    __u64 container, what;
};
struct net_count {
    __u64 since;
    __u32 n, told;
};
struct net_address {
    __u8 a[16];
};
struct net_bad_key {
    __u32 prefixlen;
    __u8 address[16];
};

struct net_trie {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, BH_RULES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(key_size, sizeof(struct bh_rule_key)); /* sizes: BTF of types behind __array is not whole */
    __uint(value_size, sizeof(struct bh_rule));
};
struct net_name_trie {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 2 * BH_NAMES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(key_size, sizeof(struct bh_name_key));
    __uint(value_size, sizeof(struct bh_name));
};
struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct id_key);
    __array(values, struct net_trie);
} net_rules SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct id_key);
    __array(values, struct net_name_trie);
} net_names SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, BH_BAD);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct net_bad_key);
    __type(value, __u32);
} net_bad SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
    __type(key, int);
    __type(value, struct net_label);
} net_socks SEC(".maps");
MAP_LAZY(HASH, 16384, struct id_key, struct bh_net, net_policies);
MAP_LAZY(HASH, 16384, struct id_key, __u32, net_cuts);
MAP(ARRAY, 1, __u32, __u64, net_generation);
MAP(LRU_HASH, 65536, struct bh_bound_key, struct bh_bound, net_bound);
MAP(LRU_HASH, 65536, struct net_flow_key, struct net_flow, net_flows);
MAP(LRU_HASH, 32768, struct net_seen_key, __u64, net_seen);
MAP(LRU_HASH, 16384, struct net_count_key, struct net_count, net_counts);

/* A question: may this container talk to (egress) or be reached by (ingress) this address? And its answer. */
struct net_ask {
    __u64 hash;
    __u8 address[16];
    __u16 port; /* of the service: remote in egress, local in ingress */
    __u8 protocol, direction;
    __u8 hostnet, mode;
    __u8 acts;   /* answer: it is refused now */
    __u8 action; /* answer: enum bh_action; 0: nothing to say */
    __u8 control, why;
    __u16 local; /* told only */
    __u32 count;
};

static __always_inline __u64 generation(void)
{
    __u32 zero = 0;
    __u64 *g = bpf_map_lookup_elem(&net_generation, &zero);
    return g ? *g + 1 : 1;
}

static __always_inline void address4(__u8 *to, __u32 v4)
{
    __builtin_memset(to, 0, 10);
    to[10] = to[11] = 0xff;
    __builtin_memcpy(to + 12, &v4, 4);
}

static __always_inline bool is_v4(const __u8 *a)
{
    const __u32 *w = (const void *)a;
    return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

/* 127.0.0.0/8, ::1, and the unspecified address, which means this host too. */
static __always_inline bool is_loopback(const __u8 *a)
{
    const __u32 *w = (const void *)a;
    if (is_v4(a))
        return a[12] == 127 || !w[3];
    return !w[0] && !w[1] && !w[2] && (w[3] == bpf_htonl(1) || !w[3]);
}

/* 169.254.169.254 of nearly all clouds, 169.254.170.2 and .23 (tasks and pods of one), 100.100.100.200, fd00:ec2::254.
 */
static __always_inline bool is_metadata(const __u8 *a)
{
    const __u32 *w = (const void *)a;
    if (is_v4(a))
        return w[3] == bpf_htonl(0xa9fea9fe) || w[3] == bpf_htonl(0xa9feaa02) || w[3] == bpf_htonl(0xa9feaa17) ||
               w[3] == bpf_htonl(0x646464c8);
    return w[0] == bpf_htonl(0xfd000ec2) && !w[1] && !w[2] && w[3] == bpf_htonl(0x254);
}

static __always_inline bool in_range(const struct bh_range *r, const struct net_ask *a)
{
    __u8 p = a->protocol == IPPROTO_ICMPV6 ? IPPROTO_ICMP : a->protocol;
    return a->port >= r->from && a->port <= r->to && (!r->protocol || r->protocol == p);
}

struct net_names_walk {
    const struct bh_net *n;
    const struct net_ask *a;
    __u64 mask;
    __u32 allowed, denied;
};

static long names_step(__u32 i, struct net_names_walk *w)
{
    if (i >= BH_NAMES || !(w->mask >> i))
        return 1;
    if (!(w->mask >> i & 1))
        return 0;
    const struct bh_range *r = &w->n->names[i];
    if (in_range(r, w->a)) {
        if (r->deny)
            w->denied = 1;
        else
            w->allowed = 1;
    }
    return 0;
}

#define NET_SILENT  0
#define NET_ALLOWED 1
#define NET_REFUSED 2

/* What the lists say: deny elements first, then allow elements, of addresses and of names. */
static __noinline int net_listed(const char *id, const struct bh_net *n, struct net_ask *a)
{
    struct bh_rule_key k = {.prefixlen = 8 * 17, .direction = a->direction};
    __builtin_memcpy(k.address, a->address, 16);
    int said = NET_SILENT;
    void *trie = bpf_map_lookup_elem(&net_rules, id);
    struct bh_rule *r = trie ? bpf_map_lookup_elem(trie, &k) : NULL;
    if (r) {
#pragma clang loop unroll(disable)
        for (__u32 i = 0; i < BH_RANGES; i++) {
            if (i >= r->n)
                break;
            if (!in_range(&r->range[i], a))
                continue;
            if (r->range[i].deny)
                return NET_REFUSED;
            said = NET_ALLOWED;
        }
    }
    if (a->direction == BH_EGRESS && n->names_n) {
        struct bh_bound_key b = {.container = a->hash};
        __builtin_memcpy(b.address, a->address, 16);
        struct bh_bound *bound = bpf_map_lookup_elem(&net_bound, &b);
        if (bound && bound->until > bpf_ktime_get_boot_ns()) {
            struct net_names_walk w = {.n = n, .a = a, .mask = bound->mask};
            bpf_loop(BH_NAMES, names_step, &w, 0);
            if (w.denied)
                return NET_REFUSED;
            if (w.allowed)
                said = NET_ALLOWED;
        }
    }
    return said;
}

static __always_inline void net_consider(struct net_ask *a, const struct bh_policy *p, __u32 control, __u32 why)
{
    __u8 action = p->action[control];
    if (action > a->action) {
        a->action = action;
        a->control = control;
        a->why = why;
    }
}

static __always_inline struct bh_policy *net_policy(const char *id)
{
    __u32 zero = 0;
    struct bh_policy *p = bpf_map_lookup_elem(&policies, id);
    return p ? p : bpf_map_lookup_elem(&host_default, &zero);
}

static __always_inline void net_decide(struct net_ask *a, const struct bh_policy *p)
{
    a->mode = p->mode;
    a->acts = a->action == BH_BLOCK && p->mode == BH_ENFORCE;
}

static __noinline int net_judge(struct id_key *who, struct net_ask *a)
{
    if (!who || !a)
        return 0;
    const char *id = who->id;
    a->action = a->control = a->why = a->acts = 0;
    struct bh_policy *p = net_policy(id);
    if (!p)
        return 0;
    a->mode = p->mode;
    if (bpf_map_lookup_elem(&net_cuts, id)) { /* whatever the mode: somebody asked for it */
        a->action = BH_BLOCK;
        a->control = a->direction == BH_EGRESS ? BH_CONTROL_egress : BH_CONTROL_ingress;
        a->why = BH_NET_CUT;
        a->acts = 1;
        return 0;
    }
    if (!a->hostnet && a->direction != BH_LISTENING && is_loopback(a->address))
        return 0;
    struct bh_net *n = bpf_map_lookup_elem(&net_policies, id);
    __u32 rules = a->direction == BH_EGRESS ? BH_NET_EGRESS : BH_NET_INGRESS;
    int said = NET_SILENT;
    if (n && (n->flags & rules))
        said = net_listed(id, n, a);
    if (a->direction != BH_LISTENING) {
        struct net_bad_key bad = {.prefixlen = 128};
        __builtin_memcpy(bad.address, a->address, 16);
        if (bpf_map_lookup_elem(&net_bad, &bad))
            net_consider(a, p, BH_CONTROL_known_bad, BH_NET_BAD);
    }
    if (a->direction == BH_EGRESS && said != NET_ALLOWED && is_metadata(a->address))
        net_consider(a, p, BH_CONTROL_metadata, BH_NET_METADATA);
    if (n && (n->flags & rules)) {
        __u32 control = a->direction == BH_EGRESS ? BH_CONTROL_egress : BH_CONTROL_ingress;
        __u32 deny = a->direction == BH_EGRESS ? BH_NET_EGRESS_DENY : BH_NET_INGRESS_DENY;
        if (said == NET_REFUSED)
            net_consider(a, p, control, BH_NET_LISTED);
        else if (said == NET_SILENT && (n->flags & deny))
            net_consider(a, p, control, a->direction == BH_LISTENING ? BH_NET_LISTEN : BH_NET_DEFAULT);
    }
    net_decide(a, p);
    return 0;
}

/* ---- counting ---- */

static __always_inline bool net_first(__u64 container, __u64 a, __u64 b, __u64 again)
{
    struct net_seen_key k = {.container = container, .a = a, .b = b};
    __u64 now = bpf_ktime_get_boot_ns(), *t = bpf_map_lookup_elem(&net_seen, &k);
    if (t && now - *t < again)
        return false;
    bpf_map_update_elem(&net_seen, &k, &now, BPF_ANY);
    return true;
}

static __always_inline __u32 net_tally(__u64 container, __u64 what, __u64 window)
{
    struct net_count_key k = {.container = container, .what = what};
    __u64 now = bpf_ktime_get_boot_ns();
    struct net_count *c = bpf_map_lookup_elem(&net_counts, &k);
    if (!c) {
        struct net_count one = {.since = now, .n = 1};
        bpf_map_update_elem(&net_counts, &k, &one, BPF_ANY);
        return 1;
    }
    if (now - c->since > window) {
        c->since = now;
        c->n = 0;
    }
    return __sync_fetch_and_add(&c->n, 1) + 1;
}

#define SCAN_WINDOW    (10 * NSEC)
#define SCAN_PORTS     20  /* of one host */
#define SCAN_HOSTS     40  /* on one port */
#define SCAN_HOSTS_WEB 400 /* on 80 and 443: crawlers and proxies are no scanners */

/* Somebody turned to (address, port): is it one of too many? */
static __noinline int net_scan(struct id_key *who, struct net_ask *a)
{
    if (!who || !a)
        return 0;
    const char *id = who->id;
    const __u64 *w = (const void *)a->address;
    __u64 host = w[0] * 31 + w[1], port = (__u64)a->port | (__u64)a->protocol << 16;
    if (a->protocol != IPPROTO_TCP && a->protocol != IPPROTO_UDP)
        return 0;
    if (!net_first(a->hash, host, port, SCAN_WINDOW))
        return 0;
    __u32 ports = net_tally(a->hash, host ^ 1ull << 63, SCAN_WINDOW), hosts = net_tally(a->hash, port, SCAN_WINDOW);
    __u32 most = a->port == 80 || a->port == 443 || a->port == 53 ? SCAN_HOSTS_WEB : SCAN_HOSTS;
    if (a->action == BH_BLOCK || (ports <= SCAN_PORTS && hosts <= most))
        return 0;
    struct bh_policy *p = net_policy(id);
    if (!p)
        return 0;
    net_consider(a, p, BH_CONTROL_scans, ports > SCAN_PORTS ? BH_NET_PORTS : BH_NET_HOSTS);
    a->count = ports > SCAN_PORTS ? ports : hosts;
    net_decide(a, p);
    return 0;
}

/* ---- telling ---- */

static __always_inline void net_peer(struct bh_addr *p, const struct net_ask *a)
{
    bool v4 = is_v4(a->address);
    __builtin_memset(p, 0, sizeof(*p));
    p->family = v4 ? AF_INET : AF_INET6;
    p->port = a->port;
    p->local_port = a->local;
    p->protocol = a->protocol;
    if (v4)
        __builtin_memcpy(p->addr, a->address + 12, 4);
    else
        __builtin_memcpy(p->addr, a->address, 16);
}

/* Fill what the answer says. False: it was told a moment ago. */
static __always_inline bool net_fill(struct scratch *s, struct net_ask *a, __u64 *object, __u64 *object2)
{
    const __u64 *w = (const void *)a->address;
    bool counted = a->control == BH_CONTROL_scans || a->control == BH_CONTROL_tunnels; /* one for all of them */
    struct bh_event *e = &s->ev;
    net_peer(&e->peer, a);
    e->control = a->control;
    e->action = a->action;
    e->mode = a->mode;
    e->known = s->inside == 2;
    e->arg[0] = a->why;
    e->arg[1] = a->count;
    e->arg[2] = a->direction != BH_EGRESS;
    e->why = BH_WHY_CONTROL;
    if (a->action == BH_BLOCK)
        e->would = BH_LEVEL_BLOCK;
    if (a->acts)
        e->acted = BH_LEVEL_BLOCK;
    *object = counted ? 0 : w[0] * 31 + w[1];
    *object2 = a->why << 24 | (counted ? 0 : a->port | a->protocol << 16);
    return novel(s, a->hash, *object, *object2, e->type | a->control << 8 | a->acts << 16, (a->acts ? 10 : 60) * NSEC);
}

/* By the task that calls. */
__noinline int net_tell_task(struct id_key *who, struct net_ask *a, __u32 type)
{
    if (!who || !a)
        return 0;
    const char *id = who->id;
    __u32 slot = 0;
    __u64 object, object2;
    struct scratch *s = scratch_take(&slot);
    if (!s)
        return 0;
    s->inside = 1;
    judge_load(s, id, 0);
    tell_begin(slot, type);
    if (net_fill(s, a, &object, &object2)) {
        tell_exe(s, slot);
        tell_parents(slot);
        if (tell_send(slot, RING_ALERTS))
            novel_undo(a->hash, object, object2, type | a->control << 8 | a->acts << 16);
    }
    scratch_give(slot);
    return 0;
}

/* By a packet: there is no task to look at, only who made the socket. name: `text` of the scratch is told as path. */
__noinline int net_tell_packet(struct net_label *l, struct net_ask *a, __u32 type)
{
    if (!l || !a)
        return 0;
    __u32 slot = 0, zero = 0;
    __u64 object, object2;
    struct scratch *s = scratch_take(&slot);
    if (!s)
        return 0;
    struct bh_event *e = &s->ev;
    struct bh_config *cfg = bpf_map_lookup_elem(&config, &zero);
    s->inside = 1;
    judge_load(s, l->id.id, 0);
    __builtin_memset(&e->size, 0, __builtin_offsetof(struct bh_event, id));
    __builtin_memset(&e->pid, 0,
                     __builtin_offsetof(struct bh_event, parents) - __builtin_offsetof(struct bh_event, pid));
    e->parents_n = 0;
    s->data_n = 0;
    e->layout = BH_LAYOUT;
    e->type = type;
    e->time = bpf_ktime_get_boot_ns();
    e->cpu = bpf_get_smp_processor_id();
    e->tier = cfg ? cfg->tier : 0;
    e->revision = s->policy.revision;
    e->pid = l->pid;
    e->started = l->started;
    __builtin_memcpy(e->comm, l->comm, sizeof(e->comm));
    if (net_fill(s, a, &object, &object2) && tell_send(slot, RING_ALERTS))
        novel_undo(a->hash, object, object2, type | a->control << 8 | a->acts << 16);
    scratch_give(slot);
    return 0;
}

#endif
