/* net: the network of the tests. One static program, client in the containers and server beside them.
 *
 *   net serve ADDRESS            echo on TCP and UDP port 7000 to 7004, DNS on 53 (see answer()); until killed
 *   net CALL ARGS...             one try; prints `ok` or `refused ERRNO` or `silent` (nothing came back in time)
 *     tcp ADDR PORT | udp ADDR PORT (unconnected) | connected ADDR PORT (UDP) | mapped ADDR PORT (IPv4 in IPv6)
 *     fastopen ADDR PORT | raw | packet | icmp ADDR | listen PORT | dns NAME RESOLVER ADDR PORT (asks, then connects)
 *     send ADDR PORT TEXT | scan ADDR FROM TO | names RESOLVER COUNT LENGTH | keep ADDR PORT (echoes until it fails)
 *     relay pipe|pair|pty|socket ADDR PORT [COMMAND] (a shell fed by who holds the connection; PORT 0: none)
 *     from PORT ADDR TEXT (a UDP datagram from a port of ours) | reply PORT (answers one datagram)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int number(const char *s)
{
    int v = 0;
    while (*s >= '0' && *s <= '9')
        v = v * 10 + *s++ - '0';
    return v;
}

static int say(int r)
{
    if (r == 0)
        puts("ok");
    else if (errno == ETIMEDOUT || errno == EAGAIN)
        puts("silent");
    else
        printf("refused %d\n", errno);
    fflush(stdout);
    return r == 0 ? 0 : 1;
}

static struct sockaddr_in at(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    return a;
}

static int opened(int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    struct timeval patience = {.tv_sec = 1, .tv_usec = 500000};
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        int two = 2;
        if (type == SOCK_STREAM && family != AF_UNIX)
            setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &two, sizeof(two));
    }
    return fd;
}

static int echo(int fd)
{
    char c = 'x';
    errno = EAGAIN;
    if (send(fd, &c, 1, MSG_NOSIGNAL) != 1)
        return -1;
    ssize_t n = recv(fd, &c, 1, 0);
    if (n == 0)
        errno = ECONNRESET;
    return n == 1 ? 0 : -1;
}

static int to(const char *address, int port, int type)
{
    struct sockaddr_in a = at(address, port);
    int fd = opened(AF_INET, type, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        if (errno == EINPROGRESS)
            errno = EAGAIN;
        return -1;
    }
    return echo(fd);
}

static int unconnected(const char *address, int port)
{
    struct sockaddr_in a = at(address, port);
    int fd = opened(AF_INET, SOCK_DGRAM, 0);
    char c = 'x';
    if (fd < 0 || sendto(fd, &c, 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    return recv(fd, &c, 1, 0) == 1 ? 0 : -1;
}

static int mapped(const char *address, int port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    char text[64];
    snprintf(text, sizeof(text), "::ffff:%s", address);
    inet_pton(AF_INET6, text, &a.sin6_addr);
    int fd = opened(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    return echo(fd);
}

static int fastopen(const char *address, int port)
{
    struct sockaddr_in a = at(address, port);
    int fd = opened(AF_INET, SOCK_STREAM, 0);
    char c = 'x';
    if (fd < 0 || sendto(fd, &c, 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    return recv(fd, &c, 1, 0) == 1 ? 0 : -1;
}

static int icmp(const char *address)
{
    struct sockaddr_in a = at(address, 0);
    int fd = opened(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    struct icmphdr h = {.type = ICMP_ECHO, .checksum = htons(0xf7ff)};
    char back[256];
    if (fd < 0 || sendto(fd, &h, sizeof(h), 0, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    for (int i = 0; i < 4; i++) { /* our own question comes by too, on loopback */
        ssize_t n = recv(fd, back, sizeof(back), 0);
        if (n < 0)
            return -1;
        if (n >= 21 && back[20] == ICMP_ECHOREPLY)
            return 0;
    }
    errno = EAGAIN;
    return -1;
}

static int listening(int port)
{
    struct sockaddr_in a = at("0.0.0.0", port);
    int fd = opened(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 5) < 0)
        return -1;
    return fd;
}

static size_t question(unsigned char *out, const char *name)
{
    static const unsigned char head[12] = {0x12, 0x34, 1, 0, 0, 1};
    unsigned char *p = out + 12, *count = p++;
    memcpy(out, head, 12);
    for (*count = 0; *name; name++)
        if (*name == '.') {
            count = p++;
            *count = 0;
        } else {
            *p++ = (unsigned char)*name;
            ++*count;
        }
    memcpy(p, "\0\0\1\0\1", 5);
    return (size_t)(p + 5 - out);
}

static int resolve(const char *name, const char *resolver)
{
    unsigned char q[600];
    struct sockaddr_in a = at(resolver, 53);
    size_t n = question(q, name);
    int fd = opened(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || sendto(fd, q, n, 0, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    ssize_t got = recv(fd, q, sizeof(q), 0);
    close(fd);
    return got > 12 ? 0 : -1;
}

static int names(const char *resolver, int count, int length)
{
    char name[200];
    int r = 0;
    for (int i = 0; i < count && r == 0; i++) {
        snprintf(name, sizeof(name), "%0*d.t.example", length > 60 ? 60 : length, i & 0xffff);
        r = resolve(name, resolver);
    }
    return r;
}

/* Every A question is answered, by CNAME and two addresses: the one in the name ("a-10-88-1-1.example") and 192.0.2.1. */
static size_t answer(unsigned char *m, size_t n)
{
    unsigned a = 192, b = 0, c = 2, d = 1;
    char name[64];
    size_t k = 0;
    for (; k < m[12] && k < sizeof(name) - 1; k++)
        name[k] = (char)m[13 + k];
    name[k] = '\0';
    const char *p = strchr(name, '-'); unsigned *part[] = {&a, &b, &c, &d};
    for (int i = 0; p && i < 4; i++, p = strchr(p + 1, '-'))
        *part[i] = (unsigned)number(p + 1);
    m[2] |= 0x80;
    m[7] = 3;
    const unsigned char records[] = {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 4, 1, 'x', 0xc0, 12, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4,
                                     (unsigned char)a, (unsigned char)b, (unsigned char)c, (unsigned char)d,
                                     0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, 1};
    memcpy(m + n, records, sizeof(records));
    return n + sizeof(records);
}

static int serve(const char *address)
{
    struct pollfd p[64];
    int n = 0;
    for (int port = 7000; port < 7005; port++) {
        struct sockaddr_in a = at(address, port);
        p[n++] = (struct pollfd){.fd = listening(port), .events = POLLIN};
        int u = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(u, (struct sockaddr *)&a, sizeof(a)) < 0)
            return say(-1);
        p[n++] = (struct pollfd){.fd = u, .events = POLLIN};
    }
    struct sockaddr_in a = at(address, 53);
    int dns = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(dns, (struct sockaddr *)&a, sizeof(a)) < 0)
        return say(-1);
    p[n++] = (struct pollfd){.fd = dns, .events = POLLIN};
    int fixed = n;
    say(0);
    for (;;) {
        if (poll(p, (nfds_t)n, -1) < 0)
            return 1;
        for (int i = 0; i < n; i++) {
            unsigned char buf[2048];
            struct sockaddr_in from;
            socklen_t fl = sizeof(from);
            if (!(p[i].revents & (POLLIN | POLLHUP | POLLERR)))
                continue;
            if (i >= fixed) {
                ssize_t got = recv(p[i].fd, buf, sizeof(buf), 0);
                if (got <= 0 || send(p[i].fd, buf, (size_t)got, MSG_NOSIGNAL) < 0) {
                    close(p[i].fd);
                    p[i--] = p[--n];
                }
            } else if (p[i].fd == dns || i % 2) {
                ssize_t got = recvfrom(p[i].fd, buf, 1024, 0, (struct sockaddr *)&from, &fl);
                if (got > 0)
                    sendto(p[i].fd, buf, p[i].fd == dns && got > 12 ? answer(buf, (size_t)got) : (size_t)got, 0, (struct sockaddr *)&from, fl);
            } else {
                int c = accept(p[i].fd, NULL, NULL);
                if (c >= 0 && n == 64)
                    close(c);
                else if (c >= 0)
                    p[n++] = (struct pollfd){.fd = c, .events = POLLIN};
            }
        }
    }
}

static int scan(const char *address, int from, int until)
{
    int r = 0;
    for (int port = from; port <= until; port++) {
        struct sockaddr_in a = at(address, port);
        int fd = opened(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != ECONNREFUSED)
            r = -1;
        close(fd);
        if (r)
            break;
    }
    return r;
}

static int send_text(const char *address, int port, const char *text)
{
    struct sockaddr_in a = at(address, port);
    char back[600];
    int fd = opened(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return -1;
    return recv(fd, back, sizeof(back), 0) > 0 ? 0 : -1;
}

static int keep(const char *address, int port)
{
    struct sockaddr_in a = at(address, port);
    int fd = opened(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    say(echo(fd));
    while (echo(fd) == 0)
        usleep(50000);
    return -1;
}

static int from(int port, const char *address, const char *text)
{
    struct sockaddr_in a = at("0.0.0.0", port), b = at(address, 7000);
    int fd = opened(AF_INET, SOCK_DGRAM, 0);
    char back[64];
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || sendto(fd, text, strlen(text), 0, (struct sockaddr *)&b, sizeof(b)) < 0)
        return -1;
    return recv(fd, back, sizeof(back), 0) > 0 ? 0 : -1;
}

/* A shell fed by us, who hold the connection. `command`: the shell gets one with -c instead of reading its input. */
static int relay(const char *how, const char *address, int port, const char *command)
{
    struct sockaddr_in a = at(address, port);
    int fd = opened(AF_INET, SOCK_STREAM, 0), in[2], out[2], status;
    if (port && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    if (!strcmp(how, "pair")) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, in) < 0)
            return -1;
        out[0] = in[1], out[1] = in[0];
    } else if (!strcmp(how, "pty")) {
        int master = posix_openpt(O_RDWR | O_NOCTTY);
        if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
            return -1;
        in[1] = out[0] = master;
        in[0] = out[1] = open(ptsname(master), O_RDWR | O_NOCTTY);
        if (in[0] < 0)
            return -1;
    } else if (!strcmp(how, "socket")) {
        in[0] = out[1] = fd;
        in[1] = out[0] = fd;
    } else if (pipe(in) < 0 || pipe(out) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        if (command)
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        else
            execl("/bin/sh", "sh", (char *)NULL);
        _exit(1);
    }
    static const char text[] = "exit 42\n";
    if (write(in[1], text, sizeof(text) - 1) < 0)
        return -1;
    waitpid(pid, &status, 0);
    printf("%s\n", WIFSIGNALED(status) ? "killed" : WEXITSTATUS(status) == 42 ? "ran" : "failed");
    fflush(stdout);
    return 1;
}

static int reply(int port)
{
    struct sockaddr_in a = at("0.0.0.0", port), b;
    socklen_t n = sizeof(b);
    char buf[64];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return -1;
    say(0);
    ssize_t got = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&b, &n);
    return got > 0 && sendto(fd, buf, (size_t)got, 0, (struct sockaddr *)&b, n) == got ? 0 : -1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *x = argc > 2 ? argv[2] : "", *y = argc > 3 ? argv[3] : "0";
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(what, "serve"))
        return serve(x);
    if (!strcmp(what, "tcp"))
        return say(to(x, number(y), SOCK_STREAM));
    if (!strcmp(what, "connected"))
        return say(to(x, number(y), SOCK_DGRAM));
    if (!strcmp(what, "udp"))
        return say(unconnected(x, number(y)));
    if (!strcmp(what, "mapped"))
        return say(mapped(x, number(y)));
    if (!strcmp(what, "fastopen"))
        return say(fastopen(x, number(y)));
    if (!strcmp(what, "raw"))
        return say(socket(AF_INET, SOCK_RAW, IPPROTO_RAW) < 0 ? -1 : 0);
    if (!strcmp(what, "packet"))
        return say(socket(AF_PACKET, SOCK_RAW, 0) < 0 ? -1 : 0);
    if (!strcmp(what, "icmp"))
        return say(icmp(x));
    if (!strcmp(what, "listen")) {
        int fd = listening(number(x));
        if (say(fd < 0 ? -1 : 0))
            return 1;
        char c;
        for (int n = 0, k; n < 1 && (k = accept(fd, NULL, NULL)) >= 0; n++)
            if (recv(k, &c, 1, 0) == 1 && send(k, &c, 1, MSG_NOSIGNAL) == 1)
                puts("served");
        return 0;
    }
    if (!strcmp(what, "dns") && argc > 5)
        return resolve(x, y) < 0 ? say(-1) : say(to(argv[4], number(argv[5]), SOCK_STREAM));
    if (!strcmp(what, "send") && argc > 4)
        return say(send_text(x, number(y), argv[4]));
    if (!strcmp(what, "scan") && argc > 4)
        return say(scan(x, number(y), number(argv[4])));
    if (!strcmp(what, "names") && argc > 4)
        return say(names(x, number(y), number(argv[4])));
    if (!strcmp(what, "keep"))
        return say(keep(x, number(y)));
    if (!strcmp(what, "from") && argc > 4)
        return say(from(number(x), y, argv[4]));
    if (!strcmp(what, "relay") && argc > 4)
        return relay(x, y, number(argv[4]), argv[5]) < 0 ? say(-1) : 0;
    if (!strcmp(what, "reply"))
        return say(reply(number(x)));
    fprintf(stderr, "net: what?\n");
    return 2;
}
