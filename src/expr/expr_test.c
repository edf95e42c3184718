/* expr: meaning, types and messages by table. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"
#include "expr/expr.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static const char *const severities[] = {"unknown", "negligible", "low", "medium", "high", "critical"};

enum { SEVERITY, FIXED, AGE, KEV, CVSS, ALIASES, VULN, LABELS, PATH, MISSING, EMPTY, ANCESTORS, IP, ENV };
static const struct expr_field fields[] = {
    [SEVERITY] = {"vuln.severity", EXPR_ENUM, "", severities, ARRAY_LEN(severities)},
    [FIXED] = {"vuln.fixed", EXPR_STRING},
    [AGE] = {"vuln.age", EXPR_DURATION},
    [KEV] = {"vuln.kev", EXPR_BOOL},
    [CVSS] = {"vuln.cvss", EXPR_NUMBER},
    [ALIASES] = {"vuln.aliases", EXPR_LIST},
    [VULN] = {"vuln", EXPR_THING},
    [LABELS] = {"config.labels", EXPR_STRING, .arg = EXPR_ARG},
    [PATH] = {"fd.name", EXPR_STRING},
    [MISSING] = {"no.value", EXPR_STRING},
    [EMPTY] = {"no.list", EXPR_LIST},
    [ANCESTORS] = {"proc.aname", EXPR_ANY, .arg = EXPR_MAYBE_ARG},
    [IP] = {"fd.ip", EXPR_ADDRESS},
    [ENV] = {"proc.env", EXPR_STRING, .arg = EXPR_DOT_ARG},
};
static const struct expr_schema schema = {fields, ARRAY_LEN(fields)};

/* severity high, fixed 1.2-3, age 20 days, kev, cvss 7.5, aliases GHSA-x and CVE-1, label app = web server */
static bool get(void *ctx, unsigned field, struct str arg, struct expr_value *v)
{
    static const struct str ancestors[] = {{"sh", 2}, {"nginx", 5}, {"tini", 4}};
    static struct expr_net addresses[2];
    expr_net_parse(STR("10.1.2.3"), &addresses[0]);
    expr_net_parse(STR("2001:db8::5"), &addresses[1]);
    static const struct str aliases[] = {{"GHSA-x", 6}, {"CVE-1", 5}};
    switch (field) {
    case SEVERITY:
        v->member = 4;
        return true;
    case FIXED:
        v->s = STR("1.2-3");
        return true;
    case AGE:
        v->duration = 20 * TIME_DAY;
        return true;
    case KEV:
        v->yes = true;
        return true;
    case CVSS:
        v->number = 7.5;
        return true;
    case ALIASES:
        v->list = aliases;
        v->list_n = 2;
        return true;
    case VULN:
        return true;
    case LABELS:
        v->s = STR("web server");
        return str_eqc(arg, "app") || str_eqc(arg, "a b");
    case ANCESTORS:
        v->list = ancestors;
        v->list_n = 3;
        return true;
    case IP:
        v->nets = addresses;
        v->list_n = 2;
        return true;
    case ENV:
        v->s = STR("/root");
        return str_eqc(arg, "HOME");
    case PATH:
        v->s = STR("/etc/ssh/sshd_config");
        return true;
    default:
        return false;
    }
}

static const struct {
    const char *text;
    bool want;
} meaning[] = {
    {"vuln.severity >= high and vuln.fixed exists and vuln.age > 14d", true},
    {"vuln.severity >= high and vuln.fixed exists and vuln.age > 3w", false},
    {"vuln.severity > high", false},
    {"vuln.severity = high", true},
    {"vuln.severity==high", true},
    {"vuln.severity != high", false},
    {"vuln.severity < critical and vuln.severity > medium", true},
    {"vuln.severity in (low, high)", true},
    {"vuln.severity in ()", false},
    {"vuln.age >= 20d and vuln.age <= 480h", true},
    {"vuln.age=20d", true},
    {"vuln.kev = true", true},
    {"vuln.kev=false", false},
    {"vuln.cvss >= 7.5", true},
    {"vuln.cvss > 7.50", false},
    {"vuln.cvss in (1, 7.5)", true},
    {"vuln.cvss < 0x10", true},
    {"vuln.cvss > -1e+2", true},
    {"vuln exists", true},
    {"not vuln exists", false},
    {"not not vuln exists", true},
    {"not(vuln exists)", false},
    {"vuln.fixed = 1.2-3", true},
    {"vuln.fixed = \"1.2-3\" and vuln.fixed = '1.2-3'", true},
    {"vuln.fixed startswith 1.2", true},
    {"vuln.fixed endswith -3", true},
    {"vuln.fixed contains .2", true},
    {"config.labels[app] icontains \"WEB S\"", true},
    {"config.labels[app] contains \"WEB\"", false},
    {"config.labels['a b'] = 'web server'", true},
    {"config.labels[none] exists", false},
    {"config.labels[app] in (x, \"web server\", y)", true},
    {"config.labels[app] in(x,y)", false},
    {"config.labels[app] glob 'web*'", true},
    {"config.labels[app] glob w?b", false},
    {"fd.name glob /etc/*config", true},
    {"fd.name pmatch (/usr, /etc)", true},
    {"fd.name pmatch (/et)", false},
    {"fd.name pmatch (/etc/ssh/)", true},
    {"fd.name pmatch (/etc/s*/sshd_config)", true},
    {"fd.name pmatch (/etc/ssh/sshd_config/x)", false},
    {"fd.name pmatch (/)", true},
    {"vuln.aliases = CVE-1", true},
    {"vuln.aliases = CVE-2", false},
    {"vuln.aliases != CVE-1", false},
    {"vuln.aliases != CVE-2", true},
    {"vuln.aliases startswith GHSA-", true},
    {"vuln.aliases intersects (CVE-1, CVE-9)", true},
    {"vuln.aliases intersects (CVE-8)", false},
    {"vuln.aliases in (CVE-1, GHSA-x, CVE-9)", true},
    {"vuln.aliases in (CVE-1)", false},
    {"no.value = x", false},
    {"no.value != x", false},
    {"not no.value = x", true},
    {"no.value exists", false},
    {"no.list exists or no.list != x", false},
    {"vuln.kev=false and vuln.kev=false or vuln.kev=true", true},
    {"vuln.kev=true or vuln.kev=false and vuln.kev=false", true},
    {"(vuln.kev=true or vuln.kev=true) and vuln.kev=false", false},
    {"not vuln.kev=false and vuln.kev=true", true},
    {"(vuln.kev=true)and(vuln.kev=true)or(vuln.kev=false)", true},
    {"vuln.fixed regex \"[0-9.]+-\\d\"", true},
    {"vuln.fixed regex 1", false},
    {"vuln.fixed regex 1.*", true},
    {"vuln.fixed glob 1.[0-2]-?", true},
    {"vuln.fixed glob 1.[!2]-3", false},
    {"vuln.fixed glob 1.2[-3", false},
    {"config.labels[app] iglob *SERVER", true},
    {"config.labels[app] iglob [V-X]EB*", true},
    {"config.labels[app] glob *SERVER", false},
    {"config.labels[app] startswith anyof (x, web)", true},
    {"config.labels[app] contains allof (web, server)", true},
    {"config.labels[app] contains allof (web, x)", false},
    {"config.labels[app] = oneof (a, \"web server\")", true},
    {"config.labels[app] != anyof (a, \"web server\")", false},
    {"config.labels[app] bcontains 20736572", true},
    {"config.labels[app] bstartswith 776562", true},
    {"config.labels[app] bstartswith 20", false},
    {"toupper(config.labels[app]) = \"WEB SERVER\"", true},
    {"basename(fd.name) = sshd_config", true},
    {"toupper(basename(fd.name)) startswith SSHD", true},
    {"len(fd.name) = 20", true},
    {"len(vuln.aliases) > 2", false},
    {"join(\",\", vuln.aliases) = \"GHSA-x,CVE-1\"", true},
    {"concat(vuln.fixed, \"+\", fd.name) endswith +/etc/ssh/sshd_config", true},
    {"fd.name = val(fd.name)", true},
    {"fd.name = val(vuln.fixed)", false},
    {"fd.name contains basename(fd.name)", true},
    {"fd.name = val(no.value)", false},
    {"vuln.cvss <= val(vuln.cvss)", true},
    {"proc.aname in (nginx, apache)", true},
    {"proc.aname in (apache)", false},
    {"proc.aname = tini", true},
    {"proc.aname != tini", false},
    {"proc.aname startswith ng", true},
    {"proc.aname in (a, b, c, d, e, f, g, h, i, j, k, nginx)", true},
    {"proc.aname in (a, b, c, d, e, f, g, h, i, j, k, nginy)", false},
    {"fd.ip = 10.1.2.3", true},
    {"fd.ip = \"10.0.0.0/8\"", true},
    {"fd.ip != \"10.0.0.0/8\"", false},
    {"fd.ip != \"11.0.0.0/8\"", true},
    {"fd.ip in (\"11.0.0.0/8\", \"2001:db8::/32\")", true},
    {"fd.ip in (10.1.2.4, 10.1.2.2/31)", true},
    {"fd.ip in (10.1.2.4/31)", false},
    {"proc.env.HOME = /root", true},
    {"proc.env[HOME] = /root", true},
    {"proc.env.PATH exists", false},
    {"\n  vuln.kev = true\n  and vuln.cvss > 1\n", true},
};

static const struct {
    const char *text, *error;
} refused[] = {
    {"", "column 1: expected a field, not or (, found the end"},
    {"  ", "column 3: expected a field, not or (, found the end"},
    {"vuln.sevrity >= high", "column 1: unknown field vuln.sevrity; did you mean vuln.severity?"},
    {"zzzzzzzzzzz = 1", "column 1: unknown field zzzzzzzzzzz"},
    {"vuln.severity >= hgh",
     "column 18: vuln.severity is one of unknown negligible low medium high critical, not \"hgh\""},
    {"vuln.severity contains h", "column 15: vuln.severity is an enumeration and has no operator contains"},
    {"vuln.fixed > 3", "column 12: vuln.fixed is a text and has no operator >"},
    {"vuln.age > 14", "column 12: vuln.age is a duration like 90s, 15m, 72h, 14d or 2w, \"14\" is none"},
    {"vuln.cvss > high", "column 13: vuln.cvss is a number, \"high\" is none"},
    {"vuln.cvss > 0x", "column 13: vuln.cvss is a number, \"0x\" is none"},
    {"vuln.kev = yes", "column 12: vuln.kev is true or false, not \"yes\""},
    {"vuln.kev", "column 9: expected an operator"},
    {"vuln = x", "column 6: vuln is a kind of finding and has no operator ="},
    {"vuln exists and", "column 16: expected a field, not or (, found the end"},
    {"vuln exists or or vuln exists", "column 16: unknown field or"},
    {"vuln exists vuln exists", "column 13: expected and, or or the end, found vuln"},
    {"(vuln exists", "column 13: expected and, or or the ) of column 1, found the end"},
    {"vuln exists)", "column 12: expected and, or or the end, found )"},
    {"vuln.fixed = ", "column 14: expected a value, found the end"},
    {"vuln.fixed = (a)", "column 14: expected a value, found ("},
    {"vuln.fixed in a", "column 15: expected a list in parentheses: (a, b), found a"},
    {"vuln.fixed in (a b)", "column 18: expected , or ) in the list, found b"},
    {"vuln.fixed in (a,)", "column 18: expected a value, found )"},
    {"vuln.fixed = \"abc", "column 14: the quoted text does not end"},
    {"vuln.fixed = \"a\\x\"", "column 16: unsupported escape"},
    {"vuln.fixed regex a(", "column 18: the transformer a() is not supported"},
    {"vuln.fixed regex \"a(\"", "column 18: regex: missing closing parenthesis"},
    {"vuln.fixed regex \"[\"", "column 18: regex: missing terminating ]"},
    {"rot13(vuln.fixed) = a", "column 1: the transformer rot13() is not supported"},
    {"vuln.fixed = rot13(vuln.fixed)", "column 14: the transformer rot13() is not supported"},
    {"vuln.fixed = val(vuln.age)", "column 14: vuln.fixed is a text, what it is compared with is a duration"},
    {"tolower(vuln.age) = 3d", "column 1: tolower() takes texts"},
    {"tolower(vuln.fixed", "column 19: expected ) behind what tolower() takes, found the end"},
    {"tolower(\"x\") = x", "column 1: tolower() takes a field"},
    {"vuln.fixed bcontains xyz", "column 22: expected bytes in hex, not \"xyz\""},
    {"fd.ip = 1.2.3", "column 9: fd.ip is an address, \"1.2.3\" is no address and no network"},
    {"fd.ip = 10.0.0.0/33", "column 9: fd.ip is an address"},
    {"nothing", "column 1: unknown field nothing"},
    {"config.labels = x", "column 14: config.labels needs an argument: config.labels[NAME]"},
    {"config.labels[] = x", "column 15: expected an argument and ] behind config.labels["},
    {"config.labels[a = x", "column 16: expected an argument and ] behind config.labels["},
    {"vuln.fixed[a] = x", "column 11: vuln.fixed takes no argument in brackets"},
    {"vuln.fixed existsx", "column 12: expected an operator"},
    {"vuln exists\nand vuln.cvss > x", "line 2, column 17: vuln.cvss is a number, \"x\" is none"},
};

static void test_meaning(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    for (size_t i = 0; i < ARRAY_LEN(meaning); i++) {
        struct err e = ERR_INIT;
        struct expr *x;
        if (expr_compile(a, str_c(meaning[i].text), &schema, &x, &e) < 0)
            fail_msg("%s: %s", meaning[i].text, e.msg);
        if (expr_eval(x, get, NULL) != meaning[i].want)
            fail_msg("%s: not %d", meaning[i].text, meaning[i].want);
    }
}

static void test_refused(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 24);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err e = ERR_INIT;
        struct expr *x;
        if (expr_compile(a, str_c(refused[i].text), &schema, &x, &e) != -EINVAL)
            fail_msg("accepted: %s", refused[i].text);
        if (!str_starts(str_c(e.msg), str_c(refused[i].error)))
            fail_msg("%s: %s", refused[i].text, e.msg);
    }
}

static void test_limits(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 26);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    struct err e = ERR_INIT;
    struct expr *x;
    const struct expr_check *checks;
    for (int depth = LIMIT_EXPR_DEPTH; depth <= LIMIT_EXPR_DEPTH + 1; depth++) {
        buf_reset(&b);
        for (int i = 0; i < depth; i++)
            buf_putz(&b, "not (");
        buf_putz(&b, "vuln exists");
        for (int i = 0; i < depth; i++)
            buf_putc(&b, ')');
        assert_int_equal(expr_compile(a, buf_str(&b), &schema, &x, &e), depth > LIMIT_EXPR_DEPTH ? -E2BIG : 0);
    }
    buf_reset(&b);
    buf_putz(&b, "vuln exists");
    for (int i = 0; i < 1000; i++)
        buf_putz(&b, i % 2 ? " and not not vuln.kev = true" : " or vuln.cvss > 9");
    assert_int_equal(expr_compile(a, buf_str(&b), &schema, &x, &e), 0);
    assert_int_equal(expr_checks(x, &checks), 1001);
    assert_int_equal(checks[0].field, VULN);
    assert_int_equal(checks[2].field, KEV);
    assert_true(expr_eval(x, get, NULL));
    for (int i = 0; i < 3000; i++)
        buf_putz(&b, " or vuln.cvss > 9                ");
    assert_int_equal(expr_compile(a, buf_str(&b), &schema, &x, &e), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
