#include "gate/decision.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "scan/assess.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROOT_HEX "1111111111111111111111111111111111111111111111111111111111111111"
#define USER_HEX "2222222222222222222222222222222222222222222222222222222222222222"
#define NEW_HEX  "3333333333333333333333333333333333333333333333333333333333333333"
#define NOW      (INT64_C(1790000000) * TIME_SECOND)

#define NONROOT                                                                                                        \
    "kind: ImagePolicy\nname: nonroot\nselect: {images: [\"shop/*\"]}\nrules:\n  - deny: config.user = root\n"         \
    "unscanned: scan\n"
#define STRICT                                                                                                         \
    "kind: ImagePolicy\nname: strict\nselect: {images: [\"prod/*\"]}\nrules:\n  - deny: config.user != "               \
    "root\nunscanned: deny\n"
#define CONTAINER "kind: ContainerPolicy\nname: web\nmode: audit\nselect: {names: [\"web\"]}\n"

struct world {
    struct arena *a;
    char dir[64];
    struct gate *g;
};

static void put(struct world *w, const char *file, const char *text)
{
    char *path = arena_printf(w->a, "%s/%s", w->dir, file), *slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(fs_mkdirs(path, 0700, NULL), 0);
    *slash = '/';
    assert_int_equal(fs_write(path, str_c(text), 0600, NULL), 0);
}

static struct str get(struct world *w, const char *file)
{
    struct str s = STR("");
    fs_read(w->a, arena_printf(w->a, "%s/%s", w->dir, file), 1u << 20, &s, NULL);
    return s;
}

/* What a scan of an image with this user and name would have left. */
static void scanned(struct world *w, const char *hex, const char *user, const char *name)
{
    struct str names[] = {str_c(name)};
    struct inventory inv = {.target = STR("test"),
                            .image_id = arena_strf(w->a, "sha256:%s", hex),
                            .names = names,
                            .names_n = 1,
                            .config.user = str_c(user),
                            .scanned = NOW,
                            .scanner = STR("test")};
    struct assess_input in = {.inventory = &inv, .now = NOW};
    struct assessment as;
    struct err e = ERR_INIT;
    struct buf b = BUF_INIT(1u << 20);
    struct json_writer jw = JSON_WRITER(&b);
    assert_int_equal(assess(w->a, &in, &as, &e), 0);
    assess_write(&jw, &inv, &as);
    put(w, arena_printf(w->a, "inventories/%s.json", hex), arena_cstr(w->a, buf_str(&b)));
    buf_fini(&b);
}

static struct gate_decision ask_at(struct world *w, const char *hex, const char *name, int64_t now)
{
    struct str *names = arena_array(w->a, 1, sizeof(*names));
    names[0] = str_c(name);
    struct gate_question q = {.image_id = hex ? arena_strf(w->a, "sha256:%s", hex) : STR(""),
                              .image = str_c(name),
                              .names = names,
                              .names_n = name != NULL,
                              .now = now};
    struct gate_decision d;
    gate_decide(w->g, w->a, &q, &d);
    assert_true(d.text.n > 0);
    return d;
}

static struct gate_decision ask(struct world *w, const char *hex, const char *name)
{
    return ask_at(w, hex, name, NOW);
}

static bool says(struct gate_decision d, const char *what)
{
    if (str_has(d.text, str_c(what)))
        return true;
    print_error("\"" STR_FMT "\" has no \"%s\"\n", STR_ARG(d.text), what);
    return false;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->a = arena_new(512u << 20);
    memcpy(w->dir, "/tmp/bh-decision-XXXXXX", 24);
    assert_non_null(mkdtemp(w->dir));
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

static void without_policies(void **state)
{
    struct world *w = *state;
    struct gate_decision d = ask(w, USER_HEX, "shop/a:1");
    assert_int_equal(d.answer, GATE_DENY); /* no folder: somebody took it away */
    assert_true(says(d, "policies cannot be loaded"));
    assert_true(gate_governs_images(w->g));
    put(w, "policy/notes.txt", "not a policy");
    assert_int_equal(ask(w, USER_HEX, "shop/a:1").answer, GATE_ALLOW);
    put(w, "policy/web.yaml", CONTAINER);
    assert_int_equal(ask(w, USER_HEX, "shop/a:1").answer, GATE_ALLOW);
    assert_int_equal(ask(w, NULL, NULL).answer, GATE_ALLOW);
    assert_false(gate_governs_images(w->g));
    put(w, "policy/bad.yaml", "kind: ImagePolicy\nname: [\n");
    d = ask(w, USER_HEX, "shop/a:1");
    assert_int_equal(d.answer, GATE_DENY);
    assert_true(says(d, "bad.yaml"));
}

static void unscanned_images(void **state)
{
    struct world *w = *state;
    put(w, "policy/p.yaml", NONROOT "---\n" STRICT);
    assert_int_equal(ask(w, NEW_HEX, "shop/a:1").answer, GATE_SCAN);
    struct gate_decision d = ask(w, NEW_HEX, "prod/a:1");
    assert_int_equal(d.answer, GATE_DENY);
    assert_true(says(d, "unscanned: deny"));
    d = ask(w, NEW_HEX, "other:1");
    assert_int_equal(d.answer, GATE_ALLOW);
    assert_false(d.governed);
    assert_int_equal(ask(w, NULL, NULL).answer, GATE_DENY); /* no image at all */
    assert_int_equal(ask(w, "../../etc/passwd", "other:1").answer, GATE_DENY);
}

static void verdicts_from_inventories(void **state)
{
    struct world *w = *state;
    put(w, "policy/p.yaml", NONROOT "---\n" STRICT);
    scanned(w, ROOT_HEX, "", "shop/bad:1");
    scanned(w, USER_HEX, "65534", "shop/good:1");
    struct gate_decision d = ask(w, ROOT_HEX, "shop/bad:1");
    assert_int_equal(d.answer, GATE_DENY);
    assert_true(d.evaluated && says(d, "nonroot") && says(d, "config.user = root") && says(d, "bulkhead get"));
    assert_true(str_eqc(d.policy, "nonroot"));
    d = ask(w, ROOT_HEX, "shop/bad:1");
    assert_true(d.answer == GATE_DENY && !d.evaluated); /* kept */
    d = ask(w, ROOT_HEX, "innocent:1");
    assert_true(d.answer == GATE_DENY); /* a current verdict is about the image, not the name */
    d = ask(w, USER_HEX, "shop/good:1");
    assert_true(d.answer == GATE_ALLOW && d.evaluated);
    d = ask(w, USER_HEX, "shop/good:1");
    assert_true(d.answer == GATE_ALLOW && !d.evaluated);
    /* a name that another policy selects: the allow verdict was not made with it */
    d = ask(w, USER_HEX, "prod/good:1");
    assert_true(d.answer == GATE_DENY && d.evaluated && says(d, "strict"));
    d = ask(w, USER_HEX, "shop/good:1");
    assert_true(d.answer == GATE_ALLOW && !d.evaluated); /* which is not held against its other names */
}

static void stale_verdicts(void **state)
{
    struct world *w = *state;
    put(w, "policy/p.yaml", NONROOT);
    scanned(w, ROOT_HEX, "", "shop/bad:1");
    assert_int_equal(ask(w, ROOT_HEX, "shop/bad:1").answer, GATE_DENY);
    struct str kept = get(w, "verdicts/" ROOT_HEX ".json");
    assert_true(kept.n > 0);
    /* the policy changed */
    put(w, "policy/p.yaml",
        "kind: ImagePolicy\nname: nonroot\nselect: {images: [\"shop/*\"]}\nrules:\n  - warn: config.user = root\n");
    struct gate_decision d = ask(w, ROOT_HEX, "shop/bad:1");
    assert_true(d.answer == GATE_ALLOW && d.evaluated);
    put(w, "policy/p.yaml", NONROOT);
    assert_int_equal(ask(w, ROOT_HEX, "shop/bad:1").answer, GATE_DENY);
    /* it was made in the future */
    assert_true(ask_at(w, ROOT_HEX, "shop/bad:1", NOW - TIME_DAY).evaluated);
    /* intel went on */
    assert_false(ask(w, ROOT_HEX, "shop/bad:1").evaluated);
    assert_int_equal(gate_revisions_write(w->dir, STR("abc"), NULL), 0);
    assert_true(ask(w, ROOT_HEX, "shop/bad:1").evaluated);
}

static void damage(void **state)
{
    struct world *w = *state;
    put(w, "policy/p.yaml", NONROOT);
    scanned(w, USER_HEX, "65534", "shop/good:1");
    static const char *const verdicts[] = {"", "{", "[]", "{\"allow\":true}", "null"};
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        put(w, "verdicts/" USER_HEX ".json", verdicts[i]);
        struct gate_decision d = ask(w, USER_HEX, "shop/good:1");
        assert_true(d.answer == GATE_ALLOW && d.evaluated);
    }
    /* the allow verdict of another image under this one's name decides nothing */
    scanned(w, ROOT_HEX, "", "shop/bad:1");
    put(w, "verdicts/" ROOT_HEX ".json", arena_cstr(w->a, get(w, "verdicts/" USER_HEX ".json")));
    assert_int_equal(ask(w, ROOT_HEX, "shop/bad:1").answer, GATE_DENY);
    put(w, "inventories/" NEW_HEX ".json", arena_cstr(w->a, get(w, "inventories/" USER_HEX ".json")));
    struct gate_decision d = ask(w, NEW_HEX, "shop/new:1");
    assert_true(d.answer == GATE_DENY && says(d, "another image"));
    put(w, "inventories/" NEW_HEX ".json", "{\"names\":[\"shop/new:1\"],");
    d = ask(w, NEW_HEX, "shop/new:1");
    assert_true(d.answer == GATE_DENY && says(d, "could not be judged"));
    /* intel that cannot be trusted */
    put(w, "intel.db", "not a database");
    put(w, "verdicts/" USER_HEX ".json", "");
    d = ask(w, USER_HEX, "shop/good:1");
    assert_true(d.answer == GATE_DENY && says(d, "could not be judged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_policies, setup, teardown),
        cmocka_unit_test_setup_teardown(unscanned_images, setup, teardown),
        cmocka_unit_test_setup_teardown(verdicts_from_inventories, setup, teardown),
        cmocka_unit_test_setup_teardown(stale_verdicts, setup, teardown),
        cmocka_unit_test_setup_teardown(damage, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
