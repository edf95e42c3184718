/* Outputs: a text with %fields. "%proc.name", "%proc.aname[2]", "%evt.arg.flags", "%tolower(proc.name)". */
#include "detect/rules.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>

#define OUTPUT_MAX 16384u

struct detect_output {
    struct segment {
        struct str text;                  /* then the field */
        const struct expr_operand *field; /* NULL: prints as <NA>, or nothing at the end */
        bool missing;
    } * segments;
    size_t n, cap;
};

/* How far a field goes from here: letters, digits, dots, an argument in brackets, or a transformer's parentheses. */
static size_t field_end(struct str s, size_t at)
{
    unsigned open = 0;
    bool bracket = false;
    for (; at < s.n; at++) {
        char c = s.p[at];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        bool more = at + 1 < s.n && ((s.p[at + 1] | 32) >= 'a' && (s.p[at + 1] | 32) <= 'z');
        if (bracket || open || word || (c == '.' && more) || c == '[' || c == '(') {
            bracket = c == '[' ? true : c == ']' ? false : bracket;
            open += c == '(';
            open -= c == ')' && open;
            if ((c == ']' && !open) || (c == ')' && !open)) {
                at++;
                if (at >= s.n || s.p[at] != '.')
                    return at;
                at--;
            }
            continue;
        }
        break;
    }
    return at;
}

static void add(struct arena *a, struct detect_output *o, struct str text, const struct expr_operand *field,
                bool missing)
{
    o->segments = arena_grow(a, o->segments, o->n, &o->cap, sizeof(*o->segments));
    o->segments[o->n++] = (struct segment){text, field, missing};
}

struct detect_output *detect_output_compile(struct arena *a, struct str text,
                                            void (*unknown)(void *ctx, struct str name, const char *why), void *ctx)
{
    struct detect_output *o = arena_new_of(a, struct detect_output);
    size_t from = 0, at = 0;
    if (str_starts(text, STR("*")))
        from = at = 1;
    while (at < text.n) {
        size_t end = text.p[at] == '%' ? field_end(text, at + 1) : at;
        if (end <= at + 1) {
            at++;
            continue;
        }
        struct str name = str_sub(text, at + 1, end), arg;
        const struct expr_operand *field = NULL;
        unsigned f;
        if (expr_operand_compile(a, name, &detect_schema, &field, NULL) < 0)
            unknown(ctx, name, "is unknown");
        for (size_t i = 0; field && expr_operand_field(field, i, &f, &arg); i++)
            if (detect_have(f) == HAVE_NO)
                unknown(ctx, name, "is not here");
        add(a, o, str_sub(text, from, at), field, true);
        from = at = end;
    }
    add(a, o, str_sub(text, from, text.n), NULL, false);
    return o;
}

static struct str number_text(struct arena *a, double n)
{
    if (n == floor(n) && fabs(n) < 9e15)
        return arena_strf(a, "%" PRId64, (int64_t)n);
    return arena_strf(a, "%g", n);
}

bool detect_operand_text(const struct expr_operand *o, struct detect_subject *s, struct str *ret)
{
    struct expr_value v = {0};
    struct str out = STR_NONE;
    char text[INET6_ADDRSTRLEN];
    if (!expr_operand_value(o, s->a, detect_get, s, &v))
        return false;
    switch (expr_operand_type(o)) {
    case EXPR_STRING:
        *ret = v.s;
        return true;
    case EXPR_NUMBER:
        *ret = number_text(s->a, v.number);
        return true;
    case EXPR_BOOL:
        *ret = v.yes ? STR("true") : STR("false");
        return true;
    case EXPR_ADDRESS:
        for (size_t i = 0; i < v.list_n; i++) {
            static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
            const uint8_t *p = v.nets[i].addr;
            bool four = !memcmp(p, v4, sizeof(v4));
            inet_ntop(four ? AF_INET : AF_INET6, four ? p + 12 : p, text, sizeof(text));
            out = arena_strf(s->a, STR_FMT "%s%s", STR_ARG(out), i ? "," : "", text);
        }
        *ret = out;
        return true;
    case EXPR_ANY: /* spellings of one thing, or ancestors: the first says most */
        *ret = v.list_n ? v.list[0] : STR_NONE;
        return v.list_n != 0;
    default:
        for (size_t i = 0; i < v.list_n; i++)
            out = arena_strf(s->a, STR_FMT "%s" STR_FMT, STR_ARG(out), i ? "," : "", STR_ARG(v.list[i]));
        *ret = out;
        return true;
    }
}

struct str detect_output_format(const struct detect_output *o, struct detect_subject *s)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(OUTPUT_MAX);
    for (size_t i = 0; i < o->n; i++) {
        struct str value = STR("<NA>");
        buf_puts(&b, o->segments[i].text);
        if (o->segments[i].field && !detect_operand_text(o->segments[i].field, s, &value))
            value = STR("<NA>");
        if (o->segments[i].field || o->segments[i].missing)
            buf_puts(&b, value);
    }
    return arena_str(s->a, buf_str(&b));
}
