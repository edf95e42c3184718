/* expr: any text either compiles or gives an error with a column; what compiles can be evaluated on any subject. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "expr/expr.h"

static const char *const levels[] = {"low", "medium", "high"};
static const struct expr_field fields[] = {
    {"a.text", EXPR_STRING},  {"a.number", EXPR_NUMBER},
    {"a.age", EXPR_DURATION}, {"a.level", EXPR_ENUM, NULL, levels, 3},
    {"a.yes", EXPR_BOOL},     {"a.list", EXPR_LIST, .arg = EXPR_MAYBE_ARG},
    {"thing", EXPR_THING},    {"a.label", EXPR_STRING, .arg = EXPR_ARG},
};
static const struct expr_schema schema = {fields, ARRAY_LEN(fields)};

static bool get(void *ctx, unsigned field, struct str arg, struct expr_value *ret)
{
    static const struct str list[] = {{"a", 1}, {"/etc/passwd", 11}};
    unsigned *n = ctx;
    unsigned r = (*n)++ * 2654435761u >> 24;
    *ret = (struct expr_value){.s = list[r & 1],
                               .number = r,
                               .duration = (int64_t)r << 32,
                               .member = (int)(r % 3),
                               .yes = r & 2,
                               .list = list,
                               .list_n = r % 3};
    return r & 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 30);
    struct err e = ERR_INIT;
    struct expr *x = NULL;
    if (expr_compile(a, str_n((const char *)data, size), &schema, &x, &e) < 0) {
        if (!e.msg[0] || x)
            abort();
        return 0;
    }
    const struct expr_check *checks;
    if (!expr_checks(x, &checks))
        abort();
    for (unsigned i = 0; i < 4; i++) {
        unsigned n = i * 1000, m = n;
        if (expr_eval(x, get, &n) != expr_eval(x, get, &m))
            abort();
    }
    return 0;
}
