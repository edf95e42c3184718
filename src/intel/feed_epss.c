/* https://www.first.org/epss/data_stats: "#model_version:...,score_date:...", "cve,epss,percentile", and a line for
 * each. */
#include "base/cleanup.h"
#include "intel/feed.h"

static void comment(struct feed *f, struct str line)
{
    ptrdiff_t at = str_find(line, STR("score_date:"));
    struct str date, rest;
    if (at < 0)
        return;
    str_split(str_sub(line, (size_t)at + 11, line.n), ',', &date, &rest);
    feed_saw_date(f, feed_date(f->a, date));
}

static bool probability(struct str s)
{
    double v;
    return str_double(s, &v) == 0 && v >= 0 && v <= 1;
}

static int take_line(void *arg, struct str line, size_t number, struct err *e)
{
    struct feed *f = arg;
    struct str id, epss, percentile;
    arena_reset(f->a);
    line = str_trim(line);
    if (!line.n || str_starts(line, STR("cve,")))
        return 0;
    if (line.p[0] == '#')
        return comment(f, line), 0;
    if (!str_cut(&line, ',', &id) || !str_cut(&line, ',', &epss) || !str_cut(&line, ',', &percentile) || line.n ||
        !feed_is_cve(id) || !probability(epss) || !probability(percentile))
        return err_set(e, EBADMSG, "line %zu: not cve,epss,percentile", number);
    RECORD_WRITE(f->w, SCORE, feed_text(f->a, id), epss, percentile);
    return f->w->code;
}

int feed_epss(struct feed *f, struct err *e)
{
    return feed_lines(f, take_line, f, e);
}
