/* path: names of files, made in the kernel from dentries, and lists of names.
 *
 * A path here is what the container sees: from its own root, links and mounts already followed, because we start at
 * the file and not at a string. For a file of the image it does not depend on the caller's mounts or chroot at all.
 */
#ifndef BULKHEAD_BPF_PATH_H
#define BULKHEAD_BPF_PATH_H

#include "maps.h"

#define PATH_DEPTH 64 /* components; deeper is truncated, which every list denies */

struct path_state {
    struct scratch *s;
    struct vfsmount *mnt;
    struct dentry *d;
    __u32 pos;
    __u32 own_sb; /* on the container's root file system: mounts do not matter */
    __u32 whole;  /* reached the root */
};

static __always_inline bool path_prepend(struct path_state *st, const unsigned char *name, __u32 len)
{
    __u32 pos = st->pos;
    if (len > 255 || pos < len + 2 || pos > PATH_BUF)
        return false;
    pos -= len;
    bpf_probe_read_kernel(&st->s->path[pos & (PATH_BUF - 1)], len & 255, name);
    st->pos = pos;
    return true;
}

static long path_step(__u32 i, struct path_state *st)
{
    struct scratch *s = st->s;
    struct dentry *d = st->d, *parent = READ(d, d_parent);
    __u64 root_ino = s->container.root_ino;
    bool root = root_ino && !s->container.overlay && READ(d, d_inode, i_ino) == root_ino &&
                READ(d, d_sb, s_dev) == s->container.root_dev;
    if (root || (st->own_sb && d == READ(d, d_sb, s_root))) {
        st->whole = 1;
        return 1;
    }
    if (st->own_sb && parent == d)
        return 1; /* opened by handle, and its folders are not known */
    struct vfsmount *mnt = st->mnt;
    if (mnt && !st->own_sb && d == READ(mnt, mnt_root)) {
        struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt), *up = READ(m, mnt_parent);
        if (up == m) {
            st->whole = 1;
            return 1;
        }
        d = READ(m, mnt_mountpoint);
        st->d = d;
        st->mnt = (void *)up + bpf_core_field_offset(struct mount, mnt);
        st->own_sb = s->container.root_dev && READ(d, d_sb, s_dev) == s->container.root_dev;
        return 0;
    }
    __u32 len = READ(d, d_name.len);
    const unsigned char *name = READ(d, d_name.name);
    if (parent == d) { /* root of a file system that is mounted nowhere: memfd:name, a detached mount's "/" */
        if (len > 1 && !path_prepend(st, name, len))
            return 1;
        st->whole = 1;
        return 1;
    }
    if (!path_prepend(st, name, len))
        return 1;
    st->pos--;
    s->path[st->pos & (PATH_BUF - 1)] = '/';
    st->d = parent;
    return 0;
}

/* Fill path, path_off, path_len from walk. The path ends at PATH_BUF; it grows to the front. */
__noinline int path_walk(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return -1;
    struct dentry *d = (void *)s->walk.dentry;
    struct path_state st = {.s = s, .mnt = (void *)s->walk.mnt, .d = d, .pos = PATH_BUF};
    st.own_sb = s->container.root_dev && READ(d, d_sb, s_dev) == s->container.root_dev;
    bpf_loop(PATH_DEPTH, path_step, &st, 0);
    s->path_cut = !st.whole;
    __u32 pos = st.pos;
    if (pos >= PATH_BUF) {
        pos = PATH_BUF - 1;
        s->path[PATH_BUF - 1] = '/';
    }
    s->path_off = pos;
    s->path_len = PATH_BUF - pos;
    return 0;
}

/* The path again in text[], from index 0 and closed by a NUL. */
static __always_inline void path_text(struct scratch *s)
{
    __u32 len = s->path_len, off = s->path_off;
    if (len >= PATH_BUF)
        len = PATH_BUF - 1;
    bpf_probe_read_kernel(s->text, len & (PATH_BUF - 1), &s->path[off & (PATH_BUF - 1)]);
    s->text[len & (PATH_BUF - 1)] = 0;
}

struct glob_state {
    struct scratch *s;
    struct bh_globs *g;
    __u32 which;
    __u32 pi, si;        /* now at */
    __s32 star_p, any_p; /* pattern behind the last '*' and the last '**'; -1 none */
    __u32 star_s, any_s; /* text they have eaten up to */
    __s32 result;        /* 1 match, 0 none, -1 not finished */
};

static long glob_step(__u32 i, struct glob_state *st)
{
    const char *pat = st->g->pattern[st->which & (BH_GLOBS - 1)];
    char p = pat[st->pi & (BH_GLOB - 1)], c = st->s->text[st->si & (PATH_BUF - 1)];
    if (p == '*') {
        st->pi++;
        if (pat[st->pi & (BH_GLOB - 1)] == '*') {
            st->pi++;
            st->any_p = st->pi;
            st->any_s = st->si;
            st->star_p = -1;
        } else {
            st->star_p = st->pi;
            st->star_s = st->si;
        }
        return 0;
    }
    if (!c && !p) {
        st->result = 1;
        return 1;
    }
    if (c && (c == p || (p == '?' && c != '/'))) {
        st->pi++;
        st->si++;
        return 0;
    }
    c = st->s->text[st->star_s & (PATH_BUF - 1)];
    if (st->star_p >= 0 && c && c != '/') {
        st->si = ++st->star_s;
        st->pi = st->star_p;
        return 0;
    }
    c = st->s->text[st->any_s & (PATH_BUF - 1)];
    if (st->any_p >= 0 && c) {
        st->si = ++st->any_s;
        st->pi = st->any_p;
        st->star_p = -1;
        return 0;
    }
    st->result = 0;
    return 1;
}

/* Is text[] on this list? 1 yes, 0 no, -1 cannot be told: the caller denies. */
__noinline int path_listed(__u32 slot, __u32 list)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return -1;
    s->key.set = s->policy.set;
    s->key.list = list;
    s->key.pad = 0;
    __u64 *w = (void *)s->key.path;
    for (int i = 0; i < BH_LIST_PATH / 8; i++)
        w[i] = 0;
    if (bpf_probe_read_kernel_str(s->key.path, BH_LIST_PATH, s->text) < BH_LIST_PATH)
        if (bpf_map_lookup_elem(&paths, &s->key))
            return 1;
    struct bh_glob_key gk = {.set = s->policy.set, .list = list};
    struct bh_globs *g = bpf_map_lookup_elem(&globs, &gk);
    if (!g)
        return 0;
    for (__u32 i = 0; i < BH_GLOBS; i++) {
        if (i >= g->n)
            break;
        struct glob_state st = {.s = s, .g = g, .which = i, .star_p = -1, .any_p = -1, .result = -1};
        bpf_loop(8192, glob_step, &st, 0);
        if (st.result)
            return st.result;
    }
    return 0;
}

#endif
