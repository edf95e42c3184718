/* event, package and vuln. */
#include "base/cleanup.h"
#include "base/time.h"
#include "format/event.h"
#include "format/package.h"
#include "format/vuln.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static void test_event(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT);
    struct json_writer w = JSON_WRITER(&b);
    struct json_value *labels, *v;
    struct err e = ERR_INIT;
    assert_int_equal(json_parse(a, STR("{\"app\":\"web\"}"), 0, &labels, &e), 0);
    struct str args[] = {STR("/tmp/x"), STR("-d")};
    struct event_parent parents[] = {{800, STR("/bin/sh")}};
    struct event ev = {
        .id = "01JD0000000000000000000000",
        .time = INT64_C(1795453200000000),
        .seq = 41,
        .host = STR("node-1"),
        .type = EVENT_TYPE_exec,
        .control = CONTROL_drift,
        .rule = STR("Drop and execute"),
        .severity = SEVERITY_critical,
        .action = ACTION_block,
        .level = LEVEL_kill,
        .outcome = OUTCOME_killed,
        .container = {.id = STR("00"),
                      .name = STR("web-1"),
                      .image = STR("shop/web:7"),
                      .image_id = STR("sha256:aa"),
                      .engine = STR("docker"),
                      .labels = labels},
        .process = {.pid = 812,
                    .exe = STR("/tmp/x"),
                    .args = args,
                    .args_n = 2,
                    .uid = 33,
                    .user = STR("www-data"),
                    .started = INT64_C(1795453199000000),
                    .parents = parents,
                    .parents_n = 1},
        .user_name = STR("alice"),
        .user_via = STR("docker-exec"),
        .policy_name = STR("web"),
        .policy_revision = 12,
    };
    event_write(&w, &ev);
    assert_string_equal(
        buf_cstr(&b),
        "{\"id\":\"01JD0000000000000000000000\",\"time\":\"2026-11-23T17:00:00.000000Z\",\"seq\":41,\"host\":\"node-"
        "1\","
        "\"type\":\"exec\",\"control\":\"drift\",\"rule\":\"Drop and execute\",\"severity\":\"critical\","
        "\"action\":\"block\",\"level\":\"kill\",\"outcome\":\"killed\","
        "\"container\":{\"id\":\"00\",\"name\":\"web-1\",\"image\":\"shop/web:7\",\"image_id\":\"sha256:aa\","
        "\"image_digest\":null,\"engine\":\"docker\",\"labels\":{\"app\":\"web\"}},"
        "\"process\":{\"pid\":812,\"exe\":\"/tmp/x\",\"args\":[\"/tmp/x\",\"-d\"],\"uid\":33,\"user\":\"www-data\","
        "\"started\":\"2026-11-23T16:59:59.000000Z\",\"parents\":[{\"pid\":800,\"exe\":\"/bin/sh\"}]},"
        "\"user\":{\"name\":\"alice\",\"via\":\"docker-exec\"},\"policy\":{\"name\":\"web\",\"revision\":12},"
        "\"detail\":{}}");
    buf_reset(&b);
    w = JSON_WRITER(&b);
    struct event host = {.type = EVENT_TYPE_gap, .control = CONTROL_sensor, .detail = STR("{\"count\":3}")};
    event_write(&w, &host);
    assert_int_equal(json_parse(a, buf_str(&b), 0, &v, &e), 0);
    assert_null(json_get(v, "container"));
    assert_null(json_get(v, "process"));
    assert_int_equal(json_get(v, "user")->type, JSON_NULL);
    assert_int_equal(json_i64(json_path(v, "detail.count"), 0), 3);
    enum event_severity s;
    enum event_action act;
    assert_int_equal(event_severity_parse(STR("high"), &s), 0);
    assert_int_equal(s, SEVERITY_high);
    assert_int_equal(event_action_parse(STR("enforce"), &act), -EINVAL);
}

/* From the examples of the purl specification where it has one. */
static void test_purl(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct os_release debian = {STR("debian"), STR("12"), STR("bookworm"), STR("")};
    struct os_release alpine = {STR("alpine"), STR("3.19.1"), STR(""), STR("")};
    struct os_release fedora = {STR("fedora"), STR("25"), STR(""), STR("")};
    const struct {
        const char *type, *name, *version, *arch;
        const struct os_release *os;
        const char *purl;
    } t[] = {
        {"deb", "libc6", "2.36-9", "amd64", &debian, "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"},
        {"deb", "libstdc++6", "1:12.2.0-14+deb12u1", "amd64", &debian,
         "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"},
        {"apk", "curl", "7.83.0-r0", "x86_64", &alpine,
         "pkg:apk/alpine/curl@7.83.0-r0?arch=x86_64&distro=alpine-3.19.1"},
        {"rpm", "centerim", "1:4.22.10-1.el6", "i686", &fedora,
         "pkg:rpm/fedora/centerim@4.22.10-1.el6?arch=i686&distro=fedora-25&epoch=1"},
        {"npm", "@angular/animation", "12.3.1", "", NULL, "pkg:npm/%40angular/animation@12.3.1"},
        {"npm", "foobar", "12.3.1", "", &debian, "pkg:npm/foobar@12.3.1"},
        {"pypi", "Django_Package", "1.11.1", "", NULL, "pkg:pypi/django-package@1.11.1"},
        {"maven", "org.apache.xmlgraphics:batik-anim", "1.9.1", "", NULL,
         "pkg:maven/org.apache.xmlgraphics/batik-anim@1.9.1"},
        {"golang", "google.golang.org/genproto", "abcdedf", "", NULL, "pkg:golang/google.golang.org/genproto@abcdedf"},
        {"composer", "Laravel/Laravel", "5.5.0", "", NULL, "pkg:composer/laravel/laravel@5.5.0"},
        {"gem", "jruby-launcher", "1.1.2", "", NULL, "pkg:gem/jruby-launcher@1.1.2"},
        {"generic", "open ssl", "", "", NULL, "pkg:generic/open%20ssl"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct package p = {.type = str_c(t[i].type),
                            .name = str_c(t[i].name),
                            .version = str_c(t[i].version),
                            .arch = str_c(t[i].arch)};
        assert_string_equal(package_purl(a, &p, t[i].os).p, t[i].purl);
    }
}

static void test_os_release(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct os_release os;
    assert_int_equal(os_release_parse(a,
                                      STR("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n"
                                          "VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n# comment\nID=debian\n"),
                                      &os),
                     0);
    assert_true(str_eqc(os.id, "debian") && str_eqc(os.version_id, "12") && str_eqc(os.codename, "bookworm"));
    assert_true(str_eqc(os.pretty, "Debian GNU/Linux 12 (bookworm)"));
    assert_int_equal(os_release_parse(a, STR("ID='al\\pine'\nPRETTY_NAME=\"a \\\"b\\\" \\c\"\nVERSION_ID=3\\.1"), &os),
                     0);
    assert_true(str_eqc(os.id, "al\\pine") && str_eqc(os.pretty, "a \"b\" \\c") && str_eqc(os.version_id, "3.1"));
    assert_int_equal(os_release_parse(a, STR("ID=\"debian"), &os), -EBADMSG);
    assert_int_equal(os_release_parse(a, STR(""), &os), 0);
    assert_int_equal(os.id.n, 0);
}

static void test_vuln(void **state)
{
    enum vuln_severity s;
    enum vuln_status st;
    assert_true(VULN_UNKNOWN < VULN_NEGLIGIBLE && VULN_NEGLIGIBLE < VULN_LOW && VULN_HIGH < VULN_CRITICAL);
    for (int i = VULN_UNKNOWN; i <= VULN_CRITICAL; i++) {
        assert_int_equal(vuln_severity_parse(str_c(vuln_severity_name((enum vuln_severity)i)), &s), 0);
        assert_int_equal(s, i);
    }
    assert_int_equal(vuln_severity_parse(STR("MODERATE"), &s), 0);
    assert_int_equal(s, VULN_MEDIUM);
    assert_int_equal(vuln_severity_parse(STR("important-ish"), &s), -EINVAL);
    for (int i = VULN_AFFECTED; i <= VULN_UNDER_INVESTIGATION; i++) {
        assert_int_equal(vuln_status_parse(str_c(vuln_status_name((enum vuln_status)i)), &st), 0);
        assert_int_equal(st, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_purl),
        cmocka_unit_test(test_os_release),
        cmocka_unit_test(test_vuln),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
