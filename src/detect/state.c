#include "detect/state.h"

#include <stdlib.h>
#include <sys/random.h>
#include <uthash.h>

struct mark {
    uint64_t value;
    int64_t time;
};

struct state {
    uint64_t key;
    struct state *newer, *older;
    int64_t first;      /* of a sequence */
    unsigned done;      /* steps */
    struct mark *marks; /* of a count, in no order */
    size_t n, cap;
    UT_hash_handle hh;
};

struct states {
    struct state *by_key, *newest, *oldest;
    size_t max;
};

struct states *states_new(size_t max)
{
    struct states *st = calloc(1, sizeof(*st));
    if (!st)
        abort();
    st->max = max;
    return st;
}

static void out_of_line(struct states *st, struct state *s)
{
    *(s->newer ? &s->newer->older : &st->newest) = s->older;
    *(s->older ? &s->older->newer : &st->oldest) = s->newer;
    s->newer = s->older = NULL;
}

static void in_line(struct states *st, struct state *s)
{
    s->older = st->newest;
    *(st->newest ? &st->newest->newer : &st->oldest) = s;
    st->newest = s;
}

static void drop(struct states *st, struct state *s)
{
    out_of_line(st, s);
    HASH_DEL(st->by_key, s);
    free(s->marks);
    free(s);
}

void states_free(struct states *st)
{
    while (st && st->newest)
        drop(st, st->newest);
    free(st);
}

uint64_t states_hash(struct str s)
{
    static uint64_t seed[2]; // NOLINT: written once, before anybody reads it
    static bool seeded;
    if (!seeded)
        seeded = getrandom(seed, sizeof(seed), 0) == sizeof(seed);
    return str_hash_keyed(seed, s);
}

static struct state *find(struct states *st, uint64_t key)
{
    struct state *s;
    HASH_FIND(hh, st->by_key, &key, sizeof(key), s);
    return s;
}

static struct state *touch(struct states *st, uint64_t key)
{
    struct state *s = find(st, key);
    if (s) {
        out_of_line(st, s);
        in_line(st, s);
        return s;
    }
    while (HASH_COUNT(st->by_key) >= st->max)
        drop(st, st->oldest);
    if (!(s = calloc(1, sizeof(*s))))
        abort();
    s->key = key;
    in_line(st, s);
    HASH_ADD(hh, st->by_key, key, sizeof(key), s);
    return s;
}

bool states_count(struct states *st, uint64_t key, uint64_t value, uint64_t at_least, int64_t time, int64_t within,
                  int64_t *first)
{
    struct state *s = touch(st, key);
    size_t kept = 0;
    bool known = false;
    int64_t oldest = time;
    for (size_t i = 0; i < s->n; i++) {
        if (s->marks[i].time < time - within)
            continue;
        struct mark m = s->marks[i];
        if (m.value == value) {
            m.time = time;
            known = true;
        }
        oldest = m.time < oldest ? m.time : oldest;
        s->marks[kept++] = m;
    }
    s->n = kept;
    if (!known) {
        if (s->n == s->cap) {
            s->cap = s->cap ? s->cap * 2 : 8;
            s->marks = realloc(s->marks, s->cap * sizeof(*s->marks));
            if (!s->marks)
                abort();
        }
        s->marks[s->n++] = (struct mark){value, time};
    }
    if (s->n < at_least)
        return false;
    *first = oldest;
    s->n = 0;
    return true;
}

unsigned states_at(struct states *st, uint64_t key)
{
    struct state *s = find(st, key);
    return s ? s->done : 0;
}

bool states_step(struct states *st, uint64_t key, unsigned step, size_t steps, int64_t time, int64_t within,
                 int64_t *first)
{
    struct state *s = step ? find(st, key) : touch(st, key);
    if (!s)
        return false;
    if (s->done && time - s->first > within)
        s->done = 0;
    if (step == 0 && s->done <= 1) {
        s->done = 1;
        s->first = time;
        return false;
    }
    if (step == 0 || step != s->done)
        return false;
    s->done++;
    if (s->done < steps)
        return false;
    *first = s->first;
    s->done = 0;
    return true;
}

size_t states_number(const struct states *st)
{
    return HASH_COUNT(st->by_key);
}
