/* https://oval.mitre.org/language/version5.11/: files of Red Hat (v2), Oracle, SUSE, Ubuntu and Azure Linux. Only the
 * definitions are read (see oval.h). */
#include "base/cleanup.h"
#include "intel/feed_xml.h"
#include "intel/oval.h"

struct state {
    struct feed *f;
    struct oval_definition *d;
    struct oval_node *at; /* criteria that are open */
    bool in_resolution, in_advisory, seen;
    struct str resolution;
};

static void take_cve(struct state *s, struct str id)
{
    struct oval_definition *d = s->d;
    ptrdiff_t at = str_find(id, STR("CVE-"));
    if (at < 0)
        return;
    id = str_sub(id, (size_t)at, id.n);
    for (size_t i = 0; i < d->cves_n; i++)
        if (str_eq(d->cves[i], id))
            return;
    if (feed_is_cve(id) && d->cves_n < OVAL_CVES_MAX)
        d->cves[d->cves_n++] = arena_str(s->f->a, id);
}

static void reference(struct state *s, const char *const *attrs)
{
    struct str id = feed_xml_attr(attrs, "ref_id"), source = feed_xml_attr(attrs, "source");
    if (str_has(source, STR("CVE")))
        take_cve(s, id);
    else if (!s->d->advisory.n && feed_id_ok(id) && !str_ieq(source, STR("BUGTRAQ")))
        s->d->advisory = arena_str(s->f->a, id);
}

static void begin(struct state *s, const char *const *attrs)
{
    struct feed *f = s->f;
    arena_reset(f->a);
    s->d = arena_new_of(f->a, struct oval_definition);
    s->d->cvss = -1;
    s->d->id = arena_str(f->a, feed_xml_attr(attrs, "id"));
    s->d->klass = arena_str(f->a, feed_xml_attr(attrs, "class"));
    s->at = &s->d->root;
}

/* cvss3="7.5/CVSS:3.1/AV:N/..." */
static void cvss(struct state *s, const char *const *attrs)
{
    struct str v = feed_xml_attr(attrs, "cvss3"), score, vector;
    double number;
    if (str_split(v, '/', &score, &vector) && str_double(score, &number) == 0) {
        s->d->cvss = number;
        s->d->vector = arena_str(s->f->a, vector);
    }
}

static int on_start(void *arg, struct str name, const char *const *attrs, struct err *e)
{
    struct state *s = arg;
    struct arena *a = s->f->a;
    if (str_eqc(name, "definition")) {
        begin(s, attrs);
        s->seen = true;
    }
    if (!s->d)
        return 0;
    if (str_eqc(name, "reference")) {
        reference(s, attrs);
    } else if (str_eqc(name, "criteria")) {
        s->at = oval_add(a, s->at, STR_NONE);
    } else if (str_eqc(name, "criterion") || str_eqc(name, "extend_definition")) {
        struct str comment = str_trim(feed_xml_attr(attrs, "comment"));
        if (comment.n)
            oval_add(a, s->at, comment);
    } else if (str_eqc(name, "issued") || str_eqc(name, "updated")) {
        int64_t date = feed_date(a, feed_xml_attr(attrs, "date"));
        feed_saw_date(s->f, date);
        if (str_eqc(name, "issued"))
            s->d->issued = date;
    } else if (str_eqc(name, "resolution")) {
        s->resolution = arena_str(a, feed_xml_attr(attrs, "state"));
        s->in_resolution = true;
    } else if (str_eqc(name, "cve")) {
        cvss(s, attrs);
    }
    return 0;
}

static void end_resolution(struct state *s, struct str component)
{
    struct oval_definition *d = s->d;
    if (d->resolutions_n < OVAL_RESOLUTIONS_MAX) {
        d->resolutions[d->resolutions_n].state = s->resolution;
        d->resolutions[d->resolutions_n++].component = arena_str(s->f->a, component);
    }
}

static int on_end(void *arg, struct str name, struct str text, struct err *e)
{
    struct state *s = arg;
    struct oval_definition *d = s->d;
    if (!d)
        return 0;
    if (str_eqc(name, "title") && !d->title.n)
        d->title = arena_str(s->f->a, text);
    else if (str_eqc(name, "platform") && d->platforms_n < OVAL_PLATFORMS_MAX)
        d->platforms[d->platforms_n++] = arena_str(s->f->a, text);
    else if (str_eqc(name, "cpe") && d->cpes_n < OVAL_PLATFORMS_MAX)
        d->cpes[d->cpes_n++] = arena_str(s->f->a, text);
    else if (str_eqc(name, "severity"))
        d->severity = arena_str(s->f->a, text);
    else if (str_eqc(name, "cve"))
        take_cve(s, text);
    else if (str_eqc(name, "component") && s->in_resolution)
        end_resolution(s, text);
    else if (str_eqc(name, "resolution"))
        s->in_resolution = false;
    else if (str_eqc(name, "criteria") && s->at->parent)
        s->at = s->at->parent;
    else if (str_eqc(name, "definition")) {
        s->d = NULL;
        return str_eqc(d->klass, "inventory") ? 0 : oval_emit(s->f, d);
    }
    return 0;
}

int feed_oval(struct feed *f, struct err *e)
{
    struct state s = {.f = f};
    struct feed_xml x = {.f = f, .arg = &s, .start = on_start, .end = on_end};
    int r = feed_xml_read(&x, e);
    return r < 0 ? r : s.seen ? 0 : err_set(e, EBADMSG, "OVAL without definitions");
}

/* ---- the same as JSON, one definition a file (aquasecurity/vuln-list-redhat) ---- */

static void json_criteria(struct arena *a, struct oval_node *at, const struct json_value *v)
{
    JSON_EACH (json_get(v, "Criterions"), c) {
        struct str comment = str_trim(json_str(json_get(c, "Comment")));
        if (comment.n)
            oval_add(a, at, comment);
    }
    JSON_EACH (json_get(v, "Criterias"), c) /* as deep as the JSON, which is capped */
        json_criteria(a, oval_add(a, at, STR_NONE), c);
}

static void json_resolution(struct oval_definition *d, const struct json_value *v)
{
    struct str state = json_str(json_get(v, "State"));
    const struct json_value *components = json_get(v, "Component");
    if (!state.n)
        return;
    JSON_EACH (components && components->type == JSON_ARRAY ? components : NULL, c)
        if (d->resolutions_n < OVAL_RESOLUTIONS_MAX) {
            d->resolutions[d->resolutions_n].state = state;
            d->resolutions[d->resolutions_n++].component = json_str(c);
        }
    if (d->resolutions_n < OVAL_RESOLUTIONS_MAX && !d->resolutions_n)
        d->resolutions[d->resolutions_n++].state = state;
}

int feed_oval_json(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    if (r < 0)
        return r;
    struct state s = {.f = f, .d = arena_new_of(f->a, struct oval_definition)};
    const struct json_value *meta = json_get(doc, "Metadata"), *advisory = json_get(meta, "Advisory");
    struct oval_definition *d = s.d;
    d->cvss = -1;
    d->id = json_str(json_get(doc, "ID"));
    d->title = json_str(json_get(meta, "Title"));
    d->severity = json_str(json_get(advisory, "Severity"));
    d->issued = feed_date(f->a, json_str(json_path(advisory, "Issued.Date")));
    feed_saw_date(f, feed_date(f->a, json_str(json_path(advisory, "Updated.Date"))));
    JSON_EACH (json_get(meta, "References"), it) {
        struct str id = json_str(json_get(it, "RefID"));
        if (str_has(json_str(json_get(it, "Source")), STR("CVE")))
            take_cve(&s, id);
        else if (!d->advisory.n && feed_id_ok(id))
            d->advisory = id;
    }
    JSON_EACH (json_get(advisory, "Cves"), it)
        take_cve(&s, json_str(json_get(it, "CveID")));
    JSON_EACH (json_get(advisory, "AffectedCpeList"), it)
        if (d->cpes_n < OVAL_PLATFORMS_MAX)
            d->cpes[d->cpes_n++] = json_str(it);
    const struct json_value *resolution = json_path(advisory, "Affected.Resolution");
    if (resolution && resolution->type == JSON_ARRAY)
        JSON_EACH (resolution, it)
            json_resolution(d, it);
    else
        json_resolution(d, resolution);
    json_criteria(f->a, &d->root, json_get(doc, "Criteria"));
    return oval_emit(f, d);
}
