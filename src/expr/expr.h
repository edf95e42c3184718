/* expr: the one condition language of the house: Falco's filter syntax, plus durations and ordered enumerations.
 *
 *     vuln.severity >= high and vuln.fixed exists and not (vuln.age <= 14d or package.name in (tzdata, "ca certs"))
 *
 *   logic      and  or  not  ( )         `and` binds closer than `or`, `not` closest
 *   any field  FIELD exists              the subject has a value for it
 *   texts      = == != contains icontains bcontains startswith bstartswith endswith glob iglob regex
 *              in (a, b)   intersects (a, b)   pmatch (/etc, /usr/lib)
 *              each but the last three also with several values: startswith anyof (a, b), contains allof (a, b)
 *   numbers    = == != < <= > >=  in     durations (90s 15m 72h 14d 2w) and enumerations compare the same way
 *   lists      the text operators hold when any element does (!= : none is), `intersects (a, b)`: any element is one of
 *              them, `in (a, b)`: there are elements and all are among them (EXPR_ANY: one of them is)
 *   addresses  = != in, with addresses or networks: fd.net in ("10.0.0.0/8")
 *   glob       '*' any run, '?' one byte, [a-z] a class, '\' takes the next byte as it is; iglob: without case
 *   regex      the whole text matches (RE2's syntax, run by PCRE2 with a limit on its steps)
 *   pmatch     the path is one of these or below it, '*' within one part
 *   bcontains  the value is bytes in hex
 *   fields     dotted names, with an argument in brackets where the schema says so: config.labels[app], proc.aname[2];
 *              some also as proc.env.HOME
 *   transformers, also inside of each other: tolower(F) toupper(F) b64(F) (decodes) basename(F) len(F) join(",", F)
 *              concat(F, "x"); on the right side a field stands in val(F) or in another transformer
 *   values     bare words [^()"' =,]+ or quoted with ' or ", backslash escapes b f n r t \ / and the quote
 *   macros and lists, where the caller has some: a name alone is a macro, a name in a list that is the name of a list
 *              stands for its items
 *
 * A comparison on a field the subject does not have is false, also with !=. Fields and their types come from the
 * caller's schema, so everything is checked at compile time: an unknown field, an operator the type does not have, a
 * word that is no member of the enumeration. Errors say the column and what was expected. An expression is immutable
 * and may be evaluated by several threads.
 *
 * Many expressions over one schema share a struct expr_set: equal comparisons and equal sub-conditions are kept once,
 * and evaluated once for a subject (struct expr_memo).
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
    EXPR_LIST,    /* of strings */
    EXPR_ANY,     /* of strings, of which one is enough, also for `in` */
    EXPR_ADDRESS, /* IP addresses, of which one is enough */
    EXPR_THING,   /* has no value, only `exists` */
};

enum expr_arg { EXPR_NO_ARG, EXPR_ARG, EXPR_MAYBE_ARG, EXPR_DOT_ARG /* name[x] or name.x */ };

struct expr_field {
    const char *name; /* "vuln.severity" */
    enum expr_type type;
    const char *doc;          /* one line */
    const char *const *names; /* EXPR_ENUM: members in ascending order */
    size_t names_n;
    enum expr_arg arg;
    unsigned cost; /* of asking for it, 0: next to nothing; dear ones are asked last */
};

struct expr_schema {
    const struct expr_field *fields;
    size_t n;
};

struct expr_net {
    uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;     /* of addr; 128 for one address */
};

/* The member that the field's type says. */
struct expr_value {
    struct str s;
    double number;
    int64_t duration; /* microseconds */
    int member;
    bool yes;
    const struct str *list;
    const struct expr_net *nets; /* EXPR_ADDRESS */
    size_t list_n;               /* of list or nets */
};

/* What comes out of macros and lists; both may be NULL. */
struct expr_names {
    bool (*macro)(void *ctx, struct str name, struct str *ret); /* its condition */
    bool (*list)(void *ctx, struct str name, const struct str **ret, size_t *ret_n);
    void *ctx;
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
    EXPR_BCONTAINS,
    EXPR_STARTSWITH,
    EXPR_BSTARTSWITH,
    EXPR_ENDSWITH,
    EXPR_GLOB,
    EXPR_IGLOB,
    EXPR_REGEX,
    EXPR_IN,
    EXPR_INTERSECTS,
    EXPR_PMATCH,
};

struct expr_operand;

/* One comparison, for callers that want to know what an expression depends on. */
struct expr_check {
    unsigned field; /* index into the schema: the left side, or the first field in its transformers */
    struct str arg; /* what stood in brackets; p is NULL when nothing did */
    enum expr_op op;
    enum expr_type type;       /* of the left side, after transformers */
    struct expr_value *values; /* one, none for EXPR_EXISTS, the list for in, intersects, pmatch (texts sorted) */
    size_t values_n;
    bool all;                         /* allof */
    const struct expr_operand *left;  /* NULL: the field as it is */
    const struct expr_operand *right; /* NULL: values */
    const uint32_t *hashed;           /* index of values (+1) by hash, for long lists of texts */
    uint32_t hashed_mask;
    void *regex; /* pcre2_code */
};

struct expr;

/* -EINVAL: not an expression, with line (when not the first), column and what was expected; -E2BIG over
 * LIMIT_EXPR_TEXT or LIMIT_EXPR_DEPTH. The schema and its strings must outlive the expression; text is copied. */
int expr_compile(struct arena *a, struct str text, const struct expr_schema *schema, struct expr **ret, struct err *e);

/* Value of a field for the subject in ctx; false when it has none. */
typedef bool expr_get_fn(void *ctx, unsigned field, struct str arg, struct expr_value *ret);
bool expr_eval(const struct expr *x, expr_get_fn *get, void *ctx);

size_t expr_checks(const struct expr *x, const struct expr_check **ret); /* every comparison, in order of appearance */

/* ---- many expressions ---- */

struct expr_set;
struct expr_set *expr_set_new(struct arena *a, const struct expr_schema *schema, const struct expr_names *names);
/* ret: what to evaluate. Errors as expr_compile(); one in a macro names it. On error the set is as useful as before. */
int expr_set_add(struct expr_set *set, struct str text, unsigned *ret, struct err *e);
void expr_set_done(struct expr_set *set); /* nothing will be added any more: frees what only the compiler needs */
void expr_set_fini(struct expr_set *set); /* before its arena goes: what regex keep outside of it */
size_t expr_set_checks(const struct expr_set *set);
/* Calls fn for each comparison that the expression depends on, shared ones once. */
void expr_set_each(const struct expr_set *set, unsigned root, void (*fn)(void *ctx, const struct expr_check *c),
                   void *ctx);

/* For which of up to 64 classes of subjects can the expression be true? fn tells, for one comparison, where it holds
 * and where it does not; false: it does not depend on the class. */
uint64_t expr_set_classes(const struct expr_set *set, unsigned root, uint64_t all,
                          bool (*fn)(void *ctx, const struct expr_check *c, uint64_t *holds), void *ctx);

/* Does the expression hold only where the plain field `field` is one of some texts? Then these; NULL: it may hold
 * elsewhere. */
const struct expr_check *expr_set_required(const struct expr_set *set, unsigned root, unsigned field);

/* Results for one subject. Of one thread; after the last expr_set_add(). */
struct expr_memo;
struct expr_memo *expr_memo_new(const struct expr_set *set);
void expr_memo_free(struct expr_memo *m); /* NULL is fine */
void expr_memo_next(struct expr_memo *m); /* another subject: forget */
bool expr_set_eval(struct expr_memo *m, unsigned root, expr_get_fn *get, void *ctx);

/* ---- one field or transformer alone, as in %fields of an output ---- */

int expr_operand_compile(struct arena *a, struct str text, const struct expr_schema *schema,
                         const struct expr_operand **ret, struct err *e);
enum expr_type expr_operand_type(const struct expr_operand *o);
/* Value and type of it; texts live in `a` or are the subject's. False: none. */
bool expr_operand_value(const struct expr_operand *o, struct arena *a, expr_get_fn *get, void *ctx,
                        struct expr_value *ret);
/* The fields in it, first is index 0; false behind the last. */
bool expr_operand_field(const struct expr_operand *o, size_t i, unsigned *ret, struct str *arg);

/* "10.0.0.1", "10.0.0.0/8", "fe80::/10" */
int expr_net_parse(struct str s, struct expr_net *ret);

#endif
