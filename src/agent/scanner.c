/* The scan of one image: `bulkhead scan` as a child with low priority; its report becomes STATE/inventories/ID.json. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include "scan/inventory.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define TAKE_ARENA (256u << 20)

extern char **environ;

static const char *scanner(const struct agent *g, char out[static 4096])
{
    if (g->config.scanner)
        return g->config.scanner;
    ssize_t n = readlink("/proc/self/exe", out, 4000);
    char *slash = n > 0 ? memrchr(out, '/', (size_t)n) : NULL;
    if (slash) {
        memcpy(slash + 1, "bulkhead", sizeof("bulkhead"));
        if (access(out, X_OK) == 0)
            return out;
    }
    return "bulkhead";
}

static void paths_of(const struct agent *g, const char *id, char fresh[static 4096], char story[static 4096],
                     char final[static 4096])
{
    snprintf(fresh, 4096, "%s/.%.64s.new", g->inventories_dir, id + 7);
    snprintf(story, 4096, "%s/.%.64s.err", g->inventories_dir, id + 7);
    snprintf(final, 4096, "%s/%.64s.json", g->inventories_dir, id + 7);
}

int scan_start(const struct agent *g, const char *image_id, const char *engine, pid_t *ret, struct err *e)
{
    pid_t child;
    char program[4096], fresh[4096], story[4096], final[4096];
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    paths_of(g, image_id, fresh, story, final);
    unlink(fresh);
    const char *db = arena_printf(a, "%s/intel.db", g->config.state),
               *key = arena_printf(a, "%s/intel.pub", g->config.state);
    const char *argv[16] = {"bulkhead", "scan", arena_printf(a, "docker:%s", image_id), "--format", "json", "--quiet",
                            "--output", fresh};
    size_t n = 8;
    if (fs_exists(db) && fs_exists(key)) {
        argv[n++] = "--intel";
        argv[n++] = db;
        argv[n++] = "--intel-key";
        argv[n++] = key;
    }
    size_t env_n = 0, k = 0;
    while (environ[env_n])
        env_n++;
    char **env = arena_array(a, env_n + 2, sizeof(*env));
    for (size_t i = 0; i < env_n; i++)
        if (strncmp(environ[i], "DOCKER_HOST=", 12) && strncmp(environ[i], "NOTIFY_SOCKET=", 14))
            env[k++] = environ[i];
    if (engine[0])
        env[k++] = arena_printf(a, "DOCKER_HOST=%s", engine);

    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, story, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const char *path = scanner(g, program);
    int r = posix_spawnp(&child, path, &files, &attr, (char *const *)(uintptr_t)argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    if (r != 0) {

        return err_set(e, r, "%s: %s", path, strerror(r));
    }
    setpriority(PRIO_PROCESS, (id_t)child, 10);
    *ret = child;
    return 0;
}

/* The report must be about the image that was asked for: it is streamed up to its "image_id". */
static ssize_t read_fd(void *ctx, void *p, size_t n, struct err *e)
{
    ssize_t r = read(*(int *)ctx, p, n);
    return r < 0 ? err_errno(e, "scan report") : r;
}

static int check_report(const char *path, const char *id, struct err *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "the scan wrote no report");
    _cleanup_(json_closep) struct json *j = json_open(read_fd, &fd, 0);
    int r = json_expect(j, JSON_OBJECT, e);
    while (r >= 0 && (r = json_next(j, e)) == JSON_KEY) {
        bool it = str_eq(json_text(j), STR("image_id"));
        if (!it) {
            r = json_skip(j, e);
            continue;
        }
        if ((r = json_next(j, e)) < 0)
            return r;
        return r == JSON_STRING && str_eqc(json_text(j), id)
                   ? 0
                   : err_set(e, EBADMSG, "the scan's report is about another image: " STR_FMT,
                             STR_ARG(str_sub(json_text(j), 0, 80)));
    }
    return r < 0 ? r : err_set(e, EBADMSG, "the scan's report has no image_id");
}

int scan_take(const struct agent *g, const char *image_id, struct str report, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(TAKE_ARENA);
    char fresh[4096], story[4096], final[4096];
    struct inventory inv;
    paths_of(g, image_id, fresh, story, final);
    int r = fs_write(fresh, report, 0600, e);
    if (r < 0 || (r = check_report(fresh, image_id, e)) < 0 || (r = inventory_load(a, fresh, &inv, e)) < 0) {
        unlink(fresh);
        return r;
    }
    return rename(fresh, final) < 0 ? err_errno(e, "%s", final) : 0;
}

int scan_finish(const struct agent *g, const char *image_id, int status, struct err *e)
{
    char fresh[4096], story[4096], final[4096];
    paths_of(g, image_id, fresh, story, final);
    int r = check_report(fresh, image_id, e);
    if (r == 0 && rename(fresh, final) < 0)
        r = err_errno(e, "%s", final);
    if (r < 0 && WIFSIGNALED(status)) {
        r = err_set(e, EIO, "ended by signal %d", WTERMSIG(status));
    } else if (r < 0) { /* the last line that it wrote says more than the missing report */
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct str text = STR_NONE;
        fs_read(a, story, 64u << 10, &text, NULL);
        text = str_trim(text);
        ptrdiff_t nl = str_rchr(text, '\n');
        if (nl >= 0)
            text = str_sub(text, (size_t)nl + 1, text.n);
        if (text.n)
            r = err_set(e, EIO, STR_FMT, STR_ARG(str_sub(text, 0, 800)));
    }
    unlink(fresh);
    unlink(story);
    return r;
}
