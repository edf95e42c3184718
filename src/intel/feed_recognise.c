/* What a file is, by its first bytes: marks in JSON, the root element of XML, the first lines of text. */
#include "base/cleanup.h"
#include "intel/feed.h"

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
    bool nvd_one;
    bool distro, repo, urlprefix, alpine_entry; /* Alpine and the like */
    bool tracker;                               /* Debian */
    bool csaf, openvex, candidate, patches, threat;
    bool oval_class, oval_metadata;
    bool module_name, vulnerable_versions, vulnerable, patched, node_index; /* Node.js */
    bool retire;
};

static enum feed_kind decide(const struct marks *m)
{
    if (m->tracker)
        return FEED_DEBIAN;
    if (m->alpine_entry || ((m->distro || m->urlprefix) && m->repo))
        return FEED_ALPINE;
    if (m->kev_entry || m->catalog)
        return FEED_KEV;
    if (m->nvd_entry || m->nvd_format)
        return FEED_NVD;
    if (m->nvd1)
        return FEED_NVD1;
    if (m->nvd_one)
        return FEED_NVD_ONE;
    if (m->csaf)
        return FEED_CSAF;
    if (m->openvex)
        return FEED_OPENVEX;
    if (m->candidate && m->patches)
        return FEED_UBUNTU_JSON;
    if (m->threat)
        return FEED_REDHAT_API;
    if (m->oval_class && m->oval_metadata)
        return FEED_OVAL_JSON;
    if ((m->module_name && m->vulnerable_versions) || (m->vulnerable && m->patched) || m->node_index)
        return FEED_NODE;
    if (m->retire)
        return FEED_RETIRE;
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
        bool id = is_tracker_id(json_text(j)), list = str_eqc(json_text(j), "vulnerabilities");
        m->node_index = m->node_index || str_eqc(json_text(j), "patched");
        if (list) { /* retire.js */
            t = json_next(j, e);
            m->retire = m->retire || t == JSON_ARRAY;
            if (t < 0 || ((t == JSON_ARRAY || t == JSON_OBJECT) && (t = json_skip(j, e)) < 0))
                return t;
            continue;
        }
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

/* The value is an object with this member. */
static int has_member(struct json *j, bool *mark, const char *member, struct err *e)
{
    int t = json_next(j, e);
    if (t != JSON_OBJECT)
        return t == JSON_ARRAY ? json_skip(j, e) : t;
    while ((t = json_next(j, e)) == JSON_KEY) {
        *mark = *mark || str_eqc(json_text(j), member);
        if ((t = json_skip(j, e)) < 0)
            return t;
    }
    return t;
}

static int openvex_context(struct json *j, struct marks *m, struct err *e)
{
    int t = json_next(j, e);
    m->openvex = t == JSON_STRING && str_starts(json_text(j), STR("https://openvex.dev/"));
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
        {"urlprefix", offsetof(struct marks, urlprefix), NULL},
        {"Candidate", offsetof(struct marks, candidate), NULL},
        {"threat_severity", offsetof(struct marks, threat), NULL},
        {"Class", offsetof(struct marks, oval_class), NULL},
        {"module_name", offsetof(struct marks, module_name), NULL},
        {"vulnerable_versions", offsetof(struct marks, vulnerable_versions), NULL},
        {"vulnerable", offsetof(struct marks, vulnerable), NULL},
        {"patched", offsetof(struct marks, patched), NULL},
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
    if (str_eqc(key, "Patches") || str_eqc(key, "Metadata")) {
        *(str_eqc(key, "Patches") ? &m->patches : &m->oval_metadata) = true;
        return json_skip(j, e);
    }
    if (str_eqc(key, "document"))
        return has_member(j, &m->csaf, "csaf_version", e);
    if (str_eqc(key, "cve"))
        return has_member(j, &m->nvd_one, "sourceIdentifier", e);
    if (str_eqc(key, "item"))
        return has_member(j, &m->nvd_one, "cve", e);
    if (str_eqc(key, "@context"))
        return openvex_context(j, m, e);
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
    if ((str_starts(line, STR("gem: ")) || str_starts(line, STR("engine: "))) && str_has(rest, STR("title:")))
        return FEED_RUBYSEC;
    if (str_starts(line, STR("title:")) && str_has(rest, STR("\nbranches:")) && str_has(rest, STR("\nreference:")))
        return FEED_PHP;
    return str_starts(line, STR("distroversion: ")) && str_has(s, STR("\nreponame:")) ? FEED_ALPINE_YAML : FEED_UNKNOWN;
}

/* [{"cve_id": ..., "pkg": ...}, ...] */
static bool is_photon(struct str s)
{
    s = str_sub(str_trim(s), 0, 512);
    return str_starts(s, STR("[")) && str_has(s, STR("\"cve_id\"")) && str_has(s, STR("\"pkg\"")) &&
           str_has(s, STR("\"res_ver\""));
}

/* By the root element. */
static enum feed_kind xml_kind(struct str s)
{
    s = str_trim(s);
    if (!str_starts(s, STR("<")))
        return FEED_UNKNOWN;
    if (str_has(s, STR("oval_definitions")) && str_has(s, STR("http://oval.mitre.org/XMLSchema/oval-definitions-5")))
        return FEED_OVAL;
    if (str_has(s, STR("<updates")) && str_has(s, STR("<update ")))
        return FEED_UPDATEINFO;
    return str_has(s, STR("<rss")) && str_has(s, STR("ALAS")) ? FEED_ALAS : FEED_UNKNOWN;
}

static enum feed_kind text_kind(struct str s)
{
    struct str head = str_sub(s, 0, 4096);
    if (str_starts(s, STR("[")) &&
        (str_has(head, STR(" DSA-")) || str_has(head, STR(" DLA-")) || str_has(head, STR(" DTSA-"))))
        return FEED_DEBIAN_LIST;
    if (str_has(head, STR("```toml\n[advisory]")))
        return FEED_RUSTSEC;
    if ((str_starts(s, STR("Candidate: CVE-")) || str_has(head, STR("\nCandidate: CVE-"))) && str_has(s, STR("_")))
        return FEED_UBUNTU;
    return FEED_UNKNOWN;
}

int feed_recognise(struct str prefix, bool whole, enum feed_kind *ret, struct err *e)
{
    *ret = FEED_UNKNOWN;
    if (str_starts(prefix, STR("#model_version:")) || str_starts(prefix, STR("cve,epss,percentile"))) {
        *ret = FEED_EPSS;
        return 0;
    }
    *ret = is_photon(prefix) ? FEED_PHOTON : yaml_kind(prefix);
    if (*ret == FEED_UNKNOWN)
        *ret = xml_kind(prefix);
    if (*ret == FEED_UNKNOWN)
        *ret = text_kind(prefix);
    if (*ret != FEED_UNKNOWN || !looks_like_json(prefix))
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
