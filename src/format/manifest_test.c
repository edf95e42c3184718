#include "format/manifest.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define D(c)        "\"digest\":\"sha256:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c "\",\"size\":2"
#define A           "aa"
#define B           "bb"
#define LINUX(arch) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" arch "\"}"

static struct arena *a;

static int setup(void **state)
{
    a = arena_new(1u << 20);
    return 0;
}

static int teardown(void **state)
{
    arena_free(a);
    return 0;
}

static void test_manifest(void **state)
{
    struct oci_document d;
    struct err e = ERR_INIT;
    assert_int_equal(
        oci_parse(a, STR("{\"schemaVersion\":2,\"config\":{" D(A) "},\"layers\":[{" D(B) "},{" D(A) "}]}"), &d, &e), 0);
    assert_false(d.index);
    assert_int_equal(d.entries_n, 2);
    assert_int_equal(d.entries[0].size, 2);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
    } bad[] = {
        {"{}", EBADMSG},
        {"[]", EBADMSG},
        {"{\"manifests\":[],\"layers\":[]}", EBADMSG}, /* CVE-2021-41190 */
        {"{\"layers\":[{" D(A) "}]}", EBADMSG},
        {"{\"config\":{" D(A) "},\"layers\":[{\"digest\":\"sha256:../../etc/passwd\",\"size\":1}]}", EBADMSG},
        {"{\"config\":{" D(A) "},\"layers\":[{\"digest\":\"sha512:00\",\"size\":1}]}", ENOTSUP},
        {"{\"config\":{" D(A) "},\"layers\":[{\"digest\":\"sha256:"
                              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
         EBADMSG},
        {"{\"config\":{" D(A) "},\"Config\":{" D(B) "},\"layers\":[]}", EBADMSG},
        {"{\"fsLayers\":[],\"layers\":[]}", ENOTSUP},
        {"{\"config\":{" D(A) "},\"layers\":[]} x", EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct oci_document d;
        struct err e = ERR_INIT;
        assert_int_equal(oci_parse(a, str_c(bad[i].text), &d, &e), -bad[i].code);
        assert_true(e.msg[0]);
    }
}

static int choose(const char *list, const char *tag, char *first)
{
    struct oci_document d;
    struct err e = ERR_INIT;
    const struct oci_descriptor *next;
    assert_int_equal(oci_parse(a, arena_strf(a, "{\"manifests\":[%s]}", list), &d, &e), 0);
    int r = oci_choose(&d, str_c(tag), STR(""), &next, &e);
    *first = r < 0 ? 0 : next->digest.p[7];
    return r;
}

static void test_choose(void **state)
{
    char c, here[400], other[400];
    const char *machine = oci_machine(), *foreign = strcmp(machine, "s390x") ? "s390x" : "amd64";
    snprintf(here, sizeof(here), "{" D(A) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}", machine);
    snprintf(other, sizeof(other), "{" D(B) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}", foreign);
    assert_int_equal(choose(arena_printf(a, "%s,%s", other, here), "", &c), 0);
    assert_int_equal(c, 'a');
    assert_int_equal(choose(other, "", &c), 0); /* a lone one is taken whatever it is for */
    assert_int_equal(c, 'b');
    assert_int_equal(choose("", "", &c), -ENOENT);
    assert_int_equal(choose("{" D(A) "},{" D(B) "}", "", &c), -EEXIST);
    assert_int_equal(choose("{" D(A) "},{" D(A) "}", "", &c), 0);
    /* what buildx adds beside an image */
    assert_int_equal(
        choose("{" D(A) ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}},{" D(B) "}", "",
               &c),
        0);
    assert_int_equal(c, 'b');
    static const char tags[] = "{" D(A) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"1\"}},"
                                        "{" D(B) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"2\"}}";
    assert_int_equal(choose(tags, "2", &c), 0);
    assert_int_equal(c, 'b');
    assert_int_equal(choose(tags, "3", &c), -ENOENT);
}

static void test_docker(void **state)
{
    struct docker_archive_image *list;
    size_t n;
    assert_int_equal(
        docker_archive_parse(a, STR("[{\"Config\":\"x.json\",\"RepoTags\":null,\"Layers\":[\"a/layer.tar\"]}]"), &list,
                             &n, NULL),
        0);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].layers_n, 1);
    assert_int_equal(docker_archive_parse(a, STR("[{\"Config\":\"x.json\",\"Layers\":[1]}]"), &list, &n, NULL),
                     -EBADMSG);
    assert_int_equal(docker_archive_parse(a, STR("[{\"Layers\":[]}]"), &list, &n, NULL), -EBADMSG);
    assert_int_equal(docker_archive_parse(a, STR("{}"), &list, &n, NULL), -EBADMSG);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_manifest), T(test_refused), T(test_choose), T(test_docker)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
