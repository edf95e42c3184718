#include "format/program.h"

#include "base/cleanup.h"

#define VERSION_MOST 40
#define BUILD_LEAST  10 /* characters of a build's identity behind the version */

enum how { AFTER, TEXT, BUILD };

#define PROGRAM(package, name, mark, how) {STR(package), name, STR(mark), how},
static const struct {
    struct str package;
    const char *name;
    struct str mark;
    enum how how;
} programs[] = {
#include "format/program.tbl.h"
};
#undef PROGRAM

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool small(char c)
{
    return (c >= 'a' && c <= 'z') || digit(c) || c == '-';
}

bool program_known(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (str_glob(str_c(programs[i].name), name, false))
            return true;
    return false;
}

/* "1.2.3", "1.1.1w", "3.0.0-beta1" at the head of s; empty when there is none, or when it may go on behind the bytes.
 */
static struct str version_at(struct str s)
{
    size_t n = 0, dots = 0;
    while (n < s.n && n < VERSION_MOST && (small(s.p[n]) || s.p[n] == '.'))
        dots += s.p[n++] == '.';
    while (n > 0 && (s.p[n - 1] == '.' || s.p[n - 1] == '-'))
        n--;
    return n > 2 && n < s.n && n < VERSION_MOST && dots > 0 && digit(s.p[0]) ? str_sub(s, 0, n) : STR_NONE;
}

static struct str after(struct str mark, struct str bytes)
{
    for (struct str rest = bytes;;) {
        ptrdiff_t at = str_find(rest, mark);
        if (at < 0)
            return STR_NONE;
        rest = str_sub(rest, (size_t)at + mark.n, rest.n);
        struct str v = version_at(rest);
        if (v.n)
            return v;
    }
}

/* The next version that ends a text (a NUL follows); linkers let texts share their ends, so that it need not be one of
 * its own. It begins with `start`, behind a NUL or one of `before`. */
static struct str text(struct str *rest, struct str start, const char *before)
{
    for (char last = 1; rest->n > 0;) {
        ptrdiff_t at = start.n ? str_find(*rest, start) : str_chr(*rest, '\0') + 1;
        if (at < (start.n ? 0 : 1))
            break;
        last = at > 0 ? rest->p[at - 1] : last;
        struct str here = str_sub(*rest, (size_t)at, rest->n), v = version_at(here);
        *rest = start.n ? str_sub(here, 1, here.n) : here;
        if (v.n && here.p[v.n] == '\0' && (last == '\0' || strchr(before, last)))
            return v;
    }
    return STR_NONE;
}

static bool build_of(struct str bytes, struct str version)
{
    for (struct str rest = bytes;;) {
        ptrdiff_t at = str_find(rest, version);
        if (at < 0)
            return false;
        rest = str_sub(rest, (size_t)at + version.n, rest.n);
        size_t n = 0;
        while (n < rest.n && n < BUILD_LEAST && small(rest.p[n]))
            n++;
        if (n == BUILD_LEAST)
            return true;
    }
}

static struct str built(struct str bytes)
{
    struct str rest = bytes;
    for (int tries = 0; tries < 256; tries++) {
        struct str v = text(&rest, STR(""), "");
        if (!v.n || build_of(bytes, v))
            return v;
    }
    return STR_NONE;
}

/* python3.11, libpython3.11.so.1.0 -> "3.11." */
static struct str digits_of(struct arena *a, struct str name)
{
    size_t from = 0, to;
    while (from < name.n && !digit(name.p[from]))
        from++;
    for (to = from;
         to < name.n && (digit(name.p[to]) || (name.p[to] == '.' && to + 1 < name.n && digit(name.p[to + 1])));)
        to++;
    return arena_strf(a, STR_FMT ".", STR_ARG(str_sub(name, from, to)));
}

bool program_find(struct package_list *list, struct str name, struct str bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (!str_glob(str_c(programs[i].name), name, false))
            continue;
        struct str rest = bytes;
        struct str v = programs[i].how == AFTER  ? after(programs[i].mark, bytes)
                       : programs[i].how == TEXT ? text(&rest, digits_of(list->a, name), "/-")
                                                 : built(bytes);
        if (!v.n)
            continue;
        package_add(list, STR("generic"), programs[i].package, arena_str(list->a, v));
        return true;
    }
    return false;
}
