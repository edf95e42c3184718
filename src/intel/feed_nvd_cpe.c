/* NVD's configurations: which versions of the programs of programs.tbl.h a CVE is about. A node of AND (a program on an
 * operating system, a library inside of a product) counts for the program alone when the others are no programs of
 * ours. */
#include "base/cleanup.h"
#include "intel/cpe.h"
#include "intel/feed.h"
#include "intel/feed_nvd.h"

static bool add_bound(struct arena *a, const struct json_value *match, const char *key, const char *op,
                      struct str *text)
{
    struct str v = feed_text(a, json_str(json_get(match, key)));
    if (!v.n || str_chr(v, ' ') >= 0)
        return v.n == 0;
    *text = arena_strf(a, STR_FMT "%s%s" STR_FMT, STR_ARG(*text), text->n ? ", " : "", op, STR_ARG(v));
    return true;
}

static bool is_any(struct str s)
{
    return !s.n || str_eqc(s, "*") || str_eqc(s, "-");
}

/* ">=9.0, <9.8" or "=9.8p1" */
static bool requirement(struct arena *a, const struct json_value *match, const struct cpe *cpe, struct str *ret)
{
    static const struct {
        const char *key, *op;
    } bounds[] = {{"versionStartIncluding", ">="},
                  {"versionStartExcluding", ">"},
                  {"versionEndIncluding", "<="},
                  {"versionEndExcluding", "<"}};
    *ret = STR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        if (!add_bound(a, match, bounds[i].key, bounds[i].op, ret))
            return false;
    if (ret->n)
        return true;
    if (str_eqc(cpe->version, "-") || str_chr(cpe->version, ' ') >= 0)
        return false; /* no version is not every version */
    *ret = is_any(cpe->version) ? STR("*")
                                : arena_strf(a, "=" STR_FMT STR_FMT, STR_ARG(cpe->version),
                                             STR_ARG(is_any(cpe->update) ? STR("") : cpe->update));
    return true;
}

static void match_read(struct feed *f, struct str id, const struct json_value *match)
{
    struct cpe cpe;
    struct str text;
    const struct json_value *vulnerable = json_get(match, "vulnerable");
    struct str criteria = json_str(json_get(match, "criteria"));
    if (!criteria.n)
        criteria = json_str(json_get(match, "cpe23Uri")); /* feed 1.1 */
    if (!json_bool(vulnerable, false) || !cpe_parse(f->a, criteria, &cpe) || cpe.part != 'a' || !cpe_known(cpe.name) ||
        !requirement(f->a, match, &cpe, &text))
        return;
    struct feed_row row = {.feed = "nvd",
                           .space = STR("cpe"),
                           .name = cpe.name,
                           .id = id,
                           .scheme = VERSION_GENERIC,
                           .status = VULN_AFFECTED,
                           .ranges = arena_strf(f->a, "R " STR_FMT "\n", STR_ARG(text))};
    feed_row(f, &row);
}

void feed_nvd_nodes(struct feed *f, struct str id, const struct json_value *nodes)
{
    JSON_EACH (nodes && nodes->type == JSON_ARRAY ? nodes : NULL, node) {
        JSON_EACH (json_get(node, "cpeMatch"), match)
            match_read(f, id, match);
        JSON_EACH (json_get(node, "cpe_match"), match)
            match_read(f, id, match);
        feed_nvd_nodes(f, id, json_get(node, "children")); /* as deep as the JSON, which is capped */
    }
}
