/* AccessPolicy: read and checked; its enforcement comes with the gate's user decisions. */
#include "base/cleanup.h"
#include "policy/policy_internal.h"

static const char *const operations[] = {
    "list",   "inspect", "logs",   "stats",   "top",      "events",  "changes", "create", "start",
    "stop",   "restart", "kill",   "pause",   "unpause",  "wait",    "rename",  "update", "remove",
    "attach", "exec",    "resize", "copy_in", "copy_out", "export",  "commit",  "images", "pull",
    "push",   "build",   "tag",    "prune",   "networks", "volumes", NULL,
};
static const char *const forbidden[] = {
    "privileged",         "host-mounts",        "host-namespaces",     "host-devices", "host-network",
    "added-capabilities", "unconfined-seccomp", "unconfined-apparmor", NULL,
};

static int read_members(struct reading *r, const struct yml *v, const char *where, const char *const *names)
{
    size_t i = 0;
    if (!v)
        return 0;
    if (v->kind != YML_LIST)
        return read_fail(r, v, "%s: expected a list", where);
    YML_EACH(v, it)
    {
        char at[40];
        int choice;
        snprintf(at, sizeof(at), "%s[%zu]", where, i++);
        int rc = read_choice(r, it, at, names, &choice);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int access_policy_read(struct reading *r, const struct yml *doc)
{
    static const char *const known[] = {"kind", "name", "subjects", "select", "allow", "exec", "deny", NULL};
    static const char *const who[] = {"groups", "users", NULL}, *const exec_keys[] = {"commands", "record", NULL};
    struct selector select = {0};
    struct strs list = {0};
    bool record;
    int rc = read_map(r, doc, "AccessPolicy", known);
    if (rc < 0)
        return rc;
    const struct yml *subjects = yml_get(doc, "subjects"), *exec = yml_get(doc, "exec");
    if (!subjects)
        return read_fail(r, doc, "subjects is missing: groups and users the policy is about");
    if ((rc = read_map(r, subjects, "subjects", who)) < 0)
        return rc;
    for (size_t i = 0; who[i]; i++)
        if (yml_get(subjects, who[i]) && (rc = read_strs(r, yml_get(subjects, who[i]), "subjects", &list)) < 0)
            return rc;
    if ((rc = read_selector(r, yml_get(doc, "select"), &select)) < 0 ||
        (rc = read_members(r, yml_get(doc, "allow"), "allow", operations)) < 0 ||
        (rc = read_members(r, yml_get(doc, "deny"), "deny", forbidden)) < 0)
        return rc;
    if (exec) {
        if ((rc = read_map(r, exec, "exec", exec_keys)) < 0)
            return rc;
        if (yml_get(exec, "commands") && (rc = read_strs(r, yml_get(exec, "commands"), "exec.commands", &list)) < 0)
            return rc;
        if (yml_get(exec, "record") && (rc = read_bool(r, yml_get(exec, "record"), "exec.record", &record)) < 0)
            return rc;
    }
    read_notice(r, "AccessPolicy: read and checked, but this version does not put it into force");
    return 0;
}
