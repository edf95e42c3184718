/* https://security-tracker.debian.org/tracker/data/json
 * {source: {CVE: {description, releases: {release: {status, fixed_version, urgency, nodsa, nodsa_reason, ...}}}}} */
#include "base/cleanup.h"
#include "intel/feed.h"

struct entry {
    struct str source, id;
};

/* nodsa_reason says why there is no DSA; end-of-life is told as an urgency. */
static enum vuln_status open_status(const struct json_value *release)
{
    struct str reason = json_str(json_get(release, "nodsa_reason"));
    if (str_eqc(json_str(json_get(release, "urgency")), "end-of-life") || str_eqc(reason, "end-of-life"))
        return VULN_END_OF_LIFE;
    if (str_eqc(reason, "ignored"))
        return VULN_WILL_NOT_FIX;
    return str_eqc(reason, "postponed") ? VULN_FIX_DEFERRED : VULN_AFFECTED;
}

/* "low", "low*", "low**": the asterisks marked guesses. "unimportant" counts as low, as Trivy has it. */
static enum vuln_severity severity(struct str urgency)
{
    enum vuln_severity s;
    while (urgency.n && urgency.p[urgency.n - 1] == '*')
        urgency.n--;
    if (str_eqc(urgency, "unimportant"))
        return VULN_LOW;
    return vuln_severity_parse(urgency, &s) < 0 ? VULN_UNKNOWN : s;
}

static int release_read(struct feed *f, const struct entry *en, const struct json_value *release, struct err *e)
{
    struct str status = json_str(json_get(release, "status"));
    struct str fixed = json_str(json_get(release, "fixed_version"));
    struct arena *a = f->a;
    enum vuln_status said;
    if (release->type != JSON_OBJECT)
        return err_set(e, EBADMSG, "release " STR_FMT ": not an object", STR_ARG(release->key));
    RECORD_WRITE(f->w, SPACE, arena_strf(a, "debian/" STR_FMT, STR_ARG(release->key)), STR("dpkg"));
    if (str_eqc(status, "undetermined"))
        return 0;
    if (str_eqc(status, "resolved")) { /* a fix counts, whatever a stale no-dsa mark says; "0": never affected */
        if (!fixed.n || str_eqc(fixed, "0"))
            return 0;
        said = VULN_FIXED;
    } else if (str_eqc(status, "open")) {
        said = open_status(release);
        if (str_eqc(fixed, "0"))
            fixed = STR_NONE;
    } else {
        return err_set(e, EBADMSG, "release " STR_FMT ": status \"" STR_FMT "\" is not known", STR_ARG(release->key),
                       STR_ARG(status));
    }
    RECORD_WRITE(f->w, AFFECTED, arena_strf(a, "debian/" STR_FMT, STR_ARG(release->key)), en->source, en->id,
                 STR("debian"), feed_number(a, said), feed_number(a, severity(json_str(json_get(release, "urgency")))),
                 feed_text(a, fixed), STR_NONE, STR_NONE);
    return f->w->code;
}

static int vuln_read(struct feed *f, const struct entry *en, const struct json_value *v, struct err *e)
{
    const struct json_value *releases = json_get(v, "releases");
    int r = 0;
    if (!releases || releases->type != JSON_OBJECT)
        return err_set(e, EBADMSG, "no releases");
    struct str title = feed_title(f->a, json_str(json_get(v, "description")));
    if (title.n)
        RECORD_WRITE(f->w, VULN, en->id, STR("debian"), STR_NONE, STR("0"), STR("-1"), STR_NONE, STR("0"), title);
    JSON_EACH (releases, release)
        if (r == 0)
            r = release_read(f, en, release, e);
    return r;
}

static int source_read(struct feed *f, struct json *j, struct str source, struct err *e)
{
    int t = json_expect(j, JSON_OBJECT, e);
    char name[512];
    if (t < 0)
        return t;
    if (source.n >= sizeof(name))
        return err_set(e, E2BIG, "a source package with a name of %zu bytes", source.n);
    memcpy(name, source.p, source.n);
    source.p = name;
    while ((t = json_next(j, e)) == JSON_KEY) {
        struct json_value *v;
        arena_reset(f->a);
        struct entry en = {feed_text(f->a, source), feed_text(f->a, json_text(j))};
        int r = json_value_read(j, f->a, &v, e);
        if (r >= 0 && (r = vuln_read(f, &en, v, e)) < 0)
            err_wrap(e, STR_FMT " " STR_FMT, STR_ARG(en.source), STR_ARG(en.id));
        if (r < 0)
            return r;
    }
    return t < 0 ? t : 0;
}

int feed_debian(struct feed *f, struct err *e)
{
    _cleanup_(json_closep) struct json *j = feed_json(f);
    int t = json_expect(j, JSON_OBJECT, e);
    char name[512];
    if (t < 0)
        return t;
    while ((t = json_next(j, e)) == JSON_KEY) {
        struct str source = json_text(j);
        if (source.n >= sizeof(name))
            return err_set(e, E2BIG, "a source package with a name of %zu bytes", source.n);
        memcpy(name, source.p, source.n);
        if ((t = source_read(f, j, (struct str){name, source.n}, e)) < 0)
            return t;
    }
    return t < 0 ? t : json_next(j, e);
}
