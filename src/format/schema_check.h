/* schema_check: for tests, whether a JSON value keeps to one of the schemas in api/. It knows the keywords those use
 * and stops at any other, so that a schema never promises what no test looked at.
 *
 *     const char *bad = schema_check(schema, schema, value, where);   // NULL: fine, else what is wrong
 */
#ifndef BULKHEAD_FORMAT_SCHEMA_CHECK_H
#define BULKHEAD_FORMAT_SCHEMA_CHECK_H

#include "base/cleanup.h"
#include "format/json.h"

#include <regex.h>

static inline bool schema_same(const struct json_value *a, const struct json_value *b)
{
    return a->type == b->type && str_eq(a->text, b->text);
}

static inline bool schema_type(struct str name, const struct json_value *v)
{
    switch (v->type) {
    case JSON_OBJECT:
        return str_eqc(name, "object");
    case JSON_ARRAY:
        return str_eqc(name, "array");
    case JSON_STRING:
        return str_eqc(name, "string");
    case JSON_NULL:
        return str_eqc(name, "null");
    case JSON_NUMBER:
        return str_eqc(name, "number") || (str_eqc(name, "integer") && str_chr(v->text, '.') < 0);
    default:
        return str_eqc(name, "boolean");
    }
}

static inline const char *schema_check(const struct json_value *root, const struct json_value *schema,
                                       const struct json_value *v);

static inline const char *schema_object(const struct json_value *root, const struct json_value *schema,
                                        const struct json_value *v)
{
    const struct json_value *properties = json_get(schema, "properties"),
                            *more = json_get(schema, "additionalProperties");
    JSON_EACH (v, it) {
        const struct json_value *s = json_get(properties, it->key.p);
        if (!s && more && more->type == JSON_FALSE)
            return it->key.p;
        if (!s && more && more->type == JSON_OBJECT)
            s = more;
        const char *bad = s ? schema_check(root, s, it) : NULL;
        if (bad)
            return bad;
    }
    JSON_EACH (json_get(schema, "required"), it)
        if (!json_get(v, it->text.p))
            return it->text.p;
    return NULL;
}

static inline const char *schema_keyword(const struct json_value *root, const struct json_value *schema,
                                         const struct json_value *k, const struct json_value *v)
{
    static const char *const passed_over[] = {"$schema",     "$id",        "$defs",    "title",
                                              "description", "properties", "required", "additionalProperties",
                                              "then",        "x-ecs",      "x-ocsf"};
    struct str key = k->key;
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(passed_over); i++)
        if (str_eqc(key, passed_over[i]))
            return NULL;
    if (str_eqc(key, "type")) {
        bool ok = schema_type(k->text, v);
        JSON_EACH (k, it)
            ok |= schema_type(it->text, v);
        return ok ? NULL : "type";
    }
    if (str_eqc(key, "const"))
        return schema_same(k, v) ? NULL : "const";
    if (str_eqc(key, "minimum"))
        return v->type != JSON_NUMBER || json_double(v, 0) >= json_double(k, 0) ? NULL : "minimum";
    if (str_eqc(key, "$ref"))
        return schema_check(root, json_get(json_get(root, "$defs"), k->text.p + strlen("#/$defs/")), v);
    if (str_eqc(key, "if"))
        return schema_check(root, k, v) ? NULL : schema_check(root, json_get(schema, "then"), v);
    if (str_eqc(key, "pattern")) {
        regex_t re;
        if (v->type != JSON_STRING)
            return NULL;
        if (regcomp(&re, k->text.p, REG_EXTENDED | REG_NOSUB))
            return "a pattern that is none";
        int r = regexec(&re, v->text.p, 0, NULL, 0);
        regfree(&re);
        return r ? "pattern" : NULL;
    }
    if (str_eqc(key, "items")) {
        if (v->type == JSON_ARRAY)
            JSON_EACH (v, it) {
                const char *bad = schema_check(root, k, it);
                if (bad)
                    return bad;
            }
        return NULL;
    }
    JSON_EACH (k, it)
        n += str_eqc(key, "enum") ? schema_same(it, v) : !schema_check(root, it, v);
    if (str_eqc(key, "enum") || str_eqc(key, "anyOf"))
        return n ? NULL : key.p;
    if (str_eqc(key, "oneOf"))
        return n == 1 ? NULL : "oneOf";
    if (str_eqc(key, "allOf"))
        return n == k->count ? NULL : "allOf";
    return "a keyword schema_check does not know";
}

static inline const char *schema_check(const struct json_value *root, const struct json_value *schema,
                                       const struct json_value *v)
{
    if (!schema)
        return "a reference to nothing";
    JSON_EACH (schema, k) {
        const char *bad = schema_keyword(root, schema, k, v);
        if (bad)
            return bad;
    }
    return v->type == JSON_OBJECT ? schema_object(root, schema, v) : NULL;
}

#endif
