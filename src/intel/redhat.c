#include "intel/redhat.h"

#include "base/cleanup.h"

/* "cpe:/o:redhat:product:version:..." or "cpe:2.3:o:redhat:product:version:..." */
static bool split(struct str cpe, struct str *product, struct str *version)
{
    struct str part, vendor;
    if (str_starts(cpe, STR("cpe:2.3:")))
        cpe = str_sub(cpe, 8, cpe.n);
    else if (str_starts(cpe, STR("cpe:/")))
        cpe = str_sub(cpe, 5, cpe.n);
    else
        return false;
    if (!str_cut(&cpe, ':', &part) || !str_cut(&cpe, ':', &vendor) || !str_eqc(vendor, "redhat") ||
        !str_cut(&cpe, ':', product))
        return false;
    *version = STR_NONE;
    str_cut(&cpe, ':', version);
    return product->n && product->n < 64 && version->n < 64;
}

struct str redhat_space(struct arena *a, struct str cpe)
{
    struct str product, version, major, rest;
    if (!split(cpe, &product, &version) || !version.n)
        return STR_NONE;
    str_split(version, '.', &major, &rest);
    if (str_eqc(product, "enterprise_linux") || str_eqc(product, "rhel"))
        return arena_strf(a, "redhat/" STR_FMT, STR_ARG(major));
    if (str_starts(product, STR("rhel_")) && product.n > 5)
        return arena_strf(a, "redhat/" STR_FMT "-" STR_FMT, STR_ARG(version), STR_ARG(str_sub(product, 5, product.n)));
    return arena_strf(a, "redhat/" STR_FMT ":" STR_FMT, STR_ARG(product), STR_ARG(version));
}
