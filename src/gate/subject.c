#include "gate/subject.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"

#define NAMES_MAX 256u

static bool lower_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
            return false;
    return true;
}

bool hex_id_valid(struct str id)
{
    return id.n == 64 && lower_hex(id);
}

bool image_id_valid(struct str id)
{
    return id.n == 71 && str_starts(id, STR("sha256:")) && lower_hex(str_sub(id, 7, id.n));
}

static int path_of(struct arena *a, const char *state, struct str id, char **ret, struct err *e)
{
    if (!hex_id_valid(id))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no container id", STR_ARG(str_sub(id, 0, 80)));
    *ret = arena_printf(a, "%s/containers/" STR_FMT ".json", state, STR_ARG(id));
    return 0;
}

int subject_write(const char *state, const struct subject *s, struct err *e)
{
    int r;
    char *path;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    if ((r = path_of(a, state, s->id, &path, e)) < 0 ||
        (r = fs_mkdirs(arena_printf(a, "%s/containers", state), 0700, e)) < 0)
        return r;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_SUBJECT);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "id", s->id);
    json_w_kstr(&w, "name", s->name);
    json_w_kstr(&w, "image", s->image);
    json_w_kstr(&w, "image_id", s->image_id);
    json_w_kstr(&w, "image_digest", s->image_digest.n ? s->image_digest : STR_NONE);
    json_w_kstr(&w, "engine", s->engine);
    json_w_key(&w, "labels");
    if (s->labels) {
        json_w_value(&w, s->labels);
    } else {
        json_w_object(&w);
        json_w_end(&w);
    }
    json_w_karray(&w, "names");
    for (size_t i = 0; i < s->names_n && i < NAMES_MAX; i++)
        json_w_str(&w, s->names[i]);
    json_w_end(&w);
    json_w_end(&w);
    if ((r = buf_check(&b, e)) < 0)
        return err_wrap(e, "container " STR_FMT, STR_ARG(s->id));
    return fs_write(path, buf_str(&b), 0600, e);
}

int subject_read(struct arena *a, const char *state, struct str id, struct subject *ret, struct err *e)
{
    int r;
    char *path;
    struct str text;
    struct json_value *v;
    if ((r = path_of(a, state, id, &path, e)) < 0 || (r = fs_read(a, path, LIMIT_SUBJECT, &text, e)) < 0)
        return r;
    if ((r = json_parse(a, text, 0, &v, e)) < 0) {
        err_wrap(e, "%s", path);
        return r;
    }
    const struct json_value *labels = json_get(v, "labels"), *names = json_get(v, "names");
    struct subject s = {
        .id = json_str(json_get(v, "id")),
        .name = json_str(json_get(v, "name")),
        .image = json_str(json_get(v, "image")),
        .image_id = json_str(json_get(v, "image_id")),
        .image_digest = json_str(json_get(v, "image_digest")),
        .engine = json_str(json_get(v, "engine")),
        .labels = labels && labels->type == JSON_OBJECT ? labels : NULL,
    };
    if (!str_eq(s.id, id))
        return err_set(e, EBADMSG, "%s: it is about another container", path);
    if (names && names->type == JSON_ARRAY) {
        s.names = arena_array(a, names->count, sizeof(struct str));
        JSON_EACH (names, it)
            s.names[s.names_n++] = json_str(it);
    }
    *ret = s;
    return 0;
}

int subject_remove(const char *state, struct str id, struct err *e)
{
    int r;
    char *path;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    if ((r = path_of(a, state, id, &path, e)) < 0)
        return r;
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(e, "%s", path);
    return 0;
}

struct container_subject subject_for_policy(const struct subject *s)
{
    return (struct container_subject){
        .id = s->id,
        .name = s->name,
        .image = s->image,
        .image_id = s->image_id,
        .image_digest = s->image_digest,
        .labels = s->labels,
        .names = s->names,
        .names_n = s->names_n,
    };
}

void subject_for_event(const struct subject *s, struct event_container *ret)
{
    *ret = (struct event_container){
        .id = s->id,
        .name = s->name,
        .image = s->image,
        .image_id = s->image_id,
        .image_digest = s->image_digest.n ? s->image_digest : STR_NONE,
        .engine = s->engine.n ? s->engine : STR("docker"),
        .labels = s->labels,
    };
}
