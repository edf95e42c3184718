/* --intel FILE becomes STATE/intel.db when it verifies and is not older; its revision is noted for the gate. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "intel/intel.h"

#include <fcntl.h>

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

int advisories_install(struct agent *g, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    _cleanup_(intel_unrefp) struct intel *given = NULL, *there = NULL;
    const char *db = arena_printf(a, "%s/intel.db", g->config.state),
               *pub = arena_printf(a, "%s/intel.pub", g->config.state);
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
