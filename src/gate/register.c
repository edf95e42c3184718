#include "gate/register.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "engine/docker.h"
#include "format/json.h"
#include "gate/plugin.h"

#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONFIG          "/etc/docker/daemon.json"
#define PIDFILE         "/var/run/docker.pid"
#define RELOAD_TIMEOUT  (45 * TIME_SECOND)
#define PLUGINS         "authorization-plugins"
#define DEFAULT_RUNTIME "default-runtime"

/* ---- the text ---- */

static void indent(struct buf *b, unsigned depth)
{
    buf_putc(b, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_putz(b, "    ");
}

static void print_scalar(struct buf *b, const struct json_value *v)
{
    struct json_writer w = JSON_WRITER(b);
    json_w_value(&w, v);
}

/* Readable JSON: this file is edited by people. */
static void print(struct buf *b, const struct json_value *v, unsigned depth)
{
    if ((v->type != JSON_OBJECT && v->type != JSON_ARRAY) || !v->first) {
        print_scalar(b, v);
        return;
    }
    bool object = v->type == JSON_OBJECT;
    buf_putc(b, object ? '{' : '[');
    JSON_EACH (v, it) {
        indent(b, depth + 1);
        if (object) {
            struct json_writer w = JSON_WRITER(b);
            json_w_str(&w, it->key);
            buf_putz(b, ": ");
        }
        print(b, it, depth + 1);
        if (it->next)
            buf_putc(b, ',');
    }
    indent(b, depth);
    buf_putc(b, object ? '}' : ']');
}

static int printed(struct arena *a, const struct json_value *v, struct str *ret, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_POLICY_FILE);
    print(&b, v, 0);
    buf_putc(&b, '\n');
    int r = buf_check(&b, e);
    if (r == 0)
        *ret = arena_str(a, buf_str(&b));
    return r;
}

static struct json_value *find(struct json_value *object, const char *key)
{
    for (struct json_value *it = object ? object->first : NULL; it; it = it->next)
        if (str_eqc(it->key, key))
            return it;
    return NULL;
}

static struct json_value *add(struct arena *a, struct json_value *parent, const char *key, enum json_token type,
                              struct str text)
{
    struct json_value *v = arena_new_of(a, struct json_value), **at = &parent->first;
    v->type = type;
    v->key = str_c(key);
    v->text = text;
    while (*at)
        at = &(*at)->next;
    *at = v;
    parent->count++;
    return v;
}

static void drop(struct json_value *parent, const struct json_value *child)
{
    for (struct json_value **at = &parent->first; *at; at = &(*at)->next)
        if (*at == child) {
            *at = child->next;
            parent->count--;
            return;
        }
}

static struct json_value *string_in(struct json_value *array, const char *text)
{
    for (struct json_value *it = array ? array->first : NULL; it; it = it->next)
        if (it->type == JSON_STRING && str_eqc(it->text, text))
            return it;
    return NULL;
}

static int parse_config(struct arena *a, struct str text, struct json_value **ret, struct err *e)
{
    struct err why = ERR_INIT;
    if (!str_trim(text).n)
        text = STR("{}");
    if (json_parse(a, text, JSON_FOLD_KEYS, ret, &why) < 0)
        return err_set(e, EACCES, "it is not one strict JSON object (%s); correct it first", why.msg);
    return (*ret)->type == JSON_OBJECT ? 0 : err_set(e, EACCES, "it is no JSON object; correct it first");
}

static struct json_value *guard_entry(struct arena *a, const struct register_opts *o)
{
    struct json_value *v = arena_new_of(a, struct json_value), *args;
    v->type = JSON_OBJECT;
    add(a, v, "path", JSON_STRING, str_c(o->guard));
    args = add(a, v, "runtimeArgs", JSON_ARRAY, STR_NONE);
    const char *list[] = {"--bulkhead-state",
                          o->state,
                          o->runtime ? "--bulkhead-runtime" : NULL,
                          o->runtime,
                          o->bpf_dir ? "--bulkhead-bpf-dir" : NULL,
                          o->bpf_dir};
    for (size_t i = 0; i < ARRAY_LEN(list); i++)
        if (list[i])
            add(a, args, NULL, JSON_STRING, str_c(list[i]));
    return v;
}

int register_merge(struct arena *a, struct str text, const struct register_opts *o, struct str *ret, bool *changed,
                   struct err *e)
{
    int r;
    struct json_value *root;
    struct str before, after;
    if ((r = parse_config(a, text, &root, e)) < 0 || (r = printed(a, root, &before, e)) < 0)
        return r;
    struct json_value *plugins = find(root, PLUGINS), *runtimes = find(root, "runtimes"),
                      *def = find(root, DEFAULT_RUNTIME);
    if (plugins && plugins->type != JSON_ARRAY)
        return err_set(e, EACCES, "\"" PLUGINS "\" is no list; correct it first");
    if (runtimes && runtimes->type != JSON_OBJECT)
        return err_set(e, EACCES, "\"runtimes\" is no object; correct it first");
    if (def && (def->type != JSON_STRING || !(str_eqc(def->text, "runc") || str_eqc(def->text, PLUGIN_NAME))))
        return err_set(e, EACCES,
                       "it has a default-runtime of its own, which the guard would take the place of; "
                       "if that runtime is to be guarded, remove the entry and enable with --runtime PATH");
    if (!o->no_plugin) {
        if (!plugins)
            plugins = add(a, root, PLUGINS, JSON_ARRAY, STR_NONE);
        if (!string_in(plugins, PLUGIN_NAME))
            add(a, plugins, NULL, JSON_STRING, STR(PLUGIN_NAME));
    }
    if (!runtimes)
        runtimes = add(a, root, "runtimes", JSON_OBJECT, STR_NONE);
    struct json_value *entry = guard_entry(a, o), *have = find(runtimes, PLUGIN_NAME);
    if (!have)
        have = add(a, runtimes, PLUGIN_NAME, JSON_OBJECT, STR_NONE);
    have->type = JSON_OBJECT;
    have->first = entry->first;
    have->count = entry->count;
    if (!def)
        def = add(a, root, DEFAULT_RUNTIME, JSON_STRING, STR_NONE);
    def->text = STR(PLUGIN_NAME);
    if ((r = printed(a, root, &after, e)) < 0)
        return r;
    *changed = !str_eq(before, after);
    *ret = *changed ? after : text;
    return 0;
}

int register_unmerge(struct arena *a, struct str text, struct str original, struct str *ret, bool *changed,
                     struct err *e)
{
    int r;
    struct json_value *root, *old = NULL;
    struct str before, after;
    if ((r = parse_config(a, text, &root, e)) < 0 || (r = printed(a, root, &before, e)) < 0 ||
        (r = parse_config(a, original, &old, e)) < 0)
        return r;
    struct json_value *plugins = find(root, PLUGINS), *runtimes = find(root, "runtimes"),
                      *def = find(root, DEFAULT_RUNTIME);
    if (plugins && !string_in(find(old, PLUGINS), PLUGIN_NAME)) {
        struct json_value *ours = string_in(plugins, PLUGIN_NAME);
        if (ours)
            drop(plugins, ours);
        if (!plugins->first && !find(old, PLUGINS))
            drop(root, plugins);
    }
    struct json_value *ours = find(runtimes, PLUGIN_NAME);
    if (ours && !find(find(old, "runtimes"), PLUGIN_NAME)) {
        drop(runtimes, ours);
        if (!runtimes->first && !find(old, "runtimes"))
            drop(root, runtimes);
    }
    if (def && def->type == JSON_STRING && str_eqc(def->text, PLUGIN_NAME)) {
        struct json_value *was = find(old, DEFAULT_RUNTIME);
        if (!was)
            drop(root, def);
        else
            def->text = was->text;
    }
    if ((r = printed(a, root, &after, e)) < 0)
        return r;
    *changed = !str_eq(before, after);
    *ret = *changed ? after : text;
    return 0;
}

/* The same with a runtime "bulkhead" that is the plain one: containers made with the guard must go on to start. With
 * `force_default` also an explicit default runtime, because dockerd keeps one that is merely gone from the file. */
static int with_plain_runtime(struct arena *a, struct str text, const char *runtime, bool force_default,
                              struct str *ret, struct err *e)
{
    int r;
    struct json_value *root;
    if ((r = parse_config(a, text, &root, e)) < 0)
        return r;
    struct json_value *runtimes = find(root, "runtimes");
    if (!runtimes)
        runtimes = add(a, root, "runtimes", JSON_OBJECT, STR_NONE);
    if (!find(runtimes, PLUGIN_NAME))
        add(a, add(a, runtimes, PLUGIN_NAME, JSON_OBJECT, STR_NONE), "path", JSON_STRING,
            str_c(runtime ? runtime : "runc"));
    if (force_default && !find(root, DEFAULT_RUNTIME))
        add(a, root, DEFAULT_RUNTIME, JSON_STRING, STR("runc"));
    return printed(a, root, ret, e);
}

/* ---- the engine ---- */

/* Options with every default filled in, absolute paths, in the arena. */
static int complete(struct arena *a, const struct register_opts *in, struct register_opts *o, struct err *e)
{
    *o = *in;
    o->config = o->config ? o->config : CONFIG;
    o->engine = o->engine ? o->engine : DOCKER_DEFAULT_URL;
    o->pidfile = o->pidfile ? o->pidfile : PIDFILE;
    o->socket = o->socket ? o->socket : PLUGIN_SOCKET;
    int r = fs_mkdirs(o->state, 0700, e);
    if (r < 0 || (r = fs_mkdirs(arena_printf(a, "%s/policy", o->state), 0700, e)) < 0)
        return r;
    char *state = realpath(o->state, NULL);
    if (!state)
        return err_errno(e, "%s", o->state);
    o->state = arena_printf(a, "%s", state);
    free(state);
    if (o->guard)
        return access(o->guard, X_OK) < 0 ? err_errno(e, "guard %s", o->guard) : 0;
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = 0;
    const char *dir = dirname(self);
    const char *places[] = {arena_printf(a, "%s/bulkhead-runc", dir), arena_printf(a, "%s/../runc/bulkhead-runc", dir),
                            "/usr/bin/bulkhead-runc", "/usr/sbin/bulkhead-runc"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char *path = access(places[i], X_OK) == 0 ? realpath(places[i], NULL) : NULL;
        if (path) {
            o->guard = arena_printf(a, "%s", path);
            free(path);
            return 0;
        }
    }
    return err_set(e, ENOENT,
                   "bulkhead-runc is not where it was looked for (beside this program, /usr/bin, /usr/sbin)");
}

static int plugin_answers(const char *path, struct err *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return err_set(e, EINVAL, "%s: too long for a socket", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_set(e, ECONNREFUSED,
                       "no plugin answers at %s, and the engine would refuse everything: start the agent first "
                       "(bulkhead-agent --authz-socket %s)",
                       path, path);
    return 0;
}

static int hang_up(const char *pidfile, struct err *e)
{
    int r;
    struct str text;
    uint64_t pid;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    if ((r = fs_read(a, pidfile, 64, &text, e)) < 0)
        return r;
    if (str_u64(str_trim(text), &pid) < 0 || pid < 2 || pid > INT32_MAX)
        return err_set(e, EBADMSG, "%s holds no process id", pidfile);
    if ((r = fs_read(a, arena_printf(a, "/proc/%" PRIu64 "/comm", pid), 64, &text, e)) < 0)
        return r;
    if (!str_starts(text, STR("dockerd")))
        return err_set(e, EBADMSG, "%s: process %" PRIu64 " is not dockerd", pidfile, pid);
    return kill((pid_t)pid, SIGHUP) < 0 ? err_errno(e, "dockerd, process %" PRIu64, pid) : 0;
}

/* 1: as wanted, 0: not yet or not to be told (an engine whose plugin is dead answers nothing else). */
static int in_force(const struct docker *d, struct arena *a, const struct register_opts *o, bool wanted, struct err *e)
{
    struct docker_info info;
    if (docker_info(d, a, &info, e) < 0 || str_eqc(info.default_runtime, PLUGIN_NAME) != wanted)
        return 0;
    return o->no_plugin || docker_refused_by(d, PLUGIN_PROBE, PLUGIN_NAME, e) == wanted;
}

/* Tell dockerd to read its configuration, and see that it did. */
static int reload(const struct register_opts *o, bool wanted, struct err *e)
{
    int r;
    struct err last = ERR_INIT;
    if ((r = hang_up(o->pidfile, e)) < 0)
        return r;
    _cleanup_(docker_closep) struct docker *d = NULL;
    if ((r = docker_open(o->engine, &d, e)) < 0)
        return r;
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_ENGINE_ANSWER * 4);
    for (int64_t end = time_monotonic() + RELOAD_TIMEOUT; time_monotonic() < end;) {
        arena_reset(a);
        last = ERR_INIT;
        if (in_force(d, a, o, wanted, &last))
            return 0;
        poll(NULL, 0, 100); /* the engine gives no sign when a reload is done */
    }
    return err_set(e, ETIMEDOUT, "dockerd did not take the new configuration (%s); its log says why",
                   last.code ? last.msg : "it was not refused");
}

/* Containers keep the runtime they were made with. How many have the guard, how many another? */
static int count_runtimes(const struct register_opts *o, size_t *guarded, size_t *others, struct err *e)
{
    int r;
    size_t n;
    struct docker_container *list, c;
    _cleanup_(docker_closep) struct docker *d = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_ENGINE_ANSWER * 16);
    _cleanup_(arena_freep) struct arena *one = arena_new(LIMIT_ENGINE_ANSWER * 4);
    *guarded = *others = 0;
    r = docker_open(o->engine, &d, e);
    if (r == 0)
        r = docker_container_list(d, a, true, &list, &n, e);
    for (size_t i = 0; r == 0 && i < n; i++) {
        arena_reset(one);
        if ((r = docker_container_inspect(d, one, list[i].id, &c, e)) == 0)
            ++*(str_eqc(c.runtime, PLUGIN_NAME) ? guarded : others);
        else if (r == -ENOENT)
            r = 0;
    }
    return r;
}

static int put_file(struct arena *a, const char *path, struct str text, bool exists, struct err *e)
{
    struct stat st;
    if (!exists)
        return unlink(path) < 0 && errno != ENOENT ? err_errno(e, "%s", path) : 0;
    char *dir = arena_printf(a, "%s", path);
    int r = fs_mkdirs(dirname(dir), 0755, e);
    return r < 0 ? r : fs_write(path, text, stat(path, &st) == 0 ? st.st_mode & 07777 : 0644, e);
}

static int remember(struct arena *a, const struct register_opts *o, struct str original, bool existed,
                    struct str written, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_POLICY_FILE);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "guard", PLUGIN_NAME);
    json_w_kstrz(&w, "config", o->config);
    json_w_kstr(&w, "original", existed ? original : STR_NONE);
    json_w_kstr(&w, "written", written);
    json_w_end(&w);
    int r = buf_check(&b, e);
    return r < 0 ? r : fs_write(arena_printf(a, "%s/engine.json", o->state), buf_str(&b), 0600, e);
}

static int read_config(struct arena *a, const char *path, struct str *text, bool *exists, struct err *e)
{
    *text = STR("");
    int r = fs_read(a, path, LIMIT_POLICY_FILE, text, e);
    *exists = r == 0;
    return r == -ENOENT ? 0 : r;
}

int register_enable(const struct register_opts *opts, size_t *before, struct err *e)
{
    int r;
    bool exists, changed, remembered;
    struct str text, merged, kept;
    struct register_opts o;
    struct json_value *mem = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    if ((r = complete(a, opts, &o, e)) < 0 || (r = read_config(a, o.config, &text, &exists, e)) < 0)
        return r;
    if ((r = register_merge(a, text, &o, &merged, &changed, e)) < 0) {
        err_wrap(e, "%s", o.config);
        return r;
    }
    if (!o.no_plugin && !o.no_reload && (r = plugin_answers(o.socket, e)) < 0)
        return r;
    /* Enabled twice: what is to be put back is what was there before the first time. */
    char *memory = arena_printf(a, "%s/engine.json", o.state);
    remembered = fs_read(a, memory, LIMIT_POLICY_FILE, &kept, NULL) == 0 && json_parse(a, kept, 0, &mem, NULL) == 0 &&
                 str_eqc(json_str(json_get(mem, "config")), o.config);
    struct str original = remembered ? json_str(json_get(mem, "original")) : text;
    bool existed = remembered ? original.p != NULL : exists;
    if (!remembered && exists && (r = fs_write(arena_printf(a, "%s.before-bulkhead", o.config), text, 0600, e)) < 0)
        return r;
    if ((r = remember(a, &o, original, existed, merged, e)) < 0 ||
        (changed && (r = put_file(a, o.config, merged, true, e)) < 0))
        return r;
    size_t guarded, others = 0;
    if (o.no_reload || (r = reload(&o, true, e)) == 0) {
        if (!o.no_reload)
            count_runtimes(&o, &guarded, &others, NULL);
        if (before)
            *before = others;
        return 0;
    }
    struct err undo = ERR_INIT;
    put_file(a, o.config, text, exists, &undo);
    if (!remembered)
        unlink(memory);
    hang_up(o.pidfile, &undo);
    err_wrap(e, "nothing was changed");
    return r;
}

int register_disable(const struct register_opts *opts, size_t *kept_entry, struct err *e)
{
    int r;
    bool exists, changed = true;
    struct str text, kept, result = STR("");
    struct json_value *mem;
    struct register_opts o;
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    o = *opts;
    o.engine = o.engine ? o.engine : DOCKER_DEFAULT_URL;
    o.pidfile = o.pidfile ? o.pidfile : PIDFILE;
    char *memory = arena_printf(a, "%s/engine.json", o.state);
    if ((r = fs_read(a, memory, LIMIT_POLICY_FILE, &kept, e)) < 0)
        return r == -ENOENT ? err_set(e, ENOENT, "the gate was not enabled from %s", o.state) : r;
    if ((r = json_parse(a, kept, 0, &mem, e)) < 0) {
        err_wrap(e, "%s", memory);
        return r;
    }
    if (!o.config)
        o.config = arena_cstr(a, json_str(json_get(mem, "config")));
    struct str original = json_str(json_get(mem, "original"));
    if ((r = read_config(a, o.config, &text, &exists, e)) < 0)
        return r;
    if (str_eq(text, json_str(json_get(mem, "written")))) {
        result = original; /* nobody edited it meanwhile: the very bytes go back */
        exists = original.p != NULL;
    } else if (exists) {
        if ((r = register_unmerge(a, text, original.p ? original : STR("{}"), &result, &changed, e)) < 0) {
            err_wrap(e, "%s", o.config);
            return r;
        }
    }
    size_t guarded = 0, others;
    if (!o.no_reload) {
        struct str between;
        if ((r = with_plain_runtime(a, exists ? result : STR(""), o.runtime, true, &between, e)) < 0 ||
            (r = put_file(a, o.config, between, true, e)) < 0 || (r = reload(&o, false, e)) < 0 ||
            (r = count_runtimes(&o, &guarded, &others, e)) < 0)
            return r;
        changed = true;
        if (guarded) {
            if ((r = with_plain_runtime(a, exists ? result : STR(""), o.runtime, false, &result, e)) < 0)
                return r;
            exists = true;
        }
    }
    if (changed && (r = put_file(a, o.config, result, exists, e)) < 0)
        return r;
    if (kept_entry)
        *kept_entry = guarded;
    unlink(arena_printf(a, "%s.before-bulkhead", o.config));
    return unlink(memory) < 0 ? err_errno(e, "%s", memory) : 0;
}

struct str register_guard(struct arena *a, const char *state)
{
    struct str text;
    struct json_value *v;
    int r = fs_read(a, arena_printf(a, "%s/engine.json", state), LIMIT_POLICY_FILE, &text, NULL);
    if (r == -ENOENT)
        return STR("");
    if (r < 0 || json_parse(a, text, 0, &v, NULL) < 0)
        return STR(PLUGIN_NAME); /* damaged: as strict as it gets */
    return json_str(json_get(v, "guard")).n ? json_str(json_get(v, "guard")) : STR("");
}
