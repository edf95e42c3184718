#include "scan/scan_internal.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "format/digest.h"
#include "scan/cache.h"
#include "scan/check.h"
#include "scan/image_config.h"
#include "scan/issue.h"
#include "scan/merge.h"
#define JAIL_MEMORY   (UINT64_C(3) << 30)
#define THREADS_MOST  4u
#define THREAD_MEMORY (UINT64_C(64) << 20) /* of the budget, for one layer under way */
#define MEMORY_BUDGET (UINT64_C(256) << 20)

bool scan_is_image(const struct scan *s)
{
    return s->worker.kind != WORKER_DIR && s->worker.kind != WORKER_SBOM;
}

unsigned scan_threads(const struct scan_opts *o)
{
    if (o->probes.clamd) /* one connection */
        return 1;
    uint64_t memory = o->memory ? o->memory : MEMORY_BUDGET, n = memory / THREAD_MEMORY;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    n = n > THREADS_MOST ? THREADS_MOST : n;
    return cpus < 1 || n < 1 ? 1 : n > (uint64_t)cpus ? (unsigned)cpus : (unsigned)n;
}

int scan_image_read(struct scan *s, const struct json_value *v, struct err *e)
{
    const struct json_value *layers = json_get(v, "layers");
    struct inventory *inv = s->inv;
    inv->image_id = json_str(json_get(v, "id"));
    inv->digest = json_str(json_get(v, "digest"));
    if (!digest_valid(inv->image_id) || (inv->digest.n && !digest_valid(inv->digest)) || !layers ||
        layers->type != JSON_ARRAY || layers->count > LIMIT_SCAN_LAYERS)
        return err_set(e, EBADMSG, "worker: malformed image");
    int r = scan_strings(s->a, json_get(v, "names"), "names", &inv->names, &inv->names_n, e);
    if (r < 0 || (r = scan_strings(s->a, json_get(v, "history"), "history", &s->history, &s->history_n, e)) < 0 ||
        (r = issues_read(s->a, json_get(v, "issues"), &s->issues, &s->issues_n, e)) < 0 ||
        (r = image_config_read(s->a, json_get(v, "config"), &inv->config, e)) < 0)
        return r;
    s->diff_ids = arena_array(s->a, layers->count, sizeof(struct str));
    inv->layers = arena_array(s->a, layers->count, sizeof(*inv->layers));
    s->records = arena_array(s->a, layers->count, sizeof(*s->records));
    s->have = arena_array(s->a, layers->count, sizeof(bool));
    s->records_n = layers->count;
    JSON_EACH (layers, it) {
        struct inventory_layer *l = &inv->layers[s->diff_ids_n];
        l->diff_id = json_str(json_get(it, "diff_id"));
        l->created_by = json_str(json_get(it, "created_by"));
        if (!digest_valid(l->diff_id))
            return err_set(e, EBADMSG, "worker: malformed layer");
        s->diff_ids[s->diff_ids_n++] = l->diff_id;
    }
    s->has_image = true;
    return 0;
}

static int record_add(struct scan *s, const struct json_value *v, struct err *e)
{
    struct layer_record rec;
    int r = layer_record_read(s->a, v, &rec, e);
    if (r < 0)
        return r;
    if (!scan_is_image(s) && s->records_n == 0) {
        s->records = arena_new_of(s->a, struct layer_record);
        s->have = arena_new_of(s->a, bool);
        s->records_n = 1;
    }
    if (s->at >= s->records_n || s->have[s->at] ||
        (scan_is_image(s) && (!rec.tar || !str_eq(rec.diff_id, s->diff_ids[s->at]))))
        return err_set(e, EBADMSG, "worker: a layer that was not asked for");
    for (size_t i = 0; i < rec.files_n; i++)
        s->packages_n += rec.files[i].packages_n;
    if (s->packages_n > LIMIT_SCAN_PACKAGES)
        return err_set(e, E2BIG, "more than %u package records", LIMIT_SCAN_PACKAGES);
    s->records[s->at] = rec;
    s->have[s->at] = true;
    return 0;
}

/* Records made with other probes or rules are other records. */
static const char *layer_kind(const struct scan *s)
{
    const struct probe_setup *p = &s->o->probes;
    return p->off || p->key.n ? arena_printf(s->a, "layer-%x" STR_FMT, p->off, STR_ARG(p->key)) : "layer";
}

static int record_cached(struct scan *s, struct str diff_id)
{
    struct str text;
    struct json_value *v;
    if (cache_get(s->a, s->o->cache_dir, layer_kind(s), diff_id, &text) < 0 || json_parse(s->a, text, 0, &v, NULL) < 0)
        return -ENOENT;
    return record_add(s, v, NULL);
}

/* One line of the worker. */
static int line_take(struct scan *s, struct str line, struct err *e)
{
    struct json_value *v;
    int r = json_parse(s->a, arena_str(s->a, line), 0, &v, e);
    if (r < 0)
        return err_wrap(e, "worker");
    if (v->type != JSON_OBJECT || v->count != 1)
        return err_set(e, EBADMSG, "worker: malformed line");
    const struct json_value *it = v->first;
    if (str_eqc(it->key, "progress")) {
        int64_t n = json_i64(it, 0);
        s->progress += n > 0 ? (uint64_t)n : 0;
        if (s->o->progress)
            s->o->progress(s->o->progress_ctx, s->progress);
        return 0;
    }
    if (str_eqc(it->key, "image") && !s->has_image && scan_is_image(s))
        return scan_image_read(s, it, e);
    if (str_eqc(it->key, "at")) {
        s->at = (size_t)json_i64(it, INT64_MAX);
        return 0;
    }
    if (str_eqc(it->key, "root") && digest_valid(json_str(it))) {
        s->root = json_str(it);
        return 0;
    }
    if (str_eqc(it->key, "fetch") && s->lanes)
        return lanes_request(s->lanes, it, e);
    if (str_eqc(it->key, "want") && s->answer >= 0 && s->at < s->diff_ids_n && !s->have[s->at] &&
        str_eq(json_str(it), s->diff_ids[s->at])) {
        char c = record_cached(s, json_str(it)) == 0 ? WORKER_KNOWN : WORKER_READ;
        return fs_write_all(s->answer, &c, 1, e);
    }
    if (str_eqc(it->key, "layer") && (s->has_image || !scan_is_image(s))) {
        if ((r = record_add(s, it, e)) < 0)
            return r;
        struct str json = str_sub(line, sizeof("{\"layer\":") - 1, line.n - 1);
        if (scan_is_image(s))
            cache_put(s->o->cache_dir, layer_kind(s), s->records[s->at].diff_id, json);
        return 0;
    }
    return err_set(e, EBADMSG, "worker: unexpected line");
}

static int worker_output(void *arg, const void *p, size_t n, struct err *e)
{
    struct scan *s = arg;
    struct str rest = str_n(p, n);
    while (rest.n > 0) {
        ptrdiff_t end = str_chr(rest, '\n');
        buf_puts(&s->line, str_sub(rest, 0, end < 0 ? rest.n : (size_t)end));
        if (end < 0)
            break;
        rest = str_sub(rest, (size_t)end + 1, rest.n);
        int r = buf_check(&s->line, e);
        if (r < 0 || (r = line_take(s, buf_str(&s->line), e)) < 0)
            return r;
        buf_reset(&s->line);
    }
    return buf_check(&s->line, e);
}

static int worker_child(void *arg, int out, struct err *e)
{
    const struct scan *s = arg;
    return worker_run(&s->worker, out, e);
}

int scan_jailed(struct scan *s, const int *given, size_t given_n, const int *tree, struct err *e)
{
    int fds[16];
    size_t fds_n = 0;
    for (; fds_n < given_n && fds_n < ARRAY_LEN(fds) - 1; fds_n++)
        fds[fds_n] = given[fds_n];
    if (s->o->probes.clamd)
        fds[fds_n++] = s->o->probes.clamd->fd;
    struct jail_opts j = {
        .name = "image reader",
        .fds = fds,
        .fds_n = fds_n,
        .tree = tree,
        .memory = s->o->memory > JAIL_MEMORY ? s->o->memory : JAIL_MEMORY,
        .cpu_seconds = 900,
        .output_max = LIMIT_SCAN_OUTPUT,
        .flags = (tree ? JAIL_READ_ALL : 0) | (s->worker.threads > 1 ? JAIL_THREADS : 0),
        .child = worker_child,
        .output = worker_output,
        .arg = s,
    };
    s->worker.progress = s->o->progress != NULL;
    s->worker.probes = &s->o->probes;
    s->line = BUF_INIT(LIMIT_REPORT);
    int r = jail_run(&j, s->o->jail, e);
    if (r >= 0 && s->line.n > 0)
        r = err_set(e, EBADMSG, "worker: cut off in the middle of a line");
    buf_fini(&s->line);
    return r;
}

int scan_cached(struct scan *s, struct str id)
{
    struct str text;
    struct json_value *v;
    if (cache_get(s->a, s->o->cache_dir, "image", id, &text) < 0 || json_parse(s->a, text, 0, &v, NULL) < 0)
        return -ENOENT;
    s->worker.kind = WORKER_ARCHIVE;
    int r = scan_image_read(s, v, NULL);
    for (s->at = 0; r >= 0 && s->at < s->diff_ids_n; s->at++)
        r = record_cached(s, s->diff_ids[s->at]);
    if (r < 0) {
        *s->inv = (struct inventory){0};
        s->records_n = s->diff_ids_n = s->packages_n = 0;
        s->has_image = false;
    }
    return r;
}

static void image_remember(struct scan *s)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "id", s->inv->image_id);
    json_w_kstr(&w, "digest", s->inv->digest);
    json_w_key(&w, "config");
    image_config_write(&w, &s->inv->config);
    scan_strings_write(&w, "history", s->history, s->history_n);
    issues_write(&w, "issues", s->issues, s->issues_n);
    json_w_karray(&w, "layers");
    for (size_t i = 0; i < s->inv->layers_n; i++) {
        json_w_object(&w);
        json_w_kstr(&w, "diff_id", s->inv->layers[i].diff_id);
        json_w_kstr(&w, "created_by", s->inv->layers[i].created_by);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    if (!b.full)
        cache_put(s->o->cache_dir, "image", s->inv->image_id, buf_str(&b));
}

/* Those of the files are there; those of the config come to them. */
static void findings(struct scan *s)
{
    struct inventory *inv = s->inv;
    const struct probe_setup *p = &s->o->probes;
    bool secrets = !(p->off & (1u << PROBE_secrets)), checks = !(p->off & (1u << PROBE_checks));
    struct finding *all = arena_array(s->a, inv->issues_n + s->issues_n, sizeof(*all));
    if (inv->issues_n)
        memcpy(all, inv->issues, inv->issues_n * sizeof(*all));
    if (secrets && s->issues_n) {
        memcpy(all + inv->issues_n, s->issues, s->issues_n * sizeof(*all));
        inv->issues_n += s->issues_n;
    }
    inv->issues = all;
    if (inv->issues_n > 1)
        qsort(all, inv->issues_n, sizeof(*all), issue_order);
    if (checks)
        check_image(s->a, inv, s->history, s->history_n, inv->scanned);
    bool malware = p->malware || p->clamd;
    inv->looked_for = arena_array(s->a, 4, sizeof(struct str));
    inv->looked_for[inv->looked_for_n++] = STR("packages");
    if (secrets)
        inv->looked_for[inv->looked_for_n++] = STR("secrets");
    if (malware)
        inv->looked_for[inv->looked_for_n++] = STR("malware");
    if (checks)
        inv->looked_for[inv->looked_for_n++] = STR("checks");
}

static int finish(struct scan *s, const struct target *t, struct err *e)
{
    struct inventory *inv = s->inv;
    for (size_t i = 0; i < s->records_n; i++)
        if (!s->have[i])
            return err_set(e, EBADMSG, "worker: layers are missing");
    if (scan_is_image(s) ? !s->has_image : s->records_n != 1)
        return err_set(e, EBADMSG, "worker: no answer");
    for (size_t i = 0; scan_is_image(s) && i < s->records_n; i++) {
        struct inventory_layer *l = &inv->layers[i];
        l->digest = s->records[i].digest;
        l->size = s->records[i].size;
        l->content_size = s->records[i].content_size;
        l->compression = s->records[i].compression;
        inv->layers_n = i + 1;
    }
    inv->target = t->text;
    inv->scanned = time_now();
    inv->scanner = STR(BULKHEAD_VERSION);
    merge_layers(s->a, s->records, s->records_n, inv);
    findings(s);
    if (scan_is_image(s))
        image_remember(s);
    return 0;
}

int scan_target(struct arena *a, const char *target, const struct scan_opts *o, struct inventory *ret, struct err *e)
{
    struct inventory inv = {0};
    struct scan s = {.a = a, .o = o, .answer = -1, .inv = &inv};
    struct target t;
    int r = target_parse(a, target, &t, e);
    if (r < 0)
        return r;
    if ((r = scan_open(&s, &t, e)) < 0 || (r = finish(&s, &t, e)) < 0)
        return err_wrap(e, "%s", target);
    *ret = inv;
    return 0;
}
