#include "agent/watcher.h"

#include "base/cleanup.h"
#include "base/time.h"
#include "engine/docker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define QUEUE_MAX    4096u
#define ENGINES_MAX  8u
#define BACKOFF_MOST (5 * TIME_SECOND)
#define WATCH_ARENA  (64u << 20)

struct watcher {
    struct watchers *all;
    struct docker *docker;
    struct docker_follow *follow;
    pthread_t thread;
    const char *engine; /* docker, podman */
    int64_t since;      /* time of the last event seen */
    bool told_lost;
};

struct watchers {
    struct watcher v[ENGINES_MAX];
    size_t n;
    int fd;
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* room in the queue, or stop */
    struct watch *head, *tail;
    size_t queued;
};

/* ---- queue ---- */

static struct watch *watch_new(struct watcher *w, enum watch_kind kind)
{
    struct arena *a = arena_new(WATCH_ARENA);
    struct watch *m = arena_new_of(a, struct watch);
    m->a = a;
    m->kind = kind;
    m->url = docker_url(w->docker);
    m->s.engine = str_c(w->engine);
    m->time = time_now();
    return m;
}

void watch_free(struct watch *m)
{
    if (m)
        arena_free(m->a);
}

static void post(struct watcher *w, struct watch *m)
{
    struct watchers *all = w->all;
    pthread_mutex_lock(&all->lock);
    while (all->queued >= QUEUE_MAX && !all->stop)
        pthread_cond_wait(&all->changed, &all->lock);
    if (all->stop) {
        pthread_mutex_unlock(&all->lock);
        watch_free(m);
        return;
    }
    if (all->tail)
        all->tail->next = m;
    else
        all->head = m;
    all->tail = m;
    all->queued++;
    pthread_mutex_unlock(&all->lock);
    uint64_t one = 1;
    if (write(all->fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is readable already */
}

struct watch *watchers_next(struct watchers *w)
{
    pthread_mutex_lock(&w->lock);
    struct watch *m = w->head;
    if (m) {
        w->head = m->next;
        if (!w->head)
            w->tail = NULL;
        w->queued--;
        m->next = NULL;
        pthread_cond_signal(&w->changed);
    } else {
        uint64_t n;
        if (read(w->fd, &n, sizeof(n)) < 0)
            n = 0;
    }
    pthread_mutex_unlock(&w->lock);
    return m;
}

/* ---- following ---- */

static bool is_digest_of(struct str s, struct str *ret)
{
    ptrdiff_t at = str_chr(s, '@');
    struct str d = at < 0 ? STR_NONE : str_sub(s, (size_t)at + 1, s.n);
    if (!image_id_valid(d))
        return false;
    *ret = d;
    return true;
}

static void addresses(struct watch *m, const struct json_value *json)
{
    static const char *const keys[] = {"IPAddress", "GlobalIPv6Address"};
    const struct json_value *networks = json_path(json, "NetworkSettings.Networks"),
                            *dns = json_path(json, "HostConfig.Dns");
    size_t most = networks && networks->type == JSON_OBJECT ? 2 * networks->count : 0;
    m->s.addresses = arena_array(m->a, most + 1, sizeof(struct str));
    for (const struct json_value *v = most ? networks->first : NULL; v; v = v->next)
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            struct str text = json_str(json_get(v, keys[i]));
            if (text.n)
                m->s.addresses[m->s.addresses_n++] = text;
        }
    most = dns && dns->type == JSON_ARRAY ? dns->count : 0;
    m->s.resolvers = arena_array(m->a, most + 1, sizeof(struct str));
    for (const struct json_value *v = most ? dns->first : NULL; v; v = v->next)
        m->s.resolvers[m->s.resolvers_n++] = json_str(v);
}

/* Name, image, ids and every name of the image. -ENOENT: gone already. */
static int inspect(struct watcher *w, struct watch *m, struct str id)
{
    struct docker_container c;
    struct docker_image img;
    int r = docker_container_inspect(w->docker, m->a, id, &c, NULL);
    if (r < 0)
        return r;
    m->s.id = c.id;
    m->s.name = c.name;
    m->s.image = c.image;
    m->s.image_id = image_id_valid(c.image_id) ? c.image_id : STR_NONE;
    m->s.labels = c.labels;
    addresses(m, c.json);
    m->pid = c.pid;
    m->running = c.pid > 0;
    if (m->running && time_parse(c.started, &m->started) < 0)
        m->started = 0;
    if (!m->s.image_id.n || docker_image_inspect(w->docker, m->a, m->s.image_id, &img, NULL) < 0)
        return 0;
    m->s.names = arena_array(m->a, img.tags_n + img.digests_n + 1, sizeof(struct str));
    for (size_t i = 0; i < img.tags_n; i++)
        m->s.names[m->s.names_n++] = img.tags[i];
    for (size_t i = 0; i < img.digests_n; i++) {
        m->s.names[m->s.names_n++] = img.digests[i];
        if (!m->s.image_digest.n)
            is_digest_of(img.digests[i], &m->s.image_digest);
    }
    return 0;
}

static struct watch *with_attributes(struct watcher *w, enum watch_kind kind, const struct docker_event *ev)
{
    struct watch *m = watch_new(w, kind);
    m->time = ev->time;
    if (inspect(w, m, ev->id) < 0) { /* lived too briefly: the event itself carries name and image */
        m->s.id = arena_str(m->a, ev->id);
        m->s.name = arena_str(m->a, json_str(json_get(ev->attributes, "name")));
        m->s.image = arena_str(m->a, json_str(json_get(ev->attributes, "image")));
        m->running = kind == WATCH_STARTED;
    }
    if (kind == WATCH_STARTED && !m->started)
        m->started = ev->time;
    return m;
}

static int on_event(void *ctx, const struct docker_event *ev)
{
    struct watcher *w = ctx;
    if (ev->time > w->since)
        w->since = ev->time;
    if (str_eq(ev->type, STR("image"))) {
        struct watch *m = watch_new(w, WATCH_IMAGE);
        m->text = arena_str(m->a, ev->action);
        m->s.image = arena_str(m->a, ev->id);
        if (image_id_valid(ev->id))
            m->s.image_id = m->s.image;
        post(w, m);
        return w->all->stop;
    }
    if (str_eq(ev->type, STR("network"))) { /* connected or not any more: it has other addresses */
        struct docker_event of = *ev;
        of.id = json_str(json_get(ev->attributes, "container"));
        if (hex_id_valid(of.id))
            post(w, with_attributes(w, WATCH_CONTAINER, &of));
        return w->all->stop;
    }
    if (!str_eq(ev->type, STR("container")) || !hex_id_valid(ev->id))
        return w->all->stop;
    if (str_eq(ev->action, STR("create")) || str_eq(ev->action, STR("rename")) || str_eq(ev->action, STR("update"))) {
        post(w, with_attributes(w, WATCH_CONTAINER, ev));
    } else if (str_eq(ev->action, STR("start"))) {
        post(w, with_attributes(w, WATCH_STARTED, ev));
    } else if (str_eq(ev->action, STR("die")) || str_eq(ev->action, STR("destroy"))) {
        struct watch *m = watch_new(w, str_eq(ev->action, STR("die")) ? WATCH_ENDED : WATCH_REMOVED);
        m->time = ev->time;
        m->s.id = arena_str(m->a, ev->id);
        m->s.name = arena_str(m->a, json_str(json_get(ev->attributes, "name")));
        m->s.image = arena_str(m->a, json_str(json_get(ev->attributes, "image")));
        m->text = arena_str(m->a, json_str(json_get(ev->attributes, "exitCode")));
        post(w, m);
    }
    return w->all->stop;
}

/* Who is it, and what is there? Events are then followed from before this on, so nothing falls in between. */
static int greet(struct watcher *w, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(WATCH_ARENA);
    struct docker_container *list;
    struct docker_info info;
    size_t n;
    struct docker_version version;
    int r = docker_info(w->docker, a, &info, e);
    if (r < 0 || (r = docker_version(w->docker, a, &version, e)) < 0)
        return r;
    w->engine = str_eqc(version.engine, "podman") ? "podman" : "docker";
    struct watch *hello = watch_new(w, WATCH_ENGINE);
    hello->root_dir = arena_str(hello->a, info.root_dir);
    hello->version = arena_str(hello->a, version.version);
    post(w, hello);
    w->told_lost = false;
    if ((r = docker_container_list(w->docker, a, true, &list, &n, e)) < 0)
        return r;
    struct watch *synced = watch_new(w, WATCH_SYNCED);
    synced->ids = arena_array(synced->a, n + 1, sizeof(struct str));
    for (size_t i = 0; i < n && !w->all->stop; i++) {
        synced->ids[synced->ids_n++] = arena_str(synced->a, list[i].id);
        struct watch *m = watch_new(w, WATCH_CONTAINER);
        if (inspect(w, m, list[i].id) == 0)
            post(w, m);
        else
            watch_free(m);
    }
    post(w, synced);
    return 0;
}

static void wait_for(struct watcher *w, int64_t us)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + us % TIME_SECOND * 1000;
    t.tv_sec += us / TIME_SECOND + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&w->all->lock);
    while (!w->all->stop && pthread_cond_timedwait(&w->all->changed, &w->all->lock, &t) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&w->all->lock);
}

static void *follow(void *arg)
{
    struct watcher *w = arg;
    int64_t pause = TIME_SECOND / 5;
    while (!w->all->stop) {
        struct err e = ERR_INIT;
        int64_t began = time_monotonic();
        int64_t now = time_now();
        int r = greet(w, &e);
        if (r == 0) {
            if (!w->since)
                w->since = now;
            r = docker_follow_run(w->follow, w->since + 1, on_event, w, &e);
        }
        if (w->all->stop)
            break;
        if (!w->told_lost) {
            struct watch *m = watch_new(w, WATCH_LOST);
            m->text = arena_strf(m->a, "%s", r < 0 && e.code ? e.msg : "the engine closed the connection");
            post(w, m);
            w->told_lost = true;
        }
        if (time_monotonic() - began > BACKOFF_MOST)
            pause = TIME_SECOND / 5;
        wait_for(w, pause);
        pause = pause * 2 > BACKOFF_MOST ? BACKOFF_MOST : pause * 2;
    }
    return NULL;
}

/* ---- public ---- */

struct watchers *watchers_new(void)
{
    struct watchers *w = calloc(1, sizeof(*w));
    if (!w || (w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        abort();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    return w;
}

int watchers_fd(const struct watchers *w)
{
    return w->fd;
}

int watchers_add(struct watchers *w, const char *url, struct err *e)
{
    int r;
    if (w->n == ENGINES_MAX)
        return err_set(e, E2BIG, "more than %u engines", ENGINES_MAX);
    struct watcher *one = &w->v[w->n];
    one->all = w;
    one->engine = "docker";
    if ((r = docker_open(url, &one->docker, e)) < 0)
        return r;
    if ((r = docker_follow_open(one->docker, &one->follow, e)) < 0) {
        docker_close(one->docker);
        return r;
    }
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256u << 10);
    if ((r = pthread_create(&one->thread, &attr, follow, one)) != 0) {
        docker_follow_close(one->follow);
        docker_close(one->docker);
        return err_set(e, r, "thread of engine %s", url);
    }
    pthread_attr_destroy(&attr);
    w->n++;
    return 0;
}

void watchers_free(struct watchers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->n; i++)
        docker_follow_stop(w->v[i].follow);
    for (size_t i = 0; i < w->n; i++) {
        pthread_join(w->v[i].thread, NULL);
        docker_follow_close(w->v[i].follow);
        docker_close(w->v[i].docker);
    }
    for (struct watch *m = w->head, *next; m; m = next) {
        next = m->next;
        watch_free(m);
    }
    close(w->fd);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    free(w);
}
