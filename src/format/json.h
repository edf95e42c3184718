/* json: a strict pull reader over memory or a stream, a document built on it, and a writer.
 *
 * The gate must refuse ambiguous JSON and feeds are larger than memory; hence our own. Strict means RFC 8259 exactly:
 * valid UTF-8, no lone surrogates, no trailing data, no duplicate keys within an object, depth at most
 * LIMIT_JSON_DEPTH. With JSON_FOLD_KEYS two keys that differ only in ASCII case are duplicates as well (Go's decoder
 * would merge them). Numbers keep their text. Errors say line and column.
 *
 * Pull:      struct json *j = json_open_mem(text, 0);  while ((t = json_next(j, e)) > 0) ...
 * Stream:    json_open(read_fn, ctx, 0): reads in blocks of 64 KiB, memory bounded by the longest token
 * Document:  struct json_value *v;  json_parse(arena, text, 0, &v, e);  json_str(json_get(v, "name"))
 * Fields:    static const struct json_field fields[] = {{"Id", JSON_F_STR, offsetof(...), true}, ...}
 * Writer:    struct json_writer w = JSON_WRITER(&buf);  json_w_object(&w); json_w_kstr(&w, "id", id); json_w_end(&w);
 */
#ifndef BULKHEAD_FORMAT_JSON_H
#define BULKHEAD_FORMAT_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

#include <sys/types.h>

enum json_token {
    JSON_END = 0,
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

enum {
    JSON_FOLD_KEYS = 1, /* keys equal but for ASCII case are duplicates */
    JSON_ANY_KEYS = 2,  /* do not check for duplicate keys (trusted feeds of huge objects) */
    JSON_LINES = 4,     /* several documents after each other; json_next gives each, JSON_END at the very end */
};

/* ---- pull ---- */
struct json;
typedef ssize_t json_read_fn(void *ctx, void *p, size_t n, struct err *e); /* bytes, 0 at the end, -errno */

struct json *json_open_mem(struct str text, int flags); /* borrows text */
struct json *json_open(json_read_fn *read, void *ctx, int flags);
void json_close(struct json *j);
void json_closep(struct json **j);
int json_next(struct json *j, struct err *e); /* enum json_token, JSON_END (0) at the end, -EBADMSG/-E2BIG/read error */
/* Text of the last KEY, STRING (decoded) or NUMBER; valid until the next call. */
struct str json_text(const struct json *j);
unsigned json_depth(const struct json *j);    /* open objects and arrays */
int json_skip(struct json *j, struct err *e); /* after KEY or inside an array: skip the next value whole.
                                               * After OBJECT/ARRAY was just returned: skip to its end */
int json_expect(struct json *j, enum json_token want, struct err *e); /* next token must be this one */

/* ---- document ---- */
struct json_value {
    enum json_token type;     /* JSON_OBJECT JSON_ARRAY JSON_STRING JSON_NUMBER JSON_TRUE JSON_FALSE JSON_NULL */
    struct str text;          /* STRING decoded, NUMBER as written */
    struct str key;           /* inside an object */
    size_t count;             /* members or elements */
    struct json_value *first; /* members or elements in order; NULL when empty */
    struct json_value *next;
};

int json_parse(struct arena *a, struct str text, int flags, struct json_value **ret, struct err *e);
/* Parse the value that the reader is about to give (after KEY, or inside an array). -ENOENT at the array's end. */
int json_value_read(struct json *j, struct arena *a, struct json_value **ret, struct err *e);
/* All of these take NULL and wrong types gracefully: NULL, STR_NONE, the fallback. */
const struct json_value *json_get(const struct json_value *object, const char *key);
const struct json_value *json_path(const struct json_value *v, const char *path); /* "a.b.c", objects only */
struct str json_str(const struct json_value *v);
int64_t json_i64(const struct json_value *v, int64_t fallback);
double json_double(const struct json_value *v, double fallback);
bool json_bool(const struct json_value *v, bool fallback);
#define JSON_EACH(v, it) for (const struct json_value *it = (v) ? (v)->first : NULL; it; it = it->next)

/* ---- static field tables: object -> struct ---- */
enum json_field_type {
    JSON_F_STR,    /* struct str */
    JSON_F_I64,    /* int64_t */
    JSON_F_BOOL,   /* bool */
    JSON_F_DOUBLE, /* double */
    JSON_F_VALUE,  /* const struct json_value * */
    JSON_F_STRS,   /* struct json_strs, array of strings */
};
struct json_strs {
    struct str *v;
    size_t n;
};
struct json_field {
    const char *name;
    enum json_field_type type;
    size_t offset;
    bool required;
};
enum { JSON_DECODE_UNKNOWN_OK = 1 }; /* else an unknown member is -EBADMSG naming it */
/* null counts as absent. Errors: "field \"x\": expected a string, found a number". */
int json_decode(struct arena *a, const struct json_value *object, const struct json_field *fields, size_t n, int flags,
                void *out, struct err *e);

/* ---- writer: compact, valid UTF-8 always (bad bytes become U+FFFD) ---- */
struct json_writer {
    struct buf *b;
    unsigned depth;
    bool comma, keyed;
    char close[LIMIT_JSON_DEPTH];
};
#define JSON_WRITER(buffer) ((struct json_writer){.b = (buffer)})

void json_w_object(struct json_writer *w);
void json_w_array(struct json_writer *w);
void json_w_end(struct json_writer *w); /* closes the innermost object or array */
void json_w_key(struct json_writer *w, const char *key);
void json_w_str(struct json_writer *w, struct str s); /* STR_NONE (p == NULL) writes null */
void json_w_i64(struct json_writer *w, int64_t v);
void json_w_double(struct json_writer *w, double v);
void json_w_bool(struct json_writer *w, bool v);
void json_w_null(struct json_writer *w);
void json_w_raw(struct json_writer *w, struct str json); /* one value, already valid JSON */
void json_w_value(struct json_writer *w, const struct json_value *v);
/* key and value at once */
void json_w_member(struct json_writer *w, const struct json_value *member); /* of an object, as it is */
void json_w_kstr(struct json_writer *w, const char *key, struct str s);
void json_w_kstrz(struct json_writer *w, const char *key, const char *s);
void json_w_ki64(struct json_writer *w, const char *key, int64_t v);
void json_w_kbool(struct json_writer *w, const char *key, bool v);
void json_w_kobject(struct json_writer *w, const char *key);
void json_w_karray(struct json_writer *w, const char *key);

#endif
