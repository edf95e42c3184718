/* match: what the database says about one package. */
#include "base/cleanup.h"
#include "intel/cvss.h"
#include "intel/ecosystem.h"
#include "intel/ranges.h"
#include "intel/snapshot.h"

enum { HITS_MAX = 65536, ALIASES_MAX = 256 };

/* One vulnerability while its records are being gathered. */
struct hit {
    struct advisory adv;
    int rank;         /* whose word the severity is: 3 distribution, 2 vendor or GHSA, 1 CVSS */
    int cvss_version; /* of adv.cvss; NVD's counts above another's of the same version */
    bool cvss_nvd;
    struct str vendor_title;
};

struct match {
    struct intel *intel;
    struct arena *a;
    struct str version;
    struct map *by_id; /* every id and alias -> struct hit */
    struct hit **hits;
    size_t n, cap;
    enum version_scheme scheme;
    bool os;           /* a package of the operating system */
    bool subscription; /* the rows are about fixes that this package cannot have */
};

static bool is_cve(struct str id)
{
    return str_starts(id, STR("CVE-"));
}

/* The order in which ids name a vulnerability: CVE, GHSA, everything else by its text. */
static int id_rank(struct str id)
{
    return is_cve(id) ? 0 : str_starts(id, STR("GHSA-")) ? 1 : 2;
}

static bool id_better(struct str a, struct str b)
{
    int x = id_rank(a), y = id_rank(b);
    return x != y ? x < y : str_cmp(a, b) < 0;
}

static void hit_add_id(struct match *m, struct hit *h, struct str id)
{
    struct advisory *adv = &h->adv;
    if (str_eq(id, adv->id))
        return;
    for (size_t i = 0; i < adv->aliases_n; i++)
        if (str_eq(adv->aliases[i], id))
            return;
    if (!adv->id.n) {
        adv->id = id;
        return;
    }
    struct str *grown = arena_array(m->a, adv->aliases_n + 1, sizeof(*grown));
    if (adv->aliases_n)
        memcpy(grown, adv->aliases, adv->aliases_n * sizeof(*grown));
    adv->aliases = grown;
    if (id_better(id, adv->id)) {
        struct str was = adv->id;
        adv->id = id;
        id = was;
    }
    adv->aliases[adv->aliases_n++] = id;
}

/* ids of a record: its own and its aliases. Records that name more than one CVE (a DSA) are not the same as any. */
static size_t count_cves(struct str id, struct str aliases)
{
    struct str alias;
    size_t n = is_cve(id);
    while (str_cut(&aliases, ' ', &alias))
        n += is_cve(alias) && !str_eq(alias, id);
    return n;
}

static struct hit *hit_for(struct match *m, struct str id, struct str aliases)
{
    struct str alias, rest = aliases;
    bool merge = count_cves(id, aliases) <= 1;
    struct hit *h = map_get(m->by_id, id);
    while (merge && !h && str_cut(&rest, ' ', &alias))
        h = map_get(m->by_id, alias);
    if (!h) {
        m->hits = arena_grow(m->a, m->hits, m->n, &m->cap, sizeof(struct hit *));
        h = m->hits[m->n++] = arena_new_of(m->a, struct hit);
        h->adv.cvss = h->adv.epss = -1;
    }
    hit_add_id(m, h, arena_str(m->a, id));
    if (!map_has(m->by_id, id))
        map_put(m->by_id, id, h);
    while (merge && str_cut(&aliases, ' ', &alias)) {
        if (!alias.n)
            continue;
        hit_add_id(m, h, arena_str(m->a, alias));
        if (!map_has(m->by_id, alias))
            map_put(m->by_id, alias, h);
    }
    return h;
}

static void set_severity(struct hit *h, int rank, enum vuln_severity severity, struct str source)
{
    if (severity == VULN_UNKNOWN || rank < h->rank || (rank == h->rank && severity <= h->adv.severity))
        return;
    h->rank = rank;
    h->adv.severity = severity;
    h->adv.severity_source = source;
}

static void set_cvss(struct hit *h, double score, struct str vector, bool nvd)
{
    if (score < 0)
        return;
    int version = str_starts(vector, STR("CVSS:4")) ? 4 : str_starts(vector, STR("CVSS:3")) ? 3 : 2;
    if (version < h->cvss_version || (version == h->cvss_version && (h->cvss_nvd || !nvd)))
        return;
    h->cvss_version = version;
    h->cvss_nvd = nvd;
    h->adv.cvss = score;
}

/* What a feed says about the vulnerability itself, whatever the package. */
static int take_vuln(struct match *m, struct hit *h, struct str id, struct err *e)
{
    sqlite3_stmt *s = m->intel->by_vuln;
    int r;
    sqlite3_reset(s);
    snapshot_bind(s, 1, id);
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct str feed = snapshot_text(m->a, s, 0);
        bool nvd = str_eqc(feed, "nvd");
        int64_t published = sqlite3_column_int64(s, 5);
        set_severity(h, 2, (enum vuln_severity)sqlite3_column_int(s, 2),
                     str_starts(id, STR("GHSA-")) ? STR("ghsa") : feed);
        set_cvss(h, sqlite3_column_double(s, 3), snapshot_peek(s, 4), nvd);
        if (published > 0 && (!h->adv.published || published < h->adv.published))
            h->adv.published = published;
        struct str title = snapshot_peek(s, 6);
        if (title.n && !nvd && !h->vendor_title.n)
            h->vendor_title = arena_str(m->a, title);
        else if (title.n && !h->adv.title.n)
            h->adv.title = arena_str(m->a, title);
    }
    sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : database_error(m->intel->database.db, e, "intel database");
}

static int take_scores(struct match *m, struct hit *h, struct str id, struct err *e)
{
    sqlite3_stmt *s = m->intel->by_score, *k = m->intel->by_kev;
    sqlite3_reset(s);
    snapshot_bind(s, 1, id);
    int r = sqlite3_step(s);
    if (r == SQLITE_ROW && sqlite3_column_double(s, 0) > h->adv.epss)
        h->adv.epss = sqlite3_column_double(s, 0);
    sqlite3_reset(s);
    sqlite3_reset(k);
    snapshot_bind(k, 1, id);
    int q = sqlite3_step(k);
    if (q == SQLITE_ROW)
        h->adv.kev = true;
    sqlite3_reset(k);
    return (r == SQLITE_ROW || r == SQLITE_DONE) && (q == SQLITE_ROW || q == SQLITE_DONE)
               ? 0
               : database_error(m->intel->database.db, e, "intel database");
}

/* Aliases of a record live with its vuln row. */
static struct str aliases_of(struct match *m, struct str id, struct str feed)
{
    sqlite3_stmt *s = m->intel->by_vuln;
    struct str aliases = STR_NONE;
    sqlite3_reset(s);
    snapshot_bind(s, 1, id);
    while (sqlite3_step(s) == SQLITE_ROW)
        if (str_eq(snapshot_peek(s, 0), feed))
            aliases = snapshot_text(m->a, s, 1);
    sqlite3_reset(s);
    return aliases;
}

/* Does the row hit the version, and what fixes it? Columns: id, feed, status, severity, fixed, ranges, versions. */
static bool row_hits(const struct match *m, sqlite3_stmt *s, struct str *ret_fixed)
{
    struct str fixed = snapshot_peek(s, 4), ranges = snapshot_peek(s, 5);
    int order;
    *ret_fixed = fixed;
    if (ranges.n)
        return ranges_match(ranges, m->scheme, m->version, ret_fixed) ||
               versions_match(snapshot_peek(s, 6), m->scheme, m->version);
    struct str versions = snapshot_peek(s, 6);
    if (versions.n)
        return versions_match(versions, m->scheme, m->version);
    /* without a fix every version is hit; a version that is none is told rather than hidden */
    return !fixed.n || version_compare(m->scheme, m->version, fixed, &order) < 0 || order < 0;
}

static void take_status(struct match *m, struct hit *h, enum vuln_status status, struct str fixed)
{
    int order;
    bool first = !h->adv.source.n;
    if (first)
        h->adv.status = status;
    if (fixed.n && (!h->adv.fixed.n || (version_compare(m->scheme, h->adv.fixed, fixed, &order) == 0 && order < 0))) {
        h->adv.fixed = arena_str(m->a, fixed);
        h->adv.status = status;
    }
}

static int take_row(struct match *m, sqlite3_stmt *s, struct str fixed, struct err *e)
{
    struct str id = snapshot_text(m->a, s, 0), feed = snapshot_text(m->a, s, 1);
    enum vuln_status status = (enum vuln_status)sqlite3_column_int(s, 2);
    if (status == VULN_NOT_AFFECTED)
        return 0;
    if (m->subscription) {
        fixed = STR_NONE;
        status = status == VULN_FIXED ? VULN_AFFECTED : status;
    }
    if (m->n >= HITS_MAX || map_count(m->by_id) >= HITS_MAX)
        return err_set(e, E2BIG, "more than %d advisories for one package", HITS_MAX);
    struct hit *h = hit_for(m, id, aliases_of(m, id, feed));
    take_status(m, h, fixed.n && status == VULN_AFFECTED ? VULN_FIXED : status, fixed);
    set_severity(h, m->os ? 3 : 2, (enum vuln_severity)sqlite3_column_int(s, 3), feed);
    if (!h->adv.source.n)
        h->adv.source = feed;
    return 0;
}

static struct str advisory_address(struct arena *a, const struct advisory *adv)
{
    static const struct {
        const char *source, *prefix;
    } pages[] = {{"debian", "https://security-tracker.debian.org/tracker/"},
                 {"alpine", "https://security.alpinelinux.org/vuln/"},
                 {"ubuntu", "https://ubuntu.com/security/"},
                 {"redhat", "https://access.redhat.com/security/cve/"},
                 {"oracle", "https://linux.oracle.com/cve/"},
                 {"suse", "https://www.suse.com/security/cve/"},
                 {"amazon", "https://explore.alas.aws.amazon.com/"},
                 {"nvd", "https://nvd.nist.gov/vuln/detail/"}};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (str_eqc(adv->source, pages[i].source))
            return arena_strf(a, "%s" STR_FMT, pages[i].prefix, STR_ARG(adv->id));
    struct str id = adv->id;
    for (size_t i = 0; i < adv->aliases_n && is_cve(id); i++)
        id = adv->aliases[i];
    return str_starts(id, STR("GHSA-")) ? arena_strf(a, "https://github.com/advisories/" STR_FMT, STR_ARG(id))
                                        : arena_strf(a, "https://osv.dev/vulnerability/" STR_FMT, STR_ARG(id));
}

/* Records that call themselves aliases of what was hit, though their own ranges were not: their words count too. */
static int take_other_names(struct match *m, struct hit *h, struct err *e)
{
    sqlite3_stmt *s = m->intel->by_alias;
    int r = SQLITE_DONE;
    if (!is_cve(h->adv.id))
        return 0;
    sqlite3_reset(s);
    snapshot_bind(s, 1, h->adv.id);
    while (h->adv.aliases_n < ALIASES_MAX && (r = sqlite3_step(s)) == SQLITE_ROW)
        if (count_cves(snapshot_peek(s, 0), snapshot_peek(s, 1)) == 1)
            hit_add_id(m, h, snapshot_text(m->a, s, 0));
    sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : database_error(m->intel->database.db, e, "intel database");
}

static int complete(struct match *m, struct hit *h, struct err *e)
{
    struct advisory *adv = &h->adv;
    int q = take_other_names(m, h, e);
    if (q < 0)
        return q;
    for (size_t i = 0; i <= adv->aliases_n; i++) {
        struct str id = i ? adv->aliases[i - 1] : adv->id;
        int r = take_vuln(m, h, id, e);
        if (r < 0 || (is_cve(id) && (r = take_scores(m, h, id, e)) < 0))
            return r;
    }
    if (h->cvss_version)
        set_severity(h, 1, cvss_severity(adv->cvss, h->cvss_version), h->cvss_nvd ? STR("nvd") : adv->source);
    if (h->vendor_title.n)
        adv->title = h->vendor_title;
    adv->advisory = advisory_address(m->a, adv);
    return 0;
}

static int worst_first(const void *p, const void *q)
{
    const struct advisory *a = p, *b = q;
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    if (a->cvss != b->cvss)
        return a->cvss > b->cvss ? -1 : 1;
    return str_cmp(a->id, b->id);
}

static int gather(struct match *m, int64_t space, struct str name, struct err *e)
{
    sqlite3_stmt *s = m->intel->by_package;
    int r, q = 0;
    sqlite3_reset(s);
    sqlite3_bind_int64(s, 1, space);
    snapshot_bind(s, 2, name);
    while ((r = sqlite3_step(s)) == SQLITE_ROW && q == 0) {
        struct str fixed;
        if (row_hits(m, s, &fixed))
            q = take_row(m, s, fixed, e);
    }
    sqlite3_reset(s);
    if (q < 0)
        return q;
    return r == SQLITE_DONE ? 0 : database_error(m->intel->database.db, e, "intel database");
}

static bool has_subscription(struct str version)
{
    return str_has(version, STR("esm"));
}

static int look_up(struct match *m, const struct ecosystem_lookup *l, size_t n, struct err *e)
{
    bool found = false;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        const struct space *space = map_get(m->intel->spaces, l[i].space);
        if (!space || (l[i].otherwise && found))
            continue;
        found = true;
        m->scheme = space->scheme;
        m->version = l[i].version;
        m->subscription = l[i].subscription && !has_subscription(l[i].version);
        r = gather(m, space->id, l[i].name, e);
    }
    for (size_t i = 0; i < m->n && r == 0; i++)
        r = complete(m, m->hits[i], e);
    return r;
}

static bool is_headers(const struct package *p)
{
    return str_eqc(p->name, "linux-libc-dev") || str_starts(p->name, STR("linux-headers-")) ||
           str_eqc(p->name, "linux-headers") || str_eqc(p->name, "kernel-headers");
}

int intel_match(struct intel *i, struct arena *a, const struct package *p, const struct os_release *os,
                struct advisory **ret, size_t *ret_n, struct err *e)
{
    struct ecosystem_lookup lookups[ECOSYSTEM_LOOKUPS];
    struct match m = {.intel = i, .a = a};
    size_t n = ecosystem_lookups(a, p, os, lookups, &m.os);
    if (!n) {
        *ret = NULL;
        *ret_n = 0;
        return 0;
    }
    _cleanup_(map_freep) struct map *by_id = map_new(2 * HITS_MAX);
    m.by_id = by_id;
    pthread_mutex_lock(&i->lock);
    int r = look_up(&m, lookups, n, e);
    pthread_mutex_unlock(&i->lock);
    if (r < 0)
        return r;
    struct advisory *out = arena_array(a, m.n ? m.n : 1, sizeof(*out));
    for (size_t k = 0; k < m.n; k++) {
        out[k] = m.hits[k]->adv;
        out[k].headers_only = m.os && is_headers(p);
    }
    qsort(out, m.n, sizeof(*out), worst_first);
    *ret = out;
    *ret_n = m.n;
    return 0;
}
