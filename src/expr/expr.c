/* The compiler: one pass of recursive descent over the text, typed on the way. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"
#include "expr/expr_internal.h"

struct parser {
    struct arena *a;
    struct str text;
    size_t at;
    unsigned depth;
    const struct expr_schema *schema;
    struct expr *x;
    struct err *e;
};

enum {
    T_STRING = 1 << EXPR_STRING,
    T_ORDERED = 1 << EXPR_NUMBER | 1 << EXPR_DURATION | 1 << EXPR_ENUM,
    T_BOOL = 1 << EXPR_BOOL,
    T_LIST = 1 << EXPR_LIST,
    T_THING = 1 << EXPR_THING,
};

static const struct op_info {
    const char *text;
    enum expr_op op;
    unsigned types;
    bool list;
} operators[] = {
    /* longer ones before their prefixes */
    {"<=", EXPR_LE, T_ORDERED, false},
    {"<", EXPR_LT, T_ORDERED, false},
    {">=", EXPR_GE, T_ORDERED, false},
    {">", EXPR_GT, T_ORDERED, false},
    {"==", EXPR_EQ, T_STRING | T_ORDERED | T_BOOL | T_LIST, false},
    {"=", EXPR_EQ, T_STRING | T_ORDERED | T_BOOL | T_LIST, false},
    {"!=", EXPR_NE, T_STRING | T_ORDERED | T_BOOL | T_LIST, false},
    {"exists", EXPR_EXISTS, ~0u, false},
    {"contains", EXPR_CONTAINS, T_STRING | T_LIST, false},
    {"icontains", EXPR_ICONTAINS, T_STRING | T_LIST, false},
    {"startswith", EXPR_STARTSWITH, T_STRING | T_LIST, false},
    {"endswith", EXPR_ENDSWITH, T_STRING | T_LIST, false},
    {"glob", EXPR_GLOB, T_STRING | T_LIST, false},
    {"in", EXPR_IN, T_STRING | T_ORDERED | T_BOOL | T_LIST, true},
    {"intersects", EXPR_INTERSECTS, T_STRING | T_LIST, true},
    {"pmatch", EXPR_PMATCH, T_STRING | T_LIST, true},
};

static const char *const type_words[] = {
    [EXPR_STRING] = "a text",           [EXPR_NUMBER] = "a number",    [EXPR_DURATION] = "a duration",
    [EXPR_ENUM] = "an enumeration",     [EXPR_BOOL] = "true or false", [EXPR_LIST] = "a list of texts",
    [EXPR_THING] = "a kind of finding",
};

static int __attribute__((format(printf, 4, 5))) fail(struct parser *p, size_t at, int code, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < p->text.n; i++, column++)
        if (p->text.p[i] == '\n') {
            line++;
            column = 0;
        }
    if (line > 1)
        return err_set(p->e, code, "line %zu, column %zu: %s", line, column, what);
    return err_set(p->e, code, "column %zu: %s", column, what);
}

/* ---- lexing, on demand: what a word is depends on where it stands ---- */

static int look(const struct parser *p)
{
    return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

static bool blank(int c)
{
    return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n';
}

static void skip_blanks(struct parser *p)
{
    while (blank(look(p)))
        p->at++;
}

static bool letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool word_char(int c)
{
    return letter(c) || (c >= '0' && c <= '9') || c == '_';
}

/* A keyword or symbol here; a keyword must end here as well. */
static bool accept(struct parser *p, const char *token)
{
    struct str t = str_c(token);
    if (!str_starts(str_sub(p->text, p->at, p->text.n), t))
        return false;
    size_t end = p->at + t.n;
    if (letter((unsigned char)token[0]) && end < p->text.n &&
        (word_char((unsigned char)p->text.p[end]) || p->text.p[end] == '.'))
        return false;
    p->at = end;
    return true;
}

static bool bare_char(int c)
{
    return c >= 0 && !strchr("()\"'=,", c ? c : '(') && !blank(c) && c != '\v' && c != '\f';
}

/* What the reader of a message sees at this place. */
static struct str here(const struct parser *p)
{
    size_t end = p->at;
    while (end < p->text.n && end - p->at < 40 && bare_char((unsigned char)p->text.p[end]))
        end++;
    if (end == p->at && end < p->text.n)
        end++;
    return end > p->at ? str_sub(p->text, p->at, end) : STR("the end");
}

static int read_quoted(struct parser *p, struct str *ret)
{
    char quote = p->text.p[p->at];
    size_t start = p->at++;
    char *out = arena_alloc(p->a, p->text.n - p->at + 1), *o = out;
    for (;;) {
        int c = look(p);
        if (c < 0)
            return fail(p, start, EINVAL, "the quoted text does not end");
        p->at++;
        if (c == quote)
            break;
        if (c == '\\') {
            static const char from[] = "bfnrt\\/ ", to[] = "\b\f\n\r\t\\/\\";
            c = look(p);
            const char *esc = c > 0 ? strchr(from, c) : NULL;
            if (esc)
                c = to[esc - from];
            else if (c != quote)
                return fail(p, p->at - 1, EINVAL, "unsupported escape; there are \\b \\f \\n \\r \\t \\\\ \\/ \\%c",
                            quote);
            p->at++;
        }
        *o++ = (char)c;
    }
    *ret = str_n(out, (size_t)(o - out));
    return 0;
}

static int read_value_text(struct parser *p, struct str *ret)
{
    skip_blanks(p);
    if (look(p) == '"' || look(p) == '\'')
        return read_quoted(p, ret);
    size_t start = p->at;
    while (bare_char(look(p)))
        p->at++;
    if (p->at == start)
        return fail(p, start, EINVAL, "expected a value, found " STR_FMT, STR_ARG(here(p)));
    *ret = str_sub(p->text, start, p->at);
    if (look(p) == '(')
        return fail(p, start, EINVAL, "the transformer " STR_FMT "() is not supported", STR_ARG(str_sub(*ret, 0, 40)));
    return 0;
}

/* ---- fields and values ---- */

static int unknown_field(struct parser *p, size_t at, struct str name)
{
    const char *nearest = NULL;
    size_t best = name.n / 3 + 2;
    for (size_t i = 0; i < p->schema->n; i++) {
        size_t d = str_distance(name, str_c(p->schema->fields[i].name));
        if (d < best) {
            best = d;
            nearest = p->schema->fields[i].name;
        }
    }
    name = str_sub(name, 0, 60);
    if (nearest)
        return fail(p, at, EINVAL, "unknown field " STR_FMT "; did you mean %s?", STR_ARG(name), nearest);
    return fail(p, at, EINVAL, "unknown field " STR_FMT, STR_ARG(name));
}

static int read_field(struct parser *p, struct expr_check *c)
{
    size_t start = p->at;
    while (word_char(look(p)) || look(p) == '.')
        p->at++;
    struct str name = str_sub(p->text, start, p->at);
    if (look(p) == '(')
        return fail(p, start, EINVAL, "the transformer " STR_FMT "() is not supported", STR_ARG(str_sub(name, 0, 40)));
    size_t i = 0;
    while (i < p->schema->n && !str_eqc(name, p->schema->fields[i].name))
        i++;
    if (i == p->schema->n)
        return unknown_field(p, start, name);
    const struct expr_field *f = &p->schema->fields[i];
    c->field = (unsigned)i;
    if (look(p) != '[') {
        if (f->arg == EXPR_ARG)
            return fail(p, p->at, EINVAL, "%s needs an argument: %s[NAME]", f->name, f->name);
        return 0;
    }
    if (f->arg == EXPR_NO_ARG)
        return fail(p, p->at, EINVAL, "%s takes no argument in brackets", f->name);
    p->at++;
    if (look(p) == '"' || look(p) == '\'') {
        int r = read_quoted(p, &c->arg);
        if (r < 0)
            return r;
    } else {
        size_t from = p->at;
        while (look(p) >= 0 && !blank(look(p)) && !strchr("[]\"'", look(p) ? look(p) : '['))
            p->at++;
        c->arg = str_sub(p->text, from, p->at);
    }
    if (!c->arg.n || !accept(p, "]"))
        return fail(p, p->at, EINVAL, "expected an argument and ] behind %s[", f->name);
    return 0;
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

static int type_value(struct parser *p, size_t at, const struct expr_field *f, enum expr_op op, struct str text,
                      struct expr_value *v)
{
    struct str shown = str_sub(text, 0, 60);
    v->s = arena_str(p->a, text);
    switch (f->type) {
    case EXPR_NUMBER:
        if (number(text, &v->number) < 0)
            return fail(p, at, EINVAL, "%s is a number, \"" STR_FMT "\" is none", f->name, STR_ARG(shown));
        return 0;
    case EXPR_DURATION:
        if (duration_parse(text, &v->duration) < 0)
            return fail(p, at, EINVAL, "%s is a duration like 90s, 15m, 72h, 14d or 2w, \"" STR_FMT "\" is none",
                        f->name, STR_ARG(shown));
        return 0;
    case EXPR_ENUM:
        for (size_t i = 0; i < f->names_n; i++)
            if (str_eqc(text, f->names[i])) {
                v->member = (int)i;
                return 0;
            }
        char all[256] = "";
        for (size_t i = 0, n = 0; i < f->names_n && n < sizeof(all) - 40; i++)
            n += (size_t)snprintf(all + n, sizeof(all) - n, " %s", f->names[i]);
        return fail(p, at, EINVAL, "%s is one of%s, not \"" STR_FMT "\"", f->name, all, STR_ARG(shown));
    case EXPR_BOOL:
        v->yes = str_eqc(text, "true");
        if (!v->yes && !str_eqc(text, "false"))
            return fail(p, at, EINVAL, "%s is true or false, not \"" STR_FMT "\"", f->name, STR_ARG(shown));
        return 0;
    case EXPR_STRING:
    case EXPR_LIST:
    case EXPR_THING:
        if (op == EXPR_GLOB && str_chr(text, '[') >= 0)
            return fail(p, at, EINVAL, "glob: character classes in brackets are not supported");
        return 0;
    }
    return 0;
}

int expr_str_order(const void *a, const void *b)
{
    return str_cmp(((const struct expr_value *)a)->s, ((const struct expr_value *)b)->s);
}

static int read_list(struct parser *p, struct expr_check *c)
{
    const struct expr_field *f = &p->schema->fields[c->field];
    size_t cap = 0;
    skip_blanks(p);
    if (!accept(p, "("))
        return fail(p, p->at, EINVAL, "expected a list in parentheses: (a, b), found " STR_FMT, STR_ARG(here(p)));
    skip_blanks(p);
    if (!accept(p, ")"))
        for (;;) {
            struct str text;
            skip_blanks(p);
            size_t at = p->at;
            int r = read_value_text(p, &text);
            c->values = arena_grow(p->a, c->values, c->values_n, &cap, sizeof(*c->values));
            c->values[c->values_n] = (struct expr_value){0};
            if (r == 0)
                r = type_value(p, at, f, c->op, text, &c->values[c->values_n]);
            if (r < 0)
                return r;
            c->values_n++;
            skip_blanks(p);
            if (accept(p, ")"))
                break;
            if (!accept(p, ","))
                return fail(p, p->at, EINVAL, "expected , or ) in the list, found " STR_FMT, STR_ARG(here(p)));
        }
    if (c->values_n && c->op != EXPR_PMATCH && (f->type == EXPR_STRING || f->type == EXPR_LIST))
        qsort(c->values, c->values_n, sizeof(*c->values), expr_str_order);
    return 0;
}

static int operator_here(struct parser *p, const struct op_info **ret)
{
    static const char *const unsupported[] = {"regex", "iglob", "bcontains", "bstartswith"};
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (accept(p, operators[i].text)) {
            *ret = &operators[i];
            return 0;
        }
    size_t at = p->at;
    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++)
        if (accept(p, unsupported[i]))
            return fail(p, at, EINVAL, "the operator %s is not supported", unsupported[i]);
    return fail(p, at, EINVAL,
                "expected an operator (= != < <= > >= exists contains icontains startswith endswith glob in intersects "
                "pmatch), found " STR_FMT,
                STR_ARG(here(p)));
}

static int parse_check(struct parser *p, struct node **ret)
{
    struct expr *x = p->x;
    struct expr_check c = {0};
    const struct op_info *o = NULL;
    if (!letter(look(p)))
        return fail(p, p->at, EINVAL, "expected a field, not or (, found " STR_FMT, STR_ARG(here(p)));
    int r = read_field(p, &c);
    if (r < 0)
        return r;
    const struct expr_field *f = &p->schema->fields[c.field];
    skip_blanks(p);
    size_t at = p->at;
    if ((r = operator_here(p, &o)) < 0)
        return r;
    if (!(o->types & 1u << f->type))
        return fail(p, at, EINVAL, "%s is %s and has no operator %s", f->name, type_words[f->type], o->text);
    c.op = o->op;
    if (o->list) {
        r = read_list(p, &c);
    } else if (o->op != EXPR_EXISTS) {
        struct str text;
        skip_blanks(p);
        at = p->at;
        c.values = arena_new_of(p->a, struct expr_value);
        c.values_n = 1;
        r = read_value_text(p, &text);
        if (r == 0)
            r = type_value(p, at, f, c.op, text, c.values);
    }
    if (r < 0)
        return r;
    x->checks = arena_grow(p->a, x->checks, x->checks_n, &x->checks_cap, sizeof(*x->checks));
    struct node *n = arena_new_of(p->a, struct node);
    n->kind = NODE_CHECK;
    n->check = x->checks_n;
    x->checks[x->checks_n++] = c;
    *ret = n;
    return 0;
}

static int parse_or(struct parser *p, struct node **ret);

static int parse_not(struct parser *p, struct node **ret)
{
    bool negate = false;
    int r;
    skip_blanks(p);
    while (accept(p, "not")) {
        negate = !negate;
        skip_blanks(p);
    }
    if (accept(p, "(")) {
        size_t open = p->at - 1;
        if (++p->depth > LIMIT_EXPR_DEPTH)
            return fail(p, open, E2BIG, "nested deeper than %d", LIMIT_EXPR_DEPTH);
        if ((r = parse_or(p, ret)) < 0)
            return r;
        p->depth--;
        skip_blanks(p);
        if (!accept(p, ")"))
            return fail(p, p->at, EINVAL, "expected and, or or the ) of column %zu, found " STR_FMT, open + 1,
                        STR_ARG(here(p)));
    } else if ((r = parse_check(p, ret)) < 0) {
        return r;
    }
    if (negate) {
        struct node *n = arena_new_of(p->a, struct node);
        n->kind = NODE_NOT;
        n->first = *ret;
        *ret = n;
    }
    return 0;
}

/* Chains of one operator become one node, so a long rule is not a deep one. */
static int parse_chain(struct parser *p, const char *word, enum node_kind kind,
                       int (*operand)(struct parser *p, struct node **ret), struct node **ret)
{
    struct node *first, *last;
    int r = operand(p, &first);
    if (r < 0)
        return r;
    last = first;
    for (;;) {
        skip_blanks(p);
        if (!accept(p, word))
            break;
        if ((r = operand(p, &last->next)) < 0)
            return r;
        last = last->next;
    }
    if (first != last) {
        struct node *n = arena_new_of(p->a, struct node);
        n->kind = kind;
        n->first = first;
        first = n;
    }
    *ret = first;
    return 0;
}

static int parse_and(struct parser *p, struct node **ret)
{
    return parse_chain(p, "and", NODE_AND, parse_not, ret);
}

static int parse_or(struct parser *p, struct node **ret)
{
    return parse_chain(p, "or", NODE_OR, parse_and, ret);
}

int expr_compile(struct arena *a, struct str text, const struct expr_schema *schema, struct expr **ret, struct err *e)
{
    if (text.n > LIMIT_EXPR_TEXT)
        return err_set(e, E2BIG, "longer than %u bytes", LIMIT_EXPR_TEXT);
    struct parser p = {.a = a, .text = arena_str(a, text), .schema = schema, .x = arena_new_of(a, struct expr), .e = e};
    p.x->schema = schema;
    int r = parse_or(&p, &p.x->root);
    if (r < 0)
        return r;
    skip_blanks(&p);
    if (p.at < p.text.n)
        return fail(&p, p.at, EINVAL, "expected and, or or the end, found " STR_FMT, STR_ARG(here(&p)));
    *ret = p.x;
    return 0;
}

size_t expr_checks(const struct expr *x, const struct expr_check **ret)
{
    *ret = x->checks;
    return x->checks_n;
}
