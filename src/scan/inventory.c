#include "scan/inventory.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "format/digest.h"
#include "scan/image_config.h"
#include "scan/issue.h"

#define SCHEMA "bulkhead/scan-report/1"

void inventory_write(struct json_writer *w, const struct inventory *inv)
{
    char t[TIME_TEXT];
    json_w_kstrz(w, "schema", SCHEMA);
    json_w_kstr(w, "scanner", inv->scanner);
    json_w_kstr(w, "target", inv->target);
    json_w_kstrz(w, "scanned", time_format(inv->scanned, t));
    json_w_kbool(w, "incomplete", inv->incomplete);
    scan_strings_write(w, "problems", inv->problems, inv->problems_n);
    scan_strings_write(w, "looked_for", inv->looked_for, inv->looked_for_n);
    json_w_kstr(w, "image_id", inv->image_id.n ? inv->image_id : STR_NONE);
    json_w_kstr(w, "image_digest", inv->digest.n ? inv->digest : STR_NONE);
    scan_strings_write(w, "names", inv->names, inv->names_n);
    json_w_key(w, "config");
    image_config_write(w, &inv->config);
    json_w_key(w, "os");
    os_release_write(w, &inv->os);
    json_w_karray(w, "layers");
    for (size_t i = 0; i < inv->layers_n; i++) {
        const struct inventory_layer *l = &inv->layers[i];
        json_w_object(w);
        json_w_kstr(w, "diff_id", l->diff_id);
        json_w_kstr(w, "digest", l->digest);
        json_w_kstr(w, "compression", l->compression);
        json_w_ki64(w, "size", l->size);
        json_w_ki64(w, "content_size", l->content_size);
        json_w_kstr(w, "created_by", l->created_by.n ? l->created_by : STR_NONE);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_ki64(w, "base_layers", (int64_t)inv->base_layers);
    json_w_key(w, "packages");
    packages_write(w, inv->packages, inv->packages_n, &inv->os);
}

static int layers_read(struct arena *a, const struct json_value *v, struct inventory *inv, struct err *e)
{
    if (!v || v->type != JSON_ARRAY || v->count > LIMIT_SCAN_LAYERS)
        return err_set(e, EBADMSG, "layers: a list was expected");
    inv->layers = arena_array(a, v->count, sizeof(*inv->layers));
    JSON_EACH (v, it) {
        struct inventory_layer *l = &inv->layers[inv->layers_n++];
        l->diff_id = json_str(json_get(it, "diff_id"));
        l->digest = json_str(json_get(it, "digest"));
        l->compression = json_str(json_get(it, "compression"));
        l->size = json_i64(json_get(it, "size"), 0);
        l->content_size = json_i64(json_get(it, "content_size"), 0);
        l->created_by = json_str(json_get(it, "created_by"));
        if (!digest_valid(l->diff_id) || !digest_valid(l->digest))
            return err_set(e, EBADMSG, "layers: a digest was expected");
    }
    return 0;
}

static struct str finding_key(struct arena *a, struct str type, struct str name, struct str version, struct str arch)
{
    return arena_strf(a, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(type), STR_ARG(name), STR_ARG(version),
                      STR_ARG(arch));
}

static int64_t instant(const struct json_value *v)
{
    int64_t t;
    return time_parse(json_str(v), &t) < 0 ? 0 : t;
}

static int finding_read(struct arena *a, const struct map *packages, const struct json_value *v, struct finding *f,
                        struct err *e)
{
    const struct json_value *p = json_get(v, "package");
    *f = (struct finding){
        .kind = FINDING_VULN,
        .id = json_str(json_get(v, "id")),
        .severity_source = json_str(json_get(v, "severity_source")),
        .fixed = json_str(json_get(v, "fixed")),
        .published = instant(json_get(v, "published")),
        .fix_published = instant(json_get(v, "fix_published")),
        .cvss = json_double(json_get(v, "cvss"), -1),
        .epss = json_double(json_get(v, "epss"), -1),
        .kev = json_bool(json_get(v, "kev"), false),
        .headers_only = json_bool(json_get(v, "headers_only"), false),
        .vex = json_str(json_get(v, "vex")),
        .title = json_str(json_get(v, "title")),
        .advisory = json_str(json_get(v, "advisory")),
    };
    f->package = map_get(packages, finding_key(a, json_str(json_get(p, "type")), json_str(json_get(p, "name")),
                                               json_str(json_get(p, "version")), json_str(json_get(p, "arch"))));
    if (!f->id.n || !f->package || vuln_severity_parse(json_str(json_get(v, "severity")), &f->severity) < 0 ||
        vuln_status_parse(json_str(json_get(v, "status")), &f->status) < 0)
        return err_set(e, EBADMSG, "finding \"" STR_FMT "\": malformed, or of no package of the report",
                       STR_ARG(str_sub(f->id, 0, 80)));
    return scan_strings(a, json_get(v, "aliases"), "aliases", &f->aliases, &f->aliases_n, e);
}

static int findings_read(struct arena *a, const struct json_value *report, struct inventory *inv, struct err *e)
{
    const struct json_value *intel = json_get(report, "intel"), *list = json_get(report, "findings");
    inv->intel_revision = json_str(json_get(intel, "revision"));
    inv->intel_built = instant(json_get(intel, "built"));
    inv->intel_signed = json_bool(json_get(intel, "signed"), false);
    if (!list || list->type != JSON_ARRAY)
        return 0;
    _cleanup_(map_freep) struct map *packages = map_new(LIMIT_SCAN_PACKAGES + 1);
    for (size_t i = inv->packages_n; i-- > 0;) {
        struct package *p = &inv->packages[i];
        map_put(packages, finding_key(a, p->type, p->name, p->version, p->arch), p);
    }
    inv->findings = arena_array(a, list->count, sizeof(*inv->findings));
    inv->issues = arena_array(a, list->count, sizeof(*inv->issues));
    JSON_EACH (list, it) {
        bool vuln = str_eqc(json_str(json_get(it, "kind")), "vuln");
        if (vuln && inv->intel_revision.n == 0)
            continue;
        int r = vuln ? finding_read(a, packages, it, &inv->findings[inv->findings_n], e)
                     : issue_read(it, &inv->issues[inv->issues_n], e);
        if (r < 0)
            return r;
        if (vuln)
            inv->findings_n++;
        else
            inv->issues_n++;
    }
    return 0;
}

int inventory_read(struct arena *a, const struct json_value *report, struct inventory *ret, struct err *e)
{
    struct inventory inv = {
        .target = json_str(json_get(report, "target")),
        .image_id = json_str(json_get(report, "image_id")),
        .digest = json_str(json_get(report, "image_digest")),
        .scanner = json_str(json_get(report, "scanner")),
        .incomplete = json_bool(json_get(report, "incomplete"), true),
    };
    int r;
    if (!str_eqc(json_str(json_get(report, "schema")), SCHEMA))
        return err_set(e, EBADMSG, "not a scan report of this version (schema " SCHEMA ")");
    if (inv.image_id.n && !digest_valid(inv.image_id))
        return err_set(e, EBADMSG, "scan report: image_id is no digest");
    if (time_parse(json_str(json_get(report, "scanned")), &inv.scanned) < 0)
        return err_set(e, EBADMSG, "scan report: scanned is no instant");
    os_release_read(json_get(report, "os"), &inv.os);
    if ((r = scan_strings(a, json_get(report, "problems"), "problems", &inv.problems, &inv.problems_n, e)) < 0 ||
        (r = scan_strings(a, json_get(report, "names"), "names", &inv.names, &inv.names_n, e)) < 0 ||
        (r = scan_strings(a, json_get(report, "looked_for"), "looked_for", &inv.looked_for, &inv.looked_for_n, e)) <
            0 ||
        (r = image_config_read(a, json_get(report, "config"), &inv.config, e)) < 0 ||
        (r = layers_read(a, json_get(report, "layers"), &inv, e)) < 0 ||
        (r = packages_read(a, json_get(report, "packages"), &inv.packages, &inv.packages_n, e)) < 0 ||
        (r = findings_read(a, report, &inv, e)) < 0)
        return err_wrap(e, "scan report");
    int64_t base = json_i64(json_get(report, "base_layers"), 0);
    inv.base_layers = base > 0 && (uint64_t)base <= inv.layers_n ? (size_t)base : 0;
    *ret = inv;
    return 0;
}

int inventory_load(struct arena *a, const char *path, struct inventory *ret, struct err *e)
{
    struct str text;
    struct json_value *v;
    int r = fs_read(a, path, LIMIT_REPORT, &text, e);
    if (r < 0)
        return r;
    if ((r = json_parse(a, text, 0, &v, e)) < 0 || (r = inventory_read(a, v, ret, e)) < 0)
        return err_wrap(e, "%s", path);
    return 0;
}
