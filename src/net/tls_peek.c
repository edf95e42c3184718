#include "net/tls_peek.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/time.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#define TIMEOUT_MS 10000
#define CHAIN_MAX  10u

static void session_fini(gnutls_session_t *s)
{
    if (*s)
        gnutls_deinit(*s);
}
static void credentials_fini(gnutls_certificate_credentials_t *c)
{
    if (*c)
        gnutls_certificate_free_credentials(*c);
}
static void crt_fini(gnutls_x509_crt_t *c)
{
    if (*c)
        gnutls_x509_crt_deinit(*c);
}

static int split_url(struct arena *a, const char *url, char **host, char **port, struct err *e)
{
    struct str s = str_c(url);
    if (!str_starts(s, STR("https://")))
        return err_set(e, EINVAL, "%s: not an https:// address", url);
    s = str_sub(s, 8, s.n);
    size_t end = 0;
    while (end < s.n && !strchr("/?#", s.p[end]))
        end++;
    s = str_sub(s, 0, end);
    ptrdiff_t colon = str_rchr(s, ':'), bracket = str_rchr(s, ']');
    bool has_port = colon > bracket;
    struct str h = has_port ? str_sub(s, 0, (size_t)colon) : s;
    if (bracket > 0 && s.p[0] == '[')
        h = str_sub(s, 1, (size_t)bracket);
    *host = arena_cstr(a, h);
    *port = has_port ? arena_cstr(a, str_sub(s, (size_t)colon + 1, s.n)) : arena_printf(a, "443");
    return h.n ? 0 : err_set(e, EINVAL, "%s: no host in it", url);
}

static int connect_to(const char *host, const char *port, int *ret, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int r = getaddrinfo(host, port, &hints, &list), code = ECONNREFUSED;
    if (r != 0)
        return err_set(e, ECONNREFUSED, "%s: %s", host, gai_strerror(r));
    for (struct addrinfo *x = list; x; x = x->ai_next) {
        _cleanup_close_ int fd = socket(x->ai_family, x->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        if (connect(fd, x->ai_addr, x->ai_addrlen) < 0 && errno != EINPROGRESS) {
            code = errno;
            continue;
        }
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t n = sizeof(code);
        if (poll(&p, 1, TIMEOUT_MS) != 1) {
            code = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n) == 0 && code == 0) {
            freeaddrinfo(list);
            *ret = TAKE_FD(fd);
            return 0;
        }
    }
    freeaddrinfo(list);
    return err_set(e, code == ETIMEDOUT ? ETIMEDOUT : ECONNREFUSED, "%s port %s: %s", host, port, strerror(code));
}

static int handshake(gnutls_session_t s, int fd, struct err *e)
{
    int64_t until = time_monotonic() + TIMEOUT_MS * 1000;
    for (;;) {
        int r = gnutls_handshake(s);
        if (r == 0)
            return 0;
        if (gnutls_error_is_fatal(r))
            return err_set(e, EBADMSG, "TLS: %s", gnutls_strerror(r));
        int64_t left = (until - time_monotonic()) / 1000;
        struct pollfd p = {.fd = fd, .events = gnutls_record_get_direction(s) ? POLLOUT : POLLIN};
        if (left <= 0 || (r == GNUTLS_E_AGAIN && poll(&p, 1, (int)left) == 0))
            return err_set(e, ETIMEDOUT, "TLS: no answer");
    }
}

static int key_fingerprint(gnutls_x509_crt_t crt, char ret[static TLS_FINGERPRINT])
{
    unsigned char id[32];
    size_t n = sizeof(id);
    int r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id, &n);
    if (r == 0 && n == sizeof(id))
        hex_encode(id, n, ret);
    return r;
}

int tls_fingerprint(struct str pem, char ret[static TLS_FINGERPRINT], struct err *e)
{
    _cleanup_(crt_fini) gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t d = {(unsigned char *)pem.p, (unsigned)pem.n};
    int r;
    if ((r = gnutls_x509_crt_init(&crt)) < 0 || (r = gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM)) < 0 ||
        (r = key_fingerprint(crt, ret)) < 0)
        return err_set(e, EINVAL, "no PEM certificate: %s", gnutls_strerror(r));
    return 0;
}

static int read_chain(struct arena *a, gnutls_session_t s, struct tls_peek *ret, struct err *e)
{
    _cleanup_(crt_fini) gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t pem;
    unsigned n = 0, critical;
    char name[512];
    size_t name_n = sizeof(name);
    const gnutls_datum_t *list = gnutls_certificate_get_peers(s, &n);
    if (!list || n == 0 || n > CHAIN_MAX)
        return err_set(e, EBADMSG, "TLS: %u certificates", n);
    int r;
    if ((r = gnutls_x509_crt_init(&crt)) < 0 ||
        (r = gnutls_x509_crt_import(crt, &list[n - 1], GNUTLS_X509_FMT_DER)) < 0)
        return err_set(e, EBADMSG, "TLS: %s", gnutls_strerror(r));
    if (gnutls_x509_crt_get_ca_status(crt, &critical) <= 0)
        return 0;
    if ((r = key_fingerprint(crt, ret->fingerprint)) < 0 ||
        (r = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem)) < 0)
        return err_set(e, EBADMSG, "TLS: %s", gnutls_strerror(r));
    ret->ca = arena_str(a, str_n((char *)pem.data, pem.size));
    gnutls_free(pem.data);
    if (gnutls_x509_crt_get_dn(crt, name, &name_n) == 0)
        ret->ca_name = arena_str(a, str_n(name, name_n));
    return 0;
}

int tls_peek(struct arena *a, const char *url, struct tls_peek *ret, struct err *e)
{
    _cleanup_(session_fini) gnutls_session_t s = NULL;
    _cleanup_(credentials_fini) gnutls_certificate_credentials_t c = NULL;
    _cleanup_close_ int fd = -1;
    struct tls_peek x = {0};
    unsigned status = 0;
    char *host = NULL, *port = NULL;
    int r;
    if ((r = split_url(a, url, &host, &port, e)) < 0 || (r = connect_to(host, port, &fd, e)) < 0)
        return r;
    if ((r = gnutls_certificate_allocate_credentials(&c)) < 0 ||
        (r = gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NONBLOCK)) < 0 || (r = gnutls_set_default_priority(s)) < 0 ||
        (r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, c)) < 0)
        return err_set(e, EIO, "TLS: %s", gnutls_strerror(r));
    gnutls_certificate_set_x509_system_trust(c);
    if (!strchr(host, ':') && !(host[0] >= '0' && host[0] <= '9'))
        gnutls_server_name_set(s, GNUTLS_NAME_DNS, host, strlen(host));
    gnutls_transport_set_int(s, fd);
    if ((r = handshake(s, fd, e)) < 0 || (r = read_chain(a, s, &x, e)) < 0)
        return err_wrap(e, "%s", url), r;
    x.trusted = gnutls_certificate_verify_peers3(s, host, &status) == 0 && status == 0;
    *ret = x;
    return 0;
}
