/* Two profiles: what both allow, and what changed from one to the other. */
#include "base/cleanup.h"
#include "runtime/profile_internal.h"

static const struct profile_executable *find_program(const struct profile *p, struct str path)
{
    for (size_t i = 0; i < p->executables_n; i++)
        if (str_eq(p->executables[i].path, path))
            return &p->executables[i];
    return NULL;
}

static bool has_peer(const struct profile *p, const struct profile_peer *x)
{
    for (size_t i = 0; i < p->peers_n; i++)
        if (p->peers[i].ingress == x->ingress && p->peers[i].port == x->port &&
            str_eq(p->peers[i].address, x->address) && str_eq(p->peers[i].protocol, x->protocol))
            return true;
    return false;
}

static bool has_folder(const struct profile *p, struct str folder)
{
    for (size_t i = 0; i < p->folders_n; i++)
        if (str_eq(p->folders[i], folder))
            return true;
    return false;
}

static struct profile_executable both(struct arena *a, const struct profile_executable *x,
                                      const struct profile_executable *y)
{
    struct profile_executable out = *x;
    out.users = arena_array(a, PROFILE_USERS, sizeof(*out.users));
    out.parents = arena_array(a, PROFILE_PARENTS, sizeof(*out.parents));
    out.users_n = out.parents_n = 0;
    const struct profile_executable *const from[] = {x, y};
    for (size_t f = 0; f < 2 && from[f]; f++) {
        for (size_t i = 0; i < from[f]->users_n; i++) {
            bool known = false;
            for (size_t k = 0; k < out.users_n; k++)
                known = known || out.users[k] == from[f]->users[i];
            if (!known && out.users_n < PROFILE_USERS)
                out.users[out.users_n++] = from[f]->users[i];
        }
        for (size_t i = 0; i < from[f]->parents_n; i++) {
            bool known = false;
            for (size_t k = 0; k < out.parents_n; k++)
                known = known || str_eq(out.parents[k], from[f]->parents[i]);
            if (!known && out.parents_n < PROFILE_PARENTS)
                out.parents[out.parents_n++] = from[f]->parents[i];
        }
    }
    if (y) {
        out.count += y->count;
        out.first = y->first && y->first < out.first ? y->first : out.first;
        out.last = y->last > out.last ? y->last : out.last;
    }
    return out;
}

void profile_merge(struct arena *a, const struct profile *x, const struct profile *y, struct profile *ret)
{
    struct profile p = *y;
    p.executables = arena_array(a, x->executables_n + y->executables_n + 1, sizeof(*p.executables));
    p.peers = arena_array(a, x->peers_n + y->peers_n + 1, sizeof(*p.peers));
    p.folders = arena_array(a, x->folders_n + y->folders_n + 1, sizeof(*p.folders));
    p.executables_n = p.peers_n = p.folders_n = 0;
    for (size_t i = 0; i < x->executables_n; i++)
        p.executables[p.executables_n++] = both(a, &x->executables[i], find_program(y, x->executables[i].path));
    for (size_t i = 0; i < y->executables_n; i++)
        if (!find_program(x, y->executables[i].path))
            p.executables[p.executables_n++] = y->executables[i];
    for (size_t i = 0; i < x->peers_n; i++)
        p.peers[p.peers_n++] = x->peers[i];
    for (size_t i = 0; i < y->peers_n; i++)
        if (!has_peer(x, &y->peers[i]))
            p.peers[p.peers_n++] = y->peers[i];
    for (size_t i = 0; i < x->folders_n; i++)
        p.folders[p.folders_n++] = x->folders[i];
    for (size_t i = 0; i < y->folders_n; i++)
        if (!has_folder(x, y->folders[i]))
            p.folders[p.folders_n++] = y->folders[i];
    p.capabilities = x->capabilities | y->capabilities;
    p.calls = x->calls;
    calls_merge(&p.calls, &y->calls);
    p.starts = x->starts + y->starts;
    p.starts_then = x->starts_then + y->starts_then;
    p.created = x->created && x->created < y->created ? x->created : y->created;
    p.changed = x->changed > y->changed ? x->changed : y->changed;
    p.stable = x->stable && y->stable;
    p.stable_since = x->stable_since > y->stable_since ? x->stable_since : y->stable_since;
    p.overflow = x->overflow || y->overflow || p.executables_n > PROFILE_EXECUTABLES || p.peers_n > PROFILE_PEERS ||
                 p.folders_n > PROFILE_FOLDERS;
    *ret = p;
}

/* What is in `in` and not in `other`. */
static size_t only(struct buf *out, char sign, const struct profile *in, const struct profile *other)
{
    char name[CALL_NAME];
    size_t n = 0;
    for (size_t i = 0; i < in->executables_n; i++) {
        const struct profile_executable *x = &in->executables[i], *there = find_program(other, x->path);
        if (!there) {
            buf_printf(out, "%c program " STR_FMT "\n", sign, STR_ARG(x->path));
            n++;
        }
        for (size_t k = 0; there && k < x->users_n; k++) {
            bool known = false;
            for (size_t m = 0; m < there->users_n; m++)
                known = known || there->users[m] == x->users[k];
            if (!known) {
                buf_printf(out, "%c user %" PRId64 " of " STR_FMT "\n", sign, x->users[k], STR_ARG(x->path));
                n++;
            }
        }
    }
    for (size_t i = 0; i < in->peers_n; i++) {
        const struct profile_peer *x = &in->peers[i];
        if (has_peer(other, x))
            continue;
        buf_printf(out, "%c %s " STR_FMT " port %" PRId64 "/" STR_FMT "\n", sign, x->ingress ? "ingress" : "egress",
                   STR_ARG(x->address), x->port, STR_ARG(x->protocol));
        n++;
    }
    for (size_t i = 0; i < in->folders_n; i++)
        if (!has_folder(other, in->folders[i])) {
            buf_printf(out, "%c writes below " STR_FMT "\n", sign, STR_ARG(in->folders[i]));
            n++;
        }
    uint64_t caps = in->capabilities & ~other->capabilities;
    if (caps) {
        buf_printf(out, "%c capabilities %016" PRIx64 "\n", sign, caps);
        n++;
    }
    for (unsigned i = 0; i < BH_CALLS; i++)
        if (calls_has(&in->calls, i) && !calls_has(&other->calls, i)) {
            buf_printf(out, "%c call %s\n", sign, call_name(i, name));
            n++;
        }
    return n;
}

size_t profile_diff(struct buf *out, const struct profile *before, const struct profile *after)
{
    return only(out, '+', after, before) + only(out, '-', before, after);
}
