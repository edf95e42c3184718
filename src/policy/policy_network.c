/* Sections network, isolation and resources of a ContainerPolicy: reading, and what several policies add up to. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "policy/network.h"
#include "policy/policy_internal.h"

#include <stdio.h>

#define X(name, unit) #name,
static const char *const resources[] = {POLICY_RESOURCES(X) NULL};
#undef X
#define X(name, unit) unit,
static const char *const units[] = {POLICY_RESOURCES(X)};
#undef X
static const char *const resource_actions[] = {"alert", "throttle", "isolate", "freeze", "stop", "kill", NULL};

const char *resource_name(enum resource r)
{
    return resources[r];
}

const char *resource_action_name(enum resource_action a)
{
    return resource_actions[a];
}

static int read_network_list(struct reading *r, const struct yml *v, const char *where, struct strs *ret)
{
    int rc = v ? read_strs(r, v, where, ret) : 0;
    const struct yml *it = v ? v->first : NULL;
    if (rc == 0 && ret->n > LIMIT_POLICY_NETWORK)
        return read_fail(r, v, "%s: more than %u elements", where, LIMIT_POLICY_NETWORK);
    for (size_t i = 0; rc == 0 && i < ret->n; i++, it = it->next) {
        struct network_element n;
        if (network_element_parse(ret->v[i], &n) < 0)
            rc = read_fail(
                r, it,
                "%s[%zu]: expected CIDR[:PORT[-PORT]][/PROTO], dns:NAME[:PORT] or peer:CONTAINER[:PORT], found "
                "\"" STR_FMT "\"",
                where, i, STR_ARG(str_sub(ret->v[i], 0, 80)));
        else if (n.kind == NETWORK_DNS && n.name.n > LIMIT_POLICY_NAME)
            rc = read_fail(r, it, "%s[%zu]: longer than the %u bytes of a name that the kernel compares", where, i,
                           LIMIT_POLICY_NAME);
    }
    return rc;
}

static int read_side(struct reading *r, const struct yml *network, const char *name, struct side_doc *side)
{
    static const char *const keys[] = {"default", "allow", "deny", NULL}, *const verdicts[] = {"allow", "deny", NULL};
    const struct yml *v = yml_get(network, name);
    char at[40];
    int rc, choice;
    if (!v)
        return 0;
    side->given = true;
    snprintf(at, sizeof(at), "network.%s", name);
    if ((rc = read_map(r, v, at, keys)) < 0)
        return rc;
    side->deny_default = yml_get(v, "allow") != NULL;
    snprintf(at, sizeof(at), "network.%s.default", name);
    if (yml_get(v, "default")) {
        if ((rc = read_choice(r, yml_get(v, "default"), at, verdicts, &choice)) < 0)
            return rc;
        side->deny_default = choice == 1;
    }
    snprintf(at, sizeof(at), "network.%s.allow", name);
    if ((rc = read_network_list(r, yml_get(v, "allow"), at, &side->allow)) < 0)
        return rc;
    snprintf(at, sizeof(at), "network.%s.deny", name);
    return read_network_list(r, yml_get(v, "deny"), at, &side->deny);
}

/* The limit itself: percent, size or number, by kind. */
static bool limit_value(enum resource kind, struct str s, struct resource_limit *l)
{
    if (str_eqc(s, "learned")) {
        l->learned = true;
        return true;
    }
    if ((kind == RESOURCE_cpu || kind == RESOURCE_memory) && str_ends(s, STR("%"))) {
        l->percent = true;
        return str_u64(str_sub(s, 0, s.n - 1), &l->limit) == 0;
    }
    if (kind == RESOURCE_processes || kind == RESOURCE_descriptors)
        return str_u64(s, &l->limit) == 0;
    return kind != RESOURCE_cpu && str_size(s, &l->limit) == 0;
}

static int read_resources(struct reading *r, const struct yml *v, struct container_doc *p)
{
    static const char *const keys[] = {"limit", "for", "action", NULL};
    int rc = read_map(r, v, "resources", resources);
    for (int i = 0; rc == 0 && i < RESOURCES; i++) {
        const struct yml *one = yml_get(v, resources[i]);
        struct resource_limit *l = &p->limits[i];
        char at[40];
        struct str limit;
        int action = RESOURCE_ALERT;
        if (!one)
            continue;
        snprintf(at, sizeof(at), "resources.%s", resources[i]);
        if ((rc = read_map(r, one, at, keys)) < 0)
            break;
        read_notice(r, "%s: read and checked, but this version does not put it into force", at);
        if (!yml_get(one, "limit"))
            return read_fail(r, one, "%s.limit is missing", at);
        snprintf(at, sizeof(at), "resources.%s.limit", resources[i]);
        l->given = true;
        rc = read_text(r, yml_get(one, "limit"), at, &limit);
        if (rc == 0 && !limit_value((enum resource)i, limit, l))
            rc = read_fail(r, yml_get(one, "limit"), "%s: expected %s, or learned", at, units[i]);
        snprintf(at, sizeof(at), "resources.%s.for", resources[i]);
        if (rc == 0 && yml_get(one, "for"))
            rc = read_duration(r, yml_get(one, "for"), at, &l->duration);
        snprintf(at, sizeof(at), "resources.%s.action", resources[i]);
        if (rc == 0 && yml_get(one, "action"))
            rc = read_choice(r, yml_get(one, "action"), at, resource_actions, &action);
        l->action = (enum resource_action)action;
        if (rc == 0 && l->action == RESOURCE_THROTTLE && (i == RESOURCE_memory || i == RESOURCE_descriptors))
            rc = read_fail(r, yml_get(one, "action"), "%s: there is no throttle for %s; choose freeze, stop or kill",
                           at, resources[i]);
    }
    return rc;
}

int policy_network_read(struct reading *r, const struct yml *doc, struct container_doc *p)
{
    static const char *const network[] = {"egress", "ingress", "raw",     "metadata", "known_bad",
                                          "shells", "scans",   "tunnels", "mining",   NULL};
    static const char *const isolation[] = {"signals", "ptrace", "memory", "sockets", "allow", NULL};
    const struct yml *n = yml_get(doc, "network"), *i = yml_get(doc, "isolation"), *s = yml_get(doc, "resources");
    int rc = 0;
    if (n && ((rc = read_map(r, n, "network", network)) < 0 || (rc = read_side(r, n, "egress", &p->egress)) < 0 ||
              (rc = read_side(r, n, "ingress", &p->ingress)) < 0))
        return rc;
    if (i && (rc = read_map(r, i, "isolation", isolation)) == 0 && yml_get(i, "allow"))
        rc = read_strs(r, yml_get(i, "allow"), "isolation.allow", &p->isolation_allow);
    if (rc == 0 && s)
        rc = read_resources(r, s, p);
    return rc;
}

/* ---- several policies ---- */

static bool covered(struct str element, const struct strs *by)
{
    struct network_element e, b;
    if (network_element_parse(element, &e) < 0)
        return false;
    for (size_t i = 0; i < by->n; i++)
        if (network_element_parse(by->v[i], &b) == 0 && network_element_covers(&b, &e))
            return true;
    return false;
}

/* Denies add. What is allowed is what all of those that deny by default allow; by element, so of two that only overlap
 * nothing is left: stricter, never laxer. */
static void add_side(struct arena *a, struct side_doc *sum, const struct side_doc *d)
{
    if (!d->given)
        return;
    sum->given = true;
    for (size_t i = 0; i < d->deny.n; i++)
        strs_add(a, &sum->deny, d->deny.v[i]);
    if (!d->deny_default)
        return;
    struct strs both = {.given = true};
    for (size_t i = 0; i < d->allow.n; i++)
        if (!sum->deny_default || covered(d->allow.v[i], &sum->allow))
            strs_add(a, &both, d->allow.v[i]);
    for (size_t i = 0; sum->deny_default && i < sum->allow.n; i++)
        if (covered(sum->allow.v[i], &d->allow) && !covered(sum->allow.v[i], &both))
            strs_add(a, &both, sum->allow.v[i]);
    sum->allow = both;
    sum->deny_default = true;
}

/* The stricter of two limits: one in numbers before one that is learned, the lower number, the sooner, the harder. */
static void add_limit(struct resource_limit *sum, const struct resource_limit *d)
{
    if (!d->given)
        return;
    if (!sum->given) {
        *sum = *d;
        return;
    }
    bool lower =
        sum->learned ? !d->learned : !d->learned && (d->percent == sum->percent ? d->limit < sum->limit : d->percent);
    if (lower) {
        sum->limit = d->limit;
        sum->percent = d->percent;
        sum->learned = false;
    }
    if (d->duration < sum->duration)
        sum->duration = d->duration;
    if (d->action > sum->action)
        sum->action = d->action;
}

void policy_network_add(struct arena *a, struct container_doc *sum, const struct container_doc *d, bool first)
{
    add_side(a, &sum->egress, &d->egress);
    add_side(a, &sum->ingress, &d->ingress);
    for (int i = 0; i < RESOURCES; i++)
        add_limit(&sum->limits[i], &d->limits[i]);
    struct strs both = {.given = true}; /* what all of them let pass */
    for (size_t i = 0; i < d->isolation_allow.n; i++) {
        bool there = first;
        for (size_t k = 0; !there && k < sum->isolation_allow.n; k++)
            there = str_eq(d->isolation_allow.v[i], sum->isolation_allow.v[k]);
        if (there)
            strs_add(a, &both, d->isolation_allow.v[i]);
    }
    sum->isolation_allow = both;
}

void policy_network_effective(const struct container_doc *sum, struct container_policy *p)
{
    const struct side_doc *from[] = {&sum->egress, &sum->ingress};
    struct network_side *to[] = {&p->egress, &p->ingress};
    for (size_t i = 0; i < ARRAY_LEN(from); i++)
        *to[i] = (struct network_side){.given = from[i]->given,
                                       .deny_default = from[i]->deny_default,
                                       .allow = from[i]->allow.v,
                                       .allow_n = from[i]->allow.n,
                                       .deny = from[i]->deny.v,
                                       .deny_n = from[i]->deny.n};
    p->isolation_allow = sum->isolation_allow.v;
    p->isolation_allow_n = sum->isolation_allow.n;
    memcpy(p->limits, sum->limits, sizeof(p->limits));
}
