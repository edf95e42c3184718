/* base: the small parts in one table-driven file. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"
#include "base/time.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
// cmocka needs the four above
#include <cmocka.h>

static void test_arena(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(8u << 20);
    char *first = arena_alloc(a, 3);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 1; i < 3000; i += 7) {
            unsigned char *p = arena_alloc(a, i);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t k = 0; k < i; k++)
                assert_int_equal(p[k], 0);
            memset(p, 0xff, i);
        }
        arena_reset(a);
        assert_int_equal(arena_used(a), 0);
    }
    assert_ptr_equal(arena_alloc(a, 3), first);
    size_t cap = 0, *v = NULL;
    for (size_t i = 0; i < 5000; i++) {
        v = arena_grow(a, v, i, &cap, sizeof(*v));
        v[i] = i;
        if (i % 100 == 99)
            arena_alloc(a, 1); /* so that it also has to move */
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(v[i], i);
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    assert_string_equal(arena_cstr(a, STR_NONE), "");
    assert_true(str_eqc(arena_strf(a, "%04d", 12), "0012"));
}

static void test_buf(void **state)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1000);
    struct err e = ERR_INIT;
    assert_string_equal(buf_cstr(&b), "");
    for (int i = 0; i < 250; i++)
        assert_true(buf_printf(&b, "%04d", i));
    assert_int_equal(b.n, 1000);
    assert_int_equal(strlen(buf_cstr(&b)), 1000);
    assert_int_equal(buf_check(&b, &e), 0);
    assert_false(buf_putc(&b, 'x'));
    assert_int_equal(buf_check(&b, &e), -E2BIG);
    assert_int_equal(b.n, 1000);
    buf_reset(&b);
    assert_true(buf_putz(&b, "hello") && buf_puts(&b, STR(" world")));
    buf_drop(&b, 6);
    assert_string_equal(buf_cstr(&b), "world");
    memcpy(buf_room(&b, 3), "!!!", 3);
    b.n += 3;
    assert_string_equal(buf_cstr(&b), "world!!!");
    assert_null(buf_room(&b, 993));
}

static void test_err(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(err_set(&e, EBADMSG, "bad checksum at %d\n", 1024), -EBADMSG);
    assert_string_equal(e.msg, "bad checksum at 1024?");
    assert_int_equal(err_wrap(&e, "layer %s", "sha256:ab"), -EBADMSG);
    assert_string_equal(e.msg, "layer sha256:ab: bad checksum at 1024?");
    errno = ENOENT;
    assert_int_equal(err_errno(&e, "open %s", "/x"), -ENOENT);
    assert_string_equal(e.msg, "open /x: No such file or directory");
    assert_int_equal(err_set(NULL, EINVAL, "x"), -EINVAL);
    for (int i = 0; i < 200; i++)
        err_wrap(&e, "a long prefix");
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    assert_string_equal(e.msg + sizeof(e.msg) - 4, "...");
    assert_int_equal(err_exit_code(-EINVAL), 2);
    assert_int_equal(err_exit_code(EIO), 3);
    assert_int_equal(err_http_status(-ENOENT), 404);
    assert_int_equal(err_http_status(EIO), 500);
}

static void test_str(void **state)
{
    struct str rest = STR("a,b,"), s, l, r;
    assert_true(str_cut(&rest, ',', &s) && str_eqc(s, "a"));
    assert_true(str_cut(&rest, ',', &s) && str_eqc(s, "b"));
    assert_true(str_cut(&rest, ',', &s) && str_eqc(s, ""));
    assert_false(str_cut(&rest, ',', &s));
    rest = STR("");
    assert_false(str_cut(&rest, ',', &s));
    rest = STR(",");
    assert_true(str_cut(&rest, ',', &s) && s.n == 0);
    assert_true(str_cut(&rest, ',', &s) && s.n == 0);
    assert_false(str_cut(&rest, ',', &s));
    assert_true(str_split(STR("k=v=w"), '=', &l, &r) && str_eqc(l, "k") && str_eqc(r, "v=w"));
    assert_false(str_split(STR("kv"), '=', &l, &r));
    assert_true(str_eqc(l, "kv") && r.n == 0);
    assert_true(str_ieq(STR("AbZ@"), STR("aBz@")) && !str_ieq(STR("@"), STR("`")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0 && str_cmp(STR("b"), STR("ab")) > 0 && !str_cmp(STR(""), STR_NONE));
    assert_int_equal(str_find(STR("hello"), STR("lo")), 3);
    assert_int_equal(str_find(STR("hello"), STR("x")), -1);
    assert_int_equal(str_rchr(STR("a/b/c"), '/'), 3);
    assert_true(str_eqc(str_trim(STR(" \t x y\n")), "x y"));
    assert_true(str_eqc(str_sub(STR("abc"), 1, 9), "bc") && str_sub(STR("abc"), 5, 2).n == 0);
    assert_true(str_ends(STR("a.gz"), STR(".gz")) && str_starts(STR("a.gz"), STR("a.")));
}

static void test_numbers(void **state)
{
    uint64_t u;
    int64_t i;
    double d;
    assert_int_equal(str_u64(STR("18446744073709551615"), &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(str_u64(STR("18446744073709551616"), &u), -ERANGE);
    const char *bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0"};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_int_equal(str_u64(str_c(bad[k]), &u), -EINVAL);
    assert_int_equal(str_i64(STR("-9223372036854775808"), &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(str_i64(STR("9223372036854775808"), &i), -ERANGE);
    assert_int_equal(str_double(STR("-0.5e-3"), &d), 0);
    assert_true(d == -0.5e-3);
    const char *bad_double[] = {"", "-", ".5", "5.", "01", "1e", "inf", "nan", "0x1p3", "+1", "1,5"};
    for (size_t k = 0; k < ARRAY_LEN(bad_double); k++)
        assert_int_equal(str_double(str_c(bad_double[k]), &d), -EINVAL);
    assert_int_equal(str_double(STR("1e999"), &d), -ERANGE);
    struct {
        const char *s;
        uint64_t v;
    } sizes[] = {{"100", 100}, {"512k", 512 << 10}, {"256MB", 256 << 20}, {"1G", 1 << 30}, {"2GiB", UINT64_C(2) << 30}};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        assert_int_equal(str_size(str_c(sizes[k].s), &u), 0);
        assert_true(u == sizes[k].v);
    }
    assert_int_equal(str_size(STR("1X"), &u), -EINVAL);
    assert_int_equal(str_size(STR("MB"), &u), -EINVAL);
    assert_int_equal(str_size(STR("99999999999T"), &u), -ERANGE);
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *s;
        bool flat, match;
    } t[] = {
        {"/usr/bin/*", "/usr/bin/ls", false, true},
        {"/usr/bin/*", "/usr/bin/x/ls", false, false},
        {"/usr/**", "/usr/bin/x/ls", false, true},
        {"/usr/**/ls", "/usr/bin/x/ls", false, true},
        {"/usr/**/l?", "/usr/bin/x/ls", false, true},
        {"/usr/**/l*z", "/usr/bin/x/ls", false, false},
        {"**/a*b/c", "/a/aXb/aYb/c", false, true},
        {"**/a*b/c", "/a/aXb/aYb/d/c", false, false},
        {"*", "", false, true},
        {"*", "a/b", false, false},
        {"**", "a/b", false, true},
        {"?", "/", false, false},
        {"?", "/", true, true},
        {"", "", false, true},
        {"", "a", false, false},
        {"web-*", "web-1", false, true},
        {"registry.example/shop/*", "registry.example/shop/a/b:1", true, true},
        {"*", "registry.example/shop/a/b:1", true, true},
        {"*a*b*c", "xxaxxbxxbxxc", false, true},
        {"*a*b*c", "xxaxxbxxbxxcd", false, false},
        {"/bin/[x]", "/bin/x", false, false},
        {"***x", "a/b/x", false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (str_glob(str_c(t[i].pattern), str_c(t[i].s), t[i].flat) != t[i].match)
            fail_msg("glob %s on %s", t[i].pattern, t[i].s);
}

/* The definition, word for word; exponential, so for short texts only. */
static bool glob_by_definition(const char *p, const char *s)
{
    if (!*p)
        return !*s;
    if (*p == '*') {
        bool wide = p[1] == '*';
        while (*p == '*')
            p++;
        for (;; s++) {
            if (glob_by_definition(p, s))
                return true;
            if (!*s || (!wide && *s == '/'))
                return false;
        }
    }
    return *s && (*p == '?' ? *s != '/' : *p == *s) && glob_by_definition(p + 1, s + 1);
}

static void test_glob_random(void **state)
{
    uint32_t x = 1;
    for (int i = 0; i < 300000; i++) {
        char p[16] = "", s[16] = "";
        x = x * 1103515245 + 12345;
        size_t pn = (x >> 16) % 9, sn = (x >> 20) % 13;
        for (size_t k = 0; k < pn + sn; k++) {
            x = x * 1103515245 + 12345;
            if (k < pn)
                p[k] = "a*b/*?*"[(x >> 16) % 7];
            else
                s[k - pn] = "aab/"[(x >> 16) % 4];
        }
        if (str_glob(str_c(p), str_c(s), false) != glob_by_definition(p, s))
            fail_msg("glob %s on %s", p, s);
    }
    /* no pattern makes it slow */
    static char text[4096], pattern[4096];
    memset(text, 'a', sizeof(text));
    memset(pattern, 'a', sizeof(pattern));
    memcpy(pattern, "**a*", 4);
    pattern[2000] = 'b';
    int64_t start = time_monotonic();
    for (int i = 0; i < 10; i++)
        assert_false(str_glob(str_n(pattern, 4095), str_n(text, 4096), false) ||
                     str_glob(STR("**a*a*a*a*a*a*b"), str_n(text, 4096), false));
    assert_true(time_monotonic() - start < 20 * TIME_SECOND); /* it was minutes */
}

static void test_utf8(void **state)
{
    assert_true(str_utf8(STR("")) && str_utf8(STR("plain ascii text")) &&
                str_utf8(STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    const char *bad[] = {"\x80",
                         "\xc0\xaf",
                         "\xc3",
                         "\xe0\x80\xaf",
                         "\xed\xa0\x80",
                         "\xf4\x90\x80\x80",
                         "\xf5\x80\x80\x80",
                         "aaaaaaaa\xff",
                         "\xe2\x82",
                         "\xf0\x8f\xbf\xbf"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(str_utf8(str_c(bad[i])));
}

static void test_encode(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    char hex[9];
    unsigned char raw[4];
    struct str s;
    hex_encode("\xde\xad\xbe\xef", 4, hex);
    assert_string_equal(hex, "deadbeef");
    assert_int_equal(hex_decode(STR("DEADbeef"), raw, 4), 0);
    assert_memory_equal(raw, "\xde\xad\xbe\xef", 4);
    assert_int_equal(hex_decode(STR("deadbee"), raw, 4), -EINVAL);
    assert_int_equal(hex_decode(STR("deadbeeg"), raw, 4), -EINVAL);
    /* RFC 4648, section 10 */
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        assert_true(str_eqc(base64_encode(a, str_c(vectors[i][0])), vectors[i][1]));
        assert_int_equal(base64_decode(a, str_c(vectors[i][1]), &s), 0);
        assert_true(str_eqc(s, vectors[i][0]));
    }
    assert_true(str_eqc(base64url_encode(a, STR("\xfb\xff")), "-_8"));
    const char *bad[] = {"Z", "Zg=", "Zg===", "Zh==", "Z g=", "Zm9v=", "===="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(base64_decode(a, str_c(bad[i]), &s), -EINVAL);
    char u[3][ULID_TEXT];
    ulid_make(1700000000000000, u[0]);
    ulid_make(1700000000000000, u[1]);
    ulid_make(1700000000001000, u[2]);
    assert_true(strcmp(u[0], u[1]) < 0 && strcmp(u[1], u[2]) < 0);
    assert_memory_equal(u[0], "01HF7YAT00", 10);
}

static void test_map(void **state)
{
    _cleanup_(map_freep) struct map *m = map_new(1000);
    static int values[1000];
    char key[16];
    assert_null(map_get(m, STR("x")));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_null(map_put(m, str_c(key), &values[i]));
    }
    assert_ptr_equal(map_put(m, STR("k7"), &values[8]), &values[7]);
    assert_int_equal(map_count(m), 1000);
    int i = 0;
    MAP_EACH (m, it) {
        snprintf(key, sizeof(key), "k%d", i++);
        assert_string_equal(it->key.p, key);
    }
    for (struct map_entry *it = map_next(m, NULL), *next; it; it = next) {
        next = map_next(m, it);
        if (it->value != &values[8])
            assert_non_null(map_del(m, it->key));
    }
    assert_int_equal(map_count(m), 2);
    assert_true(map_has(m, STR("k7")) && map_has(m, STR("k8")) && !map_has(m, STR("k9")));
    assert_null(map_put(m, STR_NONE, &values[1]));
    assert_ptr_equal(map_get(m, STR("")), &values[1]);
}

static void test_time(void **state)
{
    char text[TIME_TEXT];
    int64_t t;
    static const struct {
        const char *s;
        int64_t us;
        const char *out;
    } good[] = {
        {"1970-01-01", 0, "1970-01-01T00:00:00.000000Z"},
        {"2026-11-23T17:00:00.000001Z", INT64_C(1795453200000001), "2026-11-23T17:00:00.000001Z"},
        {"2026-11-23T19:00:00+02:00", INT64_C(1795453200000000), "2026-11-23T17:00:00.000000Z"},
        {"2000-02-29T23:59:59.123456789Z", INT64_C(951868799123456), "2000-02-29T23:59:59.123456Z"},
        {"1969-12-31T23:59:59.5Z", -500000, "1969-12-31T23:59:59.500000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(time_parse(str_c(good[i].s), &t), 0);
        assert_true(t == good[i].us);
        assert_string_equal(time_format(t, text), good[i].out);
    }
    const char *bad[] = {"",
                         "2026",
                         "2026-13-01",
                         "2023-02-29",
                         "2026-11-23T17:00:00",
                         "2026-11-23T24:00:00Z",
                         "2026-11-23T17:00:00.Z",
                         "2026-11-23T17:00Z",
                         "2026-11-23x",
                         "2026-11-23T17:00:00+0200"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(time_parse(str_c(bad[i]), &t), -EINVAL);
    assert_int_equal(duration_parse(STR("14d"), &t), 0);
    assert_true(t == 14 * TIME_DAY);
    assert_int_equal(duration_parse(STR("2w"), &t), 0);
    assert_true(t == 14 * TIME_DAY);
    const char *bad_duration[] = {"", "d", "14", "-1d", "1.5h", "1y", "9999999999999999d", "1 d"};
    for (size_t i = 0; i < ARRAY_LEN(bad_duration); i++)
        assert_int_equal(duration_parse(str_c(bad_duration[i]), &t), -EINVAL);
    assert_true(strlen(time_format(TIME_NEVER, text)) < TIME_TEXT);
}

static void test_fs(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct err e = ERR_INIT;
    char dir[] = "/tmp/bulkhead-fs-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *deep = arena_printf(a, "%s/a/b/c", dir), *file = arena_printf(a, "%s/file", deep);
    struct str s;
    struct stat st;
    assert_int_equal(fs_mkdirs(deep, 0700, &e), 0);
    assert_int_equal(fs_mkdirs(deep, 0700, &e), 0);
    assert_int_equal(fs_write(file, STR("one"), 0640, &e), 0);
    assert_int_equal(fs_write(file, STR("second"), 0640, &e), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(fs_read(a, file, 6, &s, &e), 0);
    assert_string_equal(s.p, "second");
    assert_int_equal(fs_read(a, file, 5, &s, &e), -E2BIG);
    assert_int_equal(fs_read(a, deep, 5, &s, &e), -EISDIR);
    assert_int_equal(fs_read(a, "/nonexistent", 5, &s, &e), -ENOENT);
    assert_string_equal(e.msg, "/nonexistent: No such file or directory");
    assert_int_equal(fs_read(a, "/proc/self/status", 1u << 16, &s, &e), 0); /* its size says 0 */
    assert_true(s.n > 100);
    assert_int_equal(fs_mkdirs(arena_printf(a, "%s/x", file), 0700, &e), -ENOTDIR);
    int lock, again;
    const char *held = arena_printf(a, "%s/lock", dir);
    assert_int_equal(fs_lock(held, &lock, &e), 0);
    assert_int_equal(fs_lock(held, &again, &e), -EBUSY);
    close(lock);
    assert_int_equal(fs_lock(held, &lock, &e), 0);
    close(lock);
    assert_int_equal(symlink("/etc", arena_printf(a, "%s/a/link", dir)), 0);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
    assert_false(fs_exists(dir));
    assert_true(fs_exists("/etc"));
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

static atomic_int ran;
static void count(void *arg)
{
    atomic_fetch_add(&ran, 1);
}

static void test_pool(void **state)
{
    struct pool *p = pool_new(3, 64);
    int queued = 0;
    for (int i = 0; i < 5000; i++)
        queued += pool_run(p, count, NULL);
    pool_free(p);
    assert_int_equal(ran, queued);
    assert_true(queued >= 64);
}

static void test_log(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    char path[] = "/tmp/bulkhead-log-XXXXXX", big[3000];
    int fd = mkostemp(path, O_CLOEXEC), saved = dup(STDERR_FILENO);
    struct str text, line;
    struct err e = ERR_INIT;
    memset(big, '"', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_true(fd >= 0 && saved >= 0);
    dup2(fd, STDERR_FILENO);
    log_setup("prog", LOG_WARN_, false);
    log_error("one\ntwo %d", 2);
    log_warn("careful");
    log_info("not shown");
    log_setup("prog", LOG_INFO_, true);
    log_info("q\"\\\x01 \xc3\xa9");
    log_error("bad \xff");
    log_error("%s", big);
    dup2(saved, STDERR_FILENO);
    close(saved);
    log_setup("bulkhead", LOG_WARN_, false);
    assert_int_equal(fs_read(a, path, 1u << 20, &text, &e), 0);
    close(fd);
    unlink(path);
    assert_true(str_cut(&text, '\n', &line) && str_eqc(line, "prog: one?two 2"));
    assert_true(str_cut(&text, '\n', &line) && str_eqc(line, "prog: warning: careful"));
    assert_true(
        str_cut(&text, '\n', &line) && str_starts(line, STR("{\"time\":\"20")) &&
        str_ends(line, STR("\"level\":\"info\",\"program\":\"prog\",\"message\":\"q\\\"\\\\\\u0001 \xc3\xa9\"}")));
    assert_true(str_cut(&text, '\n', &line) && str_ends(line, STR("\"message\":\"bad ?\"}")));
    assert_true(str_cut(&text, '\n', &line) && str_ends(line, STR("\\\"\"}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),       cmocka_unit_test(test_buf),     cmocka_unit_test(test_err),
        cmocka_unit_test(test_str),         cmocka_unit_test(test_numbers), cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_random), cmocka_unit_test(test_utf8),    cmocka_unit_test(test_encode),
        cmocka_unit_test(test_map),         cmocka_unit_test(test_time),    cmocka_unit_test(test_fs),
        cmocka_unit_test(test_pool),        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
