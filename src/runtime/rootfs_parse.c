/* The parsers of rootfs: bytes of a container, and of the kernel, to what they say. */
#include "runtime/rootfs.h"

/* The kernel writes blanks and backslashes of a mount's options as \ooo; overlayfs puts a backslash before , and :. */
static struct str unescape(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 3 < s.n && s.p[i + 1] >= '0' && s.p[i + 1] <= '3') {
            p[n++] = (char)(((s.p[i + 1] - '0') << 6) | (((s.p[i + 2] - '0') & 7) << 3) | ((s.p[i + 3] - '0') & 7));
            i += 3;
        } else {
            p[n++] = s.p[i];
        }
    }
    return str_n(p, n);
}

static bool same_device(struct str field, uint32_t dev)
{
    struct str major, minor;
    uint64_t x, y;
    return str_split(field, ':', &major, &minor) && str_u64(major, &x) == 0 && str_u64(minor, &y) == 0 &&
           x == dev >> 20 && y == (dev & 0xfffff);
}

bool rootfs_parse_overlay(struct arena *a, struct str mountinfo, uint32_t dev, struct str *upper, struct str *lower)
{
    struct str line;
    while (str_cut(&mountinfo, '\n', &line)) {
        struct str field, rest, type, source, options, option;
        str_cut(&line, ' ', &field);
        str_cut(&line, ' ', &field);
        if (!str_cut(&line, ' ', &field) || !same_device(field, dev))
            continue;
        ptrdiff_t at = str_find(line, STR(" - "));
        if (at < 0)
            continue;
        rest = str_sub(line, (size_t)at + 3, line.n);
        if (!str_cut(&rest, ' ', &type) || !str_cut(&rest, ' ', &source) || !str_eqc(type, "overlay"))
            continue;
        *upper = *lower = STR_NONE;
        options = rest;
        while (str_cut(&options, ',', &option)) {
            if (str_starts(option, STR("upperdir=")))
                *upper = unescape(a, str_sub(option, 9, option.n));
            else if (str_starts(option, STR("lowerdir=")))
                *lower = unescape(a, str_sub(option, 9, option.n));
        }
        return upper->n > 0 && upper->p[0] == '/';
    }
    return false;
}

bool rootfs_parse_passwd(struct str text, int64_t uid, struct str *name)
{
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        struct str user, password, number;
        int64_t n;
        if (!str_cut(&line, ':', &user) || !str_cut(&line, ':', &password) || !str_cut(&line, ':', &number) ||
            str_i64(number, &n) < 0 || n != uid || !user.n || user.n >= ROOTFS_USER)
            continue;
        for (size_t i = 0; i < user.n; i++)
            if (user.p[i] <= ' ' || user.p[i] > '~')
                return false; /* no name for people */
        *name = user;
        return true;
    }
    return false;
}

/* Both names of a file where /bin and its like are links into /usr. */
static bool same_file(struct str listed, struct str path)
{
    if (str_eq(listed, path))
        return true;
    return str_starts(path, STR("/usr/")) && str_eq(listed, str_sub(path, 4, path.n));
}

bool rootfs_parse_list(struct str text, struct str path)
{
    struct str line;
    while (str_cut(&text, '\n', &line))
        if (same_file(line, path))
            return true;
    return false;
}

bool rootfs_parse_apk(struct str text, struct str path, struct rootfs_package *ret)
{
    struct str line, folder = STR_NONE, dir, base;
    struct rootfs_package p = {.manager = "apk"};
    ptrdiff_t slash = str_rchr(path, '/');
    if (slash < 0 || !path.n || path.p[0] != '/')
        return false;
    dir = str_sub(path, 1, (size_t)slash); /* as in the database: no '/' at either end */
    base = str_sub(path, (size_t)slash + 1, path.n);
    struct str short_dir = str_starts(dir, STR("usr/")) ? str_sub(dir, 4, dir.n) : dir;
    while (str_cut(&text, '\n', &line)) {
        struct str value = str_sub(line, 2, line.n);
        if (!line.n)
            p = (struct rootfs_package){.manager = "apk"};
        else if (str_starts(line, STR("P:")))
            p.name = value;
        else if (str_starts(line, STR("V:")))
            p.version = value;
        else if (str_starts(line, STR("F:")))
            folder = value;
        else if (str_starts(line, STR("R:")) && p.name.n && str_eq(value, base) &&
                 (str_eq(folder, dir) || str_eq(folder, short_dir))) {
            *ret = p;
            return true;
        }
    }
    return false;
}
