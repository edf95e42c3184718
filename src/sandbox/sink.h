/* sink: the network of a sandbox, which leads nowhere and answers everything. In a network namespace of its own every
 * address is local; names get an address of 198.18.0.0/15 (RFC 2544, never routed) each, so that a later connection
 * tells which name it was for; connections are taken, the first bytes kept, HTTP is answered with an empty 200. Nothing
 * leaves: there is no interface but the loopback.
 *
 *     sink_sockets(&fds, e)                      // in the child, inside of the new namespace
 *     sink_open(netns, fds, &sink, e)            // in the parent
 *     while (...) { poll(sink_poll_fds()); sink_serve(sink); }
 */
#ifndef BULKHEAD_SANDBOX_SINK_H
#define BULKHEAD_SANDBOX_SINK_H

#include "base/arena.h"
#include "base/err.h"

enum { SINK_TCP, SINK_UDP, SINK_DNS, SINK_SOCKETS };

struct sink_flow {
    struct str kind;    /* tcp, udp, dns */
    struct str address; /* "1.2.3.4:443"; dns: the name */
    struct str name;    /* that was asked for to get the address; empty */
    struct str head;    /* first bytes that were sent, printable ones */
};

struct sink;
/* Loopback up, all addresses local, and the three sockets. For the first process of the namespace. */
int sink_sockets(int fds[static SINK_SOCKETS], struct err *e);
/* Takes the sockets. */
int sink_open(int netns, const int fds[static SINK_SOCKETS], struct sink **ret, struct err *e);
void sink_close(struct sink *s); /* NULL is fine */
void sink_closep(struct sink **s);
int sink_fd(const struct sink *s); /* an epoll descriptor */
void sink_serve(struct sink *s);   /* all that waits */
size_t sink_flows(const struct sink *s, const struct sink_flow **ret);

/* For the fuzzer and the test: a DNS query -> answer. Returns its length, 0: none. *name: what was asked for. */
size_t sink_dns(const uint8_t *query, size_t n, uint32_t address, uint8_t *answer, size_t max, char name[static 256]);

#endif
