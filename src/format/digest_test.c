#include "format/digest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* FIPS 180-2, appendix B. */
static const struct {
    const char *text, *digest;
} vectors[] = {
    {"", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_vectors(void **state)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t sum[SHA256_SIZE], back[SHA256_SIZE];
        char text[DIGEST_TEXT];
        struct str s = str_c(vectors[i].text);

        sha256_of(s, sum);
        assert_string_equal(digest_text(sum, text), vectors[i].digest);

        struct sha256 h;
        sha256_init(&h);
        for (size_t k = 0; k < s.n; k++)
            sha256_update(&h, s.p + k, 1);
        sha256_final(&h, back);
        assert_memory_equal(sum, back, sizeof(sum));
        assert_int_equal(digest_parse(str_c(vectors[i].digest), back, NULL), 0);
        assert_memory_equal(sum, back, sizeof(sum));
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "sha256:",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:../816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };
    uint8_t out[SHA256_SIZE];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(digest_parse(str_c(bad[i]), out, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
