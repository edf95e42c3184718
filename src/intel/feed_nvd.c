/* NVD API 2.0 (https://nvd.nist.gov/developers/vulnerabilities) and the older feed 1.1: what a CVE is about, how bad,
 * since when; of affected products those programs that are known by their bytes (feed_nvd_cpe.c). */
#include "intel/feed_nvd.h"
#include "base/cleanup.h"
#include "intel/feed.h"

struct score {
    double base;
    struct str vector;
};

static bool score_read(const struct json_value *data, const char *score_key, struct score *ret)
{
    double base = json_double(json_get(data, score_key), -1);
    if (!(base >= 0 && base <= 10))
        return false;
    *ret = (struct score){base, json_str(json_get(data, "vectorString"))};
    return true;
}

/* NVD's own (Primary) before others of the same version. */
static bool metric_read(const struct json_value *metrics, const char *key, struct score *ret)
{
    const struct json_value *list = json_get(metrics, key);
    bool found = false;
    JSON_EACH (list, metric) {
        bool primary = str_eqc(json_str(json_get(metric, "type")), "Primary");
        if ((primary || !found) && score_read(json_get(metric, "cvssData"), "baseScore", ret)) {
            found = true;
            if (primary)
                break;
        }
    }
    return found;
}

static struct str english(const struct json_value *list)
{
    JSON_EACH (list, d)
        if (str_starts(json_str(json_get(d, "lang")), STR("en")))
            return json_str(json_get(d, "value"));
    return STR_NONE;
}

static void tell(struct feed *f, struct str id, const struct score *s, int64_t published, struct str title)
{
    struct feed_vuln v = {.feed = "nvd", .id = id, .cvss = s->base, .vector = s->vector, .published = published};
    v.title = title;
    feed_vuln(f, &v);
}

static int cve_read(struct feed *f, const struct json_value *item, struct err *e)
{
    static const char *const metrics[] = {"cvssMetricV40", "cvssMetricV31", "cvssMetricV30", "cvssMetricV2"};
    const struct json_value *cve = json_get(item, "cve"), *m = json_get(cve, "metrics");
    struct str id = json_str(json_get(cve, "id"));
    struct score s = {-1, STR_NONE};
    if (!feed_is_cve(id))
        return err_set(e, EBADMSG, "an entry without a CVE id");
    feed_saw_date(f, feed_date(f->a, json_str(json_get(cve, "lastModified"))));
    if (str_ieq(json_str(json_get(cve, "vulnStatus")), STR("Rejected")))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        if (metric_read(m, metrics[i], &s))
            break;
    tell(f, id, &s, feed_date(f->a, json_str(json_get(cve, "published"))), english(json_get(cve, "descriptions")));
    JSON_EACH (json_get(cve, "configurations"), configuration)
        feed_nvd_nodes(f, id, json_get(configuration, "nodes"));
    return f->w->code;
}

static int cve1_read(struct feed *f, const struct json_value *item, struct err *e)
{
    const struct json_value *cve = json_get(item, "cve"), *impact = json_get(item, "impact");
    struct str id = json_str(json_path(cve, "CVE_data_meta.ID"));
    struct str title = english(json_path(cve, "description.description_data"));
    struct score s = {-1, STR_NONE};
    if (!feed_is_cve(id))
        return err_set(e, EBADMSG, "an entry without a CVE id");
    feed_saw_date(f, feed_date(f->a, json_str(json_get(item, "lastModifiedDate"))));
    if (str_starts(title, STR("** REJECT")))
        return 0;
    if (!score_read(json_path(impact, "baseMetricV3.cvssV3"), "baseScore", &s))
        score_read(json_path(impact, "baseMetricV2.cvssV2"), "baseScore", &s);
    tell(f, id, &s, feed_date(f->a, json_str(json_get(item, "publishedDate"))), title);
    feed_nvd_nodes(f, id, json_path(item, "configurations.nodes"));
    return f->w->code;
}

/* Stream the array `list` of the top object, one element at a time. */
static int list_read(struct feed *f, const char *list, const char *date,
                     int (*take)(struct feed *, const struct json_value *, struct err *), struct err *e)
{
    _cleanup_(json_closep) struct json *j = feed_json(f);
    bool found = false;
    int t = json_expect(j, JSON_OBJECT, e);
    if (t < 0)
        return t;
    while ((t = json_next(j, e)) == JSON_KEY) {
        struct json_value *v;
        if (!str_eqc(json_text(j), list)) {
            bool is_date = str_eqc(json_text(j), date);
            arena_reset(f->a);
            if (!is_date)
                t = json_skip(j, e);
            else if ((t = json_value_read(j, f->a, &v, e)) >= 0)
                feed_saw_date(f, feed_date(f->a, json_str(v)));
            if (t < 0)
                return t;
            continue;
        }
        found = true;
        if ((t = json_expect(j, JSON_ARRAY, e)) < 0)
            return t;
        for (size_t n = 0;; n++) {
            arena_reset(f->a);
            if ((t = json_value_read(j, f->a, &v, e)) == -ENOENT)
                break;
            if (t >= 0 && (t = take(f, v, e)) < 0)
                err_wrap(e, "entry %zu", n + 1);
            if (t < 0)
                return t;
        }
    }
    if (t < 0)
        return t;
    return found ? json_next(j, e) : err_set(e, EBADMSG, "no \"%s\"", list);
}

int feed_nvd(struct feed *f, struct err *e)
{
    return list_read(f, "vulnerabilities", "timestamp", cve_read, e);
}

/* {"cve": {...}}, also below "item" (grype's cache of the API) */
int feed_nvd_one(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    if (r < 0)
        return r;
    const struct json_value *item = json_get(doc, "item");
    return cve_read(f, item ? item : doc, e);
}

int feed_nvd1(struct feed *f, struct err *e)
{
    return list_read(f, "CVE_Items", "CVE_data_timestamp", cve1_read, e);
}

static int kev_read(struct feed *f, const struct json_value *item, struct err *e)
{
    struct arena *a = f->a;
    struct str id = json_str(json_get(item, "cveID"));
    if (!feed_is_cve(id))
        return err_set(e, EBADMSG, "an entry without a CVE id");
    RECORD_WRITE(f->w, KEV, feed_text(a, id), feed_number(a, feed_date(a, json_str(json_get(item, "dateAdded")))),
                 feed_number(a, feed_date(a, json_str(json_get(item, "dueDate")))),
                 str_ieq(json_str(json_get(item, "knownRansomwareCampaignUse")), STR("Known")) ? STR("1") : STR("0"),
                 feed_title(a, json_str(json_get(item, "vulnerabilityName"))));
    return f->w->code;
}

int feed_kev(struct feed *f, struct err *e)
{
    return list_read(f, "vulnerabilities", "dateReleased", kev_read, e);
}
