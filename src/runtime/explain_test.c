#include "runtime/explain.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct bh_event raw_event(void)
{
    struct bh_event r = {
        .type = BH_EXEC, .known = 1, .mode = BH_ENFORCE, .pid = 900000010, .ns_pid = 7, .uid = 33, .ns_uid = 33};
    r.file.flags = BH_FILE_UPPER;
    r.file.ino = 42;
    return r;
}

/* Whatever the kernel side says, an event never claims more than the contract lets it. */
static void never_claims_too_much(void **state)
{
    (void)state;
    for (int o = OUTCOME_detected; o <= OUTCOME_responded; o++)
        for (int l = LEVEL_detect; l <= LEVEL_block; l++)
            for (int mode = BH_LEARN; mode <= BH_ENFORCE; mode++)
                for (int action = ACTION_off; action <= ACTION_block; action++) {
                    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
                    struct bh_event r = raw_event();
                    r.mode = (__u8)mode;
                    struct sensor_event s = {.raw = &r,
                                             .id = STR(HEX),
                                             .exe = STR("/tmp/x"),
                                             .type = EVENT_TYPE_exec,
                                             .control = CONTROL_drift,
                                             .action = (enum event_action)action,
                                             .level = (enum event_level)l,
                                             .would = LEVEL_kill,
                                             .outcome = (enum event_outcome)o};
                    struct explain_context c = {.policy_name = STR("web"), .policy_revision = 12};
                    struct event ev;
                    struct json_value *d;
                    explain(a, &s, &c, &ev);
                    if (ev.outcome == OUTCOME_prevented)
                        assert_int_equal(ev.level, LEVEL_block);
                    else if (ev.outcome == OUTCOME_killed)
                        assert_int_equal(ev.level, LEVEL_kill);
                    else
                        assert_int_equal(ev.level, LEVEL_detect);
                    assert_int_not_equal(ev.outcome, OUTCOME_responded);
                    assert_int_equal(json_parse(a, ev.detail, 0, &d, NULL), 0);
                    bool would = json_get(d, "would") != NULL;
                    assert_int_equal(would,
                                     mode != BH_ENFORCE && action == ACTION_block && ev.outcome == OUTCOME_detected);
                    assert_int_equal(ev.severity, SEVERITY_critical);
                }
}

static void names_what_happened(void **state)
{
    (void)state;
    static const struct {
        enum event_control control;
        enum event_type type;
        uint32_t flags;
        bool learned;
        const char *rule;
        uint64_t arg[4];
    } table[] = {
        {CONTROL_drift, EVENT_TYPE_exec, BH_FILE_UPPER, false, "Drop and execute"},
        {CONTROL_drift, EVENT_TYPE_mmap, BH_FILE_UPPER, false, "Drop and load a library"},
        {CONTROL_drift, EVENT_TYPE_exec, BH_FILE_FOREIGN, false, "Execute from a volume"},
        {CONTROL_drift, EVENT_TYPE_exec, BH_FILE_FOREIGN | BH_FILE_TMPFS, false, "Drop and execute in memory"},
        {CONTROL_fileless, EVENT_TYPE_exec, BH_FILE_MEMFD, false, "Program without a file"},
        {CONTROL_fileless, EVENT_TYPE_exec, BH_FILE_DELETED, false, "Deleted program executed"},
        {CONTROL_process_allow, EVENT_TYPE_exec, BH_FILE_LOWER, false, "Program outside of the allow list"},
        {CONTROL_process_allow, EVENT_TYPE_exec, BH_FILE_LOWER, true, "Program outside of the learned profile"},
        {CONTROL_escape, EVENT_TYPE_open, 0, false, "Kernel hook opened for writing", {1, 0, 0, BH_ESCAPE_HOOK}},
        {CONTROL_escape,
         EVENT_TYPE_connect,
         0,
         false,
         "Container engine's socket reached",
         {0, 0, 0, BH_ESCAPE_ENGINE}},
        {CONTROL_escape, EVENT_TYPE_call, 0, false, "Way out of the container", {0, 0, 0, BH_ESCAPES}},
        {CONTROL_files, EVENT_TYPE_open, 0, false, "Denied file opened", {O_RDONLY}},
        {CONTROL_files, EVENT_TYPE_open, 0, false, "Protected file opened for writing", {O_RDWR}},
        {CONTROL_files, EVENT_TYPE_change, 0, false, "Protected file changed", {BH_CHANGE_RENAME}},
        {CONTROL_files, EVENT_TYPE_change, 0, false, "Watched file changed", {BH_CHANGE_MODE, 0600, BH_WATCHED}},
        {CONTROL_setuid_files, EVENT_TYPE_change, 0, false, "Set-uid file made", {BH_CHANGE_MODE, 04755}},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
        struct bh_event r = raw_event();
        r.file.flags = table[i].flags;
        memcpy(r.arg, table[i].arg, sizeof(r.arg));
        struct sensor_event s = {.raw = &r,
                                 .id = STR(HEX),
                                 .exe = STR("/tmp/x"),
                                 .type = table[i].type,
                                 .control = table[i].control,
                                 .action = ACTION_block,
                                 .level = LEVEL_kill,
                                 .outcome = OUTCOME_killed};
        struct explain_context c = {.policy_name = STR("web"), .learned = table[i].learned};
        struct event ev;
        explain(a, &s, &c, &ev);
        assert_true(str_eqc(ev.rule, table[i].rule));
        assert_int_equal(ev.outcome, OUTCOME_killed);
        assert_true(str_has(ev.detail, STR("\"mitre\":[")));
    }
}

static void adds_what_the_tree_knows(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct processes *t = processes_new(0);
    struct process shell = {.pid = 900000009, .exe = STR("/usr/bin/apt-get"), .id = HEX};
    struct process self = {
        .pid = 900000010, .ppid = 900000009, .exe = STR("/usr/bin/dpkg"), .args = str_n("dpkg\0-i", 7), .id = HEX};
    processes_exec(t, &shell);
    processes_exec(t, &self);
    struct bh_event r = raw_event();
    r.type = BH_MMAP;
    struct sensor_event s = {.raw = &r,
                             .id = STR(HEX),
                             .type = EVENT_TYPE_mmap,
                             .control = CONTROL_drift,
                             .action = ACTION_block,
                             .level = LEVEL_kill,
                             .outcome = OUTCOME_killed};
    struct explain_context c = {.tree = t, .policy_name = STR("web")};
    struct event ev;
    explain(a, &s, &c, &ev);
    assert_true(str_eqc(ev.process.exe, "/usr/bin/dpkg"));
    assert_int_equal(ev.process.args_n, 2);
    assert_true(str_eqc(ev.process.args[1], "-i"));
    assert_int_equal(ev.process.parents_n, 1);
    assert_true(str_has(ev.detail, STR("\"installed_by\":\"/usr/bin/apt-get\"")));
    processes_free(t);
}

static void telemetry_is_quiet(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct bh_event r = raw_event();
    r.file.flags = BH_FILE_LOWER;
    struct sensor_event s = {
        .raw = &r, .id = STR(HEX), .exe = STR("/bin/ls"), .type = EVENT_TYPE_exec, .outcome = OUTCOME_allowed};
    struct explain_context c = {.policy_name = STR("web")};
    struct event ev;
    explain(a, &s, &c, &ev);
    assert_int_equal(ev.action, ACTION_off);
    assert_int_equal(ev.severity, SEVERITY_info);
    assert_int_equal(ev.outcome, OUTCOME_allowed);
    assert_int_equal(ev.rule.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_claims_too_much),
        cmocka_unit_test(names_what_happened),
        cmocka_unit_test(adds_what_the_tree_knows),
        cmocka_unit_test(telemetry_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
