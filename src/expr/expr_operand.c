/* Left sides: fields and transformers of fields. */
#include "base/buf.h"
#include "base/encode.h"
#include "base/limits.h"
#include "expr/expr_internal.h"

#include <math.h>
#include <stdio.h>

static const struct {
    const char *name;
    enum transformer fn;
    size_t least, most;
} transformers[] = {
    {"tolower", TO_LOWER, 1, 1},     {"toupper", TO_UPPER, 1, 1}, {"b64", TO_B64, 1, 1},
    {"basename", TO_BASENAME, 1, 1}, {"len", TO_LEN, 1, 1},       {"join", TO_JOIN, 2, 2},
    {"concat", TO_CONCAT, 2, 16},    {"val", TO_VAL, 1, 1},
};

static int unknown_field(struct parser *p, size_t at, struct str name)
{
    const struct expr_schema *s = p->set->schema;
    const char *nearest = NULL;
    size_t best = name.n / 3 + 2;
    for (size_t i = 0; i < s->n; i++) {
        size_t d = str_distance(name, str_c(s->fields[i].name));
        if (d < best) {
            best = d;
            nearest = s->fields[i].name;
        }
    }
    name = str_sub(name, 0, 60);
    if (str_chr(name, '.') < 0 && p->set->names.macro)
        return expr_fail(p, at, EINVAL, "unknown macro " STR_FMT, STR_ARG(name));
    if (nearest)
        return expr_fail(p, at, EINVAL, "unknown field " STR_FMT "; did you mean %s?", STR_ARG(name), nearest);
    return expr_fail(p, at, EINVAL, "unknown field " STR_FMT, STR_ARG(name));
}

/* The field of this name, or the longest one that the name goes on from: evt.arg.flags is evt.arg with an argument. */
static const struct expr_field *find_field(const struct expr_schema *s, struct str name, struct str *arg)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eqc(name, s->fields[i].name))
            return &s->fields[i];
    for (size_t end = name.n; end-- > 1;)
        for (size_t i = 0; name.p[end] == '.' && i < s->n; i++)
            if (s->fields[i].arg == EXPR_DOT_ARG && str_eqc(str_sub(name, 0, end), s->fields[i].name)) {
                *arg = str_sub(name, end + 1, name.n);
                return arg->n ? &s->fields[i] : NULL;
            }
    return NULL;
}

static int read_argument(struct parser *p, const struct expr_field *f, struct expr_operand *o)
{
    int r;
    if (o->arg.n)
        return 0;
    if (expr_look(p) != '[') {
        if (f->arg == EXPR_ARG)
            return expr_fail(p, p->at, EINVAL, "%s needs an argument: %s[NAME]", f->name, f->name);
        return 0;
    }
    if (f->arg == EXPR_NO_ARG)
        return expr_fail(p, p->at, EINVAL, "%s takes no argument in brackets", f->name);
    p->at++;
    if (expr_look(p) == '"' || expr_look(p) == '\'') {
        if ((r = expr_read_quoted(p, &o->arg)) < 0)
            return r;
    } else {
        size_t from = p->at;
        while (expr_look(p) >= 0 && !expr_blank(expr_look(p)) && !strchr("[]\"'", expr_look(p) ? expr_look(p) : '['))
            p->at++;
        o->arg = str_sub(p->text, from, p->at);
    }
    if (!o->arg.n || !expr_accept(p, "]"))
        return expr_fail(p, p->at, EINVAL, "expected an argument and ] behind %s[", f->name);
    return 0;
}

static struct str name_here(const struct parser *p)
{
    size_t end = p->at;
    while (end < p->text.n && (expr_word_char((unsigned char)p->text.p[end]) || p->text.p[end] == '.'))
        end++;
    return str_sub(p->text, p->at, end);
}

bool expr_at_call(const struct parser *p)
{
    struct str name = name_here(p);
    if (p->at + name.n >= p->text.n || p->text.p[p->at + name.n] != '(')
        return false;
    for (size_t i = 0; i < sizeof(transformers) / sizeof(*transformers); i++)
        if (str_eqc(name, transformers[i].name))
            return true;
    return false;
}

static int read_field(struct parser *p, struct expr_operand *o)
{
    size_t start = p->at;
    struct str name = name_here(p);
    p->at += name.n;
    if (expr_look(p) == '(')
        return expr_fail(p, start, EINVAL, "the transformer " STR_FMT "() is not supported",
                         STR_ARG(str_sub(name, 0, 40)));
    const struct expr_field *f = find_field(p->set->schema, name, &o->arg);
    if (!f)
        return unknown_field(p, start, name);
    o->kind = OPERAND_FIELD;
    o->field = (unsigned)(f - p->set->schema->fields);
    o->type = f->type;
    return read_argument(p, f, o);
}

static bool textual(enum expr_type t)
{
    return t == EXPR_STRING || t == EXPR_LIST || t == EXPR_ANY;
}

static int call_type(struct parser *p, size_t at, const char *name, struct expr_operand *o)
{
    enum expr_type first = o->args[0].type;
    switch (o->fn) {
    case TO_VAL:
        o->type = first;
        return 0;
    case TO_LEN:
        o->type = EXPR_NUMBER;
        if (!textual(first) && first != EXPR_ADDRESS)
            return expr_fail(p, at, EINVAL, "%s() takes a text or a list", name);
        return 0;
    case TO_JOIN:
        o->type = EXPR_STRING;
        if (first != EXPR_STRING || !textual(o->args[1].type))
            return expr_fail(p, at, EINVAL, "join() takes a separator and a list");
        return 0;
    default:
        o->type = o->fn == TO_CONCAT ? EXPR_STRING : first;
        for (size_t i = 0; i < o->args_n; i++)
            if (!textual(o->args[i].type))
                return expr_fail(p, at, EINVAL, "%s() takes texts", name);
        return 0;
    }
}

static int read_call(struct parser *p, struct expr_operand *o)
{
    size_t start = p->at, t = 0;
    struct str name = name_here(p);
    while (!str_eqc(name, transformers[t].name))
        t++;
    o->kind = OPERAND_CALL;
    o->fn = transformers[t].fn;
    o->args = arena_array(p->a, transformers[t].most, sizeof(*o->args));
    p->at += name.n + 1;
    p->set->calls = true;
    if (++p->depth > LIMIT_EXPR_DEPTH)
        return expr_fail(p, start, E2BIG, "nested deeper than %d", LIMIT_EXPR_DEPTH);
    for (;;) {
        int r = 0;
        struct expr_operand *arg = &o->args[o->args_n];
        expr_skip_blanks(p);
        if (o->args_n == transformers[t].most)
            return expr_fail(p, p->at, EINVAL, "%s() takes no more than %zu", transformers[t].name, o->args_n);
        if (expr_look(p) == '"' || expr_look(p) == '\'') {
            arg->kind = OPERAND_TEXT;
            arg->type = EXPR_STRING;
            r = expr_read_quoted(p, &arg->text);
        } else {
            r = expr_read_operand(p, arg);
        }
        if (r < 0)
            return r;
        o->args_n++;
        expr_skip_blanks(p);
        if (expr_accept(p, ")"))
            break;
        if (!expr_accept(p, ","))
            return expr_fail(p, p->at, EINVAL, "expected ) behind what %s() takes, found " STR_FMT,
                             transformers[t].name, STR_ARG(expr_here(p)));
    }
    p->depth--;
    if (o->args_n < transformers[t].least)
        return expr_fail(p, start, EINVAL, "%s() takes %zu", transformers[t].name, transformers[t].least);
    if (o->args_n == 1 && o->args[0].kind == OPERAND_TEXT)
        return expr_fail(p, start, EINVAL, "%s() takes a field", transformers[t].name);
    return call_type(p, start, transformers[t].name, o);
}

int expr_read_operand(struct parser *p, struct expr_operand *ret)
{
    struct expr_operand o = {0};
    if (!expr_letter(expr_look(p)))
        return expr_fail(p, p->at, EINVAL, "expected a field, not or (, found " STR_FMT, STR_ARG(expr_here(p)));
    int r = expr_at_call(p) ? read_call(p, &o) : read_field(p, &o);
    if (r == 0)
        *ret = o;
    return r;
}

int expr_operand_compile(struct arena *a, struct str text, const struct expr_schema *schema,
                         const struct expr_operand **ret, struct err *e)
{
    struct expr_set set = {.a = a, .schema = schema};
    struct parser p = {.a = a, .text = arena_str(a, text), .set = &set, .e = e};
    struct expr_operand *o = arena_new_of(a, struct expr_operand);
    int r = expr_read_operand(&p, o);
    if (r == 0 && p.at != p.text.n)
        r = expr_fail(&p, p.at, EINVAL, "expected the end, found " STR_FMT, STR_ARG(expr_here(&p)));
    if (r == 0)
        *ret = o;
    return r;
}

enum expr_type expr_operand_type(const struct expr_operand *o)
{
    return o->type;
}

bool expr_operand_field(const struct expr_operand *o, size_t i, unsigned *ret, struct str *arg)
{
    if (o->kind == OPERAND_FIELD && i == 0) {
        *ret = o->field;
        *arg = o->arg;
        return true;
    }
    for (size_t k = 0, n = 0; o->kind == OPERAND_CALL && k < o->args_n; k++) /* depth was capped */
        for (size_t m = 0; expr_operand_field(&o->args[k], m, ret, arg); m++)
            if (n++ == i)
                return true;
    return false;
}

/* ---- evaluation ---- */

static struct str folded(struct arena *a, struct str s, bool up)
{
    char *p = arena_cstr(a, s);
    for (size_t i = 0; i < s.n; i++)
        if (up ? p[i] >= 'a' && p[i] <= 'z' : p[i] >= 'A' && p[i] <= 'Z')
            p[i] ^= 0x20;
    return str_n(p, s.n);
}

static bool transform(const struct expr_operand *o, struct arena *a, struct str s, struct str *ret)
{
    switch (o->fn) {
    case TO_LOWER:
    case TO_UPPER:
        *ret = folded(a, s, o->fn == TO_UPPER);
        return true;
    case TO_BASENAME:
        *ret = str_sub(s, (size_t)(str_rchr(s, '/') + 1), s.n);
        return true;
    case TO_B64:
        return base64_decode(a, s, ret) == 0;
    default:
        *ret = s;
        return true;
    }
}

static bool joined(struct arena *a, const struct expr_value *sep, enum expr_type type, const struct expr_value *v,
                   struct expr_value *ret)
{
    size_t n = 0, at = 0, count = type == EXPR_STRING ? 1 : v->list_n;
    const struct str *list = type == EXPR_STRING ? &v->s : v->list;
    for (size_t i = 0; i < count; i++)
        n += list[i].n + sep->s.n;
    char *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < count; i++) {
        if (i && sep->s.n)
            memcpy(p + at, sep->s.p, sep->s.n);
        at += i ? sep->s.n : 0;
        if (list[i].n)
            memcpy(p + at, list[i].p, list[i].n);
        at += list[i].n;
    }
    ret->s = str_n(p, at);
    return true;
}

bool expr_operand_value(const struct expr_operand *o, struct arena *a, expr_get_fn *get, void *ctx,
                        struct expr_value *ret)
{
    struct expr_value v = {0}, next = {0};
    if (o->kind == OPERAND_TEXT) {
        ret->s = o->text;
        return true;
    }
    if (o->kind == OPERAND_FIELD)
        return get(ctx, o->field, o->arg, ret);
    enum expr_type type = o->args[0].type;
    if (!expr_operand_value(&o->args[0], a, get, ctx, &v))
        return false;
    if (o->fn == TO_VAL) {
        *ret = v;
        return true;
    }
    if (o->fn == TO_LEN) {
        ret->number = type == EXPR_STRING ? (double)v.s.n : (double)v.list_n;
        return true;
    }
    if (o->fn == TO_JOIN)
        return expr_operand_value(&o->args[1], a, get, ctx, &next) && joined(a, &v, o->args[1].type, &next, ret);
    if (o->fn == TO_CONCAT) {
        struct str out = type == EXPR_STRING ? v.s : STR_NONE;
        for (size_t i = 1; i < o->args_n; i++) {
            next = (struct expr_value){0};
            if (!expr_operand_value(&o->args[i], a, get, ctx, &next))
                return false;
            out = arena_strf(a, STR_FMT STR_FMT, STR_ARG(out), STR_ARG(next.s));
        }
        ret->s = out;
        return true;
    }
    if (type == EXPR_STRING)
        return transform(o, a, v.s, &ret->s);
    struct str *list = arena_array(a, v.list_n + 1, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < v.list_n; i++)
        n += transform(o, a, v.list[i], &list[n]);
    ret->list = list;
    ret->list_n = n;
    return true;
}
