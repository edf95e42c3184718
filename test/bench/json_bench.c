/* How fast the strict JSON reader is, as a ratio to json-c reading the same text in the same run (interleaved pairs,
 * median and quartiles). Text: the files given, or a feed-like one made here.
 *
 *     build/test/bench/json_bench [FILE...]
 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"

double json_peer(const char *p, size_t n); /* json_peer.c */

#define PAIRS 15

static double seconds(int64_t from)
{
    return (double)(time_monotonic() - from) / 1e6;
}

static double pull(struct str text, int flags)
{
    int64_t start = time_monotonic();
    struct json *j = json_open_mem(text, flags);
    struct err e = ERR_INIT;
    int t;
    while ((t = json_next(j, &e)) > 0)
        ;
    if (t < 0)
        fprintf(stderr, "%s\n", e.msg);
    json_close(j);
    return seconds(start);
}

static double document(struct str text)
{
    int64_t start = time_monotonic();
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)4 << 30);
    struct json_value *v;
    struct err e = ERR_INIT;
    if (json_parse(a, text, 0, &v, &e) < 0)
        fprintf(stderr, "%s\n", e.msg);
    return seconds(start);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void show(const char *what, double *ratio)
{
    qsort(ratio, PAIRS, sizeof(*ratio), by_value);
    printf("  %-34s %.1f times json-c (quartiles %.1f to %.1f of %d pairs)\n", what, ratio[PAIRS / 2], ratio[PAIRS / 4],
           ratio[PAIRS * 3 / 4], PAIRS);
}

static void measure(const char *name, struct str text)
{
    double p[PAIRS], q[PAIRS], d[PAIRS], best = 1e9;
    for (int i = 0; i < PAIRS; i++) {
        double c = json_peer(text.p, text.n), t = pull(text, 0);
        best = t < best ? t : best;
        p[i] = c / t;
        q[i] = c / pull(text, JSON_ANY_KEYS);
        d[i] = c / document(text);
    }
    printf("%s: %zu bytes, pull reader %.0f MB/s\n", name, text.n, (double)text.n / best / 1e6);
    show("pull, duplicate keys refused", p);
    show("pull, keys not compared", q);
    show("document", d);
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)4 << 30);
    struct err e = ERR_INIT;
    for (int i = 1; i < argc; i++) {
        struct str text;
        if (fs_read(a, argv[i], (size_t)2 << 30, &text, &e) < 0) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        measure(argv[i], text);
    }
    if (argc > 1)
        return 0;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
    buf_putc(&b, '{');
    for (int i = 0; i < 40000; i++)
        buf_printf(&b,
                   "%s\n \"CVE-2024-%05d\": {\"description\": \"A flaw was found in the way that component %d handles "
                   "\\\"long\\\" "
                   "input, which could lead to a heap overflow.\", \"scope\": \"local\", \"releases\": {\"bookworm\": "
                   "{\"status\": \"resolved\", \"fixed_version\": \"1.%d-1\", \"urgency\": \"not yet assigned\"}, "
                   "\"trixie\": {\"status\": \"open\", \"score\": %d.5, \"kev\": false}}}",
                   i ? "," : "", i, i, i, i % 10);
    buf_putz(&b, "\n}\n");
    measure("feed-like", buf_str(&b));
    return 0;
}
