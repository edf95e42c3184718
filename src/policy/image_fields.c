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
enum {
#define FIELD(id, ...) id,
#include "policy/image_fields.tbl.h"
#undef FIELD
};

#define FIELD(id, k, n, t, members, argument, text)                                                                    \
    [id] = {.name = n,                                                                                                 \
            .type = t,                                                                                                 \
            .doc = text,                                                                                               \
            .names = members,                                                                                          \
            .names_n = (t) != EXPR_ENUM        ? 0                                                                     \
                       : (id) == F_VULN_STATUS ? ARRAY_LEN(statuses)                                                   \
                                               : ARRAY_LEN(severities),                                                \
            .arg = argument},
static const struct expr_field fields[] = {
#include "policy/image_fields.tbl.h"
};
#undef FIELD

#define FIELD(id, k, ...) [id] = k,
static const signed char kinds[] = {
#include "policy/image_fields.tbl.h"
};
#undef FIELD

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
    if (field == F_IMAGE_SCAN_AGE)
        return s->facts->scanned;
    if (field == F_INTEL_AGE)
        return s->facts->intel_built;
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

/* A name as people write it -> registry, repository, tag; Docker's short forms mean docker.io and library/. */
static bool name_parts(struct arena *a, const struct image_facts *f, unsigned field, struct expr_value *ret)
{
    struct str *v = arena_array(a, f->names_n, sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < f->names_n; i++) {
        struct str name = f->names[i], digest, host, rest, tag = STR_NONE, part;
        bool has_digest = str_split(name, '@', &name, &digest);
        if (!str_split(name, '/', &host, &rest) ||
            (str_chr(host, '.') < 0 && str_chr(host, ':') < 0 && !str_eqc(host, "localhost"))) {
            rest = name;
            host = STR("docker.io");
        }
        ptrdiff_t colon = str_rchr(rest, ':');
        if (colon >= 0) {
            tag = str_sub(rest, (size_t)colon + 1, rest.n);
            rest = str_sub(rest, 0, (size_t)colon);
        } else if (!has_digest) {
            tag = STR("latest");
        }
        if (str_eqc(host, "docker.io") && str_chr(rest, '/') < 0)
            rest = arena_strf(a, "library/" STR_FMT, STR_ARG(rest));
        part = field == F_IMAGE_REGISTRY ? host : field == F_IMAGE_TAG ? tag : rest;
        if (part.n)
            v[n++] = part;
    }
    return list(v, n, ret);
}

static bool in_base(const struct image_facts *f, struct str layer, struct expr_value *ret)
{
    ret->yes = false;
    for (size_t i = 0; i < f->base_layers && i < f->layers_n; i++)
        ret->yes |= str_eq(f->layers[i], layer);
    return f->base_layers > 0 && layer.n > 0;
}

static bool finding_get(const struct image_subject *s, unsigned field, struct expr_value *ret)
{
    const struct finding *f = s->finding;
    const struct package *p = f->package;
    switch (field) {
    case F_VULN_ID:
    case F_MALWARE_NAME:
    case F_SECRET_RULE:
    case F_CHECK_ID:
    case F_DYNAMIC_ID:
        return text(f->id, ret);
    case F_VULN_ALIASES:
        return list(f->aliases, f->aliases_n, ret);
    case F_VULN_SEVERITY:
    case F_MALWARE_SEVERITY:
    case F_SECRET_SEVERITY:
    case F_CHECK_SEVERITY:
    case F_DYNAMIC_SEVERITY:
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
    case F_MALWARE_ENGINE:
        return text(f->engine, ret);
    case F_MALWARE_SHA256:
        return text(f->sha256, ret);
    case F_SECRET_ORIGIN:
        return text(str_c(finding_origin_name(f->origin)), ret);
    case F_MALWARE_HIDDEN:
    case F_SECRET_HIDDEN:
        ret->yes = f->hidden;
        return true;
    case F_CHECK_MATCH:
        return text(f->match, ret);
    case F_DYNAMIC_TYPE:
        return text(f->type, ret);
    case F_DYNAMIC_ADDRESS:
        return text(f->address, ret);
    case F_VULN_LAYER:
    case F_PACKAGE_LAYER:
        return text(f->layer, ret);
    case F_VULN_IN_BASE:
    case F_PACKAGE_IN_BASE:
        return in_base(s->facts, f->layer, ret);
    case F_PACKAGE_SOURCE:
        return p && text(p->source_name, ret);
    case F_PACKAGE_ARCH:
        return p && text(p->arch, ret);
    case F_VULN_PATH:
    case F_CHECK_PATH:
    case F_DYNAMIC_PATH:
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
    case F_CHECK:
    case F_DYNAMIC:
    case F_PACKAGE:
        return true;
    case F_IMAGE_REGISTRY:
    case F_IMAGE_REPOSITORY:
    case F_IMAGE_TAG:
        return name_parts(s->a, s->facts, field, ret);
    case F_IMAGE_BASE:
        return list(s->facts->base, s->facts->base_n, ret);
    case F_IMAGE_LAYERS:
        return list(s->facts->layers, s->facts->layers_n, ret);
    case F_IMAGE_LOOKED_FOR:
        return list(s->facts->looked_for, s->facts->looked_for_n, ret);
    case F_IMAGE_SIZE:
        ret->number = (double)s->facts->size / (1 << 20);
        return s->facts->size > 0;
    case F_INTEL_SIGNED:
        ret->yes = s->facts->intel_signed;
        return s->facts->intel_built != 0;
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
