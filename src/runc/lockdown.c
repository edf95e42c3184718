#include "runc/lockdown.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"

#include <stdio.h>
#include <string.h>

#define CONFIG_MAX (LIMIT_SUBJECT * 4)
#define FILTER_MAX (1u << 20)

/* What is to be done, decided once. */
struct job {
    const struct container_policy *p;
    const struct json_value *filter; /* the one that the container will have; NULL: none */
    const struct json_value *list;   /* architectures or syscalls of ours */
    struct calls may;
    bool narrow; /* take out of the filter what `may` does not have */
    bool caps, seal;
};

static bool native(struct str architecture)
{
#if defined(__x86_64__)
    return str_eqc(architecture, "SCMP_ARCH_X86_64");
#elif defined(__aarch64__)
    return str_eqc(architecture, "SCMP_ARCH_AARCH64");
#else
    return true;
#endif
}

static const char *native_name(void)
{
    return native(STR("SCMP_ARCH_X86_64")) ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64";
}

/* ---- the pieces of a filter ---- */

static bool lets_through(struct str action)
{
    return str_eqc(action, "SCMP_ACT_ALLOW") || str_eqc(action, "SCMP_ACT_LOG");
}

static bool call_may(const struct job *j, struct str name)
{
    int nr = call_number(name);
    return nr >= 0 && calls_has(&j->may, (unsigned)nr);
}

static void put_rule(struct json_writer *w, const struct job *j, const struct json_value *rule)
{
    const struct json_value *names = json_get(rule, "names");
    bool cut = j->narrow && lets_through(json_str(json_get(rule, "action")));
    size_t left = 0;
    JSON_EACH (names, it)
        left += !cut || call_may(j, json_str(it));
    if (!left)
        return;
    json_w_object(w);
    JSON_EACH (rule, it)
        if (!str_eqc(it->key, "names"))
            json_w_member(w, it);
    json_w_karray(w, "names");
    JSON_EACH (names, it)
        if (!cut || call_may(j, json_str(it)))
            json_w_str(w, json_str(it));
    json_w_end(w);
    json_w_end(w);
}

static void put_architectures(struct json_writer *w, const struct job *j, const struct json_value *list)
{
    size_t n = 0;
    json_w_karray(w, "architectures");
    JSON_EACH (list, it)
        if (!j->seal || native(json_str(it))) {
            json_w_str(w, json_str(it));
            n++;
        }
    if (j->seal && !n)
        json_w_str(w, str_c(native_name()));
    json_w_end(w);
}

static void put_filter(struct json_writer *w, const struct job *j)
{
    const struct json_value *f = j->filter;
    json_w_object(w);
    if (!f)
        json_w_kstrz(w, "defaultAction", "SCMP_ACT_ALLOW");
    JSON_EACH (f, it)
        if (!str_eqc(it->key, "architectures") && !str_eqc(it->key, "syscalls"))
            json_w_member(w, it);
    put_architectures(w, j, json_get(f, "architectures"));
    json_w_karray(w, "syscalls");
    JSON_EACH (json_get(f, "syscalls"), it)
        put_rule(w, j, it);
    json_w_end(w);
    json_w_end(w);
}

/* ---- the configuration around it ---- */

static bool cap_may(const struct container_policy *p, struct str name)
{
    struct str bare = str_starts(name, STR("CAP_")) ? str_sub(name, 4, name.n) : name;
    for (size_t i = 0; i < p->capabilities_n; i++)
        if (str_eq(p->capabilities[i], bare))
            return true;
    return false;
}

/* {"bounding": [...], "effective": [...], ...} */
static void put_capabilities(struct json_writer *w, const struct job *j, const struct json_value *sets)
{
    json_w_object(w);
    JSON_EACH (sets, set) {
        char key[64];
        snprintf(key, sizeof(key), STR_FMT, STR_ARG(set->key));
        json_w_karray(w, key);
        JSON_EACH (set, it)
            if (cap_may(j->p, json_str(it)))
                json_w_str(w, json_str(it));
        json_w_end(w);
    }
    json_w_end(w);
}

/* One level of the configuration: `inner` names the member that is ours. */
static void put_section(struct json_writer *w, const struct job *j, const struct json_value *section, const char *inner,
                        void (*put)(struct json_writer *, const struct job *, const struct json_value *))
{
    bool done = false;
    json_w_object(w);
    JSON_EACH (section, it) {
        if (!str_eqc(it->key, inner)) {
            json_w_member(w, it);
            continue;
        }
        json_w_key(w, inner);
        put(w, j, it);
        done = true;
    }
    if (!done) {
        json_w_key(w, inner);
        put(w, j, NULL);
    }
    json_w_end(w);
}

static void put_seccomp(struct json_writer *w, const struct job *j, const struct json_value *v)
{
    put_filter(w, j);
}

static void put_process(struct json_writer *w, const struct job *j, const struct json_value *v)
{
    if (j->caps && json_get(v, "capabilities"))
        put_section(w, j, v, "capabilities", put_capabilities);
    else
        json_w_value(w, v);
}

static void put_linux(struct json_writer *w, const struct job *j, const struct json_value *v)
{
    if (j->filter || j->seal)
        put_section(w, j, v, "seccomp", put_seccomp);
    else
        json_w_value(w, v);
}

static void put_config(struct json_writer *w, const struct job *j, const struct json_value *config)
{
    json_w_object(w);
    JSON_EACH (config, it) {
        bool process = str_eqc(it->key, "process"), kernel = str_eqc(it->key, "linux");
        if (!process && !kernel) {
            json_w_member(w, it);
            continue;
        }
        json_w_key(w, process ? "process" : "linux");
        (process ? put_process : put_linux)(w, j, it);
    }
    json_w_end(w);
}

/* ---- which filter ---- */

static uint64_t held(const struct json_value *config)
{
    uint64_t bits = 0;
    JSON_EACH (json_path(config, "process.capabilities.bounding"), it) {
        struct str name = json_str(it);
        for (size_t i = 0; i < 64; i++) {
            const char *known = policy_capability_name(i);
            if (known && str_starts(name, STR("CAP_")) && str_eqc(str_sub(name, 4, name.n), known))
                bits |= UINT64_C(1) << i;
        }
    }
    return bits;
}

static int parse_filter(struct arena *a, struct str text, const struct json_value **ret, struct err *e)
{
    struct json_value *v;
    int r = json_parse(a, text, 0, &v, e);
    if (r < 0)
        return r;
    if (!json_str(json_get(v, "defaultAction")).n)
        return err_set(e, EBADMSG, "no seccomp profile: defaultAction is missing");
    JSON_EACH (json_get(v, "syscalls"), it)
        if (json_get(it, "includes") || json_get(it, "excludes") || !json_get(it, "names"))
            return err_set(e, ENOTSUP,
                           "a seccomp profile for Docker (includes, excludes): write it as the OCI runtime "
                           "specification has it, with names, action and args alone");
    *ret = v;
    return 0;
}

static int made(struct arena *a, const struct profile *p, const struct json_value **ret, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(FILTER_MAX);
    profile_seccomp(&b, p);
    int r = buf_check(&b, e);
    return r < 0 ? r : parse_filter(a, arena_str(a, buf_str(&b)), ret, e);
}

static int choose(struct arena *a, struct job *j, const struct json_value *config, const struct profile *profile,
                  struct lockdown *ret, struct err *e)
{
    struct str want = j->p->syscalls, text;
    const struct json_value *engines = json_path(config, "linux.seccomp");
    bool engines_list = engines && !lets_through(json_str(json_get(engines, "defaultAction")));
    j->filter = engines && json_get(engines, "defaultAction") ? engines : NULL;
    if (str_eqc(want, "learned")) {
        if (!profile || !calls_any(&profile->calls)) {
            ret->said = "syscalls.profile is learned, and there is no stable profile with system calls of this image";
            return 0;
        }
        profile_calls(profile, &j->may);
        j->narrow = engines_list;
        return engines_list ? 0 : made(a, profile, &j->filter, e);
    }
    if (str_eqc(want, "default")) {
        struct profile any = {.capabilities = held(config)};
        return j->filter ? 0 : made(a, &any, &j->filter, e);
    }
    if (!want.n)
        return 0;
    int r = fs_read(a, arena_cstr(a, want), FILTER_MAX, &text, e);
    if (r < 0 || (r = parse_filter(a, text, &j->filter, e)) < 0)
        return err_wrap(e, "syscalls.profile " STR_FMT, STR_ARG(want)), r;
    return 0;
}

int lockdown_config(struct arena *a, struct str config, const struct container_policy *p, const struct profile *profile,
                    struct buf *out, struct lockdown *ret, struct err *e)
{
    struct json_value *v;
    struct job j = {.p = p};
    *ret = (struct lockdown){0};
    if (p->mode != MODE_ENFORCE)
        return 0;
    int r = json_parse(a, config, 0, &v, e);
    if (r < 0)
        return err_wrap(e, "config.json of the bundle"), r;
    if (!json_get(v, "linux"))
        return 0;
    j.caps = p->has_capabilities;
    j.seal = p->compat == ACTION_block;
    if ((r = choose(a, &j, v, profile, ret, e)) < 0)
        return r;
    if (!j.caps && !j.seal && !p->syscalls.n)
        return 0;
    struct json_writer w = JSON_WRITER(out);
    put_config(&w, &j, v);
    ret->changed = true;
    ret->sealed = j.seal;
    return buf_check(out, e);
}

int lockdown_bundle(struct arena *a, const char *bundle, const struct container_policy *p,
                    const struct profile *profile, struct lockdown *ret, struct err *e)
{
    struct str text;
    char *path = arena_printf(a, "%s/config.json", bundle);
    _cleanup_(buf_fini) struct buf out = BUF_INIT(CONFIG_MAX + FILTER_MAX);
    *ret = (struct lockdown){0};
    if (p->mode != MODE_ENFORCE)
        return 0;
    int r = fs_read(a, path, CONFIG_MAX, &text, e);
    if (r == 0)
        r = lockdown_config(a, text, p, profile, &out, ret, e);
    if (r == 0 && ret->changed)
        r = fs_write(path, buf_str(&out), 0600, e);
    if (r < 0)
        *ret = (struct lockdown){0};
    return r;
}

int lockdown_process(struct arena *a, const char *path, const struct container_policy *p, struct err *e)
{
    struct str text;
    struct json_value *v;
    struct job j = {.p = p, .caps = true};
    _cleanup_(buf_fini) struct buf out = BUF_INIT(CONFIG_MAX);
    if (p->mode != MODE_ENFORCE || !p->has_capabilities)
        return 0;
    int r = fs_read(a, path, CONFIG_MAX, &text, e);
    if (r < 0 || (r = json_parse(a, text, 0, &v, e)) < 0)
        return r;
    struct json_writer w = JSON_WRITER(&out);
    put_process(&w, &j, v);
    r = buf_check(&out, e);
    return r < 0 ? r : fs_write(path, buf_str(&out), 0600, e);
}
