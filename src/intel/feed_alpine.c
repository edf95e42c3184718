/* https://secdb.alpinelinux.org/: {distroversion, reponame, packages: [{pkg: {name: ORIGIN, secfixes: {VERSION:
 * [IDS]}}}]} Version "0": never
 * affected. An entry may hold several ids: "CVE-2020-1 XSA-2", "CVE_2019-1 (+ regression
 * fix)". */
#include "base/cleanup.h"
#include "intel/feed.h"

static bool is_id(struct str s)
{
    ptrdiff_t dash = str_chr(s, '-');
    for (ptrdiff_t i = 0; i < dash; i++)
        if (s.p[i] < 'A' || s.p[i] > 'Z')
            return false;
    return dash >= 2 && s.n > (size_t)dash + 1 && s.n < 64;
}

/* The ids of one entry, "CVE_" mended. */
static size_t ids_of(struct arena *a, struct str text, struct str ids[static FEED_ALIASES_MAX])
{
    struct str word;
    size_t n = 0;
    text = feed_text(a, text);
    while (n < FEED_ALIASES_MAX && str_cut(&text, ' ', &word)) {
        if (str_starts(word, STR("CVE_")))
            word = arena_strf(a, "CVE-" STR_FMT, STR_ARG(str_sub(word, 4, word.n)));
        while (word.n && (word.p[word.n - 1] == ',' || word.p[word.n - 1] == ';' || word.p[word.n - 1] == ')'))
            word.n--;
        if (is_id(word))
            ids[n++] = word;
    }
    return n;
}

struct fix {
    struct str space, name, version;
    const char *feed;
};

static void entry_read(struct feed *f, const struct fix *fix, struct str text)
{
    struct str ids[FEED_ALIASES_MAX], others = STR_NONE, cve = STR_NONE;
    size_t n = ids_of(f->a, text, ids), cves = 0;
    for (size_t i = 0; i < n; i++)
        if (str_starts(ids[i], STR("CVE-"))) {
            cves++;
            cve = ids[i];
        } else {
            others = others.n ? arena_strf(f->a, STR_FMT " " STR_FMT, STR_ARG(others), STR_ARG(ids[i])) : ids[i];
        }
    for (size_t i = 0; i < n; i++)
        if (!cves || str_starts(ids[i], STR("CVE-")))
            RECORD_WRITE(f->w, AFFECTED, fix->space, fix->name, ids[i], str_c(fix->feed), feed_number(f->a, VULN_FIXED),
                         STR("0"), fix->version, STR_NONE, STR_NONE);
    if (cves == 1 && others.n)
        RECORD_WRITE(f->w, VULN, cve, str_c(fix->feed), others, STR("0"), STR("-1"), STR_NONE, STR("0"), STR_NONE);
}

static int package_read(struct feed *f, struct str space, const struct json_value *item, struct err *e)
{
    const struct json_value *pkg = json_get(item, "pkg"), *fixes = json_get(pkg, "secfixes");
    struct str name = feed_text(f->a, json_str(json_get(pkg, "name")));
    if (!name.n || (fixes && fixes->type != JSON_OBJECT && fixes->type != JSON_NULL))
        return err_set(e, EBADMSG, "package " STR_FMT ": not as secdb has it", STR_ARG(name));
    if (!fixes || fixes->type != JSON_OBJECT)
        return 0;
    JSON_EACH (fixes, version) {
        struct fix fix = {space, name, feed_text(f->a, version->key), f->name};
        if (version->type != JSON_ARRAY && version->type != JSON_NULL)
            return err_set(e, EBADMSG, "package " STR_FMT ": the fixes of " STR_FMT " are no list", STR_ARG(name),
                           STR_ARG(fix.version));
        if (str_eqc(version->key, "0"))
            continue;
        JSON_EACH (version, entry)
            entry_read(f, &fix, json_str(entry));
    }
    return f->w->code;
}

/* Wolfi and Chainguard have the same layout without releases. */
static const char *rolling_name(struct str urlprefix)
{
    return str_has(urlprefix, STR("wolfi"))        ? "wolfi"
           : str_has(urlprefix, STR("cgr.dev"))    ? "chainguard"
           : str_has(urlprefix, STR("chainguard")) ? "chainguard"
                                                   : NULL;
}

int feed_alpine_document(struct feed *f, const struct json_value *doc, struct err *e)
{
    int r;
    struct str branch = json_str(json_get(doc, "distroversion"));
    const struct json_value *packages = json_get(doc, "packages");
    const char *rolling = rolling_name(json_str(json_get(doc, "urlprefix")));
    if ((!branch.n && !rolling) || branch.n > 64)
        return err_set(e, EBADMSG, "no distroversion");
    if (!packages || (packages->type != JSON_ARRAY && packages->type != JSON_NULL))
        return err_set(e, EBADMSG, "no list of packages");
    struct str space = feed_text(f->a, arena_strf(f->a, "alpine/" STR_FMT, STR_ARG(branch)));
    if (rolling) {
        space = str_c(rolling);
        f->name = rolling;
    }
    RECORD_WRITE(f->w, SPACE, space, STR("apk"));
    JSON_EACH (packages, item)
        if ((r = package_read(f, space, item, e)) < 0)
            return r;
    return f->w->code;
}

int feed_alpine(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    return r < 0 ? r : feed_alpine_document(f, doc, e);
}
