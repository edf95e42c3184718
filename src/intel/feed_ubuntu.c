/* Ubuntu's CVE tracker (https://git.launchpad.net/ubuntu-cve-tracker): one text file a CVE, "jammy_openssl: released
 * (3.0.2-0ubuntu1.10)"; and the same as JSON in the layout of aquasecurity/vuln-list. Fixes of ESM go to releases of
 * their own ("ubuntu/esm/xenial"), see match.c. */
#include "base/cleanup.h"
#include "intel/feed.h"

struct entry {
    struct feed *f;
    struct str id, title;
    enum vuln_severity severity;
    int64_t published;
};

/* "jammy", "esm-infra/xenial", "trusty/esm"; upstream and devel are no releases. */
static struct str space_of(struct arena *a, struct str release)
{
    struct str left, right;
    if (str_eqc(release, "upstream") || str_eqc(release, "devel") || str_eqc(release, "product") || !release.n)
        return STR_NONE;
    if (!str_split(release, '/', &left, &right))
        return arena_strf(a, "ubuntu/" STR_FMT, STR_ARG(release));
    if (str_starts(left, STR("esm")))
        return arena_strf(a, "ubuntu/esm/" STR_FMT, STR_ARG(right));
    return str_eqc(right, "esm") ? arena_strf(a, "ubuntu/esm/" STR_FMT, STR_ARG(left)) : STR_NONE;
}

static bool status_of(struct str word, enum vuln_status *ret)
{
    static const struct {
        const char *word;
        enum vuln_status status;
    } words[] = {{"released", VULN_FIXED},
                 {"pending", VULN_FIXED},
                 {"needed", VULN_AFFECTED},
                 {"active", VULN_AFFECTED},
                 {"deferred", VULN_FIX_DEFERRED},
                 {"ignored", VULN_WILL_NOT_FIX},
                 {"needs-triage", VULN_UNDER_INVESTIGATION}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eqc(word, words[i].word)) {
            *ret = words[i].status;
            return true;
        }
    return false; /* DNE, not-affected, in-triage of nobody */
}

static void take_status(struct entry *en, struct str release, struct str package, struct str status, struct str note)
{
    struct arena *a = en->f->a;
    struct feed_row row = {.feed = "ubuntu", .name = package, .id = en->id, .scheme = VERSION_DPKG};
    row.space = space_of(a, release);
    row.severity = en->severity;
    if (!row.space.n || !status_of(status, &row.status))
        return;
    if (row.status == VULN_FIXED)
        row.fixed = note;
    if (row.status == VULN_FIXED && (!note.n || note.p[0] < '0' || note.p[0] > '9')) {
        if (str_eqc(status, "released"))
            return; /* fixed in an unknown version */
        row.status = VULN_AFFECTED;
        row.fixed = STR_NONE;
    }
    if (row.status == VULN_WILL_NOT_FIX && (str_has(note, STR("end of life")) || str_has(note, STR("end of standard"))))
        row.status = VULN_END_OF_LIFE;
    feed_row(en->f, &row);
}

static int finish(struct entry *en, struct err *e)
{
    if (!feed_is_cve(en->id))
        return err_set(e, EBADMSG, "no CVE id");
    struct feed_vuln v = {.feed = "ubuntu", .id = en->id, .cvss = -1, .published = en->published, .title = en->title};
    feed_vuln(en->f, &v);
    return en->f->w->code;
}

int feed_ubuntu_json(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    if (r < 0)
        return r;
    struct entry en = {.f = f,
                       .id = json_str(json_get(doc, "Candidate")),
                       .title = json_str(json_get(doc, "Description")),
                       .severity = feed_severity(json_str(json_get(doc, "Priority"))),
                       .published = feed_date(f->a, json_str(json_get(doc, "PublicDate")))};
    feed_saw_date(f, en.published);
    if (feed_is_cve(en.id))
        JSON_EACH (json_get(doc, "Patches"), package)
            JSON_EACH (package, release)
                take_status(&en, release->key, package->key, json_str(json_get(release, "Status")),
                            json_str(json_get(release, "Note")));
    return finish(&en, e);
}

/* ---- the text ---- */

/* "jammy_openssl: released (3.0.2-0ubuntu1.10)" */
static bool status_line(struct entry *en, struct str key, struct str value)
{
    struct str release, package, status, note;
    if (!str_split(key, '_', &release, &package) || str_starts(key, STR("Patches_")) || str_starts(key, STR("Tags_")) ||
        str_starts(key, STR("Priority_")) || str_starts(key, STR("Assigned")))
        return false;
    str_split(value, ' ', &status, &note);
    note = str_trim(note);
    if (note.n && note.p[0] == '(')
        note = str_sub(note, 1, note.p[note.n - 1] == ')' ? note.n - 1 : note.n);
    take_status(en, release, package, status, note);
    return true;
}

int feed_ubuntu(struct feed *f, struct err *e)
{
    struct str text, rest, line, key, value;
    struct entry en = {.f = f};
    bool in_description = false;
    int r = feed_text_read(f, &text, e);
    if (r < 0)
        return r;
    for (rest = text; str_cut(&rest, '\n', &line);) { /* what is about the CVE stands before and behind the packages */
        if (str_starts(line, STR(" "))) {
            if (in_description && !en.title.n)
                en.title = str_trim(line);
            continue;
        }
        in_description = str_starts(line, STR("Description:"));
        if (!str_split(line, ':', &key, &value))
            continue;
        value = str_trim(value);
        if (str_eqc(key, "Candidate"))
            en.id = value;
        else if (str_eqc(key, "PublicDate"))
            en.published =
                feed_date(f->a, arena_strf(f->a, STR_FMT "%s", STR_ARG(str_sub(value, 0, 10)), "T00:00:00Z"));
        else if (str_eqc(key, "Priority")) {
            struct str word, more;
            str_split(value, ' ', &word, &more);
            en.severity = feed_severity(word);
        }
    }
    feed_saw_date(f, en.published);
    if (feed_is_cve(en.id))
        for (rest = text; str_cut(&rest, '\n', &line);)
            if (!str_starts(line, STR(" ")) && !str_starts(line, STR("#")) && str_split(line, ':', &key, &value))
                status_line(&en, key, str_trim(value));
    return finish(&en, e);
}
