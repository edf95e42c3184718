#include "engine/credentials.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "format/json.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#define CONFIG_MAX     (4u << 20)
#define HELPER_ANSWER  (1u << 20)
#define HELPER_TIMEOUT (30 * TIME_SECOND)

extern char **environ;

static bool docker_hub(struct str host)
{
    return str_eqc(host, "docker.io") || str_eqc(host, "index.docker.io") || str_eqc(host, "registry-1.docker.io");
}

/* "https://index.docker.io/v1/" -> "index.docker.io": as Docker's ConvertToHostname, but parts of a path are kept. */
static struct str key_place(struct str key)
{
    static const char *const schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts(key, str_c(schemes[i])))
            key = str_sub(key, strlen(schemes[i]), key.n);
    while (key.n && key.p[key.n - 1] == '/')
        key.n--;
    if (str_ends(key, STR("/v1")) || str_ends(key, STR("/v2")))
        key.n -= 3;
    return key;
}

/* How much of HOST/REPOSITORY the key covers; -1 none. */
static ptrdiff_t covers(struct arena *a, struct str key, const struct image_ref *ref)
{
    struct str place = key_place(key), host, rest;
    str_split(place, '/', &host, &rest);
    if (docker_hub(host) && docker_hub(ref->host))
        place = arena_strf(a, STR_FMT "%s" STR_FMT, STR_ARG(ref->host), rest.n ? "/" : "", STR_ARG(rest));
    struct str whole = arena_strf(a, STR_FMT "/" STR_FMT, STR_ARG(ref->host), STR_ARG(ref->repository));
    if (!str_starts(whole, place) || (whole.n > place.n && whole.p[place.n] != '/'))
        return -1;
    return (ptrdiff_t)place.n;
}

static const struct json_value *best(struct arena *a, const struct json_value *object, const struct image_ref *ref)
{
    const struct json_value *found = NULL;
    ptrdiff_t most = -1;
    JSON_EACH (object, it) {
        ptrdiff_t n = it->key.n ? covers(a, it->key, ref) : -1;
        if (n > most) {
            most = n;
            found = it;
        }
    }
    return found;
}

/* ---- helpers ---- */

static int spawn_helper(const char *program, int in, int out, pid_t *ret, struct err *e)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    const char *const argv[] = {program, "get", NULL};
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int r = posix_spawnp(ret, program, &files, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return r ? err_set(e, r, "%s: %s", program, strerror(r)) : 0;
}

static int read_answer(int fd, struct buf *b, const char *program, struct err *e)
{
    int64_t deadline = time_monotonic() + HELPER_TIMEOUT;
    for (;;) {
        int64_t left = deadline - time_monotonic();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0)
            return err_set(e, ETIMEDOUT, "%s: no answer", program);
        if (poll(&p, 1, (int)(left / 1000) + 1) <= 0)
            continue;
        char *room = buf_room(b, 4096);
        if (!room)
            return err_set(e, E2BIG, "%s: answer too long", program);
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_errno(e, "%s", program) : 0;
        b->n += (size_t)n;
    }
}

static int ask_helper(struct arena *a, struct str name, struct str server, struct credentials *ret, struct err *e)
{
    for (size_t i = 0; i < name.n; i++)
        if (!name.p[i] || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", name.p[i]))
            return err_set(e, EINVAL, "\"" STR_FMT "\" is no credential helper", STR_ARG(str_sub(name, 0, 80)));
    const char *program = arena_printf(a, "docker-credential-" STR_FMT, STR_ARG(name));
    int in[2], out[2], status = 0;
    if (pipe2(in, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    _cleanup_close_ int in_r = in[0], in_w = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    _cleanup_close_ int out_r = out[0], out_w = out[1];
    _cleanup_(buf_fini) struct buf b = BUF_INIT(HELPER_ANSWER);
    pid_t child;
    int r = spawn_helper(program, in_r, out_w, &child, e);
    if (r < 0)
        return r;
    close(TAKE_FD(out_w));
    r = fs_write_all(in_w, server.p, server.n, e);
    close(TAKE_FD(in_w));
    if (r >= 0)
        r = read_answer(out_r, &b, program, e);
    if (r < 0)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    struct str answer = str_trim(buf_str(&b));
    if (r < 0)
        return r;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        if (str_has(answer, STR("credentials not found")))
            return 0;
        return err_set(e, EACCES, "%s: " STR_FMT, program, STR_ARG(str_sub(answer, 0, 300)));
    }
    struct json_value *v;
    if ((r = json_parse(a, arena_str(a, answer), 0, &v, e)) < 0)
        return err_wrap(e, "%s", program);
    fs_wipe(b.p, b.n);
    struct str user = json_str(json_get(v, "Username")), secret = json_str(json_get(v, "Secret"));
    if (str_eqc(user, "<token>"))
        *ret = (struct credentials){.identity_token = secret};
    else
        *ret = (struct credentials){.user = user, .password = secret};
    return secret.n > 0;
}

/* ---- the file ---- */

static int from_auth(struct arena *a, const struct json_value *v, struct credentials *ret, struct err *e)
{
    struct str both = json_str(json_get(v, "auth"));
    struct credentials c = {.user = json_str(json_get(v, "username")),
                            .password = json_str(json_get(v, "password")),
                            .identity_token = json_str(json_get(v, "identitytoken"))};
    if (both.n) {
        struct str plain;
        if (base64_decode(a, both, &plain) < 0 || !str_split(plain, ':', &c.user, &c.password))
            return err_set(e, EBADMSG, "auths: \"auth\" is not USER:PASSWORD in base64");
        while (c.password.n && c.password.p[c.password.n - 1] == 0)
            c.password.n--;
    }
    *ret = c;
    return c.password.n > 0 || c.identity_token.n > 0;
}

int credentials_parse(struct arena *a, struct str text, const struct image_ref *ref, struct credentials *ret,
                      struct err *e)
{
    struct json_value *v;
    int r = json_parse(a, text, 0, &v, e);
    if (r < 0)
        return r;
    struct str server = docker_hub(ref->host) ? STR("https://index.docker.io/v1/") : ref->host;
    const struct json_value *helper = best(a, json_get(v, "credHelpers"), ref);
    struct str name = json_str(helper);
    if (!helper)
        name = json_str(json_get(v, "credsStore"));
    if (name.n && (r = ask_helper(a, name, server, ret, e)) != 0)
        return r;
    const struct json_value *auth = best(a, json_get(v, "auths"), ref);
    return auth ? from_auth(a, auth, ret, e) : 0;
}

static const char *default_file(struct arena *a)
{
    const char *given = getenv("REGISTRY_AUTH_FILE"), *docker = getenv("DOCKER_CONFIG"), *home = getenv("HOME"),
               *run = getenv("XDG_RUNTIME_DIR"), *path;
    if (given && given[0])
        return given;
    if (docker && docker[0])
        path = arena_printf(a, "%s/config.json", docker);
    else
        path = arena_printf(a, "%s/.docker/config.json", home && home[0] ? home : "/root");
    if (!fs_exists(path) && run && run[0])
        path = arena_printf(a, "%s/containers/auth.json", run);
    return path;
}

int credentials_find(struct arena *a, const char *file, const struct image_ref *ref, struct credentials *ret,
                     struct err *e)
{
    struct str text;
    const char *path = file ? file : default_file(a);
    *ret = (struct credentials){0};
    if (!file && !fs_exists(path))
        return 0;
    int r = fs_read(a, path, CONFIG_MAX, &text, e);
    if (r >= 0)
        r = credentials_parse(a, text, ref, ret, e);
    return r < 0 ? err_wrap(e, "%s", path) : r;
}
