/* What of a container's network lists only this host can tell: its own addresses, those of its peers, and the resolvers
 * whose answers bind names. All of it is the engine's word or the host's file, never what the container could write. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "policy/network.h"
#include "runtime/kernel_isolation.h"

#include <string.h>

#define RESOLV_CONF (64u << 10)

static bool address(struct str text, uint8_t ret[static 16])
{
    struct network_element n;
    if (network_element_parse(text, &n) < 0 || n.kind != NETWORK_CIDR || n.bits != 128 || n.to != 65535)
        return false;
    memcpy(ret, n.address, 16);
    return true;
}

static bool is_peer(const struct container *c, struct str who)
{
    struct str key, value;
    if (!str_split(who, '=', &key, &value))
        return c->s.name.n && str_glob(who, c->s.name, true);
    const struct json_value *label = c->s.labels ? json_get(c->s.labels, arena_cstr(c->a, key)) : NULL;
    return label && str_glob(value, json_str(label), true);
}

/* Addresses of the containers that run here and are meant by `who`. */
static size_t peer(void *ctx, struct str who, uint8_t (*ret)[16], size_t max)
{
    struct agent *g = ctx;
    size_t n = 0;
    for (struct container *c = NULL; (c = containers_next(g->containers, c));)
        for (size_t i = 0; c->running && !c->removed && n < max && i < c->s.addresses_n && is_peer(c, who); i++)
            n += address(c->s.addresses[i], ret[n]);
    return n;
}

/* Addresses of the nameserver lines of a resolv.conf; views into text. */
static size_t nameservers(struct str text, struct str *ret, size_t max)
{
    struct str line;
    size_t n = 0;
    while (n < max && str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (!str_starts(line, STR("nameserver")) || line.n < 12 || (line.p[10] != ' ' && line.p[10] != '\t'))
            continue;
        struct str one = str_trim(str_sub(line, 10, line.n));
        uint8_t a[16];
        if (address(one, a))
            ret[n++] = one;
    }
    return n;
}

static bool add(struct kernel_network *n, uint8_t (*v)[16], struct str text)
{
    if (n->resolvers_n == BH_RESOLVERS || !address(text, v[n->resolvers_n]))
        return false;
    for (size_t i = 0; i < n->resolvers_n; i++)
        if (!memcmp(v[i], v[n->resolvers_n], 16))
            return false;
    n->resolvers_n++;
    return true;
}

/* Docker's own resolver, what the container was made with, what the host has (and engines hand on), what engines take
 * when the host's cannot be reached from a container. */
static void resolvers(struct arena *a, const struct container *c, struct kernel_network *ret)
{
    static const char *const files[] = {"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"};
    uint8_t(*v)[16] = arena_array(a, BH_RESOLVERS, sizeof(*v));
    struct str found[BH_RESOLVERS], text;
    bool reachable = c->s.resolvers_n > 0;
    add(ret, v, STR("127.0.0.11"));
    for (size_t i = 0; i < c->s.resolvers_n; i++)
        add(ret, v, c->s.resolvers[i]);
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        if (fs_read(a, files[f], RESOLV_CONF, &text, NULL) < 0)
            continue;
        size_t n = nameservers(text, found, BH_RESOLVERS);
        for (size_t i = 0; i < n; i++)
            if (add(ret, v, found[i]))
                reachable = reachable || !str_starts(found[i], STR("127."));
    }
    if (!reachable) {
        add(ret, v, STR("8.8.8.8"));
        add(ret, v, STR("8.8.4.4"));
    }
    ret->resolvers = (const uint8_t(*)[16])v;
}

void network_here(struct agent *g, struct arena *a, const struct container *c, struct kernel_network *ret)
{
    uint8_t(*own)[16] = arena_array(a, c->s.addresses_n + 1, sizeof(*own));
    *ret = (struct kernel_network){.peer = peer, .ctx = g, .own = (const uint8_t(*)[16])own};
    for (size_t i = 0; i < c->s.addresses_n; i++)
        ret->own_n += address(c->s.addresses[i], own[ret->own_n]);
    resolvers(a, c, ret);
}

int network_isolation(struct agent *g, struct arena *a, const struct container *c, const struct container_policy *p,
                      struct err *e)
{
    struct str *v = arena_array(a, containers_count(g->containers) + 1, sizeof(*v));
    size_t n = 0;
    for (struct container *o = NULL; (o = containers_next(g->containers, o));)
        for (size_t i = 0; o != c && !o->removed && o->s.id.n == BH_ID && i < p->isolation_allow_n; i++)
            if (is_peer(o, p->isolation_allow[i])) {
                v[n++] = o->s.id;
                break;
            }
    int r = kernel_isolation_put(g->config.bpf_dir, c->s.id, v, n, e);
    return r == -ENOENT ? 0 : r; /* no isolation here: there is nothing to except */
}

static bool names_peers(const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_starts(v[i], STR("peer:")))
            return true;
    return false;
}

bool network_names_peers(const struct container_policy *p)
{
    return names_peers(p->egress.allow, p->egress.allow_n) || names_peers(p->egress.deny, p->egress.deny_n) ||
           p->isolation_allow_n || names_peers(p->ingress.allow, p->ingress.allow_n) ||
           names_peers(p->ingress.deny, p->ingress.deny_n);
}

void network_moved(struct agent *g, const struct container *moved)
{
    for (struct container *c = NULL; (c = containers_next(g->containers, c));)
        if (c != moved && !c->removed && c->force.peers)
            force_container(g, c);
}
