/* rules_internal: definitions as the files gave them, before they are compiled. */
#ifndef BULKHEAD_DETECT_RULES_INTERNAL_H
#define BULKHEAD_DETECT_RULES_INTERNAL_H

#include "base/map.h"
#include "detect/rules.h"
#include "format/yml.h"

#define DETECT_ITEMS_MAX 65536u /* rules, macros and lists */
#define DETECT_ARENA     (256u << 20)
#define DETECT_NOTICES   20000u

struct exception {
    struct str name;
    struct str *fields, *comps;
    size_t fields_n, comps_n;
    bool single;               /* fields is one name: values are its values */
    const struct yml **values; /* elements of values, from all places */
    size_t values_n, values_cap;
};

struct definition {
    struct str name, condition; /* of a rule or a macro */
    struct str *items;          /* of a list */
    size_t items_n, items_cap;
    const char *file;
    size_t line;
    bool seen; /* lists: being resolved */
    struct str *flat;
    size_t flat_n;
};

struct rule_source {
    struct detect_rule rule;
    struct str condition;
    const struct yml *sequence, *count, *by;
    struct str within;
    struct exception *exceptions;
    size_t exceptions_n, exceptions_cap;
    bool skip_unknown;
};

struct detect_rules {
    struct arena *a;
    struct map *macros, *lists, *by_name; /* struct definition, definition, rule_source */
    struct rule_source **sources;
    size_t n, cap;
    struct detect_rule **rules;
    struct detect_notice *notices;
    size_t notices_n, notices_cap, errors;
    struct expr_set *set;
    uint64_t kinds;
    size_t in_force;
    uint64_t fingerprint; /* of the texts */
};

void detect_notice(struct detect_rules *rs, enum detect_notice_kind kind, const char *file, size_t line,
                   struct str rule, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* exceptions.c: "(COND) and not ((...) or (...))" */
void detect_exceptions_read(struct detect_rules *rs, struct rule_source *src, const struct yml *list, bool append);
struct str detect_exceptions_apply(struct detect_rules *rs, const struct rule_source *src);

#endif
