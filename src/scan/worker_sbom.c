/* A bill of materials takes the place of an image's files: one record with its packages. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "format/sbom.h"
#include "scan/merge.h"
#include "scan/worker.h"

int worker_sbom(const struct worker *w, struct arena *a, int out, struct err *e)
{
    struct str text;
    struct sbom s;
    int r = fs_read_fd(a, w->in, LIMIT_SCAN_SBOM, &text, e);
    if (r < 0 || (r = sbom_parse(a, text, &s, e)) < 0)
        return r;
    for (size_t i = 0; i < s.packages_n; i++)
        if (!s.packages[i].path.p)
            s.packages[i].path = STR("");
    struct layer_file file = {
        .analyzer = ANALYZERS, .path = STR(SBOM_PATH), .packages = s.packages, .packages_n = s.packages_n, .os = s.os};
    struct str missing = arena_strf(a, "%zu components of the " STR_FMT " document are no packages we know", s.unknown,
                                    STR_ARG(s.format));
    struct layer_record rec = {
        .digest = STR(""), .diff_id = STR(""), .compression = STR("none"), .files = &file, .files_n = 1};
    if (s.unknown) {
        rec.problems = &missing;
        rec.problems_n = 1;
    }
    return worker_tell_layer(out, &rec, e);
}
