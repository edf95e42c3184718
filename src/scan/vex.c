#include "scan/vex.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/purl.h"

static int load(struct arena *a, const char *path, struct vex *ret,
                int (*parse)(struct arena *, struct str, struct str, struct vex *, struct err *), struct err *e)
{
    struct str text;
    int r = fs_read(a, path, LIMIT_VEX_FILE, &text, e);
    if (r < 0)
        return r;
    struct str name = str_c(path);
    ptrdiff_t slash = str_rchr(name, '/');
    r = parse(a, str_sub(name, (size_t)(slash + 1), name.n), text, ret, e);
    return r < 0 ? (err_wrap(e, "%s", path), r) : 0;
}

int vex_load(struct arena *a, const char *path, struct vex *ret, struct err *e)
{
    return load(a, path, ret, vex_parse, e);
}

int ignore_load(struct arena *a, const char *path, struct vex *ret, struct err *e)
{
    return load(a, path, ret, ignore_parse, e);
}

/* ---- matching ---- */

static bool about_id(const struct vex_statement *s, const struct finding *f)
{
    for (size_t i = 0; i < s->ids_n; i++) {
        if (str_ieq(s->ids[i], f->id))
            return true;
        for (size_t k = 0; k < f->aliases_n; k++)
            if (str_ieq(s->ids[i], f->aliases[k]))
                return true;
    }
    return s->ids_n == 0;
}

/* "12" is "debian-12" of what we write ourselves; others must be equal. */
static bool qualifiers_agree(const struct purl *want, const struct purl *have)
{
    for (size_t i = 0; i < want->qualifiers_n; i++) {
        struct str key = want->qualifier_keys[i], value = want->qualifier_values[i];
        if (str_eqc(key, "repository_url") || str_eqc(key, "tag") || str_eqc(key, "vcs_url") ||
            str_eqc(key, "download_url") || str_eqc(key, "checksum"))
            continue;
        struct str mine = STR_NONE;
        for (size_t k = 0; k < have->qualifiers_n; k++)
            if (str_eq(have->qualifier_keys[k], key))
                mine = have->qualifier_values[k];
        if (mine.n && !str_eq(mine, value) && !(str_eqc(key, "distro") && str_ends(mine, value)))
            return false;
    }
    return true;
}

static bool purl_is_package(struct arena *a, struct str text, const struct inventory *inv, const struct package *p)
{
    struct purl want, have;
    if (!p || purl_parse(a, text, &want) < 0 || purl_parse(a, package_purl(a, p, &inv->os), &have) < 0 ||
        !str_eq(want.type, have.type))
        return false;
    struct str name = purl_package_name(a, &want), mine = purl_package_name(a, &have);
    bool source = str_eqc(purl_qualifier(&want, "arch"), "source") || str_eqc(purl_qualifier(&want, "arch"), "src");
    if (source)
        mine = p->source_name;
    else if (!qualifiers_agree(&want, &have))
        return false;
    bool os = str_eqc(want.type, "deb") || str_eqc(want.type, "rpm") || str_eqc(want.type, "apk");
    if (os && want.namespace.n && !str_eq(want.namespace, have.namespace))
        return false;
    return str_eq(name, mine) &&
           (!want.version.n || str_eq(want.version, have.version) || str_eq(want.version, p->version) ||
            (source && str_eq(want.version, p->source_version)));
}

/* The last part of a repository's path: "registry:5000/shop/web:7" -> "web". */
static struct str base_name(struct str name)
{
    ptrdiff_t at = str_chr(name, '@'), slash, colon;
    if (at >= 0)
        name = str_sub(name, 0, (size_t)at);
    slash = str_rchr(name, '/');
    name = str_sub(name, (size_t)(slash + 1), name.n);
    colon = str_chr(name, ':');
    return colon < 0 ? name : str_sub(name, 0, (size_t)colon);
}

static bool product_is_image(struct arena *a, struct str product, const struct inventory *inv)
{
    struct purl p;
    if (str_eq(product, inv->image_id) || str_eq(product, inv->digest) || str_eq(product, inv->target))
        return true;
    bool is_purl = purl_parse(a, product, &p) == 0;
    if (is_purl && !str_eqc(p.type, "oci") && !str_eqc(p.type, "docker"))
        return false;
    bool digest = is_purl && str_starts(p.version, STR("sha256:"));
    if (digest)
        return str_eq(p.version, inv->digest) || str_eq(p.version, inv->image_id);
    for (size_t i = 0; i < inv->names_n; i++) {
        if (str_eq(product, inv->names[i]))
            return true;
        if (is_purl && str_eq(p.name, base_name(inv->names[i])))
            return true;
    }
    return false;
}

static bool about_product(struct arena *a, const struct vex_statement *s, const struct inventory *inv,
                          const struct finding *f)
{
    if (s->product.n && purl_is_package(a, s->product, inv, f->package))
        return true;
    if (s->product.n && !product_is_image(a, s->product, inv))
        return false;
    for (size_t i = 0; i < s->components_n; i++)
        if (purl_is_package(a, s->components[i], inv, f->package))
            return true;
    return s->components_n == 0;
}

/* Grype's: fixed, not-fixed, wont-fix, unknown */
static bool about_fix_state(struct str want, const struct finding *f)
{
    return str_eqc(want, "fixed")       ? f->fixed.n > 0
           : str_eqc(want, "wont-fix")  ? f->status == VULN_WILL_NOT_FIX
           : str_eqc(want, "not-fixed") ? !f->fixed.n && f->status != VULN_WILL_NOT_FIX
                                        : str_eqc(want, "unknown") && f->status == VULN_UNDER_INVESTIGATION;
}

static bool about_rest(const struct vex_statement *s, const struct finding *f)
{
    const struct package *p = f->package;
    bool named = p && (str_glob(s->name, p->name, true) || (s->by_policy && str_eq(s->name, p->source_name)));
    if (s->name.n && !named)
        return false;
    if (s->version.n && !(p && str_eq(s->version, p->version)))
        return false;
    if (s->type.n && !(p && str_eq(s->type, p->type)))
        return false;
    if (s->fix_state.n && !about_fix_state(s->fix_state, f))
        return false;
    return !s->path.n || str_glob(s->path, f->path, false) ||
           (s->path.p[0] == '/' && str_glob(str_sub(s->path, 1, s->path.n), f->path, false));
}

bool vex_about(struct arena *a, const struct vex_statement *s, const struct inventory *inv, const struct finding *f,
               int64_t now)
{
    return (!s->expires || s->expires > now) && (s->kind < 0 || s->kind == (int)f->kind) && about_id(s, f) &&
           about_rest(s, f) && about_product(a, s, inv, f);
}
