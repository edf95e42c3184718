/* network: what the network programs and user space share besides event.h: lists of a container, names, cuts.
 *
 * The settings (off, alert, block) and the mode are in struct bh_policy; this is what they are about. Addresses are 16
 * bytes, IPv4 as ::ffff:a.b.c.d; ports are in host order. A container's lists are one trie of its own behind
 * `net_rules`; an entry carries the ranges of every list element that covers it, so the longest match is the whole
 * answer. The id of 64 NULs is the host default.
 */
#ifndef BULKHEAD_BPF_NETWORK_H
#define BULKHEAD_BPF_NETWORK_H

#include "event.h"

#define BH_RANGES    24   /* elements that may cover one address */
#define BH_RULES     8192 /* entries of one container's trie */
#define BH_NAMES     64   /* dns: elements of one container */
#define BH_NAME      120  /* longest DNS name that is looked up */
#define BH_RESOLVERS 4
#define BH_BAD       65536

enum bh_direction { BH_EGRESS, BH_INGRESS, BH_LISTENING }; /* LISTENING: may a TCP port be bound at all */

struct bh_range {
    __u16 from, to;
    __u8 protocol; /* 0: any */
    __u8 deny;
};
struct bh_rule_key { /* LPM: prefixlen counts from `direction` on */
    __u32 prefixlen;
    __u8 direction;
    __u8 address[16];
    __u8 pad[3];
};
struct bh_rule {
    __u32 n;
    struct bh_range range[BH_RANGES];
};
struct bh_name_key { /* LPM: the name backwards, lower case; an exact one ends in NUL, one with * in front in '.' */
    __u32 prefixlen;
    char name[BH_NAME];
};
struct bh_name {
    __u64 mask; /* of bh_net.names */
};

enum bh_net_flags {
    BH_NET_EGRESS = 1 << 0,      /* there are rules for it */
    BH_NET_EGRESS_DENY = 1 << 1, /* what no rule allows is denied */
    BH_NET_INGRESS = 1 << 2,
    BH_NET_INGRESS_DENY = 1 << 3,
};
struct bh_net {
    __u32 flags;
    __u32 names_n;
    __u32 resolvers_n;
    __u32 pad;
    __u8 resolver[BH_RESOLVERS][16];
    struct bh_range names[BH_NAMES]; /* what a name stands for */
};

/* An address that the resolver gave for one of the names. */
struct bh_bound_key {
    __u64 container; /* hash of its id */
    __u8 address[16];
};
struct bh_bound {
    __u64 mask;
    __u64 until; /* ns of boot time */
};

/* Why a control of the network fired: arg[0]. */
enum bh_net_why {
    BH_NET_DEFAULT = 1, /* nothing allows it */
    BH_NET_LISTED,      /* a deny element */
    BH_NET_CUT,         /* the container is cut off */
    BH_NET_BAD,         /* on the list of bad addresses */
    BH_NET_METADATA,
    BH_NET_FORGED,       /* an answer in the name of the resolver */
    BH_NET_PORTS,        /* arg[1] ports of one host in ten seconds */
    BH_NET_HOSTS,        /* arg[1] hosts on one port in ten seconds */
    BH_NET_DNS_DATA,     /* arg[1] long names never seen before in a minute */
    BH_NET_STRATUM,      /* payload of a mining protocol */
    BH_NET_SHELL_SOCKET, /* a shell whose input or output is a socket */
    BH_NET_SHELL_RELAY,  /* ... is a pipe, socket pair or terminal that an ancestor with a connection feeds */
    BH_NET_LISTEN,       /* no rule lets anybody reach this port */
};
enum bh_ipc { BH_IPC_UNIX = 1, BH_IPC_SHM, BH_IPC_VM_READ };

#endif
