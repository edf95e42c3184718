#include "sandbox/sink.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/object.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <ctype.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define FLOWS_MAX 2000u
#define CONNS_MAX 256u
#define HEAD_MAX  256u
#define NAMES_MAX 4096u
#define FIRST     0xc6120001u /* 198.18.0.1 */

struct conn {
    int fd;
    size_t flow;
    bool answered;
};

struct sink {
    struct arena *a;
    int fds[SINK_SOCKETS], epoll;
    struct bpf_object *obj;
    struct bpf_link *link;
    struct sink_flow *flows;
    size_t flows_n, flows_cap;
    struct conn conns[CONNS_MAX];
    size_t conns_n;
    struct str *names; /* the i-th has the address FIRST + i */
    size_t names_n, names_cap;
};

/* ---- DNS (RFC 1035) ---- */

size_t sink_dns(const uint8_t *query, size_t n, uint32_t address, uint8_t *answer, size_t max, char name[static 256])
{
    size_t at = 12, out = 0;
    name[0] = 0;
    if (n < 17 || (query[2] & 0x80) || query[4] || query[5] != 1)
        return 0;
    while (at < n && query[at]) {
        size_t len = query[at++];
        if (len > 63 || at + len >= n || out + len + 2 > 255)
            return 0;
        for (size_t i = 0; i < len; i++)
            name[out++] = isgraph(query[at + i]) ? (char)query[at + i] : '?';
        name[out++] = '.';
        at += len;
    }
    if (out == 0 || at + 5 > n)
        return 0;
    name[out - 1] = 0;
    bool v4 = query[at + 1] == 0 && query[at + 2] == 1;
    size_t question = at + 5;
    if (question + 16 > max)
        return 0;
    memcpy(answer, query, question);
    answer[2] = 0x84 | (query[2] & 1); /* response, authoritative */
    answer[3] = 0x80;                  /* recursion available, no error */
    answer[6] = 0;
    answer[7] = v4; /* other types: there is a name, but nothing of that kind */
    memset(answer + 8, 0, 4);
    if (!v4)
        return question;
    static const uint8_t record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    uint32_t ip = htonl(address);
    memcpy(answer + question, record, sizeof(record));
    memcpy(answer + question + sizeof(record), &ip, 4);
    return question + 16;
}

/* ---- flows ---- */

static struct str address_text(struct arena *a, const struct sockaddr_in6 *to, uint32_t *v4)
{
    char text[INET6_ADDRSTRLEN];
    *v4 = 0;
    if (IN6_IS_ADDR_V4MAPPED(&to->sin6_addr)) {
        const uint8_t *b = to->sin6_addr.s6_addr + 12;
        *v4 = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        return arena_strf(a, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], ntohs(to->sin6_port));
    }
    inet_ntop(AF_INET6, &to->sin6_addr, text, sizeof(text));
    return arena_strf(a, "[%s]:%u", text, ntohs(to->sin6_port));
}

/* Index of the flow; equal ones are told once. */
static size_t flow(struct sink *s, const char *kind, struct str address, uint32_t v4)
{
    for (size_t i = 0; i < s->flows_n; i++)
        if (str_eqc(s->flows[i].kind, kind) && str_eq(s->flows[i].address, address))
            return i;
    if (s->flows_n >= FLOWS_MAX)
        return FLOWS_MAX - 1;
    s->flows = arena_grow(s->a, s->flows, s->flows_n, &s->flows_cap, sizeof(*s->flows));
    struct sink_flow *f = &s->flows[s->flows_n];
    *f = (struct sink_flow){.kind = str_c(kind), .address = arena_str(s->a, address), .name = STR(""), .head = STR("")};
    if (v4 >= FIRST && v4 - FIRST < s->names_n)
        f->name = s->names[v4 - FIRST];
    return s->flows_n++;
}

static size_t flow_to(struct sink *s, const char *kind, const struct sockaddr_in6 *to)
{
    uint32_t v4;
    struct str address = address_text(s->a, to, &v4);
    return flow(s, kind, address, v4);
}

static void keep_head(struct sink *s, size_t flow, const char *p, size_t n)
{
    struct sink_flow *f = &s->flows[flow];
    if (f->head.n || !n)
        return;
    char *text = arena_alloc(s->a, HEAD_MAX + 1);
    n = n < HEAD_MAX ? n : HEAD_MAX;
    for (size_t i = 0; i < n; i++)
        text[i] = isprint((unsigned char)p[i]) ? p[i] : '.';
    f->head = str_n(text, n);
}

static uint32_t address_of(struct sink *s, const char *name)
{
    for (size_t i = 0; i < s->names_n; i++)
        if (str_eqc(s->names[i], name))
            return FIRST + (uint32_t)i;
    if (s->names_n >= NAMES_MAX)
        return FIRST;
    s->names = arena_grow(s->a, s->names, s->names_n, &s->names_cap, sizeof(struct str));
    s->names[s->names_n] = arena_str(s->a, str_c(name));
    return FIRST + (uint32_t)s->names_n++;
}

static void datagrams(struct sink *s, int which)
{
    uint8_t in[1500], out[1600];
    char control[256], name[256];
    for (int round = 0; round < 64; round++) {
        struct sockaddr_in6 from, to = {0};
        struct iovec iov = {in, sizeof(in)};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(s->fds[which], &m, 0);
        if (n < 0)
            return;
        struct in6_pktinfo info = {0};
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
                memcpy(&info, CMSG_DATA(c), sizeof(info));
            if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR)
                memcpy(&to, CMSG_DATA(c), sizeof(to));
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == 20) { /* IP_ORIGDSTADDR */
                struct sockaddr_in to4;
                memcpy(&to4, CMSG_DATA(c), sizeof(to4));
                to.sin6_port = to4.sin_port;
            }
        }
        to.sin6_addr = info.ipi6_addr;
        if (which == SINK_UDP) {
            keep_head(s, flow_to(s, "udp", &to), (char *)in, (size_t)n);
            continue;
        }
        if (!sink_dns(in, (size_t)n, 0, out, sizeof(out), name))
            continue;
        size_t length = sink_dns(in, (size_t)n, address_of(s, name), out, sizeof(out), name);
        flow(s, "dns", str_c(name), 0);
        /* back from the address that was asked */
        char back[CMSG_SPACE(sizeof(info))] = {0};
        struct iovec reply = {out, length};
        struct msghdr r = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &reply,
                           .msg_iovlen = 1,
                           .msg_control = back,
                           .msg_controllen = sizeof(back)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&r);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        info.ipi6_ifindex = 0;
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        sendmsg(s->fds[which], &r, 0);
    }
}

static void drop(struct sink *s, size_t i)
{
    close(s->conns[i].fd);
    s->conns[i] = s->conns[--s->conns_n];
}

static void accept_all(struct sink *s)
{
    for (;;) {
        struct sockaddr_in6 to;
        socklen_t n = sizeof(to);
        int fd = accept4(s->fds[SINK_TCP], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (getsockname(fd, (struct sockaddr *)&to, &n) < 0) {
            close(fd);
            continue;
        }
        if (s->conns_n == CONNS_MAX)
            drop(s, 0);
        s->conns[s->conns_n++] = (struct conn){.fd = fd, .flow = flow_to(s, "tcp", &to)};
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
    }
}

static void converse(struct sink *s, size_t i)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    static const char *const methods[] = {"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS "};
    char in[4096];
    struct conn *c = &s->conns[i];
    ssize_t n = recv(c->fd, in, sizeof(in), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        drop(s, i);
        return;
    }
    if (n < 0)
        return;
    keep_head(s, c->flow, in, (size_t)n);
    for (size_t k = 0; !c->answered && k < ARRAY_LEN(methods); k++)
        if (str_starts(str_n(in, (size_t)n), str_c(methods[k]))) {
            send(c->fd, ok, sizeof(ok) - 1, MSG_NOSIGNAL);
            c->answered = true;
        }
}

void sink_serve(struct sink *s)
{
    struct epoll_event evs[64];
    int n;
    for (int round = 0; round < 16 && (n = epoll_wait(s->epoll, evs, ARRAY_LEN(evs), 0)) > 0; round++)
        for (int i = 0; i < n; i++) {
            if (evs[i].data.fd == s->fds[SINK_TCP])
                accept_all(s);
            else if (evs[i].data.fd == s->fds[SINK_UDP])
                datagrams(s, SINK_UDP);
            else if (evs[i].data.fd == s->fds[SINK_DNS])
                datagrams(s, SINK_DNS);
            else
                for (size_t k = 0; k < s->conns_n; k++)
                    if (s->conns[k].fd == evs[i].data.fd) {
                        converse(s, k);
                        break;
                    }
        }
}

int sink_fd(const struct sink *s)
{
    return s->epoll;
}

size_t sink_flows(const struct sink *s, const struct sink_flow **ret)
{
    *ret = s->flows;
    return s->flows_n;
}

static int attach(struct sink *s, int netns, struct err *e)
{
    object_quiet();
    int r = object_open(object_find("sink"), NULL, 0, &s->obj, e);
    if (r < 0 || (r = object_load(s->obj, "sink", e)) < 0)
        return r;
    struct bpf_map *map = bpf_object__find_map_by_name(s->obj, "sinks");
    struct bpf_program *prog = bpf_object__find_program_by_name(s->obj, "to_sink");
    for (uint32_t i = 0; i < SINK_SOCKETS; i++) {
        uint64_t fd = (uint64_t)s->fds[i];
        if (!map || bpf_map_update_elem(bpf_map__fd(map), &i, &fd, BPF_ANY) < 0)
            return err_errno(e, "sink: sockets");
    }
    s->link = prog ? bpf_program__attach_netns(prog, netns) : NULL;
    return s->link ? 0 : err_errno(e, "sink: this kernel does not take a look-up program (Linux 5.9 and later do)");
}

int sink_open(int netns, const int fds[static SINK_SOCKETS], struct sink **ret, struct err *e)
{
    _cleanup_(sink_closep) struct sink *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->a = arena_new(64u << 20);
    memcpy(s->fds, fds, sizeof(s->fds));
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < SINK_SOCKETS; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fds[i]};
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fds[i], &ev) < 0)
            return err_errno(e, "sink");
    }
    int r = attach(s, netns, e);
    if (r < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

void sink_close(struct sink *s)
{
    if (!s)
        return;
    bpf_link__destroy(s->link);
    bpf_object__close(s->obj);
    while (s->conns_n)
        drop(s, 0);
    for (int i = 0; i < SINK_SOCKETS; i++)
        close(s->fds[i]);
    close(s->epoll);
    arena_free(s->a);
    free(s);
}

void sink_closep(struct sink **s)
{
    sink_close(*s);
}
