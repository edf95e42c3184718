#include "format/apkdb.h"

#include "base/limits.h"

/* F: names a folder, R: a file in it. */
static void owned(struct arena *a, struct package *p, size_t *cap, struct str folder, struct str name)
{
    p->files = arena_grow(a, p->files, p->files_n, cap, sizeof(*p->files));
    p->files[p->files_n++] = folder.n ? arena_strf(a, STR_FMT "/" STR_FMT, STR_ARG(folder), STR_ARG(name)) : name;
}

int apkdb_parse(struct arena *a, struct str text, struct package **ret, size_t *ret_n, struct err *e)
{
    struct package *list = NULL, p = {.type = STR("apk")};
    struct str folder = STR("");
    size_t n = 0, cap = 0, files_cap = 0;
    bool any = false;
    for (bool more = true; more;) {
        struct str l = STR_NONE;
        more = str_cut(&text, '\n', &l);
        if (more && l.n > 0) {
            any = true;
            if (l.n < 2 || l.p[1] != ':')
                return err_set(e, EBADMSG, "apk: no field in line \"" STR_FMT "\"", STR_ARG(str_sub(l, 0, 80)));
            struct str value = str_sub(l, 2, l.n);
            switch (l.p[0]) {
            case 'P':
                p.name = value;
                break;
            case 'V':
                p.version = value;
                break;
            case 'A':
                p.arch = value;
                break;
            case 'o':
                p.source_name = value;
                break;
            case 'L':
                p.license = value;
                break;
            case 'F':
                folder = value;
                break;
            case 'R':
                owned(a, &p, &files_cap, folder, value);
                break;
            }
            continue;
        }
        if (!any)
            continue;
        if (p.name.n == 0 || p.version.n == 0)
            return err_set(e, EBADMSG, "apk: a package without %s (\"" STR_FMT "\")", p.name.n ? "version" : "name",
                           STR_ARG(str_sub(p.name, 0, 80)));
        if (n >= LIMIT_SCAN_PACKAGES)
            return err_set(e, E2BIG, "apk: more than %u packages", LIMIT_SCAN_PACKAGES);
        if (p.source_name.n == 0)
            p.source_name = p.name;
        p.source_version = p.version;
        list = arena_grow(a, list, n, &cap, sizeof(*list));
        list[n++] = p;
        p = (struct package){.type = STR("apk")};
        folder = STR("");
        files_cap = 0;
        any = false;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
