/* Words for the numbers of a kernel event. */
#include "runtime/sensor.h"

#include "base/cleanup.h"

#include <arpa/inet.h>

struct str sensor_peer(struct arena *a, const struct sensor_event *ev)
{
    const struct bh_addr *p = &ev->raw->peer;
    char text[INET6_ADDRSTRLEN];
    switch (p->family) {
    case AF_UNSPEC:
        return STR_NONE;
    case AF_INET:
        return arena_strf(a, "%s:%u", inet_ntop(AF_INET, p->addr, text, sizeof(text)), p->port);
    case AF_INET6:
        return arena_strf(a, "[%s]:%u", inet_ntop(AF_INET6, p->addr, text, sizeof(text)), p->port);
    case AF_UNIX:
        return arena_strf(a, "unix:" STR_FMT, STR_ARG(ev->path));
    case AF_NETLINK:
        return STR("netlink");
    case AF_PACKET:
        return STR("packet");
    default:
        return arena_strf(a, "family-%u", p->family);
    }
}

struct str sensor_file_flags(struct arena *a, uint32_t flags)
{
    static const char *const names[] = {"lower",   "upper",  "foreign",    "tmpfs",    "memfd",
                                        "deleted", "volume", "allowed",    "unknown",  "script",
                                        "interp",  "compat", "unresolved", "mprotect", "other_ns"};
    struct str out = STR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (flags & (1u << i))
            out = arena_strf(a, STR_FMT "%s%s", STR_ARG(out), out.n ? "," : "", names[i]);
    return out;
}
