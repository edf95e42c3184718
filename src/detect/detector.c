#include "detect/detector.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "detect/state.h"

#define NAMES_MAX   512u /* a rule that needs one of more names is asked each time */
#define LANE_NAMES  65536u
#define STEPPED_MAX 64u

struct entry {
    const struct detect_rule *rule;
    unsigned step;
};

struct entries {
    struct entry *v;
    size_t n, cap;
};

/* Rules about one kind: those that need a certain proc.name stand under it, the others in `any`. */
struct lane {
    struct entries any;
    struct map *by_name; /* struct entries */
    size_t n;
};

struct detector {
    const struct detect_rules *rs;
    struct expr_memo *memo;
    struct lane lanes[KINDS];
    struct states *states;
    uint64_t events;
};

static void push(struct entries *to, struct entry en)
{
    if (to->n == to->cap) {
        to->cap = to->cap ? to->cap * 2 : 4;
        to->v = realloc(to->v, to->cap * sizeof(*to->v));
        if (!to->v)
            abort();
    }
    to->v[to->n++] = en;
}

static void file(struct lane *lane, const struct expr_set *set, struct entry en)
{
    const struct expr_check *names = expr_set_required(set, en.rule->steps[en.step], F_proc_name);
    lane->n++;
    if (!names || names->values_n > NAMES_MAX || (lane->by_name && map_count(lane->by_name) > LANE_NAMES - NAMES_MAX)) {
        push(&lane->any, en);
        return;
    }
    if (!lane->by_name)
        lane->by_name = map_new(LANE_NAMES);
    for (size_t i = 0; i < names->values_n; i++) {
        struct entries *to = map_get(lane->by_name, names->values[i].s);
        if (!to) {
            if (!(to = calloc(1, sizeof(*to))))
                abort();
            map_put(lane->by_name, names->values[i].s, to);
        }
        if (!to->n || to->v[to->n - 1].rule != en.rule ||
            to->v[to->n - 1].step != en.step) /* a name may be there twice */
            push(to, en);
    }
}

struct detector *detector_new(const struct detect_rules *rs)
{
    struct detector *d = calloc(1, sizeof(*d));
    struct detect_rule *const *rules;
    size_t n = detect_rules_list(rs, &rules);
    if (!d)
        abort();
    d->rs = rs;
    d->memo = expr_memo_new(detect_rules_set(rs));
    d->states = states_new(DETECT_STATES);
    for (unsigned k = 0; k < KINDS; k++)
        for (size_t i = 0; i < n; i++)
            for (unsigned step = (unsigned)rules[i]->steps_n;
                 step-- > 0;) /* later steps first: one event is one step */
                if (rules[i]->kinds[step] >> k & 1)
                    file(&d->lanes[k], detect_rules_set(rs), (struct entry){rules[i], step});
    return d;
}

static void lane_free(struct lane *lane)
{
    free(lane->any.v);
    if (lane->by_name)
        MAP_EACH (lane->by_name, it) {
            struct entries *e = it->value;
            free(e->v);
            free(e);
        }
    map_free(lane->by_name);
}

void detector_free(struct detector *d)
{
    if (!d)
        return;
    for (unsigned k = 0; k < KINDS; k++)
        lane_free(&d->lanes[k]);
    expr_memo_free(d->memo);
    states_free(d->states);
    free(d);
}

bool detector_wants(const struct detector *d, enum detect_kind k)
{
    return d->lanes[k].n != 0;
}

uint64_t detector_events(const struct detector *d)
{
    return d->events;
}

/* Rule and values of `by`, as one hash; 64 bits of a keyed hash are enough for a few thousand. */
static uint64_t key_of(const struct detect_rule *r, struct detect_subject *s)
{
    uint64_t key = 0x9e3779b97f4a7c15u * (r->index + 1);
    for (size_t i = 0; i < r->by_n; i++) {
        struct str value = STR_NONE;
        detect_operand_text(r->by[i], s, &value);
        key = (key ^ states_hash(value)) * 0xff51afd7ed558ccdu;
        key ^= key >> 32;
    }
    return key;
}

/* A step of a sequence held, or what is counted happened: does the rule fire? */
static bool complete(struct detector *d, const struct detect_rule *r, unsigned step, struct detect_subject *s,
                     struct detect_alert *alert)
{
    if (r->steps_n > 1)
        return states_step(d->states, key_of(r, s), step, r->steps_n, s->time, r->within, &alert->first);
    if (!r->at_least)
        return true;
    struct str value = STR_NONE;
    uint64_t hash = s->num;
    if (r->distinct) {
        if (!detect_operand_text(r->distinct, s, &value))
            return false;
        hash = states_hash(value);
    }
    alert->count = r->at_least;
    return states_count(d->states, key_of(r, s), hash, r->at_least, s->time, r->within, &alert->first);
}

struct run {
    struct detector *d;
    struct detect_subject *s;
    void (*fn)(void *ctx, const struct detect_alert *alert, struct detect_subject *s);
    void *ctx;
    struct entry *stepped; /* the steps of sequences that this event was already, of the rules it was one for */
    size_t stepped_n, fired;
};

static bool was_step(const struct run *r, const struct entry *en)
{
    for (size_t i = 0; i < r->stepped_n; i++)
        if (r->stepped[i].rule == en->rule)
            return true;
    return false;
}

static void run_entries(struct run *r, const struct entries *list)
{
    struct detector *d = r->d;
    for (size_t i = 0; list && i < list->n; i++) {
        const struct entry *en = &list->v[i];
        struct detect_alert alert = {.rule = en->rule, .count = 1, .first = r->s->time};
        if (!expr_set_eval(d->memo, en->rule->steps[en->step], detect_get, r->s))
            continue;
        if (en->rule->steps_n > 1) {
            if (was_step(r, en))
                continue;
            if (states_at(d->states, key_of(en->rule, r->s)) >= en->step && r->stepped_n < STEPPED_MAX)
                r->stepped[r->stepped_n++] = *en;
        }
        if (!complete(d, en->rule, en->step, r->s, &alert))
            continue;
        alert.message = detect_output_format(en->rule->message, r->s);
        r->fn(r->ctx, &alert, r->s);
        r->fired++;
    }
}

size_t detector_run(struct detector *d, struct detect_subject *s,
                    void (*fn)(void *ctx, const struct detect_alert *alert, struct detect_subject *s), void *ctx)
{
    const struct lane *lane = &d->lanes[s->kind];
    struct entry stepped[STEPPED_MAX];
    struct run r = {.d = d, .s = s, .fn = fn, .ctx = ctx, .stepped = stepped};
    struct expr_value name = {0};
    s->num = ++d->events;
    if (!lane->n)
        return 0;
    expr_memo_next(d->memo);
    if (lane->by_name && detect_get(s, F_proc_name, STR_NONE, &name))
        run_entries(&r, map_get(lane->by_name, name.s));
    run_entries(&r, &lane->any);
    return r.fired;
}
