#include "intel/cpe.h"

#include "base/cleanup.h"

static const struct {
    const char *program, *name;
} programs[] = {
#define PROGRAM(program, vendor, product) {program, vendor ":" product},
#include "intel/programs.tbl.h"
#undef PROGRAM
};

size_t cpe_names(struct str program, struct str ret[static CPE_NAMES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(programs) && n < CPE_NAMES_MAX; i++)
        if (str_eqc(program, programs[i].program))
            ret[n++] = str_c(programs[i].name);
    return n;
}

bool cpe_known(struct str vendor_product)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (str_eqc(vendor_product, programs[i].name))
            return true;
    return false;
}

/* The next part up to a colon that is not escaped, without backslashes. */
static struct str next_part(struct arena *a, struct str *rest)
{
    char *out = arena_alloc(a, rest->n + 1);
    size_t n = 0, i = 0;
    for (; i < rest->n && rest->p[i] != ':'; i++) {
        if (rest->p[i] == '\\' && i + 1 < rest->n)
            i++;
        out[n++] = rest->p[i];
    }
    *rest = str_sub(*rest, i + 1, rest->n);
    return (struct str){out, n};
}

bool cpe_parse(struct arena *a, struct str text, struct cpe *ret)
{
    if (!str_starts(text, STR("cpe:2.3:")) || text.n > 1024)
        return false;
    struct str rest = str_sub(text, 8, text.n), part = next_part(a, &rest), vendor = next_part(a, &rest),
               product = next_part(a, &rest);
    if (part.n != 1 || !vendor.n || !product.n)
        return false;
    ret->part = part.p[0];
    ret->name = arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(vendor), STR_ARG(product));
    ret->version = next_part(a, &rest);
    ret->update = next_part(a, &rest);
    return true;
}
