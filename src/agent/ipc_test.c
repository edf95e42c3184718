/* The framing: what is whole goes through, what is short, long, unknown or from the wrong side ends the channel. */
#include "agent/ipc.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
/* cmocka wants the four above before it */
#include <cmocka.h>

static void make(struct ipc *r, struct ipc *u)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    ipc_init(r, fd[0], IPC_FROM_U);
    ipc_init(u, fd[1], IPC_FROM_R);
}

static void test_whole(void **state)
{
    struct ipc r, u;
    struct ipc_message m;
    struct err e = ERR_INIT;
    make(&r, &u);
    ipc_begin(&u, IPC_policy_doc);
    ipc_put_str(&u, STR("ImagePolicy"));
    ipc_put_str(&u, STR("web"));
    ipc_put_u64(&u, (uint64_t)-7);
    ipc_put_str(&u, STR("text\0with a NUL"));
    assert_int_equal(ipc_send(&u, &e), 0);
    ipc_begin(&u, IPC_policy_end);
    assert_int_equal(ipc_send(&u, &e), 0);
    assert_int_equal(ipc_wait(&r, &m, 5000, &e), 1);
    assert_int_equal(m.type, IPC_policy_doc);
    assert_true(str_eq(ipc_get_str(&m), STR("ImagePolicy")));
    assert_true(str_eq(ipc_get_str(&m), STR("web")));
    assert_int_equal(ipc_get_i64(&m), -7);
    assert_true(str_eq(ipc_get_str(&m), STR("text\0with a NUL")));
    assert_int_equal(ipc_end(&m, &e), 0);
    assert_int_equal(ipc_next(&r, &m, &e), 1);
    assert_int_equal(m.type, IPC_policy_end);
    assert_int_equal(ipc_end(&m, &e), 0);
    assert_int_equal(ipc_next(&r, &m, &e), 0);
    ipc_fini(&u);
    assert_int_equal(ipc_wait(&r, &m, 5000, &e), -EPIPE);
    ipc_fini(&r);
}

/* Raw bytes as the root side gets them, and what it must say. */
static void test_refused(void **state)
{
    static const struct {
        const char *what;
        struct str bytes;
        int next, end; /* expected of ipc_next and, when 1, of reading u64 + ipc_end */
    } table[] = {
        {"nothing", STR(""), 0, 0},
        {"half a header", STR("\x08\0\0"), 0, 0},
        {"half a payload", STR("\x08\0\0\0\x12\0\0\0abc"), 0, 0},
        {"a good batch_done", STR("\x08\0\0\0\x12\0\0\0\x05\0\0\0\0\0\0\0"), 1, 0},
        {"short", STR("\x07\0\0\0\x12\0\0\0\x05\0\0\0\0\0\0"), 1, -EBADMSG},
        {"trailing", STR("\x09\0\0\0\x12\0\0\0\x05\0\0\0\0\0\0\0!"), 1, -EBADMSG},
        {"type 0", STR("\0\0\0\0\0\0\0\0"), -EBADMSG, 0},
        {"unknown type", STR("\0\0\0\0\xff\0\0\0"), -EBADMSG, 0},
        {"reserved bytes", STR("\x08\0\0\0\x12\0\x01\0\x05\0\0\0\0\0\0\0"), -EBADMSG, 0},
        {"from the wrong side", STR("\0\0\0\0\x01\0\0\0"), -EBADMSG, 0},
        {"over the cap of its type", STR("\x01\x40\0\0\x12\0\0\0"), -EBADMSG, 0},
        {"4 GiB", STR("\xff\xff\xff\xff\x12\0\0\0"), -EBADMSG, 0},
    };
    assert_int_equal(IPC_batch_done, 0x12); /* the bytes above; a changed table changes them */
    assert_int_equal(IPC_hello, 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ipc c;
        struct ipc_message m;
        struct err e = ERR_INIT;
        ipc_init(&c, -1, IPC_FROM_U);
        buf_puts(&c.in, table[i].bytes);
        int r = ipc_next(&c, &m, &e);
        if (r != table[i].next)
            fail_msg("%s: %d (%s)", table[i].what, r, e.msg);
        if (r == 1) {
            ipc_get_u64(&m);
            if (ipc_end(&m, &e) != table[i].end)
                fail_msg("%s: end (%s)", table[i].what, e.msg);
        }
        ipc_fini(&c);
    }
}

static void test_string_longer_than_payload(void **state)
{
    struct ipc c;
    struct ipc_message m;
    struct err e = ERR_INIT;
    ipc_init(&c, -1, IPC_FROM_U);
    /* intel_begin whose first string claims 4 GiB */
    buf_puts(&c.in, STR("\x08\0\0\0\x06\0\0\0\xff\xff\xff\xff"
                        "abcd"));
    assert_int_equal(IPC_intel_begin, 6);
    assert_int_equal(ipc_next(&c, &m, &e), 1);
    assert_int_equal(ipc_get_str(&m).n, 0);
    assert_int_equal(ipc_get_u64(&m), 0);
    assert_int_equal(ipc_end(&m, &e), -EBADMSG);
    ipc_fini(&c);
}

static void test_too_big_to_send(void **state)
{
    struct ipc r, u;
    struct err e = ERR_INIT;
    static char big[IPC_SMALL + 1];
    make(&r, &u);
    ipc_begin(&u, IPC_event_refused);
    ipc_put_u64(&u, 1);
    ipc_put_str(&u, str_n(big, sizeof(big)));
    assert_int_equal(ipc_send(&u, &e), -E2BIG);
    assert_false(ipc_pending(&u)); /* nothing of it is left behind */
    ipc_fini(&r);
    ipc_fini(&u);
}

/* A message larger than the socket takes, in pieces. */
static void test_pieces(void **state)
{
    struct ipc r, u;
    struct ipc_message m;
    struct err e = ERR_INIT;
    size_t n = 5u << 20;
    _cleanup_free_ char *text = malloc(n);
    memset(text, 'x', n);
    make(&r, &u);
    int fd = u.fd;
    ipc_init(&u, fd, IPC_FROM_R);
    ipc_init(&r, r.fd, IPC_FROM_U);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(r.fd, F_SETFL, O_NONBLOCK), 0);
    ipc_begin(&u, IPC_policy_doc);
    for (int i = 0; i < 2; i++)
        ipc_put_str(&u, STR("k"));
    ipc_put_u64(&u, 1);
    ipc_put_str(&u, str_n(text, n));
    assert_int_equal(ipc_send(&u, &e), 0);
    assert_true(ipc_pending(&u));
    int got = 0;
    while ((got = ipc_next(&r, &m, &e)) == 0) {
        assert_true(ipc_fill(&r, &e) >= 0);
        assert_int_equal(ipc_flush(&u, &e), 0);
    }
    assert_int_equal(got, 1);
    ipc_get_str(&m);
    ipc_get_str(&m);
    ipc_get_u64(&m);
    assert_int_equal(ipc_get_str(&m).n, n);
    assert_int_equal(ipc_end(&m, &e), 0);
    ipc_fini(&r);
    ipc_fini(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_string_longer_than_payload),
        cmocka_unit_test(test_too_big_to_send),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
