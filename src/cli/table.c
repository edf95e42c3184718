#include "cli/table.h"

#include "base/cleanup.h"
#include "base/time.h"

#define RED      "\033[31m"
#define GREEN    "\033[32m"
#define YELLOW   "\033[33m"
#define BOLD_RED "\033[1;31m"
#define RESET    "\033[0m"

static const struct {
    const char *word, *color;
} colors[] = {
    {"allow", GREEN},    {"active", GREEN},  {"enforce", GREEN},   {"created", GREEN},    {"running", GREEN},
    {"deny", RED},       {"revoked", RED},   {"cloned", BOLD_RED}, {"expired", RED},      {"critical", BOLD_RED},
    {"high", RED},       {"prevented", RED}, {"killed", RED},      {"silent", YELLOW},    {"medium", YELLOW},
    {"updated", YELLOW}, {"audit", YELLOW},  {"learn", YELLOW},    {"responded", YELLOW}, {"failed", RED},
    {"denied", RED},     {"deleted", RED},
};

bool color_wanted(FILE *f)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

const char *color_of(FILE *f, struct str word)
{
    if (!color_wanted(f))
        return "";
    for (size_t i = 0; i < ARRAY_LEN(colors); i++)
        if (str_eqc(word, colors[i].word))
            return colors[i].color;
    return "";
}

const char *color_end(FILE *f, struct str word)
{
    return *color_of(f, word) ? RESET : "";
}

char *plain(struct arena *a, struct str s)
{
    char *p = arena_cstr(a, s);
    for (size_t i = 0; i < s.n; i++)
        /* C1 controls are two bytes in UTF-8: 0xc2 0x80..0x9f */
        if ((unsigned char)p[i] < ' ' || p[i] == 0x7f ||
            (i > 0 && (unsigned char)p[i - 1] == 0xc2 && (unsigned char)p[i] < 0xa0))
            p[i] = '?';
    return p;
}

char *age_text(struct arena *a, struct str instant, int64_t now)
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    int64_t t;
    if (time_parse(instant, &t) < 0)
        return plain(a, instant);
    int64_t s = (t > now ? t - now : now - t) / TIME_SECOND;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (s >= units[i].seconds || units[i].unit == 's')
            return arena_printf(a, t > now ? "in %" PRIi64 "%c" : "%" PRIi64 "%c ago", s / units[i].seconds,
                                units[i].unit);
    return arena_printf(a, "-");
}

static char *list_text(struct arena *a, const struct json_value *v)
{
    char *all = NULL;
    JSON_EACH (v, x)
        all = all ? arena_printf(a, "%s,%s", all, plain(a, x->text)) : plain(a, x->text);
    return all ? all : arena_printf(a, "-");
}

static char *cell_text(struct arena *a, const struct table_column *c, const struct json_value *item, int64_t now)
{
    const struct json_value *v = json_path(item, c->path);
    if (!v || v->type == JSON_NULL)
        return arena_printf(a, "-");
    if (v->type == JSON_TRUE || v->type == JSON_FALSE) {
        bool yes = v->type == JSON_TRUE;
        return arena_printf(a, "%s", c->cell == TABLE_ALLOW ? (yes ? "allow" : "deny") : yes ? "yes" : "no");
    }
    if (v->type == JSON_ARRAY)
        return list_text(a, v);
    if (v->type == JSON_OBJECT)
        return arena_printf(a, "%zu", v->count);
    if (c->cell == TABLE_AGE)
        return age_text(a, v->text, now);
    if (c->cell == TABLE_SHORT) {
        struct str s = v->text;
        if (str_starts(s, STR("sha256:")))
            s = str_sub(s, 7, s.n);
        return plain(a, str_sub(s, 0, 12));
    }
    return plain(a, v->text);
}

static size_t columns_of(const char *s) /* characters, taking each for one column wide */
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void table_print(FILE *f, const struct table_column *columns, size_t n, const struct json_value *items)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)1 << 30);
    size_t rows = items ? items->count : 0, row = 0;
    char **cells = arena_array(a, rows * n + 1, sizeof(*cells));
    size_t *width = arena_array(a, n, sizeof(*width));
    int64_t now = time_now();
    for (size_t c = 0; c < n; c++)
        width[c] = strlen(columns[c].title);
    JSON_EACH (items, item) {
        for (size_t c = 0; c < n; c++) {
            char *text = cells[row * n + c] = cell_text(a, &columns[c], item, now);
            width[c] = columns_of(text) > width[c] ? columns_of(text) : width[c];
        }
        row++;
    }
    for (size_t c = 0; c < n; c++)
        fprintf(f, "%-*s%s", c + 1 < n ? (int)width[c] : 0, columns[c].title, c + 1 < n ? "  " : "\n");
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < n; c++) {
            const char *text = cells[r * n + c];
            bool colored = columns[c].cell == TABLE_STATE || columns[c].cell == TABLE_ALLOW;
            struct str word = colored ? str_c(text) : STR_NONE;
            int fill = c + 1 < n ? (int)(width[c] - columns_of(text)) + 2 : 0;
            fprintf(f, "%s%s%s%*s%s", color_of(f, word), text, color_end(f, word), fill, "", c + 1 < n ? "" : "\n");
        }
}
