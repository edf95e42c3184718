/* ImagePolicy: verdicts, their reasons, and until when they hold. */
#include "base/time.h"
#include "policy/policy_test.h"

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

/* Nothing was left out. */
static struct str looked_for[] = {STR("packages"), STR("secrets"), STR("malware"), STR("checks"), STR("dynamic")};

static void setup(struct judged *j, struct arena *a, const struct finding *findings, size_t n)
{
    *j = (struct judged){.a = a,
                         .facts = {.image_id = STR("sha256:aa"),
                                   .config.user = STR("app"),
                                   .findings = findings,
                                   .findings_n = n,
                                   .looked_for = looked_for,
                                   .looked_for_n = ARRAY_LEN(looked_for)},
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

/* Every field, on a subject that has them all: what is true of it, and the same of one that has nothing. */
static const struct {
    const char *rule;
    bool full, bare;
} field_rules[] = {
    {"vuln exists", true, true},
    {"vuln.id = CVE-2024-1", true, false},
    {"vuln.aliases intersects (GHSA-1)", true, false},
    {"vuln.severity = critical", true, false},
    {"vuln.severity = unknown", false, true},
    {"vuln.fixed startswith 3.0", true, false},
    {"vuln.age = 30d", true, false},
    {"vuln.fix_age >= 10d", true, false},
    {"vuln.age exists", true, false},
    {"vuln.status = will_not_fix", true, false},
    {"vuln.kev = true", true, false},
    {"vuln.headers_only = true", true, false},
    {"vuln.epss > 0.5", true, false},
    {"vuln.epss <= 1", true, false},
    {"vuln.cvss >= 9.8", true, false},
    {"vuln.package = libssl3", true, false},
    {"vuln.type = deb", true, false},
    {"vuln.source in (debian, nvd)", true, false},
    {"malware.name = Eicar and malware.path pmatch (tmp)", true, false},
    {"secret.rule contains key and secret.path endswith id", true, false},
    {"package.name = ghostscript and package.version = 10 and package.type = deb", true, false},
    {"package.license = \"MIT AND (AGPL-3.0-only OR GPL-2.0-only WITH Classpath-exception-2.0)\"", true, false},
    {"package.licenses intersects (AGPL-3.0-only)", true, false},
    {"package.licenses in (MIT, AGPL-3.0-only, GPL-2.0-only, Classpath-exception-2.0)", true, false},
    {"package.licenses = AND", false, false},
    {"package.path = var/lib/dpkg/status", true, false},
    {"config.user = app and config.user = app:staff and config.user != root", true, false},
    {"config.user = root and config.user = 0", false, true},
    {"config.healthcheck = true", true, false},
    {"config.env contains PASSWORD", true, false},
    {"config.env[PATH] = /bin", true, false}, /* the last one counts */
    {"config.env[PATH] = /usr/bin", false, false},
    {"config.env[HOME] exists", false, false},
    {"config.ports intersects (22/tcp)", true, false},
    {"config.entrypoint = /entry", true, false},
    {"config.cmd = -v", true, false},
    {"config.volumes = /data", true, false},
    {"config.labels[team] = shop", true, false},
    {"config.labels[other] exists", false, false},
    {"config.arch = amd64", true, false},
    {"config.created startswith 2026-11-13", true, false},
    {"image.id = sha256:aa", true, true},
    {"image.name glob shop/*", true, false},
    {"image.os = debian and image.os_version = 12", true, false},
    {"image.age > 9d and image.age < 11d", true, false},
    {"vuln.path = var/lib/dpkg/status and vuln.layer = sha256:b1 and vuln.in_base = true", true, false},
    {"vuln.in_base = false", false, false},
    {"malware.severity >= high and malware.engine = yara and malware.sha256 startswith 275a", true, false},
    {"malware.hidden = true", true, false},
    {"secret.severity >= high and secret.origin = file and secret.hidden = false", true, false},
    {"check exists", true, true},
    {"check.id = setuid_file and check.severity >= medium and check.path pmatch (opt) and check.match = 4755", true,
     false},
    {"dynamic exists", true, true},
    {"dynamic.id = connect and dynamic.type = connect and dynamic.severity = medium", true, false},
    {"dynamic.path = /tmp/x and dynamic.address = 1.2.3.4:443", true, false},
    {"package.source = gs and package.arch = amd64 and package.layer = sha256:b2", true, false},
    {"package.in_base = true", false, false},
    {"package.in_base = false", true, false},
    {"image.registry = docker.io and image.repository = shop/web and image.tag = 7", true, false},
    {"image.base glob docker.io/library/debian*", true, false},
    {"image.layers intersects (sha256:b1)", true, false},
    {"image.size_mb > 99 and image.size_mb < 101", true, false},
    {"image.looked_for intersects (malware)", true, true},
    {"image.scan_age < 1d", true, false},
    {"intel.age > 2d and intel.signed = true", true, false},
};

static void test_fields(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    struct str alias = STR("GHSA-1"), name = STR("shop/web:7"), port = STR("22/tcp"), entry = STR("/entry"),
               cmd = STR("-v"), volume = STR("/data"), key = STR("team"), value = STR("shop");
    struct str env[] = {STR("PATH=/usr/bin"), STR("DB_PASSWORD=x"), STR("PATH=/bin")};
    struct package gs = ghostscript, nothing = {0};
    gs.license = STR("MIT AND (AGPL-3.0-only OR GPL-2.0-only WITH Classpath-exception-2.0)");
    gs.path = STR("var/lib/dpkg/status");
    gs.source_name = STR("gs");
    gs.arch = STR("amd64");
    struct str layers[] = {STR("sha256:b1"), STR("sha256:b2")}, base = STR("docker.io/library/debian:12");
    struct finding full[] = {
        {.kind = FINDING_VULN,
         .id = STR("CVE-2024-1"),
         .package = &openssl,
         .severity = VULN_CRITICAL,
         .severity_source = STR("debian"),
         .status = VULN_WILL_NOT_FIX,
         .fixed = STR("3.0.2"),
         .published = NOW - DAYS(30),
         .fix_published = NOW - DAYS(10),
         .cvss = 9.8,
         .epss = 0.9,
         .kev = true,
         .headers_only = true,
         .aliases = &alias,
         .aliases_n = 1,
         .path = STR("var/lib/dpkg/status"),
         .layer = STR("sha256:b1")},
        {.kind = FINDING_MALWARE,
         .id = STR("Eicar"),
         .path = STR("tmp/x"),
         .severity = VULN_HIGH,
         .engine = STR("yara"),
         .sha256 = STR("275a"),
         .hidden = true},
        {.kind = FINDING_SECRET, .id = STR("private-key"), .path = STR("root/.ssh/id"), .severity = VULN_HIGH},
        {.kind = FINDING_CHECK,
         .id = STR("setuid_file"),
         .severity = VULN_MEDIUM,
         .path = STR("opt/x"),
         .match = STR("4755")},
        {.kind = FINDING_DYNAMIC,
         .id = STR("connect"),
         .type = STR("connect"),
         .severity = VULN_MEDIUM,
         .path = STR("/tmp/x"),
         .address = STR("1.2.3.4:443")},
        {.kind = FINDING_PACKAGE, .id = STR("pkg:deb/ghostscript"), .package = &gs, .layer = STR("sha256:b2")},
    };
    struct finding bare[] = {
        {.kind = FINDING_VULN, .package = &nothing, .cvss = -1, .epss = -1},
        {.kind = FINDING_MALWARE},
        {.kind = FINDING_SECRET, .origin = ORIGIN_ENV},
        {.kind = FINDING_CHECK},
        {.kind = FINDING_DYNAMIC},
        {.kind = FINDING_PACKAGE, .package = &nothing},
    };
    for (size_t i = 0; i < ARRAY_LEN(field_rules); i++) {
        _cleanup_(policy_set_unrefp) struct policy_set *s =
            parse(arena_printf(a, "kind: ImagePolicy\nname: x\nrules: [{warn: '%s'}]\n", field_rules[i].rule));
        struct judged j;
        setup(&j, a, full, ARRAY_LEN(full));
        j.facts.names = &name;
        j.facts.names_n = 1;
        j.facts.layers = layers;
        j.facts.layers_n = 2;
        j.facts.base_layers = 1;
        j.facts.base = &base;
        j.facts.base_n = 1;
        j.facts.size = INT64_C(100) << 20;
        j.facts.scanned = NOW - TIME_SECOND;
        j.facts.intel_built = NOW - DAYS(3);
        j.facts.intel_signed = true;
        j.facts.os = (struct os_release){.id = STR("debian"), .version_id = STR("12")};
        j.facts.config = (struct image_config){.user = STR("app:staff"),
                                               .arch = STR("amd64"),
                                               .created = NOW - DAYS(10),
                                               .healthcheck = true,
                                               .env = env,
                                               .env_n = 3,
                                               .ports = &port,
                                               .ports_n = 1,
                                               .entrypoint = &entry,
                                               .entrypoint_n = 1,
                                               .cmd = &cmd,
                                               .cmd_n = 1,
                                               .volumes = &volume,
                                               .volumes_n = 1,
                                               .label_keys = &key,
                                               .label_values = &value,
                                               .labels_n = 1};
        run(&j, s);
        if ((j.v.reasons_n > 0) != field_rules[i].full)
            fail_msg("%s: %d on the full subject", field_rules[i].rule, !field_rules[i].full);
        setup(&j, a, bare, ARRAY_LEN(bare));
        j.facts.config.user = STR("");
        run(&j, s);
        if ((j.v.reasons_n > 0) != field_rules[i].bare)
            fail_msg("%s: %d on the bare subject", field_rules[i].rule, !field_rules[i].bare);
    }
    for (size_t i = 0; i < image_schema.n; i++) {
        bool tried = false;
        for (size_t k = 0; k < ARRAY_LEN(field_rules); k++)
            tried |= str_has(str_c(field_rules[k].rule), str_c(image_schema.fields[i].name));
        if (!tried)
            fail_msg("no rule of this table asks %s", image_schema.fields[i].name);
    }
}

/* Statements of the policies that select the image, their terms, and documents of others. */
static void test_vex(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    _cleanup_(policy_set_unrefp) struct policy_set *s = parse(
        "kind: ImagePolicy\nname: shop\nselect: {images: [\"shop/*\"]}\nrules: [{deny: vuln.severity >= high}]\n"
        "vex:\n"
        "  - {finding: CVE-1, status: not_affected, package: openssl, note: not called, owner: alice, expires: "
        "2027-01-31}\n"
        "  - {finding: CVE-2, status: fixed, package: \"pkg:deb/debian/libssl3\", owner: bob, expires: 2027-01-31}\n"
        "  - owner: carol\n    expires: 2027-06-30\n    document: |\n"
        "      {\"@context\": \"https://openvex.dev/ns/v0.2.0\", \"statements\": [\n"
        "        {\"vulnerability\": {\"name\": \"CVE-3\"}, \"status\": \"not_affected\", \"products\": "
        "[{\"@id\": \"pkg:npm/lodash\"}]},\n"
        "        {\"vulnerability\": {\"name\": \"CVE-4\"}, \"status\": \"under_investigation\", \"products\": "
        "[{\"@id\": \"pkg:npm/lodash\"}]}]}\n"
        "---\nkind: ImagePolicy\nname: other\nselect: {images: [\"other/*\"]}\nrules: []\n"
        "vex: [{finding: CVE-9, status: fixed, owner: dave, expires: 2027-01-31}]\n");
    static const struct str mine[] = {STR("shop/web:7")}, nobodys[] = {STR("third/web:7")};
    const struct policy_vex **v;
    int64_t end, mid;
    time_parse(STR("2027-01-31"), &end);
    time_parse(STR("2027-06-30"), &mid);
    assert_int_equal(policy_vex(a, s, nobodys, 1, STR("sha256:aa"), &v), 0);
    assert_int_equal(policy_vex(a, s, mine, 1, STR("sha256:aa"), &v), 3);
    assert_string_equal(v[0]->owner.p, "alice");
    assert_true(str_eqc(v[0]->vex.v[0].name, "openssl") && v[0]->vex.v[0].expires == end && v[0]->expires == end);
    assert_true(str_eqc(v[1]->vex.v[0].product, "pkg:deb/debian/libssl3") && v[1]->vex.v[0].status == VULN_FIXED);
    assert_int_equal(v[2]->vex.n, 2);
    assert_true(str_eqc(v[2]->vex.v[1].ids[0], "CVE-4") && v[2]->vex.v[1].expires == mid);
    assert_true(str_eqc(v[2]->what, "VEX document on CVE-3 and others"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),        cmocka_unit_test(test_built_in),    cmocka_unit_test(test_exceptions),
        cmocka_unit_test(test_grace),        cmocka_unit_test(test_valid_until), cmocka_unit_test(test_select),
        cmocka_unit_test(test_verdict_json), cmocka_unit_test(test_fields),      cmocka_unit_test(test_vex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
