#include "runtime/seed.h"

#include "base/cleanup.h"
#include "runtime/sensor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

/* Lines as dockerd, podman, containerd and CRI-O leave them in /proc/PID/cgroup. */
static void test_cgroup_id(void **state)
{
    static const struct {
        const char *line, *id;
    } cases[] = {
        {"0::/docker/" ID, ID},
        {"5:memory:/docker/" ID, ID},
        {"0::/system.slice/docker-" ID ".scope", ID},
        {"0::/machine.slice/libpod-" ID ".scope/container", ID},
        {"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope", ID},
        {"0::/kubepods/besteffort/pod1/crio-" ID, ID},
        {"0::/docker/" ID "/docker/" ID2, ID}, /* the outermost: a container cannot pose as another */
        {"0::/machine.slice/libpod-conmon-" ID ".scope", NULL},
        {"0::/user.slice", NULL},
        {"0::/docker/" ID "0", NULL},
        {"0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", NULL},
        {"0::/", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[BH_ID];
        bool found = seed_cgroup_id(str_c(cases[i].line), id);
        assert_int_equal(found, cases[i].id != NULL);
        if (found)
            assert_memory_equal(id, cases[i].id, BH_ID);
    }
}

static void test_words(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1 << 16);
    assert_true(str_eqc(sensor_file_flags(a, BH_FILE_UPPER | BH_FILE_COMPAT), "upper,compat"));
    assert_true(str_eqc(sensor_file_flags(a, 0), ""));
    struct bh_event raw = {.peer = {.family = 2, .port = 443, .addr = {10, 0, 0, 7}}};
    struct sensor_event ev = {.raw = &raw};
    assert_true(str_eqc(sensor_peer(a, &ev), "10.0.0.7:443"));
    ev.args = STR("a\0b\0");
    struct str args[4];
    assert_int_equal(sensor_args(&ev, args, 4), 2);
    assert_true(str_eqc(args[1], "b"));
}

/* A level that doctor promises is one that events may carry: every control the kernel decides has one on each tier. */
static void test_levels(void **state)
{
    assert_int_equal(sensor_control_level(SENSOR_LSM, CONTROL_drift), LEVEL_block);
    assert_int_equal(sensor_control_level(SENSOR_TRACE, CONTROL_drift), LEVEL_kill);
    assert_int_equal(sensor_control_level(SENSOR_TRACE, CONTROL_scripts), LEVEL_detect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cgroup_id), cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
