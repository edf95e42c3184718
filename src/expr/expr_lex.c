/* Lexing, on demand: what a word is depends on where it stands. */
#include "base/err.h"
#include "expr/expr_internal.h"

#include <stdio.h>

int expr_fail(struct parser *p, size_t at, int code, const char *fmt, ...)
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

int expr_look(const struct parser *p)
{
    return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

bool expr_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n';
}

void expr_skip_blanks(struct parser *p)
{
    while (expr_blank(expr_look(p)))
        p->at++;
}

bool expr_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool expr_word_char(int c)
{
    return expr_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

bool expr_accept(struct parser *p, const char *token)
{
    struct str t = str_c(token);
    if (!str_starts(str_sub(p->text, p->at, p->text.n), t))
        return false;
    size_t end = p->at + t.n;
    if (expr_letter((unsigned char)token[0]) && end < p->text.n &&
        (expr_word_char((unsigned char)p->text.p[end]) || p->text.p[end] == '.'))
        return false;
    p->at = end;
    return true;
}

static bool bare_char(int c)
{
    return c >= 0 && !strchr("()\"'=,", c ? c : '(') && !expr_blank(c) && c != '\v' && c != '\f';
}

struct str expr_here(const struct parser *p)
{
    size_t end = p->at;
    while (end < p->text.n && end - p->at < 40 && bare_char((unsigned char)p->text.p[end]))
        end++;
    if (end == p->at && end < p->text.n)
        end++;
    return end > p->at ? str_sub(p->text, p->at, end) : STR("the end");
}

int expr_read_quoted(struct parser *p, struct str *ret)
{
    char quote = p->text.p[p->at];
    size_t start = p->at++;
    char *out = arena_alloc(p->a, p->text.n - p->at + 1), *o = out;
    for (;;) {
        int c = expr_look(p);
        if (c < 0)
            return expr_fail(p, start, EINVAL, "the quoted text does not end");
        p->at++;
        if (c == quote)
            break;
        if (c == '\\') {
            static const char from[] = "bfnrt\\/ ", to[] = "\b\f\n\r\t\\/\\";
            c = expr_look(p);
            const char *esc = c > 0 ? strchr(from, c) : NULL;
            if (esc)
                c = to[esc - from];
            else if (c == '"' || c == '\'')
                ; /* either quote: lists of Falco escape the one that they are not quoted with */
            else if (p->pattern && c > 0)
                *o++ = '\\';
            else
                return expr_fail(p, p->at - 1, EINVAL,
                                 "unsupported escape; there are \\b \\f \\n \\r \\t \\\\ \\/ \\%c", quote);
            p->at++;
        }
        *o++ = (char)c;
    }
    *ret = str_n(out, (size_t)(o - out));
    return 0;
}

int expr_read_text(struct parser *p, struct str *ret, bool *quoted)
{
    expr_skip_blanks(p);
    *quoted = expr_look(p) == '"' || expr_look(p) == '\'';
    if (*quoted)
        return expr_read_quoted(p, ret);
    size_t start = p->at;
    while (bare_char(expr_look(p)))
        p->at++;
    if (p->at == start)
        return expr_fail(p, start, EINVAL, "expected a value, found " STR_FMT, STR_ARG(expr_here(p)));
    *ret = str_sub(p->text, start, p->at);
    if (expr_look(p) == '(')
        return expr_fail(p, start, EINVAL, "the transformer " STR_FMT "() is not supported",
                         STR_ARG(str_sub(*ret, 0, 40)));
    return 0;
}
