#include "format/yml.h"

#include "base/cleanup.h"

#include <yaml.h>

struct anchor {
    struct str name;
    struct yml *node;
    bool open; /* still being read: an alias to it would be a loop */
};

struct reader {
    struct arena *a;
    yaml_parser_t parser;
    size_t nodes, size;
    struct anchor *anchors;
    size_t anchors_n, anchors_cap;
    struct err *e;
};

static int bad(struct reader *r, size_t line, const char *what)
{
    return err_set(r->e, EBADMSG, "line %zu: %s", line, what);
}

static int next(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev))
        return 0;
    const char *problem = r->parser.problem ? r->parser.problem : "not YAML";
    bool reading = r->parser.error == YAML_READER_ERROR;
    return bad(r, reading ? 1 : r->parser.problem_mark.line + 1, problem);
}

static struct yml *node_new(struct reader *r, enum yml_kind kind, const yaml_event_t *ev)
{
    struct yml *v = arena_new_of(r->a, struct yml);
    v->kind = kind;
    v->line = ev->start_mark.line + 1;
    r->nodes++;
    return v;
}

static struct str bytes(const yaml_char_t *p)
{
    return str_c((const char *)p);
}

static void anchor_add(struct reader *r, const yaml_char_t *name, struct yml *v, bool open)
{
    if (!name)
        return;
    r->anchors = arena_grow(r->a, r->anchors, r->anchors_n, &r->anchors_cap, sizeof(*r->anchors));
    r->anchors[r->anchors_n++] = (struct anchor){arena_str(r->a, bytes(name)), v, open};
}

static int clone(struct reader *r, const struct yml *v, struct yml **ret)
{
    if (++r->nodes > LIMIT_YML_NODES)
        return err_set(r->e, E2BIG, "line %zu: more than %u values", v->line, LIMIT_YML_NODES);
    struct yml *copy = arena_new_of(r->a, struct yml), **tail = &copy->first;
    *copy = *v;
    copy->first = copy->next = NULL;
    for (const struct yml *it = v->first; it; it = it->next) { /* as deep as the original, which was capped */
        int rc = clone(r, it, tail);
        if (rc < 0)
            return rc;
        tail = &(*tail)->next;
    }
    *ret = copy;
    return 0;
}

static unsigned height(const struct yml *v)
{
    unsigned most = 0;
    for (const struct yml *it = v->first; it; it = it->next) {
        unsigned h = height(it);
        most = h > most ? h : most;
    }
    return most + 1;
}

static int alias(struct reader *r, const yaml_event_t *ev, unsigned depth, struct yml **ret)
{
    struct str name = bytes(ev->data.alias.anchor);
    size_t line = ev->start_mark.line + 1;
    for (size_t i = r->anchors_n; i-- > 0;)
        if (str_eq(r->anchors[i].name, name)) {
            if (r->anchors[i].open)
                return bad(r, line, "an alias inside of what it stands for");
            if (depth + height(r->anchors[i].node) > LIMIT_YML_DEPTH)
                return err_set(r->e, E2BIG, "line %zu: nested deeper than %d", line, LIMIT_YML_DEPTH);
            int rc = clone(r, r->anchors[i].node, ret);
            if (rc == 0) {
                (*ret)->line = line;
                (*ret)->key = STR_NONE;
            }
            return rc;
        }
    return bad(r, line, "an alias without its anchor");
}

static bool core_tag(const yaml_char_t *tag)
{
    static const char *const known[] = {"str", "map", "seq", "int", "float", "bool", "null"};
    struct str t = tag ? bytes(tag) : STR_NONE, prefix = STR("tag:yaml.org,2002:");
    if (!t.n || str_eqc(t, "!"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_starts(t, prefix) && str_eqc(str_sub(t, prefix.n, t.n), known[i]))
            return true;
    return false;
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct yml **ret)
{
    struct yml *v = node_new(r, YML_SCALAR, ev);
    v->text = arena_str(r->a, str_n((const char *)ev->data.scalar.value, ev->data.scalar.length));
    v->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
                (ev->data.scalar.tag && str_ends(bytes(ev->data.scalar.tag), STR(":str")));
    if (!core_tag(ev->data.scalar.tag))
        return bad(r, v->line, "tags are not supported");
    anchor_add(r, ev->data.scalar.anchor, v, false);
    *ret = v;
    return 0;
}

static int read_node(struct reader *r, yaml_event_t *ev, unsigned depth, struct yml **ret);

/* After the start event of a mapping or list, up to its end. */
static int read_members(struct reader *r, struct yml *v, unsigned depth)
{
    struct yml **tail = &v->first;
    for (;;) {
        _cleanup_(yaml_event_delete) yaml_event_t ev = {0};
        struct yml *key = NULL;
        int rc = next(r, &ev);
        if (rc < 0)
            return rc;
        if (ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (v->kind == YML_MAP) {
            if (ev.type != YAML_SCALAR_EVENT)
                return bad(r, ev.start_mark.line + 1, "a key must be a plain word or text");
            if ((rc = read_scalar(r, &ev, &key)) < 0)
                return rc;
            if (v->count >= LIMIT_YML_KEYS)
                return err_set(r->e, E2BIG, "line %zu: more than %u keys", key->line, LIMIT_YML_KEYS);
            for (const struct yml *it = v->first; it; it = it->next)
                if (str_eq(it->key, key->text))
                    return err_set(r->e, EBADMSG, "line %zu: the key \"" STR_FMT "\" is there twice, first in line %zu",
                                   key->line, STR_ARG(str_sub(key->text, 0, 80)), it->key_line);
            yaml_event_delete(&ev);
            if ((rc = next(r, &ev)) < 0)
                return rc;
        }
        if ((rc = read_node(r, &ev, depth + 1, tail)) < 0)
            return rc;
        if (key) {
            (*tail)->key = key->text;
            (*tail)->key_line = key->line;
        }
        tail = &(*tail)->next;
        v->count++;
    }
}

static int read_node(struct reader *r, yaml_event_t *ev, unsigned depth, struct yml **ret)
{
    size_t line = ev->start_mark.line + 1;
    if (depth > LIMIT_YML_DEPTH)
        return err_set(r->e, E2BIG, "line %zu: nested deeper than %d", line, LIMIT_YML_DEPTH);
    if (r->nodes > LIMIT_YML_NODES)
        return err_set(r->e, E2BIG, "line %zu: more than %u values", line, LIMIT_YML_NODES);
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    if (ev->type == YAML_ALIAS_EVENT)
        return alias(r, ev, depth, ret);
    if (ev->type == YAML_SCALAR_EVENT)
        return read_scalar(r, ev, ret);
    if (!map && ev->type != YAML_SEQUENCE_START_EVENT)
        return bad(r, line, "expected a value");
    struct yml *v = node_new(r, map ? YML_MAP : YML_LIST, ev);
    if (!core_tag(map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag))
        return bad(r, v->line, "tags are not supported");
    size_t anchor = r->anchors_n;
    anchor_add(r, map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor, v, true);
    bool anchored = r->anchors_n > anchor;
    int rc = read_members(r, v, depth);
    if (rc < 0)
        return rc;
    if (anchored)
        r->anchors[anchor].open = false;
    *ret = v;
    return 0;
}

/* libyaml counts characters. */
static size_t byte_of(struct str text, size_t characters)
{
    size_t i = 0;
    while (i < text.n && (characters || (text.p[i] & 0xc0) == 0x80)) {
        characters -= (text.p[i] & 0xc0) != 0x80;
        i++;
    }
    return i;
}

static int read_docs(struct reader *r, struct str text, struct yml_doc **ret, size_t *ret_n)
{
    struct yml_doc *docs = NULL;
    size_t n = 0, cap = 0, start = 0;
    for (;;) {
        _cleanup_(yaml_event_delete) yaml_event_t ev = {0};
        int rc = next(r, &ev);
        if (rc < 0)
            return rc;
        if (ev.type == YAML_STREAM_END_EVENT)
            break;
        if (ev.type == YAML_DOCUMENT_START_EVENT) {
            r->anchors_n = 0;
            start = ev.data.document_start.implicit ? ev.start_mark.index : ev.end_mark.index;
        } else if (ev.type == YAML_DOCUMENT_END_EVENT) {
            if (n && !docs[n - 1].text.p)
                docs[n - 1].text =
                    arena_str(r->a, str_trim(str_sub(text, byte_of(text, start), byte_of(text, ev.start_mark.index))));
        } else if (ev.type != YAML_STREAM_START_EVENT) {
            struct yml *root = NULL;
            if ((rc = read_node(r, &ev, 1, &root)) < 0)
                return rc;
            if (yml_null(root))
                continue;
            if (n >= LIMIT_POLICY_DOCS)
                return err_set(r->e, E2BIG, "line %zu: more than %u documents", root->line, LIMIT_POLICY_DOCS);
            docs = arena_grow(r->a, docs, n, &cap, sizeof(*docs));
            docs[n++] = (struct yml_doc){.root = root};
        }
    }
    *ret = docs;
    *ret_n = n;
    return 0;
}

int yml_parse(struct arena *a, struct str text, struct yml_doc **ret, size_t *ret_n, struct err *e)
{
    struct reader r = {.a = a, .e = e};
    if (!str_utf8(text))
        return err_set(e, EBADMSG, "not valid UTF-8");
    if (str_starts(text, STR("\xef\xbb\xbf"))) /* a byte order mark means nothing in UTF-8 */
        text = str_sub(text, 3, text.n);
    if (!yaml_parser_initialize(&r.parser))
        abort();
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    int rc = read_docs(&r, text, ret, ret_n);
    yaml_parser_delete(&r.parser);
    return rc;
}

const struct yml *yml_get(const struct yml *map, const char *key)
{
    if (map && map->kind == YML_MAP)
        YML_EACH(map, it)
    if (str_eqc(it->key, key))
        return it;
    return NULL;
}

bool yml_null(const struct yml *v)
{
    return !v ||
           (v->kind == YML_SCALAR && !v->quoted && (!v->text.n || str_eqc(v->text, "~") || str_eqc(v->text, "null")));
}

struct json_value *yml_json(struct arena *a, const struct yml *v)
{
    struct json_value *j = arena_new_of(a, struct json_value), **tail = &j->first;
    double number;
    j->key = v->key;
    j->text = v->text;
    j->count = v->count;
    if (v->kind != YML_SCALAR)
        j->type = v->kind == YML_MAP ? JSON_OBJECT : JSON_ARRAY;
    else if (v->quoted)
        j->type = JSON_STRING;
    else if (yml_null(v))
        j->type = JSON_NULL;
    else if (str_eqc(v->text, "true") || str_eqc(v->text, "false"))
        j->type = v->text.p[0] == 't' ? JSON_TRUE : JSON_FALSE;
    else
        j->type = str_double(v->text, &number) == 0 ? JSON_NUMBER : JSON_STRING;
    for (const struct yml *it = v->first; it; it = it->next) { /* capped depth */
        *tail = yml_json(a, it);
        tail = &(*tail)->next;
    }
    return j;
}
