/* What comes from the console: state of the line, policies, intel. */
#include "agent/uplink_internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#define POLICY_DOCS_BYTES (64u << 20)

static int answer(struct uplink *u, int code, const char *story, struct err *e)
{
    ipc_begin(&u->down, IPC_result);
    ipc_put_u32(&u->down, (uint32_t)(code < 0 ? -code : 0));
    ipc_put_str(&u->down, code < 0 ? str_sub(str_c(story), 0, 1024) : STR(""));
    return ipc_send(&u->down, e);
}

static int on_state(struct uplink *u, struct ipc_message *m, struct err *e)
{
    uint32_t phase = ipc_get_u32(m);
    struct str story = ipc_get_str(m);
    int64_t ends = ipc_get_i64(m);
    uint32_t used = ipc_get_u32(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (phase > UPLINK_cloned)
        return err_set(e, EBADMSG, "unknown phase %u", phase);
    if (used && u->token_file) {
        if (unlink(u->token_file) < 0 && errno != ENOENT)
            log_warn("%s: the token was used; remove it: %s", u->token_file, strerror(errno));
        log_info("enrolled with the console; %s was used up and removed", u->token_file);
    }
    if (story.n && !str_eq(story, u->info.story))
        log_warn("uplink: " STR_FMT, STR_ARG(story));
    u->info.certificate_ends = ends;
    uplink_set_phase(u, (enum uplink_phase)phase, story);
    return 0;
}

static int on_policy_begin(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct str revision = ipc_get_str(m);
    uint32_t n = ipc_get_u32(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (n > LIMIT_POLICY_DOCS || revision.n >= sizeof(u->docs_config))
        return err_set(e, EBADMSG, "a set of %u policies", n);
    arena_free(TAKE(u->docs_arena));
    u->docs_arena = arena_new(POLICY_DOCS_BYTES + (4u << 20));
    u->docs = arena_array(u->docs_arena, n ? n : 1, sizeof(*u->docs));
    u->docs_want = n;
    u->docs_n = u->docs_bytes = 0;
    snprintf(u->docs_config, sizeof(u->docs_config), STR_FMT, STR_ARG(revision));
    return answer(u, 0, NULL, e);
}

static int on_policy_doc(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct str kind = ipc_get_str(m), name = ipc_get_str(m);
    int64_t revision = ipc_get_i64(m);
    struct str text = ipc_get_str(m);
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    u->docs_bytes += text.n + name.n + kind.n;
    if (!u->docs_arena || u->docs_n >= u->docs_want || u->docs_bytes > POLICY_DOCS_BYTES || text.n > LIMIT_POLICY_FILE)
        return err_set(e, EBADMSG, "more policies than announced, or too big");
    u->docs[u->docs_n++] = (struct policy_source){
        .origin = arena_strf(u->docs_arena, "console:" STR_FMT "/" STR_FMT, STR_ARG(str_sub(kind, 0, 64)),
                             STR_ARG(str_sub(name, 0, 256))),
        .text = arena_str(u->docs_arena, text),
        .revision = revision,
    };
    return 0;
}

static int on_policy_end(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct err why = ERR_INIT;
    char revision[65];
    int r = ipc_end(m, e);
    if (r < 0)
        return r;
    if (!u->docs_arena || u->docs_n != u->docs_want)
        return err_set(e, EBADMSG, "%zu of %zu policies came", u->docs_n, u->docs_want);
    int done = install_policy(u->state, u->docs, u->docs_n, revision, &why);
    uplink_set_text(u->policy_error, sizeof(u->policy_error), &u->info.policy_error,
                    done < 0 ? str_c(why.msg) : STR(""));
    if (done < 0)
        log_warn("the console's policies were refused, the last good set stays: %s", why.msg);
    else
        uplink_set_text(u->config_revision, sizeof(u->config_revision), &u->info.config_revision,
                        str_c(u->docs_config));
    if (done > 0 && u->on.policy)
        u->on.policy(u->on.ctx, str_c(revision));
    arena_free(TAKE(u->docs_arena));
    u->docs_n = u->docs_want = 0;
    uplink_changed(u);
    return answer(u, done, why.msg, e);
}

static void intel_outcome(struct uplink *u, int r, const char *why)
{
    if (r < 0)
        log_warn("the console's intel was refused, what is in place stays: %s", why);
    uplink_set_text(u->intel_error, sizeof(u->intel_error), &u->info.intel_error, r < 0 ? str_c(why) : STR(""));
}

static int on_intel(struct uplink *u, struct ipc_message *m, struct err *e)
{
    struct err why = ERR_INIT;
    int r, done;
    if (m->type == IPC_intel_data) {
        struct str bytes = ipc_get_raw(m);
        return install_intel_data(&u->intel, bytes, e);
    }
    if (m->type == IPC_intel_begin) {
        struct str revision = ipc_get_str(m);
        uint64_t size = ipc_get_u64(m);
        struct str key = ipc_get_str(m);
        if ((r = ipc_end(m, e)) < 0)
            return r;
        done = install_intel_begin(&u->intel, u->state, revision, size, u->intel_key_pinned ? STR("") : key, &why);
        if (done < 0)
            intel_outcome(u, done, why.msg);
        return answer(u, done == 0 ? -EEXIST : done, done == 0 ? "in place already" : why.msg, e);
    }
    char revision[65];
    if ((r = ipc_end(m, e)) < 0)
        return r;
    memcpy(revision, u->intel.revision, sizeof(revision));
    done = install_intel_end(&u->intel, &why);
    intel_outcome(u, done, why.msg);
    if (done == 0 && u->on.intel)
        u->on.intel(u->on.ctx, str_c(revision));
    uplink_changed(u);
    return answer(u, done, why.msg, e);
}

int uplink_on_down(struct uplink *u, struct ipc_message *m, struct err *e)
{
    int r;
    switch (m->type) {
    case IPC_state:
        return on_state(u, m, e);
    case IPC_policy_begin:
        return on_policy_begin(u, m, e);
    case IPC_policy_doc:
        return on_policy_doc(u, m, e);
    case IPC_policy_end:
        return on_policy_end(u, m, e);
    case IPC_intel_begin:
    case IPC_intel_data:
    case IPC_intel_end:
        return on_intel(u, m, e);
    case IPC_settings:
        u->info.heartbeat = ipc_get_u32(m);
        if ((r = ipc_end(m, e)) == 0)
            uplink_changed(u);
        return r;
    default:
        return err_set(e, EBADMSG, "%s on the wrong channel", ipc_name(m->type));
    }
}
