/* SPDX 2.3 JSON: the image, its operating system and its packages. */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "format/digest.h"

static const char *const license_ids[] = {
#define LICENSE(id) id,
#include "scan/license.tbl.h"
#undef LICENSE
};

static bool known_license(struct str s)
{
    if (str_ends(s, STR("+")))
        s.n--;
    for (size_t i = 0; i < ARRAY_LEN(license_ids); i++)
        if (str_eqc(s, license_ids[i]))
            return true;
    return false;
}

/* Whether the text is an SPDX expression of identifiers we know: id {(AND|OR) id}, without parentheses and WITH. */
static bool expression(struct str s)
{
    struct str word;
    for (size_t i = 0; str_cut(&s, ' ', &word); i++)
        if (i % 2 ? !str_eqc(word, "AND") && !str_eqc(word, "OR") : !known_license(word))
            return false;
        else if (i % 2 && !s.n)
            return false;
    return true;
}

struct ids {
    struct arena *a;
    struct map *licenses; /* text -> LicenseRef, in order */
};

static struct str license(struct ids *ids, struct str text)
{
    if (!text.n)
        return STR("NOASSERTION");
    if (expression(text))
        return text;
    struct str *ref = map_get(ids->licenses, text);
    if (!ref) {
        ref = arena_alloc(ids->a, sizeof(*ref));
        *ref = arena_strf(ids->a, "LicenseRef-%zu", map_count(ids->licenses) + 1);
        map_put(ids->licenses, text, ref);
    }
    return *ref;
}

static void instant(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    time_format(t, text);
    memcpy(text + 19, "Z", 2); /* the format knows no fraction */
    json_w_kstrz(w, key, text);
}

static void head(struct json_writer *w, struct arena *a, const struct report *r)
{
    const struct inventory *inv = r->inventory;
    struct str name = inv->names_n ? inv->names[0] : inv->target;
    struct sha256 h;
    uint8_t sum[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256_init(&h);
    sha256_update(&h, name.p, name.n);
    sha256_update(&h, inv->image_id.p, inv->image_id.n);
    sha256_update(&h, &inv->scanned, sizeof(inv->scanned));
    sha256_final(&h, sum);
    hex_encode(sum, sizeof(sum), hex);
    json_w_kstrz(w, "spdxVersion", "SPDX-2.3");
    json_w_kstrz(w, "dataLicense", "CC0-1.0");
    json_w_kstrz(w, "SPDXID", "SPDXRef-DOCUMENT");
    json_w_kstr(w, "name", name);
    json_w_kstr(w, "documentNamespace", arena_strf(a, "https://spdx.org/spdxdocs/bulkhead-%s", hex));
    json_w_kobject(w, "creationInfo");
    instant(w, "created", inv->scanned);
    json_w_karray(w, "creators");
    json_w_str(w, arena_strf(a, "Tool: bulkhead-" STR_FMT, STR_ARG(inv->scanner)));
    json_w_end(w);
    json_w_end(w);
    json_w_karray(w, "documentDescribes");
    json_w_str(w, STR("SPDXRef-Image"));
    json_w_end(w);
}

static void common(struct json_writer *w, const char *purpose, struct str declared)
{
    json_w_kstrz(w, "downloadLocation", "NOASSERTION");
    json_w_kbool(w, "filesAnalyzed", false);
    json_w_kstrz(w, "licenseConcluded", "NOASSERTION");
    json_w_kstr(w, "licenseDeclared", declared);
    json_w_kstrz(w, "copyrightText", "NOASSERTION");
    json_w_kstrz(w, "primaryPackagePurpose", purpose);
}

static void image(struct json_writer *w, const struct inventory *inv)
{
    json_w_object(w);
    json_w_kstrz(w, "SPDXID", "SPDXRef-Image");
    json_w_kstr(w, "name", inv->names_n ? inv->names[0] : inv->target);
    if (inv->image_id.n)
        json_w_kstr(w, "versionInfo", inv->image_id);
    common(w, inv->image_id.n ? "CONTAINER" : "FILE", STR("NOASSERTION"));
    if (str_starts(inv->image_id, STR("sha256:"))) {
        json_w_karray(w, "checksums");
        json_w_object(w);
        json_w_kstrz(w, "algorithm", "SHA256");
        json_w_kstr(w, "checksumValue", str_sub(inv->image_id, 7, inv->image_id.n));
        json_w_end(w);
        json_w_end(w);
    }
    json_w_end(w);
}

static void operating_system(struct json_writer *w, const struct os_release *os)
{
    json_w_object(w);
    json_w_kstrz(w, "SPDXID", "SPDXRef-OperatingSystem");
    json_w_kstr(w, "name", os->id);
    if (os->version_id.n)
        json_w_kstr(w, "versionInfo", os->version_id);
    common(w, "OPERATING-SYSTEM", STR("NOASSERTION"));
    json_w_end(w);
}

static void package(struct json_writer *w, struct ids *ids, const struct inventory *inv, size_t i)
{
    const struct package *p = &inv->packages[i];
    json_w_object(w);
    json_w_kstr(w, "SPDXID", arena_strf(ids->a, "SPDXRef-Package-%zu", i));
    json_w_kstr(w, "name", p->name);
    if (p->version.n)
        json_w_kstr(w, "versionInfo", p->version);
    common(w, "LIBRARY", license(ids, p->license));
    if (p->path.n)
        json_w_kstr(w, "sourceInfo",
                    arena_strf(ids->a, "found in " STR_FMT "%s" STR_FMT, STR_ARG(p->path),
                               p->layer.n ? " of layer " : "", STR_ARG(p->layer)));
    json_w_karray(w, "externalRefs");
    json_w_object(w);
    json_w_kstrz(w, "referenceCategory", "PACKAGE-MANAGER");
    json_w_kstrz(w, "referenceType", "purl");
    json_w_kstr(w, "referenceLocator", package_purl(ids->a, p, &inv->os));
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

static void relation(struct json_writer *w, struct str from, const char *type, struct str to)
{
    json_w_object(w);
    json_w_kstr(w, "spdxElementId", from);
    json_w_kstrz(w, "relationshipType", type);
    json_w_kstr(w, "relatedSpdxElement", to);
    json_w_end(w);
}

void report_spdx(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    _cleanup_(map_freep) struct map *licenses = map_new(LIMIT_SCAN_PACKAGES);
    struct ids ids = {a, licenses};
    const struct inventory *inv = r->inventory;
    struct json_writer w = JSON_WRITER(b);
    json_w_object(&w);
    head(&w, a, r);
    json_w_karray(&w, "packages");
    image(&w, inv);
    if (inv->os.id.n)
        operating_system(&w, &inv->os);
    for (size_t i = 0; i < inv->packages_n; i++)
        package(&w, &ids, inv, i);
    json_w_end(&w);
    json_w_karray(&w, "relationships");
    relation(&w, STR("SPDXRef-DOCUMENT"), "DESCRIBES", STR("SPDXRef-Image"));
    if (inv->os.id.n)
        relation(&w, STR("SPDXRef-Image"), "CONTAINS", STR("SPDXRef-OperatingSystem"));
    for (size_t i = 0; i < inv->packages_n; i++)
        relation(&w, STR("SPDXRef-Image"), "CONTAINS", arena_strf(a, "SPDXRef-Package-%zu", i));
    json_w_end(&w);
    if (map_count(licenses)) {
        json_w_karray(&w, "hasExtractedLicensingInfos");
        MAP_EACH (licenses, it) {
            json_w_object(&w);
            json_w_kstr(&w, "licenseId", *(struct str *)it->value);
            json_w_kstr(&w, "extractedText", it->key);
            json_w_end(&w);
        }
        json_w_end(&w);
    }
    json_w_end(&w);
    buf_putc(b, '\n');
}
