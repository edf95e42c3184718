#include "intel/feed.h"

#include "base/cleanup.h"
#include "base/time.h"

ssize_t feed_read(void *feed, void *p, size_t n, struct err *e)
{
    struct feed *f = feed;
    ssize_t got = f->read(f->read_arg, p, n, e);
    if (got <= 0)
        return got;
    if ((uint64_t)got > f->left)
        return err_set(e, E2BIG, "larger than this kind of file may be");
    f->left -= (uint64_t)got;
    return got;
}

/* Twin keys in a feed are no attack on anyone, and some publishers have them. */
struct json *feed_json(struct feed *f)
{
    return json_open(feed_read, f, JSON_ANY_KEYS);
}

struct str feed_text(struct arena *a, struct str text)
{
    char *p = arena_cstr(a, text);
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
            p[i] = ' ';
    return (struct str){p, text.n};
}

struct str feed_title(struct arena *a, struct str text)
{
    char *out = arena_alloc(a, FEED_TITLE_MAX + 4);
    size_t n = 0;
    text = str_trim(text);
    for (size_t i = 0; i < text.n; i++) {
        bool blank = (unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f;
        if (blank && n && out[n - 1] == ' ')
            continue;
        if (n == FEED_TITLE_MAX) {
            while (n && ((unsigned char)out[n - 1] & 0xc0) == 0x80) /* not inside a character */
                n--;
            if (n && (unsigned char)out[n - 1] >= 0xc0)
                n--;
            memcpy(out + n, "...", 3);
            return (struct str){out, n + 3};
        }
        out[n++] = blank ? ' ' : text.p[i];
    }
    return (struct str){out, n};
}

bool feed_is_cve(struct str s)
{
    if (!str_starts(s, STR("CVE-")) || s.n < 6 || s.n > 64)
        return false;
    for (size_t i = 4; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '-')
            return false;
    return true;
}

struct str feed_number(struct arena *a, int64_t v)
{
    return arena_strf(a, "%" PRId64, v);
}

int64_t feed_date(struct arena *a, struct str s)
{
    int64_t t;
    if (s.n > 64)
        return 0;
    if (s.n == 17 && s.p[16] == 'Z') /* 2021-01-01T00:15Z, as NVD wrote once */
        s = arena_strf(a, STR_FMT ":00Z", STR_ARG(str_sub(s, 0, 16)));
    if (time_parse(s, &t) == 0 || time_parse(arena_strf(a, STR_FMT "Z", STR_ARG(s)), &t) == 0)
        return t > 0 ? t : 0;
    /* +0000 for +00:00 */
    if (s.n > 5 && (s.p[s.n - 5] == '+' || s.p[s.n - 5] == '-') &&
        time_parse(
            arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(str_sub(s, 0, s.n - 2)), STR_ARG(str_sub(s, s.n - 2, s.n))),
            &t) == 0)
        return t > 0 ? t : 0;
    return 0;
}

void feed_saw_date(struct feed *f, int64_t date)
{
    if (date > f->newest)
        f->newest = date;
}

/* ---- recognition ---- */

struct prefix {
    struct str rest;
};

static ssize_t prefix_read(void *arg, void *p, size_t n, struct err *e)
{
    struct prefix *in = arg;
    if (n > in->rest.n)
        n = in->rest.n;
    memcpy(p, in->rest.p, n);
    in->rest = str_sub(in->rest, n, in->rest.n);
    return (ssize_t)n;
}

struct marks {
    bool id, modified, schema, affected; /* OSV */
    bool catalog, kev_entry;             /* KEV */
    bool nvd_format, nvd_entry, nvd1;    /* NVD */
    bool distro, repo, alpine_entry;     /* Alpine */
    bool tracker;                        /* Debian */
};

static enum feed_kind decide(const struct marks *m)
{
    if (m->tracker)
        return FEED_DEBIAN;
    if (m->alpine_entry || (m->distro && m->repo))
        return FEED_ALPINE;
    if (m->kev_entry || m->catalog)
        return FEED_KEV;
    if (m->nvd_entry || m->nvd_format)
        return FEED_NVD;
    if (m->nvd1)
        return FEED_NVD1;
    if (m->id && (m->modified || m->schema || m->affected))
        return FEED_OSV;
    return FEED_UNKNOWN;
}

/* The first key of the first object in the array that comes next. */
static int first_entry(struct json *j, struct marks *m, struct err *e)
{
    int t = json_next(j, e);
    if (t != JSON_ARRAY)
        return t == JSON_OBJECT ? json_skip(j, e) : t;
    if ((t = json_next(j, e)) == JSON_OBJECT && (t = json_next(j, e)) == JSON_KEY) {
        struct str key = json_text(j);
        bool cve = str_eqc(key, "cve"), cve_id = str_eqc(key, "cveID"), pkg = str_eqc(key, "pkg");
        if ((t = json_next(j, e)) < 0)
            return t;
        m->nvd_entry = m->nvd_entry || (cve && t == JSON_OBJECT); /* CSAF has a string there */
        m->kev_entry = m->kev_entry || (cve_id && t == JSON_STRING);
        m->alpine_entry = m->alpine_entry || (pkg && t == JSON_OBJECT);
    }
    while (t >= 0 && json_depth(j) > 1)
        if ((t = json_next(j, e)) == JSON_END)
            break;
    return t;
}

static bool is_tracker_id(struct str key)
{
    return str_starts(key, STR("CVE-")) || str_starts(key, STR("TEMP-"));
}

/* {source: {CVE: {..., "releases": {...}}}}: the value of the first source package. */
static int first_source(struct json *j, struct marks *m, struct err *e)
{
    int t = json_next(j, e);
    if (t != JSON_OBJECT)
        return t == JSON_ARRAY ? json_skip(j, e) : t;
    while ((t = json_next(j, e)) == JSON_KEY) {
        bool id = is_tracker_id(json_text(j));
        if (!id || (t = json_next(j, e)) != JSON_OBJECT) {
            if (t < 0 || (!id && (t = json_skip(j, e)) < 0))
                return t;
            continue;
        }
        while ((t = json_next(j, e)) == JSON_KEY) {
            m->tracker = m->tracker || str_eqc(json_text(j), "releases");
            if ((t = json_skip(j, e)) < 0)
                return t;
        }
        if (t < 0)
            return t;
    }
    return t;
}

static int scalar(struct json *j, bool *mark, const char *want, struct err *e)
{
    int t = json_next(j, e);
    if (t == JSON_STRING && (want ? str_eqc(json_text(j), want) : json_text(j).n > 0))
        *mark = true;
    return t == JSON_OBJECT || t == JSON_ARRAY ? json_skip(j, e) : t;
}

static int top_member(struct json *j, struct marks *m, struct err *e)
{
    static const struct {
        const char *key;
        size_t mark;
        const char *value;
    } scalars[] = {
        {"id", offsetof(struct marks, id), NULL},
        {"modified", offsetof(struct marks, modified), NULL},
        {"schema_version", offsetof(struct marks, schema), NULL},
        {"catalogVersion", offsetof(struct marks, catalog), NULL},
        {"format", offsetof(struct marks, nvd_format), "NVD_CVE"},
        {"CVE_data_type", offsetof(struct marks, nvd1), "CVE"},
        {"distroversion", offsetof(struct marks, distro), NULL},
        {"reponame", offsetof(struct marks, repo), NULL},
    };
    struct str key = json_text(j);
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
        if (str_eqc(key, scalars[i].key))
            return scalar(j, (bool *)((char *)m + scalars[i].mark), scalars[i].value, e);
    if (str_eqc(key, "affected")) {
        m->affected = true;
        return json_skip(j, e);
    }
    if (str_eqc(key, "vulnerabilities") || str_eqc(key, "packages"))
        return first_entry(j, m, e);
    return first_source(j, m, e);
}

static bool looks_like_json(struct str s)
{
    s = str_trim(s);
    if (s.n < 2 || s.p[0] != '{')
        return false;
    s = str_trim(str_sub(s, 1, s.n));
    return s.n && (s.p[0] == '"' || s.p[0] == '}');
}

/* By the key of the first line and another one that only these have. */
static enum feed_kind yaml_kind(struct str s)
{
    struct str rest = s, line = STR_NONE;
    while (str_cut(&rest, '\n', &line) && (!str_trim(line).n || line.p[0] == '#' || str_starts(line, STR("---"))))
        ;
    if (str_starts(line, STR("id: ")) &&
        (str_has(rest, STR("\naffected:")) || str_has(rest, STR("\nmodified:")) || str_starts(rest, STR("modified:"))))
        return FEED_OSV_YAML;
    return str_starts(line, STR("distroversion: ")) && str_has(s, STR("\nreponame:")) ? FEED_ALPINE_YAML : FEED_UNKNOWN;
}

int feed_recognise(struct str prefix, bool whole, enum feed_kind *ret, struct err *e)
{
    *ret = FEED_UNKNOWN;
    if (str_starts(prefix, STR("#model_version:")) || str_starts(prefix, STR("cve,epss,percentile"))) {
        *ret = FEED_EPSS;
        return 0;
    }
    if ((*ret = yaml_kind(prefix)) != FEED_UNKNOWN || !looks_like_json(prefix))
        return 0;
    struct prefix in = {prefix};
    struct marks m = {0};
    struct err local = ERR_INIT;
    _cleanup_(json_closep) struct json *j = json_open(prefix_read, &in, JSON_ANY_KEYS);
    int t = json_next(j, &local);
    while (t >= 0 && decide(&m) == FEED_UNKNOWN && (t = json_next(j, &local)) == JSON_KEY)
        t = top_member(j, &m, &local);
    *ret = decide(&m);
    if (*ret == FEED_UNKNOWN && t < 0 && whole)
        return err_set(e, local.code, "%s", local.msg);
    return 0;
}

int feed_parse(enum feed_kind kind, struct feed *f, struct err *e)
{
    static const struct {
        int (*parse)(struct feed *, struct err *);
        const char *name;
        uint64_t max;
    } kinds[] = {
        [FEED_DEBIAN] = {feed_debian, "debian", UINT64_C(4) << 30},
        [FEED_ALPINE] = {feed_alpine, "alpine", FEED_DOCUMENT_MAX},
        [FEED_OSV] = {feed_osv, "osv", FEED_DOCUMENT_MAX},
        [FEED_NVD] = {feed_nvd, "nvd", UINT64_C(8) << 30},
        [FEED_NVD1] = {feed_nvd1, "nvd", UINT64_C(8) << 30},
        [FEED_KEV] = {feed_kev, "kev", UINT64_C(1) << 30},
        [FEED_EPSS] = {feed_epss, "epss", UINT64_C(1) << 30},
        [FEED_OSV_YAML] = {feed_osv_yaml, "osv", FEED_DOCUMENT_MAX},
        [FEED_ALPINE_YAML] = {feed_alpine_yaml, "alpine", FEED_DOCUMENT_MAX},
    };
    f->left = kinds[kind].max;
    f->newest = 0;
    arena_reset(f->a);
    int r = kinds[kind].parse(f, e);
    if (r < 0)
        return r;
    arena_reset(f->a);
    RECORD_WRITE(f->w, DATE, str_c(kinds[kind].name), feed_number(f->a, f->newest));
    return f->w->code;
}
