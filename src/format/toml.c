#include "format/toml.h"

/* A string of one line, behind its quote. The escapes that names and versions can have. */
static struct str unescape(struct arena *a, struct str s, char quote)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n && s.p[i] != quote; i++) {
        char c = s.p[i];
        if (c == '\\' && quote == '"' && i + 1 < s.n)
            c = s.p[++i];
        out[n++] = c;
    }
    return str_n(out, n);
}

static struct str line(struct toml *t)
{
    struct str l = STR("");
    str_cut(&t->rest, '\n', &l);
    return l;
}

/* Past the rest of an array or inline table that began in l. Brackets in strings do not count. */
static void pass(struct toml *t, struct str l)
{
    int depth = 0;
    char quote = 0;
    for (;;) {
        for (size_t i = 0; i < l.n; i++) {
            char c = l.p[i];
            if (quote) {
                if (c == '\\' && quote == '"')
                    i++;
                else if (c == quote)
                    quote = 0;
            } else if (c == '"' || c == '\'') {
                quote = c;
            } else if (c == '#') {
                break;
            } else if (c == '[' || c == '{') {
                depth++;
            } else if (c == ']' || c == '}') {
                depth--;
            }
        }
        quote = 0; /* a string ends in its line */
        if (depth <= 0 || t->rest.n == 0)
            return;
        l = line(t);
    }
}

enum toml_kind toml_next(struct toml *t, struct toml_item *ret)
{
    *ret = (struct toml_item){TOML_END};
    while (t->rest.n > 0) {
        struct str whole = line(t), l = str_trim(whole), key, value;
        if (l.n == 0 || l.p[0] == '#')
            continue;
        if (l.p[0] == '[') {
            bool element = l.n > 1 && l.p[1] == '[';
            ptrdiff_t end = str_chr(l, ']');
            size_t from = element ? 2 : 1;
            ret->kind = element ? TOML_ELEMENT : TOML_TABLE;
            ret->name = end > (ptrdiff_t)from ? str_trim(str_sub(l, from, (size_t)end)) : STR("");
            return ret->kind;
        }
        if (!str_split(l, '=', &key, &value))
            continue;
        ret->name = str_trim(key);
        ret->value = value = str_trim(value);
        ret->kind = TOML_OTHER;
        if (str_starts(value, STR("\"\"\"")) || str_starts(value, STR("'''"))) {
            struct str quotes = str_sub(value, 0, 3), after = str_sub(value, 3, value.n);
            if (str_find(after, quotes) < 0)
                while (t->rest.n > 0 && str_find(line(t), quotes) < 0)
                    continue;
            return ret->kind;
        }
        if (value.n && (value.p[0] == '"' || value.p[0] == '\'')) {
            ret->kind = TOML_STRING;
            ret->value = unescape(t->a, str_sub(value, 1, value.n), value.p[0]);
            return ret->kind;
        }
        pass(t, value);
        return ret->kind;
    }
    return TOML_END;
}
