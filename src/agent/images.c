/* Scans and verdicts: one scan at a time, in a child with low priority; the gate's own decision is the verdict. Verdicts of
 * images that run are looked at again when policy or intel change and when their time is over. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "gate/decision.h"
#include "intel/intel.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define QUEUE_MAX    256u
#define IMAGES_MAX   1024u
#define AGAIN_AFTER  (60 * TIME_SECOND) /* a scan that failed is not tried sooner */
#define DECIDE_ARENA (256u << 20)
#define REPORT_MAX   (24u << 20)
#define STORY_MAX    1000u

struct job {
    struct job *next;
    char image_id[72];
    char *ref, *engine;
};

struct image { /* one that runs, or whose scan ended lately */
    char id[72];
    char *name;
    struct str *names; /* in `a` */
    size_t names_n;
    struct arena *a;
    int64_t since, due, failed;
    bool running, decided, allow;
    char failure[STORY_MAX];
};

struct images {
    struct agent *g;
    pthread_mutex_t lock; /* queue, by_id and what is in it */
    struct job *queue;
    size_t queued;
    struct map *by_id;
    struct job *now;      /* being scanned */
    pid_t child;
    int64_t child_since;
    bool dirty;
    int64_t due;
};

extern char **environ;

struct images *images_new(struct agent *g)
{
    struct images *im = calloc(1, sizeof(*im));
    if (!im)
        abort();
    im->g = g;
    im->dirty = true;
    pthread_mutex_init(&im->lock, NULL);
    im->by_id = map_new(IMAGES_MAX);
    return im;
}

static void job_free(struct job *j)
{
    if (!j)
        return;
    free(j->ref);
    free(j->engine);
    free(j);
}

static void image_free(struct image *i)
{
    arena_free(i->a);
    free(i->name);
    free(i);
}

void images_free(struct images *im)
{
    if (!im)
        return;
    if (im->child > 0) {
        kill(-im->child, SIGKILL);
        waitpid(im->child, NULL, 0);
    }
    for (struct job *j = im->queue, *next; j; j = next) {
        next = j->next;
        job_free(j);
    }
    job_free(im->now);
    MAP_EACH(im->by_id, it) image_free(it->value);
    map_free(im->by_id);
    pthread_mutex_destroy(&im->lock);
    free(im);
}

/* With the lock. NULL: too many. */
static struct image *image_of(struct images *im, struct str id, struct str name)
{
    struct image *i = map_get(im->by_id, id);
    if (i || map_count(im->by_id) >= IMAGES_MAX || !image_id_valid(id))
        return i;
    if (!(i = calloc(1, sizeof(*i))))
        abort();
    memcpy(i->id, id.p, id.n);
    i->name = name.n ? strndup(name.p, name.n) : strdup("");
    map_put(im->by_id, str_c(i->id), i);
    return i;
}

/* ---- from other threads ---- */

int images_scan(struct images *im, struct str image_id, struct str ref, const char *engine, struct err *e)
{
    if (im->g->config.no_scan)
        return err_set(e, ENOTSUP, "this agent does not scan (--no-scan)");
    if (!image_id_valid(image_id))
        return err_set(e, EINVAL, "not an image id");
    pthread_mutex_lock(&im->lock);
    struct image *i = map_get(im->by_id, image_id);
    struct job **end = &im->queue;
    bool known = im->now && str_eqc(image_id, im->now->image_id);
    int r = 0;
    for (; *end; end = &(*end)->next)
        known = known || str_eqc(image_id, (*end)->image_id);
    if (!known && i && i->failed && time_monotonic() - i->failed < AGAIN_AFTER) {
        r = err_set(e, EAGAIN, "its scan failed: %.*s", 600, i->failure);
    } else if (!known && im->queued >= QUEUE_MAX) {
        r = err_set(e, EAGAIN, "%u scans are waiting", QUEUE_MAX);
    } else if (!known) {
        struct job *j = calloc(1, sizeof(*j));
        if (!j)
            abort();
        memcpy(j->image_id, image_id.p, image_id.n);
        j->ref = ref.n ? strndup(ref.p, ref.n) : strdup(j->image_id);
        j->engine = strdup(engine ? engine : "");
        *end = j;
        im->queued++;
    }
    pthread_mutex_unlock(&im->lock);
    if (r == 0)
        agent_wake(im->g);
    return r;
}

bool images_running(struct images *im, struct str image_id, int64_t *since)
{
    pthread_mutex_lock(&im->lock);
    struct image *i = map_get(im->by_id, image_id);
    bool running = i && i->running;
    if (running)
        *since = i->since;
    pthread_mutex_unlock(&im->lock);
    return running;
}

/* ---- main thread ---- */

void images_changed(struct images *im)
{
    im->dirty = true;
}

void images_started(struct images *im, const struct container *c)
{
    if (!c->s.image_id.n)
        return;
    pthread_mutex_lock(&im->lock);
    struct image *i = image_of(im, c->s.image_id, c->s.image);
    if (i) {
        int64_t since = c->started ? c->started : time_now();
        bool fresh = !i->running;
        i->since = fresh || since < i->since ? since : i->since;
        i->running = true;
        if (fresh || i->names_n != c->s.names_n) {
            arena_free(i->a);
            i->a = arena_new(1u << 20);
            i->names = arena_array(i->a, c->s.names_n + 2, sizeof(struct str));
            i->names_n = 0;
            for (size_t k = 0; k < c->s.names_n; k++)
                i->names[i->names_n++] = arena_str(i->a, c->s.names[k]);
            if (!i->names_n && c->s.image.n)
                i->names[i->names_n++] = arena_str(i->a, c->s.image);
            i->due = 0;
            im->dirty = true;
        }
    }
    pthread_mutex_unlock(&im->lock);
}

static void tell(struct images *im, const struct image *i, const struct gate_decision *d, enum event_severity severity,
                 enum event_action action, const char *rule)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT / 2);
    struct json_writer w = JSON_WRITER(&b);
    const struct verdict *v = d->verdict;
    char until[TIME_TEXT];
    json_w_object(&w);
    json_w_kstrz(&w, "image_id", i->id);
    json_w_kstrz(&w, "image", i->name);
    json_w_kbool(&w, "running", i->running);
    json_w_kstrz(&w, "verdict", d->answer == GATE_ALLOW ? "allow" : "deny");
    json_w_kstr(&w, "text", str_sub(d->text, 0, 4000));
    if (v) {
        json_w_kstr(&w, "policy_revision", v->policy_revision);
        json_w_kstr(&w, "intel_revision", v->intel_revision.n ? v->intel_revision : STR_NONE);
        json_w_kstr(&w, "valid_until", v->valid_until == TIME_NEVER ? STR_NONE : str_c(time_format(v->valid_until, until)));
        json_w_ki64(&w, "reasons_total", (int64_t)v->reasons_n);
        json_w_karray(&w, "reasons");
        for (size_t k = 0; k < v->reasons_n && k < 10; k++)
            json_w_str(&w, str_sub(v->reasons[k].text, 0, 500));
        json_w_end(&w);
    }
    json_w_end(&w);
    struct event ev = {.type = EVENT_TYPE_image,
                       .control = CONTROL_image,
                       .rule = str_c(rule),
                       .severity = severity,
                       .action = action,
                       .outcome = d->answer == GATE_ALLOW ? OUTCOME_allowed : OUTCOME_detected,
                       .policy_name = d->policy,
                       .detail = b.full ? STR_NONE : buf_str(&b)};
    journal_put(im->g->journal, &ev);
}

/* What the gate says of an image now; tells when that is new. */
static void decide(struct images *im, struct image *i, bool scanned)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(DECIDE_ARENA);
    struct gate_decision d = {0};
    struct gate_question q = {.image_id = str_c(i->id),
                              .image = str_c(i->name),
                              .names = i->names,
                              .names_n = i->names_n,
                              .running = i->running,
                              .running_since = i->since,
                              .now = time_now()};
    gate_decide(im->g->gate, a, &q, &d);
    i->due = d.verdict ? d.verdict->valid_until : TIME_NEVER;
    if (d.answer == GATE_SCAN) {
        images_scan(im, str_c(i->id), str_c(i->name), im->g->engines_n ? im->g->engines[0].url : NULL, NULL);
        return;
    }
    bool allow = d.answer == GATE_ALLOW;
    if (scanned && d.governed)
        tell(im, i, &d, allow ? SEVERITY_info : SEVERITY_medium, allow ? ACTION_off : ACTION_alert,
             allow ? "Image scanned: allowed" : "Image scanned: denied");
    else if (i->decided && i->allow != allow)
        tell(im, i, &d, allow ? SEVERITY_info : SEVERITY_high, allow ? ACTION_off : ACTION_alert,
             allow ? "Image is allowed now" : i->running ? "Running image is no longer allowed" : "Image is no longer allowed");
    else if (!i->decided && !allow && i->running)
        tell(im, i, &d, SEVERITY_high, ACTION_alert, "Running image has no allow verdict");
    i->decided = true;
    i->allow = allow;
}

static void report(struct images *im, const struct image *i)
{
    struct agent *g = im->g;
    struct str hex = str_sub(str_c(i->id), 7, 71), scan = STR_NONE, verdict = STR_NONE;
    if (!g->uplink)
        return;
    _cleanup_(arena_freep) struct arena *a = arena_new(REPORT_MAX * 3);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(REPORT_MAX + (1u << 20));
    if (fs_read(a, arena_printf(a, "%s/" STR_FMT ".json", g->inventories_dir, STR_ARG(hex)), REPORT_MAX, &scan, NULL) < 0)
        return;
    if (fs_read(a, arena_printf(a, "%s/verdicts/" STR_FMT ".json", g->config.state, STR_ARG(hex)), 4u << 20, &verdict, NULL) < 0)
        verdict = STR("null");
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "image_id", i->id);
    json_w_karray(&w, "names");
    for (size_t k = 0; k < i->names_n; k++)
        json_w_str(&w, i->names[k]);
    if (!i->names_n)
        json_w_str(&w, str_c(i->name));
    json_w_end(&w);
    json_w_key(&w, "report");
    json_w_raw(&w, str_trim(scan));
    json_w_key(&w, "verdict");
    json_w_raw(&w, str_trim(verdict));
    json_w_end(&w);
    struct err e = ERR_INIT;
    if (b.full || uplink_report(g->uplink, hex, buf_str(&b), &e) < 0)
        log_error("report of %s for the console: %s", i->id, b.full ? "too large" : e.msg);
}

/* ---- the child ---- */

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

static void paths_of(const struct agent *g, const char *id, char fresh[static 4096], char story[static 4096], char final[static 4096])
{
    snprintf(fresh, 4096, "%s/.%.64s.new", g->inventories_dir, id + 7);
    snprintf(story, 4096, "%s/.%.64s.err", g->inventories_dir, id + 7);
    snprintf(final, 4096, "%s/%.64s.json", g->inventories_dir, id + 7);
}

static int start(struct images *im, struct job *j, struct err *e)
{
    struct agent *g = im->g;
    char program[4096], fresh[4096], story[4096], final[4096];
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    paths_of(g, j->image_id, fresh, story, final);
    unlink(fresh);
    const char *db = arena_printf(a, "%s/intel.db", g->config.state), *key = arena_printf(a, "%s/intel.pub", g->config.state);
    const char *argv[16] = {"bulkhead", "scan", arena_printf(a, "docker:%s", j->image_id), "--format", "json", "--quiet", "--output", fresh};
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
    if (j->engine[0])
        env[k++] = arena_printf(a, "DOCKER_HOST=%s", j->engine);

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
    int r = posix_spawnp(&im->child, path, &files, &attr, (char *const *)(uintptr_t)argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    if (r != 0) {
        im->child = 0;
        return err_set(e, r, "%s: %s", path, strerror(r));
    }
    setpriority(PRIO_PROCESS, (id_t)im->child, 10);
    im->child_since = time_monotonic();
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
                   ? 0 : err_set(e, EBADMSG, "the scan's report is about another image: " STR_FMT, STR_ARG(str_sub(json_text(j), 0, 80)));
    }
    return r < 0 ? r : err_set(e, EBADMSG, "the scan's report has no image_id");
}

static void done(struct images *im, int status)
{
    struct agent *g = im->g;
    struct job *j = TAKE(im->now);
    char fresh[4096], story[4096], final[4096];
    struct err e = ERR_INIT;
    im->child = 0;
    paths_of(g, j->image_id, fresh, story, final);
    int r = check_report(fresh, j->image_id, &e);
    if (r == 0 && rename(fresh, final) < 0)
        r = err_errno(&e, "%s", final);
    pthread_mutex_lock(&im->lock);
    struct image *i = image_of(im, str_c(j->image_id), str_c(j->ref));
    pthread_mutex_unlock(&im->lock);
    if (r < 0) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct str text = STR_NONE;
        fs_read(a, story, 64u << 10, &text, NULL);
        text = str_trim(text);
        ptrdiff_t nl = str_rchr(text, '\n');
        if (nl >= 0)
            text = str_sub(text, (size_t)nl + 1, text.n);
        char line[STORY_MAX];
        if (WIFSIGNALED(status))
            snprintf(line, sizeof(line), "scan of %s ended by signal %d", j->ref, WTERMSIG(status));
        else
            snprintf(line, sizeof(line), "scan of %s: " STR_FMT, j->ref, STR_ARG(text.n ? str_sub(text, 0, 800) : str_c(e.msg)));
        if (i) {
            pthread_mutex_lock(&im->lock);
            i->failed = time_monotonic();
            snprintf(i->failure, sizeof(i->failure), "%s", line);
            pthread_mutex_unlock(&im->lock);
        }
        say_problem(g, EVENT_TYPE_image, "Image could not be scanned", line);
    } else if (i) {
        pthread_mutex_lock(&im->lock);
        i->failed = 0;
        pthread_mutex_unlock(&im->lock);
        log_info("scanned %s (%s) in %" PRId64 " ms", j->ref, j->image_id, (time_monotonic() - im->child_since) / 1000);
        decide(im, i, true);
        report(im, i);
    }
    unlink(fresh);
    unlink(story);
    job_free(j);
    if (g->plugin)
        plugin_scanned(g->plugin);
    malloc_trim(0); /* verdicts are made from large inventories */
}

static void reap(struct images *im, int64_t now)
{
    int status;
    if (!im->child)
        return;
    pid_t r = waitpid(im->child, &status, WNOHANG);
    if (r == im->child) {
        done(im, status);
    } else if (r == 0 && now - im->child_since > im->g->config.scan_time) {
        kill(-im->child, SIGKILL);
    }
}

static void next_scan(struct images *im)
{
    struct err e = ERR_INIT;
    if (im->child)
        return;
    pthread_mutex_lock(&im->lock);
    im->now = im->queue;
    if (im->now) {
        im->queue = im->now->next;
        im->queued--;
    }
    pthread_mutex_unlock(&im->lock);
    if (!im->now || start(im, im->now, &e) == 0)
        return;
    struct job *j = TAKE(im->now);
    pthread_mutex_lock(&im->lock);
    struct image *i = image_of(im, str_c(j->image_id), str_c(j->ref));
    if (i) {
        i->failed = time_monotonic();
        snprintf(i->failure, sizeof(i->failure), "%.900s", e.msg);
    }
    pthread_mutex_unlock(&im->lock);
    say_problem(im->g, EVENT_TYPE_image, "Image could not be scanned", e.msg);
    job_free(j);
    if (im->g->plugin)
        plugin_scanned(im->g->plugin);
}

/* Which images run still? And whose verdict has to be looked at again? */
static void again(struct images *im, int64_t now)
{
    if (!im->dirty && now < im->due)
        return;
    bool all = im->dirty;
    im->dirty = false;
    im->due = TIME_NEVER;
    for (struct map_entry *it = map_next(im->by_id, NULL), *next; it; it = next) {
        struct image *i = it->value;
        bool runs = false;
        next = map_next(im->by_id, it);
        for (struct container *c = NULL; !runs && (c = containers_next(im->g->containers, c));)
            runs = c->running && str_eqc(c->s.image_id, i->id);
        pthread_mutex_lock(&im->lock);
        i->running = runs;
        bool keep = runs || (i->failed && time_monotonic() - i->failed < AGAIN_AFTER);
        if (!keep)
            map_del(im->by_id, str_c(i->id));
        pthread_mutex_unlock(&im->lock);
        if (!keep) {
            image_free(i);
            continue;
        }
        if (runs && (all || now >= i->due))
            decide(im, i, false);
        if (i->due < im->due)
            im->due = i->due;
    }
    if (all && im->g->plugin)
        plugin_scanned(im->g->plugin);
}

void images_step(struct images *im, int64_t now)
{
    reap(im, time_monotonic());
    next_scan(im);
    again(im, now);
}

/* ---- intel ---- */

static int copy(const char *from, const char *to, struct err *e)
{
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    char fresh[4096];
    snprintf(fresh, sizeof(fresh), "%s.new", to);
    if (in < 0 || (out = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return err_errno(e, "%s", in < 0 ? from : fresh);
    ssize_t n;
    while ((n = copy_file_range(in, NULL, out, NULL, 64u << 20, 0)) > 0)
        ;
    char block[65536];
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP))
        while ((n = read(in, block, sizeof(block))) > 0)
            if (fs_write_all(out, block, (size_t)n, e) < 0)
                return -EIO;
    if (n < 0 || fsync(out) < 0 || rename(fresh, to) < 0)
        return err_errno(e, "%s", to);
    return 0;
}

/* --intel FILE becomes STATE/intel.db when it verifies and is not older; its revision is noted for the gate. */
int images_install_intel(struct agent *g, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    _cleanup_(intel_unrefp) struct intel *given = NULL, *there = NULL;
    const char *db = arena_printf(a, "%s/intel.db", g->config.state), *pub = arena_printf(a, "%s/intel.pub", g->config.state);
    int r;
    if (g->config.intel) {
        const char *slash = strrchr(g->config.intel, '/');
        const char *key = g->config.intel_key ? g->config.intel_key
                          : slash ? arena_printf(a, "%.*s/intel.pub", (int)(slash - g->config.intel), g->config.intel)
                                  : "intel.pub";
        if ((r = intel_open(g->config.intel, key, 0, &given, e)) < 0)
            return r;
        bool older = intel_open(db, pub, 0, &there, NULL) == 0 && intel_built(there) > intel_built(given);
        if (older) {
            log_warn("%s is older than the intel in use; kept the newer one", g->config.intel);
        } else if (!there || !str_eq(intel_revision(there), intel_revision(given))) {
            if ((r = copy(key, pub, e)) < 0 || (r = copy(g->config.intel, db, e)) < 0)
                return r;
        }
        intel_unref(TAKE(there));
    }
    if (!fs_exists(db)) {
        g->intel_revision[0] = '\0';
        return gate_revisions_write(g->config.state, STR(""), e);
    }
    if ((r = intel_open(db, pub, 0, &there, e)) < 0)
        return r;
    struct str rev = intel_revision(there);
    bool changed = !str_eqc(rev, g->intel_revision);
    snprintf(g->intel_revision, sizeof(g->intel_revision), STR_FMT, STR_ARG(rev));
    if ((r = gate_revisions_write(g->config.state, rev, e)) < 0)
        return r;
    if (changed) {
        _cleanup_(buf_fini) struct buf b = BUF_INIT(1024);
        char t[TIME_TEXT];
        struct json_writer w = JSON_WRITER(&b);
        json_w_object(&w);
        json_w_kstr(&w, "intel_revision", rev);
        json_w_kstrz(&w, "built", time_format(intel_built(there), t));
        json_w_end(&w);
        say(g, EVENT_TYPE_policy, CONTROL_none, SEVERITY_info, ACTION_off, "Intel loaded", buf_str(&b));
        if (g->images)
            images_changed(g->images);
    }
    return 0;
}
