/* policy: the documents of the contract word for word, messages, verdicts over time, effective container policies. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/schema_check.h"
#include "format/yml.h"
#include "policy/policy_internal.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

/* The contract's examples; alternatives ("learn | audit | enforce", "{...}") are resolved to one of them. */
static const char production[] = "kind: ImagePolicy\n"
                                 "name: production\n"
                                 "select: {images: [\"*\"]}\n"
                                 "rules:                                     # a verdict lists every rule that fired\n"
                                 "  - deny: vuln.severity >= high and vuln.fixed exists and vuln.age > 14d\n"
                                 "  - deny: malware exists\n"
                                 "  - deny: secret exists\n"
                                 "  - deny: config.user = root\n"
                                 "  - warn: package.license in (AGPL-3.0-only)\n"
                                 "exceptions: [{finding: CVE-2023-0001, package: openssl, reason: \"not reachable\", "
                                 "owner: alice, expires: 2027-01-31}]\n"
                                 "grace: 72h                                 # for ids that already run\n"
                                 "unscanned: scan\n";

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

static struct policy_set *parse(const char *text)
{
    struct policy_set *s = NULL;
    struct err e = ERR_INIT;
    struct policy_source source = {STR("test.yaml"), str_c(text), 7};
    if (policy_set_parse(&source, 1, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

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
    assert_int_equal(n, 3 + 3 + 1 + 3 + 2 + 1); /* files, network, syscalls, resources, respond, access */
    assert_string_equal(notices[2].p,
                        "policy web: files.watch: read and checked, but this version does not put it into force");
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
    {"[1]", "test.yaml:1: expected a policy document"},
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

/* ---- verdicts ---- */

static struct package openssl = {
    .type = STR("deb"), .name = STR("libssl3"), .version = STR("3.0.1"), .source_name = STR("openssl")};
static struct package ghostscript = {
    .type = STR("deb"), .name = STR("ghostscript"), .version = STR("10"), .license = STR("AGPL-3.0-only")};

#define NOW     (INT64_C(1795453200) * TIME_SECOND) /* 2026-11-23T17:00:00Z */
#define DAYS(n) ((n)*TIME_DAY)

struct judged {
    struct arena *a;
    struct image_facts facts;
    struct verdict_input in;
    struct verdict v;
};

static void setup(struct judged *j, struct arena *a, const struct finding *findings, size_t n)
{
    *j = (struct judged){
        .a = a,
        .facts = {.image_id = STR("sha256:aa"), .config.user = STR("app"), .findings = findings, .findings_n = n},
        .in = {.now = NOW}};
}

static void run(struct judged *j, const struct policy_set *s)
{
    struct err e = ERR_INIT;
    j->in.facts = &j->facts;
    if (policy_verdict(j->a, s, &j->in, &j->v, &e) < 0)
        fail_msg("%s", e.msg);
}

static struct finding vuln(const char *id, enum vuln_severity severity, const char *fixed, int64_t published)
{
    return (struct finding){.kind = FINDING_VULN,
                            .id = str_c(id),
                            .package = &openssl,
                            .severity = severity,
                            .fixed = str_c(fixed),
                            .published = published,
                            .cvss = -1,
                            .epss = -1};
}

static void test_rules(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(production);
    struct judged j;
    /* nothing found: allow, for ever */
    setup(&j, a, NULL, 0);
    run(&j, s);
    assert_true(j.v.allow && j.v.reasons_n == 0 && j.v.valid_until == TIME_NEVER);
    assert_string_equal(j.v.policy_revision.p, policy_set_revision(s).p);
    /* a user that is root in any spelling */
    static const struct {
        const char *user;
        bool root;
    } users[] = {{"", true},          {"0", true},         {"0:0", true},    {"root", true},
                 {"root:root", true}, {"root:1000", true}, {"00", true},     {"+0", true},
                 {":1000", true},     {"-0", true},        {"1000", false},  {"1000:0", false},
                 {"app", false},      {"app:root", false}, {"rooty", false}, {"10", false}};
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        setup(&j, a, NULL, 0);
        j.facts.config.user = str_c(users[i].user);
        run(&j, s);
        if (j.v.allow == users[i].root)
            fail_msg("user \"%s\"", users[i].user);
    }
    /* one reason for each finding, denies first */
    struct finding f[] = {
        {.kind = FINDING_PACKAGE, .id = STR("pkg:deb/ghostscript"), .package = &ghostscript},
        vuln("CVE-2024-1", VULN_HIGH, "3.0.2", NOW - DAYS(20)),
        vuln("CVE-2024-2", VULN_CRITICAL, "", NOW - DAYS(20)),
        vuln("CVE-2024-3", VULN_MEDIUM, "3.0.2", NOW - DAYS(20)),
        vuln("CVE-2024-4", VULN_CRITICAL, "3.0.2", NOW - DAYS(20)),
        {.kind = FINDING_MALWARE, .id = STR("Eicar"), .path = STR("tmp/x")},
        {.kind = FINDING_SECRET, .id = STR("private-key"), .path = STR("root/.ssh/id")},
    };
    setup(&j, a, f, ARRAY_LEN(f));
    run(&j, s);
    assert_false(j.v.allow);
    assert_int_equal(j.v.reasons_n, 5);
    assert_string_equal(j.v.reasons[0].finding.p, "CVE-2024-1");
    assert_string_equal(j.v.reasons[0].package.p, "libssl3 3.0.1");
    assert_string_equal(
        j.v.reasons[0].text.p,
        "CVE-2024-1 (high) in libssl3 3.0.1, fixed in 3.0.2; whoever owns policy production can except it");
    assert_string_equal(j.v.reasons[1].finding.p, "CVE-2024-4");
    assert_string_equal(j.v.reasons[2].text.p, "malware Eicar in tmp/x; whoever owns policy production can except it");
    assert_string_equal(j.v.reasons[3].rule.p, "secret exists");
    assert_false(j.v.reasons[4].deny);
    assert_string_equal(j.v.reasons[4].text.p, "package ghostscript 10, license AGPL-3.0-only");
    /* a name out of an image moves no cursor */
    struct finding rude = {.kind = FINDING_MALWARE, .id = STR("E\x1b[2J"), .path = STR("a\nb")};
    setup(&j, a, &rude, 1);
    run(&j, s);
    assert_true(str_starts(j.v.reasons[0].text, STR("malware E?[2J in a?b;")));
    /* what the vendor says is not affected does not count, unless a rule asks */
    f[1].status = f[4].status = VULN_NOT_AFFECTED;
    setup(&j, a, f + 1, 4);
    run(&j, s);
    assert_true(j.v.allow);
    _cleanup_(policy_set_unrefp) struct policy_set *asks =
        parse("kind: ImagePolicy\nname: x\nrules: [{deny: vuln.status = not_affected}]\n");
    run(&j, asks);
    assert_int_equal(j.v.reasons_n, 2);
    /* KIND exists is also judged when there is none; the kind's fields are not */
    _cleanup_(policy_set_unrefp) struct policy_set *none =
        parse("kind: ImagePolicy\nname: x\nrules:\n  - warn: not package exists\n  - warn: not package.name = a\n  - "
              "warn: not malware exists and config.user = app\n");
    setup(&j, a, NULL, 0);
    run(&j, none);
    assert_int_equal(j.v.reasons_n, 2);
    assert_string_equal(j.v.reasons[0].text.p, "the image matches \"not package exists\"");
}

static void test_built_in(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    struct finding f[] = {vuln("CVE-1", VULN_MEDIUM, "", 0), vuln("CVE-2", VULN_HIGH, "", 0)};
    struct judged j;
    setup(&j, a, f, 2);
    run(&j, NULL);
    assert_true(j.v.allow && j.v.reasons_n == 0 && j.v.policy_revision.n == 0);
    j.in.fail_on = VULN_HIGH;
    run(&j, NULL);
    assert_true(!j.v.allow && j.v.reasons_n == 1);
    assert_string_equal(j.v.reasons[0].policy.p, "fail-on");
    assert_string_equal(j.v.reasons[0].rule.p, "vuln.severity >= high");
    j.in.fail_on = VULN_CRITICAL;
    run(&j, NULL);
    assert_true(j.v.allow);
    /* what could not be read can never be allowed */
    j.facts.incomplete = true;
    run(&j, NULL);
    assert_true(!j.v.allow && str_eqc(j.v.reasons[0].policy, "scan"));
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(production);
    j.in.running = true;
    j.in.running_since = NOW;
    run(&j, s);
    assert_false(j.v.allow);
}

static void test_exceptions(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(production);
    int64_t expires;
    time_parse(STR("2027-01-31"), &expires);
    struct finding f = vuln("CVE-2023-0001", VULN_HIGH, "3.0.2", NOW - DAYS(200));
    struct judged j;
    setup(&j, a, &f, 1);
    run(&j, s);
    assert_true(j.v.allow && j.v.reasons_n == 1 && !j.v.reasons[0].deny);
    assert_string_equal(j.v.reasons[0].exception.p, "alice: not reachable (until 2027-01-31)");
    assert_true(j.v.reasons[0].until == expires && j.v.valid_until == expires);
    /* the last instant, and the first without it */
    j.in.now = expires - 1;
    run(&j, s);
    assert_true(j.v.allow && j.v.valid_until == expires);
    j.in.now = expires;
    run(&j, s);
    assert_true(!j.v.allow && j.v.valid_until == TIME_NEVER);
    assert_string_equal(j.v.reasons[0].text.p,
                        "CVE-2023-0001 (high) in libssl3 3.0.1, fixed in 3.0.2; the exception of alice expired "
                        "2027-01-31; whoever owns policy production can except it");
    /* by an alias; not for another package */
    struct str alias = STR("CVE-2023-0001");
    f.id = STR("DSA-1");
    f.aliases = &alias;
    f.aliases_n = 1;
    j.in.now = NOW;
    run(&j, s);
    assert_true(j.v.allow);
    struct package other = {.name = STR("curl"), .source_name = STR("curl")};
    f.package = &other;
    run(&j, s);
    assert_false(j.v.allow);
    /* by rule, for what has no finding */
    _cleanup_(policy_set_unrefp) struct policy_set *root =
        parse("kind: ImagePolicy\nname: x\nrules: [{deny: config.user = root}]\nexceptions:\n"
              "  - {rule: config.user = root, owner: bob, reason: legacy, expires: 2026-12-01}\n"
              "  - {rule: config.user = root, owner: eve, reason: older, expires: 2026-11-30}\n");
    setup(&j, a, NULL, 0);
    j.facts.config.user = STR("");
    run(&j, root);
    assert_true(j.v.allow && str_starts(j.v.reasons[0].exception, STR("bob")));
}

static void test_grace(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(production);
    struct finding f = vuln("CVE-2024-1", VULN_HIGH, "3.0.2", NOW - DAYS(200));
    struct judged j;
    setup(&j, a, &f, 1);
    j.in.running = true;
    j.in.running_since = NOW - DAYS(2);
    run(&j, s);
    assert_true(j.v.allow && j.v.reasons_n == 1);
    assert_true(j.v.valid_until == NOW + DAYS(1) && j.v.reasons[0].until == NOW + DAYS(1));
    assert_string_equal(j.v.reasons[0].text.p, "CVE-2024-1 (high) in libssl3 3.0.1, fixed in 3.0.2; it already runs "
                                               "and has until 2026-11-24T17:00:00.000000Z");
    j.in.now = NOW + DAYS(1);
    run(&j, s);
    assert_true(!j.v.allow && j.v.valid_until == TIME_NEVER);
    j.in.now = NOW;
    j.in.running = false;
    run(&j, s);
    assert_false(j.v.allow);
}

static void test_valid_until(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    int64_t at = NOW - DAYS(10);
    static const struct {
        const char *rule;
        int64_t until; /* microseconds behind publication, -1 never; publication was ten days ago */
        bool allow;
    } t[] = {
        {"vuln.age > 14d", DAYS(14) + 1, true},
        {"vuln.age >= 14d", DAYS(14), true},
        {"vuln.age < 14d", DAYS(14), false},
        {"vuln.age <= 14d", DAYS(14) + 1, false},
        {"vuln.age > 9d", -1, false},
        {"vuln.age > 14d and vuln.severity = low", -1, true}, /* the threshold cannot change anything */
        {"vuln.age > 14d or vuln.age > 12d", DAYS(12) + 1, true},
        {"vuln.age > 14d and vuln.age > 12d", DAYS(14) + 1, true},
        {"vuln.age > 2d and not vuln.age > 3w", DAYS(21) + 1, false},
        {"vuln.age = 14d", DAYS(14), true},
        {"vuln.age in (8d, 11d)", DAYS(11), true},
        {"vuln.fix_age > 1d", -1, true},
        {"vuln.severity = high", -1, false},
        {"image.age > 30d", DAYS(30) + 1 - DAYS(7), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        _cleanup_(policy_set_unrefp) struct policy_set *s =
            parse(arena_printf(a, "kind: ImagePolicy\nname: x\nrules: [{deny: \"%s\"}]\n", t[i].rule));
        struct finding f = vuln("CVE-1", VULN_HIGH, "1", at);
        struct judged j;
        setup(&j, a, &f, 1);
        j.facts.config.created = at - DAYS(7);
        run(&j, s);
        int64_t want = t[i].until < 0 ? TIME_NEVER : at + t[i].until;
        if (j.v.allow != t[i].allow || j.v.valid_until != want)
            fail_msg("%s: allow %d, valid until %" PRId64 " instead of %" PRId64, t[i].rule, j.v.allow,
                     j.v.valid_until - at, want - at);
        if (want == TIME_NEVER)
            continue;
        /* one microsecond before it still holds; at the instant it does not */
        j.in.now = want - 1;
        run(&j, s);
        assert_true(j.v.allow == t[i].allow && j.v.valid_until == want);
        j.in.now = want;
        run(&j, s);
        assert_true(j.v.allow != t[i].allow);
    }
}

static void test_select(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    static const struct {
        const char *pattern, *name;
        bool selected;
    } t[] = {
        {"*", "anything:1", true},
        {"nginx", "nginx:1.25", true},
        {"nginx:*", "nginx:1.25", true},
        {"docker.io/library/nginx", "nginx:1.25", true},
        {"docker.io/*", "bitnami/nginx@sha256:00", true},
        {"registry.example/shop/*", "registry.example/shop/a/b:1", true},
        {"registry.example/shop/*", "registry.example:5000/shop/a:1", false},
        {"nginx", "notnginx", false},
        {"sha256:aa", "x", true},
        {"localhost/*", "localhost/x", true},
        {"docker.io/*", "localhost/x", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        _cleanup_(policy_set_unrefp) struct policy_set *s =
            parse(arena_printf(a,
                               "kind: ImagePolicy\nname: x\nselect: {images: [\"%s\"]}\nrules: [{deny: config.user = "
                               "root}]\nunscanned: deny\n",
                               t[i].pattern));
        struct judged j;
        struct str name = str_c(t[i].name);
        bool governed;
        setup(&j, a, NULL, 0);
        j.facts.config.user = STR("0");
        j.facts.names = &name;
        j.facts.names_n = 1;
        run(&j, s);
        if (j.v.allow == t[i].selected)
            fail_msg("%s on %s", t[i].pattern, t[i].name);
        if (!str_starts(str_c(t[i].pattern), STR("sha256:"))) {
            enum unscanned u = policy_unscanned(s, &name, 1, &governed);
            assert_int_equal(governed, t[i].selected);
            assert_int_equal(u, t[i].selected ? UNSCANNED_DENY : UNSCANNED_SCAN);
        }
    }
    /* an image without names is selected by "*" and by a policy without select */
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(production);
    bool governed;
    assert_int_equal(policy_unscanned(s, NULL, 0, &governed), UNSCANNED_SCAN);
    assert_true(governed);
    policy_unscanned(NULL, NULL, 0, &governed);
    assert_false(governed);
}

static void test_verdict_json(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(production);
    struct finding f[] = {vuln("CVE-2023-0001", VULN_HIGH, "3.0.2", NOW - DAYS(200)),
                          vuln("CVE-2", VULN_HIGH, "3", NOW - DAYS(13))};
    struct judged j;
    setup(&j, a, f, 2);
    j.in.intel_revision = STR("i1");
    run(&j, s);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 16), c = BUF_INIT(1u << 16);
    struct json_writer w = JSON_WRITER(&b), w2 = JSON_WRITER(&c);
    verdict_write(&w, &j.v);
    struct json_value *json;
    struct verdict back;
    struct err e = ERR_INIT;
    assert_int_equal(json_parse(a, buf_str(&b), 0, &json, &e), 0);
    assert_int_equal(verdict_read(a, json, &back, &e), 0);
    verdict_write(&w2, &back);
    assert_string_equal(buf_cstr(&b), buf_cstr(&c));
    assert_true(back.valid_until == NOW + DAYS(1) + 1 && back.reasons_n == 1 && back.allow);
    assert_int_equal(json_parse(a,
                                STR("{\"evaluated\":\"2026-11-23T17:00:00Z\",\"allow\":true,\"reasons\":[{\"deny\":"
                                    "true,\"policy\":\"x\",\"text\":\"y\"}]}"),
                                0, &json, &e),
                     0);
    assert_int_equal(verdict_read(a, json, &back, &e), -EBADMSG);
    assert_int_equal(json_parse(a, STR("{\"evaluated\":\"2026-11-23T17:00:00Z\",\"reasons\":[]}"), 0, &json, &e), 0);
    assert_int_equal(verdict_read(a, json, &back, &e), -EBADMSG);
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
    static const char *const beyond[] = {"rules[0].deny: column",  "mixes",          "expected CIDR",
                                         "is there twice",         "of this name",   "no rule of this policy",
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
        cmocka_unit_test(test_contract),    cmocka_unit_test(test_refused),    cmocka_unit_test(test_rules),
        cmocka_unit_test(test_built_in),    cmocka_unit_test(test_exceptions), cmocka_unit_test(test_grace),
        cmocka_unit_test(test_valid_until), cmocka_unit_test(test_select),     cmocka_unit_test(test_verdict_json),
        cmocka_unit_test(test_container),   cmocka_unit_test(test_load),       cmocka_unit_test(test_schema),
        cmocka_unit_test(test_shipped),     cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
