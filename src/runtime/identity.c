#include "runtime/identity.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define ID_DIGITS 64

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* One component of a path: a run of exactly 64 digits, the whole of it or "PREFIX-ID[.scope|.service]". */
static bool component(struct str s, char *ret)
{
    struct str id = s;
    if (str_ends(id, STR(".scope")))
        id.n -= 6;
    ptrdiff_t dash = str_rchr(id, '-');
    if (dash >= 0)
        id = str_sub(id, (size_t)dash + 1, id.n);
    if (id.n != ID_DIGITS)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!is_hex(id.p[i]))
            return false;
    memcpy(ret, id.p, ID_DIGITS);
    ret[ID_DIGITS] = '\0';
    return true;
}

bool identity_from_cgroup(struct str text, char ret[static IDENTITY_TEXT])
{
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        struct str hierarchy, rest, controllers, path, part;
        bool found = false;
        if (!str_split(line, ':', &hierarchy, &rest) || !str_split(rest, ':', &controllers, &path))
            continue;
        while (str_cut(&path, '/', &part))
            found = component(part, ret) || found; /* the last one wins: nested containers belong to the inner one */
        if (found)
            return true;
    }
    return false;
}

int identity_of_pid(pid_t pid, char ret[static IDENTITY_TEXT])
{
    char path[64], text[8192];
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    size_t n = 0;
    for (ssize_t r; n < sizeof(text) && (r = read(fd, text + n, sizeof(text) - n)) > 0;)
        n += (size_t)r;
    return identity_from_cgroup(str_n(text, n), ret) ? 0 : -ENOENT;
}

uint32_t identity_mnt_ns(pid_t pid)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
    return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}
