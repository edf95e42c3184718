/* The parts of a profile beside programs: peers, folders written to, capabilities held, system calls. */
#include "base/cleanup.h"
#include "base/time.h"
#include "runtime/profile_internal.h"

void profile_new_thing(struct learned *l, int64_t now)
{
    l->p.changed = now;
    l->p.starts_then = l->p.starts;
    l->p.stable = false;
    l->dirty = true;
}

static bool overflow(struct learned *l)
{
    l->p.overflow = l->dirty = true;
    l->p.stable = false;
    return true;
}

static void put_peer(struct learned *l, const struct profile_peer *s)
{
    l->p.peers = arena_grow(l->a, l->p.peers, l->p.peers_n, &l->peers_cap, sizeof(*l->p.peers));
    struct profile_peer *to = &l->p.peers[l->p.peers_n++];
    *to = *s;
    to->address = arena_str(l->a, s->address);
    to->protocol = arena_str(l->a, s->protocol);
}

static bool same_peer(const struct profile_peer *a, const struct profile_peer *b)
{
    return a->ingress == b->ingress && a->port == b->port && str_eq(a->address, b->address) &&
           str_eq(a->protocol, b->protocol);
}

bool profiles_peer(struct profiles *ps, struct str image_id, struct str image, const struct profile_peer *s,
                   int64_t now)
{
    struct learned *l = profile_learned(ps, image_id, image, true, now);
    if (!l || !s->address.n)
        return false;
    for (size_t i = 0; i < l->p.peers_n; i++)
        if (same_peer(&l->p.peers[i], s)) {
            l->p.peers[i].count++;
            l->p.peers[i].last = now;
            l->dirty = true;
            return false;
        }
    if (l->p.peers_n >= PROFILE_PEERS)
        return overflow(l);
    struct profile_peer fresh = *s;
    fresh.count = 1;
    fresh.first = fresh.last = now;
    put_peer(l, &fresh);
    profile_new_thing(l, now);
    return true;
}

static void put_folder(struct learned *l, struct str folder)
{
    l->p.folders = arena_grow(l->a, l->p.folders, l->p.folders_n, &l->folders_cap, sizeof(*l->p.folders));
    l->p.folders[l->p.folders_n++] = arena_str(l->a, folder);
}

bool profiles_folder(struct profiles *ps, struct str image_id, struct str image, struct str folder, int64_t now)
{
    struct learned *l = profile_learned(ps, image_id, image, true, now);
    if (!l || !folder.n)
        return false;
    for (size_t i = 0; i < l->p.folders_n; i++)
        if (str_eq(l->p.folders[i], folder))
            return false;
    if (l->p.folders_n >= PROFILE_FOLDERS)
        return overflow(l);
    put_folder(l, folder);
    profile_new_thing(l, now);
    return true;
}

bool profiles_capabilities(struct profiles *ps, struct str image_id, struct str image, uint64_t held, int64_t now)
{
    struct learned *l = profile_learned(ps, image_id, image, true, now);
    if (!l || !(held & ~l->p.capabilities))
        return false;
    l->p.capabilities |= held;
    profile_new_thing(l, now);
    return true;
}

bool profiles_calls(struct profiles *ps, struct str image_id, struct str image, const struct calls *made, int64_t now)
{
    struct learned *l = calls_any(made) ? profile_learned(ps, image_id, image, true, now) : NULL;
    if (!l || !calls_merge(&l->p.calls, made))
        return false;
    profile_new_thing(l, now);
    return true;
}

/* ---- files ---- */

static void w_time(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    json_w_kstr(w, key, t ? str_c(time_format(t, text)) : STR_NONE);
}

static int64_t r_time(const struct json_value *v)
{
    int64_t t;
    return time_parse(json_str(v), &t) == 0 ? t : 0;
}

void profile_write_more(struct json_writer *w, const struct profile *p)
{
    char caps[24], name[CALL_NAME];
    json_w_karray(w, "peers");
    for (size_t i = 0; i < p->peers_n; i++) {
        const struct profile_peer *x = &p->peers[i];
        json_w_object(w);
        json_w_kstrz(w, "direction", x->ingress ? "ingress" : "egress");
        json_w_kstr(w, "address", x->address);
        json_w_ki64(w, "port", x->port);
        json_w_kstr(w, "protocol", x->protocol);
        json_w_ki64(w, "count", x->count);
        w_time(w, "first", x->first);
        w_time(w, "last", x->last);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_karray(w, "folders");
    for (size_t i = 0; i < p->folders_n; i++)
        json_w_str(w, p->folders[i]);
    json_w_end(w);
    snprintf(caps, sizeof(caps), "%016" PRIx64, p->capabilities);
    json_w_kstrz(w, "capabilities", caps);
    json_w_karray(w, "syscalls");
    for (unsigned i = 0; i < BH_CALLS; i++)
        if (calls_has(&p->calls, i))
            json_w_str(w, str_c(call_name(i, name)));
    json_w_end(w);
}

/* Profiles of before have none of these. */
void profile_read_more(struct arena *a, const struct json_value *v, struct profile *p)
{
    const struct json_value *peers = json_get(v, "peers"), *folders = json_get(v, "folders");
    struct str caps = json_str(json_get(v, "capabilities"));
    p->peers = arena_array(a, PROFILE_PEERS, sizeof(*p->peers));
    p->folders = arena_array(a, PROFILE_FOLDERS, sizeof(*p->folders));
    JSON_EACH (peers, it)
        if (p->peers_n < PROFILE_PEERS)
            p->peers[p->peers_n++] =
                (struct profile_peer){.address = json_str(json_get(it, "address")),
                                      .protocol = json_str(json_get(it, "protocol")),
                                      .port = json_i64(json_get(it, "port"), 0),
                                      .ingress = str_eqc(json_str(json_get(it, "direction")), "ingress"),
                                      .count = json_i64(json_get(it, "count"), 0),
                                      .first = r_time(json_get(it, "first")),
                                      .last = r_time(json_get(it, "last"))};
    JSON_EACH (folders, it)
        if (p->folders_n < PROFILE_FOLDERS && json_str(it).n)
            p->folders[p->folders_n++] = json_str(it);
    for (size_t i = 0; i < caps.n && i < 16; i++) {
        int c = caps.p[i], d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
        p->capabilities = p->capabilities << 4 | (unsigned)d;
    }
    JSON_EACH (json_get(v, "syscalls"), it) {
        int nr = call_number(json_str(it));
        if (nr >= 0)
            calls_add(&p->calls, (unsigned)nr);
    }
}

void profile_copy_more(struct learned *l, const struct profile *from)
{
    const struct profile copy = *from;
    l->p.peers = NULL;
    l->p.folders = NULL;
    l->p.peers_n = l->p.folders_n = l->peers_cap = l->folders_cap = 0;
    for (size_t i = 0; i < copy.peers_n; i++)
        put_peer(l, &copy.peers[i]);
    for (size_t i = 0; i < copy.folders_n; i++)
        put_folder(l, copy.folders[i]);
    l->p.capabilities = copy.capabilities;
    l->p.calls = copy.calls;
}
