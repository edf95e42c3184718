#include "runtime/kernel_policy.h"

#include "base/cleanup.h"
#include "runtime/calls.h"
#include "runtime/demand.h"
#include "runtime/pin.h"
#include "runtime/sensor.h"

#include <bpf/bpf.h>
#include <stdio.h>

struct lists {
    struct bh_path_key *paths;
    size_t paths_n, paths_max;
    struct bh_globs globs[BH_LISTS];
    struct str *notices;
    size_t notices_n;
};

static const char *const list_names[BH_LISTS] = {"process.allow",     "process.deny", "process.drift_allow",
                                                 "process.exec_from", "files.deny",   "files.read_only",
                                                 "files.watch",       "files"};

static void notice(struct arena *a, struct lists *l, const char *what, struct str element, const char *why)
{
    struct str *v = arena_alloc(a, (l->notices_n + 1) * sizeof(*v));
    if (l->notices_n)
        memcpy(v, l->notices, l->notices_n * sizeof(*v));
    v[l->notices_n++] = arena_strf(a, "%s: '" STR_FMT "' %s", what, STR_ARG(element), why);
    l->notices = v;
}

static int add_glob(struct lists *l, enum bh_list list, struct str pattern, struct err *e)
{
    struct bh_globs *g = &l->globs[list];
    if (g->n >= BH_GLOBS)
        return err_set(e, E2BIG, "%s: more than %d patterns", list_names[list], BH_GLOBS);
    if (pattern.n >= BH_GLOB)
        return err_set(e, E2BIG, "%s: pattern '" STR_FMT "' is longer than %d bytes", list_names[list],
                       STR_ARG(pattern), BH_GLOB - 1);
    memset(g->pattern[g->n], 0, BH_GLOB);
    memcpy(g->pattern[g->n++], pattern.p, pattern.n);
    return 0;
}

static int add_path(struct arena *a, struct lists *l, enum bh_list list, struct str path, struct err *e)
{
    if (path.n >= BH_LIST_PATH)
        return err_set(e, E2BIG, "%s: '" STR_FMT "' is longer than %d bytes", list_names[list], STR_ARG(path),
                       BH_LIST_PATH - 1);
    if (l->paths_n == KERNEL_POLICY_PATHS)
        return err_set(e, E2BIG, "%s: more than %u paths", list_names[list], KERNEL_POLICY_PATHS);
    if (l->paths_n == l->paths_max) {
        size_t max = l->paths_max ? 2 * l->paths_max : 64;
        struct bh_path_key *v = arena_alloc(a, max * sizeof(*v));
        if (l->paths_n)
            memcpy(v, l->paths, l->paths_n * sizeof(*v));
        l->paths = v;
        l->paths_max = max;
    }
    struct bh_path_key *k = &l->paths[l->paths_n++];
    memset(k, 0, sizeof(*k));
    k->list = list;
    memcpy(k->path, path.p, path.n);
    return 0;
}

static int add_list(struct arena *a, struct lists *l, enum bh_list list, const struct str *v, size_t n, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        struct str s = v[i];
        if (!s.n || (s.p[0] != '/' && s.p[0] != '*'))
            notice(a, l, list_names[list], s, "is no path: the kernel cannot judge it");
        else if (list == BH_LIST_EXEC_FROM) {
            while (s.n > 1 && s.p[s.n - 1] == '/')
                s.n--;
            r = add_glob(l, list, arena_strf(a, STR_FMT "/**", STR_ARG(s)), e);
        } else if (str_chr(s, '*') >= 0 || str_chr(s, '?') >= 0)
            r = add_glob(l, list, s, e);
        else
            r = add_path(a, l, list, s, e);
    }
    return r;
}

/* The folders above a protected element: whoever renames one moves what is protected. */
static int add_above(struct arena *a, struct lists *l, const struct str *v, size_t n, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 1; k < v[i].n && r == 0; k++) {
            if (v[i].p[k] == '*' || v[i].p[k] == '?')
                break; /* below it names are not known */
            if (v[i].p[k] == '/')
                r = add_path(a, l, BH_LIST_FILES_ABOVE, str_sub(v[i], 0, k), e);
        }
    return r;
}

static int add_files(struct arena *a, struct lists *l, const struct container_policy *p, struct bh_policy *b,
                     struct err *e)
{
    int r;
    if ((r = add_list(a, l, BH_LIST_FILES_DENY, p->files_deny, p->files_deny_n, e)) < 0 ||
        (r = add_list(a, l, BH_LIST_FILES_READ_ONLY, p->files_read_only, p->files_read_only_n, e)) < 0 ||
        (r = add_list(a, l, BH_LIST_FILES_WATCH, p->files_watch, p->files_watch_n, e)) < 0 ||
        (r = add_above(a, l, p->files_deny, p->files_deny_n, e)) < 0 ||
        (r = add_above(a, l, p->files_read_only, p->files_read_only_n, e)) < 0)
        return r;
    if (p->files_deny_n + p->files_read_only_n + p->files_watch_n)
        b->flags |= BH_POLICY_FILES;
    return 0;
}

static uint64_t hash(struct str s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 0x100000001b3u;
    return h ? h : 1;
}

static void add_users(struct arena *a, struct lists *l, struct bh_policy *b, const struct container_policy *p)
{
    if (!p->has_users)
        return;
    size_t unknown = 0;
    for (size_t i = 0; i < p->users_n; i++) {
        uint64_t uid;
        if (str_eqc(p->users[i], "root"))
            uid = 0;
        else if (str_u64(p->users[i], &uid) < 0 || uid > UINT32_MAX || b->users_n == BH_USERS) {
            unknown++;
            notice(a, l, "process.users", p->users[i],
                   "is no number (or one too many): process.users is not judged in the kernel");
            continue;
        }
        b->users[b->users_n++] = (uint32_t)uid;
    }
    if (!unknown)
        b->flags |= BH_POLICY_USERS;
}

static int build(struct arena *a, const struct container_policy *p, const struct kernel_policy_extra *x,
                 struct bh_policy *b, struct lists *l, struct err *e)
{
    *b = (struct bh_policy){.mode = (uint8_t)p->mode, .revision = (uint64_t)p->revision};
#define X(name, section, key) b->action[BH_CONTROL_##name] = p->name;
    POLICY_ACTIONS(X)
#undef X
    b->action[BH_CONTROL_egress] = BH_BLOCK;
    b->action[BH_CONTROL_ingress] = BH_BLOCK;
    b->action[BH_CONTROL_process_allow] = BH_BLOCK;
    b->action[BH_CONTROL_process_deny] = BH_BLOCK;
    b->action[BH_CONTROL_process_users] = BH_BLOCK;
    b->action[BH_CONTROL_files] = BH_BLOCK;
    b->action[BH_CONTROL_syscalls] = BH_BLOCK;
    b->action[BH_CONTROL_capabilities] = BH_BLOCK;
    b->caps = p->has_capabilities ? policy_capabilities(p) : ~UINT64_C(0);
    if (p->has_capabilities)
        b->flags |= BH_POLICY_CAPS;
    if (x && x->sealed)
        b->flags |= BH_POLICY_SEALED;
    int r;
    if ((r = add_list(a, l, BH_LIST_ALLOW, p->allow, p->allow_n, e)) < 0 ||
        (x && (r = add_list(a, l, BH_LIST_ALLOW, x->allow, x->allow_n, e)) < 0) ||
        (r = add_list(a, l, BH_LIST_DENY, p->deny, p->deny_n, e)) < 0 ||
        (r = add_list(a, l, BH_LIST_DRIFT_ALLOW, p->drift_allow, p->drift_allow_n, e)) < 0 ||
        (r = add_list(a, l, BH_LIST_EXEC_FROM, p->exec_from, p->exec_from_n, e)) < 0 ||
        (r = add_files(a, l, p, b, e)) < 0)
        return r;
    if (p->has_allow || (x && x->has_allow))
        b->flags |= BH_POLICY_ALLOW;
    if (p->deny_n)
        b->flags |= BH_POLICY_DENY;
    if (p->drift_allow_n)
        b->flags |= BH_POLICY_DRIFT_ALLOW;
    if (p->exec_from_n)
        b->flags |= BH_POLICY_EXEC_FROM;
    if (x && x->tell_all)
        b->flags |= BH_POLICY_TELL_ALL;
    if (x && x->image_id.n)
        b->image = hash(x->image_id);
    add_users(a, l, b, p);
    return 0;
}

struct maps {
    int policies, deflt, paths, globs, changes;
};

static void maps_close(struct maps *m)
{
    int fds[] = {m->policies, m->deflt, m->paths, m->globs, m->changes};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int maps_open(const char *bpf_dir, struct maps *m, struct err *e)
{
    const char *dir = bpf_dir ? bpf_dir : SENSOR_BPF_DIR;
    int r;
    *m = (struct maps){-1, -1, -1, -1, -1};
    if ((r = pin_map(dir, "policies", BH_ID, sizeof(struct bh_policy), &m->policies, e)) < 0 ||
        (r = pin_map(dir, "host_default", 4, sizeof(struct bh_policy), &m->deflt, e)) < 0 ||
        (r = pin_map(dir, "paths", sizeof(struct bh_path_key), 4, &m->paths, e)) < 0 ||
        (r = pin_map(dir, "globs", sizeof(struct bh_glob_key), sizeof(struct bh_globs), &m->globs, e)) < 0 ||
        (r = pin_map(dir, "changes", 4, 4, &m->changes, e)) < 0)
        return r;
    return 0;
}

/* Lists live under a set number. A new policy gets the other one of the container's two numbers, so the running one is
 * whole until the policy itself is replaced; then the old set is dropped. */
static int put_lists(const struct maps *m, struct lists *l, uint64_t set, struct err *e)
{
    uint32_t one = 1;
    for (size_t i = 0; i < l->paths_n; i++) {
        l->paths[i].set = set;
        if (bpf_map_update_elem(m->paths, &l->paths[i], &one, BPF_ANY) < 0)
            return errno == E2BIG ? err_set(e, E2BIG, "the kernel's table of paths is full")
                                  : err_errno(e, "map paths");
    }
    for (uint32_t i = 0; i < BH_LISTS; i++) {
        struct bh_glob_key k = {.set = set, .list = i};
        if (l->globs[i].n && bpf_map_update_elem(m->globs, &k, &l->globs[i], BPF_ANY) < 0)
            return err_errno(e, "map globs");
    }
    return 0;
}

static void drop_lists(const struct maps *m, uint64_t set)
{
    for (uint32_t i = 0; i < BH_LISTS; i++) {
        struct bh_glob_key k = {.set = set, .list = i};
        bpf_map_delete_elem(m->globs, &k);
    }
    struct bh_path_key at, next;
    void *from = NULL;
    while (bpf_map_get_next_key(m->paths, from, &next) == 0) {
        if (from && at.set == set)
            bpf_map_delete_elem(m->paths, &at);
        at = next;
        from = &at;
    }
    if (from && at.set == set)
        bpf_map_delete_elem(m->paths, &at);
}

static bool has_lists(const struct bh_policy *b)
{
    return b->flags &
           (BH_POLICY_ALLOW | BH_POLICY_DENY | BH_POLICY_DRIFT_ALLOW | BH_POLICY_EXEC_FROM | BH_POLICY_FILES);
}

/* Policies changed: tasks look at theirs again, and sensor_tend() at what they demand. */
static void written(const struct maps *m)
{
    uint32_t one = 1, n = 0;
    bpf_map_lookup_elem(m->changes, &one, &n);
    n++;
    bpf_map_update_elem(m->changes, &one, &n, BPF_ANY);
}

/* What this policy needs is attached before its container starts; what none needs any more, the agent detaches. */
static int demands(const char *bpf_dir, const char *id, const struct maps *m, const struct bh_policy *b, struct err *e)
{
    written(m);
    const char *dir = bpf_dir ? bpf_dir : SENSOR_BPF_DIR;
    int r = 0;
    if (id && b->mode == BH_LEARN && calls_watch(dir, str_n(id, BH_ID), NULL) == 0)
        r = demand_set(dir, DEMAND_LEARN, true, e);
    if (r == 0 && b->flags & BH_POLICY_FILES)
        r = demand_set(dir, DEMAND_OPENS, true, e);
    return r;
}

/* A host without cgroup2 has no tables for it: then it is said, where the policy asks for it. */
static int put_network(struct arena *a, const char *bpf_dir, const char *id, const struct container_policy *p,
                       const struct kernel_policy_extra *x, struct lists *l, struct err *e)
{
    static const char none[BH_ID];
    int r = kernel_network_put(a, bpf_dir, id ? id : none, p, x ? x->network : NULL, &l->notices, &l->notices_n, e);
    if (r != -ENOENT)
        return r;
    if (p->egress.given || p->ingress.given)
        notice(a, l, "network", STR("egress, ingress"),
               "are not in force: the kernel carries no cgroup programs of ours");
    return 0;
}

static int put(struct arena *a, const char *bpf_dir, const char *id, const struct container_policy *p,
               const struct kernel_policy_extra *x, const struct str **notices, size_t *notices_n, struct err *e)
{
    struct bh_policy b, old;
    struct lists *l = arena_alloc(a, sizeof(*l));
    memset(l, 0, sizeof(*l));
    int r = build(a, p, x, &b, l, e);
    if (r < 0)
        return r;
    struct maps m;
    uint32_t zero = 0;
    if ((r = maps_open(bpf_dir, &m, e)) == 0) {
        int fd = id ? m.policies : m.deflt;
        const void *key = id ? (const void *)id : &zero;
        bool had = bpf_map_lookup_elem(fd, key, &old) == 0;
        if (had && (old.flags & BH_POLICY_SEALED) && id && !(x && x->starts))
            b.flags |= BH_POLICY_SEALED; /* a seccomp filter lasts */
        b.set = hash(id ? str_n(id, BH_ID) : STR("default")) & ~UINT64_C(1);
        if (had && (old.set & ~UINT64_C(1)) == b.set)
            b.set = old.set ^ 1;
        if (has_lists(&b))
            drop_lists(&m, b.set); /* what a writer that died left */
        r = put_lists(&m, l, b.set, e);
        if (r == 0 && bpf_map_update_elem(fd, key, &b, BPF_ANY) < 0)
            r = err_errno(e, "policy of the container");
        if (r < 0)
            drop_lists(&m, b.set);
        else if (had && has_lists(&old))
            drop_lists(&m, old.set);
        if (r == 0)
            r = demands(bpf_dir, id, &m, &b, e);
    }
    maps_close(&m);
    if (r == 0)
        r = put_network(a, bpf_dir, id, p, x, l, e);
    if (r == 0 && notices && notices_n) {
        *notices = l->notices;
        *notices_n = l->notices_n;
    }
    return r;
}

static int id_check(struct str id, struct err *e)
{
    if (id.n != BH_ID)
        return err_set(e, EINVAL, "not a container id: '" STR_FMT "'", STR_ARG(id));
    return 0;
}

int kernel_policy_put(struct arena *a, const char *bpf_dir, struct str id, const struct container_policy *p,
                      const struct kernel_policy_extra *extra, const struct str **notices, size_t *notices_n,
                      struct err *e)
{
    int r = id_check(id, e);
    return r < 0 ? r : put(a, bpf_dir, id.p, p, extra, notices, notices_n, e);
}

int kernel_policy_default(struct arena *a, const char *bpf_dir, const struct container_policy *p,
                          const struct str **notices, size_t *notices_n, struct err *e)
{
    return put(a, bpf_dir, NULL, p, NULL, notices, notices_n, e);
}

int kernel_policy_del(const char *bpf_dir, struct str id, struct err *e)
{
    struct maps m;
    struct bh_policy old;
    int r = id_check(id, e);
    if (r < 0)
        return r;
    if ((r = maps_open(bpf_dir, &m, e)) == 0 && bpf_map_lookup_elem(m.policies, id.p, &old) == 0) {
        if (bpf_map_delete_elem(m.policies, id.p) < 0 && errno != ENOENT)
            r = err_errno(e, "policy of the container");
        else if (has_lists(&old))
            drop_lists(&m, old.set);
        written(&m);
    }
    maps_close(&m);
    struct err none = ERR_INIT;
    kernel_network_del(bpf_dir, id.p, &none);
    calls_forget(bpf_dir, id);
    return r;
}

int kernel_policy_get(const char *bpf_dir, struct str id, struct bh_policy *ret, struct err *e)
{
    struct maps m;
    uint32_t zero = 0;
    int r = id.n ? id_check(id, e) : 0;
    if (r < 0)
        return r;
    if ((r = maps_open(bpf_dir, &m, e)) == 0 &&
        bpf_map_lookup_elem(id.n ? m.policies : m.deflt, id.n ? (const void *)id.p : &zero, ret) < 0)
        r = err_set(e, ENOENT, "container " STR_FMT " has no policy of its own", STR_ARG(id));
    maps_close(&m);
    return r;
}

int kernel_policy_list(struct arena *a, const char *bpf_dir, const struct str **ids, size_t *n, struct err *e)
{
    struct maps m;
    int r = maps_open(bpf_dir, &m, e);
    if (r == 0) {
        size_t count = 0, max = 0;
        struct str *v = NULL;
        char at[BH_ID], next[BH_ID];
        void *from = NULL;
        while (bpf_map_get_next_key(m.policies, from, next) == 0) {
            if (count == max) {
                struct str *w = arena_alloc(a, (max = max ? 2 * max : 64) * sizeof(*w));
                if (count)
                    memcpy(w, v, count * sizeof(*w));
                v = w;
            }
            v[count++] = arena_str(a, str_n(next, BH_ID));
            memcpy(at, next, BH_ID);
            from = at;
        }
        *ids = v;
        *n = count;
    }
    maps_close(&m);
    return r;
}

bool kernel_policy_present(const char *bpf_dir)
{
    int fd;
    struct err none = ERR_INIT;
    if (pin_map(bpf_dir ? bpf_dir : SENSOR_BPF_DIR, "policies", BH_ID, sizeof(struct bh_policy), &fd, &none) < 0)
        return false;
    close(fd);
    return true;
}
