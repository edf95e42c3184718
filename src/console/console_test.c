#include "console/console.h"

#include "base/fs.h"
#include "format/yml.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *source(struct arena *a, const char *path)
{
    struct str text;
    struct err e = ERR_INIT;
    const char *data = getenv("BULKHEAD_TEST_DATA"); /* SOURCE/test/data */
    if (fs_read(a, arena_printf(a, "%s/../../%s", data ? data : "test/data", path), 4u << 20, &text, &e) < 0)
        fail_msg("%s", e.msg);
    return text.p;
}

static const struct httpd_route *find(const struct httpd_route *routes, size_t n, const char *method,
                                      struct str pattern)
{
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(routes[i].method, method) && str_eqc(pattern, routes[i].pattern))
            return &routes[i];
    return NULL;
}

/* Both ways: what the contract has is routed with its permission and takes a body where it says so; what is routed is
 * in it. */
static void routes_and_contract(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct yml_doc *docs;
    struct err e = ERR_INIT;
    size_t n, found = 0;
    if (yml_parse(a, str_c(source(a, "api/openapi.yaml")), &docs, &n, &e) < 0)
        fail_msg("%s", e.msg);
    YML_EACH(yml_get(docs[0].root, "paths"), path)
    {
        YML_EACH(path, op)
        {
            if (str_eqc(op->key, "parameters"))
                continue;
            const struct httpd_route *r =
                find(console_routes, console_routes_count(), arena_cstr(a, op->key), path->key);
            if (!r)
                fail_msg("no route for " STR_FMT " " STR_FMT, STR_ARG(op->key), STR_ARG(path->key));
            const struct yml *permission = yml_get(op, "x-permission");
            assert_non_null(permission);
            if (!str_eqc(permission->text, permission_name(r->permission)))
                fail_msg("%s %s: permission %s", r->method, r->pattern, permission_name(r->permission));
            assert_true(!yml_get(op, "requestBody") == !r->body_max);
            found++;
        }
    }
    assert_int_equal(found, console_routes_count());
}

static void routes_and_protocol(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct str text = str_c(source(a, "api/agent-protocol.md")), line;
    size_t found = 0;
    while (str_cut(&text, '\n', &line)) {
        struct str rest = line, cell[4];
        size_t n = 0;
        while (n < 4 && str_cut(&rest, '|', &cell[n]))
            n++;
        if (n < 4 || !str_starts(str_trim(cell[2]), STR("/agent/v1/")))
            continue;
        struct str path, query;
        str_split(str_trim(cell[2]), '?', &path, &query);
        const struct httpd_route *r =
            find(console_agent_routes, console_agent_routes_count(), arena_cstr(a, str_trim(cell[1])), path);
        if (!r)
            fail_msg("no route for " STR_FMT, STR_ARG(line));
        assert_int_equal(r->permission == PERMISSION_PUBLIC,
                         str_starts(str_trim(cell[3]), STR("none")) || str_eqc(path, "/agent/v1/enroll"));
        found++;
    }
    assert_int_equal(found, console_agent_routes_count());
}

/* Nobody gets what is above them; said here by hand. */
static void roles(void **state)
{
    static const struct {
        enum permission p;
        const char *who; /* first letters */
    } cases[] = {
        {PERMISSION_USERS_WRITE, "a"},      {PERMISSION_INTEL_KEY, "a"},         {PERMISSION_USERS_READ, "au"},
        {PERMISSION_AUDIT_READ, "au"},      {PERMISSION_TOKENS_WRITE, "ao"},     {PERMISSION_AGENTS_WRITE, "ao"},
        {PERMISSION_POLICIES_WRITE, "ao"},  {PERMISSION_INTEL_WRITE, "ao"},      {PERMISSION_REPORTS_WRITE, "aoc"},
        {PERMISSION_POLICIES_READ, "aouc"}, {PERMISSION_IMAGES_READ, "aouc"},    {PERMISSION_INTEL_READ, "aouc"},
        {PERMISSION_EVENTS_READ, "aou"},    {PERMISSION_CONTAINERS_READ, "aou"}, {PERMISSION_AGENTS_READ, "aou"},
        {PERMISSION_METRICS_READ, "aou"},   {PERMISSION_TOKENS_READ, "aou"},     {PERMISSION_AGENT, ""},
    };
    static const char letters[ROLES] = {'a', 'o', 'u', 'c'};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned r = 0; r < ROLES; r++)
            if (permission_given(cases[i].p, r) != !!strchr(cases[i].who, letters[r]))
                fail_msg("%s: %s", permission_name(cases[i].p), role_name(r));
    assert_int_equal(ARRAY_LEN(cases), PERMISSIONS - 2); /* all but public and self */
}

static void limiter(void **state)
{
    struct limiter *l = limiter_new();
    int taken = 0;
    for (int i = 0; i < 20; i++)
        taken += limiter_take(l, "t:", STR("alice"), 5, 3600 * TIME_SECOND);
    assert_int_equal(taken, 5);
    limiter_give(l, "t:", STR("alice"), 5);
    assert_true(limiter_take(l, "t:", STR("alice"), 5, 3600 * TIME_SECOND));
    assert_true(limiter_take(l, "t:", STR("bob"), 5, 3600 * TIME_SECOND));
    assert_true(limiter_take(l, "u:", STR("alice"), 5, 3600 * TIME_SECOND));
    int64_t end = time_monotonic() + 5 * TIME_SECOND; /* it fills again */
    while (limiter_take(l, "r:", STR("x"), 2, 20000))
        ;
    while (!limiter_take(l, "r:", STR("x"), 2, 20000))
        assert_true(time_monotonic() < end);
    limiter_free(l);
}

static void secrets(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str s = secret_new(a), t = secret_new(a);
    assert_int_equal(s.n, SECRET_TEXT - 1);
    assert_false(str_eq(s, t));
    /* SHA-256 of "abc", FIPS 180-2 */
    assert_true(
        str_eqc(secret_hash(a, STR("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_true(secret_matches(a, s, secret_hash(a, s)));
    assert_false(secret_matches(a, t, secret_hash(a, s)));
    assert_false(secret_matches(a, STR(""), STR("")));
    assert_true(password_good(STR("short"), NULL) < 0);
    assert_int_equal(password_good(STR("long enough it is"), NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_and_contract),
        cmocka_unit_test(routes_and_protocol),
        cmocka_unit_test(roles),
        cmocka_unit_test(limiter),
        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
