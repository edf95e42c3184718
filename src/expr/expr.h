/* expr: the one condition language of the house: Falco's filter syntax, plus durations and ordered enumerations.
 *
 *     vuln.severity >= high and vuln.fixed exists and not (vuln.age <= 14d or package.name in (tzdata, "ca certs"))
 *
 *   logic      and  or  not  ( )         `and` binds closer than `or`, `not` closest
 *   any field  FIELD exists              the subject has a value for it
 *   texts      = == != contains icontains startswith endswith glob   in (a, b)   pmatch (/etc, /usr/lib)
 *   numbers    = == != < <= > >=  in     durations (90s 15m 72h 14d 2w) and enumerations compare the same way
 *   lists      the text operators hold when any element does (!= : none is), `intersects (a, b)`: any element is one of
 *              them, `in (a, b)`: there are elements and all are among them
 *   glob       '*' any run, '?' one byte; pmatch: the path is one of these or below it, '*' within one part
 *   fields     dotted names, with an argument in brackets where the schema says so: config.labels[app]
 *   values     bare words [^()"' =,]+ or quoted with ' or ", backslash escapes b f n r t \ / and the quote
 *
 * A comparison on a field the subject does not have is false, also with !=. Fields and their types come from the
 * caller's schema, so everything is checked at compile time: an unknown field, an operator the type does not have, a
 * word that is no member of the enumeration. Errors say the column and what was expected. An expression is immutable
 * and may be evaluated by several threads. What Falco has beyond this (macros, regex, transformers, byte operators) is
 * refused by name.
 *
 * Syntax: falcosecurity/libs, userspace/libsinsp/filter/parser.h.
 */
#ifndef BULKHEAD_EXPR_EXPR_H
#define BULKHEAD_EXPR_EXPR_H

#include "base/arena.h"
#include "base/err.h"

enum expr_type {
    EXPR_STRING,
    EXPR_NUMBER,
    EXPR_DURATION,
    EXPR_ENUM, /* ordered: the position in `names` */
    EXPR_BOOL,
    EXPR_LIST,  /* of strings */
    EXPR_THING, /* has no value, only `exists` */
};

enum expr_arg { EXPR_NO_ARG, EXPR_ARG, EXPR_MAYBE_ARG };

struct expr_field {
    const char *name; /* "vuln.severity" */
    enum expr_type type;
    const char *doc;          /* one line */
    const char *const *names; /* EXPR_ENUM: members in ascending order */
    size_t names_n;
    enum expr_arg arg;
};

struct expr_schema {
    const struct expr_field *fields;
    size_t n;
};

/* The member that the field's type says. */
struct expr_value {
    struct str s;
    double number;
    int64_t duration; /* microseconds */
    int member;
    bool yes;
    const struct str *list;
    size_t list_n;
};

enum expr_op {
    EXPR_EXISTS,
    EXPR_EQ,
    EXPR_NE,
    EXPR_LT,
    EXPR_LE,
    EXPR_GT,
    EXPR_GE,
    EXPR_CONTAINS,
    EXPR_ICONTAINS,
    EXPR_STARTSWITH,
    EXPR_ENDSWITH,
    EXPR_GLOB,
    EXPR_IN,
    EXPR_INTERSECTS,
    EXPR_PMATCH,
};

/* One comparison, for callers that want to know what an expression depends on. */
struct expr_check {
    unsigned field; /* index into the schema */
    struct str arg; /* what stood in brackets; p is NULL when nothing did */
    enum expr_op op;
    struct expr_value *values; /* one, none for EXPR_EXISTS, the list for in, intersects, pmatch (texts sorted) */
    size_t values_n;
};

struct expr;

/* -EINVAL: not an expression, with line (when not the first), column and what was expected; -E2BIG over
 * LIMIT_EXPR_TEXT or LIMIT_EXPR_DEPTH. The schema and its strings must outlive the expression; text is copied. */
int expr_compile(struct arena *a, struct str text, const struct expr_schema *schema, struct expr **ret, struct err *e);

/* Value of a field for the subject in ctx; false when it has none. */
typedef bool expr_get_fn(void *ctx, unsigned field, struct str arg, struct expr_value *ret);
bool expr_eval(const struct expr *x, expr_get_fn *get, void *ctx);

size_t expr_checks(const struct expr *x, const struct expr_check **ret); /* every comparison, in order of appearance */

#endif
