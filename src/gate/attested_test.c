/* Verdicts of a pipeline at the gate: which signature, which age and which image count. */
#include "gate/attested.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "scan/attestation.h"

#include <gnutls/abstract.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEX   "4444444444444444444444444444444444444444444444444444444444444444"
#define OTHER "5555555555555555555555555555555555555555555555555555555555555555"
#define NOW   (INT64_C(1790000000) * TIME_SECOND)

struct world {
    struct arena *a;
    char dir[64];
    struct str public[2]; /* of the keys ci.key and other.key */
    struct gate *g;
};

static struct str make_key(struct world *w, const char *name)
{
    gnutls_privkey_t k;
    gnutls_pubkey_t p;
    gnutls_x509_privkey_t x;
    gnutls_datum_t d;
    assert_int_equal(gnutls_privkey_init(&k) | gnutls_pubkey_init(&p), 0);
    assert_int_equal(gnutls_privkey_generate(k, GNUTLS_PK_EDDSA_ED25519, 0, 0), 0);
    assert_int_equal(gnutls_privkey_export_x509(k, &x), 0);
    assert_int_equal(gnutls_x509_privkey_export2_pkcs8(x, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d), 0);
    assert_int_equal(fs_write(arena_printf(w->a, "%s/%s", w->dir, name), str_n((char *)d.data, d.size), 0600, NULL), 0);
    gnutls_free(d.data);
    assert_int_equal(gnutls_pubkey_import_privkey(p, k, 0, 0), 0);
    assert_int_equal(gnutls_pubkey_export2(p, GNUTLS_X509_FMT_PEM, &d), 0);
    struct str pem = arena_str(w->a, str_n((char *)d.data, d.size));
    gnutls_free(d.data);
    gnutls_x509_privkey_deinit(x);
    gnutls_pubkey_deinit(p);
    gnutls_privkey_deinit(k);
    return pem;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->a = arena_new(512u << 20);
    memcpy(w->dir, "/tmp/bh-attested-XXXXXX", 24);
    assert_non_null(mkdtemp(w->dir));
    w->public[0] = make_key(w, "ci.key");
    w->public[1] = make_key(w, "other.key");
    w->g = gate_open(w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    gate_close(w->g);
    fs_remove_tree(w->dir, NULL);
    arena_free(w->a);
    free(w);
    return 0;
}

/* An ImagePolicy for images/ that trusts the key. */
static void policy(struct world *w, const char *name, struct str key)
{
    struct buf b = BUF_INIT(64u << 10);
    buf_printf(
        &b,
        "kind: ImagePolicy\nname: %s\nselect: {images: [\"shop/*\"]}\nrules:\n  - deny: config.user = root\nunscanned: "
        "deny\n",
        name);
    if (key.n) {
        struct str line;
        buf_putz(&b, "attested_for: 1h\nattesters:\n  - name: ci\n    key: |\n");
        while (str_cut(&key, '\n', &line))
            buf_printf(&b, "      " STR_FMT "\n", STR_ARG(line));
    }
    assert_int_equal(fs_mkdirs(arena_printf(w->a, "%s/policy", w->dir), 0700, NULL), 0);
    assert_int_equal(fs_write(arena_printf(w->a, "%s/policy/%s.yaml", w->dir, name), buf_str(&b), 0600, NULL), 0);
    buf_fini(&b);
}

/* What a pipeline made of this image at that time; returns the file. */
static char *attested(struct world *w, const char *hex, bool allow, int64_t at, int64_t until, const char *key)
{
    struct inventory inv = {
        .target = STR("test"), .image_id = arena_strf(w->a, "sha256:%s", hex), .scanner = STR("test")};
    struct reason why = {
        .deny = true, .policy = STR("pipeline"), .rule = STR("malware exists"), .text = STR("it bites")};
    struct assessment as = {.verdict = {.image_id = inv.image_id,
                                        .evaluated = at,
                                        .valid_until = until,
                                        .allow = allow,
                                        .reasons = &why,
                                        .reasons_n = !allow}};
    struct buf b = BUF_INIT(1u << 20);
    struct err e = ERR_INIT;
    char *file = arena_printf(w->a, "%s/attestation", w->dir);
    if (attestation_write(&b, &inv, &as, arena_printf(w->a, "%s/%s", w->dir, key), &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(fs_write(file, buf_str(&b), 0600, NULL), 0);
    buf_fini(&b);
    return file;
}

static void take(struct world *w, const char *file)
{
    char id[72];
    struct err e = ERR_INIT;
    if (attested_add(w->dir, file, id, &e) < 0)
        fail_msg("%s", e.msg);
}

static struct gate_decision ask(struct world *w, int64_t now)
{
    struct str name = STR("shop/web:1");
    struct gate_question q = {.image_id = STR("sha256:" HEX), .image = name, .names = &name, .names_n = 1, .now = now};
    struct gate_decision d;
    gate_decide(w->g, w->a, &q, &d);
    return d;
}

static void test_honoured(void **state)
{
    struct world *w = *state;
    policy(w, "web", w->public[0]);
    assert_int_equal(ask(w, NOW).answer, GATE_DENY); /* unscanned */
    take(w, attested(w, HEX, true, NOW, TIME_NEVER, "ci.key"));
    struct gate_decision d = ask(w, NOW);
    assert_int_equal(d.answer, GATE_ALLOW);
    assert_true(str_has(d.text, STR("attested by ci")));
    take(w, attested(w, HEX, false, NOW, TIME_NEVER, "ci.key"));
    d = ask(w, NOW);
    assert_int_equal(d.answer, GATE_DENY);
    assert_true(str_has(d.text, STR("it bites")));
}

static void test_age(void **state)
{
    struct world *w = *state;
    policy(w, "web", w->public[0]);
    take(w, attested(w, HEX, true, NOW, TIME_NEVER, "ci.key"));
    assert_int_equal(ask(w, NOW + 3600 * TIME_SECOND).answer, GATE_ALLOW);
    assert_int_equal(ask(w, NOW + 3601 * TIME_SECOND).answer, GATE_DENY);   /* attested_for */
    assert_int_equal(ask(w, NOW - 3600 * TIME_SECOND).answer, GATE_DENY);   /* from the future */
    take(w, attested(w, HEX, true, NOW, NOW + 10 * TIME_SECOND, "ci.key")); /* its own end */
    assert_int_equal(ask(w, NOW + 9 * TIME_SECOND).answer, GATE_ALLOW);
    assert_int_equal(ask(w, NOW + 10 * TIME_SECOND).answer, GATE_DENY);
}

static void test_trust(void **state)
{
    struct world *w = *state;
    policy(w, "web", w->public[0]);
    take(w, attested(w, HEX, true, NOW, TIME_NEVER, "other.key")); /* a key nobody named */
    assert_int_equal(ask(w, NOW).answer, GATE_DENY);
    take(w, attested(w, HEX, true, NOW, TIME_NEVER, "ci.key"));
    assert_int_equal(ask(w, NOW).answer, GATE_ALLOW);
    policy(w, "strict", STR_NONE); /* every policy that selects the image must trust it */
    assert_int_equal(ask(w, NOW).answer, GATE_DENY);
    policy(w, "strict", w->public[1]);
    assert_int_equal(ask(w, NOW).answer, GATE_DENY);
    policy(w, "strict", w->public[0]);
    assert_int_equal(ask(w, NOW).answer, GATE_ALLOW);
}

static void test_forged(void **state)
{
    struct world *w = *state;
    struct str text;
    policy(w, "web", w->public[0]);
    /* an allow for another image, put in the place of this one */
    char *file = attested(w, OTHER, true, NOW, TIME_NEVER, "ci.key");
    assert_int_equal(fs_read(w->a, file, 1u << 20, &text, NULL), 0);
    assert_int_equal(fs_mkdirs(arena_printf(w->a, "%s/attestations", w->dir), 0700, NULL), 0);
    char *place = arena_printf(w->a, "%s/attestations/" HEX ".json", w->dir);
    assert_int_equal(fs_write(place, text, 0600, NULL), 0);
    assert_int_equal(ask(w, NOW).answer, GATE_DENY);
    /* each byte of a good one changed: never an allow that was not signed */
    file = attested(w, HEX, true, NOW, TIME_NEVER, "ci.key");
    assert_int_equal(fs_read(w->a, file, 1u << 20, &text, NULL), 0);
    char *copy = arena_cstr(w->a, text);
    for (size_t i = 0; i < text.n; i++) {
        char was = copy[i];
        copy[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(fs_write(place, str_n(copy, text.n), 0600, NULL), 0);
        assert_int_equal(ask(w, NOW).answer, GATE_DENY);
        copy[i] = was;
    }
    char id[72];
    struct err e = ERR_INIT;
    assert_int_equal(fs_write(file, STR("{}"), 0600, NULL), 0);
    assert_true(attested_add(w->dir, file, id, &e) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_honoured, setup, teardown),
        cmocka_unit_test_setup_teardown(test_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trust, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
