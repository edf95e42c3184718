/* api/event.schema.json against the closed lists of event.tbl.h, and against events as we write them. */
#include "base/fs.h"
#include "format/event.h"
#include "format/schema_check.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static struct json_value *schema_load(struct arena *a)
{
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct err e = ERR_INIT;
    struct str text;
    struct json_value *v = NULL;
    if (!data)
        skip();
    if (fs_read(a, arena_printf(a, "%s/../../api/event.schema.json", data), 1u << 20, &text, &e) < 0 ||
        json_parse(a, text, 0, &v, &e) < 0)
        fail_msg("%s", e.msg);
    return v;
}

static void test_lists(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    const struct json_value *schema = schema_load(a);
    static const char *const keys[] = {"type", "control", "severity", "action", "level", "outcome"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *const *names;
        size_t n = 0, names_n = event_names((enum event_list)i, &names);
        JSON_EACH (json_get(json_get(json_get(schema, "properties"), keys[i]), "enum"), it) {
            if (n >= names_n || !str_eqc(it->text, names[n]))
                fail_msg("%s: the schema's %s is not in event.tbl.h at this place", keys[i], it->text.p);
            n++;
        }
        if (n != names_n)
            fail_msg("%s: the schema lacks %s", keys[i], names[n]);
    }
}

static const char *checked(struct arena *a, const struct json_value *schema, const struct event *ev)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT);
    struct json_writer w = JSON_WRITER(&b);
    struct json_value *v;
    struct err e = ERR_INIT;
    event_write(&w, ev);
    if (json_parse(a, buf_str(&b), 0, &v, &e) < 0)
        fail_msg("%s", e.msg);
    return schema_check(schema, schema, v);
}

static void test_events(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    const struct json_value *schema = schema_load(a);
    const char *bad;
    struct event ev = {.id = "01JD0000000000000000000000", .time = 1, .seq = 1, .host = STR("h")};
    const char *const *names;
    const size_t controls = event_names(EVENT_LIST_CONTROL, &names),
                 severities = event_names(EVENT_LIST_SEVERITY, &names), types = event_names(EVENT_LIST_TYPE, &names);
    /* every type, with and without container and process */
    for (size_t i = 0; i < types; i++)
        for (int full = 0; full < 2; full++) {
            struct str args[] = {STR("a"), STR("\xff")};
            struct event x = ev;
            x.type = (enum event_type)i;
            x.control = (enum event_control)(i % controls);
            x.severity = (enum event_severity)(i % severities);
            if (x.type == EVENT_TYPE_gap)
                x.detail = STR("{\"from\":1,\"to\":2,\"count\":2,\"reason\":\"ring buffer\"}");
            if (full) {
                x.container.id = STR("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
                x.process = (struct event_process){.pid = 1, .exe = STR("/x"), .args = args, .args_n = 2};
                x.user_name = STR("u");
                x.policy_name = STR("p");
            }
            if ((bad = checked(a, schema, &x)))
                fail_msg("%s: %s", names[i], bad);
        }
    /* the outcome tells what acted, or it is no event */
    static const struct {
        enum event_outcome outcome;
        enum event_level level;
        bool fine;
    } t[] = {
        {OUTCOME_prevented, LEVEL_block, true},   {OUTCOME_prevented, LEVEL_kill, false},
        {OUTCOME_killed, LEVEL_kill, true},       {OUTCOME_killed, LEVEL_block, false},
        {OUTCOME_responded, LEVEL_respond, true}, {OUTCOME_responded, LEVEL_detect, false},
        {OUTCOME_detected, LEVEL_detect, true},   {OUTCOME_allowed, LEVEL_block, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        ev.outcome = t[i].outcome;
        ev.level = t[i].level;
        assert_true(!checked(a, schema, &ev) == t[i].fine);
    }
    ev.container.id = STR("short");
    assert_string_equal(checked(a, schema, &ev), "pattern");
    ev.container.id = STR_NONE;
    ev.type = EVENT_TYPE_gap;
    assert_non_null(checked(a, schema, &ev)); /* a gap says what is missing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists), cmocka_unit_test(test_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
