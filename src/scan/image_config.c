#include "scan/image_config.h"

#include "base/time.h"
#include "format/digest.h"
#include "format/manifest.h"

#define STRINGS_MAX 100000u

int scan_strings(struct arena *a, const struct json_value *v, const char *what, struct str **ret, size_t *ret_n,
                 struct err *e)
{
    *ret = NULL;
    *ret_n = 0;
    if (!v || v->type == JSON_NULL)
        return 0;
    if (v->type != JSON_ARRAY || v->count > STRINGS_MAX)
        return err_set(e, EBADMSG, "%s: a list of strings was expected", what);
    struct str *list = arena_array(a, v->count, sizeof(*list));
    size_t n = 0;
    JSON_EACH (v, it) {
        if (it->type != JSON_STRING)
            return err_set(e, EBADMSG, "%s: a list of strings was expected", what);
        list[n++] = it->text;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

void scan_strings_write(struct json_writer *w, const char *key, const struct str *s, size_t n)
{
    json_w_karray(w, key);
    for (size_t i = 0; i < n; i++)
        json_w_str(w, s[i]);
    json_w_end(w);
}

/* Keys of an object: ExposedPorts and Volumes are sets written that way. */
static int keys(struct arena *a, const struct json_value *v, const char *what, struct str **ret, size_t *ret_n,
                struct err *e)
{
    *ret = NULL;
    *ret_n = 0;
    if (!v || v->type == JSON_NULL)
        return 0;
    if (v->type != JSON_OBJECT || v->count > STRINGS_MAX)
        return err_set(e, EBADMSG, "%s: an object was expected", what);
    *ret = arena_array(a, v->count, sizeof(**ret));
    JSON_EACH (v, it)
        (*ret)[(*ret_n)++] = it->key;
    return 0;
}

static int labels(struct arena *a, const struct json_value *v, struct image_config *c, struct err *e)
{
    size_t n;
    int r = keys(a, v, "Labels", &c->label_keys, &n, e);
    if (r < 0)
        return r;
    c->label_values = arena_array(a, n, sizeof(*c->label_values));
    c->labels_n = 0;
    JSON_EACH (v, it) {
        if (it->type != JSON_STRING)
            return err_set(e, EBADMSG, "Labels: a string was expected");
        c->label_values[c->labels_n++] = it->text;
    }
    return 0;
}

static int diff_ids(struct arena *a, const struct json_value *root, struct image_layers *ret, struct err *e)
{
    const struct json_value *rootfs = json_get(root, "rootfs");
    int r = json_unambiguous(rootfs, "rootfs", e);
    if (r < 0 || (r = scan_strings(a, json_get(rootfs, "diff_ids"), "rootfs.diff_ids", &ret->diff_ids, &ret->n, e)) < 0)
        return r;
    if (!rootfs || ret->n > LIMIT_SCAN_LAYERS)
        return err_set(e, EBADMSG, rootfs ? "too many layers" : "no rootfs: this is not an image config");
    for (size_t i = 0; i < ret->n; i++)
        if (!digest_valid(ret->diff_ids[i]))
            return err_set(e, EBADMSG, "rootfs.diff_ids: \"" STR_FMT "\" is no sha256 digest",
                           STR_ARG(str_sub(ret->diff_ids[i], 0, 100)));
    ret->created_by = arena_array(a, ret->n, sizeof(*ret->created_by));
    size_t at = 0;
    const struct json_value *history = json_get(root, "history");
    ret->history = arena_array(a, history ? history->count : 0, sizeof(*ret->history));
    JSON_EACH (history, it) {
        struct str line = json_str(json_get(it, "created_by"));
        if (!line.p)
            line = STR("");
        ret->history[ret->history_n++] = line;
        if (!json_bool(json_get(it, "empty_layer"), false) && at < ret->n)
            ret->created_by[at++] = line;
    }
    return 0;
}

int image_config_parse(struct arena *a, struct str text, struct image_config *config, struct image_layers *layers,
                       struct err *e)
{
    struct json_value *v;
    struct image_config c = {0};
    struct image_layers l = {0};
    int r = json_parse(a, text, 0, &v, e);
    if (r < 0)
        return err_wrap(e, "image config");
    const struct json_value *inner = json_get(v, "config");
    if (v->type != JSON_OBJECT || (inner && inner->type != JSON_OBJECT && inner->type != JSON_NULL))
        return err_set(e, EBADMSG, "image config: an object was expected");
    if ((r = json_unambiguous(v, "image config", e)) < 0 || (r = json_unambiguous(inner, "image config", e)) < 0)
        return r;
    if ((r = diff_ids(a, v, &l, e)) < 0 ||
        (r = scan_strings(a, json_get(inner, "Env"), "Env", &c.env, &c.env_n, e)) < 0 ||
        (r = keys(a, json_get(inner, "ExposedPorts"), "ExposedPorts", &c.ports, &c.ports_n, e)) < 0 ||
        (r = scan_strings(a, json_get(inner, "Entrypoint"), "Entrypoint", &c.entrypoint, &c.entrypoint_n, e)) < 0 ||
        (r = scan_strings(a, json_get(inner, "Cmd"), "Cmd", &c.cmd, &c.cmd_n, e)) < 0 ||
        (r = keys(a, json_get(inner, "Volumes"), "Volumes", &c.volumes, &c.volumes_n, e)) < 0 ||
        (r = labels(a, json_get(inner, "Labels"), &c, e)) < 0)
        return err_wrap(e, "image config");
    c.user = json_str(json_get(inner, "User"));
    c.working_dir = json_str(json_get(inner, "WorkingDir"));
    c.arch = json_str(json_get(v, "architecture"));
    c.os = json_str(json_get(v, "os"));
    if (time_parse(json_str(json_get(v, "created")), &c.created) < 0)
        c.created = 0;
    const struct json_value *test = json_get(json_get(inner, "Healthcheck"), "Test");
    c.healthcheck = test && test->first && !str_eqc(json_str(test->first), "NONE");
    *config = c;
    *layers = l;
    return 0;
}

void image_config_write(struct json_writer *w, const struct image_config *c)
{
    char t[TIME_TEXT];
    json_w_object(w);
    json_w_kstr(w, "user", c->user.p ? c->user : STR(""));
    if (c->working_dir.n)
        json_w_kstr(w, "working_dir", c->working_dir);
    json_w_kstr(w, "architecture", c->arch.p ? c->arch : STR(""));
    json_w_kstr(w, "os", c->os.p ? c->os : STR(""));
    json_w_kstr(w, "created", c->created ? str_c(time_format(c->created, t)) : STR_NONE);
    json_w_kbool(w, "healthcheck", c->healthcheck);
    scan_strings_write(w, "env", c->env, c->env_n);
    scan_strings_write(w, "ports", c->ports, c->ports_n);
    scan_strings_write(w, "entrypoint", c->entrypoint, c->entrypoint_n);
    scan_strings_write(w, "cmd", c->cmd, c->cmd_n);
    scan_strings_write(w, "volumes", c->volumes, c->volumes_n);
    json_w_karray(w, "labels");
    for (size_t i = 0; i < c->labels_n; i++) {
        json_w_object(w);
        json_w_kstr(w, "name", c->label_keys[i]);
        json_w_kstr(w, "value", c->label_values[i]);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
}

int image_config_read(struct arena *a, const struct json_value *v, struct image_config *ret, struct err *e)
{
    struct image_config c = {
        .user = json_str(json_get(v, "user")),
        .working_dir = json_str(json_get(v, "working_dir")),
        .arch = json_str(json_get(v, "architecture")),
        .os = json_str(json_get(v, "os")),
        .healthcheck = json_bool(json_get(v, "healthcheck"), false),
    };
    const struct json_value *list = json_get(v, "labels");
    int r;
    if (!v || v->type != JSON_OBJECT || (list && list->count > STRINGS_MAX))
        return err_set(e, EBADMSG, "config: an object was expected");
    if ((r = scan_strings(a, json_get(v, "env"), "env", &c.env, &c.env_n, e)) < 0 ||
        (r = scan_strings(a, json_get(v, "ports"), "ports", &c.ports, &c.ports_n, e)) < 0 ||
        (r = scan_strings(a, json_get(v, "entrypoint"), "entrypoint", &c.entrypoint, &c.entrypoint_n, e)) < 0 ||
        (r = scan_strings(a, json_get(v, "cmd"), "cmd", &c.cmd, &c.cmd_n, e)) < 0 ||
        (r = scan_strings(a, json_get(v, "volumes"), "volumes", &c.volumes, &c.volumes_n, e)) < 0)
        return err_wrap(e, "config");
    struct str created = json_str(json_get(v, "created"));
    if (created.n && time_parse(created, &c.created) < 0)
        return err_set(e, EBADMSG, "config.created: not an instant");
    c.label_keys = arena_array(a, list ? list->count : 0, sizeof(struct str));
    c.label_values = arena_array(a, list ? list->count : 0, sizeof(struct str));
    JSON_EACH (list, it) {
        c.label_keys[c.labels_n] = json_str(json_get(it, "name"));
        c.label_values[c.labels_n++] = json_str(json_get(it, "value"));
    }
    *ret = c;
    return 0;
}
