#include "net/pki.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

extern char **environ;

struct world {
    char dir[64];
    struct arena *a;
    struct pki *p;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err e = ERR_INIT;
    snprintf(w->dir, sizeof(w->dir), "/tmp/bh-pki-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->a = arena_new(16u << 20);
    if (pki_open(w->dir, &w->p, &e) < 0)
        fail_msg("%s", e.msg);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    pki_close(w->p);
    arena_free(w->a);
    fs_remove_tree(w->dir, NULL);
    free(w);
    return 0;
}

/* What OpenSSL says of it, not what we say: exit status of `openssl ARGS` with the state directory as cwd. */
static int openssl(struct world *w, const char *args)
{
    char *argv[] = {(char *)"sh", (char *)"-c", arena_printf(w->a, "cd %s && openssl %s >out 2>&1", w->dir, args),
                    NULL};
    pid_t pid;
    int status = -1;
    assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct str output(struct world *w)
{
    struct str s;
    assert_int_equal(fs_read(w->a, arena_printf(w->a, "%s/out", w->dir), 1u << 20, &s, NULL), 0);
    return s;
}

static void put(struct world *w, const char *name, struct str s)
{
    assert_int_equal(fs_write(arena_printf(w->a, "%s/%s", w->dir, name), s, 0600, NULL), 0);
}

static void authority_is_made_once_and_private(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct stat st;
    assert_int_equal(stat(arena_printf(w->a, "%s/ca.key", w->dir), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    _cleanup_(pki_closep) struct pki *again = NULL;
    assert_int_equal(pki_open(w->dir, &again, &e), 0);
    assert_true(str_eq(pki_ca(again), pki_ca(w->p)));
    assert_int_equal(openssl(w, "x509 -in ca.pem -noout -text"), 0);
    assert_true(str_has(output(w), STR("CA:TRUE, pathlen:0")));
    /* half an authority is damage */
    unlink(arena_printf(w->a, "%s/ca.key", w->dir));
    _cleanup_(pki_closep) struct pki *half = NULL;
    assert_int_equal(pki_open(w->dir, &half, &e), -ENOENT);
    put(w, "ca.key", STR("nonsense"));
    assert_int_equal(pki_open(w->dir, &half, &e), -EBADMSG);
    struct str other;
    assert_int_equal(pki_key(w->a, &other, &e), 0);
    put(w, "ca.key", other);
    assert_int_equal(pki_open(w->dir, &half, &e), -EBADMSG);
}

static void server_certificate(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct str names[] = {STR("console.example"), STR("127.0.0.1"), STR("::1")}, key, key2;
    struct pki_cert c, c2;
    assert_int_equal(pki_server(w->p, w->a, w->dir, names, 3, 398 * TIME_DAY, &key, &c, &e), 0);
    assert_int_equal(c.names_n, 3);
    assert_int_equal(openssl(w, "verify -CAfile ca.pem -purpose sslserver -verify_hostname console.example server.pem"),
                     0);
    assert_int_equal(openssl(w, "verify -CAfile ca.pem -purpose sslserver -verify_ip 127.0.0.1 server.pem"), 0);
    assert_int_not_equal(openssl(w, "verify -CAfile ca.pem -verify_hostname other.example server.pem"), 0);
    assert_int_not_equal(openssl(w, "verify -CAfile ca.pem -purpose sslclient server.pem"), 0);
    assert_int_equal(pki_server(w->p, w->a, w->dir, names, 3, 398 * TIME_DAY, &key2, &c2, &e), 0);
    assert_true(str_eq(c.serial, c2.serial) && str_eq(key, key2));
    assert_int_equal(pki_server(w->p, w->a, w->dir, names, 2, 398 * TIME_DAY, &key2, &c2, &e), 0);
    assert_false(str_eq(c.serial, c2.serial));
    /* past half of its life: the five minutes of clock skew in front are most of a 4 minute certificate */
    assert_int_equal(pki_server(w->p, w->a, w->dir, names, 1, 240 * TIME_SECOND, &key, &c, &e), 0);
    assert_int_equal(pki_server(w->p, w->a, w->dir, names, 1, 240 * TIME_SECOND, &key2, &c2, &e), 0);
    assert_false(str_eq(c.serial, c2.serial));
}

static void agent_certificate(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct str key, csr;
    struct pki_cert c;
    assert_int_equal(pki_key(w->a, &key, &e), 0);
    assert_int_equal(pki_request(w->a, key, "i want to be admin", &csr, &e), 0);
    assert_int_equal(pki_sign_agent(w->p, w->a, csr, STR("01AGENT"), 7 * TIME_DAY, &c, &e), 0);
    assert_true(str_eqc(c.name, "01AGENT")); /* not what was asked for */
    assert_int_equal(c.names_n, 0);
    assert_int_equal(c.serial.n, 32);
    assert_true(c.expires - time_now() <= 7 * TIME_DAY);
    put(w, "agent.pem", c.pem);
    put(w, "agent.key", key);
    assert_int_equal(openssl(w, "verify -CAfile ca.pem -purpose sslclient agent.pem"), 0);
    assert_int_not_equal(openssl(w, "verify -CAfile ca.pem -purpose sslserver agent.pem"), 0);
    struct pki_cert back;
    assert_int_equal(pki_read(w->a, c.pem, &back, &e), 0);
    assert_true(str_eq(back.serial, c.serial));
}

/* Requests made by OpenSSL, with things we must not sign as they are. */
static void foreign_requests(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    static const struct {
        const char *make;
        int r;
    } cases[] = {
        {"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out q -subj /CN=x "
         "-addext basicConstraints=critical,CA:TRUE -addext subjectAltName=DNS:console.example",
         0},
        {"req -new -newkey rsa:2048 -nodes -keyout k -out q -subj /CN=x", -EBADMSG},
        {"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout k -out q -subj /CN=x", -EBADMSG},
        {"req -new -newkey ed25519 -nodes -keyout k -out q -subj /CN=x", -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str csr;
        struct pki_cert c;
        assert_int_equal(openssl(w, cases[i].make), 0);
        assert_int_equal(fs_read(w->a, arena_printf(w->a, "%s/q", w->dir), 1u << 16, &csr, &e), 0);
        assert_int_equal(pki_sign_agent(w->p, w->a, csr, STR("id"), TIME_DAY, &c, &e), cases[i].r);
        if (cases[i].r)
            continue;
        put(w, "c.pem", c.pem);
        assert_int_equal(openssl(w, "x509 -in c.pem -noout -text"), 0);
        assert_true(str_has(output(w), STR("CA:FALSE")));
        assert_false(str_has(output(w), STR("console.example")));
    }
}

static void proof_of_possession(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct str key, csr;
    struct pki_cert c;
    assert_int_equal(pki_key(w->a, &key, &e), 0);
    assert_int_equal(pki_request(w->a, key, "x", &csr, &e), 0);
    put(w, "q", csr);
    /* flip a bit in the signature */
    assert_int_equal(openssl(w, "req -in q -outform DER -out q.der"), 0);
    struct str der;
    assert_int_equal(fs_read(w->a, arena_printf(w->a, "%s/q.der", w->dir), 1u << 16, &der, &e), 0);
    ((char *)der.p)[der.n - 3] ^= 1;
    put(w, "q.der", der);
    assert_int_equal(openssl(w, "enc -base64 -in q.der -out q.b64"), 0);
    struct str b64;
    assert_int_equal(fs_read(w->a, arena_printf(w->a, "%s/q.b64", w->dir), 1u << 16, &b64, &e), 0);
    csr = arena_strf(w->a, "-----BEGIN CERTIFICATE REQUEST-----\n" STR_FMT "-----END CERTIFICATE REQUEST-----\n",
                     STR_ARG(b64));
    assert_int_equal(pki_sign_agent(w->p, w->a, csr, STR("id"), TIME_DAY, &c, &e), -EBADMSG);
    assert_non_null(strstr(e.msg, "possession"));
    static const char *const junk[] = {
        "", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"};
    for (size_t i = 0; i < ARRAY_LEN(junk); i++)
        assert_int_equal(pki_sign_agent(w->p, w->a, str_c(junk[i]), STR("id"), TIME_DAY, &c, &e), -EBADMSG);
    char *big = arena_alloc(w->a, 20u << 10);
    memset(big, 'A', 20u << 10);
    assert_int_equal(pki_sign_agent(w->p, w->a, str_n(big, 20u << 10), STR("id"), TIME_DAY, &c, &e), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(authority_is_made_once_and_private, setup, teardown),
        cmocka_unit_test_setup_teardown(server_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(agent_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(proof_of_possession, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
