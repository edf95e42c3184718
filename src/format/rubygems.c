#include "format/rubygems.h"

#define TYPE STR("gem")

/* The first text in quotes. */
static struct str quoted(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '"' || s.p[i] == '\'') {
            ptrdiff_t end = str_chr(str_sub(s, i + 1, s.n), s.p[i]);
            return end < 0 ? STR("") : str_sub(s, i + 1, i + 1 + (size_t)end);
        }
    return STR("");
}

int rubygems_spec(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct str name = STR(""), version = STR(""), license = STR("");
    for (struct str line, what, value; str_cut(&text, '\n', &line);) {
        line = str_trim(line);
        ptrdiff_t dot = str_chr(line, '.');
        if (dot < 1 || dot > 16 || !str_split(str_sub(line, (size_t)dot + 1, line.n), '=', &what, &value))
            continue;
        what = str_trim(what);
        if (str_eqc(what, "name") && name.n == 0)
            name = quoted(value);
        else if (str_eqc(what, "version") && version.n == 0)
            version = quoted(value);
        else if ((str_eqc(what, "licenses") || str_eqc(what, "license")) && license.n == 0)
            license = quoted(value);
    }
    if (name.n && version.n)
        package_add(list, TYPE, name, version)->license = license;
    return package_list_check(list, e);
}

int rubygems_lock(struct package_list *list, struct str path, struct str text, struct err *e)
{
    bool remote = false;
    for (struct str line, name, version; str_cut(&text, '\n', &line);) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n && line.p[0] != ' ') {
            remote = str_eqc(line, "GEM") || str_eqc(line, "GIT");
            continue;
        }
        /* four spaces: a gem with its version; six: what it needs */
        if (!remote || !str_starts(line, STR("    ")) || line.n < 5 || line.p[4] == ' ' ||
            !str_split(str_sub(line, 4, line.n), ' ', &name, &version) || version.n < 3 || version.p[0] != '(')
            continue;
        version = str_sub(version, 1, version.n - 1);
        ptrdiff_t platform = str_chr(version, '-');
        if (platform > 0)
            version = str_sub(version, 0, (size_t)platform);
        package_add(list, TYPE, name, version);
    }
    return package_list_check(list, e);
}
