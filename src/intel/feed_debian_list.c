/* data/DSA/list, data/DLA/list, data/DTSA/list of Debian's security tracker:
 *
 *     [29 Mar 2023] DSA-5380-1 xorg-server - security update
 *     <TAB>{CVE-2023-1393}
 *     <TAB>[bullseye] - xorg-server 2:1.20.11-1+deb11u6
 *
 * They name fixes only. Where the tracker's JSON speaks of a release, these count for nothing there (stage.c). */
#include "base/cleanup.h"
#include "intel/feed.h"

enum { CVES_MAX = 2048, ADVISORY_ARENA = 1 << 20 };

struct list {
    struct feed *f;
    struct arena *a; /* one advisory */
    struct str id, title, cves[CVES_MAX];
    size_t cves_n;
    int64_t published;
    bool told;
};

static const char feed_name[] = "debian-list";

static int64_t date(struct arena *a, struct str s)
{
    struct str day, month, year;
    ptrdiff_t at;
    if (!str_cut(&s, ' ', &day) || !str_cut(&s, ' ', &month) || !str_cut(&s, ' ', &year) || month.n != 3 ||
        (at = str_find(STR("JanFebMarAprMayJunJulAugSepOctNovDec"), month)) < 0)
        return 0;
    return feed_date(a, arena_strf(a, STR_FMT "-%02d-%s" STR_FMT "T00:00:00Z", STR_ARG(year), (int)(at / 3 + 1),
                                   day.n == 1 ? "0" : "", STR_ARG(day)));
}

static void begin(struct list *l, struct str line)
{
    ptrdiff_t close = str_chr(line, ']');
    struct str rest = close < 0 ? STR_NONE : str_trim(str_sub(line, (size_t)close + 1, line.n));
    arena_reset(l->a);
    l->cves_n = 0;
    l->told = false;
    l->published = date(l->a, str_sub(line, 1, close < 0 ? 0 : (size_t)close));
    feed_saw_date(l->f, l->published);
    l->id = STR_NONE;
    str_cut(&rest, ' ', &l->id);
    l->id = arena_str(l->a, l->id);
    l->title = arena_str(l->a, rest);
}

static void take_cves(struct list *l, struct str line)
{
    struct str word;
    while (str_cut(&line, ' ', &word)) {
        while (word.n && (word.p[0] == '{' || word.p[0] == '}'))
            word = str_sub(word, 1, word.n);
        while (word.n && word.p[word.n - 1] == '}')
            word.n--;
        if (feed_is_cve(word) && l->cves_n < CVES_MAX)
            l->cves[l->cves_n++] = arena_str(l->a, word);
    }
}

static bool status_of(struct str word, enum vuln_status *ret)
{
    static const struct {
        const char *word;
        enum vuln_status status;
    } words[] = {{"<unfixed>", VULN_AFFECTED},
                 {"<no-dsa>", VULN_AFFECTED},
                 {"<ignored>", VULN_WILL_NOT_FIX},
                 {"<postponed>", VULN_FIX_DEFERRED},
                 {"<end-of-life>", VULN_END_OF_LIFE}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eqc(word, words[i].word)) {
            *ret = words[i].status;
            return true;
        }
    return false; /* <not-affected>, <undetermined>, <removed> */
}

/* "[bullseye] - xorg-server 2:1.20.11-1+deb11u6" */
static int take_fix(struct list *l, struct str line)
{
    struct arena *a = l->f->a;
    ptrdiff_t close = str_chr(line, ']');
    struct str release = str_sub(line, 1, (size_t)(close < 0 ? 1 : close)), rest, dash, name, version;
    if (close < 0)
        return 0;
    rest = str_trim(str_sub(line, (size_t)close + 1, line.n));
    if (!str_cut(&rest, ' ', &dash) || !str_eqc(dash, "-") || !str_cut(&rest, ' ', &name) ||
        !str_cut(&rest, ' ', &version) || !feed_id_ok(l->id))
        return 0;
    arena_reset(a);
    struct feed_row row = {.feed = feed_name,
                           .space = arena_strf(a, "debian/" STR_FMT, STR_ARG(release)),
                           .name = name,
                           .scheme = VERSION_DPKG,
                           .status = VULN_FIXED,
                           .fixed = version};
    if (version.n && version.p[0] == '<') {
        row.fixed = STR_NONE;
        if (!status_of(version, &row.status))
            return 0;
    }
    for (size_t i = 0; i < l->cves_n; i++) {
        row.id = l->cves[i];
        feed_row(l->f, &row);
    }
    row.id = l->id;
    if (!l->cves_n)
        feed_row(l->f, &row);
    struct feed_vuln v = {.feed = "debian", .id = l->id, .cvss = -1, .published = l->published, .title = l->title};
    v.aliases = feed_join(a, l->cves, l->cves_n < FEED_ALIASES_MAX ? l->cves_n : FEED_ALIASES_MAX);
    if (!l->told)
        feed_vuln(l->f, &v);
    l->told = true;
    return l->f->w->code;
}

static int take_line(struct list *l, struct str line)
{
    struct str text = str_trim(line);
    if (!text.n)
        return 0;
    if (line.p[0] == '[')
        begin(l, line);
    else if (text.p[0] == '{')
        take_cves(l, text);
    else if (text.p[0] == '[')
        return take_fix(l, text);
    return 0;
}

static int on_line(void *arg, struct str line, size_t number, struct err *e)
{
    return take_line(arg, line);
}

int feed_debian_list(struct feed *f, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(ADVISORY_ARENA);
    _cleanup_free_ struct list *l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    l->f = f;
    l->a = a;
    int r = feed_lines(f, on_line, l, e);
    f->name = "debian";
    return r;
}
