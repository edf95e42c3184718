#include "detect/detector.h"

#include "base/cleanup.h"
#include "detect/state.h"

struct entry {
    const struct detect_rule *rule;
    unsigned step;
};

struct detector {
    const struct detect_rules *rs;
    struct expr_memo *memo;
    struct entry *by_kind[KINDS];
    size_t by_kind_n[KINDS];
    struct states *states;
    uint64_t events;
};

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
    for (unsigned k = 0; k < KINDS; k++) {
        struct entry *list = calloc(n * DETECT_STEPS_MAX + 1, sizeof(*list));
        if (!list)
            abort();
        for (size_t i = 0; i < n; i++)
            for (unsigned step = (unsigned)rules[i]->steps_n;
                 step-- > 0;) /* later steps first: one event is one step */
                if (rules[i]->kinds[step] >> k & 1)
                    list[d->by_kind_n[k]++] = (struct entry){rules[i], step};
        d->by_kind[k] = list;
    }
    return d;
}

void detector_free(struct detector *d)
{
    if (!d)
        return;
    for (unsigned k = 0; k < KINDS; k++)
        free(d->by_kind[k]);
    expr_memo_free(d->memo);
    states_free(d->states);
    free(d);
}

bool detector_wants(const struct detector *d, enum detect_kind k)
{
    return d->by_kind_n[k] != 0;
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

size_t detector_run(struct detector *d, struct detect_subject *s,
                    void (*fn)(void *ctx, const struct detect_alert *alert, struct detect_subject *s), void *ctx)
{
    size_t fired = 0;
    const struct detect_rule *stepped = NULL;
    s->num = ++d->events;
    if (!d->by_kind_n[s->kind])
        return 0;
    expr_memo_next(d->memo);
    for (size_t i = 0; i < d->by_kind_n[s->kind]; i++) {
        const struct entry *en = &d->by_kind[s->kind][i];
        struct detect_alert alert = {.rule = en->rule, .count = 1, .first = s->time};
        if (stepped == en->rule || !expr_set_eval(d->memo, en->rule->steps[en->step], detect_get, s))
            continue;
        if (en->rule->steps_n > 1 && states_at(d->states, key_of(en->rule, s)) >= en->step)
            stepped = en->rule;
        if (!complete(d, en->rule, en->step, s, &alert))
            continue;
        alert.message = detect_output_format(en->rule->message, s);
        fn(ctx, &alert, s);
        fired++;
    }
    return fired;
}
