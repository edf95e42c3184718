#include "runtime/kernel_network.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"
#include "policy/network.h"
#include "runtime/pin.h"
#include "runtime/sensor.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <stdio.h>

#define PEER_MAX 64 /* addresses of one peer: element */
#define ELEMENTS 4096u

/* A peer: element that lets in is there itself, besides the addresses it stands for: its ports are bound before the
 * peer comes. */
struct element {
    struct network_element n;
    uint8_t direction;
    bool deny;
    bool own; /* an address of the container itself: no reason to let others in */
};

struct build {
    struct arena *a;
    struct element *v;
    size_t n, cap;
    struct bh_net net;
    struct bh_name_key names[BH_NAMES];
    struct network_element name_of[BH_NAMES];
    struct str **notices;
    size_t *notices_n;
};

static void notice(struct build *b, struct str what)
{
    if (!b->notices)
        return;
    struct str *v = arena_array(b->a, *b->notices_n + 1, sizeof(*v));
    if (*b->notices_n)
        memcpy(v, *b->notices, *b->notices_n * sizeof(*v));
    v[(*b->notices_n)++] = what;
    *b->notices = v;
}

static void add(struct build *b, const struct network_element *n, uint8_t direction, bool deny)
{
    b->v = arena_grow(b->a, b->v, b->n, &b->cap, sizeof(*b->v));
    b->v[b->n++] = (struct element){.n = *n, .direction = direction, .deny = deny};
}

static void add_address(struct build *b, const uint8_t address[16], const struct network_element *like,
                        uint8_t direction, bool deny)
{
    struct network_element n = *like;
    n.kind = NETWORK_CIDR;
    n.bits = 128;
    memcpy(n.address, address, 16);
    add(b, &n, direction, deny);
}

static void add_name(struct build *b, struct str text, const struct network_element *n, bool deny)
{
    if (b->net.names_n == BH_NAMES) {
        notice(b, arena_strf(b->a, "network.egress: '" STR_FMT "' is one name more than the %d the kernel compares",
                             STR_ARG(text), BH_NAMES));
        return;
    }
    uint32_t i = b->net.names_n++;
    b->net.names[i] = (struct bh_range){.from = n->from, .to = n->to, .protocol = n->protocol, .deny = deny};
    b->name_of[i] = *n;
    /* backwards and lower case; "*.example" is the prefix of all that ends in ".example" */
    bool any = n->name.p[0] == '*';
    struct str s = any ? str_sub(n->name, 1, n->name.n) : n->name;
    struct bh_name_key *k = &b->names[i];
    for (size_t c = 0; c < s.n && c < BH_NAME - 1; c++) {
        char x = s.p[s.n - 1 - c];
        k->name[c] = x >= 'A' && x <= 'Z' ? (char)(x + 32) : x;
    }
    k->prefixlen = (uint32_t)(8 * (s.n + (any ? 0 : 1)));
}

static void add_list(struct build *b, const struct kernel_network *x, const struct str *v, size_t n, uint8_t direction,
                     bool deny)
{
    uint8_t found[PEER_MAX][16];
    for (size_t i = 0; i < n; i++) {
        struct network_element el;
        if (network_element_parse(v[i], &el) < 0)
            continue; /* refused when the policy was read */
        size_t peers = 0;
        switch (el.kind) {
        case NETWORK_CIDR:
            add(b, &el, direction, deny);
            break;
        case NETWORK_DNS:
            if (direction == BH_EGRESS)
                add_name(b, v[i], &el, deny);
            else
                notice(b, arena_strf(b->a, "network.ingress: '" STR_FMT "': who comes in has an address, no name",
                                     STR_ARG(v[i])));
            break;
        case NETWORK_PEER:
            if (x && x->peer)
                peers = x->peer(x->ctx, el.name, found, PEER_MAX);
            if (peers == PEER_MAX)
                notice(b, arena_strf(b->a, "network: '" STR_FMT "': of more than %d addresses the rest is not compared",
                                     STR_ARG(v[i]), PEER_MAX - 1));
            if (direction == BH_INGRESS && !deny)
                add(b, &el, direction, deny);
            for (size_t k = 0; k < peers; k++)
                add_address(b, found[k], &el, direction, deny);
            break;
        }
    }
}

static void add_side(struct build *b, const struct kernel_network *x, const struct network_side *s, uint8_t direction)
{
    static const struct network_element any = {.to = 65535};
    bool learned = x && x->learned && !s->given;
    const struct str *more = x ? direction == BH_EGRESS ? x->egress : x->ingress : NULL;
    size_t more_n = x ? direction == BH_EGRESS ? x->egress_n : x->ingress_n : 0;
    if (!s->given && !learned)
        return;
    b->net.flags |= direction == BH_EGRESS ? BH_NET_EGRESS : BH_NET_INGRESS;
    if (s->deny_default || learned)
        b->net.flags |= direction == BH_EGRESS ? BH_NET_EGRESS_DENY : BH_NET_INGRESS_DENY;
    add_list(b, x, s->deny, s->deny_n, direction, true);
    add_list(b, x, s->allow, s->allow_n, direction, false);
    if (learned)
        add_list(b, x, more, more_n, direction, false);
    for (size_t i = 0; x && i < x->own_n; i++) {
        add_address(b, x->own[i], &any, direction, false);
        b->v[b->n - 1].own = true;
    }
}

static bool covers(const struct network_element *by, const uint8_t *address, unsigned bits)
{
    struct network_element one = {.bits = bits, .from = 1, .to = 1}, wide = *by;
    memcpy(one.address, address, 16);
    wide.from = 0;
    wide.to = 65535;
    wide.protocol = 0;
    return network_element_covers(&wide, &one);
}

static void range_add(struct build *b, struct bh_rule *r, const struct element *el)
{
    struct bh_range x = {.from = el->n.from, .to = el->n.to, .protocol = el->n.protocol, .deny = el->deny};
    if (r->n == BH_RANGES)
        notice(b, STR("network: more than 24 elements cover one address; of these only the first 24 are compared, "
                      "denies first"));
    else
        r->range[r->n++] = x;
}

/* All ports that somebody may reach over TCP, for bind. */
static void listening(struct build *b, struct bh_rule *r)
{
    *r = (struct bh_rule){0};
    for (size_t i = 0; i < b->n; i++) {
        const struct element *el = &b->v[i];
        if (el->direction != BH_INGRESS || el->deny || el->own || (el->n.protocol && el->n.protocol != IPPROTO_TCP))
            continue;
        if (r->n == BH_RANGES) {
            *r = (struct bh_rule){.n = 1, .range = {{.to = 65535}}};
            return;
        }
        r->range[r->n++] = (struct bh_range){.from = el->n.from, .to = el->n.to, .protocol = el->n.protocol};
    }
}

static int new_trie(const char *name, size_t key, size_t value, uint32_t entries, struct err *e)
{
    LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_NO_PREALLOC);
    int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, name, (uint32_t)key, (uint32_t)value, entries, &o);
    return fd < 0 ? err_errno(e, "a table of network rules") : fd;
}

static int rules_trie(struct build *b, struct err *e)
{
    int fd = new_trie("net_trie", sizeof(struct bh_rule_key), sizeof(struct bh_rule), BH_RULES, e);
    if (fd < 0)
        return fd;
    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i].n.kind == NETWORK_PEER)
            continue;
        struct bh_rule_key k = {.direction = b->v[i].direction, .prefixlen = 8 + b->v[i].n.bits};
        memcpy(k.address, b->v[i].n.address, 16);
        struct bh_rule r = {0};
        for (int deny = 1; deny >= 0; deny--)
            for (size_t j = 0; j < b->n; j++)
                if (b->v[j].n.kind == NETWORK_CIDR && b->v[j].direction == b->v[i].direction && b->v[j].deny == deny &&
                    covers(&b->v[j].n, b->v[i].n.address, b->v[i].n.bits))
                    range_add(b, &r, &b->v[j]);
        if (bpf_map_update_elem(fd, &k, &r, BPF_ANY) < 0) {
            int rc = err_errno(e, "network rules");
            close(fd);
            return rc;
        }
    }
    struct bh_rule_key k = {.direction = BH_LISTENING, .prefixlen = 8};
    struct bh_rule r;
    listening(b, &r);
    if (bpf_map_update_elem(fd, &k, &r, BPF_ANY) < 0) {
        int rc = err_errno(e, "network rules");
        close(fd);
        return rc;
    }
    return fd;
}

static int names_trie(struct build *b, struct err *e)
{
    int fd = new_trie("net_name_trie", sizeof(struct bh_name_key), sizeof(struct bh_name), 2 * BH_NAMES, e);
    for (uint32_t i = 0; fd >= 0 && i < b->net.names_n; i++) {
        struct bh_name v = {0};
        for (uint32_t j = 0; j < b->net.names_n; j++) /* which names is this one one of? */
            if (b->names[j].prefixlen <= b->names[i].prefixlen &&
                !memcmp(b->names[j].name, b->names[i].name, b->names[j].prefixlen / 8))
                v.mask |= UINT64_C(1) << j;
        if (bpf_map_update_elem(fd, &b->names[i], &v, BPF_ANY) < 0) {
            int rc = err_errno(e, "names of network rules");
            close(fd);
            return rc;
        }
    }
    return fd;
}

/* ---- pins ---- */

static int open_map(const char *bpf_dir, const char *name, size_t key, size_t value, int *ret, struct err *e)
{
    return pin_map(bpf_dir ? bpf_dir : SENSOR_BPF_DIR, name, key, value, ret, e);
}

static int raise_generation(const char *bpf_dir, struct err *e)
{
    _cleanup_close_ int fd = -1;
    uint32_t zero = 0;
    uint64_t now = (uint64_t)time_monotonic();
    int r = open_map(bpf_dir, "net_generation", 4, 8, &fd, e);
    if (r == 0 && bpf_map_update_elem(fd, &zero, &now, BPF_ANY) < 0)
        r = err_errno(e, "generation of the network rules");
    return r;
}

static int put_inner(const char *bpf_dir, const char *map, const char *id, int inner, struct err *e)
{
    _cleanup_close_ int fd = -1;
    int r = open_map(bpf_dir, map, BH_ID, 4, &fd, e);
    if (r == 0 && inner >= 0 && bpf_map_update_elem(fd, id, &inner, BPF_ANY) < 0)
        r = err_errno(e, "map %s", map);
    if (r == 0 && inner < 0 && bpf_map_delete_elem(fd, id) < 0 && errno != ENOENT)
        r = err_errno(e, "map %s", map);
    return r;
}

/* Who does not know them (bulkhead-runc) leaves those that are there. */
static void set_resolvers(struct build *b, int nets, const char *id, const struct kernel_network *x)
{
    struct bh_net old;
    if ((!x || !x->resolvers_n) && bpf_map_lookup_elem(nets, id, &old) == 0 && old.resolvers_n) {
        b->net.resolvers_n = old.resolvers_n;
        memcpy(b->net.resolver, old.resolver, sizeof(old.resolver));
        return;
    }
    for (size_t i = 0; x && i < x->resolvers_n && i < BH_RESOLVERS; i++)
        memcpy(b->net.resolver[b->net.resolvers_n++], x->resolvers[i], 16);
}

int kernel_network_put(struct arena *a, const char *bpf_dir, const char *id, const struct container_policy *p,
                       const struct kernel_network *x, struct str **notices, size_t *notices_n, struct err *e)
{
    struct build *b = arena_alloc(a, sizeof(*b));
    *b = (struct build){.a = a, .notices = notices, .notices_n = notices_n};
    _cleanup_close_ int nets = -1, rules = -1, names = -1;
    int r;
    add_side(b, x, &p->egress, BH_EGRESS);
    add_side(b, x, &p->ingress, BH_INGRESS);
    if (b->n > ELEMENTS)
        return err_set(e, E2BIG, "network: %zu addresses and ranges are more than %u", b->n, ELEMENTS);
    if ((r = open_map(bpf_dir, "net_policies", BH_ID, sizeof(struct bh_net), &nets, e)) < 0)
        return r;
    set_resolvers(b, nets, id, x);
    static const struct network_element dns = {.from = 53, .to = 53};
    for (uint32_t i = 0; b->net.names_n && i < b->net.resolvers_n; i++)
        add_address(b, b->net.resolver[i], &dns, BH_EGRESS, false);
    if (b->net.names_n && !b->net.resolvers_n)
        notice(b, STR("network.egress: dns: elements, but no resolver is known whose answers could be believed"));
    if (b->net.flags && ((r = rules = rules_trie(b, e)) < 0 || (r = names = names_trie(b, e)) < 0))
        return r;
    if ((r = put_inner(bpf_dir, "net_rules", id, rules, e)) < 0 ||
        (r = put_inner(bpf_dir, "net_names", id, names, e)) < 0)
        return r;
    if (bpf_map_update_elem(nets, id, &b->net, BPF_ANY) < 0)
        return err_errno(e, "map net_policies");
    return raise_generation(bpf_dir, e);
}

int kernel_network_del(const char *bpf_dir, const char *id, struct err *e)
{
    static const char *const maps[] = {"net_rules", "net_names", "net_policies", "net_cuts"};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        _cleanup_close_ int fd = -1;
        int r = open_map(bpf_dir, maps[i], 0, 0, &fd, e);
        if (r < 0)
            return r;
        if (bpf_map_delete_elem(fd, id) < 0 && errno != ENOENT)
            return err_errno(e, "map %s", maps[i]);
    }
    return 0;
}

static int id_check(struct str id, struct err *e)
{
    return id.n == BH_ID ? 0 : err_set(e, EINVAL, "not a container id: '" STR_FMT "'", STR_ARG(id));
}

int kernel_network_get(const char *bpf_dir, struct str id, struct bh_net *ret, struct err *e)
{
    _cleanup_close_ int fd = -1;
    int r = id_check(id, e);
    if (r == 0 && (r = open_map(bpf_dir, "net_policies", BH_ID, sizeof(*ret), &fd, e)) == 0 &&
        bpf_map_lookup_elem(fd, id.p, ret) < 0)
        r = err_set(e, ENOENT, "container " STR_FMT " has no network rules", STR_ARG(id));
    return r;
}

int kernel_network_cut(const char *bpf_dir, struct str id, bool cut, struct err *e)
{
    _cleanup_close_ int fd = -1;
    uint32_t one = 1;
    int r = id_check(id, e);
    if (r < 0 || (r = open_map(bpf_dir, "net_cuts", BH_ID, 4, &fd, e)) < 0)
        return r;
    if (cut ? bpf_map_update_elem(fd, id.p, &one, BPF_ANY) < 0 : bpf_map_delete_elem(fd, id.p) < 0 && errno != ENOENT)
        return err_errno(e, "map net_cuts");
    return raise_generation(bpf_dir, e);
}

bool kernel_network_is_cut(const char *bpf_dir, struct str id)
{
    _cleanup_close_ int fd = -1;
    uint32_t v;
    return id.n == BH_ID && open_map(bpf_dir, "net_cuts", BH_ID, 4, &fd, NULL) == 0 &&
           bpf_map_lookup_elem(fd, id.p, &v) == 0;
}

/* ---- known bad addresses ---- */

struct bad_key {
    uint32_t prefixlen;
    uint8_t address[16];
};

static int parse_bad(struct arena *a, struct str text, struct bad_key **ret, size_t *ret_n, struct err *e)
{
    struct bad_key *v = NULL;
    size_t n = 0, cap = 0, number = 0;
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        struct network_element el;
        ptrdiff_t hash = str_chr(line, '#');
        number++;
        line = str_trim(hash < 0 ? line : str_sub(line, 0, (size_t)hash));
        if (!line.n)
            continue;
        if (network_element_parse(line, &el) < 0 || el.kind != NETWORK_CIDR || el.to != 65535 || el.protocol)
            return err_set(e, EINVAL, "line %zu: '" STR_FMT "' is no address and no range of addresses", number,
                           STR_ARG(str_sub(line, 0, 80)));
        if (n == BH_BAD)
            return err_set(e, E2BIG, "more than %d addresses", BH_BAD);
        v = arena_grow(a, v, n, &cap, sizeof(*v));
        v[n] = (struct bad_key){.prefixlen = el.bits};
        memcpy(v[n++].address, el.address, 16);
    }
    *ret = v;
    *ret_n = n;
    return 0;
}

int kernel_network_bad(const char *bpf_dir, struct str text, size_t *count, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    _cleanup_close_ int fd = -1;
    struct bad_key *v = NULL, at, next;
    size_t n = 0;
    uint32_t one = 1, two = 2, mark;
    int r = parse_bad(a, text, &v, &n, e);
    if (r < 0 || (r = open_map(bpf_dir, "net_bad", sizeof(struct bad_key), 4, &fd, e)) < 0)
        return r;
    /* marked with the other number than what is there, so that afterwards the old ones are known */
    if (bpf_map_get_next_key(fd, NULL, &next) == 0 && bpf_map_lookup_elem(fd, &next, &mark) == 0 && mark == 1)
        one = 2, two = 1;
    for (size_t i = 0; i < n; i++)
        if (bpf_map_update_elem(fd, &v[i], &one, BPF_ANY) < 0)
            return errno == ENOSPC ? err_set(e, E2BIG, "more than %d addresses", BH_BAD) : err_errno(e, "map net_bad");
    void *from = NULL;
    while (bpf_map_get_next_key(fd, from, &next) == 0) {
        at = next;
        from = &at;
        if (bpf_map_lookup_elem(fd, &at, &mark) == 0 && mark == two) {
            bpf_map_delete_elem(fd, &at);
            from = NULL;
        }
    }
    *count = n;
    return raise_generation(bpf_dir, e);
}
