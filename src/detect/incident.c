#include "detect/incident.h"

#include <stdlib.h>
#include <uthash.h>

struct entry {
    struct incident in;
    uint64_t key;
    char *kept;
    UT_hash_handle hh;
};

struct incidents {
    struct entry *by_key;
};

struct incidents *incidents_new(void)
{
    struct incidents *is = calloc(1, sizeof(*is));
    if (!is)
        abort();
    return is;
}

static void drop(struct incidents *is, struct entry *en)
{
    HASH_DEL(is->by_key, en);
    free(en->kept);
    free(en);
}

void incidents_free(struct incidents *is)
{
    while (is && is->by_key)
        drop(is, is->by_key);
    free(is);
}

static struct entry *oldest(struct incidents *is)
{
    struct entry *worst = is->by_key;
    for (struct entry *en = is->by_key; en; en = en->hh.next)
        if (en->in.last < worst->in.last)
            worst = en;
    return worst;
}

bool incidents_alert(struct incidents *is, uint64_t key, int64_t now, struct incident **ret)
{
    struct entry *en;
    HASH_FIND(hh, is->by_key, &key, sizeof(key), en);
    if (en && now - en->in.last > INCIDENT_QUIET) {
        drop(is, en);
        en = NULL;
    }
    if (!en) {
        if (HASH_COUNT(is->by_key) >= INCIDENTS)
            drop(is, oldest(is));
        if (!(en = calloc(1, sizeof(*en))))
            abort();
        en->key = key;
        en->in.first = now;
        ulid_make(now, en->in.id);
        HASH_ADD(hh, is->by_key, key, sizeof(key), en);
    }
    struct incident *in = &en->in;
    in->count++;
    in->last = now;
    *ret = in;
    if (in->count > 1 && now - in->told < INCIDENT_AGAIN)
        return false;
    in->told = now;
    in->told_count = in->count;
    return true;
}

void incidents_keep(struct incident *in, struct str event)
{
    struct entry *en = (struct entry *)(void *)((char *)in - offsetof(struct entry, in));
    free(en->kept);
    if (!(en->kept = malloc(event.n + 1)))
        abort();
    memcpy(en->kept, event.p ? event.p : "", event.n);
    in->event = str_n(en->kept, event.n);
}

void incidents_tick(struct incidents *is, int64_t now, bool all, void (*fn)(void *ctx, const struct incident *in),
                    void *ctx)
{
    for (struct entry *en = is->by_key, *next; en; en = next) {
        struct incident *in = &en->in;
        next = en->hh.next;
        if (in->count > in->told_count && (all || now - in->told >= INCIDENT_AGAIN)) {
            in->told = now;
            in->told_count = in->count;
            fn(ctx, in);
        }
        if (now - in->last > INCIDENT_QUIET)
            drop(is, en);
    }
}

size_t incidents_open(const struct incidents *is)
{
    return HASH_COUNT(is->by_key);
}
