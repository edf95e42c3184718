/* The namespace: loopback up, and a local route to everything (ip route add local default dev lo). */
#include "base/cleanup.h"
#include "sandbox/sink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct route {
    struct nlmsghdr h;
    struct rtmsg rt;
    struct rtattr out; /* RTA_OIF */
    uint32_t index;
};

static int add_route(int fd, int family, struct err *e)
{
    struct route m = {
        .h = {.nlmsg_len = sizeof(m),
              .nlmsg_type = RTM_NEWROUTE,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK},
        .rt = {.rtm_family = (unsigned char)family,
               .rtm_table = RT_TABLE_LOCAL,
               .rtm_protocol = RTPROT_BOOT,
               .rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
               .rtm_type = RTN_LOCAL},
        .out = {.rta_len = RTA_LENGTH(4), .rta_type = RTA_OIF},
        .index = if_nametoindex("lo"),
    };
    struct {
        struct nlmsghdr h;
        struct nlmsgerr error;
        char rest[256];
    } answer;
    if (send(fd, &m, sizeof(m), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.h))
        return err_errno(e, "netlink");
    if (answer.h.nlmsg_type == NLMSG_ERROR && answer.error.error)
        return err_set(e, -answer.error.error, "a local route to everything: %s", strerror(-answer.error.error));
    return 0;
}

static int loopback_up(struct err *e)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
        return err_errno(e, "loopback");
    return 0;
}

/* One socket for both families. Its own port does not matter but for DNS, whose answers must come from 53. */
static int listener(int type, uint16_t port, int *ret, struct err *e)
{
    int off = 0, on = 1;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    _cleanup_close_ int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
        (type == SOCK_DGRAM && (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0 ||
                                setsockopt(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &on, sizeof(on)) < 0)) ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || (type == SOCK_STREAM && listen(fd, 256) < 0))
        return err_errno(e, "sink");
    *ret = TAKE_FD(fd);
    return 0;
}

int sink_sockets(int fds[static SINK_SOCKETS], struct err *e)
{
    _cleanup_close_ int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int r;
    if (nl < 0)
        return err_errno(e, "netlink");
    if ((r = loopback_up(e)) < 0 || (r = add_route(nl, AF_INET, e)) < 0)
        return r;
    add_route(nl, AF_INET6, NULL); /* a kernel without IPv6 has nothing to lead away */
    if ((r = listener(SOCK_STREAM, 65001, &fds[SINK_TCP], e)) < 0 ||
        (r = listener(SOCK_DGRAM, 65001, &fds[SINK_UDP], e)) < 0 ||
        (r = listener(SOCK_DGRAM, 53, &fds[SINK_DNS], e)) < 0)
        return r;
    return 0;
}
