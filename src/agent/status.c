/* What is really in force, and why not more: STATE/status.json and the console (api/agent-protocol.md). */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#include <sys/utsname.h>

#define STATUS_MAX (8u << 20)

/* Controls whose state is told: those the kernel decides. */
static bool is_kernel_control(enum event_control c)
{
    return c >= CONTROL_drift && c < CONTROL_resources;
}

static void controls(struct agent *g, struct json_writer *w)
{
    json_w_karray(w, "controls");
    for (int i = 0; i < CONTROL_sensor; i++) {
        enum event_control c = (enum event_control)i;
        if (!is_kernel_control(c))
            continue;
        json_w_object(w);
        json_w_kstrz(w, "control", event_control_name(c));
        if (g->sensor) {
            enum event_level level = sensor_control_level(sensor_tier(g->sensor), c);
            json_w_kstrz(w, "level", event_level_name(level));
            json_w_kstr(w, "reason",
                        level == LEVEL_block  ? STR_NONE
                        : level == LEVEL_kill ? STR("the kernel carries no BPF LSM: the actor is killed, not refused")
                                              : STR("bulkhead-agent doctor tells why not more"));
        } else {
            json_w_kstrz(w, "level", "unavailable");
            json_w_kstrz(w, "reason", g->sensor_error);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

/* Level of one control for one container, and the reason when it is not what the host could do. */
static const char *level_here(struct agent *g, const struct container *c, enum event_control k, const char **why)
{
    struct bh_container seen;
    *why = NULL;
    if (!g->sensor || !c->force.put) {
        *why = g->sensor ? "its policy is not in the kernel" : "this host has no sensor";
        return "unavailable";
    }
    if (k == CONTROL_drift && c->running && sensor_container(g->sensor, c->s.id, &seen, NULL) == 0 && !seen.overlay) {
        *why = "its root is no overlay, so image and drift cannot be told apart";
        return "unavailable";
    }
    if (k == CONTROL_process_allow && c->force.no_profile)
        *why = "the policy has no list, and no stable profile was learned";
    if (c->force.action[k] != ACTION_block)
        return event_level_name(LEVEL_detect);
    if (c->force.mode != MODE_ENFORCE) {
        *why = c->force.mode == MODE_LEARN ? "the policy learns" : "the policy audits";
        return event_level_name(LEVEL_detect);
    }
    return event_level_name(sensor_control_level(sensor_tier(g->sensor), k));
}

static void container(struct agent *g, struct json_writer *w, struct container *c)
{
    static const char *const modes[] = {"learn", "audit", "enforce"};
    char t[TIME_TEXT];
    json_w_object(w);
    json_w_kstr(w, "id", c->s.id);
    json_w_kstr(w, "name", c->s.name.n ? c->s.name : STR_NONE);
    json_w_kstr(w, "image", c->s.image.n ? c->s.image : STR_NONE);
    json_w_kstr(w, "image_id", c->s.image_id.n ? c->s.image_id : STR_NONE);
    json_w_kstr(w, "image_digest", c->s.image_digest.n ? c->s.image_digest : STR_NONE);
    json_w_kstr(w, "engine", c->s.engine.n ? c->s.engine : STR_NONE);
    json_w_kstrz(w, "state", c->running ? "running" : "stopped");
    json_w_kstr(w, "started", c->started ? str_c(time_format(c->started, t)) : STR_NONE);
    json_w_key(w, "labels");
    if (c->s.labels)
        json_w_value(w, c->s.labels);
    else
        json_w_raw(w, STR("{}"));
    json_w_kobject(w, "policy");
    json_w_kstr(w, "name", c->force.policy);
    json_w_ki64(w, "revision", c->force.revision);
    json_w_kstrz(w, "mode", modes[c->force.mode]);
    json_w_kbool(w, "learned", c->force.learned);
    json_w_kstr(w, "error", c->force.error.n ? c->force.error : STR_NONE);
    json_w_karray(w, "notices");
    for (size_t i = 0; i < c->force.notices_n; i++)
        json_w_str(w, c->force.notices[i]);
    json_w_end(w);
    json_w_end(w);
    json_w_kobject(w, "controls");
    for (int i = 0; i < CONTROL_sensor; i++) {
        enum event_control k = (enum event_control)i;
        const char *why;
        if (!is_kernel_control(k) ||
            (c->force.action[k] == ACTION_off && !(k == CONTROL_process_allow && c->force.no_profile)))
            continue;
        json_w_kobject(w, event_control_name(k));
        json_w_kstrz(w, "action", event_action_name(c->force.action[k]));
        json_w_kstrz(w, "level", level_here(g, c, k, &why));
        json_w_kstr(w, "reason", str_c(why));
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
}

void status_write(struct agent *g, struct json_writer *w)
{
    struct utsname u;
    struct journal_stats js = journal_stats(g->journal);
    const struct uplink_info *up = g->uplink ? uplink_info(g->uplink) : NULL;
    char t[TIME_TEXT];
    uname(&u);
    json_w_object(w);
    json_w_kstrz(w, "version", BULKHEAD_VERSION);
    json_w_kstrz(w, "host", g->config.host);
    json_w_kstr(w, "machine_id", g->machine[0] ? str_c(g->machine) : STR_NONE);
    json_w_kstrz(w, "kernel", u.release);
    json_w_kstr(w, "tier", g->sensor ? str_c(sensor_tier_name(sensor_tier(g->sensor))) : STR_NONE);
    json_w_karray(w, "engines");
    for (size_t i = 0; i < g->engines_n; i++)
        if (g->engines[i].connected)
            json_w_str(w, str_c(g->engines[i].name));
    json_w_end(w);
    json_w_kstrz(w, "started", time_format(g->started, t));
    json_w_kstr(w, "config_revision", up && up->config_revision.n ? up->config_revision : STR_NONE);
    json_w_kstr(w, "policy_revision", g->policies ? policy_set_revision(g->policies) : STR_NONE);
    json_w_kstr(w, "policy_error",
                g->policy_error[0]         ? str_c(g->policy_error)
                : up && up->policy_error.n ? up->policy_error
                                           : STR_NONE);
    json_w_kstr(w, "intel_revision", g->intel_revision[0] ? str_c(g->intel_revision) : STR_NONE);
    controls(g, w);
    json_w_ki64(w, "seq", (int64_t)js.last);
    canary_status(g, w);
    json_w_kobject(w, "loss");
    json_w_ki64(w, "ring", (int64_t)(g->ring_lost[0] + g->ring_lost[1]));
    json_w_ki64(w, "spool", (int64_t)js.dropped);
    json_w_ki64(w, "events", (int64_t)js.dropped);
    json_w_end(w);
    json_w_ki64(w, "spool_bytes", (int64_t)js.spool_bytes);
    json_w_karray(w, "containers");
    for (struct container *c = NULL; (c = containers_next(g->containers, c));)
        if (!c->removed)
            container(g, w, c);
    json_w_end(w);
    json_w_end(w);
}

void status_save(struct agent *g)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(STATUS_MAX);
    struct json_writer w = JSON_WRITER(&b);
    struct err e = ERR_INIT;
    char path[4096];
    status_write(g, &w);
    if (b.full) {
        log_error("the status is larger than %u bytes", STATUS_MAX);
        return;
    }
    if (g->uplink)
        uplink_status(g->uplink, buf_str(&b));
    buf_putc(&b, '\n');
    snprintf(path, sizeof(path), "%s/status.json", g->config.state);
    if (fs_write(path, buf_str(&b), 0600, &e) < 0)
        log_error("%s", e.msg);
}
