/* `respond` of a ContainerPolicy: by severity, or by name of what was found. */
#include "base/limits.h"
#include "policy/policy_internal.h"

static const char *const responses[] = {"off", "alert", "throttle", "isolate", "freeze", "stop", "kill", NULL};

static int read_response(struct reading *r, const struct yml *v, const char *at, enum resource_action *ret)
{
    int choice, rc = read_choice(r, v, at, responses, &choice);
    if (rc == 0)
        *ret = choice ? (enum resource_action)(choice - 1) : RESOURCE_ALERT;
    return rc;
}

static int read_named(struct reading *r, const struct yml *v, struct policy_respond *p)
{
    int rc = 0;
    if (v->kind != YML_MAP)
        return read_fail(r, v, "respond.rules: expected a mapping of names to responses");
    if (v->count > LIMIT_POLICY_RESPOND)
        return read_fail(r, v, "respond.rules: more than %u", LIMIT_POLICY_RESPOND);
    struct respond_rule *rules = arena_array(r->a, v->count, sizeof(*rules));
    YML_EACH(v, it)
    {
        char at[120];
        snprintf(at, sizeof(at), "respond.rules." STR_FMT, STR_ARG(str_sub(it->key, 0, 80)));
        struct respond_rule *rule = &rules[p->rules_n];
        if (!it->key.n || it->key.n > LIMIT_POLICY_NAME)
            return read_fail(r, v, "respond.rules: a name has 1 to %u characters", LIMIT_POLICY_NAME);
        rule->name = it->key;
        if ((rc = read_response(r, it, at, &rule->action)) < 0)
            return rc;
        p->rules_n++;
    }
    p->rules = rules;
    return rc;
}

int policy_respond_read(struct reading *r, const struct yml *v, struct container_doc *p)
{
    static const char *const known[] = {"info", "low", "medium", "high", "critical", "rules", "evidence", NULL};
    static const char *const evidence[] = {"files", "memory", NULL};
    const struct yml *it;
    int rc = v ? read_map(r, v, "respond", known) : 0, choice;
    for (int i = 0; v && rc == 0 && i < POLICY_SEVERITIES; i++) {
        char at[40];
        snprintf(at, sizeof(at), "respond.%s", known[i]);
        if ((it = yml_get(v, known[i])))
            rc = read_response(r, it, at, &p->respond.severity[i]);
    }
    if (v && rc == 0 && (it = yml_get(v, "rules")))
        rc = read_named(r, it, &p->respond);
    if (v && rc == 0 && (it = yml_get(v, "evidence")) &&
        (rc = read_choice(r, it, "respond.evidence", evidence, &choice)) == 0)
        p->respond_memory = choice == 1;
    return rc;
}

static enum resource_action of_one(const struct policy_respond *p, int severity, struct str name)
{
    for (size_t i = 0; i < p->rules_n; i++)
        if (str_glob(p->rules[i].name, name, true))
            return p->rules[i].action;
    return severity >= 0 && severity < POLICY_SEVERITIES ? p->severity[severity] : RESOURCE_ALERT;
}

enum resource_action policy_respond(const struct policy_respond *v, size_t n, int severity, struct str name)
{
    enum resource_action strictest = RESOURCE_ALERT;
    for (size_t i = 0; i < n; i++) {
        enum resource_action x = of_one(&v[i], severity, name);
        strictest = x > strictest ? x : strictest;
    }
    return strictest;
}

struct policy_respond *policy_respond_copy(struct arena *a, const struct policy_respond *v, size_t n)
{
    struct policy_respond *ret = arena_array(a, n, sizeof(*ret));
    for (size_t i = 0; i < n; i++) {
        struct respond_rule *rules = arena_array(a, v[i].rules_n, sizeof(*rules));
        for (size_t k = 0; k < v[i].rules_n; k++)
            rules[k] = (struct respond_rule){arena_str(a, v[i].rules[k].name), v[i].rules[k].action};
        ret[i] = v[i];
        ret[i].rules = rules;
    }
    return ret;
}
