#include "format/manifest.h"

#include "format/digest.h"

#include <sys/utsname.h>

int json_unambiguous(const struct json_value *object, const char *what, struct err *e)
{
    if (object && object->count > 1000) /* the comparison is quadratic; real ones have a dozen */
        return err_set(e, E2BIG, "%s: %zu members", what, object->count);
    JSON_EACH (object, m)
        for (const struct json_value *o = m->next; o; o = o->next)
            if (str_ieq(m->key, o->key))
                return err_set(e, EBADMSG, "%s: \"" STR_FMT "\" and \"" STR_FMT "\" mean the same to some readers",
                               what, STR_ARG(str_sub(m->key, 0, 80)), STR_ARG(str_sub(o->key, 0, 80)));
    return 0;
}

static int object(struct arena *a, struct str text, const char *what, enum json_token type, struct json_value **ret,
                  struct err *e)
{
    int r = json_parse(a, text, 0, ret, e);
    if (r < 0)
        return err_wrap(e, "%s", what);
    if ((*ret)->type != type)
        return err_set(e, EBADMSG, "%s: not a JSON %s", what, type == JSON_OBJECT ? "object" : "array");
    return type == JSON_OBJECT ? json_unambiguous(*ret, what, e) : 0;
}

static int descriptor(const struct json_value *v, const char *what, struct oci_descriptor *ret, struct err *e)
{
    if (!v || v->type != JSON_OBJECT)
        return err_set(e, EBADMSG, "%s: no descriptor", what);
    int r = json_unambiguous(v, what, e);
    if (r < 0)
        return r;
    const struct json_value *platform = json_get(v, "platform"), *notes = json_get(v, "annotations");
    *ret = (struct oci_descriptor){
        .media_type = json_str(json_get(v, "mediaType")),
        .digest = json_str(json_get(v, "digest")),
        .size = json_i64(json_get(v, "size"), -1),
        .os = json_str(json_get(platform, "os")),
        .arch = json_str(json_get(platform, "architecture")),
        .variant = json_str(json_get(platform, "variant")),
        .ref_name = json_str(json_get(notes, "org.opencontainers.image.ref.name")),
        .image_name = json_str(json_get(notes, "io.containerd.image.name")),
        .attestation = json_get(notes, "vnd.docker.reference.type") != NULL,
    };
    if (!digest_valid(ret->digest))
        return err_set(e, str_starts(ret->digest, STR("sha512:")) ? ENOTSUP : EBADMSG,
                       "%s: \"" STR_FMT "\" is no sha256 digest", what, STR_ARG(str_sub(ret->digest, 0, 100)));
    if (ret->size < 0)
        return err_set(e, EBADMSG, "%s: no size", what);
    return 0;
}

int oci_parse(struct arena *a, struct str text, struct oci_document *ret, struct err *e)
{
    struct json_value *v;
    int r = object(a, text, "manifest", JSON_OBJECT, &v, e);
    if (r < 0)
        return r;
    const struct json_value *manifests = json_get(v, "manifests"), *layers = json_get(v, "layers");
    if (json_get(v, "fsLayers"))
        return err_set(e, ENOTSUP, "manifest: Docker schema 1 is not supported");
    if ((manifests != NULL) == (layers != NULL)) /* CVE-2021-41190: a document that is both */
        return err_set(e, EBADMSG, "manifest: neither an index nor a manifest, or both");
    struct oci_document d = {.index = manifests != NULL};
    const struct json_value *list = d.index ? manifests : layers;
    if (list->type != JSON_ARRAY)
        return err_set(e, EBADMSG, "manifest: no list of %s", d.index ? "manifests" : "layers");
    if (list->count > LIMIT_SCAN_LAYERS)
        return err_set(e, E2BIG, "manifest: %zu entries, more than %u", list->count, LIMIT_SCAN_LAYERS);
    d.entries = arena_array(a, list->count, sizeof(*d.entries));
    JSON_EACH (list, it)
        if ((r = descriptor(it, d.index ? "index" : "manifest: layer", &d.entries[d.entries_n++], e)) < 0)
            return r;
    if (!d.index && (r = descriptor(json_get(v, "config"), "manifest: config", &d.config, e)) < 0)
        return r;
    *ret = d;
    return 0;
}

const char *oci_machine(void)
{
    static const struct {
        const char *uname, *oci;
    } names[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"},   {"armv7l", "arm"},  {"armv6l", "arm"},
                 {"i686", "386"},     {"ppc64le", "ppc64le"}, {"s390x", "s390x"}, {"riscv64", "riscv64"}};
    struct utsname u;
    if (uname(&u) == 0)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (!strcmp(u.machine, names[i].uname))
                return names[i].oci;
    return "unknown";
}

static bool named(const struct oci_descriptor *d, struct str tag)
{
    return tag.n == 0 || str_eq(d->ref_name, tag) || str_eq(d->image_name, tag);
}

static bool fits(const struct oci_descriptor *d, struct str platform)
{
    struct str os = STR("linux"), arch = str_c(oci_machine()), variant = STR(""), rest;
    if (platform.n) {
        str_split(platform, '/', &os, &rest);
        str_split(rest, '/', &arch, &variant);
    } else if (d->arch.n == 0) {
        return true;
    }
    return str_eq(d->os, os) && str_eq(d->arch, arch) && (variant.n == 0 || str_eq(d->variant, variant));
}

static int refuse(const struct oci_document *index, int code, const char *why, struct err *e)
{
    char list[600] = "";
    size_t n = 0;
    for (size_t i = 0; i < index->entries_n && n < sizeof(list) - 200; i++) {
        const struct oci_descriptor *d = &index->entries[i];
        struct str name = d->ref_name.n ? d->ref_name : d->image_name.n ? d->image_name : str_sub(d->digest, 0, 19);
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s" STR_FMT " (" STR_FMT "/" STR_FMT ")", i ? ", " : "",
                              STR_ARG(str_sub(name, 0, 80)), STR_ARG(str_sub(d->os, 0, 16)),
                              STR_ARG(str_sub(d->arch, 0, 16)));
    }
    return err_set(e, code, "%s; it holds %zu: %s", why, index->entries_n, list);
}

int oci_choose(const struct oci_document *index, struct str tag, struct str platform, const struct oci_descriptor **ret,
               struct err *e)
{
    const struct oci_descriptor *fit = NULL, *any = NULL;
    size_t fits_n = 0, any_n = 0;
    for (size_t i = 0; i < index->entries_n; i++) {
        const struct oci_descriptor *d = &index->entries[i];
        if (d->attestation || str_eqc(d->os, "unknown") || !named(d, tag))
            continue;
        if (!any || !str_eq(any->digest, d->digest))
            any_n++;
        any = d;
        if (!fits(d, platform) || (fit && str_eq(fit->digest, d->digest)))
            continue;
        fit = d;
        fits_n++;
    }
    if (fits_n > 1)
        return refuse(index, EEXIST, "the index holds several images, name one by its tag", e);
    if (fits_n == 0 && (any_n != 1 || platform.n))
        return refuse(index, ENOENT,
                      any_n ? "the index holds no image for this platform" : "no such image in the index", e);
    *ret = fits_n ? fit : any;
    return 0;
}

static int strings(struct arena *a, const struct json_value *v, size_t max, struct str **ret, size_t *ret_n,
                   struct err *e)
{
    *ret_n = 0;
    if (!v || v->type == JSON_NULL)
        return 0;
    if (v->type != JSON_ARRAY || v->count > max)
        return err_set(e, EBADMSG, "manifest.json: a list of at most %zu strings was expected", max);
    *ret = arena_array(a, v->count, sizeof(**ret));
    JSON_EACH (v, it) {
        if (it->type != JSON_STRING)
            return err_set(e, EBADMSG, "manifest.json: a list of strings was expected");
        (*ret)[(*ret_n)++] = it->text;
    }
    return 0;
}

int docker_archive_parse(struct arena *a, struct str text, struct docker_archive_image **ret, size_t *ret_n,
                         struct err *e)
{
    struct json_value *v;
    int r = object(a, text, "manifest.json", JSON_ARRAY, &v, e);
    if (r < 0)
        return r;
    if (v->count > LIMIT_SCAN_LAYERS)
        return err_set(e, E2BIG, "manifest.json: %zu images", v->count);
    struct docker_archive_image *list = arena_array(a, v->count, sizeof(*list));
    size_t n = 0;
    JSON_EACH (v, it) {
        struct docker_archive_image *im = &list[n++];
        if (it->type != JSON_OBJECT)
            return err_set(e, EBADMSG, "manifest.json: an object was expected");
        if ((r = json_unambiguous(it, "manifest.json", e)) < 0 ||
            (r = strings(a, json_get(it, "RepoTags"), 10000, &im->tags, &im->tags_n, e)) < 0 ||
            (r = strings(a, json_get(it, "Layers"), LIMIT_SCAN_LAYERS, &im->layers, &im->layers_n, e)) < 0)
            return r;
        im->config = json_str(json_get(it, "Config"));
        if (im->config.n == 0)
            return err_set(e, EBADMSG, "manifest.json: an image without Config");
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
