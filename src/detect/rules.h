/* rules: detection rules, in Falco's rule files, with a small extension for counts and sequences.
 *
 * A file is a YAML list of rules, macros, lists, required_engine_version and required_plugin_versions, as Falco reads
 * it: append, override, exceptions, enabled, tags, priorities, %fields in outputs. Files are added in order, later ones
 * change earlier ones; then all is compiled once. What cannot be had here is a notice that names rule and field or
 * event type, never a silent hole: a comparison with a field that we do not have is never true.
 *
 * Ours, beside Falco's keys of a rule:
 *     count: {at_least: 30, distinct: fd.sport}    fires when the condition held so often (with so many different
 *     within: 60s                                  values) within this time, for the same ...
 *     by: [container.id, proc.pid]                 ... values of these fields; default container.id
 *     sequence: [CONDITION, CONDITION, ...]        instead of condition: one after the other, within and by as above
 *     always: true                                 always malicious: never learned, whatever the policy says
 *     advice: TEXT                                 what to do
 *     false_alarms: TEXT                           what else could raise it, and how often it may
 *
 *     struct detect_rules *rs = detect_rules_new();
 *     detect_rules_add(rs, "rules.yaml", text, e);
 *     detect_rules_compile(rs, e);
 *
 * Rules are immutable once compiled. Language: falco.org/docs/concepts/rules; engine version below.
 */
#ifndef BULKHEAD_DETECT_RULES_H
#define BULKHEAD_DETECT_RULES_H

#include "detect/subject.h"

#define DETECT_ENGINE_VERSION "0.60.0" /* of Falco's language; the old numbers are its middle part */
#define DETECT_AT_LEAST_MAX   4096u
#define DETECT_STEPS_MAX      8u
#define DETECT_BY_MAX         4u

enum detect_priority {
    PRIORITY_EMERGENCY,
    PRIORITY_ALERT,
    PRIORITY_CRITICAL,
    PRIORITY_ERROR,
    PRIORITY_WARNING,
    PRIORITY_NOTICE,
    PRIORITY_INFO,
    PRIORITY_DEBUG,
};
const char *detect_priority_name(enum detect_priority p);
enum event_severity detect_priority_severity(enum detect_priority p);

struct detect_output;

struct detect_rule {
    size_t index;
    struct str name, desc, output, source, advice, false_alarms;
    enum detect_priority priority;
    struct str *tags, *mitre; /* mitre: technique and tactic ids among the tags: T1059.004, TA0003 */
    size_t tags_n, mitre_n;
    bool enabled, always;
    const char *file;
    size_t line;
    /* compiled; steps_n 0: not in force (disabled, not for us, refused) */
    unsigned steps[DETECT_STEPS_MAX];
    uint64_t kinds[DETECT_STEPS_MAX];
    size_t steps_n;
    struct detect_output *message;
    uint64_t at_least; /* 0: each time */
    int64_t within;
    const struct expr_operand *distinct;
    const struct expr_operand *by[DETECT_BY_MAX];
    size_t by_n;
};

enum detect_notice_kind { NOTICE_ERROR, NOTICE_UNSUPPORTED, NOTICE_WARNING };
struct detect_notice {
    enum detect_notice_kind kind;
    const char *file;
    size_t line;
    struct str rule; /* or macro or list; empty: the file */
    struct str text;
};

struct detect_rules;
struct detect_rules *detect_rules_new(void);
void detect_rules_free(struct detect_rules *rs); /* NULL is fine */
void detect_rules_freep(struct detect_rules **rs);
/* -EBADMSG: not a rule file at all (YAML, shape); the story says where. Mistakes within an item become notices. */
int detect_rules_add(struct detect_rules *rs, const char *file, struct str text, struct err *e);
/* A file, or all *.yaml and *.yml of a folder, in the order of their names. */
int detect_rules_read(struct detect_rules *rs, const char *path, struct err *e);
void detect_rules_compile(struct detect_rules *rs);

size_t detect_rules_list(const struct detect_rules *rs, struct detect_rule *const **ret);
size_t detect_rules_notices(const struct detect_rules *rs, const struct detect_notice **ret);
size_t detect_rules_errors(const struct detect_rules *rs);
size_t detect_rules_in_force(const struct detect_rules *rs);
const struct expr_set *detect_rules_set(const struct detect_rules *rs);
uint64_t detect_rules_kinds(const struct detect_rules *rs); /* of events that any rule in force can be about */

uint64_t detect_rules_fingerprint(const struct detect_rules *rs); /* equal when all texts were */

/* ---- output.c ---- */
/* Unknown fields and those that are not here go to unknown(ctx, name, why) and print as <NA>. */
struct detect_output *detect_output_compile(struct arena *a, struct str text,
                                            void (*unknown)(void *ctx, struct str name, const char *why), void *ctx);
struct str detect_output_format(const struct detect_output *o, struct detect_subject *s);
/* Value of one field as text; false: it has none. */
bool detect_operand_text(const struct expr_operand *o, struct detect_subject *s, struct str *ret);

#endif
