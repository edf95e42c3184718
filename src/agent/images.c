/* Scans and verdicts: one scan at a time, in a child with low priority; the gate's own decision is the verdict.
 * Verdicts of images that run are looked at again when policy or intel change and when their time is over. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "gate/decision.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define QUEUE_MAX    256u
#define IMAGES_MAX   1024u
#define AGAIN_AFTER  (60 * TIME_SECOND) /* a scan that failed is not tried sooner */
#define DECIDE_ARENA (256u << 20)
#define REPORT_MAX   (24u << 20)
#define STORY_MAX    1000u
#define ASK_TIME     (5 * TIME_SECOND) /* that the console has to answer before the image is scanned here */

struct job {
    struct job *next;
    char image_id[72];
    char *ref, *engine;
};

struct image { /* one that runs, or whose scan ended lately */
    char id[72];
    char *name;
    const char *url;   /* of the engine that runs it; NULL: none told */
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
    struct job *now; /* being scanned */
    pid_t child;
    int64_t child_since;
    int64_t asked; /* monotonic: the console was asked whether it knows `now`; 0 no */
    bool dirty;
    int64_t due;
};

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
    MAP_EACH (im->by_id, it)
        image_free(it->value);
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
        i->url = c->url;
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
        json_w_kstr(&w, "valid_until",
                    v->valid_until == TIME_NEVER ? STR_NONE : str_c(time_format(v->valid_until, until)));
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
        images_scan(im, str_c(i->id), str_c(i->name),
                    i->url             ? i->url
                    : im->g->engines_n ? im->g->engines[0].url
                                       : NULL,
                    NULL);
        return;
    }
    bool allow = d.answer == GATE_ALLOW;
    if (scanned && d.governed)
        tell(im, i, &d, allow ? SEVERITY_info : SEVERITY_medium, allow ? ACTION_off : ACTION_alert,
             allow ? "Image scanned: allowed" : "Image scanned: denied");
    else if (i->decided && i->allow != allow)
        tell(im, i, &d, allow ? SEVERITY_info : SEVERITY_high, allow ? ACTION_off : ACTION_alert,
             allow        ? "Image is allowed now"
             : i->running ? "Running image is no longer allowed"
                          : "Image is no longer allowed");
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
    if (fs_read(a, arena_printf(a, "%s/" STR_FMT ".json", g->inventories_dir, STR_ARG(hex)), REPORT_MAX, &scan, NULL) <
        0)
        return;
    if (fs_read(a, arena_printf(a, "%s/verdicts/" STR_FMT ".json", g->config.state, STR_ARG(hex)), 4u << 20, &verdict,
                NULL) < 0)
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

/* The scan of im->now is over: r is 0, or what went wrong. */
static void finished(struct images *im, int r, const struct err *e, bool here)
{
    struct agent *g = im->g;
    struct job *j = TAKE(im->now);
    pthread_mutex_lock(&im->lock);
    struct image *i = image_of(im, str_c(j->image_id), str_c(j->ref));
    pthread_mutex_unlock(&im->lock);
    if (r < 0) {
        char line[STORY_MAX];
        snprintf(line, sizeof(line), "scan of %.200s: %.780s", j->ref, e->msg);
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
        log_info("%s %s (%s) in %" PRId64 " ms", here ? "scanned" : "took the console's scan of", j->ref, j->image_id,
                 (time_monotonic() - im->child_since) / 1000);
        decide(im, i, true);
        if (here)
            report(im, i);
    }
    job_free(j);
    if (g->plugin)
        plugin_scanned(g->plugin);
    malloc_trim(0); /* verdicts are made from large inventories */
}

static void done(struct images *im, int status)
{
    struct err e = ERR_INIT;
    im->child = 0;
    int r = scan_finish(im->g, im->now->image_id, status, &e);
    finished(im, r, &e, true);
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

static void scan_now(struct images *im)
{
    struct err e = ERR_INIT;
    im->asked = 0;
    if (scan_start(im->g, im->now->image_id, im->now->engine, &im->child, &e) == 0)
        im->child_since = time_monotonic();
    else
        finished(im, -e.code, &e, true);
}

/* A scan that a pipeline handed in saves one here; the verdict is made from it with the policy and intel of this host.
 */
static bool ask_console(struct images *im)
{
    struct uplink *u = im->g->uplink;
    if (!u || uplink_info(u)->phase != UPLINK_online)
        return false;
    im->asked = im->child_since = time_monotonic();
    uplink_inventory(u, str_c(im->now->image_id));
    return true;
}

void images_inventory(struct images *im, struct str image_id, struct str report)
{
    struct err e = ERR_INIT;
    if (!im->asked || !im->now || !str_eqc(image_id, im->now->image_id))
        return; /* too late */
    if (!report.n || scan_take(im->g, im->now->image_id, report, &e) < 0) {
        if (report.n)
            log_warn("the console's report on %s: %s; it is scanned here", im->now->image_id, e.msg);
        scan_now(im);
        return;
    }
    im->asked = 0;
    finished(im, 0, &e, false);
}

static void next_scan(struct images *im)
{
    if (im->child)
        return;
    if (im->asked) {
        if (time_monotonic() - im->asked > ASK_TIME)
            scan_now(im);
        return;
    }
    pthread_mutex_lock(&im->lock);
    im->now = im->queue;
    if (im->now) {
        im->queue = im->now->next;
        im->queued--;
    }
    pthread_mutex_unlock(&im->lock);
    if (im->now && !ask_console(im))
        scan_now(im);
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
