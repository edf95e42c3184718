/* What an image rule can ask, and how a finding and its image answer. */
#include "base/cleanup.h"
#include "base/time.h"
#include "policy/policy_internal.h"

static const char *const severities[] = {"unknown", "negligible", "low", "medium", "high", "critical"};
static const char *const statuses[] = {"affected",    "fixed",        "will_not_fix",       "fix_deferred",
                                       "end_of_life", "not_affected", "under_investigation"};
_Static_assert(ARRAY_LEN(severities) == VULN_CRITICAL + 1, "severities");
_Static_assert(ARRAY_LEN(statuses) == VULN_UNDER_INVESTIGATION + 1, "statuses");

#define NONE (-1)
/* X(id, kind, name, type, names, argument, doc) */
#define FIELDS(X)                                                                                                      \
    X(F_VULN, FINDING_VULN, "vuln", EXPR_THING, NULL, EXPR_NO_ARG, "a vulnerability")                                  \
    X(F_VULN_ID, FINDING_VULN, "vuln.id", EXPR_STRING, NULL, EXPR_NO_ARG, "CVE or advisory id")                        \
    X(F_VULN_ALIASES, FINDING_VULN, "vuln.aliases", EXPR_LIST, NULL, EXPR_NO_ARG, "other ids of the same")             \
    X(F_VULN_SEVERITY, FINDING_VULN, "vuln.severity", EXPR_ENUM, severities, EXPR_NO_ARG, "severity")                  \
    X(F_VULN_FIXED, FINDING_VULN, "vuln.fixed", EXPR_STRING, NULL, EXPR_NO_ARG, "first version with the fix")          \
    X(F_VULN_AGE, FINDING_VULN, "vuln.age", EXPR_DURATION, NULL, EXPR_NO_ARG, "time since the advisory was published") \
    X(F_VULN_FIX_AGE, FINDING_VULN, "vuln.fix_age", EXPR_DURATION, NULL, EXPR_NO_ARG, "time since the fix")            \
    X(F_VULN_STATUS, FINDING_VULN, "vuln.status", EXPR_ENUM, statuses, EXPR_NO_ARG, "what the vendor says")            \
    X(F_VULN_KEV, FINDING_VULN, "vuln.kev", EXPR_BOOL, NULL, EXPR_NO_ARG, "known to be exploited (CISA KEV)")          \
    X(F_VULN_HEADERS_ONLY, FINDING_VULN, "vuln.headers_only", EXPR_BOOL, NULL, EXPR_NO_ARG,                            \
      "in the kernel's headers (linux-libc-dev) only: nothing of it runs")                                             \
    X(F_VULN_EPSS, FINDING_VULN, "vuln.epss", EXPR_NUMBER, NULL, EXPR_NO_ARG, "probability of exploitation, 0 to 1")   \
    X(F_VULN_CVSS, FINDING_VULN, "vuln.cvss", EXPR_NUMBER, NULL, EXPR_NO_ARG, "CVSS base score")                       \
    X(F_VULN_PACKAGE, FINDING_VULN, "vuln.package", EXPR_STRING, NULL, EXPR_NO_ARG, "name of the package")             \
    X(F_VULN_TYPE, FINDING_VULN, "vuln.type", EXPR_STRING, NULL, EXPR_NO_ARG, "purl type of the package")              \
    X(F_VULN_SOURCE, FINDING_VULN, "vuln.source", EXPR_STRING, NULL, EXPR_NO_ARG, "who gave the severity")             \
    X(F_MALWARE, FINDING_MALWARE, "malware", EXPR_THING, NULL, EXPR_NO_ARG, "a malware finding")                       \
    X(F_MALWARE_NAME, FINDING_MALWARE, "malware.name", EXPR_STRING, NULL, EXPR_NO_ARG, "rule or hash name")            \
    X(F_MALWARE_PATH, FINDING_MALWARE, "malware.path", EXPR_STRING, NULL, EXPR_NO_ARG, "file")                         \
    X(F_SECRET, FINDING_SECRET, "secret", EXPR_THING, NULL, EXPR_NO_ARG, "a secret in a file")                         \
    X(F_SECRET_RULE, FINDING_SECRET, "secret.rule", EXPR_STRING, NULL, EXPR_NO_ARG, "kind of secret")                  \
    X(F_SECRET_PATH, FINDING_SECRET, "secret.path", EXPR_STRING, NULL, EXPR_NO_ARG, "file")                            \
    X(F_PACKAGE, FINDING_PACKAGE, "package", EXPR_THING, NULL, EXPR_NO_ARG, "a package")                               \
    X(F_PACKAGE_NAME, FINDING_PACKAGE, "package.name", EXPR_STRING, NULL, EXPR_NO_ARG, "name")                         \
    X(F_PACKAGE_VERSION, FINDING_PACKAGE, "package.version", EXPR_STRING, NULL, EXPR_NO_ARG, "version")                \
    X(F_PACKAGE_TYPE, FINDING_PACKAGE, "package.type", EXPR_STRING, NULL, EXPR_NO_ARG, "purl type")                    \
    X(F_PACKAGE_LICENSE, FINDING_PACKAGE, "package.license", EXPR_STRING, NULL, EXPR_NO_ARG, "license as declared")    \
    X(F_PACKAGE_LICENSES, FINDING_PACKAGE, "package.licenses", EXPR_LIST, NULL, EXPR_NO_ARG, "ids in the license")     \
    X(F_PACKAGE_PATH, FINDING_PACKAGE, "package.path", EXPR_STRING, NULL, EXPR_NO_ARG, "file that proves it")          \
    X(F_CONFIG_USER, NONE, "config.user", EXPR_LIST, NULL, EXPR_NO_ARG, "user it runs as; root when unset or 0")       \
    X(F_CONFIG_HEALTHCHECK, NONE, "config.healthcheck", EXPR_BOOL, NULL, EXPR_NO_ARG, "has a health check")            \
    X(F_CONFIG_ENV, NONE, "config.env", EXPR_LIST, NULL, EXPR_MAYBE_ARG, "NAME=VALUE, or the value of one name")       \
    X(F_CONFIG_PORTS, NONE, "config.ports", EXPR_LIST, NULL, EXPR_NO_ARG, "exposed ports, 80/tcp")                     \
    X(F_CONFIG_ENTRYPOINT, NONE, "config.entrypoint", EXPR_LIST, NULL, EXPR_NO_ARG, "entry point, word by word")       \
    X(F_CONFIG_CMD, NONE, "config.cmd", EXPR_LIST, NULL, EXPR_NO_ARG, "command, word by word")                         \
    X(F_CONFIG_VOLUMES, NONE, "config.volumes", EXPR_LIST, NULL, EXPR_NO_ARG, "declared volumes")                      \
    X(F_CONFIG_LABELS, NONE, "config.labels", EXPR_STRING, NULL, EXPR_ARG, "value of a label")                         \
    X(F_CONFIG_ARCH, NONE, "config.arch", EXPR_STRING, NULL, EXPR_NO_ARG, "architecture")                              \
    X(F_CONFIG_CREATED, NONE, "config.created", EXPR_STRING, NULL, EXPR_NO_ARG, "instant of its build, RFC 3339")      \
    X(F_IMAGE_ID, NONE, "image.id", EXPR_STRING, NULL, EXPR_NO_ARG, "sha256 of the config")                            \
    X(F_IMAGE_NAME, NONE, "image.name", EXPR_LIST, NULL, EXPR_NO_ARG, "tags and digests it is known by")               \
    X(F_IMAGE_OS, NONE, "image.os", EXPR_STRING, NULL, EXPR_NO_ARG, "ID of os-release")                                \
    X(F_IMAGE_OS_VERSION, NONE, "image.os_version", EXPR_STRING, NULL, EXPR_NO_ARG, "VERSION_ID of os-release")        \
    X(F_IMAGE_AGE, NONE, "image.age", EXPR_DURATION, NULL, EXPR_NO_ARG, "time since its build")

enum {
#define X(id, ...) id,
    FIELDS(X)
#undef X
};

#define X(id, k, n, t, members, argument, text)                                                                        \
    [id] = {.name = n,                                                                                                 \
            .type = t,                                                                                                 \
            .doc = text,                                                                                               \
            .names = members,                                                                                          \
            .names_n = (t) != EXPR_ENUM        ? 0                                                                     \
                       : (id) == F_VULN_STATUS ? ARRAY_LEN(statuses)                                                   \
                                               : ARRAY_LEN(severities),                                                \
            .arg = argument},
static const struct expr_field fields[] = {FIELDS(X)};
#undef X

#define X(id, k, ...) [id] = k,
static const signed char kinds[] = {FIELDS(X)};
#undef X

const struct expr_schema image_schema = {fields, ARRAY_LEN(fields)};

int image_field_kind(unsigned field)
{
    return kinds[field];
}

bool image_field_is_thing(unsigned field)
{
    return fields[field].type == EXPR_THING;
}

bool image_field_is_status(unsigned field)
{
    return field == F_VULN_STATUS;
}

int64_t image_field_base(const struct image_subject *s, unsigned field)
{
    if (field == F_VULN_AGE && s->finding)
        return s->finding->published;
    if (field == F_VULN_FIX_AGE && s->finding)
        return s->finding->fix_published;
    return field == F_IMAGE_AGE ? s->facts->config.created : 0;
}

static bool text(struct str s, struct expr_value *ret)
{
    ret->s = s;
    return s.n > 0;
}

static bool list(const struct str *v, size_t n, struct expr_value *ret)
{
    ret->list = v;
    ret->list_n = n;
    return n > 0;
}

static bool number(double d, struct expr_value *ret)
{
    ret->number = d;
    return d >= 0;
}

/* Engines read the user with strconv.Atoi: 0, 00, +0 and -0 are all root. */
static bool is_zero(struct str s)
{
    size_t i = s.n && (s.p[0] == '+' || s.p[0] == '-');
    if (i == s.n)
        return false;
    for (; i < s.n; i++)
        if (s.p[i] != '0')
            return false;
    return true;
}

static bool user(struct arena *a, struct str user, struct expr_value *ret)
{
    struct str name, group, *v = arena_array(a, 4, sizeof(*v));
    size_t n = 0;
    str_split(user, ':', &name, &group);
    if (!name.n || str_eqc(name, "root") || is_zero(name)) {
        v[n++] = STR("root");
        v[n++] = STR("0");
    } else {
        v[n++] = name;
    }
    if (group.n)
        v[n++] = user;
    return list(v, n, ret);
}

static bool env(struct arena *a, const struct image_config *c, struct str arg, struct expr_value *ret)
{
    struct str name, value;
    if (!arg.p)
        return list(c->env, c->env_n, ret);
    for (size_t i = c->env_n; i-- > 0;) /* the last one counts */
        if (str_split(c->env[i], '=', &name, &value) && str_eq(name, arg)) {
            struct str *one = arena_new_of(a, struct str);
            *one = value;
            return list(one, 1, ret);
        }
    return false;
}

static bool label(const struct image_config *c, struct str key, struct expr_value *ret)
{
    for (size_t i = 0; i < c->labels_n; i++)
        if (str_eq(c->label_keys[i], key)) {
            ret->s = c->label_values[i];
            return true;
        }
    return false;
}

/* The ids in an SPDX expression: everything but the operators and parentheses. */
static bool licenses(struct arena *a, struct str license, struct expr_value *ret)
{
    struct str *v = NULL;
    size_t n = 0, cap = 0, i = 0;
    while (i < license.n) {
        size_t from = i;
        while (i < license.n && !strchr(" ()\t,;", license.p[i] ? license.p[i] : ' '))
            i++;
        struct str id = str_sub(license, from, i);
        i += i == from;
        if (!id.n || str_ieq(id, STR("and")) || str_ieq(id, STR("or")) || str_ieq(id, STR("with")))
            continue;
        v = arena_grow(a, v, n, &cap, sizeof(*v));
        v[n++] = id;
    }
    return list(v, n, ret);
}

static bool finding_get(const struct image_subject *s, unsigned field, struct expr_value *ret)
{
    const struct finding *f = s->finding;
    const struct package *p = f->package;
    switch (field) {
    case F_VULN_ID:
    case F_MALWARE_NAME:
    case F_SECRET_RULE:
        return text(f->id, ret);
    case F_VULN_ALIASES:
        return list(f->aliases, f->aliases_n, ret);
    case F_VULN_SEVERITY:
        ret->member = (int)f->severity;
        return true;
    case F_VULN_FIXED:
        return text(f->fixed, ret);
    case F_VULN_STATUS:
        ret->member = (int)f->status;
        return true;
    case F_VULN_KEV:
        ret->yes = f->kev;
        return true;
    case F_VULN_HEADERS_ONLY:
        ret->yes = f->headers_only;
        return true;
    case F_VULN_EPSS:
        return number(f->epss, ret);
    case F_VULN_CVSS:
        return number(f->cvss, ret);
    case F_VULN_SOURCE:
        return text(f->severity_source, ret);
    case F_MALWARE_PATH:
    case F_SECRET_PATH:
        return text(f->path, ret);
    case F_VULN_PACKAGE:
    case F_PACKAGE_NAME:
        return p && text(p->name, ret);
    case F_PACKAGE_VERSION:
        return p && text(p->version, ret);
    case F_VULN_TYPE:
    case F_PACKAGE_TYPE:
        return p && text(p->type, ret);
    case F_PACKAGE_LICENSE:
        return p && text(p->license, ret);
    case F_PACKAGE_LICENSES:
        return p && licenses(s->a, p->license, ret);
    case F_PACKAGE_PATH:
        return p && text(p->path, ret);
    default:
        return false;
    }
}

bool image_get(void *ctx, unsigned field, struct str arg, struct expr_value *ret)
{
    const struct image_subject *s = ctx;
    const struct image_config *c = &s->facts->config;
    if (kinds[field] >= 0 && (!s->finding || (int)s->finding->kind != kinds[field]))
        return false;
    if (fields[field].type == EXPR_DURATION) {
        int64_t base = image_field_base(s, field);
        ret->duration = s->now - base;
        return base != 0;
    }
    switch (field) {
    case F_VULN:
    case F_MALWARE:
    case F_SECRET:
    case F_PACKAGE:
        return true;
    case F_CONFIG_USER:
        return user(s->a, c->user, ret);
    case F_CONFIG_HEALTHCHECK:
        ret->yes = c->healthcheck;
        return true;
    case F_CONFIG_ENV:
        return env(s->a, c, arg, ret);
    case F_CONFIG_PORTS:
        return list(c->ports, c->ports_n, ret);
    case F_CONFIG_ENTRYPOINT:
        return list(c->entrypoint, c->entrypoint_n, ret);
    case F_CONFIG_CMD:
        return list(c->cmd, c->cmd_n, ret);
    case F_CONFIG_VOLUMES:
        return list(c->volumes, c->volumes_n, ret);
    case F_CONFIG_LABELS:
        return label(c, arg, ret);
    case F_CONFIG_ARCH:
        return text(c->arch, ret);
    case F_CONFIG_CREATED: {
        char when[TIME_TEXT];
        return c->created && text(arena_str(s->a, str_c(time_format(c->created, when))), ret);
    }
    case F_IMAGE_ID:
        return text(s->facts->image_id, ret);
    case F_IMAGE_NAME:
        return list(s->facts->names, s->facts->names_n, ret);
    case F_IMAGE_OS:
        return text(s->facts->os.id, ret);
    case F_IMAGE_OS_VERSION:
        return text(s->facts->os.version_id, ret);
    default:
        return finding_get(s, field, ret);
    }
}
