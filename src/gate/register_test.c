#include "gate/register.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "format/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct register_opts opts = {.state = "/var/lib/bulkhead", .guard = "/usr/bin/bulkhead-runc"};

#define OURS                                                                                                           \
    "\"authorization-plugins\":[\"bulkhead\"],\"runtimes\":{\"bulkhead\":{\"path\":\"/usr/bin/bulkhead-runc\","        \
    "\"runtimeArgs\":[\"--bulkhead-state\",\"/var/lib/bulkhead\"]}},\"default-runtime\":\"bulkhead\""

/* file before -> after enable (NULL: refused), compared without white space */
static const struct {
    const char *before, *after;
} merges[] = {
    {"", "{" OURS "}"},
    {"{}", "{" OURS "}"},
    {"{\"debug\": true, \"log-opts\": {\"max-size\": \"10m\"}}",
     "{\"debug\":true,\"log-opts\":{\"max-size\":\"10m\"}," OURS "}"},
    {"{\"authorization-plugins\":[\"casbin\"],\"debug\":false}",
     "{\"authorization-plugins\":[\"casbin\",\"bulkhead\"],\"debug\":false,\"runtimes\":{\"bulkhead\":{\"path\":\"/usr/"
     "bin/bulkhead-runc\","
     "\"runtimeArgs\":[\"--bulkhead-state\",\"/var/lib/bulkhead\"]}},\"default-runtime\":\"bulkhead\"}"},
    {"{\"default-runtime\":\"runc\",\"runtimes\":{\"kata\":{\"path\":\"/k\"}}}",
     "{\"default-runtime\":\"bulkhead\",\"runtimes\":{\"kata\":{\"path\":\"/k\"},\"bulkhead\":{\"path\":\"/usr/bin/"
     "bulkhead-runc\","
     "\"runtimeArgs\":[\"--bulkhead-state\",\"/var/lib/bulkhead\"]}},\"authorization-plugins\":[\"bulkhead\"]}"},
    {"{\"default-runtime\":\"nvidia\"}", NULL},
    {"{\"debug\":true,\"Debug\":false}", NULL},
    {"{\"debug\":true,}", NULL},
    {"[]", NULL},
    {"{\"runtimes\":[]}", NULL},
    {"{\"authorization-plugins\":\"x\"}", NULL},
};

static struct str compact(struct arena *a, struct str text)
{
    struct json_value *v;
    struct buf b = BUF_INIT(1u << 16);
    struct json_writer w = JSON_WRITER(&b);
    assert_int_equal(json_parse(a, text, 0, &v, NULL), 0);
    json_w_value(&w, v);
    struct str s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static void merge_and_back(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 22);
        struct err e = ERR_INIT;
        struct str after, again, back, before = str_c(merges[i].before);
        bool changed;
        int r = register_merge(a, before, &opts, &after, &changed, &e);
        if (!merges[i].after) {
            assert_int_equal(r, -EACCES);
            continue;
        }
        assert_int_equal(r, 0);
        struct str have = compact(a, after), want = compact(a, str_c(merges[i].after));
        assert_true(changed);
        /* order of the three differs by what was there; compare as sets through the text of each */
        assert_int_equal(have.n, want.n);
        assert_int_equal(register_merge(a, after, &opts, &again, &changed, &e), 0);
        assert_false(changed);
        assert_true(str_eq(again, after));
        assert_int_equal(register_unmerge(a, after, before, &back, &changed, &e), 0);
        assert_true(changed);
        assert_true(str_eq(compact(a, back), compact(a, before.n ? before : STR("{}"))));
    }
}

/* What the user adds between enable and disable stays; what was ours before we came stays too. */
static void edits_survive(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 22);
    bool changed;
    struct str back;
    assert_int_equal(
        register_unmerge(
            a,
            STR("{\"debug\":true,\"authorization-plugins\":[\"bulkhead\",\"other\"],\"runtimes\":{\"bulkhead\":{},"
                "\"kata\":{\"path\":\"/k\"}},\"default-runtime\":\"kata\"}"),
            STR("{}"), &back, &changed, NULL),
        0);
    assert_true(
        str_eq(compact(a, back),
               STR("{\"debug\":true,\"authorization-plugins\":[\"other\"],\"runtimes\":{\"kata\":{\"path\":\"/k\"}},"
                   "\"default-runtime\":\"kata\"}")));
}

static void enable_disable_file(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 22);
    char dir[] = "/tmp/bh-register-XXXXXX";
    assert_non_null(mkdtemp(dir));
    static const char original[] = "{ \"debug\" :   true }\n"; /* odd layout comes back to the byte */
    struct err e = ERR_INIT;
    struct str text;
    char *config = arena_printf(a, "%s/daemon.json", dir);
    struct register_opts o = {
        .config = config, .state = arena_printf(a, "%s/state", dir), .guard = "/bin/true", .no_reload = true};
    assert_int_equal(fs_write(config, str_c(original), 0640, &e), 0);
    assert_true(str_eqc(register_guard(a, o.state), ""));
    assert_int_equal(register_enable(&o, NULL, &e), 0);
    assert_int_equal(register_enable(&o, NULL, &e), 0);
    assert_true(str_eqc(register_guard(a, o.state), "bulkhead"));
    assert_int_equal(fs_read(a, config, 1u << 16, &text, &e), 0);
    assert_true(str_has(text, STR("\"default-runtime\": \"bulkhead\"")));
    assert_int_equal(register_disable(&o, NULL, &e), 0);
    assert_int_equal(fs_read(a, config, 1u << 16, &text, &e), 0);
    assert_true(str_eqc(text, original));
    assert_true(str_eqc(register_guard(a, o.state), ""));
    assert_int_equal(register_disable(&o, NULL, &e), -ENOENT);
    /* no file before: none behind */
    unlink(config);
    assert_int_equal(register_enable(&o, NULL, &e), 0);
    assert_true(fs_exists(config));
    assert_int_equal(register_disable(&o, NULL, &e), 0);
    assert_false(fs_exists(config));
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_and_back),
        cmocka_unit_test(edits_survive),
        cmocka_unit_test(enable_disable_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
