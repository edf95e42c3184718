#include "runtime/profile.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#define IMAGE  STR("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
#define MINUTE (60 * TIME_SECOND)

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/bh-profile-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fs_remove_tree(dir, NULL);
    return 0;
}

struct told {
    int stable, unstable;
};

static void tell(void *ctx, const struct profile *p)
{
    struct told *t = ctx;
    p->stable ? t->stable++ : t->unstable++;
}

static bool see(struct profiles *ps, struct str path, struct str parent, int64_t uid, int64_t now)
{
    return profiles_observe(ps, IMAGE, STR("shop/web:7"),
                            &(struct profile_seen){.path = path, .parent = parent, .uid = uid, .where = "image"}, now);
}

static void learns_until_stable(void **state)
{
    (void)state;
    struct told t = {0};
    int64_t now = time_now();
    struct profiles *ps = profiles_new(dir, 3, 10 * MINUTE);
    profiles_started(ps, IMAGE, STR("shop/web:7"), now);
    assert_true(see(ps, STR("/bin/sh"), STR(""), 0, now));
    assert_true(see(ps, STR("/usr/sbin/nginx"), STR("/bin/sh"), 33, now));
    assert_false(see(ps, STR("/bin/sh"), STR("/usr/sbin/nginx"), 33, now));
    profiles_tick(ps, now + 11 * MINUTE, tell, &t);
    assert_int_equal(t.stable, 0); /* long enough, but not enough starts */
    for (int i = 0; i < 3; i++)
        profiles_started(ps, IMAGE, STR("shop/web:7"), now);
    profiles_tick(ps, now + 9 * MINUTE, tell, &t);
    assert_int_equal(t.stable, 0); /* enough starts, but not long enough */
    profiles_tick(ps, now + 11 * MINUTE, tell, &t);
    profiles_tick(ps, now + 12 * MINUTE, tell, &t);
    assert_int_equal(t.stable, 1); /* told once */
    assert_true(profiles_get(ps, IMAGE)->stable);
    profiles_free(ps);

    ps = profiles_new(dir, 3, 10 * MINUTE); /* a new agent: nothing forgotten */
    const struct profile *p = profiles_get(ps, IMAGE);
    assert_non_null(p);
    assert_true(p->stable);
    assert_int_equal(p->starts, 4);
    assert_int_equal(p->executables_n, 2);
    assert_true(str_eqc(p->executables[0].path, "/bin/sh"));
    assert_int_equal(p->executables[0].count, 2);
    assert_int_equal(p->executables[0].users_n, 2);
    assert_int_equal(p->executables[0].parents_n, 2);
    assert_true(see(ps, STR("/bin/new"), STR(""), 0, now + 20 * MINUTE));
    profiles_tick(ps, now + 20 * MINUTE, tell, &t);
    assert_int_equal(t.unstable, 1);
    profiles_free(ps);
}

static void bounded(void **state)
{
    (void)state;
    struct told t = {0};
    int64_t now = time_now();
    struct profiles *ps = profiles_new(dir, 0, 0);
    for (unsigned i = 0; i < PROFILE_EXECUTABLES + 10; i++) {
        char path[64];
        int n = snprintf(path, sizeof(path), "/tmp/random-%u", i);
        see(ps, str_n(path, (size_t)n), STR(""), (int64_t)i, now);
    }
    const struct profile *p = profiles_get(ps, IMAGE);
    assert_int_equal(p->executables_n, PROFILE_EXECUTABLES);
    assert_true(p->overflow);
    profiles_tick(ps, now + MINUTE, tell, &t);
    assert_int_equal(t.stable, 0);
    for (unsigned i = 0; i < 100; i++)
        see(ps, STR("/tmp/random-1"), STR(""), (int64_t)i, now);
    assert_int_equal(p->executables[1].users_n, PROFILE_USERS);
    profiles_free(ps);
}

static void writes_a_policy(void **state)
{
    (void)state;
    struct profiles *ps = profiles_new(dir, 1, 0);
    see(ps, STR("/usr/bin/with \"quotes\""), STR(""), 0, time_now());
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    profile_policy(&b, profiles_get(ps, IMAGE), "enforce");
    struct str s = buf_str(&b);
    assert_true(str_starts(s, STR("kind: ContainerPolicy\nname: shop-web-7-learned\nmode: enforce\n")));
    assert_true(str_has(s, STR("images: [\"shop/web:7\"]")));
    assert_true(str_has(s, STR("    - \"/usr/bin/with \\\"quotes\\\"\"\n")));
    profiles_free(ps);
}

static void bad_input(void **state)
{
    (void)state;
    struct profiles *ps = profiles_new(dir, 1, 0);
    assert_false(profiles_observe(ps, STR("../../etc/passwd"), STR("x"),
                                  &(struct profile_seen){.path = STR("/x"), .where = "image"}, 1));
    assert_null(profiles_get(ps, STR("sha256:zz")));
    profiles_free(ps);
    static const char *const broken[] = {"{}", "[]", "{\"image_id\":\"sha256:../x\",\"executables\":[]}",
                                         "{\"image_id\":\"x\",\"executables\":{}}"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct json_value *v;
        struct profile p;
        assert_int_equal(json_parse(a, str_c(broken[i]), 0, &v, NULL), 0);
        assert_int_equal(profile_read(a, v, &p, NULL), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(learns_until_stable, setup, teardown),
        cmocka_unit_test_setup_teardown(bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_a_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_input, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
