/* Records, packages and os-release as JSON, in the jail's output, the cache and reports. */
#include "base/limits.h"
#include "format/digest.h"
#include "scan/image_config.h"
#include "scan/issue.h"
#include "scan/layer.h"

static void put(struct json_writer *w, const char *key, struct str s)
{
    if (s.n)
        json_w_kstr(w, key, s);
}

void os_release_write(struct json_writer *w, const struct os_release *os)
{
    json_w_object(w);
    put(w, "id", os->id);
    put(w, "version_id", os->version_id);
    put(w, "codename", os->codename);
    put(w, "pretty", os->pretty);
    json_w_end(w);
}

void os_release_read(const struct json_value *v, struct os_release *ret)
{
    *ret = (struct os_release){
        .id = json_str(json_get(v, "id")),
        .version_id = json_str(json_get(v, "version_id")),
        .codename = json_str(json_get(v, "codename")),
        .pretty = json_str(json_get(v, "pretty")),
    };
}

void packages_write(struct json_writer *w, const struct package *list, size_t n, const struct os_release *purl_os)
{
    struct arena *a = purl_os ? arena_new(64u << 20) : NULL;
    json_w_array(w);
    for (size_t i = 0; i < n; i++) {
        const struct package *p = &list[i];
        json_w_object(w);
        json_w_kstr(w, "type", p->type);
        json_w_kstr(w, "name", p->name);
        json_w_kstr(w, "version", p->version);
        put(w, "arch", p->arch);
        if (!str_eq(p->source_name, p->name))
            put(w, "source_name", p->source_name);
        if (!str_eq(p->source_version, p->version))
            put(w, "source_version", p->source_version);
        put(w, "module", p->module);
        put(w, "vendor", p->vendor);
        put(w, "license", p->license);
        put(w, "path", p->path);
        put(w, "layer", p->layer);
        if (purl_os) {
            json_w_kstr(w, "purl", package_purl(a, p, purl_os));
            arena_reset(a);
        }
        json_w_end(w);
    }
    json_w_end(w);
    arena_free(a);
}

int packages_read(struct arena *a, const struct json_value *v, struct package **ret, size_t *ret_n, struct err *e)
{
    *ret = NULL;
    *ret_n = 0;
    if (!v)
        return 0;
    if (v->type != JSON_ARRAY || v->count > LIMIT_SCAN_PACKAGES)
        return err_set(e, EBADMSG, "packages: a list was expected");
    struct package *list = arena_array(a, v->count, sizeof(*list));
    size_t n = 0;
    JSON_EACH (v, it) {
        struct package p = {
            .type = json_str(json_get(it, "type")),
            .name = json_str(json_get(it, "name")),
            .version = json_str(json_get(it, "version")),
            .arch = json_str(json_get(it, "arch")),
            .source_name = json_str(json_get(it, "source_name")),
            .source_version = json_str(json_get(it, "source_version")),
            .module = json_str(json_get(it, "module")),
            .vendor = json_str(json_get(it, "vendor")),
            .license = json_str(json_get(it, "license")),
            .path = json_str(json_get(it, "path")),
            .layer = json_str(json_get(it, "layer")),
        };
        if (p.type.n == 0 || p.name.n == 0 || (p.layer.n && !digest_valid(p.layer)))
            return err_set(e, EBADMSG, "packages: entry %zu has no type or name, or its layer is no digest", n);
        if (p.source_name.n == 0)
            p.source_name = p.name;
        if (p.source_version.n == 0)
            p.source_version = p.version;
        list[n++] = p;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

void layer_record_write(struct json_writer *w, const struct layer_record *l)
{
    json_w_object(w);
    json_w_ki64(w, "version", LAYER_VERSION);
    json_w_kstr(w, "digest", l->digest);
    json_w_kstr(w, "diff_id", l->diff_id);
    json_w_kstr(w, "compression", l->compression);
    json_w_ki64(w, "size", l->size);
    json_w_ki64(w, "content_size", l->content_size);
    json_w_ki64(w, "entries", l->entries);
    json_w_kbool(w, "tar", l->tar);
    layer_paths_write(w, "paths", &l->paths);
    scan_strings_write(w, "problems", l->problems, l->problems_n);
    json_w_karray(w, "files");
    for (size_t i = 0; i < l->files_n; i++) {
        const struct layer_file *f = &l->files[i];
        json_w_object(w);
        json_w_kstr(w, "path", f->path);
        put(w, "link", f->link);
        put(w, "problem", f->problem);
        if (f->owned)
            json_w_kbool(w, "owned", true);
        if (f->os.id.n || f->os.pretty.n) {
            json_w_key(w, "os");
            os_release_write(w, &f->os);
        }
        if (f->packages_n) {
            json_w_key(w, "packages");
            packages_write(w, f->packages, f->packages_n, NULL);
        }
        if (f->issues_n)
            issues_write(w, "issues", f->issues, f->issues_n);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
}

static int file_read(struct arena *a, const struct json_value *v, struct layer_file *ret, struct err *e)
{
    *ret = (struct layer_file){
        .path = json_str(json_get(v, "path")),
        .link = json_str(json_get(v, "link")),
        .problem = json_str(json_get(v, "problem")),
        .owned = json_bool(json_get(v, "owned"), false),
    };
    int which = layer_analyzer(ret->path), r;
    ret->analyzer = which < 0 ? ANALYZERS : (enum analyzer)which;
    if (ret->path.n == 0)
        return err_set(e, EBADMSG, "record: a file without a path");
    os_release_read(json_get(v, "os"), &ret->os);
    if ((r = packages_read(a, json_get(v, "packages"), &ret->packages, &ret->packages_n, e)) < 0)
        return r;
    return issues_read(a, json_get(v, "issues"), &ret->issues, &ret->issues_n, e);
}

int layer_record_read(struct arena *a, const struct json_value *v, struct layer_record *ret, struct err *e)
{
    struct layer_record l = {
        .digest = json_str(json_get(v, "digest")),
        .diff_id = json_str(json_get(v, "diff_id")),
        .compression = json_str(json_get(v, "compression")),
        .size = json_i64(json_get(v, "size"), -1),
        .content_size = json_i64(json_get(v, "content_size"), -1),
        .entries = json_i64(json_get(v, "entries"), -1),
        .tar = json_bool(json_get(v, "tar"), false),
    };
    const struct json_value *files = json_get(v, "files");
    int r;
    bool digests = l.tar ? digest_valid(l.digest) && digest_valid(l.diff_id) : l.digest.n == 0 && l.diff_id.n == 0;
    if (json_i64(json_get(v, "version"), 0) != LAYER_VERSION || !digests || l.size < 0 || l.content_size < 0 ||
        l.entries < 0 || !files || files->type != JSON_ARRAY || files->count > LIMIT_SCAN_FILES_COUNT)
        return err_set(e, EBADMSG, "record: malformed");
    if ((r = layer_paths_read(a, json_get(v, "paths"), &l.paths, e)) < 0 ||
        (r = scan_strings(a, json_get(v, "problems"), "problems", &l.problems, &l.problems_n, e)) < 0)
        return r;
    l.files = arena_array(a, files->count, sizeof(*l.files));
    JSON_EACH (files, it)
        if ((r = file_read(a, it, &l.files[l.files_n++], e)) < 0)
            return r;
    *ret = l;
    return 0;
}
