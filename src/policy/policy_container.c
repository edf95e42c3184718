/* ContainerPolicy: reading, and the effective policy of one container. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "format/digest.h"
#include "policy/policy_internal.h"

static const char *const actions[] = {"off", "alert", "block", NULL};

/* All settings of one section, off | alert | block. */
static int read_actions(struct reading *r, const struct yml *map, const char *section, struct container_doc *p)
{
    static const char *const raw[] = {"off", "alert", "block", "allow", "deny", NULL};
#define X(name, in, key)                                                                                               \
    if (!strcmp(section, #in) && yml_get(map, #key)) {                                                                 \
        int rc = read_choice(r, yml_get(map, #key), #in "." #key, strcmp(#key, "raw") ? actions : raw, &p->name);      \
        if (rc < 0)                                                                                                    \
            return rc;                                                                                                 \
        if (p->name > ACTION_block) /* the contract's words for network.raw */                                         \
            p->name = p->name == 3 ? ACTION_off : ACTION_block;                                                        \
    }
    POLICY_ACTIONS(X)
#undef X
    return 0;
}

/* A path with * and **, or sha256:HEX. */
static int read_elements(struct reading *r, const struct yml *map, const char *section, const char *key,
                         struct strs *ret)
{
    const struct yml *v = yml_get(map, key);
    char at[60];
    snprintf(at, sizeof(at), "%s.%s", section, key);
    int rc = v ? read_strs(r, v, at, ret) : 0;
    const struct yml *it = v ? v->first : NULL;
    size_t patterns = 0;
    for (size_t i = 0; rc == 0 && i < ret->n; i++, it = it->next) {
        struct str s = ret->v[i];
        bool pattern = str_chr(s, '*') >= 0 || str_chr(s, '?') >= 0;
        size_t most = pattern ? LIMIT_POLICY_PATTERN : LIMIT_POLICY_PATH;
        patterns += pattern;
        if (s.p[0] != '/' && s.p[0] != '*' && !digest_valid(s))
            rc = read_fail(
                r, it, "%s[%zu]: expected an absolute path (* and ** are allowed) or sha256:HEX, found \"" STR_FMT "\"",
                at, i, STR_ARG(str_sub(s, 0, 80)));
        else if (s.n > most)
            rc = read_fail(r, it, "%s[%zu]: longer than the %zu bytes that the kernel compares", at, i, most);
        else if (patterns > LIMIT_POLICY_PATTERNS)
            rc = read_fail(r, it, "%s[%zu]: more than %u patterns; the kernel compares no more of one list", at, i,
                           LIMIT_POLICY_PATTERNS);
        else if (s.p[0] == 's')
            read_notice(r, "%s[%zu]: this version judges paths, not " STR_FMT, at, i, STR_ARG(s));
    }
    return rc;
}

static int read_process(struct reading *r, const struct yml *v, struct container_doc *p)
{
    static const char *const known[] = {"drift", "drift_allow", "exec_from", "fileless", "scripts",
                                        "allow", "deny",        "users",     NULL};
    int rc = v ? read_map(r, v, "process", known) : 0;
    if (!v || rc < 0)
        return rc;
    if ((rc = read_actions(r, v, "process", p)) < 0 ||
        (rc = read_elements(r, v, "process", "drift_allow", &p->drift_allow)) < 0 ||
        (rc = read_elements(r, v, "process", "exec_from", &p->exec_from)) < 0 ||
        (rc = read_elements(r, v, "process", "allow", &p->allow)) < 0 ||
        (rc = read_elements(r, v, "process", "deny", &p->deny)) < 0)
        return rc;
    const struct yml *users = yml_get(v, "users");
    if (!users || (rc = read_strs(r, users, "process.users", &p->users)) < 0)
        return rc;
    if (p->users.n > LIMIT_POLICY_USERS)
        return read_fail(r, users, "process.users: more than %u users", LIMIT_POLICY_USERS);
    for (size_t i = 0; i < p->users.n; i++) {
        uint64_t uid;
        if (str_u64(p->users.v[i], &uid) < 0 && !str_eqc(p->users.v[i], "root"))
            read_notice(r,
                        "process.users[%zu]: this version judges numbers and root; with \"" STR_FMT
                        "\" users are not judged",
                        i, STR_ARG(str_sub(p->users.v[i], 0, 60)));
    }
    return 0;
}

static const char *const capability_names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

static int read_privilege(struct reading *r, const struct yml *v, struct container_doc *p)
{
    static const char *const known[] = {
        "escalation",   "namespaces", "ptrace", "mount",       "modules", "bpf",    "io_uring",     "credentials",
        "setuid_files", "keyring",    "perf",   "userfaultfd", "compat",  "escape", "capabilities", NULL};
    int rc = v ? read_map(r, v, "privilege", known) : 0;
    if (!v || rc < 0)
        return rc;
    if ((rc = read_actions(r, v, "privilege", p)) < 0)
        return rc;
    const struct yml *caps = yml_get(v, "capabilities"), *it = caps ? caps->first : NULL;
    if (!caps || (rc = read_strs(r, caps, "privilege.capabilities", &p->capabilities)) < 0)
        return rc;
    for (size_t i = 0; i < p->capabilities.n; i++, it = it->next) {
        struct str *c = &p->capabilities.v[i];
        if (str_starts(*c, STR("CAP_")))
            *c = str_sub(*c, 4, c->n);
        size_t k = 0;
        while (k < ARRAY_LEN(capability_names) && !str_eqc(*c, capability_names[k]))
            k++;
        if (k == ARRAY_LEN(capability_names))
            return read_fail(r, it, "privilege.capabilities[%zu]: there is no capability \"" STR_FMT "\"", i,
                             STR_ARG(str_sub(*c, 0, 60)));
    }
    return 0;
}

uint64_t policy_capabilities(const struct container_policy *p)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < p->capabilities_n; i++)
        for (size_t k = 0; k < ARRAY_LEN(capability_names); k++)
            if (str_eqc(p->capabilities[i], capability_names[k]))
                mask |= UINT64_C(1) << k;
    return mask;
}

const char *policy_capability_name(size_t number)
{
    return number < ARRAY_LEN(capability_names) ? capability_names[number] : NULL;
}

/* ---- sections that are read and checked, but not yet put into force ---- */

static int read_files(struct reading *r, const struct yml *v, struct container_doc *p)
{
    static const char *const known[] = {"deny", "read_only", "watch", NULL};
    struct strs *const lists[] = {&p->files_deny, &p->files_read_only, &p->files_watch};
    int rc = read_map(r, v, "files", known);
    for (size_t i = 0; rc == 0 && known[i]; i++)
        rc = read_elements(r, v, "files", known[i], lists[i]);
    return rc;
}

static int read_syscalls(struct reading *r, const struct yml *v, struct container_doc *p)
{
    static const char *const known[] = {"profile", NULL};
    int rc = read_map(r, v, "syscalls", known);
    if (rc == 0 && yml_get(v, "profile"))
        rc = read_text(r, yml_get(v, "profile"), "syscalls.profile", &p->syscalls);
    if (rc == 0 && p->syscalls.n && !str_eqc(p->syscalls, "learned") && !str_eqc(p->syscalls, "default") &&
        p->syscalls.p[0] != '/')
        rc = read_fail(r, yml_get(v, "profile"), "syscalls.profile: expected learned, default or an absolute path");
    return rc;
}

int container_policy_read(struct reading *r, const struct yml *doc, int64_t revision, struct container_doc *p)
{
    static const char *const known[] = {"kind",      "name",      "mode",    "select",    "process",
                                        "files",     "isolation", "network", "privilege", "syscalls",
                                        "resources", "respond",   NULL};
    static const char *const modes[] = {"learn", "audit", "enforce", NULL};
    int rc = read_map(r, doc, "ContainerPolicy", known), mode = MODE_AUDIT;
    if (rc < 0)
        return rc;
    *p = (struct container_doc){.name = r->name, .revision = revision};
#define X(control, section, key) p->control = ACTION_UNSET;
    POLICY_ACTIONS(X)
#undef X
    if (yml_get(doc, "mode") && (rc = read_choice(r, yml_get(doc, "mode"), "mode", modes, &mode)) < 0)
        return rc;
    p->mode = (enum policy_mode)mode;
    if ((rc = read_selector(r, yml_get(doc, "select"), &p->select)) < 0 ||
        (rc = read_process(r, yml_get(doc, "process"), p)) < 0 ||
        (rc = read_privilege(r, yml_get(doc, "privilege"), p)) < 0 ||
        (rc = read_actions(r, yml_get(doc, "network"), "network", p)) < 0 ||
        (rc = read_actions(r, yml_get(doc, "isolation"), "isolation", p)) < 0 ||
        (rc = yml_get(doc, "files") ? read_files(r, yml_get(doc, "files"), p) : 0) < 0 ||
        (rc = policy_network_read(r, doc, p)) < 0 ||
        (rc = yml_get(doc, "syscalls") ? read_syscalls(r, yml_get(doc, "syscalls"), p) : 0) < 0 ||
        (rc = policy_respond_read(r, yml_get(doc, "respond"), p)) < 0)
        return rc;
    return 0;
}

/* ---- the effective policy ---- */

static bool any_name(const struct strs *patterns, struct str name)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (str_glob(patterns->v[i], name, true))
            return true;
    return false;
}

static bool selects(const struct selector *s, const struct container_subject *c)
{
    if (s->images.given && !select_images(&s->images, &c->image, c->image.n > 0, c->image_id) &&
        !select_images(&s->images, c->names, c->names_n, c->image_digest))
        return false;
    if (s->names.given && !any_name(&s->names, c->name))
        return false;
    for (size_t i = 0; i < s->labels_n; i++) {
        const struct json_value *found = NULL;
        JSON_EACH (c->labels, it)
            if (str_eq(it->key, s->label_keys[i]))
                found = it;
        if (!found || !str_glob(s->label_values[i], json_str(found), true))
            return false;
    }
    return true;
}

static bool covered(struct str element, const struct strs *by)
{
    for (size_t i = 0; i < by->n; i++)
        if (str_eq(by->v[i], element) || str_glob(by->v[i], element, false))
            return true;
    return false;
}

/* What both allow: elements of either that the other covers. The first list given is taken as it is. */
static void intersect(struct arena *a, struct strs *to, const struct strs *with)
{
    if (!to->given) {
        *to = (struct strs){.given = true};
        for (size_t i = 0; i < with->n; i++)
            strs_add(a, to, with->v[i]);
        return;
    }
    struct strs both = {.given = true};
    for (size_t i = 0; i < to->n; i++)
        if (covered(to->v[i], with))
            strs_add(a, &both, to->v[i]);
    for (size_t i = 0; i < with->n; i++)
        if (covered(with->v[i], to) && !covered(with->v[i], &both))
            strs_add(a, &both, with->v[i]);
    *to = both;
}

static void host_default(struct container_policy *p)
{
    *p = (struct container_policy){.name = STR("default"), .mode = MODE_AUDIT};
#define X(control, section, key) p->control = ACTION_block;
    POLICY_ACTIONS(X)
#undef X
    p->scripts = ACTION_alert;
}

static void add_up(struct arena *a, struct strs *sum, const struct strs *more)
{
    for (size_t k = 0; k < more->n; k++)
        if (!covered(more->v[k], sum))
            strs_add(a, sum, more->v[k]);
}

/* A file of the operator before what was learned, that before the default. */
static struct str stricter(struct str x, struct str y)
{
    static const char *const words[] = {"", "default", "learned"};
    size_t rank[2] = {3, 3};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rank[0] = str_eqc(x, words[i]) ? i : rank[0];
        rank[1] = str_eqc(y, words[i]) ? i : rank[1];
    }
    return rank[1] > rank[0] ? y : x;
}

void policy_container(struct arena *a, const struct policy_set *s, const struct container_subject *c,
                      struct container_policy *ret)
{
    struct container_doc sum = {.mode = MODE_LEARN};
    struct policy_respond *responds = NULL;
    size_t matched = 0, responds_n = 0, responds_cap = 0;
#define X(control, section, key) sum.control = ACTION_UNSET;
    POLICY_ACTIONS(X)
#undef X
    for (size_t i = 0; s && i < s->containers_n; i++) {
        const struct container_doc *d = &s->containers[i];
        if (!selects(&d->select, c))
            continue;
        sum.name = matched++ ? arena_strf(a, STR_FMT "+" STR_FMT, STR_ARG(sum.name), STR_ARG(d->name)) : d->name;
        sum.revision = d->revision > sum.revision ? d->revision : sum.revision;
        sum.mode = d->mode > sum.mode ? d->mode : sum.mode;
#define X(control, section, key) sum.control = d->control > sum.control ? d->control : sum.control;
        POLICY_ACTIONS(X)
#undef X
        /* exemptions from drift count among those that speak about drift; one without them exempts nothing */
        if (d->drift != ACTION_UNSET || d->drift_allow.given)
            intersect(a, &sum.drift_allow, &d->drift_allow);
        if (d->drift != ACTION_UNSET || d->exec_from.given)
            intersect(a, &sum.exec_from, &d->exec_from);
        if (d->allow.given)
            intersect(a, &sum.allow, &d->allow);
        if (d->users.given)
            intersect(a, &sum.users, &d->users);
        if (d->capabilities.given)
            intersect(a, &sum.capabilities, &d->capabilities);
        policy_network_add(a, &sum, d, matched == 1);
        responds = arena_grow(a, responds, responds_n, &responds_cap, sizeof(*responds));
        responds[responds_n++] = d->respond;
        sum.respond_memory |= d->respond_memory;
        sum.syscalls = stricter(sum.syscalls, d->syscalls);
        add_up(a, &sum.deny, &d->deny);
        add_up(a, &sum.files_deny, &d->files_deny);
        add_up(a, &sum.files_read_only, &d->files_read_only);
        add_up(a, &sum.files_watch, &d->files_watch);
    }
    if (!matched) {
        host_default(ret);
        return;
    }
    struct container_policy p = {.name = sum.name, .revision = sum.revision, .mode = sum.mode};
    /* a control that no matching policy mentions is told about, and never acts */
#define X(control, section, key)                                                                                       \
    p.control = sum.control == ACTION_UNSET ? ACTION_alert : (enum event_action)sum.control;
    POLICY_ACTIONS(X)
#undef X
    p.drift_allow = sum.drift_allow.v;
    p.drift_allow_n = sum.drift_allow.n;
    p.exec_from = sum.exec_from.v;
    p.exec_from_n = sum.exec_from.n;
    p.allow = sum.allow.v;
    p.allow_n = sum.allow.n;
    p.has_allow = sum.allow.given;
    p.deny = sum.deny.v;
    p.deny_n = sum.deny.n;
    p.files_deny = sum.files_deny.v;
    p.files_deny_n = sum.files_deny.n;
    p.files_read_only = sum.files_read_only.v;
    p.files_read_only_n = sum.files_read_only.n;
    p.files_watch = sum.files_watch.v;
    p.files_watch_n = sum.files_watch.n;
    p.users = sum.users.v;
    p.users_n = sum.users.n;
    p.has_users = sum.users.given;
    p.capabilities = sum.capabilities.v;
    p.capabilities_n = sum.capabilities.n;
    p.has_capabilities = sum.capabilities.given;
    policy_network_effective(&sum, &p);
    p.responds = responds;
    p.responds_n = responds_n;
    p.respond_memory = sum.respond_memory;
    p.syscalls = sum.syscalls;
    *ret = p;
}
