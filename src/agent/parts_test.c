/* The pure parts of the agent: configuration, the inbox, the engine's own files. */
#include "agent/agent.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void reads_options(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct config c = {0};
    struct err e = ERR_INIT;
    assert_int_equal(
        config_read(a,
                    STR("state: /x\npolicy: [/a, /b]\nengine: unix:///s\ntelemetry: true\nlearn-time: 2h\ntier: lsm\n"),
                    &c, &e),
        0);
    assert_string_equal(c.state, "/x");
    assert_int_equal(c.policy.n, 2);
    assert_string_equal(c.policy.v[1], "/b");
    assert_int_equal(c.engine.n, 1);
    assert_true(c.telemetry);
    assert_int_equal(c.learn_time, 7200 * TIME_SECOND);
    assert_int_equal(c.tier, SENSOR_LSM);
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"stat: /x\n", "line 1: there is no option \"stat\""},
        {"\nlearn-time: soon\n", "line 2: learn-time: expected a duration"},
        {"state: [a]\n", "state: expected one value"},
        {"telemetry: perhaps\n", "telemetry: expected true or false"},
        {"config: /x\n", "there is no option \"config\""},
        {"- a\n", "expected \"option: value\" lines"},
        {"state: [\n", "line 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config other = {0};
        assert_int_equal(config_read(a, str_c(bad[i].text), &other, &e), -EINVAL);
        if (!str_has(str_c(e.msg), str_c(bad[i].error)))
            fail_msg("%s: %s", bad[i].text, e.msg);
    }
    char *const argv[] = {(char[]){"bulkhead-agent"}, (char[]){"--state=/y"}, (char[]){"--events"}, (char[]){"-"},
                          (char[]){"--telemetry"}};
    assert_int_equal(config_parse(a, 5, (char **)argv, &c, &e), 0);
    assert_string_equal(c.state, "/y");
    assert_string_equal(c.events, "-");
    assert_int_equal(c.learn_starts, 3);
    char *const unknown[] = {(char[]){"bulkhead-agent"}, (char[]){"--nonsense"}};
    assert_int_equal(config_parse(a, 2, (char **)unknown, &c, &e), -EINVAL);
    char *const rules[] = {(char[]){"bulkhead-agent"}, (char[]){"--rules"}, (char[]){"x"}};
    assert_int_equal(config_parse(a, 3, (char **)rules, &c, &e), 0);
    assert_string_equal(c.rules.v[0], "x");
}

/* Every combination of outcome and level: only those of the contract come in. */
static void takes_only_events(void **state)
{
    (void)state;
    static const char *const outcomes[] = {"detected", "allowed", "prevented", "killed", "responded"};
    static const char *const levels[] = {"detect", "respond", "kill", "block"};
    for (size_t o = 0; o < ARRAY_LEN(outcomes); o++)
        for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
            _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
            struct event ev;
            bool fine = !strcmp(outcomes[o], "prevented")   ? !strcmp(levels[l], "block")
                        : !strcmp(outcomes[o], "killed")    ? !strcmp(levels[l], "kill")
                        : !strcmp(outcomes[o], "responded") ? !strcmp(levels[l], "respond")
                                                            : true;
            struct str text = arena_strf(
                a,
                "{\"id\":null,\"time\":\"2026-11-23T17:00:00Z\",\"type\":\"gate\",\"control\":\"image\",\"rule\":\"x\","
                "\"severity\":\"high\",\"action\":\"block\",\"level\":\"%s\",\"outcome\":\"%s\","
                "\"container\":{\"id\":\"" HEX "\",\"name\":\"web\",\"labels\":{\"a\":\"b\"}},\"detail\":{\"k\":[1]}}",
                levels[l], outcomes[o]);
            assert_int_equal(inbox_event(a, text, &ev, NULL), fine ? 0 : -EBADMSG);
            if (!fine)
                continue;
            assert_int_equal(ev.type, EVENT_TYPE_gate);
            assert_true(str_eqc(ev.container.name, "web"));
            assert_true(str_eqc(ev.detail, "{\"k\":[1]}"));
            assert_int_equal(ev.time, INT64_C(1795453200000000));
        }
}

static void refuses_other_files(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"type\":\"gate\"}",
        "{\"type\":\"nonsense\",\"control\":\"image\",\"severity\":\"high\",\"action\":\"block\",\"level\":\"block\","
        "\"outcome\":\"prevented\"}",
        "{\"type\":\"unknown\",\"control\":\"image\",\"severity\":\"high\",\"action\":\"block\",\"level\":\"block\","
        "\"outcome\":\"prevented\"}",
        "{\"type\":\"gate\",\"control\":\"image\",\"severity\":\"high\",\"action\":\"block\",\"level\":\"block\","
        "\"outcome\":\"prevented\",\"container\":{\"id\":\"../x\"}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct event ev;
        assert_true(inbox_event(a, str_c(bad[i]), &ev, NULL) < 0);
    }
}

static void reads_what_docker_keeps(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct subject s;
    /* shape of config.v2.json as dockerd 20.10 writes it */
    assert_int_equal(
        containers_parse_docker(
            a,
            STR("{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Pid\":812},\"ID\":\"" HEX
                "\",\"Created\":\"2026-11-23T17:00:00Z\","
                "\"Config\":{\"Image\":\"shop/web:7\",\"Labels\":{\"team\":\"shop\"}},\"Image\":\"sha256:" HEX
                "\",\"Name\":\"/web-1\"}"),
            &s, NULL),
        0);
    assert_true(str_eqc(s.name, "web-1"));
    assert_true(str_eqc(s.image, "shop/web:7"));
    assert_true(str_eqc(s.image_id, "sha256:" HEX));
    assert_true(str_eqc(json_str(json_get(s.labels, "team")), "shop"));
    assert_true(containers_parse_docker(a, STR("{\"ID\":\"short\"}"), &s, NULL) < 0);
    assert_true(containers_parse_docker(a, STR("{"), &s, NULL) < 0);
}

static void containers_remember(void **state)
{
    (void)state;
    struct containers *cs = containers_new("/nonexistent");
    bool changed;
    struct container *c = containers_seen(cs, STR(HEX), 1);
    assert_false(c->known);
    struct subject s = {.id = STR(HEX), .name = STR("web"), .image = STR("web:1"), .engine = STR("docker")};
    c = containers_learn(cs, &s, 2, &changed);
    assert_true(changed && c->known);
    struct subject more = {.id = STR(HEX), .image_id = STR("sha256:" HEX)};
    c = containers_learn(cs, &more, 3, &changed);
    assert_true(changed);
    assert_true(str_eqc(c->s.name, "web")); /* what is empty keeps what is known */
    assert_true(str_eqc(c->s.image_id, "sha256:" HEX));
    containers_learn(cs, &more, 4, &changed);
    assert_false(changed);
    assert_int_equal(containers_count(cs), 1);
    containers_removed(cs, STR(HEX), 5);
    containers_sweep(cs, 5 + CONTAINER_KEEP - 1, NULL, NULL);
    assert_int_equal(containers_count(cs), 1); /* events may still come */
    containers_sweep(cs, 5 + CONTAINER_KEEP, NULL, NULL);
    assert_int_equal(containers_count(cs), 0);
    for (unsigned i = 0; i < CONTAINERS_MAX + 100; i++) { /* bounded */
        char id[65];
        snprintf(id, sizeof(id), "%064x", i);
        containers_seen(cs, str_c(id), (int64_t)i);
    }
    assert_int_equal(containers_count(cs), CONTAINERS_MAX);
    containers_free(cs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_options),       cmocka_unit_test(takes_only_events),
        cmocka_unit_test(refuses_other_files), cmocka_unit_test(reads_what_docker_keeps),
        cmocka_unit_test(containers_remember),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
