#include "agent/install.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "intel/intel.h"

#include <dirent.h>
#include <fcntl.h>

#define INTEL_MAX  (UINT64_C(8) << 30)
#define POLICY_MAX LIMIT_POLICY_FILE /* of the one file, so of all documents together */
#define ONE_FILE   "console.yaml"

/* ---- policy ---- */

/* What was there before the first delivery (local files) is replaced by it: the console's set is the whole set. */
static void remove_others(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *de; (de = readdir(d));) {
        struct str name = str_c(de->d_name);
        if ((str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml"))) && !str_eqc(name, ONE_FILE))
            unlinkat(dirfd(d), de->d_name, 0);
    }
    closedir(d);
}

int install_policy(const char *state, const struct policy_source *docs, size_t n, char revision[static 65],
                   struct err *e)
{
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(2 * POLICY_MAX);
    _cleanup_(buf_fini) struct buf text = BUF_INIT(POLICY_MAX);
    int r = policy_set_parse(docs, n, &set, e);
    if (r < 0)
        return r;
    struct str rev = policy_set_revision(set);
    if (rev.n != 64)
        return err_set(e, EBADMSG, "a policy set without a revision");
    buf_putz(&text, "# The policy set of the console. Replaced whole at each delivery: changes made here are lost.\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, "---\n# revision: %" PRIi64 "\n", docs[i].revision);
        buf_puts(&text, docs[i].text);
        if (docs[i].text.n && docs[i].text.p[docs[i].text.n - 1] != '\n')
            buf_putc(&text, '\n');
    }
    if ((r = buf_check(&text, e)) < 0)
        return r;

    const char *dir = arena_printf(a, "%s/policy", state), *file = arena_printf(a, "%s/" ONE_FILE, dir);
    struct str old;
    if ((r = fs_mkdirs(dir, 0700, e)) < 0)
        return r;
    memcpy(revision, rev.p, 64);
    revision[64] = 0;
    if (fs_read(a, file, POLICY_MAX, &old, NULL) == 0 && str_eq(old, buf_str(&text)))
        return 0;
    if ((r = fs_write(file, buf_str(&text), 0600, e)) < 0)
        return r;
    remove_others(dir);
    return 1;
}

/* ---- intel ---- */

static char *in_state(struct arena *a, const struct install_intel *x, const char *name)
{
    return arena_printf(a, "%s/%s", x->state, name);
}

void install_intel_fini(struct install_intel *x)
{
    if (x->fd >= 0) {
        _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
        close(x->fd);
        unlink(in_state(a, x, "intel.db.part"));
        unlink(in_state(a, x, "intel.pub.part"));
    }
    free(x->state);
    free(x->key);
    *x = INSTALL_INTEL_INIT;
}

int install_intel_begin(struct install_intel *x, const char *state, struct str revision, uint64_t size, struct str key,
                        struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    _cleanup_(intel_unrefp) struct intel *old = NULL;
    install_intel_fini(x);
    if (revision.n != 64)
        return err_set(e, EINVAL, "not an intel revision");
    if (size == 0 || size > INTEL_MAX)
        return err_set(e, E2BIG, "an intel database of %" PRIu64 " bytes", size);
    if (key.n > 4096)
        return err_set(e, EINVAL, "not a public key");
    x->state = strdup(state);
    if (intel_open(in_state(a, x, "intel.db"), in_state(a, x, "intel.pub"), 0, &old, NULL) == 0 &&
        str_eq(intel_revision(old), revision)) {
        install_intel_fini(x);
        return 0;
    }
    x->fd = open(in_state(a, x, "intel.db.part"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (x->fd < 0) {
        int r = err_errno(e, "%s", in_state(a, x, "intel.db.part"));
        install_intel_fini(x);
        return r;
    }
    x->key = key.n ? strndup(key.p, key.n) : NULL;
    x->size = size;
    memcpy(x->revision, revision.p, 64);
    return 1;
}

int install_intel_data(struct install_intel *x, struct str bytes, struct err *e)
{
    if (x->fd < 0)
        return err_set(e, EBADMSG, "intel data without a beginning");
    if (bytes.n > x->size - x->got)
        return err_set(e, EBADMSG, "more intel data than announced");
    x->got += bytes.n;
    return fs_write_all(x->fd, bytes.p, bytes.n, e);
}

static int verify(struct arena *a, struct install_intel *x, struct err *e)
{
    _cleanup_(intel_unrefp) struct intel *fresh = NULL;
    _cleanup_(intel_unrefp) struct intel *old = NULL;
    const char *part = in_state(a, x, "intel.db.part"), *key = in_state(a, x, "intel.pub");
    int r;
    if (x->got != x->size)
        return err_set(e, EBADMSG, "%" PRIu64 " of %" PRIu64 " bytes came", x->got, x->size);
    if (fsync(x->fd) < 0)
        return err_errno(e, "%s", part);
    if (x->key) {
        key = in_state(a, x, "intel.pub.part");
        if ((r = fs_write(key, str_c(x->key), 0644, e)) < 0)
            return r;
    }
    if ((r = intel_open(part, key, 0, &fresh, e)) < 0)
        return r;
    if (!str_eq(intel_revision(fresh), str_c(x->revision)))
        return err_set(e, EBADMSG, "this is revision " STR_FMT, STR_ARG(intel_revision(fresh)));
    intel_open(in_state(a, x, "intel.db"), in_state(a, x, "intel.pub"), 0, &old, NULL);
    return intel_supersedes(fresh, old, time_now(), e);
}

int install_intel_end(struct install_intel *x, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(256 << 10);
    if (x->fd < 0)
        return err_set(e, EBADMSG, "the end of intel data without a beginning");
    int r = verify(a, x, e);
    /* The key first: between the two renames nothing verifies, which the gate treats as no intel. */
    if (r == 0 && x->key && rename(in_state(a, x, "intel.pub.part"), in_state(a, x, "intel.pub")) < 0)
        r = err_errno(e, "intel.pub");
    if (r == 0 && rename(in_state(a, x, "intel.db.part"), in_state(a, x, "intel.db")) < 0)
        r = err_errno(e, "intel.db");
    if (r < 0)
        err_wrap(e, "intel");
    install_intel_fini(x);
    return r;
}
