/* The documents of the contract word for word, messages, effective container policies, schema and shipped defaults. */
#include "policy/policy_test.h"
#include "base/fs.h"
#include "format/schema_check.h"

static const char web[] = "kind: ContainerPolicy\n"
                          "name: web\n"
                          "mode: enforce\n"
                          "select: {images: [\"registry.example/shop/*\"], names: [\"web-*\"], labels: {app: web}}\n"
                          "process:    {drift: block, drift_allow: [/opt/**], exec_from: [/data], fileless: block, "
                          "scripts: alert, allow: [/bin/*], deny: [/bin/nc], users: [www-data]}\n"
                          "files:      {deny: [/etc/shadow], read_only: [/etc/**], watch: [/var/log/**]}\n"
                          "network:    {egress: {default: deny, allow: [\"10.0.0.0/8:5432/tcp\", "
                          "\"dns:api.example:443\"]}, ingress: {default: deny}, raw: deny}\n"
                          "privilege:  {escalation: block, namespaces: block, ptrace: block, modules: block, bpf: "
                          "block, io_uring: block, capabilities: [NET_BIND_SERVICE]}\n"
                          "syscalls:   {profile: learned}\n"
                          "resources:  {cpu: {limit: 150%, for: 30s, action: throttle}, memory: {limit: 80%}, "
                          "processes: {limit: 200, action: freeze}}\n"
                          "respond:    {critical: stop, high: alert}\n";

static const char developers[] = "kind: AccessPolicy                         # who may do what to which containers\n"
                                 "name: developers\n"
                                 "subjects: {groups: [\"devs\"], users: [\"alice\"]}\n"
                                 "select: {labels: {team: shop}}\n"
                                 "allow: [list, inspect, logs, stats, start, stop, exec]\n"
                                 "exec: {commands: [\"/bin/sh\"], record: true}\n"
                                 "deny: [privileged, host-mounts, host-namespaces]\n";

static void test_contract(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    const char *all = arena_printf(a, "%s---\n%s---\n%s", production, web, developers);
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(all), *again = NULL;
    const struct policy_doc *docs;
    const struct str *notices;
    assert_int_equal(policy_set_docs(s, &docs), 3);
    assert_int_equal(docs[0].kind, POLICY_IMAGE);
    assert_string_equal(docs[1].name.p, "web");
    assert_true(str_starts(docs[1].text, STR("kind: ContainerPolicy")) && str_ends(docs[1].text, STR("high: alert}")));
    assert_true(json_bool(json_path(docs[2].json, "exec.record"), false));
    assert_int_equal(policy_set_revision(s).n, 64);
    size_t n = policy_set_notices(s, &notices);
    assert_int_equal(n, 1 + 3 + 1); /* users, resources, access */
    /* the same documents in another order, file and layout have the same revision */
    struct policy_source two[] = {{STR("b"), str_c(developers), 0},
                                  {STR("a"), str_c(arena_printf(a, "%s---\n# x\n%s", web, production)), 0}};
    struct err e = ERR_INIT;
    assert_int_equal(policy_set_parse(two, 2, &again, &e), 0);
    assert_string_equal(policy_set_revision(s).p, policy_set_revision(again).p);
}

static const struct {
    const char *text, *error;
} refused[] = {
    {"kind: ContainerPolicy\nname: x\nrespond: {rules: [stop]}\n",
     "test.yaml:3: policy x: respond.rules: expected a mapping of names to responses"},
    {"kind: ContainerPolicy\nname: x\nrespond:\n  rules:\n    drift: explode\n",
     "test.yaml:5: policy x: respond.rules.drift: \"explode\" is not one of off"},
    {"[1]", "test.yaml:1: expected a policy document"},
    {"kind: ImagePolicy\nname: x\nrules: []\nvex: [{finding: CVE-1, status: maybe, owner: a, expires: 2999-01-01}]\n",
     "test.yaml:4: policy x: vex[0].status: \"maybe\" is not one of not_affected"},
    {"kind: ImagePolicy\nname: x\nrules: []\nvex: [{finding: CVE-1, status: fixed, owner: a}]\n",
     "test.yaml:4: policy x: vex[0]: names no owner or no expires"},
    {"kind: ImagePolicy\nname: x\nrules: []\nvex: [{finding: CVE-1, status: not_affected, owner: a, expires: "
     "2999-01-01}]\n",
     "test.yaml:4: policy x: vex[0]: not_affected needs a justification or a note"},
    {"kind: ImagePolicy\nname: x\nrules: []\nvex: [{document: '{}', owner: a, expires: 2999-01-01}]\n",
     "test.yaml:4: policy x: vex[0].document: not a VEX document"},
    {"name: x\n", "test.yaml:1: kind is missing"},
    {"kind: ImagePolice\nname: x\n",
     "test.yaml:1: kind: \"ImagePolice\" is not one of ImagePolicy, ContainerPolicy, AccessPolicy"},
    {"kind: ImagePolicy\nrules: []\n", "test.yaml:1: name is missing"},
    {"kind: ImagePolicy\nname: a b\nrules: []\n", "test.yaml:2: name: expected at most 128 letters"},
    {"kind: ImagePolicy\nname: x\n", "test.yaml:1: policy x: rules: expected a list"},
    {"kind: ImagePolicy\nname: x\nrules: []\ngrase: 1h\n",
     "test.yaml:4: policy x: ImagePolicy: unknown field \"grase\"; did you mean \"grace\"?"},
    {"kind: ImagePolicy\nname: x\nrules: []\ngrace: 72\n", "test.yaml:4: policy x: grace: expected a duration"},
    {"kind: ImagePolicy\nname: x\nrules:\n  - deny: malware exists\n  - denny: secret exists\n",
     "test.yaml:5: policy x: rules[1]: unknown field \"denny\"; did you mean \"deny\"?"},
    {"kind: ImagePolicy\nname: x\nrules:\n  - deny: vuln.sevrity >= high\n",
     "test.yaml:4: policy x: rules[0].deny: column 1: unknown field vuln.sevrity; did you mean vuln.severity?"},
    {"kind: ImagePolicy\nname: x\nrules:\n  - deny: malware exists or secret exists\n",
     "test.yaml:4: policy x: rules[0].deny: mixes malware and secret; a rule is about one kind of finding, so write "
     "two rules"},
    {"kind: ImagePolicy\nname: x\nrules:\n  - {deny: malware exists, warn: secret exists}\n",
     "test.yaml:4: policy x: rules[0]: expected one of deny, warn"},
    {"kind: ImagePolicy\nname: x\nrules: []\nunscanned: alow\n",
     "test.yaml:4: policy x: unscanned: \"alow\" is not one of scan, deny"},
    {"kind: ImagePolicy\nname: x\nrules: []\nselect: {names: [a]}\n",
     "test.yaml:4: policy x: select: an ImagePolicy selects by images only"},
    {"kind: ImagePolicy\nname: x\nrules: []\nexceptions:\n  - {finding: CVE-1, owner: a, reason: b}\n",
     "test.yaml:5: policy x: exceptions[0].expires is missing"},
    {"kind: ImagePolicy\nname: x\nrules: []\nexceptions:\n  - {finding: CVE-1, owner: a, reason: b, expires: soon}\n",
     "test.yaml:5: policy x: exceptions[0].expires: expected a date"},
    {"kind: ImagePolicy\nname: x\nrules: []\nexceptions:\n  - {owner: a, reason: b, expires: 2027-01-31}\n",
     "test.yaml:5: policy x: exceptions[0]: names neither a finding nor a rule"},
    {"kind: ImagePolicy\nname: x\nrules: []\nexceptions:\n  - {rule: a, owner: a, reason: b, expires: 2027-01-31}\n",
     "test.yaml:5: policy x: exceptions[0].rule: no rule of this policy reads \"a\""},
    {"kind: ImagePolicy\nname: x\nname: y\n", "test.yaml: line 3: the key \"name\" is there twice"},
    {"kind: ContainerPolicy\nname: x\nmode: strict\n",
     "test.yaml:3: policy x: mode: \"strict\" is not one of learn, audit, enforce"},
    {"kind: ContainerPolicy\nname: x\nprocess:\n  drift: yes\n",
     "test.yaml:4: policy x: process.drift: \"yes\" is not one of off, alert, block"},
    {"kind: ContainerPolicy\nname: x\nprocess:\n  allow: [sh]\n",
     "test.yaml:4: policy x: process.allow[0]: expected an absolute path"},
    {"kind: ContainerPolicy\nname: x\nprocess:\n  deny: [\"sha256:12\"]\n",
     "test.yaml:4: policy x: process.deny[0]: expected an absolute path"},
    {"kind: ContainerPolicy\nname: x\nprocess:\n  deny: [/1*, /2*, /3*, /4*, /5*, /6*, /7*, /8*, /9*, /10*, /11*, "
     "/12*, /13*, /14*, /15*, /16*, /exact, /17*]\n",
     "test.yaml:4: policy x: process.deny[17]: more than 16 patterns"},
    {"kind: ContainerPolicy\nname: x\nprivilege:\n  capabilities: [NET_BIND]\n",
     "test.yaml:4: policy x: privilege.capabilities[0]: there is no capability \"NET_BIND\""},
    {"kind: ContainerPolicy\nname: x\nnetwork: {egress: {allow: [\"10.0.0.0/33\"]}}\n",
     "test.yaml:3: policy x: network.egress.allow[0]: expected CIDR"},
    {"kind: ContainerPolicy\nname: x\nnetwork: {egress: {allow: [\"10.0.0.1:70000\"]}}\n",
     "test.yaml:3: policy x: network.egress.allow[0]: expected CIDR"},
    {"kind: ContainerPolicy\nname: x\nnetwork: {egres: {}}\n",
     "test.yaml:3: policy x: network: unknown field \"egres\"; did you mean \"egress\"?"},
    {"kind: ContainerPolicy\nname: x\nresources: {cpu: {limit: 5}}\n",
     "test.yaml:3: policy x: resources.cpu.limit: expected a percentage"},
    {"kind: ContainerPolicy\nname: x\nselect: {labels: {a: [b]}}\n",
     "test.yaml:3: policy x: select.labels: the value of a label"},
    {"kind: AccessPolicy\nname: x\n", "test.yaml:1: policy x: subjects is missing"},
    {"kind: AccessPolicy\nname: x\nsubjects: {users: [a]}\nallow: [exek]\n",
     "test.yaml:4: policy x: allow[0]: \"exek\" is not one of list"},
    {"kind: ContainerPolicy\nname: x\n---\nkind: ContainerPolicy\nname: x\n",
     "test.yaml:4: policy x: there is another ContainerPolicy of this name"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err e = ERR_INIT;
        struct policy_set *s = NULL;
        struct policy_source source = {STR("test.yaml"), str_c(refused[i].text), 0};
        if (policy_set_parse(&source, 1, &s, &e) >= 0)
            fail_msg("accepted: %s", refused[i].text);
        assert_null(s);
        if (!str_starts(str_c(e.msg), str_c(refused[i].error)))
            fail_msg("%s\n gave %s\n want %s", refused[i].text, e.msg, refused[i].error);
    }
    const char *good[] = {"10.0.0.0/8:5432/tcp",
                          "10.0.0.1",
                          "10.0.0.1:80-90",
                          "[fd00::1]:443",
                          "[fd00::]/8:443/tcp",
                          "fd00::/8",
                          "::1",
                          "dns:*.example",
                          "dns:a.example:443",
                          "0.0.0.0/0/udp"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[200];
        snprintf(text, sizeof(text), "kind: ContainerPolicy\nname: x\nnetwork: {egress: {allow: [\"%s\"]}}\n", good[i]);
        policy_set_unref(parse(text));
    }
}

static void test_container(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    struct json_value *labels;
    struct err e = ERR_INIT;
    struct container_policy p;
    assert_int_equal(json_parse(a, STR("{\"app\":\"web\",\"x\":\"y\"}"), 0, &labels, &e), 0);
    struct container_subject c = {
        .id = STR("00"), .name = STR("web-1"), .image = STR("registry.example/shop/web:7"), .labels = labels};
    policy_container(a, NULL, &c, &p);
    assert_string_equal(p.name.p, "default");
    assert_true(p.mode == MODE_AUDIT && p.drift == ACTION_block && p.scripts == ACTION_alert && !p.has_allow);

    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(web);
    policy_container(a, s, &c, &p);
    assert_string_equal(p.name.p, "web");
    assert_true(p.mode == MODE_ENFORCE && p.revision == 7 && p.drift == ACTION_block && p.scripts == ACTION_alert);
    assert_true(p.mount == ACTION_alert); /* not mentioned: told about, never acts */
    assert_true(p.has_allow && p.allow_n == 1 && p.deny_n == 1 && p.has_users && p.users_n == 1);
    assert_true(p.drift_allow_n == 1 && p.exec_from_n == 1 && p.has_capabilities &&
                str_eqc(p.capabilities[0], "NET_BIND_SERVICE"));
    /* started by id: the names of the image count */
    struct str names[] = {STR("other:1"), STR("registry.example/shop/web:7")};
    c.image = STR("sha256:aa");
    policy_container(a, s, &c, &p);
    assert_string_equal(p.name.p, "default");
    c.names = names;
    c.names_n = 2;
    policy_container(a, s, &c, &p);
    assert_string_equal(p.name.p, "web");
    /* every key of select must match */
    c.name = STR("db-1");
    policy_container(a, s, &c, &p);
    assert_string_equal(p.name.p, "default");
    c.name = STR("web-2");
    c.labels = NULL;
    policy_container(a, s, &c, &p);
    assert_string_equal(p.name.p, "default");
    c.labels = labels;

    _cleanup_(policy_set_unrefp) struct policy_set *many = parse(
        "kind: ContainerPolicy\nname: a\nmode: learn\nprocess: {drift: alert, drift_allow: [/opt/**, /srv/x], allow: "
        "[/bin/*, /usr/bin/env], deny: [/bin/nc]}\n"
        "privilege: {capabilities: [CAP_CHOWN, KILL], ptrace: off}\n---\n"
        "kind: ContainerPolicy\nname: b\nmode: enforce\nprocess: {drift: block, drift_allow: [/opt/app/*], allow: "
        "[/bin/sh, /usr/**], deny: [/bin/nc, /bin/dd]}\n"
        "privilege: {capabilities: [CHOWN]}\n---\n"
        "kind: ContainerPolicy\nname: c\nprivilege: {ptrace: alert}\n---\n"
        "kind: ContainerPolicy\nname: other\nmode: enforce\nselect: {names: [\"db-*\"]}\nprivilege: {bpf: block}\n");
    policy_container(a, many, &c, &p);
    assert_string_equal(p.name.p, "a+b+c");
    assert_true(p.mode == MODE_ENFORCE && p.drift == ACTION_block && p.ptrace == ACTION_alert && p.bpf == ACTION_alert);
    assert_true(p.deny_n == 2);
    assert_true(p.drift_allow_n == 1 && str_eqc(p.drift_allow[0], "/opt/app/*"));
    assert_int_equal(p.allow_n, 2);
    assert_true(str_eqc(p.allow[0], "/usr/bin/env") && str_eqc(p.allow[1], "/bin/sh"));
    assert_true(p.capabilities_n == 1 && str_eqc(p.capabilities[0], "CHOWN"));
}

static void test_respond(void **state)
{
    static const struct {
        enum event_severity severity;
        const char *name;
        enum resource_action one, both; /* by the first document; by both */
    } cases[] = {
        {SEVERITY_critical, "drift", RESOURCE_STOP, RESOURCE_STOP},
        {SEVERITY_low, "drift", RESOURCE_ALERT, RESOURCE_ALERT},
        {SEVERITY_critical, "Terminal shell in container", RESOURCE_ALERT,
         RESOURCE_FREEZE}, /* named, so not by severity */
        {SEVERITY_low, "Reverse shell by nc", RESOURCE_ISOLATE, RESOURCE_ISOLATE},
        {SEVERITY_low, "network.scans", RESOURCE_THROTTLE, RESOURCE_THROTTLE},
        {SEVERITY_low, "network.shells", RESOURCE_KILL, RESOURCE_KILL}, /* the first that fits */
        {SEVERITY_high, "network.tunnels", RESOURCE_THROTTLE, RESOURCE_THROTTLE},
    };
    static const char first[] = "kind: ContainerPolicy\nname: a\nmode: enforce\nrespond:\n  critical: stop\n  rules:\n"
                                "    \"Reverse shell*\": isolate\n    Terminal shell in container: alert\n"
                                "    network.shells: kill\n    \"network.*\": throttle\n";
    static const char second[] = "---\nkind: ContainerPolicy\nname: b\nrespond: {critical: freeze}\n";
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    _cleanup_(policy_set_unrefp) struct policy_set *one = parse(first);
    _cleanup_(policy_set_unrefp) struct policy_set *both = parse(arena_printf(a, "%s%s", first, second));
    struct container_subject c = {.name = STR("x")};
    struct container_policy p, q;
    policy_container(a, one, &c, &p);
    policy_container(a, both, &c, &q);
    assert_true(p.responds_n == 1 && q.responds_n == 2);
    const struct policy_respond *copy = policy_respond_copy(a, p.responds, p.responds_n);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str name = str_c(cases[i].name);
        int severity = (int)cases[i].severity;
        assert_int_equal(policy_respond(p.responds, p.responds_n, severity, name), cases[i].one);
        assert_int_equal(policy_respond(copy, p.responds_n, severity, name), cases[i].one);
        assert_int_equal(policy_respond(q.responds, q.responds_n, severity, name), cases[i].both);
    }
    assert_int_equal(policy_respond(NULL, 0, SEVERITY_critical, STR("drift")), RESOURCE_ALERT);
}

static void test_load(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    struct err e = ERR_INIT;
    char dir[] = "/tmp/bulkhead-policy-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *paths[] = {dir};
    struct policy_set *s = NULL;
    assert_int_equal(policy_set_load(paths, 1, &s, &e), 0); /* an empty folder is an empty set */
    const struct policy_doc *docs;
    assert_int_equal(policy_set_docs(s, &docs), 0);
    policy_set_unref(s);
    assert_int_equal(fs_write(arena_printf(a, "%s/b.yaml", dir), str_c(production), 0600, &e), 0);
    assert_int_equal(fs_write(arena_printf(a, "%s/a.yml", dir), str_c(web), 0600, &e), 0);
    assert_int_equal(fs_write(arena_printf(a, "%s/.hidden.yaml", dir), STR("x"), 0600, &e), 0);
    assert_int_equal(fs_write(arena_printf(a, "%s/README", dir), STR("x"), 0600, &e), 0);
    assert_int_equal(policy_set_load(paths, 1, &s, &e), 0);
    assert_int_equal(policy_set_docs(s, &docs), 2);
    assert_string_equal(docs[0].name.p, "web");
    struct policy_set *other = policy_set_ref(s);
    policy_set_unref(s);
    assert_int_equal(policy_set_docs(other, &docs), 2);
    policy_set_unref(other);
    assert_int_equal(fs_write(arena_printf(a, "%s/c.yaml", dir), STR("kind: x"), 0600, &e), 0);
    assert_int_equal(policy_set_load(paths, 1, &s, &e), -EINVAL);
    assert_true(str_starts(str_c(e.msg), arena_strf(a, "%s/c.yaml:1: kind: \"x\"", dir)));
    paths[0] = "/nonexistent";
    assert_int_equal(policy_set_load(paths, 1, &s, &e), -ENOENT);
    fs_remove_tree(dir, &e);
}

static struct json_value *json_file(struct arena *a, const char *path)
{
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct err e = ERR_INIT;
    struct str text;
    struct json_value *v = NULL;
    if (!data)
        skip();
    if (fs_read(a, arena_printf(a, "%s/../../%s", data, path), 1u << 20, &text, &e) < 0 ||
        json_parse(a, text, 0, &v, &e) < 0)
        fail_msg("%s", e.msg);
    return v;
}

static void test_schema(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    const struct json_value *schema = json_file(a, "api/policy.schema.json");
    const struct policy_doc *docs;
    _cleanup_(policy_set_unrefp) struct policy_set *s =
        parse(arena_printf(a, "%s---\n%s---\n%s", production, web, developers));
    size_t n = policy_set_docs(s, &docs);
    for (size_t i = 0; i < n; i++) {
        const char *bad = schema_check(schema, schema, docs[i].json);
        if (bad)
            fail_msg("%s: %s", docs[i].name.p, bad);
    }
    /* what the schema can tell it refuses as the parser does */
    static const char *const beyond[] = {"more than 16 patterns",  "rules[0].deny: column", "mixes",
                                         "expected CIDR",          "is there twice",        "of this name",
                                         "no rule of this policy", "not_affected needs",    "not a VEX document",
                                         "there is no capability", "limit: expected"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct yml_doc *d;
        size_t d_n;
        bool only_parser = false;
        for (size_t k = 0; k < ARRAY_LEN(beyond); k++)
            only_parser |= str_has(str_c(refused[i].error), str_c(beyond[k]));
        if (only_parser || yml_parse(a, str_c(refused[i].text), &d, &d_n, NULL) < 0)
            continue;
        if (!schema_check(schema, schema, yml_json(a, d[0].root)))
            fail_msg("the schema accepts: %s", refused[i].text);
    }
}

static void test_shipped(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct err e = ERR_INIT;
    struct policy_set *s = NULL;
    if (!data)
        skip();
    const char *paths[] = {arena_printf(a, "%s/../../policies", data)};
    if (policy_set_load(paths, 1, &s, &e) < 0)
        fail_msg("%s", e.msg);
    const struct policy_doc *docs;
    const struct str *notices;
    const struct json_value *schema = json_file(a, "api/policy.schema.json");
    size_t n = policy_set_docs(s, &docs);
    assert_true(n >= 2);
    for (size_t i = 0; i < n; i++)
        assert_null(schema_check(schema, schema, docs[i].json));
    assert_int_equal(policy_set_notices(s, &notices), 0); /* shipped defaults promise nothing that is not there */
    struct container_subject c = {.id = STR("00"), .name = STR("any"), .image = STR("any")};
    struct container_policy p;
    policy_container(a, s, &c, &p);
    assert_true(p.mode == MODE_AUDIT && p.drift == ACTION_block && str_eqc(p.name, "baseline"));
    policy_set_unref(s);
}

static void test_documented(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct err e = ERR_INIT;
    struct str text;
    if (!data)
        skip();
    if (fs_read(a, arena_printf(a, "%s/../../docs/policies.md", data), 1u << 20, &text, &e) < 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < image_schema.n; i++) {
        const struct expr_field *f = &image_schema.fields[i];
        if (!str_has(text, arena_strf(a, "| `%s%s", f->name, f->arg == EXPR_ARG ? "[NAME]`" : "`")) ||
            !str_has(text, str_c(f->doc)))
            fail_msg("docs/policies.md does not tell of %s: %s", f->name, f->doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract), cmocka_unit_test(test_refused),    cmocka_unit_test(test_container),
        cmocka_unit_test(test_respond),  cmocka_unit_test(test_load),       cmocka_unit_test(test_schema),
        cmocka_unit_test(test_shipped),  cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
