/* What makes the rules of rules/secrets.tbl.h sure: checksums, structure, and what people write in place of a secret.
 */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "format/json.h"
#include "scan/secret.h"

#include <ctype.h>
#include <zlib.h>

static struct str value_of(const struct secret_at *at)
{
    return str_sub(at->text, at->from, at->to);
}

/* log2 of n/256 in tenths would be too coarse: a table of -p*log2(p) is not needed either, for the lengths at hand an
 * integer logarithm with eight fractional bits is exact enough. */
static unsigned log2_fixed(unsigned n)
{
    unsigned whole = 31 - (unsigned)__builtin_clz(n), result = whole << 8;
    uint64_t x = (uint64_t)n << (31 - whole); /* 1.31 */
    for (unsigned bit = 128; bit; bit >>= 1) {
        x = x * x >> 31;
        if (x >> 32) {
            x >>= 1;
            result |= bit;
        }
    }
    return result;
}

int secret_entropy(struct str s)
{
    unsigned count[256] = {0};
    uint64_t sum = 0;
    if (s.n < 2 || s.n > (1u << 20))
        return 0;
    for (size_t i = 0; i < s.n; i++)
        count[(unsigned char)s.p[i]]++;
    for (unsigned c = 0; c < 256; c++)
        if (count[c])
            sum += (uint64_t)count[c] * (log2_fixed((unsigned)s.n) - log2_fixed(count[c]));
    return (int)(sum * 10 / s.n / 256);
}

static bool ihas(struct str s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++)
        if (str_ieq(str_sub(s, i, i + n), str_c(word)))
            return true;
    return false;
}

bool secret_placeholder(struct str s)
{
    static const char *const words[] = {"example",  "changeme", "change_me", "change-me", "placeholder", "redacted",
                                        "dummy",    "xxxxxx",   "your_",     "your-",     "insert",      "replace",
                                        "password", "passw0rd", "notreal",   "sample",    "abcdefgh",    "12345678",
                                        "deadbeef", "00000000", "test1234",  "foobar",    "fakekey",     "undefined"};
    if (!s.n || strchr("${<%[(*", s.p[0] ? s.p[0] : 'x'))
        return true;
    if (str_has(s, STR("${")) || str_has(s, STR("{{")) || str_has(s, STR("...")) || str_has(s, STR("***")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (ihas(str_sub(s, 0, 400), words[i]))
            return true;
    return false;
}

bool secret_check_none(struct secret_at *at)
{
    return true;
}

/* A word or a hash of one alphabet is none of these: digits and letters of both cases, or at least digits. */
bool secret_check_mixed(struct secret_at *at)
{
    struct str v = value_of(at);
    bool digit = false, letter = false, hex = true;
    for (size_t i = 0; i < v.n; i++) {
        digit |= isdigit((unsigned char)v.p[i]) != 0;
        letter |= isalpha((unsigned char)v.p[i]) != 0;
        hex &= isxdigit((unsigned char)v.p[i]) != 0;
    }
    return digit && letter && !hex;
}

/* GitHub and npm: the last six characters are the CRC-32 of those before, in base 62.
 * github.blog/2021-04-05-behind-githubs-new-authentication-token-formats */
bool secret_check_github_crc(struct secret_at *at)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct str v = value_of(at);
    size_t body = v.n - 6;
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)v.p, (uInt)body);
    char want[6];
    for (size_t i = 6; i-- > 0; crc /= 62)
        want[i] = digits[crc % 62];
    at->doubtful = memcmp(v.p + body, want, 6) != 0;
    if (at->doubtful)
        at->note = "its checksum does not match";
    return true;
}

/* An id of the account is encoded in it, base 32: no 0, 1, 8, 9. */
bool secret_check_aws_id(struct secret_at *at)
{
    struct str v = value_of(at);
    for (size_t i = 0; i < v.n; i++)
        if (strchr("0189", v.p[i]))
            return false;
    return true;
}

bool secret_check_uuid(struct secret_at *at)
{
    struct str v = value_of(at);
    for (size_t i = 0; i < v.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? v.p[i] != '-' : !isxdigit((unsigned char)v.p[i]))
            return false;
    }
    return v.n == 36;
}

static bool decoded(struct arena *a, struct str v, struct str *ret)
{
    return v.n < SECRET_REACH && base64_decode(a, v, ret) == 0;
}

bool secret_check_docker_auth(struct secret_at *at)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str text, user, password;
    if (!decoded(a, value_of(at), &text) || !str_split(text, ':', &user, &password) || !user.n || password.n < 3)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20)
            return false;
    return !secret_placeholder(password);
}

static bool key_of(struct secret_at *at, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str key;
    return decoded(a, value_of(at), &key) && key.n == n;
}

bool secret_check_key32(struct secret_at *at)
{
    return key_of(at, 32);
}

bool secret_check_key64(struct secret_at *at)
{
    return key_of(at, 64);
}

/* xoxb-NUMBER-NUMBER-RANDOM: at least two dashes' worth of parts, the last of them long. */
bool secret_check_slack(struct secret_at *at)
{
    struct str v = value_of(at), part = STR_NONE;
    size_t parts = 0, digits = 0;
    while (str_cut(&v, '-', &part)) {
        parts++;
        for (size_t i = 0; i < part.n; i++)
            digits += isdigit((unsigned char)part.p[i]) != 0;
    }
    return parts >= 2 && digits >= 8 && part.n >= 12;
}

bool secret_check_sendgrid(struct secret_at *at)
{
    struct str v = value_of(at);
    return v.n == 66 && v.p[22] == '.';
}

bool secret_check_azure_client(struct secret_at *at)
{
    struct str v = value_of(at);
    return isdigit((unsigned char)v.p[3]) && v.p[4] == 'Q' && v.p[5] == '~';
}

/* RFC 7519 in the compact form of RFC 7515: header with alg, claims, signature. */
bool secret_check_jwt(struct secret_at *at)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str token = str_sub(at->text, at->keyword, at->to), header, claims, signature, text;
    struct json_value *v;
    if (!str_split(token, '.', &header, &claims) || !str_split(claims, '.', &claims, &signature) || signature.n < 20 ||
        str_chr(signature, '.') >= 0)
        return false;
    if (!decoded(a, header, &text) || json_parse(a, text, 0, &v, NULL) < 0 || json_str(json_get(v, "alg")).n == 0)
        return false;
    if (!decoded(a, claims, &text) || json_parse(a, text, 0, &v, NULL) < 0 || v->type != JSON_OBJECT)
        return false;
    /* the one of jwt.io and of every tutorial */
    return !str_eqc(json_str(json_get(v, "name")), "John Doe") && !str_eqc(json_str(json_get(v, "sub")), "1234567890");
}

/* ---- keys ---- */

/* DER: a SEQUENCE that is exactly as long as it says. */
static bool is_der(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n < 16 || p[0] != 0x30)
        return false;
    if (p[1] < 0x80)
        return p[1] + 2u == s.n;
    size_t bytes = p[1] & 0x7f, n = 0;
    if (bytes < 1 || bytes > 3)
        return false;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | p[2 + i];
    return n + 2 + bytes == s.n;
}

/* The Base64 between the marks: without headers (RFC 1421), line ends also as the two characters \n of JSON. */
static bool pem_body(struct arena *a, struct str body, struct str *ret, bool *encrypted)
{
    char *out = arena_alloc(a, body.n + 1);
    size_t n = 0;
    *encrypted = str_has(body, STR("Proc-Type: 4,ENCRYPTED"));
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (c == '\\' && i + 1 < body.n && (body.p[i + 1] == 'n' || body.p[i + 1] == 'r'))
            i++;
        else if (c == ':' && n < 64) { /* what came so far was a header's name: leave out its line */
            while (i < body.n && body.p[i] != '\n')
                i++;
            n = 0;
        } else if (isalnum((unsigned char)c) || c == '+' || c == '/' || c == '=')
            out[n++] = c;
        else if (!strchr(" \t\r\n\"',+", c))
            n = n < 64 ? 0 : n;
    }
    return decoded(a, str_n(out, n), ret);
}

bool secret_check_pem(struct secret_at *at)
{
    static const char *const kinds[] = {"PRIVATE KEY",          "RSA PRIVATE KEY",       "EC PRIVATE KEY",
                                        "DSA PRIVATE KEY",      "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY",
                                        "PGP PRIVATE KEY BLOCK"};
    struct str rest = str_sub(at->text, at->value, at->value + SECRET_REACH);
    ptrdiff_t dashes = str_find(str_sub(rest, 0, 40), STR("-----")), end;
    if (dashes < 0)
        return false;
    struct str kind = str_sub(rest, 0, (size_t)dashes);
    size_t which = 0;
    while (which < ARRAY_LEN(kinds) && !str_eqc(kind, kinds[which]))
        which++;
    rest = str_sub(rest, (size_t)dashes + 5, rest.n);
    if (which == ARRAY_LEN(kinds) || (end = str_find(rest, STR("-----END "))) < 0)
        return false;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str key;
    bool encrypted = false;
    at->from = at->keyword;
    at->to = (size_t)(rest.p + end - at->text.p) + 9 + kind.n + 5;
    if (at->to > at->text.n)
        at->to = at->text.n;
    if (str_eqc(kind, "PGP PRIVATE KEY BLOCK")) { /* armour with headers and a checksum line */
        at->note = "OpenPGP";
        return end > 400;
    }
    if (!pem_body(a, str_sub(rest, 0, (size_t)end), &key, &encrypted))
        return false;
    if (str_eqc(kind, "OPENSSH PRIVATE KEY")) {
        if (!str_starts(key, STR("openssh-key-v1")) || key.n < 100)
            return false;
        encrypted = !str_starts(str_sub(key, 15, key.n), str_n("\0\0\0\4none", 8));
    } else if (encrypted) {
        if (key.n < 32)
            return false;
    } else if (!is_der(key)) {
        at->doubtful = true;
        at->note = "not a well-formed key";
        if (key.n < 100 || secret_entropy(key) < 60)
            return false;
    }
    if (encrypted || str_eqc(kind, "ENCRYPTED PRIVATE KEY")) {
        at->weak = true;
        at->note = "encrypted with a passphrase";
    }
    return true;
}

bool secret_check_putty(struct secret_at *at)
{
    struct str rest = str_sub(at->text, at->keyword, at->keyword + SECRET_REACH);
    ptrdiff_t lines = str_find(rest, STR("Private-Lines: "));
    at->from = at->keyword;
    at->to = at->keyword + (lines < 0 ? 0 : (size_t)lines + 15);
    at->weak = lines >= 0 && !str_has(str_sub(rest, 0, (size_t)lines), STR("Encryption: none"));
    return lines >= 0;
}

bool secret_check_b64_pem(struct secret_at *at)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str text;
    return decoded(a, value_of(at), &text) && str_starts(text, STR("-----BEGIN ")) &&
           str_has(text, STR("PRIVATE KEY-----"));
}

/* The JSON object around "private_key_id". */
bool secret_check_gcp(struct secret_at *at)
{
    size_t from = at->keyword, to = at->value;
    while (from > 0 && at->keyword - from < 4096 && at->text.p[from] != '{')
        from--;
    while (to < at->text.n && to - from < SECRET_REACH && at->text.p[to] != '}')
        to++;
    if (at->text.p[from] != '{' || to >= at->text.n || at->text.p[to] != '}')
        return false;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct json_value *v;
    if (json_parse(a, str_sub(at->text, from, to + 1), 0, &v, NULL) < 0)
        return false;
    struct str key = json_str(json_get(v, "private_key"));
    at->from = from;
    at->to = to + 1;
    return str_eqc(json_str(json_get(v, "type")), "service_account") &&
           str_starts(key, STR("-----BEGIN PRIVATE KEY-----")) && key.n > 200;
}

/* ---- forms around a mark in the middle ---- */

static bool token_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Grow over characters of tokens to both sides. */
static void grow(struct secret_at *at, size_t max)
{
    at->from = at->keyword;
    at->to = at->value;
    while (at->from > 0 && at->keyword - at->from < max && token_char(at->text.p[at->from - 1]))
        at->from--;
    while (at->to < at->text.n && at->to - at->value < max && token_char(at->text.p[at->to]))
        at->to++;
}

bool secret_check_terraform(struct secret_at *at)
{
    grow(at, 100);
    return at->keyword - at->from == 14 && at->to - at->value >= 60 && at->to - at->value <= 70 &&
           secret_entropy(str_sub(at->text, at->value, at->to)) >= 40;
}

bool secret_check_telegram(struct secret_at *at)
{
    grow(at, 60);
    while (at->from < at->keyword && !isdigit((unsigned char)at->text.p[at->from])) /* "bot" before it in addresses */
        at->from++;
    size_t id = at->keyword - at->from;
    for (size_t i = at->from; i < at->keyword; i++)
        if (!isdigit((unsigned char)at->text.p[i]))
            return false;
    return id >= 8 && id <= 10 && at->to - at->keyword == 36 && secret_entropy(value_of(at)) >= 38;
}

bool secret_check_braintree(struct secret_at *at)
{
    size_t i = at->from = at->to = at->value;
    while (i < at->text.n && i - at->value < 60 && (token_char(at->text.p[i]) || at->text.p[i] == '$'))
        i++;
    at->to = i;
    return i - at->value == 16 + 1 + 32;
}

bool secret_check_openai(struct secret_at *at)
{
    grow(at, 200);
    struct str v = value_of(at);
    return str_starts(v, STR("sk-")) && at->keyword - at->from >= 20 && at->to - at->value >= 20 &&
           secret_entropy(v) >= 40 && !secret_placeholder(v);
}

/* ---- passwords ---- */

static bool dull(struct str password, struct str user)
{
    static const char *const words[] = {"pass", "passwd", "pwd",  "secret", "user",  "username", "token",  "foo", "bar",
                                        "baz",  "admin",  "root", "guest",  "hello", "test",     "key",    "pw",  "xxx",
                                        "none", "string", "null", "abc",    "1234",  "abc123",   "hunter2"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(password, str_c(words[i])))
            return true;
    return str_eq(password, user) || secret_placeholder(password);
}

/* SCHEME://USER:PASSWORD@HOST */
bool secret_check_url(struct secret_at *at)
{
    static const char *const stores[] = {"postgres", "postgresql", "mysql", "mariadb", "mongodb",   "mongodb+srv",
                                         "redis",    "rediss",     "amqp",  "amqps",   "sqlserver", "mssql",
                                         "ldap",     "ldaps",      "smtp",  "smtps",   "sftp",      "clickhouse"};
    struct str text = at->text;
    size_t scheme = at->keyword + 1, end = at->value;
    while (scheme > 0 && at->keyword - scheme + 1 < 20 &&
           (isalnum((unsigned char)text.p[scheme - 1]) || text.p[scheme - 1] == '+'))
        scheme--;
    while (end < text.n && end - at->value < 256 && !strchr("/?#\"'<>`\\ \t\r\n|,;", text.p[end] ? text.p[end] : ' '))
        end++;
    struct str authority = str_sub(text, at->value, end), user, password;
    ptrdiff_t sign = str_rchr(authority, '@');
    if (sign < 0 || (size_t)sign + 1 >= authority.n)
        return false;
    struct str host = str_sub(authority, (size_t)sign + 1, authority.n);
    if (!str_split(str_sub(authority, 0, (size_t)sign), ':', &user, &password))
        return false;
    bool store = false;
    for (size_t i = 0; i < ARRAY_LEN(stores); i++)
        store |= str_ieq(str_sub(text, scheme, at->keyword + 1), str_c(stores[i]));
    at->from = (size_t)(password.p - text.p);
    at->to = at->from + password.n;
    if (!isalnum((unsigned char)host.p[0]) && host.p[0] != '[' && host.p[0] != '_')
        return false;
    if (ihas(host, "example") || ihas(host, "host.tld") || str_ieq(host, STR("host")) || str_starts(host, STR("host:")))
        return false;
    for (size_t i = 0; i < password.n; i++)
        if (strchr("${}%()[]*&", password.p[i]) &&
            !(password.p[i] == '%' && i + 2 < password.n && isxdigit((unsigned char)password.p[i + 1])))
            return false;
    if (dull(password, user))
        return false;
    return store ? password.n >= 4 : password.n >= 8 && secret_entropy(password) >= 25;
}

static bool word(struct str *rest, struct str *ret)
{
    *rest = str_trim(*rest);
    size_t i = 0;
    while (i < rest->n && !isspace((unsigned char)rest->p[i]))
        i++;
    *ret = str_sub(*rest, 0, i);
    *rest = str_sub(*rest, i, rest->n);
    return i > 0;
}

/* machine NAME login USER password SECRET (netrc(5)) */
bool secret_check_netrc(struct secret_at *at)
{
    struct str rest = str_sub(at->text, at->value, at->value + 600), machine, key, login, password;
    if (at->keyword && at->text.p[at->keyword - 1] != '\n')
        return false;
    if (!word(&rest, &machine) || !word(&rest, &key) || !str_eqc(key, "login") || !word(&rest, &login) ||
        !word(&rest, &key) || !str_eqc(key, "password") || !word(&rest, &password))
        return false;
    at->from = (size_t)(password.p - at->text.p);
    at->to = at->from + password.n;
    return password.n >= 4 && !dull(password, login);
}

/* ---- variables ---- */

bool secret_variable(struct str name, struct str value)
{
    static const char *const ends[] = {"PASSWORD", "PASSWD",     "SECRET",     "TOKEN",       "API_KEY",
                                       "APIKEY",   "SECRET_KEY", "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIALS",
                                       "PASS",     "AUTH_KEY",   "PWD",        "PASSPHRASE"};
    bool asks = false;
    if (str_eqc(name, "PWD") || str_eqc(name, "OLDPWD") || name.n > 200)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct str end = str_c(ends[i]);
        asks |= name.n >= end.n && str_ieq(str_sub(name, name.n - end.n, name.n), end) &&
                (name.n == end.n || end.n > 4 || strchr("_-.", name.p[name.n - end.n - 1]));
    }
    if (!asks || value.n < 6 || dull(value, name))
        return false;
    if (str_chr(value, ' ') >= 0 || value.p[0] == '/' || str_starts(value, STR("./")) || str_has(value, STR("://")) ||
        str_starts(value, STR("file:")))
        return false;
    return secret_entropy(value) >= 20;
}

bool secret_env_line(struct str line, struct str *name, struct str *value)
{
    line = str_trim(line);
    if (!line.n || line.p[0] == '#')
        return false;
    if (str_starts(line, STR("export ")))
        line = str_trim(str_sub(line, 7, line.n));
    if (!str_split(line, '=', name, value))
        return false;
    *name = str_trim(*name);
    *value = str_trim(*value);
    if (value->n >= 2 && (value->p[0] == '"' || value->p[0] == '\'') && value->p[value->n - 1] == value->p[0])
        *value = str_sub(*value, 1, value->n - 1);
    for (size_t i = 0; i < name->n; i++)
        if (!isalnum((unsigned char)name->p[i]) && !strchr("_-.", name->p[i]))
            return false;
    return name->n > 0;
}
