/* httpd_life: starting and stopping a server. The requests are in httpd.c. */
#include "net/httpd_internal.h"

#include <arpa/inet.h>
#include <netdb.h>

static int open_listener(struct httpd *h, struct err *e)
{
    struct str text = str_c(h->o.listen), host, port;
    ptrdiff_t colon = str_rchr(text, ':');
    if (colon < 0)
        return err_set(e, EINVAL, "listen address \"%s\": expected ADDRESS:PORT", h->o.listen);
    host = str_sub(text, 0, (size_t)colon);
    port = str_sub(text, (size_t)colon + 1, text.n);
    if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_sub(host, 1, host.n - 1);
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 10);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int g = getaddrinfo(host.n ? arena_cstr(a, host) : NULL, arena_cstr(a, port), &hints, &found);
    if (g)
        return err_set(e, EINVAL, "listen address \"%s\": %s", h->o.listen, gai_strerror(g));
    int on = 1, r = 0;
    h->listen_fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->listen_fd < 0 || setsockopt(h->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        bind(h->listen_fd, found->ai_addr, found->ai_addrlen) || listen(h->listen_fd, 511))
        r = err_errno(e, "listen on %s", h->o.listen);
    freeaddrinfo(found);
    return r;
}

static int learn_address(struct httpd *h, struct err *e)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof(sa);
    char text[INET6_ADDRSTRLEN] = "";
    if (getsockname(h->listen_fd, (struct sockaddr *)&sa, &n))
        return err_errno(e, "listening socket");
    h->is_unix = sa.ss_family == AF_UNIX;
    if (sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sa;
        h->port = ntohs(in6->sin6_port);
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    } else if (sa.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&sa;
        h->port = ntohs(in->sin_port);
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    }
    char address[INET6_ADDRSTRLEN + 16] = "unix";
    if (!h->is_unix)
        snprintf(address, sizeof(address), sa.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, h->port);
    h->address = strdup(address);
    if (!h->o.tls && !h->is_unix)
        return err_set(e, EINVAL, "http server on %s: TLS is required", address);
    return 0;
}

static int start_daemon(struct httpd *h, struct err *e)
{
    struct MHD_OptionItem tls[5] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (h->o.tls) {
        unsigned i = 0;
        flags |= MHD_USE_TLS;
        tls[i++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)tls_server_cert(h->o.tls)};
        tls[i++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)tls_server_key(h->o.tls)};
        tls[i++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES};
        if (tls_server_client_ca(h->o.tls))
            tls[i++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)tls_server_client_ca(h->o.tls)};
        tls[i] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, httpd_on_access, h,                                 //
                                 MHD_OPTION_LISTEN_SOCKET, h->listen_fd,                                   //
                                 MHD_OPTION_URI_LOG_CALLBACK, httpd_on_uri, h,                             //
                                 MHD_OPTION_NOTIFY_COMPLETED, httpd_on_completed, h,                       //
                                 MHD_OPTION_NOTIFY_CONNECTION, httpd_on_connection, h,                     //
                                 MHD_OPTION_CONNECTION_LIMIT, h->o.connections,                            //
                                 MHD_OPTION_PER_IP_CONNECTION_LIMIT, h->o.connections_per_ip,              //
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_HTTP_HEADER,            //
                                 MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)(16u << 10),              //
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(HTTPD_KEEPALIVE / TIME_SECOND), //
                                 MHD_OPTION_STRICT_FOR_CLIENT, 1,                                          //
                                 MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    return h->daemon ? 0 : err_set(e, EIO, "http server on %s: it did not start", h->address);
}

static void destroy(struct httpd *h)
{
    if (h->listen_fd >= 0)
        close(h->listen_fd);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h->spool_dir);
    free(h->address);
    free(h);
}

int httpd_start(const struct httpd_opts *opts, struct httpd **ret, struct err *e)
{
    struct httpd *h = calloc(1, sizeof(*h));
    if (!h)
        abort();
    h->o = *opts;
    h->listen_fd = opts->listen_fd;
    h->o.workers = opts->workers ? opts->workers : 4;
    h->o.queue_max = opts->queue_max ? opts->queue_max : 256;
    h->o.connections = opts->connections ? opts->connections : 512;
    h->o.bodies_max = opts->bodies_max ? opts->bodies_max : 256u << 20;
    h->o.request_timeout = opts->request_timeout ? opts->request_timeout : 30 * TIME_SECOND;
    h->spool_dir = strdup(opts->spool_dir ? opts->spool_dir : "/var/tmp");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&h->lock, NULL);
    int r = 0;
    if ((h->listen_fd < 0 && (r = open_listener(h, e)) < 0) || (r = learn_address(h, e)) < 0) {
        destroy(h);
        return r;
    }
    h->pool = pool_new(h->o.workers, h->o.queue_max);
    if ((r = httpd_minder_start(h, e)) < 0 || (r = start_daemon(h, e)) < 0) {
        if (h->minder)
            httpd_minder_stop(h);
        pool_free(h->pool);
        destroy(h);
        return r;
    }
    *ret = h;
    return 0;
}

void httpd_stop(struct httpd *h)
{
    if (!h)
        return;
    atomic_store(&h->stopping, true);
    MHD_quiesce_daemon(h->daemon);
    pthread_mutex_lock(&h->lock);
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    /* Every suspended call must be resumed before the daemon ends; workers are straight-line code, so this ends. The
     * count is closed when it reaches none, so that no connection kept alive brings another call to the pool. */
    for (unsigned none = 0; !atomic_compare_exchange_strong(&h->calls, &none, HTTPD_CLOSED); none = 0)
        usleep(2000);
    httpd_minder_stop(h);
    pool_free(h->pool);
    MHD_stop_daemon(h->daemon);
    destroy(h);
}

unsigned httpd_port(const struct httpd *h)
{
    return h->port;
}
const char *httpd_address(const struct httpd *h)
{
    return h->address;
}
bool httpd_stopping(const struct httpd *h)
{
    return atomic_load(&h->stopping);
}
