/* detect: the language by table, files that change each other, what is not here; counts, sequences and incidents over
 * time; and the shipped rules on recorded attacks and their benign twins (test/data/rules). */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "detect/incident.h"
#include "detect/replay.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static struct detect_rules *load(const char *text)
{
    struct detect_rules *rs = detect_rules_new();
    struct err e = ERR_INIT;
    if (detect_rules_add(rs, "t.yaml", str_c(text), &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    detect_rules_compile(rs);
    return rs;
}

static void no_errors(const struct detect_rules *rs)
{
    const struct detect_notice *v;
    size_t n = detect_rules_notices(rs, &v);
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == NOTICE_ERROR)
            fail_msg("line %zu: " STR_FMT ": " STR_FMT, v[i].line, STR_ARG(v[i].rule), STR_ARG(v[i].text));
}

static bool noticed(const struct detect_rules *rs, enum detect_notice_kind kind, const char *text)
{
    const struct detect_notice *v;
    size_t n = detect_rules_notices(rs, &v);
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == kind && str_has(v[i].text, str_c(text)))
            return true;
    return false;
}

struct fired {
    size_t n;
    char message[512], rules[1024];
};

static void note(void *ctx, const struct detect_alert *al, struct detect_subject *s)
{
    struct fired *f = ctx;
    size_t at = strlen(f->rules);
    f->n++;
    snprintf(f->message, sizeof(f->message), STR_FMT, STR_ARG(al->message));
    snprintf(f->rules + at, sizeof(f->rules) - at, STR_FMT ";", STR_ARG(al->rule->name));
}

/* A shell of a web server in a container, root there, below tini; reads nothing, opened a file for writing, connected.
 */
static struct detect_subject subject(struct arena *a, enum detect_kind kind)
{
    return (struct detect_subject){
        .a = a,
        .kind = kind,
        .type = detect_kind_type(kind),
        .time = 1700000000 * TIME_SECOND,
        .pid = 100,
        .ns_pid = 7,
        .uid = 1000,
        .ns_uid = 0,
        .gid = 0,
        .exe = STR("/bin/busybox"),
        .args = STR("sh\0-c\0echo 'a b' >/etc/x"),
        .has_caps = true,
        .caps = 1u << 21 | 1u << 1,
        .parents =
            {{.pid = 50, .exe = STR("/usr/sbin/nginx"), .name = STR("nginx"), .args = STR("nginx\0-g\0x"), .uid = 33},
             {.pid = 40, .exe = STR("/sbin/tini"), .name = STR("tini"), .args = STR("tini"), .uid = 0}},
        .parents_n = 2,
        .path = kind == KIND_open ? STR("/etc/cron.d/job") : STR_NONE,
        .open_flags = kind == KIND_open ? 0101 : -1, /* O_WRONLY | O_CREAT */
        .file_flags = kind == KIND_exec ? BH_FILE_UPPER : 0,
        .inode = -1,
        .device = -1,
        .new_uid = -1,
        .family = kind == KIND_connect ? 2 : 0,
        .protocol = kind == KIND_connect ? 6 : 0,
        .port = 443,
        .addr = {[10] = 0xff, [11] = 0xff, [12] = 93, [13] = 184, [14] = 216, [15] = 34},
        .container = {.id = STR("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
                      .name = STR("web-1"),
                      .image = STR("registry.example:5000/shop/web:7"),
                      .engine = STR("docker")},
    };
}

static const struct {
    enum detect_kind kind;
    const char *condition;
    bool want;
} conditions[] = {
    {KIND_exec, "evt.type in (execve, execveat) and evt.dir=<", true},
    {KIND_exec, "evt.type=execve and evt.dir=>", true},
    {KIND_exec, "evt.type = open", false},
    {KIND_exec, "proc.name = sh and proc.exepath = /bin/busybox and proc.exe = sh", true},
    {KIND_exec, "proc.cmdline = \"sh -c echo 'a b' >/etc/x\"", true},
    {KIND_exec, "proc.args startswith \"-c \" and proc.cmdnargs = 2", true},
    {KIND_exec, "proc.pname = nginx and proc.ppid = 50 and proc.pcmdline = \"nginx -g x\"", true},
    {KIND_exec, "proc.aname[2] = tini and proc.aname in (apache2, tini) and not proc.aname = sh", true},
    {KIND_exec, "proc.aname[0] = sh and proc.apid[2] = 40 and not proc.aname[3] exists", true},
    {KIND_exec, "proc.is_exe_upper_layer = true and evt.arg.flags contains EXE_UPPER_LAYER", true},
    {KIND_exec, "proc.is_exe_from_memfd = true", false},
    {KIND_exec, "container.id = 0123456789ab and container.id != host", true},
    {KIND_exec, "container.image.repository = registry.example:5000/shop/web and container.image.tag = 7", true},
    {KIND_exec, "user.uid = 0 and user.name = root", true},
    {KIND_exec, "thread.cap_effective contains CAP_SYS_ADMIN and thread.cap_effective icontains dac_override", true},
    {KIND_exec, "container.privileged = true", false},
    {KIND_exec, "proc.env contains x", false},
    {KIND_exec, "not proc.env contains x", true},
    {KIND_exec, "fd.name exists", false},
    {KIND_open, "evt.type in (open,openat,openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0", true},
    {KIND_open, "evt.is_open_read = true", false},
    {KIND_open, "fd.name startswith /etc/ and fd.directory = /etc/cron.d and fd.filename = job", true},
    {KIND_open, "evt.arg.flags contains O_CREAT and evt.arg.name endswith job", true},
    {KIND_open, "fd.name pmatch (/etc, /usr) and fd.name glob /etc/*/j?b", true},
    {KIND_connect, "evt.type = connect and fd.typechar = 4 and fd.l4proto = tcp and fd.sport = 443", true},
    {KIND_connect, "fd.ip != \"0.0.0.0\" and fd.net != \"127.0.0.0/8\" and not fd.snet in (\"10.0.0.0/8\")", true},
    {KIND_connect, "fd.sip = \"93.184.216.34\" and fd.rip = 93.184.216.0/24 and fd.sockfamily = ip", true},
    {KIND_connect, "fd.name = \":0->93.184.216.34:443\"", true},
    {KIND_connect, "(evt.rawres >= 0 or evt.res = EINPROGRESS) and evt.failed = false", true},
    {KIND_connect, "fd.cip exists", false},
};

static void test_conditions(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 26);
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        struct fired f = {0};
        char *text = arena_printf(a, "- rule: r\n  desc: d\n  condition: >\n    %s\n  output: o\n  priority: INFO\n",
                                  conditions[i].condition);
        _cleanup_(detect_rules_freep) struct detect_rules *rs = load(text);
        no_errors(rs);
        struct detector *d = detector_new(rs);
        struct detect_subject s = subject(a, conditions[i].kind);
        detector_run(d, &s, note, &f);
        detector_free(d);
        if ((f.n == 1) != conditions[i].want)
            fail_msg("%s: not %d", conditions[i].condition, conditions[i].want);
    }
}

#define RULE(more)                                                                                                     \
    "- rule: r\n  desc: d\n  condition: evt.type = execve and proc.name = sh\n  output: o\n  priority: WARNING\n" more

static const struct {
    const char *text;
    size_t fires;
    const char *message; /* NULL: not looked at */
} files[] = {
    {RULE(""), 1, "o"},
    {RULE("  enabled: false\n"), 0, NULL},
    {RULE("") "- rule: r\n  enabled: false\n", 0, NULL},
    {RULE("  enabled: false\n") "- rule: r\n  enabled: true\n", 1, NULL},
    {RULE("") "- rule: r\n  condition: and proc.pname = apache\n  append: true\n", 0, NULL},
    {RULE("") "- rule: r\n  condition: and proc.pname = nginx\n  override: {condition: append}\n", 1, NULL},
    {RULE("") "- rule: r\n  condition: evt.type = open\n  override: {condition: replace}\n", 0, NULL},
    {RULE("") "- rule: r\n  output: p %proc.pname\n  override: {output: append}\n", 1, "o p nginx"},
    {RULE("") "- rule: r\n  desc: x\n  condition: evt.type = execve\n  output: new\n  priority: INFO\n", 1, "new"},
    {RULE("  exceptions:\n    - {name: a, fields: [proc.name, proc.pname], comps: [=, startswith], values: [[sh, "
          "ngi]]}\n"),
     0, NULL},
    {RULE("  exceptions:\n    - {name: a, fields: [proc.name, proc.pname], values: [[sh, apache], [sh, x]]}\n"), 1,
     NULL},
    {RULE("  exceptions:\n    - {name: a, fields: proc.pname, values: [apache, nginx]}\n"), 0, NULL},
    {RULE("  exceptions:\n    - {name: a, fields: [proc.name, proc.pname], comps: [in, in], values: [[[a, sh], "
          "[nginx]]]}\n"),
     0, NULL},
    {RULE("  exceptions:\n    - {name: a, fields: [proc.name], values: []}\n") "- rule: r\n  exceptions:\n    - {name: "
                                                                               "a, values: [[sh]]}\n  append: true\n",
     0, NULL},
    {"- list: l\n  items: [a, m]\n- list: m\n  items: ['\"sh\"', b]\n- macro: named\n  condition: proc.name in (l)\n"
     "- rule: r\n  desc: d\n  condition: evt.type = execve and named\n  output: o\n  priority: INFO\n",
     1, NULL},
    {"- list: l\n  items: [a]\n- list: l\n  items: [sh]\n  append: true\n- rule: r\n  desc: d\n  condition: proc.name "
     "in l\n  output: o\n  priority: INFO\n",
     1, NULL},
    {"- macro: m\n  condition: proc.name = a\n- macro: m\n  condition: or proc.name = sh\n  override: {condition: "
     "append}\n"
     "- rule: r\n  desc: d\n  condition: (m) and evt.type = execve\n  output: \"*%proc.aname[2] %toupper(proc.name) "
     "%fd.name%evt.dir\"\n  priority: INFO\n",
     1, "tini SH <NA><"},
    {"- rule: r\n  desc: d\n  condition: evt.type = execve\n  output: "
     "'%container.image.repository:%container.image.tag %user.uid,%proc.cwd.'\n  priority: INFO\n",
     1, "registry.example:5000/shop/web:7 0,<NA>."},
};

static void test_files(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 26);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct fired f = {0};
        _cleanup_(detect_rules_freep) struct detect_rules *rs = load(files[i].text);
        no_errors(rs);
        struct detector *d = detector_new(rs);
        struct detect_subject s = subject(a, KIND_exec);
        detector_run(d, &s, note, &f);
        detector_free(d);
        if (f.n != files[i].fires || (files[i].message && strcmp(files[i].message, f.message) != 0))
            fail_msg("%s: fired %zu: %s", files[i].text, f.n, f.message);
    }
}

static const struct {
    const char *text;
    enum detect_notice_kind kind;
    const char *notice;
} notices[] = {
    {"- rule: r\n  desc: d\n  condition: evt.type = execve and proc.vmsize > 1\n  output: o\n  priority: INFO\n",
     NOTICE_UNSUPPORTED, "field proc.vmsize is not here"},
    {"- rule: r\n  desc: d\n  condition: evt.type in (execve, sendto)\n  output: o\n  priority: INFO\n",
     NOTICE_UNSUPPORTED, "event type sendto is not seen here"},
    {"- rule: r\n  desc: d\n  condition: evt.type = dup3\n  output: o\n  priority: INFO\n", NOTICE_UNSUPPORTED,
     "it never fires"},
    {"- rule: r\n  desc: d\n  condition: evt.type = execve\n  output: '%proc.vmsize'\n  priority: INFO\n",
     NOTICE_UNSUPPORTED, "output: field proc.vmsize is not here"},
    {"- rule: r\n  desc: d\n  condition: some.field = 1\n  output: o\n  priority: INFO\n", NOTICE_UNSUPPORTED,
     "unknown field some.field"},
    {"- rule: r\n  desc: d\n  condition: ka.verb = get\n  source: k8s_audit\n  output: o\n  priority: INFO\n",
     NOTICE_UNSUPPORTED, "source k8s_audit is not here"},
    {"- required_engine_version: 9.0.0\n", NOTICE_UNSUPPORTED, "wants engine version 9.0.0"},
    {"- required_plugin_versions: [{name: json, version: 0.7.0}]\n", NOTICE_UNSUPPORTED, "the file wants json"},
    {"- rule: r\n  desc: d\n  condition: nothing\n  output: o\n  priority: INFO\n", NOTICE_ERROR,
     "unknown macro nothing"},
    {"- rule: r\n  desc: d\n  condition: proc.name = \n  output: o\n  priority: INFO\n", NOTICE_ERROR,
     "expected a value"},
    {"- macro: m\n  condition: m or m\n- rule: r\n  desc: d\n  condition: m\n  output: o\n  priority: INFO\n",
     NOTICE_ERROR, "macro within itself"},
    {"- list: a\n  items: [b]\n- list: b\n  items: [a]\n- rule: r\n  desc: d\n  condition: proc.name in (a)\n  output: "
     "o\n  priority: INFO\n",
     NOTICE_ERROR, "the list contains itself"},
    {"- rule: r\n  desc: d\n  condition: proc.name = x\n  priority: INFO\n", NOTICE_ERROR,
     "needs condition, desc, output and priority"},
    {"- rule: r\n  desc: d\n  condition: proc.name = x\n  output: o\n  priority: LOUD\n", NOTICE_ERROR,
     "\"LOUD\" is no priority"},
    {"- rule: r\n  condition: and x = y\n  append: true\n", NOTICE_ERROR, "there is no rule of this name yet"},
    {"- rule: r\n  desc: d\n  condition: proc.name = x\n  output: o\n  priority: INFO\n  colour: red\n", NOTICE_WARNING,
     "the key colour is not known"},
    {"- rule: r\n  desc: d\n  condition: proc.name = x\n  count: {at_least: 3}\n  output: o\n  priority: INFO\n",
     NOTICE_ERROR, "need within"},
    {"- {}\n", NOTICE_ERROR, "neither a rule nor a macro nor a list"},
};

static void test_notices(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(notices); i++) {
        _cleanup_(detect_rules_freep) struct detect_rules *rs = load(notices[i].text);
        if (!noticed(rs, notices[i].kind, notices[i].notice))
            fail_msg("%s: no \"%s\"", notices[i].text, notices[i].notice);
    }
    struct detect_rules *rs = detect_rules_new();
    struct err e = ERR_INIT;
    assert_int_equal(detect_rules_add(rs, "x", STR("rule: x\n"), &e), -EBADMSG);
    assert_int_equal(detect_rules_add(rs, "x", STR("- rule: [\n"), &e), -EBADMSG);
    detect_rules_free(rs);
}

static size_t at(struct detector *d, struct arena *a, enum detect_kind kind, int64_t second, const char *name,
                 uint16_t port)
{
    struct fired f = {0};
    struct detect_subject s = subject(a, kind);
    s.time += second * TIME_SECOND;
    s.exe = str_c(name);
    s.args = str_c(name);
    s.port = port;
    detector_run(d, &s, note, &f);
    return f.n;
}

static void test_over_time(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 26);
    _cleanup_(detect_rules_freep) struct detect_rules *rs =
        load("- rule: scan\n  desc: d\n  condition: evt.type = connect\n  count: {at_least: 3, distinct: fd.sport}\n  "
             "within: 10s\n  output: o\n  priority: INFO\n"
             "- rule: steps\n  desc: d\n  sequence: [evt.type = execve and proc.name = curl, evt.type = execve and "
             "proc.name = x]\n  within: 30s\n  output: o\n  priority: INFO\n");
    no_errors(rs);
    struct detector *d = detector_new(rs);
    assert_int_equal(at(d, a, KIND_connect, 0, "nc", 1), 0);
    assert_int_equal(at(d, a, KIND_connect, 1, "nc", 1), 0); /* the same again */
    assert_int_equal(at(d, a, KIND_connect, 2, "nc", 2), 0);
    assert_int_equal(at(d, a, KIND_connect, 20, "nc", 3), 0); /* too late for the others */
    assert_int_equal(at(d, a, KIND_connect, 21, "nc", 4), 0);
    assert_int_equal(at(d, a, KIND_connect, 22, "nc", 5), 1);
    assert_int_equal(at(d, a, KIND_connect, 23, "nc", 6), 0); /* counting begins anew */
    assert_int_equal(at(d, a, KIND_exec, 0, "x", 0), 0);      /* the second without the first */
    assert_int_equal(at(d, a, KIND_exec, 1, "curl", 0), 0);
    assert_int_equal(at(d, a, KIND_exec, 2, "ls", 0), 0);
    assert_int_equal(at(d, a, KIND_exec, 3, "x", 0), 1);
    assert_int_equal(at(d, a, KIND_exec, 4, "x", 0), 0);
    assert_int_equal(at(d, a, KIND_exec, 5, "curl", 0), 0);
    assert_int_equal(at(d, a, KIND_exec, 40, "x", 0), 0); /* too late */
    detector_free(d);
}

static void count_told(void *ctx, const struct incident *in)
{
    *(uint64_t *)ctx += in->count;
}

static void test_incidents(void **state)
{
    struct incidents *is = incidents_new();
    struct incident *in;
    int64_t now = 1700000000 * TIME_SECOND;
    uint64_t told = 0;
    char first[ULID_TEXT];
    assert_true(incidents_alert(is, 1, now, &in));
    memcpy(first, in->id, sizeof(first));
    assert_false(incidents_alert(is, 1, now + TIME_SECOND, &in));
    assert_true(incidents_alert(is, 2, now + TIME_SECOND, &in)); /* another */
    incidents_tick(is, now + 30 * TIME_SECOND, false, count_told, &told);
    assert_int_equal(told, 0);
    incidents_tick(is, now + 61 * TIME_SECOND, false, count_told, &told);
    assert_int_equal(told, 2);
    incidents_tick(is, now + 200 * TIME_SECOND, false, count_told, &told);
    assert_int_equal(told, 2); /* nothing new to tell */
    assert_true(incidents_alert(is, 1, now + 2 * INCIDENT_QUIET, &in));
    assert_string_not_equal(first, in->id); /* that one was over */
    for (uint64_t k = 10; k < 10 + 2 * INCIDENTS; k++)
        incidents_alert(is, k, now + 2 * INCIDENT_QUIET + (int64_t)k, &in);
    assert_int_equal(incidents_open(is), INCIDENTS);
    incidents_free(is);
}

static void expect_traces(const struct detect_rules *rs, const char *path, bool attacks)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 28);
    struct str text, line;
    struct err e = ERR_INIT;
    size_t n = 0;
    if (fs_read(a, path, 16u << 20, &text, &e) < 0)
        fail_msg("%s", e.msg);
    struct detector *d = detector_new(rs);
    struct processes *tree = processes_new(0);
    processes_only_told(tree);
    while (str_cut(&text, '\n', &line)) {
        struct detect_subject s = {.a = a, .tree = tree};
        struct json_value *v;
        struct fired f = {0};
        if (!line.n)
            continue;
        if (json_parse(a, line, 0, &v, &e) < 0 || detect_subject_json(&s, v, &e) < 0)
            fail_msg("%s: " STR_FMT ": %s", path, STR_ARG(line), e.msg);
        struct str want = json_str(json_path(v, "detail.expect"));
        detect_replay_learn(tree, &s);
        detector_run(d, &s, note, &f);
        char all[256];
        snprintf(all, sizeof(all), STR_FMT ";", STR_ARG(want));
        if (attacks ? want.n && strcmp(f.rules, all) != 0 : f.n != 0)
            fail_msg("%s: expected \"" STR_FMT "\", fired \"%s\": " STR_FMT, path, STR_ARG(want), f.rules,
                     STR_ARG(line));
        n++;
    }
    processes_free(tree);
    detector_free(d);
    assert_true(n > 30);
}

static void test_traces(void **state)
{
    const char *data = getenv("BULKHEAD_TEST_DATA");
    char path[4096], rules[4096];
    struct err e = ERR_INIT;
    if (!data)
        skip();
    _cleanup_(detect_rules_freep) struct detect_rules *rs = detect_rules_new();
    snprintf(rules, sizeof(rules), "%s/../../rules", data);
    assert_int_equal(detect_rules_read(rs, rules, &e), 0);
    detect_rules_compile(rs);
    no_errors(rs);
    snprintf(path, sizeof(path), "%s/rules/attacks.jsonl", data);
    expect_traces(rs, path, true);
    snprintf(path, sizeof(path), "%s/rules/benign.jsonl", data);
    expect_traces(rs, path, false);
}

/* docs/falco-fields.md names each field and kind there is. */
static void test_documented(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct str text;
    if (!data)
        skip();
    assert_int_equal(fs_read(a, arena_printf(a, "%s/../../docs/falco-fields.md", data), 1u << 20, &text, NULL), 0);
    for (unsigned f = 0; f < FIELDS; f++)
        if (!str_has(text, arena_strf(a, "| `%s", detect_schema.fields[f].name)) ||
            !str_has(text, str_c(detect_field_doc(f))))
            fail_msg("docs/falco-fields.md lacks %s: bulkhead rules fields >docs/falco-fields.md",
                     detect_schema.fields[f].name);
    for (unsigned k = 0; k < KINDS; k++)
        if (!str_has(text, detect_kind_names((enum detect_kind)k)))
            fail_msg("docs/falco-fields.md lacks " STR_FMT, STR_ARG(detect_kind_names((enum detect_kind)k)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_files),     cmocka_unit_test(test_notices),
        cmocka_unit_test(test_over_time),  cmocka_unit_test(test_incidents), cmocka_unit_test(test_traces),
        cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
