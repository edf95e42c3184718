/* intel: the advisory database that agents and verdicts use. STATE/intel.db, verified with the public key of
 * STATE/intel.pub before it takes the place of the old one; nothing unsigned and nothing older is taken. */
#include "intel/changes.h"

#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"
#include "console/console.h"
#include "console/judge.h"

#include <fcntl.h>
#include <sys/stat.h>

static char *path_of(struct console *c, struct arena *a, const char *name)
{
    return arena_printf(a, STR_FMT "/%s", STR_ARG(c->o.state), name);
}

static struct str key_text(struct console *c, struct arena *a)
{
    struct str s = STR("");
    if (fs_exists(path_of(c, a, "intel.pub")))
        fs_read(a, path_of(c, a, "intel.pub"), 64u << 10, &s, NULL);
    return s;
}

/* What is in force is told by the settings, written together with the file's change. */
void intel_state(struct console *c, struct arena *a, struct intel_state *ret)
{
    struct db_rows q;
    struct db *db = store_read(c->store);
    *ret = (struct intel_state){.revision = STR(""), .key = key_text(c, a)};
    int r;
    for (r = db_query(db, &q, NULL, "SELECT name, value FROM setting WHERE name LIKE 'intel.%'", ""); r > 0;
         r = db_next(&q, NULL)) {
        struct str name = db_str(&q, 0);
        if (str_eqc(name, "intel.revision"))
            ret->revision = db_copy(a, &q, 1);
        else if (str_eqc(name, "intel.size"))
            str_i64(db_str(&q, 1), &ret->size);
        else if (str_eqc(name, "intel.built"))
            str_i64(db_str(&q, 1), &ret->built);
        else if (str_eqc(name, "intel.uploaded"))
            str_i64(db_str(&q, 1), &ret->uploaded);
    }
    store_done(c->store, db);
}

static int answer_state(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct intel_state s;
    struct reply rp;
    intel_state(console_of(rq), rq->a, &s);
    reply_init(&rp, 64u << 10);
    json_w_kbool(&rp.w, "present", s.revision.n);
    json_w_kstr(&rp.w, "revision", s.revision.n ? s.revision : STR_NONE);
    w_instant(&rp.w, "built", s.built);
    w_instant(&rp.w, "uploaded", s.uploaded);
    json_w_key(&rp.w, "size");
    if (s.revision.n)
        json_w_i64(&rp.w, s.size);
    else
        json_w_null(&rp.w);
    json_w_kstr(&rp.w, "key", s.key.n ? s.key : STR_NONE);
    return reply_send(&rp, rq, an, e);
}

int intel_get(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    return answer_state(rq, an, e);
}

int intel_copy_body(struct httpd_request *rq, const char *to, struct err *e)
{
    _cleanup_close_ int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, "%s", to);
    for (;;) {
        ssize_t n = copy_file_range(rq->body_fd, NULL, fd, NULL, 1u << 30, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            break;
        if (n < 0)
            return err_errno(e, "%s", to);
        if (!n)
            return fsync(fd) ? err_errno(e, "%s", to) : 0;
    }
    char block[65536];
    ssize_t n;
    int r;
    while ((n = read(rq->body_fd, block, sizeof(block))) > 0)
        if ((r = fs_write_all(fd, block, (size_t)n, e)) < 0)
            return r;
    return n < 0 || fsync(fd) ? err_errno(e, "%s", to) : 0;
}

static int set(struct db *db, const char *name, struct str value, struct err *e)
{
    return (int)db_run(db, e,
                       "INSERT INTO setting(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2",
                       "zs", name, value);
}

static int take(struct httpd_request *rq, const char *fresh, const char *path, struct intel *in, struct err *e)
{
    struct console *c = console_of(rq);
    struct db *db;
    int r = store_write(c->store, &db, e);
    if (r < 0)
        return r;
    if ((r = set(db, "intel.revision", intel_revision(in), e)) < 0 ||
        (r = set(db, "intel.size", arena_strf(rq->a, "%" PRIu64, rq->body_size), e)) < 0 ||
        (r = set(db, "intel.built", arena_strf(rq->a, "%" PRId64, intel_built(in)), e)) < 0 ||
        (r = set(db, "intel.uploaded", arena_strf(rq->a, "%" PRId64, time_now()), e)) < 0 ||
        (r = audit_add(db, rq, "intel.put", intel_revision(in), "ok", STR_NONE, e)) < 0)
        return store_abort(c->store, r);
    if (rename(fresh, path))
        return store_abort(c->store, err_errno(e, "%s", path));
    return store_commit(c->store, e);
}

int intel_put(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct intel_state now;
    char tag[ULID_TEXT];
    _cleanup_(intel_unrefp) struct intel *in = NULL;
    if (rq->body_fd < 0)
        return err_set(e, EINVAL, "the body must be an intel.db");
    intel_state(c, rq->a, &now);
    if (!now.key.n) {
        an->hint = "an administrator sets it: PUT /api/v1/intel/key";
        return refuse(an, 409, "no_key", e, "this console has no public key to verify intel with");
    }
    char *fresh = path_of(c, rq->a, arena_printf(rq->a, "intel.%s.new", ulid_make(time_now(), tag)));
    int r = intel_copy_body(rq, fresh, e);
    struct intel_changes changes = {0};
    bool compared = false;
    if (r >= 0 && (r = intel_open(fresh, path_of(c, rq->a, "intel.pub"), 0, &in, e)) >= 0) {
        _cleanup_(intel_unrefp) struct intel *old = NULL;
        if (now.revision.n)
            intel_open(path_of(c, rq->a, "intel.db"), path_of(c, rq->a, "intel.pub"), 0, &old, NULL);
        struct err stale = ERR_INIT;
        if (intel_supersedes(in, old, time_now(), &stale) < 0)
            r = refuse(an, 409, "older", e, "%s", stale.msg);
        else {
            compared = old && judge_changes(c, old, in, &changes, &stale) == 0;
            r = take(rq, fresh, path_of(c, rq->a, "intel.db"), in, e);
        }
    } else if (r == -EKEYREJECTED) {
        an->status = 422; /* not 401: it is not the caller who failed to prove something */
        an->code = "bad_signature";
    } else if (r == -EBADMSG) {
        an->code = "bad_intel";
    }
    if (r < 0) {
        struct err ignored = ERR_INIT;
        unlink(fresh);
        intel_changes_fini(&changes);
        audit_one(rq, "intel.put", STR(""), "failed", audit_detail(rq->a, "error", str_c(e->msg)), &ignored);
        return r;
    }
    if ((r = judge_intel(c, e)) < 0 || (r = config_refresh(c, e)) < 0)
        return r;
    if (compared)
        images_intel_changed(c, &changes, now.revision, intel_revision(in));
    else
        images_outdated(c);
    return answer_state(rq, an, e);
}

int intel_put_key(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    if (!str_has(rq->body, STR("-----BEGIN PUBLIC KEY-----")) || !str_has(rq->body, STR("-----END PUBLIC KEY-----")))
        return err_set(e, EINVAL, "expected an ed25519 public key in PEM");
    int r = audit_one(rq, "intel.key", STR(""), "ok", STR_NONE, e);
    if (r < 0 || (r = fs_write(path_of(c, rq->a, "intel.pub"), rq->body, 0644, e)) < 0 ||
        (r = config_refresh(c, e)) < 0)
        return r;
    return reply_ok(rq, an);
}

int agent_intel(struct httpd_request *rq, struct httpd_answer *an, struct err *e)
{
    struct console *c = console_of(rq);
    struct intel_state s;
    struct stat st;
    intel_state(c, rq->a, &s);
    if (!s.revision.n)
        return err_set(e, ENOENT, "this console has no intel yet");
    const char *tag = arena_printf(rq->a, "\"" STR_FMT "\"", STR_ARG(s.revision));
    httpd_answer_header(rq, an, "ETag", tag);
    if (str_eqc(httpd_header(rq, "If-None-Match"), tag)) {
        an->status = 304;
        return 0;
    }
    int fd = open(path_of(c, rq->a, "intel.db"), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        if (fd >= 0)
            close(fd);
        return err_errno(e, "intel.db");
    }
    an->fd = fd;
    an->fd_size = (uint64_t)st.st_size;
    an->type = "application/octet-stream";
    return 0;
}
