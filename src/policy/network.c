#include "policy/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static int ports(struct str s, struct network_element *n)
{
    struct str from, to;
    uint64_t a, b;
    if (!str_split(s, '-', &from, &to))
        to = from;
    if (str_u64(from, &a) < 0 || str_u64(to, &b) < 0 || a < 1 || a > b || b > 65535)
        return -EINVAL;
    n->from = (uint16_t)a;
    n->to = (uint16_t)b;
    return 0;
}

static int prefix(struct str s, bool v6, unsigned *ret)
{
    uint64_t bits;
    if (str_u64(s, &bits) < 0 || bits > (v6 ? 128 : 32))
        return -EINVAL;
    *ret = (unsigned)bits + (v6 ? 0 : 96);
    return 0;
}

static struct str take_protocol(struct str s, struct network_element *n)
{
    static const struct {
        const char *name;
        uint8_t number;
    } known[] = {{"/tcp", IPPROTO_TCP}, {"/udp", IPPROTO_UDP}, {"/sctp", IPPROTO_SCTP}, {"/icmp", IPPROTO_ICMP}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (str_ends(s, str_c(known[i].name))) {
            n->protocol = known[i].number;
            s.n -= strlen(known[i].name);
            break;
        }
    return s;
}

/* NAME[:PORT[-PORT]]; `also` are the bytes a name may have besides letters, digits and "-._*". */
static int named(struct str s, const char *also, struct network_element *n)
{
    struct str rest;
    bool port = str_split(s, ':', &n->name, &rest);
    if (!port)
        n->name = s;
    for (size_t i = 0; i < n->name.n; i++) {
        char c = n->name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !strchr("-._*", c) && !strchr(also, c))
            return -EINVAL;
    }
    if (n->name.n && n->name.p[n->name.n - 1] == '.')
        n->name.n--;
    return !n->name.n || n->name.n > 253 ? -EINVAL : port ? ports(rest, n) : 0;
}

/* The kernel looks names up from their end: * can only stand for the labels in front. */
static bool dns_name(struct str s)
{
    ptrdiff_t star = str_chr(s, '*');
    return star < 0 || (star == 0 && (s.n == 1 || (s.p[1] == '.' && str_chr(str_sub(s, 1, s.n), '*') < 0)));
}

static int cidr(struct str s, struct network_element *n)
{
    struct str left = s, rest = STR_NONE, bits;
    bool v6 = true;
    char text[64];
    int r = 0;
    if (s.n && s.p[0] == '[') {
        if (!str_split(str_sub(s, 1, s.n), ']', &left, &rest))
            return -EINVAL;
        if (str_split(left, '/', &left, &bits) && (r = prefix(bits, true, &n->bits)) < 0)
            return r;
        if (left.n + 2 == s.n - rest.n)
            n->bits = 128;
    } else if (str_chr(s, ':') != str_rchr(s, ':')) { /* IPv6 without brackets has no port */
        n->bits = 128;
        if (str_split(s, '/', &left, &bits) && (r = prefix(bits, true, &n->bits)) < 0)
            return r;
    } else {
        v6 = false;
        n->bits = 128;
        struct str port;
        if (str_split(s, ':', &left, &port) && (r = ports(port, n)) < 0)
            return r;
        struct str address = left;
        if (str_split(left, '/', &address, &bits)) {
            if ((r = prefix(bits, false, &n->bits)) < 0)
                return r;
            left = address;
        }
    }
    if (left.n >= sizeof(text))
        return -EINVAL;
    memcpy(text, left.p, left.n);
    text[left.n] = '\0';
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, v6 ? n->address : n->address + 12) != 1)
        return -EINVAL;
    if (!v6)
        n->address[10] = n->address[11] = 0xff;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = n->bits <= 8 * i ? 0 : n->bits - 8 * i >= 8 ? 8 : n->bits - 8 * i;
        n->address[i] &= (uint8_t)(0xff << (8 - keep));
    }
    if (rest.n && rest.p[0] == '/') { /* [ADDRESS]/BITS[:PORT], as [ADDRESS/BITS]:PORT */
        struct str all = str_sub(rest, 1, rest.n);
        if (!str_split(all, ':', &bits, &rest)) {
            bits = all;
            rest = STR_NONE;
        } else {
            rest = str_n(rest.p - 1, rest.n + 1);
        }
        if ((r = prefix(bits, true, &n->bits)) < 0)
            return r;
    }
    if (rest.n)
        r = rest.p[0] == ':' ? ports(str_sub(rest, 1, rest.n), n) : -EINVAL;
    return r;
}

int network_element_parse(struct str s, struct network_element *ret)
{
    struct network_element n = {.to = 65535};
    s = take_protocol(s, &n);
    int r;
    if (str_starts(s, STR("dns:"))) {
        n.kind = NETWORK_DNS;
        r = named(str_sub(s, 4, s.n), "", &n);
        if (r == 0 && !dns_name(n.name))
            r = -EINVAL;
    } else if (str_starts(s, STR("peer:"))) {
        n.kind = NETWORK_PEER;
        r = named(str_sub(s, 5, s.n), "=?/", &n);
    } else {
        r = cidr(s, &n);
    }
    if (r == 0)
        *ret = n;
    return r;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return !memcmp(a, b, whole) && (!rest || !((a[whole] ^ b[whole]) >> (8 - rest)));
}

bool network_element_covers(const struct network_element *by, const struct network_element *in)
{
    if (by->kind != in->kind || by->from > in->from || by->to < in->to ||
        (by->protocol && by->protocol != in->protocol))
        return false;
    switch (by->kind) {
    case NETWORK_CIDR:
        return by->bits <= in->bits && same_prefix(by->address, in->address, by->bits);
    case NETWORK_DNS:
        return str_eq(by->name, in->name) ||
               (by->name.p[0] == '*' && str_ends(in->name, str_sub(by->name, 1, by->name.n)));
    case NETWORK_PEER:
        return str_eq(by->name, in->name) || str_glob(by->name, in->name, true);
    }
    return false;
}
