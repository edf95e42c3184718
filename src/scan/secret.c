#include "scan/secret.h"

#include "base/cleanup.h"

#include <ctype.h>

enum form { TOKEN, ASSIGN, FORM };

/* Alphabets, as bits of classes[]. */
enum {
    A_DIGIT = 1,
    A_HEXLOW = 2, /* a-f */
    A_LOWREST = 4,
    A_UPPERREST = 8,
    A_HEXUP = 16,
    A_UNDER = 32,
    A_DASH = 64,
    A_DOT = 128,
    A_PLUS = 256, /* + */
    A_EQUAL = 512,
    A_SLASH = 1024,
    A_TILDE = 2048,
    LOW = A_HEXLOW | A_LOWREST,
    UP = A_HEXUP | A_UPPERREST,
    HEX = A_DIGIT | A_HEXLOW,
    LOWER = A_DIGIT | LOW,
    UPPER = A_DIGIT | UP,
    BASE32 = UPPER,
    ALNUM = A_DIGIT | LOW | UP,
    WORD = ALNUM | A_UNDER,
    URLSAFE = WORD | A_DASH,
    SLACK = ALNUM | A_DASH,
    TOKENCHARS = URLSAFE | A_DOT,
    B64 = ALNUM | A_PLUS | A_SLASH | A_EQUAL,
    B64URL = URLSAFE | A_EQUAL,
    PATH = URLSAFE | A_SLASH | A_DOT,
    AZURE = TOKENCHARS | A_TILDE,
    ANY = 0,
};

struct rule {
    const char *id, *title;
    enum vuln_severity severity;
    enum form form;
    const char *keyword;
    unsigned alphabet;
    size_t min, max;
    int entropy;
    bool (*check)(struct secret_at *at);
};

#define SECRET(id, title, severity, form, keyword, alphabet, min, max, entropy, check)                                 \
    {#id, title, VULN_##severity, form, keyword, alphabet, min, max, entropy, secret_check_##check},
static const struct rule rules[] = {
#include "rules/secrets.tbl.h"
};
#undef SECRET

#define KEYWORD_MIN 4 /* characters that the prefilter looks at */
#define BLOCK       2

struct secrets {
    uint8_t shift[65536];                        /* by the two bytes that end the window */
    uint16_t head[4096], next[ARRAY_LEN(rules)]; /* rules whose window ends so: index + 1 */
    uint16_t classes[256];
};

static unsigned block_at(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static unsigned bucket(unsigned block)
{
    return (block * 40503u >> 4) & 4095;
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static unsigned char upper(unsigned char c)
{
    return c >= 'a' && c <= 'z' ? c & 0xdf : c;
}

static void shift_to(struct secrets *s, unsigned char x, unsigned char y, size_t n)
{
    unsigned char block[2] = {x, y};
    uint8_t *at = &s->shift[block_at(block)];
    if (n < *at)
        *at = (uint8_t)n;
}

/* Keywords in any case are filed under their blocks in lower case, and found under all four. */
static void add_rule(struct secrets *s, size_t i)
{
    const unsigned char *k = (const unsigned char *)rules[i].keyword;
    bool fold = rules[i].form == ASSIGN;
    for (size_t end = BLOCK; end <= KEYWORD_MIN; end++) {
        unsigned char x = k[end - 2], y = k[end - 1];
        shift_to(s, x, y, KEYWORD_MIN - end);
        if (fold) {
            shift_to(s, lower(x), lower(y), KEYWORD_MIN - end);
            shift_to(s, upper(x), lower(y), KEYWORD_MIN - end);
            shift_to(s, lower(x), upper(y), KEYWORD_MIN - end);
            shift_to(s, upper(x), upper(y), KEYWORD_MIN - end);
        }
    }
    unsigned char last[2] = {lower(k[KEYWORD_MIN - 2]), lower(k[KEYWORD_MIN - 1])};
    unsigned b = bucket(block_at(last));
    s->next[i] = s->head[b];
    s->head[b] = (uint16_t)(i + 1);
}

static unsigned class_of(unsigned c)
{
    static const struct {
        char c;
        uint16_t bit;
    } marks[] = {{'_', A_UNDER}, {'-', A_DASH},  {'.', A_DOT},  {'+', A_PLUS},
                 {'=', A_EQUAL}, {'/', A_SLASH}, {'~', A_TILDE}};
    if (c >= '0' && c <= '9')
        return A_DIGIT;
    if (c >= 'a' && c <= 'z')
        return c <= 'f' ? A_HEXLOW : A_LOWREST;
    if (c >= 'A' && c <= 'Z')
        return c <= 'F' ? A_HEXUP : A_UPPERREST;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if ((unsigned char)marks[i].c == c)
            return marks[i].bit;
    return 0;
}

struct secrets *secrets_new(void)
{
    struct secrets *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    memset(s->shift, KEYWORD_MIN - BLOCK + 1, sizeof(s->shift));
    for (unsigned c = 0; c < 256; c++)
        s->classes[c] = (uint16_t)class_of(c);
    for (size_t i = ARRAY_LEN(rules); i-- > 0;)
        add_rule(s, i);
    return s;
}

void secrets_free(struct secrets *s)
{
    free(s);
}

void secrets_freep(struct secrets **s)
{
    secrets_free(*s);
}

static bool keyword_here(const struct rule *r, struct str text, size_t at)
{
    size_t n = strlen(r->keyword);
    if (n > text.n - at)
        return false;
    if (r->form != ASSIGN)
        return !memcmp(text.p + at, r->keyword, n);
    for (size_t i = 0; i < n; i++)
        if (lower((unsigned char)text.p[at + i]) != lower((unsigned char)r->keyword[i]))
            return false;
    return true;
}

static size_t run(const struct secrets *s, struct str text, size_t from, unsigned alphabet, size_t max)
{
    size_t i = from;
    while (i < text.n && i - from <= max && (s->classes[(unsigned char)text.p[i]] & alphabet))
        i++;
    return i;
}

/* Behind the name: NAME = "value", "NAME": "value", NAME => 'value', NAME := value. Line ends only in front of nothing.
 */
static bool assigned(struct str text, size_t *at)
{
    size_t i = *at, sign = 0;
    if (i < text.n && (text.p[i] == '"' || text.p[i] == '\'' || text.p[i] == ']'))
        i++;
    while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t'))
        i++;
    while (i < text.n && sign < 2 && (text.p[i] == '=' || text.p[i] == ':' || text.p[i] == '>')) {
        i++;
        sign++;
    }
    if (!sign)
        return false;
    while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t'))
        i++;
    if (i < text.n && (text.p[i] == '\\'))
        i++;
    if (i < text.n && (text.p[i] == '"' || text.p[i] == '\'' || text.p[i] == '`'))
        i++;
    *at = i;
    return true;
}

static bool extent(const struct secrets *s, const struct rule *r, struct secret_at *at)
{
    struct str text = at->text;
    at->from = at->value;
    if (r->form == TOKEN) {
        if (at->keyword && isalnum((unsigned char)r->keyword[0]) && isalnum((unsigned char)text.p[at->keyword - 1]))
            return false;
    } else if (!assigned(text, &at->from)) {
        return false;
    }
    at->to = run(s, text, at->from, r->alphabet, r->max);
    if (at->to - at->from > r->max)
        return false;
    while (at->to > at->from && (text.p[at->to - 1] == '.' || (r->form == TOKEN && text.p[at->to - 1] == '-')))
        at->to--; /* the end of a sentence */
    if (at->to - at->from < r->min)
        return false;
    struct str value = str_sub(text, at->from, at->to);
    return secret_entropy(value) >= r->entropy && !secret_placeholder(value);
}

static bool judge(const struct secrets *s, const struct rule *r, struct str text, size_t keyword,
                  struct secret_hit *hit)
{
    struct secret_at at = {.text = text, .keyword = keyword, .value = keyword + strlen(r->keyword)};
    if (r->form != FORM && !extent(s, r, &at))
        return false;
    if (!r->check(&at))
        return false;
    enum vuln_severity severity = r->severity;
    if (at.doubtful && severity > VULN_MEDIUM)
        severity = VULN_MEDIUM;
    if (at.weak && severity > VULN_LOW)
        severity--;
    *hit = (struct secret_hit){.id = r->id,
                               .title = r->title,
                               .severity = severity,
                               .from = r->form == TOKEN ? keyword : at.from,
                               .to = at.to,
                               .prefix = r->form == TOKEN ? r->keyword : "",
                               .note = at.note};
    return true;
}

void secrets_scan(const struct secrets *s, struct str text, bool (*fn)(void *ctx, const struct secret_hit *hit),
                  void *ctx)
{
    const unsigned char *p = (const unsigned char *)text.p;
    struct secret_hit hit;
    size_t done = 0; /* end of the last hit */
    for (size_t i = KEYWORD_MIN - BLOCK; i + 1 < text.n;) {
        unsigned shift = s->shift[block_at(p + i)];
        if (shift) {
            i += shift;
            continue;
        }
        size_t start = i - (KEYWORD_MIN - BLOCK);
        unsigned char last[2] = {lower(p[i]), lower(p[i + 1])};
        i++;
        for (uint16_t k = s->head[bucket(block_at(last))]; k; k = s->next[k - 1]) {
            const struct rule *r = &rules[k - 1];
            if (start < done || !keyword_here(r, text, start) || !judge(s, r, text, start, &hit) || hit.from < done)
                continue;
            done = hit.to;
            if (!fn(ctx, &hit))
                return;
        }
    }
}

bool secret_is_text(struct str head)
{
    size_t odd = 0, n = head.n < 1024 ? head.n : 1024;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)head.p[i];
        if (c == 0)
            return false;
        odd += c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b;
    }
    return odd * 20 <= n;
}

bool secret_path_skipped(struct str path)
{
    static const char *const below[] = {"usr/share/doc/",      "usr/share/man/",  "usr/share/info/",
                                        "usr/share/locale/",   "usr/share/help/", "usr/share/licenses/",
                                        "usr/local/share/man/"};
    static const char *const folders[] = {"/test/",     "/tests/",    "/testdata/", "/testing/", "/__tests__/",
                                          "/examples/", "/fixtures/", "/spec/",     "/demos/"};
    static const char *const libraries[] = {"usr/lib/",       "usr/lib64/",    "usr/share/",
                                            "usr/local/lib/", "usr/local/go/", "usr/local/share/"};
    for (size_t i = 0; i < ARRAY_LEN(below); i++)
        if (str_starts(path, str_c(below[i])))
            return true;
    bool library = str_has(path, STR("/node_modules/")) || str_has(path, STR("/site-packages/")) ||
                   str_has(path, STR("/dist-packages/")) || str_has(path, STR("/gems/"));
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++)
        library |= str_starts(path, str_c(libraries[i]));
    for (size_t i = 0; library && i < ARRAY_LEN(folders); i++)
        if (str_has(path, str_c(folders[i])))
            return true;
    return false;
}

struct str secret_evidence(struct arena *a, const struct secret_hit *hit)
{
    const char *prefix = hit->prefix;
    while (*prefix == '"' || *prefix == '\'' || *prefix == '=' || *prefix == ' ')
        prefix++;
    return arena_strf(a, "%s**** (%zu characters%s%s)", prefix, hit->to - hit->from, hit->note ? "; " : "",
                      hit->note ? hit->note : "");
}
