/* Operators and right sides: typed, then made ready for many evaluations. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/buf.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/time.h"
#include "expr/expr_internal.h"

#include <arpa/inet.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define HASH_FROM 8u /* values from which a list is hashed */

enum {
    T_STRING = 1 << EXPR_STRING,
    T_ORDERED = 1 << EXPR_NUMBER | 1 << EXPR_DURATION | 1 << EXPR_ENUM,
    T_BOOL = 1 << EXPR_BOOL,
    T_LIST = 1 << EXPR_LIST | 1 << EXPR_ANY,
    T_TEXT = T_STRING | T_LIST,
    T_ADDRESS = 1 << EXPR_ADDRESS,
};

static const struct op_info operators[] = {
    /* longer ones before their prefixes */
    {"<=", EXPR_LE, T_ORDERED, false},
    {"<", EXPR_LT, T_ORDERED, false},
    {">=", EXPR_GE, T_ORDERED, false},
    {">", EXPR_GT, T_ORDERED, false},
    {"==", EXPR_EQ, T_TEXT | T_ORDERED | T_BOOL | T_ADDRESS, false},
    {"=", EXPR_EQ, T_TEXT | T_ORDERED | T_BOOL | T_ADDRESS, false},
    {"!=", EXPR_NE, T_TEXT | T_ORDERED | T_BOOL | T_ADDRESS, false},
    {"exists", EXPR_EXISTS, ~0u, false},
    {"contains", EXPR_CONTAINS, T_TEXT, false},
    {"icontains", EXPR_ICONTAINS, T_TEXT, false},
    {"bcontains", EXPR_BCONTAINS, T_TEXT, false},
    {"startswith", EXPR_STARTSWITH, T_TEXT, false},
    {"bstartswith", EXPR_BSTARTSWITH, T_TEXT, false},
    {"endswith", EXPR_ENDSWITH, T_TEXT, false},
    {"glob", EXPR_GLOB, T_TEXT, false},
    {"iglob", EXPR_IGLOB, T_TEXT, false},
    {"regex", EXPR_REGEX, T_TEXT, false},
    {"intersects", EXPR_INTERSECTS, T_TEXT | T_ADDRESS, true},
    {"in", EXPR_IN, T_TEXT | T_ORDERED | T_BOOL | T_ADDRESS, true},
    {"pmatch", EXPR_PMATCH, T_TEXT, true},
};

static const char *const type_words[] = {
    [EXPR_STRING] = "a text",       [EXPR_NUMBER] = "a number",    [EXPR_DURATION] = "a duration",
    [EXPR_ENUM] = "an enumeration", [EXPR_BOOL] = "true or false", [EXPR_LIST] = "a list of texts",
    [EXPR_ANY] = "texts",           [EXPR_ADDRESS] = "an address", [EXPR_THING] = "a kind of finding",
};

const char *expr_type_words(enum expr_type t)
{
    return type_words[t];
}

int expr_read_operator(struct parser *p, const struct op_info **ret)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++)
        if (expr_accept(p, operators[i].text)) {
            *ret = &operators[i];
            return 0;
        }
    return expr_fail(p, p->at, EINVAL,
                     "expected an operator (= != < <= > >= exists contains icontains bcontains startswith bstartswith "
                     "endswith glob iglob regex in intersects pmatch), found " STR_FMT,
                     STR_ARG(expr_here(p)));
}

static int number(struct str s, double *ret)
{
    if (s.n > 2 && s.p[0] == '0' && (s.p[1] | 32) == 'x') {
        uint64_t v = 0;
        for (size_t i = 2; i < s.n; i++) {
            int c = s.p[i] | 32, d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
            if (d < 0 || i > 17 || (s.p[i] < '0'))
                return -EINVAL;
            v = v << 4 | (unsigned)d;
        }
        *ret = (double)v;
        return 0;
    }
    return str_double(s.n && s.p[0] == '+' ? str_sub(s, 1, s.n) : s, ret);
}

int expr_net_parse(struct str s, struct expr_net *ret)
{
    char text[64];
    struct str addr, bits;
    uint64_t n = 128;
    struct expr_net net = {.addr = {[10] = 0xff, [11] = 0xff}};
    bool masked = str_split(s, '/', &addr, &bits);
    if (addr.n >= sizeof(text) || !addr.n)
        return -EINVAL;
    memcpy(text, addr.p, addr.n);
    text[addr.n] = '\0';
    bool v4 = inet_pton(AF_INET, text, net.addr + 12) == 1;
    if (!v4 && inet_pton(AF_INET6, text, net.addr) != 1)
        return -EINVAL;
    if (masked && (str_u64(bits, &n) < 0 || n > (v4 ? 32 : 128)))
        return -EINVAL;
    net.bits = (uint8_t)(masked && v4 ? n + 96 : n);
    *ret = net;
    return 0;
}

static int hex_bytes(struct arena *a, struct str s, struct str *ret)
{
    char *p = arena_alloc(a, s.n / 2 + 1);
    if (!s.n || s.n % 2 || hex_decode(s, p, s.n / 2) < 0)
        return -EINVAL;
    *ret = str_n(p, s.n / 2);
    return 0;
}

static int type_enum(struct parser *p, size_t at, const char *name, const struct expr_field *f, struct str text,
                     struct expr_value *v)
{
    char all[256] = "";
    for (size_t i = 0; i < f->names_n; i++)
        if (str_eqc(text, f->names[i])) {
            v->member = (int)i;
            return 0;
        }
    for (size_t i = 0, n = 0; i < f->names_n && n < sizeof(all) - 40; i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, " %s", f->names[i]);
    return expr_fail(p, at, EINVAL, "%s is one of%s, not \"" STR_FMT "\"", name, all, STR_ARG(str_sub(text, 0, 60)));
}

static int type_value(struct parser *p, size_t at, const char *name, const struct expr_check *c, struct str text,
                      struct expr_value *v)
{
    struct str shown = str_sub(text, 0, 60);
    v->s = arena_str(p->a, text);
    switch (c->type) {
    case EXPR_NUMBER:
        if (number(text, &v->number) < 0)
            return expr_fail(p, at, EINVAL, "%s is a number, \"" STR_FMT "\" is none", name, STR_ARG(shown));
        return 0;
    case EXPR_DURATION:
        if (duration_parse(text, &v->duration) < 0)
            return expr_fail(p, at, EINVAL, "%s is a duration like 90s, 15m, 72h, 14d or 2w, \"" STR_FMT "\" is none",
                             name, STR_ARG(shown));
        return 0;
    case EXPR_ENUM:
        return type_enum(p, at, name, &p->set->schema->fields[c->field], text, v);
    case EXPR_BOOL:
        v->yes = str_eqc(text, "true");
        if (!v->yes && !str_eqc(text, "false"))
            return expr_fail(p, at, EINVAL, "%s is true or false, not \"" STR_FMT "\"", name, STR_ARG(shown));
        return 0;
    case EXPR_ADDRESS: {
        struct expr_net *net = arena_new_of(p->a, struct expr_net);
        if (expr_net_parse(text, net) < 0)
            return expr_fail(p, at, EINVAL, "%s is an address, \"" STR_FMT "\" is no address and no network", name,
                             STR_ARG(shown));
        v->nets = net;
        return 0;
    }
    default:
        if ((c->op == EXPR_BCONTAINS || c->op == EXPR_BSTARTSWITH) && hex_bytes(p->a, text, &v->s) < 0)
            return expr_fail(p, at, EINVAL, "expected bytes in hex, not \"" STR_FMT "\"", STR_ARG(shown));
        return 0;
    }
}

static int add_value(struct parser *p, size_t at, const char *name, struct expr_check *c, size_t *cap, struct str text)
{
    struct expr_value v = {0};
    int r = type_value(p, at, name, c, text, &v);
    if (r < 0)
        return r;
    c->values = arena_grow(p->a, c->values, c->values_n, cap, sizeof(*c->values));
    c->values[c->values_n++] = v;
    return 0;
}

static bool named_list(struct parser *p, struct str name, const struct str **items, size_t *n)
{
    const struct expr_names *names = &p->set->names;
    return names->list && names->list(names->ctx, name, items, n);
}

static int add_item(struct parser *p, const char *name, struct expr_check *c, size_t *cap)
{
    const struct str *items;
    struct str text;
    bool quoted;
    size_t n, at = p->at;
    int r = expr_read_text(p, &text, &quoted);
    if (r < 0)
        return r;
    if (quoted || !named_list(p, text, &items, &n))
        return add_value(p, at, name, c, cap, text);
    for (size_t i = 0; i < n; i++)
        if ((r = add_value(p, at, name, c, cap, items[i])) < 0)
            return r;
    return 0;
}

int expr_read_list(struct parser *p, const char *name, struct expr_check *c)
{
    size_t cap = 0;
    int r;
    expr_skip_blanks(p);
    if (!expr_accept(p, "(")) {
        const struct str *items;
        size_t n, at = p->at, end = p->at;
        while (end < p->text.n && expr_word_char((unsigned char)p->text.p[end]))
            end++;
        if (end == at || !named_list(p, str_sub(p->text, at, end), &items, &n))
            return expr_fail(p, p->at, EINVAL, "expected a list in parentheses: (a, b), found " STR_FMT,
                             STR_ARG(expr_here(p)));
        p->at = end;
        for (size_t i = 0; i < n; i++)
            if ((r = add_value(p, at, name, c, &cap, items[i])) < 0)
                return r;
        return 0;
    }
    expr_skip_blanks(p);
    if (expr_accept(p, ")"))
        return 0;
    for (;;) {
        expr_skip_blanks(p);
        if ((r = add_item(p, name, c, &cap)) < 0)
            return r;
        expr_skip_blanks(p);
        if (expr_accept(p, ")"))
            return 0;
        if (!expr_accept(p, ","))
            return expr_fail(p, p->at, EINVAL, "expected , or ) in the list, found " STR_FMT, STR_ARG(expr_here(p)));
    }
}

int expr_read_value(struct parser *p, const char *name, struct expr_check *c)
{
    struct str text;
    bool quoted;
    size_t cap = 0;
    expr_skip_blanks(p);
    size_t at = p->at;
    int r = expr_read_text(p, &text, &quoted);
    return r < 0 ? r : add_value(p, at, name, c, &cap, text);
}

/* ---- ready for evaluation ---- */

static void *in_arena(size_t n, void *a)
{
    return arena_alloc(a, n);
}

static void in_arena_free(void *p, void *a) {}

static int compile_regex(struct parser *p, size_t at, struct expr_check *c)
{
    int code;
    PCRE2_SIZE where;
    if (c->values_n != 1)
        return expr_fail(p, at, EINVAL, "regex takes one value");
    pcre2_general_context *g = pcre2_general_context_create(in_arena, in_arena_free, p->a);
    pcre2_compile_context *cc = pcre2_compile_context_create(g);
    pcre2_set_max_pattern_length(cc, 4096);
    pcre2_set_parens_nest_limit(cc, LIMIT_EXPR_DEPTH);
    c->regex = pcre2_compile((PCRE2_SPTR)c->values->s.p, c->values->s.n,
                             PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &code,
                             &where, cc);
    if (!c->regex) {
        char what[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)what, sizeof(what));
        return expr_fail(p, at, EINVAL, "regex: %s at byte %zu", what, (size_t)where);
    }
    if (p->set->share) /* many evaluations are to come; expr_set_fini() gives it back */
        pcre2_jit_compile(c->regex, PCRE2_JIT_COMPLETE);
    return 0;
}

int expr_str_order(const void *a, const void *b)
{
    return str_cmp(((const struct expr_value *)a)->s, ((const struct expr_value *)b)->s);
}

static void hash_values(struct arena *a, struct expr_check *c)
{
    uint32_t size = 16;
    while (size < c->values_n * 2)
        size *= 2;
    uint32_t *slots = arena_array(a, size, sizeof(*slots));
    for (size_t i = 0; i < c->values_n; i++) {
        uint32_t at = (uint32_t)str_hash(c->values[i].s) & (size - 1);
        while (slots[at])
            at = (at + 1) & (size - 1);
        slots[at] = (uint32_t)i + 1;
    }
    c->hashed = slots;
    c->hashed_mask = size - 1;
}

int expr_prepare(struct parser *p, size_t at, struct expr_check *c)
{
    bool text = c->type == EXPR_STRING || c->type == EXPR_LIST || c->type == EXPR_ANY;
    if (c->op == EXPR_REGEX && !c->right)
        return compile_regex(p, at, c);
    if (text && c->values_n && (c->op == EXPR_IN || c->op == EXPR_INTERSECTS)) {
        qsort(c->values, c->values_n, sizeof(*c->values), expr_str_order);
        if (c->values_n > HASH_FROM)
            hash_values(p->a, c);
    }
    return 0;
}

void expr_regex_free(struct expr_check *c)
{
    if (c->regex)
        pcre2_code_free(c->regex);
    c->regex = NULL;
}
