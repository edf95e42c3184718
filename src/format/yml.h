/* yml: YAML documents as trees with line numbers, through libyaml's parser. For files that people write: policies,
 * rules, configuration.
 *
 * Stricter than YAML: keys are scalars, a key may appear once in a mapping, no tags but the core ones. Depth, size and
 * the number of nodes (aliases are copied, and count) are capped. Values are kept as written: what "14d", "off" or "12"
 * means is decided by the reader. Everything lives in the arena. -EBADMSG with the line; -E2BIG over a cap.
 *
 *     struct yml_doc *docs;  size_t n;
 *     yml_parse(a, text, &docs, &n, e);
 *     YML_EACH(yml_get(docs[0].root, "rules"), it) ...
 */
#ifndef BULKHEAD_FORMAT_YML_H
#define BULKHEAD_FORMAT_YML_H

#include "format/json.h"

enum yml_kind { YML_SCALAR, YML_LIST, YML_MAP };

struct yml {
    enum yml_kind kind;
    bool quoted;     /* scalar in quotes or as a block: always a text */
    struct str text; /* scalar */
    struct str key;  /* inside a mapping */
    size_t line;     /* where the value starts, from 1 */
    size_t key_line;
    size_t count; /* members or elements */
    struct yml *first, *next;
};

struct yml_doc {
    struct yml *root; /* never NULL; empty documents are left out */
    struct str text;  /* the document as written, without the --- before it */
};

#define YML_EACH(v, it) for (const struct yml *it = (v) ? (v)->first : NULL; it; it = it->next)

int yml_parse(struct arena *a, struct str text, struct yml_doc **ret, size_t *ret_n, struct err *e);
const struct yml *yml_get(const struct yml *map, const char *key); /* NULL when absent or no mapping */
bool yml_null(const struct yml *v);                                /* NULL, or plain ~, null, nothing */
/* As JSON: plain true, false, null, numbers become such; everything else a string. */
struct json_value *yml_json(struct arena *a, const struct yml *v);

#endif
