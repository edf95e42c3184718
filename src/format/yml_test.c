#include "base/cleanup.h"
#include "format/yml.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static void test_documents(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 26);
    struct yml_doc *d;
    size_t n;
    struct err e = ERR_INIT;
    struct str text = STR("# h\xc3\xa9 first\nkind: A\nlist: [1, \"2\", x y, ~]\n---\n---\nkind: \xc3\xa9\nmap:\n  on: "
                          "off\n  deep: {b: |\n");
    assert_int_equal(yml_parse(a, text, &d, &n, &e), -EBADMSG);
    text = STR("# h\xc3\xa9 first\nkind: A\nlist: [1, \"2\", x y, ~]\n---\n---\nkind: \xc3\xa9\nmap:\n  on: off\n  t: "
               "true\n...\n");
    assert_int_equal(yml_parse(a, text, &d, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(d[1].text.p, "kind: \xc3\xa9\nmap:\n  on: off\n  t: true");
    assert_int_equal(yml_get(yml_get(d[1].root, "map"), "t")->key_line, 9);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1000);
    struct json_writer w = JSON_WRITER(&b);
    json_w_array(&w);
    json_w_value(&w, yml_json(a, d[0].root));
    json_w_value(&w, yml_json(a, d[1].root));
    json_w_end(&w);
    assert_string_equal(buf_cstr(&b), "[{\"kind\":\"A\",\"list\":[1,\"2\",\"x "
                                      "y\",null]},{\"kind\":\"\xc3\xa9\",\"map\":{\"on\":\"off\",\"t\":true}}]");
}

static void test_refused(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 28);
    struct yml_doc *d;
    size_t n;
    static const struct {
        const char *text, *error;
    } t[] = {
        {"a: 1\nb: 2\na: 3\n", "line 3: the key \"a\" is there twice, first in line 1"},
        {"[1, 2\n", "line 2: did not find expected ',' or ']'"},
        {"a: *x\n", "line 1: an alias without its anchor"},
        {"a: &x [*x]\n", "line 1: an alias inside of what it stands for"},
        {"a: !!python/object:x 1\n", "line 1: tags are not supported"},
        {"? [a]\n: 1\n", "line 1: a key must be a plain word or text"},
        {"a: \"\xff\"", "not valid UTF-8"},
        {"a: b: c\n", "line 1: mapping values are not allowed in this context"},
        {"&a [&b [&c [&d [&e [&f [&g [&h [&i [&j [&k [&l [&m [&n [&o [&p [&q [&r [&s [&t [&u [&v [&w [&x [&y [&z [&A "
         "[&B [&C "
         "[&D [&E [&F [&G 1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
         "line 1: nested deeper than 32"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct err e = ERR_INIT;
        assert_true(yml_parse(a, str_c(t[i].text), &d, &n, &e) < 0);
        assert_string_equal(e.msg, t[i].error);
    }
    /* a thousand million laughs */
    struct err e = ERR_INIT;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 16);
    buf_putz(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++)
        buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_int_equal(yml_parse(a, buf_str(&b), &d, &n, &e), -E2BIG);
    /* sharing a list is fine */
    assert_int_equal(yml_parse(a, STR("a: &x [1]\nb: *x\n"), &d, &n, &e), 0);
    assert_int_equal(yml_get(d->root, "b")->count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_documents), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
