/* Documents on disk: order, replacement, the cap, restarts; and the waits of backoff. */
#include "agent/backoff.h"
#include "agent/spool.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int setup(void **state)
{
    char template[] = "/tmp/bulkhead-spool-XXXXXX";
    *state = strdup(mkdtemp(template));
    return 0;
}

static int teardown(void **state)
{
    fs_remove_tree(*state, NULL);
    free(*state);
    return 0;
}

static void expect(struct spool *s, const char *name, const char *json)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct spool_document d;
    struct err e = ERR_INIT;
    int r = spool_next(s, a, &d, &e);
    if (!name) {
        assert_int_equal(r, 0);
        return;
    }
    assert_int_equal(r, 1);
    assert_string_equal(d.name, name);
    assert_true(str_eqc(d.json, json));
}

static uint64_t tag_of(struct spool *s)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct spool_document d;
    assert_int_equal(spool_next(s, a, &d, NULL), 1);
    return d.tag;
}

static void test_order_and_replacement(void **state)
{
    _cleanup_(spool_closep) struct spool *s = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(spool_open(*state, 1000, &s, &e), 0);
    expect(s, NULL, NULL);
    assert_int_equal(spool_put(s, SPOOL_report, STR("a"), STR("1"), &e), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("b"), STR("2"), &e), 0);
    expect(s, "a", "1");
    uint64_t tag = tag_of(s);
    /* a newer one of the same name goes to the end, and outlives the acknowledgement of the older */
    assert_int_equal(spool_put(s, SPOOL_report, STR("a"), STR("3"), &e), 0);
    spool_done(s, SPOOL_report, STR("a"), tag);
    assert_int_equal(spool_count(s), 2);
    expect(s, "b", "2");
    spool_done(s, SPOOL_report, STR("b"), tag_of(s));
    expect(s, "a", "3");
    spool_done(s, SPOOL_report, STR("a"), tag_of(s));
    expect(s, NULL, NULL);
}

static void test_restart(void **state)
{
    struct err e = ERR_INIT;
    _cleanup_(spool_closep) struct spool *s = NULL;
    assert_int_equal(spool_open(*state, 1000, &s, &e), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("z-first"), STR("1"), &e), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("a.second"), STR("2"), &e), 0);
    spool_close(TAKE(s));
    assert_int_equal(spool_open(*state, 1000, &s, &e), 0);
    assert_int_equal(spool_count(s), 2);
    expect(s, "z-first", "1");
    spool_done(s, SPOOL_report, STR("z-first"), tag_of(s));
    expect(s, "a.second", "2");
    spool_done(s, SPOOL_report, STR("a.second"), tag_of(s));
    spool_close(TAKE(s));
    assert_int_equal(spool_open(*state, 1000, &s, &e), 0);
    expect(s, NULL, NULL);
}

static void test_cap(void **state)
{
    _cleanup_(spool_closep) struct spool *s = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(spool_open(*state, 10, &s, &e), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("a"), STR("12345"), &e), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("b"), STR("12345"), &e), 0);
    assert_int_equal(spool_dropped(s), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("c"), STR("1"), &e), 0); /* the oldest goes */
    assert_int_equal(spool_dropped(s), 1);
    expect(s, "b", "12345");
    assert_int_equal(spool_put(s, SPOOL_report, STR("d"), STR("12345678901"), &e), -E2BIG);
    expect(s, "b", "12345");
}

static void test_names(void **state)
{
    _cleanup_(spool_closep) struct spool *s = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(spool_open(*state, 1000, &s, &e), 0);
    assert_int_equal(spool_put(s, SPOOL_report, STR("../../etc/x"), STR("1"), &e), -EINVAL);
    assert_int_equal(spool_put(s, SPOOL_report, STR(""), STR("1"), &e), -EINVAL);
    assert_int_equal(spool_put(s, SPOOL_report, STR("a\0b"), STR("1"), &e), -EINVAL);
}

static void test_backoff(void **state)
{
    struct backoff b = BACKOFF(1000, 60000);
    static const int64_t steps[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    bool differs = false;
    for (int round = 0; round < 20; round++) {
        int64_t first = 0;
        backoff_reset(&b);
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            int64_t w = backoff_next(&b);
            assert_in_range(w, steps[i] / 2, steps[i]);
            first = i == 7 ? w : first;
        }
        differs |= first != 60000;
    }
    assert_true(differs); /* jitter */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_replacement, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test(test_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
