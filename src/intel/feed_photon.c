/* https://packages.broadcom.com/photon/photon_cve_metadata/: [{"cve_id", "pkg", "cve_score", "aff_ver", "res_ver"}] */
#include "base/cleanup.h"
#include "intel/feed.h"

/* "1.2-3.ph4" -> photon/4.0 */
static struct str space_of(struct arena *a, struct str version)
{
    ptrdiff_t at = str_find(version, STR(".ph"));
    size_t from = (size_t)at + 3, to = from;
    if (at < 0)
        return STR_NONE;
    while (to < version.n && version.p[to] >= '0' && version.p[to] <= '9')
        to++;
    return to > from ? arena_strf(a, "photon/" STR_FMT ".0", STR_ARG(str_sub(version, from, to))) : STR_NONE;
}

static int take(struct feed *f, const struct json_value *v, struct err *e)
{
    struct feed_row row = {.feed = "photon",
                           .name = json_str(json_get(v, "pkg")),
                           .id = json_str(json_get(v, "cve_id")),
                           .scheme = VERSION_RPM,
                           .status = VULN_FIXED,
                           .fixed = json_str(json_get(v, "res_ver"))};
    struct str affected = json_str(json_get(v, "aff_ver"));
    row.space = space_of(f->a, row.fixed.n && !str_eqc(row.fixed, "NA") ? row.fixed : affected);
    if (str_eqc(row.fixed, "NA") || !row.fixed.n) {
        row.fixed = STR_NONE;
        row.status = VULN_AFFECTED;
    }
    if (!feed_is_cve(row.id) || !row.name.n)
        return err_set(e, EBADMSG, "an entry without cve_id and pkg");
    if (row.space.n)
        feed_row(f, &row);
    return f->w->code;
}

int feed_photon(struct feed *f, struct err *e)
{
    _cleanup_(json_closep) struct json *j = feed_json(f);
    struct json_value *v;
    int r = json_expect(j, JSON_ARRAY, e);
    if (r < 0)
        return r;
    for (size_t n = 1;; n++) {
        arena_reset(f->a);
        if ((r = json_value_read(j, f->a, &v, e)) == -ENOENT)
            return json_next(j, e);
        if (r >= 0 && (r = take(f, v, e)) < 0)
            err_wrap(e, "entry %zu", n);
        if (r < 0)
            return r;
    }
}
