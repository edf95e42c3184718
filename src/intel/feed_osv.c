/* https://ossf.github.io/osv-schema/: one record a document. GIT ranges are left out: nothing here knows commits. */
#include "base/cleanup.h"
#include "intel/cvss.h"
#include "intel/ecosystem.h"
#include "intel/feed.h"
#include "intel/ranges.h"
#include "intel/redhat.h"

enum { EVENTS_MAX = 4096, CVES_MAX = 512 };

struct osv {
    struct feed *f;
    struct str id;
    const struct json_value *doc;
    enum vuln_severity word; /* of a distribution */
};

/* "UBUNTU-CVE-2021-1" is what Ubuntu says of CVE-2021-1. */
static struct str plain_cve(struct str id)
{
    ptrdiff_t at = str_find(id, STR("-CVE-"));
    return at > 0 && feed_is_cve(str_sub(id, (size_t)at + 1, id.n)) ? str_sub(id, (size_t)at + 1, id.n) : id;
}

/* aliases and upstream (what a distribution's record stands for), separated by blanks */
static struct str aliases_of(struct arena *a, const struct osv *o)
{
    static const char *const keys[] = {"aliases", "upstream"};
    struct buf b = BUF_INIT(FEED_ALIASES_MAX * (FEED_ID_MAX + 1));
    size_t n = 0;
    for (size_t k = 0; k < ARRAY_LEN(keys); k++)
        JSON_EACH (json_get(o->doc, keys[k]), it) {
            struct str alias = plain_cve(json_str(it));
            if (!feed_id_ok(alias) || str_eq(alias, o->id) || n == FEED_ALIASES_MAX)
                continue;
            if (n++)
                buf_putc(&b, ' ');
            buf_puts(&b, alias);
        }
    struct str text = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return text;
}

struct severity {
    enum vuln_severity word;
    double score;
    int version;
    struct str vector;
};

static void take_vector(struct severity *s, struct str vector)
{
    double score;
    int version;
    if (vector.n <= 512 && cvss_score(vector, &score, &version) == 0 && version > s->version) {
        s->score = score;
        s->version = version;
        s->vector = vector;
    }
}

static void take_severities(struct severity *s, const struct json_value *list)
{
    JSON_EACH (list, it) {
        struct str type = json_str(json_get(it, "type")), score = json_str(json_get(it, "score"));
        if (str_starts(type, STR("CVSS_")))
            take_vector(s, score);
        else if (s->word == VULN_UNKNOWN)
            vuln_severity_parse(score, &s->word); /* Ubuntu's words; else it stays as it is */
    }
}

static struct severity severity_of(const struct osv *o)
{
    struct severity s = {.score = -1};
    struct str word = json_str(json_path(o->doc, "database_specific.severity"));
    if (word.n)
        vuln_severity_parse(word, &s.word);
    if (str_starts(o->id, STR("MAL-"))) /* the package itself is the malware */
        s.word = VULN_CRITICAL;
    take_severities(&s, json_get(o->doc, "severity"));
    JSON_EACH (json_get(o->doc, "affected"), it) {
        take_severities(&s, json_get(it, "severity"));
        if (!s.version) /* RustSec keeps it there */
            take_vector(&s, json_str(json_path(it, "database_specific.cvss")));
        if (s.word == VULN_UNKNOWN && json_str(json_path(it, "database_specific.informational")).n)
            s.word = VULN_NEGLIGIBLE; /* "unmaintained" and the like are no vulnerabilities */
    }
    return s;
}

static int range_read(struct arena *a, const struct json_value *range, enum version_scheme scheme, struct buf *b,
                      struct err *e)
{
    static const struct {
        const char *key;
        char kind;
    } kinds[] = {{"introduced", 'I'}, {"fixed", 'F'}, {"last_affected", 'L'}};
    const struct json_value *list = json_get(range, "events");
    struct str type = json_str(json_get(range, "type"));
    size_t n = 0;
    if (str_eqc(type, "GIT"))
        return 0;
    if (!list || list->type != JSON_ARRAY || list->count > EVENTS_MAX)
        return err_set(e, EBADMSG, "a range without events");
    struct range_event *events = arena_array(a, 3 * list->count + 1, sizeof(*events));
    JSON_EACH (list, it)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            struct str v = json_str(json_get(it, kinds[k].key));
            if (v.n)
                events[n++] = (struct range_event){kinds[k].kind, feed_text(a, v)};
        }
    if (n)
        ranges_add(b, scheme, events, n);
    return 0;
}

static struct str versions_of(struct arena *a, const struct json_value *list, struct buf *b)
{
    JSON_EACH (list, it) {
        struct str v = json_str(it);
        if (!v.n)
            continue;
        if (b->n)
            buf_putc(b, '\n');
        buf_puts(b, feed_text(a, v));
    }
    return buf_str(b);
}

static enum vuln_severity row_severity(const struct json_value *it)
{
    static const char *const paths[] = {"ecosystem_specific.severity", "ecosystem_specific.urgency",
                                        "ecosystem_specific.ubuntu_priority", "database_specific.severity"};
    enum vuln_severity s;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct str word = json_str(json_path(it, paths[i]));
        if (str_eqc(word, "unimportant"))
            return VULN_LOW;
        if (word.n && vuln_severity_parse(word, &s) == 0)
            return s;
    }
    return VULN_UNKNOWN;
}

static bool of_distribution(enum version_scheme scheme)
{
    return scheme == VERSION_DPKG || scheme == VERSION_RPM || scheme == VERSION_APK;
}

/* The CVEs a distribution's record is about; itself when it names none. */
static size_t distribution_ids(struct arena *a, const struct osv *o, struct str *ids)
{
    static const char *const keys[] = {"aliases", "upstream", "related"};
    bool erratum = str_starts(o->id, STR("ALSA-")) || str_starts(o->id, STR("RLSA-")) ||
                   str_starts(o->id, STR("RXSA-")) || str_has(o->id, STR("SUSE-")) || str_starts(o->id, STR("RHSA-"));
    size_t n = 0;
    if (feed_is_cve(plain_cve(o->id))) {
        ids[0] = plain_cve(o->id);
        return 1;
    }
    for (size_t k = 0; k < (erratum ? 3 : 2); k++)
        JSON_EACH (json_get(o->doc, keys[k]), it) {
            struct str id = plain_cve(json_str(it));
            bool have = !feed_is_cve(id);
            for (size_t i = 0; i < n; i++)
                have = have || str_eq(ids[i], id);
            if (!have && n < CVES_MAX)
                ids[n++] = id;
        }
    if (!n)
        ids[n++] = o->id;
    return n;
}

static int affected_read(struct osv *o, const struct json_value *it, struct err *e)
{
    struct arena *a = o->f->a;
    struct str ecosystem = json_str(json_path(it, "package.ecosystem")), name = json_str(json_path(it, "package.name"));
    enum version_scheme scheme = ecosystem_scheme(ecosystem);
    _cleanup_(buf_fini) struct buf ranges = BUF_INIT(RECORD_MAX / 4), versions = BUF_INIT(RECORD_MAX / 2);
    int r = 0;
    if (!ecosystem.n || !name.n) /* records about commits only */
        return 0;
    if (ecosystem.n > FEED_ID_MAX || name.n > 1024)
        return err_set(e, EBADMSG, "a package name of %zu bytes", name.n);
    JSON_EACH (json_get(it, "ranges"), range)
        if (r == 0)
            r = range_read(a, range, scheme, &ranges, e);
    if (r < 0)
        return r;
    versions_of(a, json_get(it, "versions"), &versions);
    if ((r = buf_check(&ranges, e)) < 0 || (r = buf_check(&versions, e)) < 0)
        return r;
    if (str_starts(ecosystem, STR("Red Hat:"))) /* "Red Hat:enterprise_linux:9::baseos" is the end of a CPE */
        ecosystem =
            redhat_space(a, arena_strf(a, "cpe:/a:redhat:" STR_FMT, STR_ARG(str_sub(ecosystem, 8, ecosystem.n))));
    if (!ecosystem.n)
        return 0;
    ecosystem = feed_text(a, ecosystem);
    RECORD_WRITE(o->f->w, SPACE, ecosystem, str_c(version_scheme_name(scheme)));
    if (!ranges.n && !versions.n)
        return o->f->w->code;
    struct str ids[CVES_MAX] = {o->id};
    enum vuln_severity severity = row_severity(it);
    size_t n = of_distribution(scheme) ? distribution_ids(a, o, ids) : 1;
    if (of_distribution(scheme) && severity == VULN_UNKNOWN)
        severity = o->word;
    for (size_t i = 0; i < n; i++)
        RECORD_WRITE(o->f->w, AFFECTED, ecosystem, feed_text(a, ecosystem_name(a, ecosystem, name)), ids[i], STR("osv"),
                     feed_number(a, VULN_AFFECTED), feed_number(a, severity), STR_NONE, buf_str(&ranges),
                     buf_str(&versions));
    return o->f->w->code;
}

static int record_read(struct osv *o, struct err *e)
{
    struct arena *a = o->f->a;
    int64_t modified = feed_date(a, json_str(json_get(o->doc, "modified")));
    const struct json_value *withdrawn = json_get(o->doc, "withdrawn"), *affected = json_get(o->doc, "affected");
    bool gone = json_str(withdrawn).n > 0;
    if (!feed_id_ok(o->id))
        return err_set(e, EBADMSG, "no usable id");
    if (affected && affected->type != JSON_ARRAY && affected->type != JSON_NULL)
        return err_set(e, EBADMSG, "affected is no list");
    feed_saw_date(o->f, modified);
    RECORD_WRITE(o->f->w, OSV, o->id, feed_number(a, modified), gone ? STR("1") : STR("0"));
    if (gone)
        return o->f->w->code;
    struct severity s = severity_of(o);
    const struct json_value *first = affected ? affected->first : NULL;
    if (of_distribution(ecosystem_scheme(json_str(json_path(first, "package.ecosystem"))))) {
        o->word = s.word; /* counts for its own packages only */
        s.word = VULN_UNKNOWN;
    }
    struct str title = json_str(json_get(o->doc, "summary"));
    if (!title.n)
        title = json_str(json_get(o->doc, "details"));
    RECORD_WRITE(o->f->w, VULN, o->id, STR("osv"), aliases_of(a, o), feed_number(a, s.word), feed_score(a, s.score),
                 feed_text(a, s.vector), feed_number(a, feed_date(a, json_str(json_get(o->doc, "published")))),
                 feed_title(a, title));
    int r = o->f->w->code;
    if (affected && affected->type == JSON_ARRAY)
        JSON_EACH (affected, it)
            if (r == 0)
                r = affected_read(o, it, e);
    return r;
}

int feed_osv_document(struct feed *f, const struct json_value *doc, struct err *e)
{
    struct osv o = {.f = f, .id = json_str(json_get(doc, "id")), .doc = doc};
    int r = record_read(&o, e);
    return r < 0 && feed_id_ok(o.id) && e->code != EPIPE ? (err_wrap(e, STR_FMT, STR_ARG(o.id)), r) : r;
}

int feed_osv(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    return r < 0 ? r : feed_osv_document(f, doc, e);
}
