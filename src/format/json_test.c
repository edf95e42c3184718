/* json: strictness by table, streaming at every split, document, field tables, writer. */
#include "base/cleanup.h"
#include "format/json.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static const char *const good[] = {
    "{}",
    "[]",
    "\"\"",
    "0",
    "-0",
    "1.5e+10",
    "true",
    "false",
    "null",
    " \t\r\n[ ] \n",
    "{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]},\"b\":\"\\u0041\\ud83d\\ude00\\n\"}",
    "[1,2,[3,[4]],{}]",
    "\"\xc3\xa9\xe2\x82\xac\"",
    "{\"a\":1,\"A\":2}",
    "[123456789012345678901234567890]",
    "{\"\":0}",
    "\"\\u0000\"",
    "\"a long enough string to take the vector path \xc3\xa9 and some more of it\"",
};

static const struct {
    const char *text, *error;
} bad[] = {
    {"", "line 1, column 1: the text ends where a value should be"},
    {"  ", "the text ends where"},
    {"{", "ends inside of an object|expected a key"},
    {"[", "the text ends where"},
    {"[1", "ends inside of an array"},
    {"[1,]", "expected a value"},
    {"[,1]", "expected a value"},
    {"[1 2]", "expected ',' or the end of an array"},
    {"{\"a\"}", "expected ':'"},
    {"{\"a\":1,}", "expected a key"},
    {"{a:1}", "expected a key"},
    {"{'a':1}", "expected a key"},
    {"{\"a\":1,\"a\":2}", "line 1, column 8: the key \"a\" is there twice"},
    {"{\"a\":1,\"\\u0061\":2}", "the key \"a\" is there twice"},
    {"[1}", "expected ','"},
    {"{\"a\":1]", "expected ','"},
    {"1 2", "more data behind the end"},
    {"{}x", "more data behind the end"},
    {"{} {}", "more data behind the end"},
    {"01", "bad number"},
    {"-", "bad number"},
    {"1.", "bad number"},
    {".5", "expected a value"},
    {"+1", "expected a value"},
    {"1e", "bad number"},
    {"1e+", "bad number"},
    {"0x1", "more data"},
    {"--1", "bad number"},
    {"NaN", "expected a value"},
    {"tru", "expected a value"},
    {"True", "expected a value"},
    {"\"abc", "a string does not end"},
    {"\"abc\\", "a string does not end"},
    {"\"\\x\"", "bad escape"},
    {"\"\\u12\"", "bad escape"},
    {"\"\\ud800\"", "half a surrogate pair"},
    {"\"\\udc00\"", "half a surrogate pair"},
    {"\"\\ud800\\u0041\"", "half a surrogate pair"},
    {"\"\\ud800x\"", "half a surrogate pair"},
    {"\"a\nb\"", "a control character"},
    {"\"\t\"", "a control character"},
    {"\"\xff\"", "not valid UTF-8"},
    {"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xed\xa0\x80\"", "not valid UTF-8"},
    {"\xef\xbb\xbf{}", "expected a value"},
    {"/* c */ 1", "expected a value"},
    {"[1,\n 2,\n x]", "line 3, column 2: expected a value"},
};

static bool has_any(const char *msg, const char *alternatives)
{
    struct str rest = str_c(alternatives), part;
    while (str_cut(&rest, '|', &part))
        if (str_has(str_c(msg), part))
            return true;
    return false;
}

struct source {
    struct str left;
    size_t step;
};

static ssize_t source_read(void *ctx, void *p, size_t n, struct err *e)
{
    struct source *s = ctx;
    n = n < s->step ? n : s->step;
    n = n < s->left.n ? n : s->left.n;
    memcpy(p, s->left.p, n);
    s->left = str_sub(s->left, n, s->left.n);
    return (ssize_t)n;
}

static int stream(struct str text, size_t step, struct arena *a, struct json_value **ret, struct err *e)
{
    struct source s = {text, step};
    _cleanup_(json_closep) struct json *j = json_open(source_read, &s, 0);
    int r = json_value_read(j, a, ret, e);
    return r < 0 ? r : json_next(j, e);
}

static void test_strict(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct json_value *v;
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        e = ERR_INIT;
        if (json_parse(a, str_c(good[i]), 0, &v, &e) < 0)
            fail_msg("%s: %s", good[i], e.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e = ERR_INIT;
        assert_int_equal(json_parse(a, str_c(bad[i].text), 0, &v, &e), -EBADMSG);
        if (!has_any(e.msg, bad[i].error))
            fail_msg("%s: %s", bad[i].text, e.msg);
    }
    /* a NUL is no end of text */
    assert_int_equal(json_parse(a, str_n("1\0", 2), 0, &v, &e), -EBADMSG);
    assert_int_equal(json_parse(a, STR("{\"Name\":1,\"name\":2}"), JSON_FOLD_KEYS, &v, &e), -EBADMSG);
    assert_int_equal(json_parse(a, STR("{\"Name\":1,\"nam\":2,\"x\":{\"name\":1}}"), JSON_FOLD_KEYS, &v, &e), 0);
    assert_int_equal(json_parse(a, STR("{\"a\":1,\"a\":2}"), JSON_ANY_KEYS, &v, &e), 0);
}

static void test_stream(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    for (size_t step = 1; step < 40; step += step < 5 ? 1 : 11) {
        for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
            const char *text = i < ARRAY_LEN(good) ? good[i] : bad[i - ARRAY_LEN(good)].text;
            struct json_value *v, *vs;
            struct err e = ERR_INIT, es = ERR_INIT;
            int r = json_parse(a, str_c(text), 0, &v, &e), rs = stream(str_c(text), step, a, &vs, &es);
            assert_int_equal(r, rs);
            assert_string_equal(e.msg, es.msg);
            if (r < 0)
                continue;
            _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20), bs = BUF_INIT(1u << 20);
            struct json_writer w = JSON_WRITER(&b), ws = JSON_WRITER(&bs);
            json_w_value(&w, v);
            json_w_value(&ws, vs);
            assert_string_equal(buf_cstr(&b), buf_cstr(&bs));
        }
    }
    /* tokens longer than a block */
    _cleanup_(buf_fini) struct buf b = BUF_INIT(16u << 20);
    buf_putz(&b, "[\"");
    for (int i = 0; i < 300000; i++)
        buf_putz(&b, i % 1000 ? "ab" : "\\u00e9");
    buf_putz(&b, "\"]");
    struct json_value *v;
    struct err e = ERR_INIT;
    assert_int_equal(stream(buf_str(&b), 5000, a, &v, &e), 0);
    assert_int_equal(v->first->text.n, 600000);
}

static void test_depth_and_keys(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8u << 20);
    struct json_value *v;
    struct err e = ERR_INIT;
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_putc(&b, '[');
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_putc(&b, ']');
    assert_int_equal(json_parse(a, buf_str(&b), 0, &v, &e), 0);
    struct buf c = BUF_INIT(1000);
    struct json_writer w = JSON_WRITER(&c);
    json_w_value(&w, v->first);
    assert_int_equal(c.n, b.n - 2);
    buf_fini(&c);
    buf_reset(&b);
    for (int i = 0; i <= LIMIT_JSON_DEPTH; i++)
        buf_putc(&b, '[');
    assert_int_equal(json_parse(a, buf_str(&b), 0, &v, &e), -E2BIG);
    /* many keys, nested objects in between; then one of them again */
    for (int twin = -1; twin < 5000; twin += 1249) {
        buf_reset(&b);
        buf_putc(&b, '{');
        for (int i = 0; i < 5000; i++)
            buf_printf(&b, "\"key-%d\":{\"key-%d\":1,\"x\":2},", i, i);
        buf_printf(&b, "\"key-%d\":1}", twin);
        assert_int_equal(json_parse(a, buf_str(&b), 0, &v, &e), twin < 0 ? 0 : -EBADMSG);
    }
}

static void test_pull(void **state)
{
    struct err e = ERR_INIT;
    _cleanup_(json_closep) struct json *j =
        json_open_mem(STR("{\"skip\":{\"a\":[1,{}]},\"skip2\":7,\"list\":[[1],2,\"x\"],\"end\":true}"), 0);
    assert_int_equal(json_expect(j, JSON_OBJECT, &e), 0);
    assert_int_equal(json_depth(j), 1);
    assert_int_equal(json_expect(j, JSON_KEY, &e), 0);
    assert_int_equal(json_skip(j, &e), 0);
    assert_int_equal(json_expect(j, JSON_KEY, &e), 0);
    assert_true(str_eqc(json_text(j), "skip2"));
    assert_int_equal(json_skip(j, &e), 0);
    assert_int_equal(json_expect(j, JSON_KEY, &e), 0);
    assert_int_equal(json_expect(j, JSON_ARRAY, &e), 0);
    assert_int_equal(json_expect(j, JSON_ARRAY, &e), 0);
    assert_int_equal(json_skip(j, &e), 0); /* to the end of the array just opened */
    assert_int_equal(json_skip(j, &e), 0); /* the 2 */
    assert_int_equal(json_expect(j, JSON_STRING, &e), 0);
    assert_int_equal(json_skip(j, &e), -ENOENT);
    assert_int_equal(json_expect(j, JSON_KEY, &e), 0);
    assert_int_equal(json_expect(j, JSON_STRING, &e), -EBADMSG);
    assert_true(str_has(str_c(e.msg), STR("expected a string, found true")));

    _cleanup_(json_closep) struct json *lines = json_open_mem(STR("{\"a\":1}\n{\"a\":2}\n"), JSON_LINES);
    int objects = 0, t;
    while ((t = json_next(lines, &e)) > 0)
        objects += t == JSON_OBJECT;
    assert_int_equal(t, 0);
    assert_int_equal(objects, 2);
    _cleanup_(json_closep) struct json *none = json_open_mem(STR(""), JSON_LINES);
    assert_int_equal(json_next(none, &e), 0);
}

static void test_document(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct json_value *v;
    struct err e = ERR_INIT;
    assert_int_equal(
        json_parse(a, STR("{\"a\":{\"b\":{\"c\":-5,\"d\":2.5,\"e\":true,\"f\":\"x\\ty\"}},\"n\":null}"), 0, &v, &e), 0);
    assert_int_equal(json_i64(json_path(v, "a.b.c"), 0), -5);
    assert_true(json_double(json_path(v, "a.b.d"), 0) == 2.5);
    assert_int_equal(json_i64(json_path(v, "a.b.d"), 9), 9);
    assert_true(json_bool(json_path(v, "a.b.e"), false));
    assert_true(str_eqc(json_str(json_path(v, "a.b.f")), "x\ty"));
    assert_null(json_path(v, "a.x.c"));
    assert_null(json_str(json_get(v, "a")).p);
    assert_null(json_get(NULL, "a"));
    assert_int_equal(json_get(v, "n")->type, JSON_NULL);
}

struct decoded {
    struct str id;
    int64_t n;
    bool on;
    double d;
    const struct json_value *any;
    struct json_strs names;
};

static const struct json_field fields[] = {
    {"Id", JSON_F_STR, offsetof(struct decoded, id), true},
    {"N", JSON_F_I64, offsetof(struct decoded, n), false},
    {"On", JSON_F_BOOL, offsetof(struct decoded, on), false},
    {"D", JSON_F_DOUBLE, offsetof(struct decoded, d), false},
    {"Any", JSON_F_VALUE, offsetof(struct decoded, any), false},
    {"Names", JSON_F_STRS, offsetof(struct decoded, names), false},
};

static void test_fields(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct json_value *v;
    struct err e = ERR_INIT;
    struct decoded d = {.n = 3};
    assert_int_equal(
        json_parse(a, STR("{\"Id\":\"x\",\"On\":true,\"D\":1e3,\"Any\":[1],\"Names\":[\"a\",\"b\"],\"N\":null}"), 0, &v,
                   &e),
        0);
    assert_int_equal(json_decode(a, v, fields, ARRAY_LEN(fields), 0, &d, &e), 0);
    assert_true(str_eqc(d.id, "x") && d.on && d.d == 1000 && d.n == 3 && d.any->count == 1 && d.names.n == 2);
    assert_true(str_eqc(d.names.v[1], "b"));
    static const struct {
        const char *text, *error;
    } t[] = {
        {"{}", "field \"Id\" is missing"},
        {"{\"Id\":1}", "field \"Id\": expected a string, found a number"},
        {"{\"Id\":\"\",\"X\":1}", "unknown field \"X\""},
        {"{\"Id\":\"\",\"N\":1.5}", "field \"N\": expected an integer of 64 bits, found 1.5"},
        {"{\"Id\":\"\",\"On\":\"true\"}", "field \"On\": expected a boolean, found a string"},
        {"{\"Id\":\"\",\"Names\":[\"a\",{}]}", "field \"Names\"[1]: expected a string, found an object"},
        {"[]", "expected an object, found an array"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(json_parse(a, str_c(t[i].text), 0, &v, &e), 0);
        assert_int_equal(json_decode(a, v, fields, ARRAY_LEN(fields), 0, &d, &e), -EBADMSG);
        assert_string_equal(e.msg, t[i].error);
    }
    assert_int_equal(json_parse(a, STR("{\"Id\":\"\",\"X\":1}"), 0, &v, &e), 0);
    assert_int_equal(json_decode(a, v, fields, ARRAY_LEN(fields), JSON_DECODE_UNKNOWN_OK, &d, &e), 0);
}

static void test_writer(void **state)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 16);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "s", STR("q\"\\\n\x01\x7f\xc3\xa9"));
    json_w_kstr(&w, "bad", STR("a\xff\xc3(\xe2\x82\xac"));
    json_w_kstr(&w, "none", STR_NONE);
    json_w_ki64(&w, "min", INT64_MIN);
    json_w_karray(&w, "list");
    json_w_double(&w, 0.1);
    json_w_double(&w, 1e300 * 1e300);
    json_w_object(&w);
    json_w_end(&w);
    json_w_raw(&w, STR("[1]"));
    json_w_end(&w);
    json_w_kbool(&w, "t", true);
    json_w_kobject(&w, "o");
    json_w_end(&w);
    json_w_end(&w);
    assert_string_equal(buf_cstr(&b),
                        "{\"s\":\"q\\\"\\\\\\n\\u0001\x7f\xc3\xa9\",\"bad\":\"a\xef\xbf\xbd\xef\xbf\xbd(\xe2\x82\xac\","
                        "\"none\":null,\"min\":-9223372036854775808,\"list\":[0.1,null,{},[1]],\"t\":true,\"o\":{}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict), cmocka_unit_test(test_stream),   cmocka_unit_test(test_depth_and_keys),
        cmocka_unit_test(test_pull),   cmocka_unit_test(test_document), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
