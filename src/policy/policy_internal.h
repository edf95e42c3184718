/* policy_internal: the parsed set, shared by the files of this room. Everything lives in the set's arena. */
#ifndef BULKHEAD_POLICY_POLICY_INTERNAL_H
#define BULKHEAD_POLICY_POLICY_INTERNAL_H

#include "expr/expr.h"
#include "format/yml.h"
#include "policy/policy.h"

#include <stdatomic.h>

struct strs {
    struct str *v;
    size_t n, cap;
    bool given; /* the key was there, perhaps with an empty list */
};

struct selector {
    struct strs images, names;
    struct str *label_keys, *label_values;
    size_t labels_n;
    bool by_images, by_names, by_labels;
};

struct image_rule {
    bool deny;
    struct str text;
    const struct expr *expr;
    int kind;           /* enum finding_kind, -1: only image.* and config.* */
    bool once;          /* of its kind it only asks KIND exists: also judged when there is no finding */
    bool judges_status; /* asks vuln.status itself, so it also sees what is not_affected */
};

struct image_exception {
    struct str finding, rule, package, path, owner, reason;
    int64_t expires;
    struct str expires_text;
};

struct image_attester {
    struct str name, key; /* key: PEM */
};

struct image_policy {
    struct str name;
    struct selector select;
    struct image_rule *rules;
    size_t rules_n;
    struct image_exception *exceptions;
    size_t exceptions_n;
    struct policy_vex *vex;
    size_t vex_n;
    int64_t grace; /* 0 none */
    enum unscanned unscanned;
    struct image_attester *attesters;
    size_t attesters_n;
    int64_t attested_for; /* age from which on an attested verdict counts no more */
};

/* Settings of one ContainerPolicy; ACTION_UNSET where the document says nothing. */
#define ACTION_UNSET (-1)
struct side_doc {
    bool given, deny_default;
    struct strs allow, deny;
};

struct container_doc {
    struct str name;
    int64_t revision;
    enum policy_mode mode;
    struct selector select;
#define X(name, section, key) int name;
    POLICY_ACTIONS(X)
#undef X
    struct strs drift_allow, exec_from, allow, deny, users, capabilities, files_deny, files_read_only, files_watch;
    struct side_doc egress, ingress;
    struct strs isolation_allow;
    struct resource_limit limits[RESOURCES];
    struct policy_respond respond;
    struct str syscalls;
    bool respond_memory;
};

struct policy_set {
    atomic_uint refs;
    struct arena *a;
    struct policy_doc *docs;
    size_t docs_n, docs_cap;
    struct strs notices;
    struct image_policy *images;
    size_t images_n, images_cap;
    struct container_doc *containers;
    size_t containers_n, containers_cap;
    char revision[65];
};

/* Where a document is being read, for messages: "FILE:LINE: policy NAME: WHERE: ...". */
struct reading {
    struct policy_set *set;
    struct arena *a;
    struct str origin;
    struct str name;
    struct err *e;
};

/* ---- policy_read.c: pieces every kind of document is made of ---- */
int read_fail(const struct reading *r, const struct yml *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Every key of the mapping is one of `known` (NULL-terminated); `where` names the mapping ("process", "rules[0]"). */
int read_map(const struct reading *r, const struct yml *v, const char *where, const char *const *known);
int read_text(const struct reading *r, const struct yml *v, const char *where, struct str *ret); /* not empty */
int read_bool(const struct reading *r, const struct yml *v, const char *where, bool *ret);
int read_duration(const struct reading *r, const struct yml *v, const char *where, int64_t *ret);
int read_choice(const struct reading *r, const struct yml *v, const char *where, const char *const *names, int *ret);
int read_strs(const struct reading *r, const struct yml *v, const char *where, struct strs *ret);
int image_vex_read(struct reading *r, const struct yml *list, struct image_policy *p); /* list may be NULL */
int image_attesters_read(struct reading *r, const struct yml *doc, struct image_policy *p);
bool image_policy_selects(const struct image_policy *p, const struct str *names, size_t n);
int read_selector(const struct reading *r, const struct yml *v, struct selector *ret);
void strs_add(struct arena *a, struct strs *s, struct str v);
void read_notice(const struct reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool select_images(const struct strs *patterns, const struct str *names, size_t n, struct str image_id);

/* ---- one file a kind ---- */
int image_policy_read(struct reading *r, const struct yml *doc, struct image_policy *p);
int container_policy_read(struct reading *r, const struct yml *doc, int64_t revision, struct container_doc *p);
int access_policy_read(struct reading *r, const struct yml *doc);

/* ---- policy_network.c: sections network, isolation and resources ---- */
int policy_network_read(struct reading *r, const struct yml *doc, struct container_doc *p);
/* Add what one more matching document says; `first`: it is the first one. */
int policy_respond_read(struct reading *r, const struct yml *v, struct container_doc *p); /* v may be NULL */
void policy_network_add(struct arena *a, struct container_doc *sum, const struct container_doc *d, bool first);
void policy_network_effective(const struct container_doc *sum, struct container_policy *p);

/* ---- image_fields.c: the schema of image rules and how a subject answers ---- */
extern const struct expr_schema image_schema;
struct image_subject {
    struct arena *a;
    const struct image_facts *facts;
    const struct finding *finding; /* NULL: the rule is judged for the image alone */
    int64_t now;
};
bool image_get(void *ctx, unsigned field, struct str arg, struct expr_value *ret);
int image_field_kind(unsigned field); /* enum finding_kind or -1 */
bool image_field_is_thing(unsigned field);
bool image_field_is_status(unsigned field);
/* Instant from which an age field counts, 0 when the field is none or the subject has none. */
int64_t image_field_base(const struct image_subject *s, unsigned field);

#endif
