/* network: one element of a network list, as policies write it and as the kernel's tables are made of it.
 *
 *     CIDR[:PORT[-PORT]][/PROTO]        10.0.0.0/8:5432/tcp  192.0.2.7  [2001:db8::/32]:443  10.0.0.1:1000-2000
 *     dns:NAME[:PORT[-PORT]][/PROTO]    dns:api.example:443  dns:*.example   (* stands for one or more labels)
 *     peer:WHO[:PORT[-PORT]][/PROTO]    peer:db-*:5432  peer:app=db   other containers of this host, by name or label
 *
 * PROTO is tcp, udp, sctp or icmp; without it any. In egress the port is the one connected to, in ingress the local
 * one. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d, so one comparison serves both.
 */
#ifndef BULKHEAD_POLICY_NETWORK_H
#define BULKHEAD_POLICY_NETWORK_H

#include "base/str.h"

enum network_kind { NETWORK_CIDR, NETWORK_DNS, NETWORK_PEER };
struct network_element {
    enum network_kind kind;
    uint8_t address[16]; /* CIDR; bits behind the prefix are 0 */
    unsigned bits;       /* of 128: 96 more than written for IPv4 */
    struct str name;     /* DNS without the dot at its end; PEER: a name with * and ?, or KEY=VALUE of a label */
    uint16_t from, to;   /* ports; 0 and 65535: any */
    uint8_t protocol;    /* IPPROTO_*; 0 any */
};

int network_element_parse(struct str s, struct network_element *ret); /* -EINVAL */
/* All that `in` describes is described by `by` too. */
bool network_element_covers(const struct network_element *by, const struct network_element *in);

#endif
