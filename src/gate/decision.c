#include "gate/decision.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/time.h"
#include "gate/attested.h"
#include "gate/subject.h"
#include "scan/assess.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define CLOCK_SKEW (5 * 60 * TIME_SECOND)
#define NAMES_MAX  512u

struct gate {
    char *state;
    pthread_mutex_t lock; /* guards what follows */
    struct policy_set *policies;
    uint64_t policies_mark; /* of the folder's content when `policies` was loaded */
    struct intel *intel;
    struct timespec intel_mtime;
};

struct gate *gate_open(const char *state)
{
    struct gate *g = calloc(1, sizeof(*g));
    if (!g || !(g->state = strdup(state)))
        abort();
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void gate_close(struct gate *g)
{
    if (!g)
        return;
    policy_set_unref(g->policies);
    intel_unref(g->intel);
    pthread_mutex_destroy(&g->lock);
    free(g->state);
    free(g);
}

void gate_closep(struct gate **g)
{
    gate_close(*g);
}

/* ---- policies: loaded again when a file of the folder came, went or changed ---- */

static bool is_policy_file(const char *name)
{
    struct str n = str_c(name);
    return n.n && name[0] != '.' && (str_ends(n, STR(".yaml")) || str_ends(n, STR(".yml")));
}

static int folder_mark(const char *path, uint64_t *ret, size_t *files, struct err *e)
{
    DIR *d = opendir(path);
    if (!d)
        return err_errno(e, "policies in %s", path);
    uint64_t mark = 1;
    *files = 0;
    for (struct dirent *it; (it = readdir(d));) {
        struct stat st;
        if (!is_policy_file(it->d_name) || fstatat(dirfd(d), it->d_name, &st, 0) < 0)
            continue;
        uint64_t part[] = {st.st_ino,
                           (uint64_t)st.st_size,
                           (uint64_t)st.st_mtim.tv_sec,
                           (uint64_t)st.st_mtim.tv_nsec,
                           (uint64_t)st.st_ctim.tv_sec,
                           (uint64_t)st.st_ctim.tv_nsec};
        mark += str_hash(str_n((const char *)part, sizeof(part))) ^ str_hash(str_c(it->d_name));
        ++*files;
    }
    closedir(d);
    *ret = mark;
    return 0;
}

static int policies_locked(struct gate *g, struct policy_set **ret, struct err *e)
{
    int r;
    uint64_t mark = 0;
    size_t files = 0;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/policy", g->state) < 0)
        abort();
    if ((r = folder_mark(path, &mark, &files, e)) < 0)
        return r;
    if (!g->policies || mark != g->policies_mark) {
        struct policy_set *set = NULL;
        const char *paths[] = {path};
        r = files ? policy_set_load(paths, 1, &set, e) : policy_set_parse(NULL, 0, &set, e);
        if (r < 0)
            return r;
        policy_set_unref(g->policies);
        g->policies = set;
        g->policies_mark = mark;
    }
    *ret = policy_set_ref(g->policies);
    return 0;
}

int gate_policies(struct gate *g, struct policy_set **ret, struct err *e)
{
    pthread_mutex_lock(&g->lock);
    int r = policies_locked(g, ret, e);
    pthread_mutex_unlock(&g->lock);
    return r;
}

static bool has_image_policy(const struct policy_set *set)
{
    const struct policy_doc *docs;
    size_t n = policy_set_docs(set, &docs);
    for (size_t i = 0; i < n; i++)
        if (docs[i].kind == POLICY_IMAGE)
            return true;
    return false;
}

bool gate_governs_images(struct gate *g)
{
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    return gate_policies(g, &set, NULL) < 0 || has_image_policy(set);
}

/* ---- intel ---- */

int gate_revisions_write(const char *state, struct str intel, struct err *e)
{
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/revisions.json", state) < 0)
        abort();
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "intel", intel.n ? intel : STR(""));
    json_w_end(&w);
    int r = buf_check(&b, e);
    return r < 0 ? r : fs_write(path, buf_str(&b), 0600, e);
}

/* Open once, again when the file was replaced. *ret NULL: this host has no intel. */
static int intel_current(struct gate *g, struct intel **ret, struct err *e)
{
    int r = 0;
    struct stat st;
    _cleanup_free_ char *db = NULL, *key = NULL;
    if (asprintf(&db, "%s/intel.db", g->state) < 0 || asprintf(&key, "%s/intel.pub", g->state) < 0)
        abort();
    *ret = NULL;
    if (stat(db, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(e, "%s", db);
    pthread_mutex_lock(&g->lock);
    if (!g->intel || st.st_mtim.tv_sec != g->intel_mtime.tv_sec || st.st_mtim.tv_nsec != g->intel_mtime.tv_nsec) {
        struct intel *i = NULL;
        if ((r = intel_open(db, key, 0, &i, e)) == 0) {
            intel_unref(g->intel);
            g->intel = i;
            g->intel_mtime = st.st_mtim;
        }
    }
    if (r == 0)
        *ret = intel_ref(g->intel);
    pthread_mutex_unlock(&g->lock);
    return r;
}

/* The revision in force, without opening the database if the agent noted it. Empty: none, then any is taken. */
static int intel_revision_current(struct gate *g, struct arena *a, struct str *ret, struct err *e)
{
    int r;
    struct str text;
    struct json_value *v;
    if (fs_read(a, arena_printf(a, "%s/revisions.json", g->state), 4096, &text, NULL) == 0 &&
        json_parse(a, text, 0, &v, NULL) == 0 && json_str(json_get(v, "intel")).p) {
        *ret = json_str(json_get(v, "intel"));
        return 0;
    }
    _cleanup_(intel_unrefp) struct intel *i = NULL;
    if ((r = intel_current(g, &i, e)) < 0)
        return r;
    *ret = i ? arena_str(a, intel_revision(i)) : STR("");
    return 0;
}

/* ---- names ---- */

static bool has_name(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static ssize_t read_some(void *ctx, void *p, size_t n, struct err *e)
{
    ssize_t got = read(*(int *)ctx, p, n);
    return got < 0 ? err_errno(e, "inventory") : got;
}

/* The names in a stored report, read without the layers and packages behind them. */
static int stored_names(struct arena *a, const char *path, struct str *names, size_t *n, struct err *e)
{
    int t;
    struct json_value *list;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", path);
    _cleanup_(json_closep) struct json *j = json_open(read_some, &fd, 0);
    if ((t = json_next(j, e)) < 0)
        return t;
    while ((t = json_next(j, e)) == JSON_KEY) {
        if (!str_eqc(json_text(j), "names")) {
            if ((t = json_skip(j, e)) < 0)
                return t;
            continue;
        }
        if ((t = json_value_read(j, a, &list, e)) < 0)
            return t;
        JSON_EACH (list, it)
            if (*n < NAMES_MAX && !has_name(names, *n, json_str(it)))
                names[(*n)++] = json_str(it);
        return 0;
    }
    return t < 0 ? t : 0;
}

/* ---- the decision ---- */

struct deciding {
    struct gate *g;
    struct arena *a;
    const struct gate_question *q;
    struct gate_decision *d;
    struct policy_set *set;
    struct str hex;    /* of the image id */
    struct str *names; /* of the question, or the id when there are none */
    size_t names_n;
};

static struct str short_id(struct str image_id)
{
    return str_sub(image_id, 0, strlen("sha256:") + 12);
}

static struct str subject_text(const struct deciding *k)
{
    const struct gate_question *q = k->q;
    if (q->image.n && !str_eq(q->image, q->image_id))
        return arena_strf(k->a, "image " STR_FMT " (" STR_FMT ")", STR_ARG(q->image), STR_ARG(short_id(q->image_id)));
    return arena_strf(k->a, "image " STR_FMT, STR_ARG(short_id(q->image_id)));
}

static void fault(const struct deciding *k, const struct err *why)
{
    k->d->answer = GATE_DENY;
    k->d->text =
        arena_strf(k->a, STR_FMT " is refused because it could not be judged: %s", STR_ARG(subject_text(k)), why->msg);
}

static void join_policies(const struct deciding *k, const struct verdict *v)
{
    struct str seen[16];
    size_t n = 0;
    for (size_t i = 0; i < v->reasons_n && n < ARRAY_LEN(seen); i++)
        if (v->reasons[i].deny != v->allow && !has_name(seen, n, v->reasons[i].policy)) {
            seen[n++] = v->reasons[i].policy;
            k->d->policy = k->d->policy.n ? arena_strf(k->a, STR_FMT "+" STR_FMT, STR_ARG(k->d->policy),
                                                       STR_ARG(v->reasons[i].policy))
                                          : arena_str(k->a, v->reasons[i].policy);
        }
}

/* The verdict's answer in words: which rules, how many more, what to do. */
static void answer_by(const struct deciding *k, const struct verdict *v)
{
    struct gate_decision *d = k->d;
    const struct reason *first = NULL;
    size_t denies = 0;
    d->verdict = v;
    d->governed = true;
    d->answer = v->allow ? GATE_ALLOW : GATE_DENY;
    join_policies(k, v);
    struct str what = subject_text(k);
    if (v->allow) {
        d->text = arena_strf(k->a, STR_FMT " is allowed", STR_ARG(what));
        return;
    }
    for (size_t i = 0; i < v->reasons_n; i++)
        if (v->reasons[i].deny) {
            first = first ? first : &v->reasons[i];
            denies++;
        }
    if (!first) {
        d->text = arena_strf(k->a, STR_FMT " is denied by its verdict", STR_ARG(what));
        return;
    }
    struct buf b = BUF_INIT(4096);
    buf_printf(&b, STR_FMT " is denied by image policy \"" STR_FMT "\", rule \"" STR_FMT "\": " STR_FMT, STR_ARG(what),
               STR_ARG(first->policy), STR_ARG(first->rule), STR_ARG(str_sub(first->text, 0, 600)));
    if (denies > 1)
        buf_printf(&b, " (and %zu more)", denies - 1);
    buf_printf(&b, ". All reasons: bulkhead get verdicts " STR_FMT, STR_ARG(k->q->image_id));
    if (first->finding.n)
        buf_printf(
            &b,
            ". To lift it: fix the image, or let an owner of the policy add {finding: " STR_FMT
            ", reason: ..., owner: ..., expires: DATE} to its exceptions (bulkhead get policies ImagePolicy/" STR_FMT
            ", then bulkhead apply -f)",
            STR_ARG(first->finding), STR_ARG(first->policy));
    else
        buf_printf(&b,
                   ". To lift it: fix the image, or let an owner change the policy (bulkhead get policies "
                   "ImagePolicy/" STR_FMT ", then bulkhead apply -f)",
                   STR_ARG(first->policy));
    d->text = arena_str(k->a, buf_str(&b));
    buf_fini(&b);
}

static int stored_verdict(const struct deciding *k, struct verdict *ret, struct err *e)
{
    int r;
    struct str text;
    struct json_value *v;
    char *path = arena_printf(k->a, "%s/verdicts/" STR_FMT ".json", k->g->state, STR_ARG(k->hex));
    if ((r = fs_read(k->a, path, LIMIT_VERDICT, &text, e)) < 0)
        return r;
    if ((r = json_parse(k->a, text, 0, &v, e)) < 0 || (r = verdict_read(k->a, v, ret, e)) < 0) {
        err_wrap(e, "%s", path);
        return r;
    }
    return str_eq(ret->image_id, k->q->image_id) ? 0 : err_set(e, EBADMSG, "%s is about another image", path);
}

/* 1: current, 0: not, <0: cannot be told. */
static int is_current(const struct deciding *k, const struct verdict *v, struct err *e)
{
    struct str intel;
    int64_t now = k->q->now;
    if (!str_eq(v->policy_revision, policy_set_revision(k->set)) || v->valid_until <= now ||
        v->evaluated > now + CLOCK_SKEW)
        return 0;
    int r = intel_revision_current(k->g, k->a, &intel, e);
    return r < 0 ? r : !intel.n || str_eq(v->intel_revision, intel);
}

/* Was an allow verdict made with all the names the image has now? Another name may be selected by another policy. */
static bool names_covered(const struct deciding *k)
{
    struct str *known = arena_array(k->a, NAMES_MAX, sizeof(*known));
    size_t n = 0;
    char *path = arena_printf(k->a, "%s/inventories/" STR_FMT ".json", k->g->state, STR_ARG(k->hex));
    if (stored_names(k->a, path, known, &n, NULL) < 0)
        return false;
    for (size_t i = 0; i < k->names_n; i++)
        if (!has_name(known, n, k->names[i]))
            return false;
    return true;
}

static void store_verdict(const struct deciding *k, const struct verdict *v)
{
    struct buf b = BUF_INIT(LIMIT_VERDICT);
    struct json_writer w = JSON_WRITER(&b);
    verdict_write(&w, v);
    /* A cache for the next question only: not being able to write it changes nothing. */
    if (buf_check(&b, NULL) == 0 && fs_mkdirs(arena_printf(k->a, "%s/verdicts", k->g->state), 0700, NULL) == 0)
        fs_write(arena_printf(k->a, "%s/verdicts/" STR_FMT ".json", k->g->state, STR_ARG(k->hex)), buf_str(&b), 0600,
                 NULL);
    buf_fini(&b);
}

/* -ENOENT: there is no inventory. */
static int evaluate(const struct deciding *k, struct err *e)
{
    int r;
    struct inventory inv = {0};
    const struct gate_question *q = k->q;
    char *path = arena_printf(k->a, "%s/inventories/" STR_FMT ".json", k->g->state, STR_ARG(k->hex));
    if (!fs_exists(path))
        return -ENOENT;
    if ((r = inventory_load(k->a, path, &inv, e)) < 0)
        return r == -ENOENT ? err_set(e, EIO, "%s went away", path) : r;
    if (!str_eq(inv.image_id, q->image_id))
        return err_set(e, EBADMSG, "%s is about another image", path);
    _cleanup_(intel_unrefp) struct intel *intel = NULL;
    if ((r = intel_current(k->g, &intel, e)) < 0)
        return r == -ENOENT ? err_set(e, EIO, "intel.db: its key is missing") : r;
    struct str *names = arena_array(k->a, inv.names_n + k->names_n, sizeof(*names));
    size_t n = 0;
    for (size_t i = 0; i < inv.names_n; i++)
        names[n++] = inv.names[i];
    for (size_t i = 0; i < k->names_n; i++)
        if (!has_name(names, n, k->names[i]))
            names[n++] = k->names[i];
    struct assess_input in = {
        .inventory = &inv,
        .intel = intel,
        .policy = k->set,
        .now = q->now,
        .names = names,
        .names_n = n,
        .running = q->running,
        .running_since = q->running_since ? q->running_since : q->now,
    };
    struct assessment *as = arena_new_of(k->a, struct assessment);
    if ((r = assess(k->a, &in, as, e)) < 0)
        return r == -ENOENT ? err_set(e, EIO, "evaluation failed") : r;
    k->d->evaluated = true;
    /* With names the inventory lacks the verdict is about this use of the image only. */
    if (n == inv.names_n)
        store_verdict(k, &as->verdict);
    answer_by(k, &as->verdict);
    return 0;
}

static void unscanned(const struct deciding *k, enum unscanned how)
{
    struct gate_decision *d = k->d;
    d->answer = how == UNSCANNED_SCAN ? GATE_SCAN : GATE_DENY;
    if (how == UNSCANNED_SCAN)
        d->text = arena_strf(k->a,
                             STR_FMT " has not been scanned yet. The agent scans it as soon as it is created or "
                                     "pulled; see bulkhead get images",
                             STR_ARG(subject_text(k)));
    else
        d->text = arena_strf(k->a,
                             STR_FMT " has not been scanned, and policy does not let unscanned images run "
                                     "(unscanned: deny). Scan it: bulkhead scan docker:" STR_FMT " --console URL",
                             STR_ARG(subject_text(k)), STR_ARG(k->q->image.n ? k->q->image : k->q->image_id));
}

static void decide(struct deciding *k)
{
    int r;
    struct err why = ERR_INIT;
    struct gate_decision *d = k->d;
    struct verdict *v = arena_new_of(k->a, struct verdict);
    struct str by;
    bool governed = true;
    enum unscanned how = policy_unscanned(k->set, k->names, k->names_n, &governed);
    d->governed = governed;

    r = stored_verdict(k, v, &why);
    if (r == 0 && (r = is_current(k, v, &why)) == 1 && (!v->allow || !governed || names_covered(k))) {
        answer_by(k, v);
        d->governed = governed || !v->allow;
        return;
    }
    if (r < 0 && r != -ENOENT && governed) {
        /* A damaged verdict or unusable intel: the inventory may still tell. */
        why = ERR_INIT;
    }
    if (!governed) {
        d->answer = GATE_ALLOW;
        d->text = arena_strf(k->a, STR_FMT " is not selected by any image policy", STR_ARG(subject_text(k)));
        return;
    }
    r = evaluate(k, &why);
    if (r == -ENOENT && (r = attested_verdict(k->a, k->g->state, k->set, k->q, k->names, k->names_n, v, &by)) == 0) {
        answer_by(k, v);
        d->text = arena_strf(k->a, STR_FMT " (attested by " STR_FMT ")", STR_ARG(d->text), STR_ARG(by));
    } else if (r == -ENOENT)
        unscanned(k, how);
    else if (r < 0)
        fault(k, &why);
}

void gate_decide(struct gate *g, struct arena *a, const struct gate_question *q, struct gate_decision *ret)
{
    struct err why = ERR_INIT;
    struct gate_decision d = {.answer = GATE_DENY, .governed = true};
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    struct deciding k = {.g = g, .a = a, .q = q, .d = &d};
    if (gate_policies(g, &set, &why) < 0) {
        d.text = arena_strf(a, "policies cannot be loaded, so nothing may start: %s", why.msg);
    } else if (!has_image_policy(set)) {
        d = (struct gate_decision){.answer = GATE_ALLOW, .text = STR("no image policy is in force")};
    } else if (!q->image_id.n) {
        d.text = STR("a container without an image cannot be judged, and image policies are in force");
    } else if (!image_id_valid(q->image_id)) {
        d.text = arena_strf(a, "\"" STR_FMT "\" is no image id", STR_ARG(str_sub(q->image_id, 0, 80)));
    } else {
        k.set = set;
        k.hex = str_sub(q->image_id, strlen("sha256:"), q->image_id.n);
        k.names = arena_array(a, q->names_n + 1, sizeof(struct str));
        for (size_t i = 0; i < q->names_n && k.names_n < NAMES_MAX; i++)
            if (q->names[i].n && !has_name(k.names, k.names_n, q->names[i]))
                k.names[k.names_n++] = q->names[i];
        if (!k.names_n)
            k.names[k.names_n++] = q->image_id;
        decide(&k);
    }
    *ret = d;
}
