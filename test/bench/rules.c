/* How many events a second the detection rules take on one core, and what indexing by kind and sharing equal conditions is worth:
 * the ratio to running every rule on every event by itself, in the same run (interleaved pairs, median).
 *
 *     build/test/bench/rules_bench RULES-DIR EVENTS.jsonl...
 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "detect/detector.h"

#include <sys/resource.h>

#define PAIRS  9
#define EVENTS 400000u

static size_t fired;

static void alert(void *ctx, const struct detect_alert *al, struct detect_subject *s)
{
    fired++;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 + (double)u.ru_stime.tv_sec +
           (double)u.ru_stime.tv_usec / 1e6;
}

static double shared(const struct detect_rules *rs, const struct detect_subject *v, size_t n, struct arena *a)
{
    struct detector *d = detector_new(rs);
    double start = cpu();
    for (size_t i = 0; i < EVENTS; i++) {
        struct detect_subject s = v[i % n];
        arena_reset(a);
        s.a = a;
        s.time += (int64_t)i * TIME_SECOND; /* so that nothing adds up */
        detector_run(d, &s, alert, NULL);
    }
    double took = cpu() - start;
    detector_free(d);
    return took;
}

static double alone(const struct detect_rules *rs, const struct detect_subject *v, size_t n, struct arena *a)
{
    struct detect_rule *const *rules;
    size_t rules_n = detect_rules_list(rs, &rules);
    struct expr_memo *m = expr_memo_new(detect_rules_set(rs));
    double start = cpu();
    for (size_t i = 0; i < EVENTS / 10; i++)
        for (size_t k = 0; k < rules_n; k++) {
            struct detect_subject s = v[i % n];
            arena_reset(a);
            s.a = a;
            expr_memo_next(m);
            for (size_t step = 0; step < rules[k]->steps_n; step++)
                fired += expr_set_eval(m, rules[k]->steps[step], detect_get, &s);
        }
    double took = (cpu() - start) * 10;
    expr_memo_free(m);
    return took;
}

static int by_value(const void *x, const void *y)
{
    const double *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

int main(int argc, char **argv)
{
    _cleanup_(detect_rules_freep) struct detect_rules *rs = detect_rules_new();
    _cleanup_(arena_freep) struct arena *keep = arena_new(1u << 30), *a = arena_new(64u << 20);
    struct detect_subject *v = NULL;
    size_t n = 0, cap = 0;
    struct err e = ERR_INIT;
    if (argc < 3 || detect_rules_read(rs, argv[1], &e) < 0)
        return fprintf(stderr, "usage: rules_bench RULES-DIR EVENTS.jsonl... %s\n", e.msg), 2;
    detect_rules_compile(rs);
    for (int i = 2; i < argc; i++) {
        struct str text, line;
        if (fs_read(keep, argv[i], 64u << 20, &text, &e) < 0)
            return fprintf(stderr, "%s\n", e.msg), 3;
        while (str_cut(&text, '\n', &line)) {
            struct json_value *j;
            v = arena_grow(keep, v, n, &cap, sizeof(*v));
            v[n] = (struct detect_subject){.a = keep};
            if (line.n && json_parse(keep, line, 0, &j, &e) >= 0 && detect_subject_json(&v[n], j, &e) >= 0)
                n++;
        }
    }
    double rate[PAIRS], ratio[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) {
        double x = shared(rs, v, n, a), y = alone(rs, v, n, a);
        rate[i] = EVENTS / x;
        ratio[i] = y / x;
    }
    qsort(rate, PAIRS, sizeof(*rate), by_value);
    qsort(ratio, PAIRS, sizeof(*ratio), by_value);
    printf("%zu rules, %zu different events: %.0f events/s a core (%.0f to %.0f); every rule by itself takes %.1f times as long (%.1f to %.1f)\n",
           detect_rules_in_force(rs), n, rate[PAIRS / 2], rate[0], rate[PAIRS - 1], ratio[PAIRS / 2], ratio[0],
           ratio[PAIRS - 1]);
    return 0;
}
