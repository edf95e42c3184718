/* One example and one benign twin for the rules. Examples are put together here so that no scanner takes this file for
 * a leak; keys are made by openssl and ssh-keygen (test/data/secrets). */
#include "scan/secret.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <zlib.h>
#include <cmocka.h>

struct seen {
    char ids[400];
    enum vuln_severity severity;
    size_t n, from, to;
    struct arena *a;
    struct str evidence;
};

static bool on_hit(void *ctx, const struct secret_hit *hit)
{
    struct seen *s = ctx;
    size_t n = strlen(s->ids);
    snprintf(s->ids + n, sizeof(s->ids) - n, "%s%s", n ? " " : "", hit->id);
    s->severity = hit->severity;
    s->from = hit->from;
    s->to = hit->to;
    s->n++;
    if (s->a)
        s->evidence = secret_evidence(s->a, hit);
    return true;
}

static struct seen look(struct str text)
{
    _cleanup_(secrets_freep) struct secrets *s = secrets_new();
    struct seen seen = {0};
    secrets_scan(s, text, on_hit, &seen);
    return seen;
}

/* '#' ... is a run of n pseudo-random characters of an alphabet; deterministic. */
static struct str noise(struct arena *a, const char *alphabet, size_t n, unsigned seed)
{
    char *p = arena_alloc(a, n + 1);
    size_t k = strlen(alphabet);
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        p[i] = alphabet[(x >> 16) % k];
    }
    return str_n(p, n);
}

#define HEXES  "0123456789abcdef"
#define ALNUMS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define URLS   ALNUMS "_-"
#define LOWERS "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define B32    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

static void tokens(void **state)
{
    static const struct {
        const char *id, *before, *alphabet;
        size_t n;
        const char *after;
    } cases[] = {
        {"github_token", "token = \"ghp_", ALNUMS, 36, "\""},
        {"github_token", "GITHUB_TOKEN=ghs_", ALNUMS, 36, "\n"},
        {"github_fine_grained_token", "x: github_pat_", ALNUMS, 82, " "},
        {"gitlab_token", "glpat-", URLS, 20, "\n"},
        {"npm_token", "//registry.npmjs.org/:_authToken=npm_", ALNUMS, 36, "\n"},
        {"pypi_token", "password = pypi-AgEIcHlwaS5vcmc", ALNUMS, 150, "\n"},
        {"rubygems_token", ":rubygems_api_key: rubygems_", HEXES, 48, "\n"},
        {"docker_hub_token", "docker login -p dckr_pat_", ALNUMS, 27, " "},
        {"aws_access_key_id", "aws_access_key_id = AKIA", B32, 16, "\n"},
        {"aws_secret_access_key", "aws_secret_access_key = ", ALNUMS "+/", 40, "\n"},
        {"aws_secret_access_key", "{\"SecretAccessKey\": \"", ALNUMS "/", 40, "\"}"},
        {"google_api_key", "key=AIza", URLS, 35, "&"},
        {"google_oauth_secret", "\"client_secret\":\"GOCSPX-", ALNUMS, 28, "\""},
        {"digitalocean_token", "DO=dop_v1_", HEXES, 64, "\n"},
        {"databricks_token", "token = dapi", HEXES, 32, "\n"},
        {"vault_token", "VAULT_TOKEN=hvs.", ALNUMS, 90, "\n"},
        {"slack_webhook", "https://hooks.slack.com/services/T0", ALNUMS, 42, "\n"},
        {"stripe_key", "sk_live_", ALNUMS, 24, "'"},
        {"stripe_key", "STRIPE=rk_live_", ALNUMS, 99, "\n"},
        {"square_token", "sq0atp-", ALNUMS, 22, "\n"},
        {"shopify_token", "shpat_", HEXES, 32, "\n"},
        {"huggingface_token", "HF_TOKEN=hf_", ALNUMS, 34, "\n"},
        {"huggingface_token", "login(\"hf_", ALNUMS, 34, "\")"},
        {"anthropic_key", "sk-ant-api03-", ALNUMS, 93, "\n"},
        {"telegram_token", "bot123456789:AAF", URLS, 32, "/getMe"},
        {"postman_key", "PMAK-", HEXES, 59, "\n"},
        {"cloudflare_token", "CLOUDFLARE_API_TOKEN=", ALNUMS, 40, "\n"},
        {"age_key", "AGE-SECRET-KEY-1", UPPERS, 58, "\n"},
        {"twilio_key", "TWILIO_AUTH_TOKEN: ", HEXES, 32, "\n"},
        {"url_password", "DATABASE_URL=postgres://app:", LOWERS, 12, "@db.internal:5432/shop"},
        {"url_password", "git clone https://bot:", ALNUMS, 20, "@git.corp.net/a.git"},
        {"netrc_password", "machine git.corp.net login bot password ", ALNUMS, 16, "\n"},
    };
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str secret = noise(a, cases[i].alphabet, cases[i].n, (unsigned)i + 1);
        struct str text =
            arena_strf(a, "first line\n%s" STR_FMT "%s rest", cases[i].before, STR_ARG(secret), cases[i].after);
        struct seen seen = look(text);
        if (strcmp(seen.ids, cases[i].id) != 0)
            fail_msg("%.*s: found \"%s\", not %s", (int)text.n, text.p, seen.ids, cases[i].id);
        assert_true(seen.to <= text.n && seen.from < seen.to);
        /* one character too few, or something that stands in its place: nothing */
        struct str less =
            arena_strf(a, "%s" STR_FMT "%s", cases[i].before, STR_ARG(str_sub(secret, 0, 3)), cases[i].after);
        assert_string_equal(look(less).ids, "");
        memset((char *)(uintptr_t)secret.p, 'x', secret.n);
        text = arena_strf(a, "%s" STR_FMT "%s", cases[i].before, STR_ARG(secret), cases[i].after);
        if (look(text).n)
            fail_msg("%.*s: found %s", (int)text.n, text.p, look(text).ids);
    }
}

static void benign(void **state)
{
    static const char *const texts[] = {"AKIAIOSFODNN7EXAMPLE",
                                        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                        "postgres://user:password@localhost/db",
                                        "postgres://${USER}:${PASSWORD}@db/x",
                                        "mysql://root:<secret>@db",
                                        "https://user:pass@example.com/",
                                        "mailto://a@b.c",
                                        "http://[::1]:80/@x",
                                        "ghp_your_token_goes_right_here_please",
                                        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
                                        "-----BEGIN CERTIFICATE-----\nMIIB\n",
                                        "\"auth\": \"dXNlcjpwYXNzd29yZA==\"",
                                        "machine example login a password b",
                                        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
                                        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
                                        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
                                        "https://host:8080/path@v1.2.3",
                                        "npm_config_registry=https://registry.npmjs.org/",
                                        "sk_live_",
                                        "AKIA",
                                        "",
                                        "s://",
                                        "xoxb-not-a-real-token-at-all-really-not"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (look(str_c(texts[i])).n)
            fail_msg("%s: found %s", texts[i], look(str_c(texts[i])).ids);
}

static void github_checksum(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str body = noise(a, ALNUMS, 30, 99);
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)body.p, 30);
    char sum[7] = {0};
    for (int i = 5; i >= 0; i--, crc /= 62)
        sum[i] = digits[crc % 62];
    struct seen good = look(arena_strf(a, "gho_" STR_FMT "%s", STR_ARG(body), sum));
    assert_int_equal(good.severity, VULN_CRITICAL);
    sum[5] = sum[5] == 'a' ? 'b' : 'a';
    assert_int_equal(look(arena_strf(a, "gho_" STR_FMT "%s", STR_ARG(body), sum)).severity, VULN_MEDIUM);
}

static void structures(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str claims = base64url_encode(a, STR("{\"iss\":\"shop\",\"uid\":77}"));
    struct str header = base64url_encode(a, STR("{\"alg\":\"HS256\"}"));
    struct str sig = noise(a, URLS, 43, 5);
    struct str jwt =
        arena_strf(a, "Bearer " STR_FMT "." STR_FMT "." STR_FMT, STR_ARG(header), STR_ARG(claims), STR_ARG(sig));
    assert_string_equal(look(jwt).ids, "jwt");
    claims = base64url_encode(a, STR("no json at all, but long"));
    jwt = arena_strf(a, STR_FMT "." STR_FMT "." STR_FMT, STR_ARG(header), STR_ARG(claims), STR_ARG(sig));
    assert_string_equal(look(jwt).ids, "");
    struct str auth = base64_encode(a, STR("robot$ci:kT93hsUx02"));
    assert_string_equal(look(arena_strf(a, "{\"auths\":{\"r\":{\"auth\": \"" STR_FMT "\"}}}", STR_ARG(auth))).ids,
                        "docker_auth");
    auth = base64_encode(a, STR("no colon in here"));
    assert_string_equal(look(arena_strf(a, "\"auth\": \"" STR_FMT "\"", STR_ARG(auth))).ids, "");
    /* shown is never more than the rule's own prefix */
    _cleanup_(secrets_freep) struct secrets *s = secrets_new();
    struct seen seen = {.a = a};
    secrets_scan(s, arena_strf(a, "STRIPE=sk_live_" STR_FMT, STR_ARG(noise(a, ALNUMS, 24, 3))), on_hit, &seen);
    assert_string_equal(seen.evidence.p, "sk_live_**** (32 characters)");
}

static void keys(void **state)
{
    static const struct {
        const char *file, *ids;
        enum vuln_severity severity;
    } files[] = {{"rsa.pem", "private_key", VULN_HIGH},
                 {"ec.pem", "private_key", VULN_HIGH},
                 {"encrypted.pem", "private_key", VULN_MEDIUM},
                 {"openssh", "private_key", VULN_HIGH},
                 {"openssh-encrypted", "private_key", VULN_MEDIUM},
                 {"certificate.pem", "", 0},
                 {"service-account.json", "gcp_service_account", VULN_CRITICAL}};
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct str text;
        struct err e = ERR_INIT;
        if (fs_read(a, arena_printf(a, "%s/secrets/%s", getenv("BULKHEAD_TEST_DATA"), files[i].file), 1u << 20, &text,
                    &e) < 0)
            fail_msg("%s", e.msg);
        struct seen seen = look(text);
        if (strcmp(seen.ids, files[i].ids) != 0)
            fail_msg("%s: found \"%s\"", files[i].file, seen.ids);
        assert_int_equal(seen.severity, files[i].severity);
        /* half of the key is none */
        assert_int_equal(look(str_sub(text, 0, text.n / 2)).n, 0);
    }
}

static void config(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    _cleanup_(secrets_freep) struct secrets *s = secrets_new();
    struct str token = noise(a, ALNUMS, 24, 8), password = noise(a, ALNUMS, 14, 9);
    struct str env[] = {STR("PATH=/usr/bin"),
                        arena_strf(a, "STRIPE=sk_live_" STR_FMT, STR_ARG(token)),
                        arena_strf(a, "DB_PASSWORD=" STR_FMT, STR_ARG(password)),
                        STR("POSTGRES_PASSWORD=changeme"),
                        STR("TOKEN_FILE=/run/secrets/token"),
                        STR("NODE_VERSION=18.19.0"),
                        STR("GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D")};
    struct str history[] = {STR("COPY file:1 in /"),
                            arena_strf(a, "|1 NPM_TOKEN=" STR_FMT " /bin/sh -c npm ci", STR_ARG(password))};
    struct image_config c = {.env = env, .env_n = ARRAY_LEN(env)};
    struct finding *list;
    size_t n;
    secret_config(s, a, &c, history, ARRAY_LEN(history), &list, &n);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].id.p, "stripe_key");
    assert_int_equal(list[0].origin, ORIGIN_ENV);
    assert_true(str_eqc(list[1].id, "variable") && str_eqc(list[1].path, "DB_PASSWORD"));
    assert_int_equal(list[2].origin, ORIGIN_HISTORY);
    for (size_t i = 0; i < ARRAY_LEN(env); i++)
        assert_false(str_has(env[i], token) || str_has(env[i], password));
    assert_false(str_has(history[1], password));
    assert_true(str_eqc(env[2], "DB_PASSWORD=[redacted]") && str_eqc(env[0], "PATH=/usr/bin"));
    for (size_t i = 0; i < n; i++)
        assert_false(str_has(list[i].match, token) || str_has(list[i].match, password));
}

static void entropy(void **state)
{
    /* Shannon's, by hand: one symbol 0, two 1, four 2, sixteen 4 bits */
    assert_int_equal(secret_entropy(STR("aaaaaaaa")), 0);
    assert_int_equal(secret_entropy(STR("abababab")), 10);
    assert_int_equal(secret_entropy(STR("abcdabcd")), 20);
    assert_int_equal(secret_entropy(STR("0123456789abcdef")), 40);
    assert_int_equal(secret_entropy(STR("aab")), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),     cmocka_unit_test(benign), cmocka_unit_test(github_checksum),
        cmocka_unit_test(structures), cmocka_unit_test(keys),   cmocka_unit_test(config),
        cmocka_unit_test(entropy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
