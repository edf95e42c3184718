/* The document and the field tables. */
#include "format/json.h"

int json_value_read(struct json *j, struct arena *a, struct json_value **ret, struct err *e)
{
    struct json_value *root = NULL, *parent[LIMIT_JSON_DEPTH + 1], *tail[LIMIT_JSON_DEPTH + 1];
    unsigned depth = 0;
    struct str key = STR_NONE;
    do {
        int t = json_next(j, e);
        if (t < 0)
            return t;
        if (t == JSON_KEY && depth) {
            key = arena_str(a, json_text(j));
            continue;
        }
        if (t == JSON_OBJECT_END || t == JSON_ARRAY_END || t == JSON_END || t == JSON_KEY) {
            if (!depth)
                return err_set(e, ENOENT, "no more values");
            depth--;
            continue;
        }
        struct json_value *v = arena_new_of(a, struct json_value);
        v->type = (enum json_token)t;
        if (t == JSON_STRING || t == JSON_NUMBER)
            v->text = arena_str(a, json_text(j));
        if (depth) {
            v->key = key;
            key = STR_NONE;
            if (tail[depth])
                tail[depth]->next = v;
            else
                parent[depth]->first = v;
            tail[depth] = v;
            parent[depth]->count++;
        } else {
            root = v;
        }
        if (t == JSON_OBJECT || t == JSON_ARRAY) {
            depth++;
            parent[depth] = v;
            tail[depth] = NULL;
        }
    } while (depth);
    *ret = root;
    return 0;
}

int json_parse(struct arena *a, struct str text, int flags, struct json_value **ret, struct err *e)
{
    __attribute__((cleanup(json_closep))) struct json *j = json_open_mem(text, flags & ~JSON_LINES);
    struct json_value *v = NULL;
    int r = json_value_read(j, a, &v, e);
    if (r == 0)
        r = json_next(j, e);
    if (r < 0)
        return r;
    *ret = v;
    return 0;
}

const struct json_value *json_get(const struct json_value *object, const char *key)
{
    if (!object || object->type != JSON_OBJECT)
        return NULL;
    struct str k = str_c(key);
    JSON_EACH (object, it)
        if (str_eq(it->key, k))
            return it;
    return NULL;
}

const struct json_value *json_path(const struct json_value *v, const char *path)
{
    struct str rest = str_c(path), part;
    while (v && str_cut(&rest, '.', &part)) {
        const struct json_value *found = NULL;
        if (v->type == JSON_OBJECT)
            JSON_EACH (v, it)
                if (str_eq(it->key, part)) {
                    found = it;
                    break;
                }
        v = found;
    }
    return v;
}

struct str json_str(const struct json_value *v)
{
    return v && v->type == JSON_STRING ? v->text : STR_NONE;
}

int64_t json_i64(const struct json_value *v, int64_t fallback)
{
    int64_t n;
    return v && v->type == JSON_NUMBER && str_i64(v->text, &n) == 0 ? n : fallback;
}

double json_double(const struct json_value *v, double fallback)
{
    double d;
    return v && v->type == JSON_NUMBER && str_double(v->text, &d) == 0 ? d : fallback;
}

bool json_bool(const struct json_value *v, bool fallback)
{
    return v && v->type == JSON_TRUE ? true : v && v->type == JSON_FALSE ? false : fallback;
}

static const char *type_name(enum json_token t)
{
    switch (t) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_NUMBER:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}

static int wrong(const struct json_field *f, const char *want, const struct json_value *v, struct err *e)
{
    return err_set(e, EBADMSG, "field \"%s\": expected %s, found %s", f->name, want, type_name(v->type));
}

static int decode_one(struct arena *a, const struct json_field *f, const struct json_value *v, void *out, struct err *e)
{
    void *at = (char *)out + f->offset;
    switch (f->type) {
    case JSON_F_STR:
        if (v->type != JSON_STRING)
            return wrong(f, "a string", v, e);
        *(struct str *)at = v->text;
        return 0;
    case JSON_F_I64: {
        int64_t n;
        if (v->type != JSON_NUMBER)
            return wrong(f, "an integer", v, e);
        if (str_i64(v->text, &n) < 0)
            return err_set(e, EBADMSG, "field \"%s\": expected an integer of 64 bits, found " STR_FMT, f->name,
                           STR_ARG(str_sub(v->text, 0, 40)));
        *(int64_t *)at = n;
        return 0;
    }
    case JSON_F_BOOL:
        if (v->type != JSON_TRUE && v->type != JSON_FALSE)
            return wrong(f, "a boolean", v, e);
        *(bool *)at = v->type == JSON_TRUE;
        return 0;
    case JSON_F_DOUBLE: {
        double d;
        if (v->type != JSON_NUMBER)
            return wrong(f, "a number", v, e);
        if (str_double(v->text, &d) < 0)
            return err_set(e, EBADMSG, "field \"%s\": the number is out of range", f->name);
        *(double *)at = d;
        return 0;
    }
    case JSON_F_VALUE:
        *(const struct json_value **)at = v;
        return 0;
    case JSON_F_STRS: {
        if (v->type != JSON_ARRAY)
            return wrong(f, "an array of strings", v, e);
        struct json_strs s = {arena_array(a, v->count, sizeof(struct str)), 0};
        JSON_EACH (v, it) {
            if (it->type != JSON_STRING)
                return err_set(e, EBADMSG, "field \"%s\"[%zu]: expected a string, found %s", f->name, s.n,
                               type_name(it->type));
            s.v[s.n++] = it->text;
        }
        *(struct json_strs *)at = s;
        return 0;
    }
    }
    return err_set(e, EINVAL, "field \"%s\": bad field table", f->name);
}

int json_decode(struct arena *a, const struct json_value *object, const struct json_field *fields, size_t n, int flags,
                void *out, struct err *e)
{
    if (!object || object->type != JSON_OBJECT)
        return err_set(e, EBADMSG, "expected an object, found %s", object ? type_name(object->type) : "nothing");
    if (!(flags & JSON_DECODE_UNKNOWN_OK))
        JSON_EACH (object, it) {
            size_t i = 0;
            while (i < n && !str_eqc(it->key, fields[i].name))
                i++;
            if (i == n)
                return err_set(e, EBADMSG, "unknown field \"" STR_FMT "\"", STR_ARG(str_sub(it->key, 0, 80)));
        }
    for (size_t i = 0; i < n; i++) {
        const struct json_value *v = json_get(object, fields[i].name);
        if (v && v->type == JSON_NULL && fields[i].type != JSON_F_VALUE)
            v = NULL;
        if (!v) {
            if (fields[i].required)
                return err_set(e, EBADMSG, "field \"%s\" is missing", fields[i].name);
            continue;
        }
        int r = decode_one(a, &fields[i], v, out, e);
        if (r < 0)
            return r;
    }
    return 0;
}
