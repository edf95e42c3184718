/* updateinfo.xml of rpm repositories (createrepo_c): Amazon, AlmaLinux, Rocky, Oracle, SUSE, Fedora's layout; and the
 * RSS of Amazon's bulletins, which names packages but no versions: it gives severity and date of a bulletin only. */
#include "base/cleanup.h"
#include "intel/feed_xml.h"
#include "intel/oval.h"

enum { IDS_MAX = 2048, PACKAGES_MAX = 20000 };

struct rpm {
    struct str name, evr, module, release;
};

struct state {
    struct feed *f;
    bool open, security, seen;
    struct str id, title, severity, collection, module, release_name;
    int64_t issued;
    struct str cves[IDS_MAX];
    size_t cves_n;
    struct rpm *rpms;
    size_t rpms_n, rpms_cap;
};

/* A number after a mark: "1.el8_6" -> 8. */
static struct str number_after(struct str s, const char *mark)
{
    ptrdiff_t at = str_find(s, str_c(mark));
    if (at < 0 && mark[1] == 'e') /* "1.module_el8.9.0+1" */
        at = str_find(s, STR("_el"));
    size_t from, to;
    if (at < 0)
        return STR_NONE;
    for (from = to = (size_t)at + strlen(mark); to < s.n && s.p[to] >= '0' && s.p[to] <= '9';)
        to++;
    return str_sub(s, from, to);
}

/* By the advisory's id and the release of the package: "RLSA-2023:1" and "2.el9" -> rocky/9. */
static struct str space_of(struct state *s, const struct rpm *p, const char **feed)
{
    static const struct {
        const char *prefix, *feed, *mark;
    } publishers[] = {{"ALSA-", "alma", ".el"},    {"ALBA-", "alma", ".el"},    {"ALEA-", "alma", ".el"},
                      {"RLSA-", "rocky", ".el"},   {"RLBA-", "rocky", ".el"},   {"RLEA-", "rocky", ".el"},
                      {"RXSA-", "rocky", ".el"},   {"ELSA-", "oracle", ".el"},  {"RHSA-", "redhat", ".el"},
                      {"ALAS", "amazon", ".amzn"}, {"FEDORA-", "fedora", ".fc"}};
    struct arena *a = s->f->a;
    for (size_t i = 0; i < ARRAY_LEN(publishers); i++) {
        if (!str_starts(s->id, str_c(publishers[i].prefix)))
            continue;
        struct str number = number_after(p->release, publishers[i].mark);
        *feed = publishers[i].feed;
        return number.n ? arena_strf(a, "%s/" STR_FMT, *feed, STR_ARG(number)) : STR_NONE;
    }
    enum version_scheme scheme;
    struct str space = oval_space(a, s->release_name, &scheme, feed);
    return space.n ? space : oval_space(a, s->collection, &scheme, feed);
}

static void emit(struct state *s)
{
    struct feed *f = s->f;
    const char *feed = "";
    if (!s->security || !feed_id_ok(s->id))
        return;
    for (size_t i = 0; i < s->rpms_n; i++) {
        const struct rpm *p = &s->rpms[i];
        struct feed_row row = {
            .space = space_of(s, p, &feed),
            .name =
                p->module.n ? arena_strf(f->a, STR_FMT "::" STR_FMT, STR_ARG(p->module), STR_ARG(p->name)) : p->name,
            .scheme = VERSION_RPM,
            .status = VULN_FIXED,
            .severity = feed_severity(s->severity),
            .fixed = p->evr};
        row.feed = feed;
        if (!row.space.n)
            continue;
        for (size_t k = 0; k < s->cves_n; k++) {
            row.id = s->cves[k];
            feed_row(f, &row);
        }
        row.id = s->id;
        if (!s->cves_n)
            feed_row(f, &row);
    }
    struct feed_vuln v = {.feed = feed, .id = s->id, .cvss = -1, .published = s->issued, .title = s->title};
    v.aliases = feed_join(f->a, s->cves, s->cves_n < FEED_ALIASES_MAX ? s->cves_n : FEED_ALIASES_MAX);
    if (feed[0])
        feed_vuln(f, &v);
}

static void take_cve(struct state *s, struct str id)
{
    for (size_t i = 0; i < s->cves_n; i++)
        if (str_eq(s->cves[i], id))
            return;
    if (feed_is_cve(id) && s->cves_n < IDS_MAX)
        s->cves[s->cves_n++] = arena_str(s->f->a, id);
}

static int take_package(struct state *s, const char *const *attrs, struct err *e)
{
    struct arena *a = s->f->a;
    struct str epoch = feed_xml_attr(attrs, "epoch"), version = feed_xml_attr(attrs, "version"),
               release = feed_xml_attr(attrs, "release"), name = feed_xml_attr(attrs, "name");
    if (str_eqc(feed_xml_attr(attrs, "arch"), "src") || !name.n || !version.n)
        return 0;
    if (s->rpms_n == PACKAGES_MAX)
        return err_set(e, E2BIG, STR_FMT ": more than %d packages", STR_ARG(s->id), PACKAGES_MAX);
    s->rpms = arena_grow(a, s->rpms, s->rpms_n, &s->rpms_cap, sizeof(*s->rpms));
    s->rpms[s->rpms_n++] = (struct rpm){
        arena_str(a, name),
        arena_strf(a, STR_FMT "%s" STR_FMT "-" STR_FMT, STR_ARG(epoch.n && !str_eqc(epoch, "0") ? epoch : STR("")),
                   epoch.n && !str_eqc(epoch, "0") ? ":" : "", STR_ARG(version), STR_ARG(release)),
        s->module, arena_strf(a, "." STR_FMT, STR_ARG(release))};
    return 0;
}

static int on_start(void *arg, struct str name, const char *const *attrs, struct err *e)
{
    struct state *s = arg;
    struct arena *a = s->f->a;
    if (str_eqc(name, "update")) {
        arena_reset(a);
        *s = (struct state){.f = s->f, .open = true, .seen = true};
        s->security = str_eqc(feed_xml_attr(attrs, "type"), "security");
    } else if (!s->open) {
        s->seen = s->seen || str_eqc(name, "updates");
    } else if (str_eqc(name, "reference") && str_ieq(feed_xml_attr(attrs, "type"), STR("cve"))) {
        take_cve(s, feed_xml_attr(attrs, "id"));
    } else if (str_eqc(name, "issued") || str_eqc(name, "updated")) {
        int64_t date = feed_date(a, feed_xml_attr(attrs, "date"));
        feed_saw_date(s->f, date);
        if (str_eqc(name, "issued"))
            s->issued = date;
    } else if (str_eqc(name, "collection")) {
        s->module = STR_NONE;
    } else if (str_eqc(name, "module")) {
        s->module = arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(feed_xml_attr(attrs, "name")),
                               STR_ARG(feed_xml_attr(attrs, "stream")));
    } else if (str_eqc(name, "package")) {
        return take_package(s, attrs, e);
    }
    return 0;
}

static int on_end(void *arg, struct str name, struct str text, struct err *e)
{
    struct state *s = arg;
    if (!s->open)
        return 0;
    const struct {
        const char *name;
        struct str *field;
    } fields[] = {{"id", &s->id}, {"title", &s->title}, {"severity", &s->severity}, {"release", &s->release_name}};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (str_eqc(name, fields[i].name) && !fields[i].field->n)
            *fields[i].field = arena_str(s->f->a, text);
    if (str_eqc(name, "name"))
        s->collection = arena_str(s->f->a, text);
    if (str_eqc(name, "update")) {
        emit(s);
        s->open = false;
    }
    return s->f->w->code;
}

int feed_updateinfo(struct feed *f, struct err *e)
{
    _cleanup_free_ struct state *own = calloc(1, sizeof(*own)); /* large, and the arena is reset */
    if (!own)
        abort();
    own->f = f;
    struct feed_xml x = {.f = f, .arg = own, .start = on_start, .end = on_end};
    int r = feed_xml_read(&x, e);
    return r < 0 ? r : own->seen ? 0 : err_set(e, EBADMSG, "updateinfo without updates");
}

/* ---- https://alas.aws.amazon.com/alas.rss ---- */

struct alas {
    struct feed *f;
    bool in_item;
    struct str title, text;
    int64_t published;
};

static int alas_start(void *arg, struct str name, const char *const *attrs, struct err *e)
{
    struct alas *s = arg;
    if (str_eqc(name, "item")) {
        arena_reset(s->f->a);
        *s = (struct alas){.f = s->f, .in_item = true};
    }
    return 0;
}

/* "ALAS-2018-1106 (medium): 389-ds-base" */
static void alas_emit(struct alas *s)
{
    struct arena *a = s->f->a;
    struct str id, rest, list = s->text, cve, cves[FEED_ALIASES_MAX];
    size_t n = 0;
    str_split(s->title, ' ', &id, &rest);
    while (n < FEED_ALIASES_MAX && str_cut(&list, ',', &cve))
        if (feed_is_cve(str_trim(cve)))
            cves[n++] = str_trim(cve);
    struct feed_vuln v = {.feed = "amazon", .id = id, .cvss = -1, .published = s->published, .title = s->title};
    v.aliases = feed_join(a, cves, n);
    if (str_starts(id, STR("ALAS")))
        feed_vuln(s->f, &v);
}

/* Thu, 15 Nov 2018 00:10:00 GMT */
static int64_t rss_date(struct arena *a, struct str s)
{
    struct str word[6] = {0};
    size_t n = 0;
    while (n < ARRAY_LEN(word) && str_cut(&s, ' ', &word[n]))
        n++;
    if (n < 5 || word[2].n != 3)
        return 0;
    ptrdiff_t month = str_find(STR("JanFebMarAprMayJunJulAugSepOctNovDec"), word[2]);
    if (month < 0)
        return 0;
    return feed_date(a, arena_strf(a, STR_FMT "-%02td-" STR_FMT "T" STR_FMT "Z", STR_ARG(word[3]), month / 3 + 1,
                                   STR_ARG(word[1]), STR_ARG(word[4])));
}

static int alas_end(void *arg, struct str name, struct str text, struct err *e)
{
    struct alas *s = arg;
    if (!s->in_item)
        return 0;
    if (str_eqc(name, "title"))
        s->title = arena_str(s->f->a, text);
    else if (str_eqc(name, "description"))
        s->text = arena_str(s->f->a, text);
    else if (str_eqc(name, "pubDate"))
        feed_saw_date(s->f, s->published = rss_date(s->f->a, text));
    else if (str_eqc(name, "item")) {
        alas_emit(s);
        s->in_item = false;
    }
    return s->f->w->code;
}

int feed_alas(struct feed *f, struct err *e)
{
    struct alas s = {.f = f};
    struct feed_xml x = {.f = f, .arg = &s, .start = alas_start, .end = alas_end};
    return feed_xml_read(&x, e);
}
