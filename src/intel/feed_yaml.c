/* OSV records and Alpine's secdb as YAML (PyPA's advisory-database, alpine-secdb): one document a file, read whole into
 * the same values as JSON. Every scalar is text but null; anchors, aliases and a second document are refused. */
#include "base/cleanup.h"
#include "intel/feed.h"

#include <yaml.h>

struct input {
    struct feed *f;
    struct err *e;
    int code;
};

struct level {
    struct json_value *v, *tail;
    struct str key;
    bool keyed; /* a key was read, its value comes next */
};

static int read_more(void *arg, unsigned char *p, size_t n, size_t *ret_n)
{
    struct input *in = arg;
    ssize_t got = feed_read(in->f, p, n, in->e);
    if (got < 0)
        in->code = (int)got;
    *ret_n = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

static void parser_fini(yaml_parser_t *p)
{
    yaml_parser_delete(p);
}

static bool is_null(const yaml_event_t *ev, struct str s)
{
    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (!s.n || str_eqc(s, "null") || str_eqc(s, "~"));
}

static int refuse(struct err *e, const yaml_event_t *ev, const char *what)
{
    return err_set(e, EBADMSG, "%s at line %zu, column %zu", what, ev->start_mark.line + 1, ev->start_mark.column + 1);
}

/* Hang a value below the innermost object or array. */
static int add(struct level *l, struct json_value *v, const yaml_event_t *ev, struct err *e)
{
    if (l->v->type == JSON_OBJECT) {
        if (!l->keyed)
            return refuse(e, ev, "a key that is no text");
        v->key = l->key;
        l->keyed = false;
    }
    if (l->tail)
        l->tail->next = v;
    else
        l->v->first = v;
    l->tail = v;
    l->v->count++;
    return 0;
}

static int take_value(struct arena *a, const yaml_event_t *ev, struct level *l, unsigned *depth,
                      struct json_value **root, struct err *e)
{
    struct json_value *v = arena_new_of(a, struct json_value);
    if (ev->type == YAML_SCALAR_EVENT) {
        struct str s = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
        struct level *top = &l[*depth];
        if (*depth && top->v->type == JSON_OBJECT && !top->keyed) {
            top->key = arena_str(a, s);
            top->keyed = true;
            return 0;
        }
        v->type = is_null(ev, s) ? JSON_NULL : JSON_STRING;
        v->text = arena_str(a, s);
    } else {
        v->type = ev->type == YAML_MAPPING_START_EVENT ? JSON_OBJECT : JSON_ARRAY;
    }
    int r = *depth ? add(&l[*depth], v, ev, e) : 0;
    if (r < 0)
        return r;
    if (!*depth)
        *root = v;
    if (v->type == JSON_OBJECT || v->type == JSON_ARRAY) {
        if (*depth + 1 > LIMIT_JSON_DEPTH)
            return refuse(e, ev, "nested too deep");
        l[++*depth] = (struct level){.v = v};
    }
    return 0;
}

static int take(struct arena *a, const yaml_event_t *ev, struct level *l, unsigned *depth, struct json_value **root,
                struct err *e)
{
    switch (ev->type) {
    case YAML_ALIAS_EVENT:
        return refuse(e, ev, "an alias");
    case YAML_DOCUMENT_START_EVENT:
        return *root ? refuse(e, ev, "a second document") : 0;
    case YAML_SCALAR_EVENT:
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return take_value(a, ev, l, depth, root, e);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        --*depth;
        return 0;
    default:
        return 0;
    }
}

int feed_yaml_read(struct feed *f, struct json_value **ret, struct err *e)
{
    _cleanup_(parser_fini) yaml_parser_t p;
    struct input in = {.f = f, .e = e};
    struct level l[LIMIT_JSON_DEPTH + 1] = {0};
    unsigned depth = 0;
    bool more = true;
    if (!yaml_parser_initialize(&p))
        abort();
    yaml_parser_set_input(&p, read_more, &in);
    while (more) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&p, &ev))
            return in.code ? in.code
                           : err_set(e, EBADMSG, "YAML: %s at line %zu, column %zu", p.problem ? p.problem : "damaged",
                                     p.problem_mark.line + 1, p.problem_mark.column + 1);
        more = ev.type != YAML_STREAM_END_EVENT;
        int r = take(f->a, &ev, l, &depth, ret, e);
        yaml_event_delete(&ev);
        if (r < 0)
            return r;
    }
    return *ret ? 0 : err_set(e, EBADMSG, "YAML: empty");
}

int feed_osv_yaml(struct feed *f, struct err *e)
{
    struct json_value *doc = NULL;
    int r = feed_yaml_read(f, &doc, e);
    return r < 0 ? r : feed_osv_document(f, doc, e);
}

int feed_alpine_yaml(struct feed *f, struct err *e)
{
    struct json_value *doc = NULL;
    int r = feed_yaml_read(f, &doc, e);
    return r < 0 ? r : feed_alpine_document(f, doc, e);
}
