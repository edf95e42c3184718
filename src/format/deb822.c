#include "format/deb822.h"

#include "base/limits.h"

static bool line(struct str *rest, struct str *ret)
{
    if (!str_cut(rest, '\n', ret))
        return false;
    if (ret->n > 0 && ret->p[ret->n - 1] == '\r')
        ret->n--;
    return true;
}

static bool blank(struct str s)
{
    return str_trim(s).n == 0;
}

int deb822_next(struct str *rest, struct deb822_field *ret, struct err *e)
{
    struct str l, after = *rest;
    for (;;) {
        if (!line(&after, &l)) {
            *rest = after;
            return 0;
        }
        if (l.n == 0 || l.p[0] != '#')
            break;
        *rest = after;
    }
    if (blank(l)) {
        for (struct str next = after; line(&next, &l) && blank(l);)
            after = next;
        *rest = after;
        return 0;
    }
    ptrdiff_t colon = str_chr(l, ':');
    if (colon < 1 || l.p[0] == ' ' || l.p[0] == '\t')
        return err_set(e, EBADMSG, "deb822: no field in line \"" STR_FMT "\"", STR_ARG(str_sub(l, 0, 80)));
    struct str value = str_sub(l, (size_t)colon + 1, l.n);
    ret->name = str_trim(str_sub(l, 0, (size_t)colon));
    for (struct str next = after; line(&next, &l) && l.n > 0 && (l.p[0] == ' ' || l.p[0] == '\t') && !blank(l);) {
        value.n = (size_t)(l.p + l.n - value.p);
        after = next;
    }
    ret->value = str_trim(value);
    *rest = after;
    return 1;
}

/* The third word of Status: is the state. */
static bool present(struct str status)
{
    if (status.p == NULL)
        return true;
    struct str word = STR_NONE;
    for (struct str next; str_cut(&status, ' ', &next);)
        if (next.n > 0)
            word = next;
    return !str_eqc(word, "config-files") && !str_eqc(word, "not-installed");
}

/* "name (version)" or "name" */
static void source(struct str text, struct package *p)
{
    struct str name, version;
    if (text.n == 0) {
        p->source_name = p->name;
        p->source_version = p->version;
        return;
    }
    str_split(text, '(', &name, &version);
    p->source_name = str_trim(name);
    ptrdiff_t close = str_chr(version, ')');
    p->source_version = close > 0 ? str_trim(str_sub(version, 0, (size_t)close)) : p->version;
}

int dpkg_parse(struct arena *a, struct str text, struct package **ret, size_t *ret_n, struct err *e)
{
    struct package *list = NULL;
    size_t n = 0, cap = 0;
    while (text.n > 0) {
        struct package p = {.type = STR("deb")};
        struct str status = STR_NONE, origin = STR_NONE;
        struct deb822_field f;
        bool any = false;
        int r;
        while ((r = deb822_next(&text, &f, e)) > 0) {
            any = true;
            if (str_ieq(f.name, STR("Package")))
                p.name = f.value;
            else if (str_ieq(f.name, STR("Version")))
                p.version = f.value;
            else if (str_ieq(f.name, STR("Architecture")))
                p.arch = f.value;
            else if (str_ieq(f.name, STR("Status")))
                status = f.value;
            else if (str_ieq(f.name, STR("Source")))
                origin = f.value;
        }
        if (r < 0)
            return r;
        if (!any || !present(status))
            continue;
        if (p.name.n == 0 || p.version.n == 0)
            return err_set(e, EBADMSG, "dpkg: a package without %s (\"" STR_FMT "\")", p.name.n ? "version" : "name",
                           STR_ARG(str_sub(p.name, 0, 80)));
        if (n >= LIMIT_SCAN_PACKAGES)
            return err_set(e, E2BIG, "dpkg: more than %u packages", LIMIT_SCAN_PACKAGES);
        source(origin, &p);
        list = arena_grow(a, list, n, &cap, sizeof(*list));
        list[n++] = p;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
