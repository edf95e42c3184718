/* ImagePolicy: reading, and the verdict. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"
#include "policy/policy_internal.h"

/* ---- reading ---- */

static int read_rule(struct reading *r, const struct yml *v, const char *where, struct image_rule *rule)
{
    static const char *const known[] = {"deny", "warn", NULL};
    int rc = read_map(r, v, where, known);
    if (rc < 0)
        return rc;
    if (v->count != 1)
        return read_fail(r, v, "%s: expected one of deny, warn with an expression", where);
    rule->deny = str_eqc(v->first->key, "deny");
    char at[40];
    snprintf(at, sizeof(at), "%s.%s", where, rule->deny ? "deny" : "warn");
    if ((rc = read_text(r, v->first, at, &rule->text)) < 0)
        return rc;
    struct err e = ERR_INIT;
    struct expr *x;
    if ((rc = expr_compile(r->a, rule->text, &image_schema, &x, &e)) < 0)
        return read_fail(r, v->first, "%s: %s", at, e.msg);
    rule->expr = x;
    rule->kind = -1;
    rule->once = true;
    const struct expr_check *checks;
    size_t n = expr_checks(x, &checks);
    for (size_t i = 0; i < n; i++) {
        int kind = image_field_kind(checks[i].field);
        if (kind < 0)
            continue;
        if (rule->kind >= 0 && kind != rule->kind)
            return read_fail(
                r, v->first, "%s: mixes %s and %s; a rule is about one kind of finding, so write two rules", at,
                finding_kind_name((enum finding_kind)rule->kind), finding_kind_name((enum finding_kind)kind));
        rule->kind = kind;
        rule->once &= image_field_is_thing(checks[i].field);
        rule->judges_status |= image_field_is_status(checks[i].field);
    }
    return 0;
}

static int read_exception(struct reading *r, const struct yml *v, const char *where, struct image_exception *x)
{
    static const char *const known[] = {"finding", "rule", "package", "path", "owner", "reason", "expires", NULL};
    const struct {
        const char *key;
        struct str *to;
        bool required;
    } texts[] = {
        {"finding", &x->finding, false},     {"rule", &x->rule, false},  {"package", &x->package, false},
        {"path", &x->path, false},           {"owner", &x->owner, true}, {"reason", &x->reason, true},
        {"expires", &x->expires_text, true},
    };
    int rc = read_map(r, v, where, known);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(texts); i++) {
        const struct yml *t = yml_get(v, texts[i].key);
        char at[60];
        snprintf(at, sizeof(at), "%s.%s", where, texts[i].key);
        if (t)
            rc = read_text(r, t, at, texts[i].to);
        else if (texts[i].required)
            rc = read_fail(r, v, "%s is missing; an exception names finding or rule, owner, reason and expires", at);
    }
    if (rc < 0)
        return rc;
    if (!x->finding.n && !x->rule.n)
        return read_fail(r, v, "%s: names neither a finding nor a rule", where);
    if (time_parse(x->expires_text, &x->expires) < 0)
        return read_fail(r, yml_get(v, "expires"), "%s.expires: expected a date like 2027-01-31 or an instant", where);
    return 0;
}

int image_policy_read(struct reading *r, const struct yml *doc, struct image_policy *p)
{
    static const char *const known[] = {"kind",      "name",      "select",       "rules", "exceptions", "grace",
                                        "unscanned", "attesters", "attested_for", "vex",   NULL};
    static const char *const unscanned[] = {"scan", "deny", NULL};
    char at[40];
    int rc = read_map(r, doc, "ImagePolicy", known), choice;
    if (rc < 0)
        return rc;
    const struct yml *select = yml_get(doc, "select"), *rules = yml_get(doc, "rules"), *ex = yml_get(doc, "exceptions");
    if ((rc = read_selector(r, select, &p->select)) < 0)
        return rc;
    p->name = r->name;
    if (p->select.names.given || p->select.by_labels)
        return read_fail(r, select, "select: an ImagePolicy selects by images only");
    if (!rules || rules->kind != YML_LIST)
        return read_fail(r, rules ? rules : doc, "rules: expected a list of deny and warn expressions");
    p->rules = arena_array(r->a, rules->count, sizeof(*p->rules));
    YML_EACH(rules, it)
    {
        snprintf(at, sizeof(at), "rules[%zu]", p->rules_n);
        if ((rc = read_rule(r, it, at, &p->rules[p->rules_n])) < 0)
            return rc;
        p->rules_n++;
    }
    if (ex && ex->kind != YML_LIST)
        return read_fail(r, ex, "exceptions: expected a list");
    p->exceptions = arena_array(r->a, ex ? ex->count : 0, sizeof(*p->exceptions));
    YML_EACH(ex, it)
    {
        snprintf(at, sizeof(at), "exceptions[%zu]", p->exceptions_n);
        struct image_exception *x = &p->exceptions[p->exceptions_n];
        if ((rc = read_exception(r, it, at, x)) < 0)
            return rc;
        bool found = !x->rule.n;
        for (size_t i = 0; i < p->rules_n; i++)
            found |= str_eq(x->rule, p->rules[i].text);
        if (!found)
            return read_fail(r, it, "%s.rule: no rule of this policy reads \"" STR_FMT "\"", at,
                             STR_ARG(str_sub(x->rule, 0, 100)));
        p->exceptions_n++;
    }
    if (yml_get(doc, "grace") && (rc = read_duration(r, yml_get(doc, "grace"), "grace", &p->grace)) < 0)
        return rc;
    if (yml_get(doc, "unscanned")) {
        if ((rc = read_choice(r, yml_get(doc, "unscanned"), "unscanned", unscanned, &choice)) < 0)
            return rc;
        p->unscanned = choice ? UNSCANNED_DENY : UNSCANNED_SCAN;
    }
    if ((rc = image_vex_read(r, yml_get(doc, "vex"), p)) < 0)
        return rc;
    return image_attesters_read(r, doc, p);
}

static bool selects(const struct image_policy *p, const struct str *names, size_t n, struct str image_id)
{
    return !p->select.images.given || select_images(&p->select.images, names, n, image_id);
}

bool image_policy_selects(const struct image_policy *p, const struct str *names, size_t n)
{
    return selects(p, names, n, STR_NONE);
}

enum unscanned policy_unscanned(const struct policy_set *s, const struct str *names, size_t n, bool *governed)
{
    enum unscanned strictest = UNSCANNED_SCAN;
    *governed = false;
    for (size_t i = 0; s && i < s->images_n; i++)
        if (selects(&s->images[i], names, n, STR_NONE)) {
            *governed = true;
            if (s->images[i].unscanned == UNSCANNED_DENY)
                strictest = UNSCANNED_DENY;
        }
    return strictest;
}

/* ---- the verdict ---- */

struct judging {
    struct arena *a;
    const struct verdict_input *in;
    struct verdict *v;
    size_t reasons_cap, stale_cap;
    bool *used; /* exceptions of the policy under way that matched something */
};

static void not_before(struct judging *j, int64_t t)
{
    if (t > j->in->now && t < j->v->valid_until)
        j->v->valid_until = t;
}

static struct reason *add_reason(struct judging *j)
{
    struct verdict *v = j->v;
    v->reasons = arena_grow(j->a, v->reasons, v->reasons_n, &j->reasons_cap, sizeof(*v->reasons));
    v->reasons[v->reasons_n] = (struct reason){0};
    return &v->reasons[v->reasons_n++];
}

/* When will passing time alone change what the rule says of this subject? Every comparison of an age has two instants
 * at which it may turn; the first at which the whole rule turns counts. */
static int64_t next_turn(const struct image_rule *rule, const struct image_subject *subject, bool fires)
{
    const struct expr_check *checks;
    size_t n = expr_checks(rule->expr, &checks);
    struct image_subject later = *subject;
    for (;;) {
        int64_t next = TIME_NEVER;
        for (size_t i = 0; i < n; i++) {
            int64_t base = image_field_base(subject, checks[i].field), t;
            for (size_t k = 0; base && k < checks[i].values_n; k++)
                for (int64_t after = 0; after <= 1; after++)
                    if (!__builtin_add_overflow(base, checks[i].values[k].duration, &t) &&
                        !__builtin_add_overflow(t, after, &t) && t > later.now && t < next)
                        next = t;
        }
        if (next == TIME_NEVER)
            return TIME_NEVER;
        later.now = next;
        if (expr_eval(rule->expr, image_get, &later) != fires)
            return next;
    }
}

/* Names come out of images: a reason is one line and moves no cursor. */
static struct str one_line(struct str s)
{
    for (char *p = (char *)(uintptr_t)s.p; p && p < s.p + s.n; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return s;
}

static struct str describe(struct arena *a, const struct image_rule *rule, const struct finding *f)
{
    if (!f)
        return arena_strf(a, "the image matches \"" STR_FMT "\"", STR_ARG(rule->text));
    struct str package =
        f->package ? arena_strf(a, STR_FMT " " STR_FMT, STR_ARG(f->package->name), STR_ARG(f->package->version))
                   : STR_NONE;
    switch (f->kind) {
    case FINDING_VULN:
        return arena_strf(a, STR_FMT " (%s) in " STR_FMT "%s" STR_FMT, STR_ARG(f->id), vuln_severity_name(f->severity),
                          STR_ARG(package), f->fixed.n ? ", fixed in " : ", no fix", STR_ARG(f->fixed));
    case FINDING_MALWARE:
    case FINDING_SECRET:
        return arena_strf(a, "%s " STR_FMT " in %s%s" STR_FMT, finding_kind_name(f->kind), STR_ARG(f->id),
                          f->origin == ORIGIN_FILE ? "" : finding_origin_name(f->origin),
                          f->origin == ORIGIN_FILE || !f->path.n ? "" : " ", STR_ARG(f->path));
    case FINDING_CHECK:
    case FINDING_DYNAMIC:
        return arena_strf(a, STR_FMT ": " STR_FMT "%s" STR_FMT "%s" STR_FMT, STR_ARG(f->id), STR_ARG(f->title),
                          f->path.n ? ", " : "", STR_ARG(f->path), f->match.n ? ", " : "", STR_ARG(f->match));
    default:
        return arena_strf(a, "package " STR_FMT "%s" STR_FMT, STR_ARG(package),
                          f->package && f->package->license.n ? ", license " : "",
                          STR_ARG(f->package ? f->package->license : STR_NONE));
    }
}

static bool excepts(const struct image_exception *x, const struct image_rule *rule, const struct finding *f)
{
    if (x->rule.n && !str_eq(x->rule, rule->text))
        return false;
    if (x->finding.n) {
        bool same = f && str_eq(x->finding, f->id);
        for (size_t i = 0; f && !same && i < f->aliases_n; i++)
            same = str_eq(x->finding, f->aliases[i]);
        if (!same)
            return false;
    }
    if (x->package.n &&
        !(f && f->package && (str_eq(x->package, f->package->name) || str_eq(x->package, f->package->source_name))))
        return false;
    return !x->path.n || (f && str_glob(x->path, f->path, false));
}

static void fired(struct judging *j, const struct image_policy *p, const struct image_rule *rule,
                  const struct finding *f)
{
    const struct image_exception *lift = NULL, *expired = NULL;
    for (size_t i = 0; i < p->exceptions_n; i++) {
        const struct image_exception *x = &p->exceptions[i], **best = x->expires > j->in->now ? &lift : &expired;
        bool matches = excepts(x, rule, f);
        if (matches)
            j->used[i] = true;
        if (matches && (!*best || x->expires > (*best)->expires))
            *best = x;
    }
    int64_t grace_end = 0;
    if (p->grace && j->in->running && !__builtin_add_overflow(j->in->running_since, p->grace, &grace_end) &&
        grace_end <= j->in->now)
        grace_end = 0;
    struct reason *r = add_reason(j);
    struct str what = one_line(describe(j->a, rule, f));
    char text[TIME_TEXT];
    r->deny = rule->deny;
    r->policy = p->name;
    r->rule = rule->text;
    r->finding = f ? f->id : STR("");
    r->package = f && f->package
                     ? arena_strf(j->a, STR_FMT " " STR_FMT, STR_ARG(f->package->name), STR_ARG(f->package->version))
                     : STR("");
    r->exception = STR("");
    if (lift) {
        r->deny = false;
        r->until = lift->expires;
        r->exception = arena_strf(j->a, STR_FMT ": " STR_FMT " (until " STR_FMT ")", STR_ARG(lift->owner),
                                  STR_ARG(lift->reason), STR_ARG(lift->expires_text));
        r->text = arena_strf(j->a, STR_FMT "; excepted by " STR_FMT, STR_ARG(what), STR_ARG(r->exception));
        not_before(j, lift->expires);
        return;
    }
    struct str over = expired ? arena_strf(j->a, "; the exception of " STR_FMT " expired " STR_FMT,
                                           STR_ARG(expired->owner), STR_ARG(expired->expires_text))
                              : STR("");
    if (rule->deny && grace_end) {
        r->deny = false;
        r->until = grace_end;
        r->text = arena_strf(j->a, STR_FMT STR_FMT "; it already runs and has until %s", STR_ARG(what), STR_ARG(over),
                             time_format(grace_end, text));
        not_before(j, grace_end);
        return;
    }
    r->text = arena_strf(j->a, STR_FMT STR_FMT "%s" STR_FMT "%s", STR_ARG(what), STR_ARG(over),
                         rule->deny ? "; whoever owns policy " : "", STR_ARG(rule->deny ? p->name : STR_NONE),
                         rule->deny ? " can except it" : "");
}

static void judge_once(struct judging *j, const struct image_policy *p, const struct image_rule *rule,
                       const struct finding *f)
{
    struct image_subject subject = {.a = j->a, .facts = j->in->facts, .finding = f, .now = j->in->now};
    bool fires = expr_eval(rule->expr, image_get, &subject);
    if (fires)
        fired(j, p, rule, f);
    not_before(j, next_turn(rule, &subject, fires));
}

static void judge(struct judging *j, const struct image_policy *p, const struct image_rule *rule)
{
    const struct image_facts *facts = j->in->facts;
    bool any = false;
    if (rule->kind >= 0)
        for (size_t i = 0; i < facts->findings_n; i++) {
            const struct finding *f = &facts->findings[i];
            bool judged = f->kind != FINDING_VULN || f->status != VULN_NOT_AFFECTED || rule->judges_status;
            if ((int)f->kind == rule->kind && judged) {
                any = true;
                judge_once(j, p, rule, f);
            }
        }
    if (rule->kind < 0 || (!any && rule->once))
        judge_once(j, p, rule, NULL);
}

/* A rule about what nobody looked for would be silent: say so. */
static void not_looked_for(struct judging *j, const struct image_policy *p, const struct image_rule *rule)
{
    static const char *const needs[FINDING_KINDS] = {[FINDING_MALWARE] = "malware",
                                                     [FINDING_SECRET] = "secrets",
                                                     [FINDING_CHECK] = "checks",
                                                     [FINDING_DYNAMIC] = "dynamic"};
    const struct image_facts *facts = j->in->facts;
    const char *need = rule->kind >= 0 ? needs[rule->kind] : NULL;
    for (size_t i = 0; need && i < facts->looked_for_n; i++)
        if (str_eqc(facts->looked_for[i], need))
            return;
    if (!need)
        return;
    struct reason *r = add_reason(j);
    *r = (struct reason){.policy = p->name,
                         .rule = rule->text,
                         .finding = STR(""),
                         .package = STR(""),
                         .exception = STR(""),
                         .text = arena_strf(j->a, "the scan did not look for %s, so this rule says nothing", need)};
}

/* Exceptions that no longer lift anything here rot: they are reported. */
static void stale_exceptions(struct judging *j, const struct image_policy *p)
{
    struct verdict *v = j->v;
    for (size_t i = 0; i < p->exceptions_n; i++) {
        const struct image_exception *x = &p->exceptions[i];
        bool expired = x->expires <= j->in->now;
        if (j->used[i] && !expired)
            continue;
        v->stale = arena_grow(j->a, v->stale, v->stale_n, &j->stale_cap, sizeof(*v->stale));
        v->stale[v->stale_n++] = (struct stale_exception){.policy = p->name,
                                                          .what = x->finding.n ? x->finding : x->rule,
                                                          .package = x->package.n ? x->package : STR(""),
                                                          .owner = x->owner,
                                                          .expires = x->expires,
                                                          .expired = expired,
                                                          .unused = !j->used[i]};
    }
}

static void built_in(struct judging *j)
{
    const struct image_facts *facts = j->in->facts;
    if (facts->incomplete) {
        struct reason *r = add_reason(j);
        *r = (struct reason){.deny = true,
                             .policy = STR("scan"),
                             .rule = STR("complete"),
                             .finding = STR(""),
                             .package = STR(""),
                             .exception = STR(""),
                             .text = STR("the scan is incomplete: something could not be read, so the image cannot be "
                                         "allowed; scan it again")};
    }
    for (size_t i = 0; j->in->fail_on != VULN_UNKNOWN && i < facts->findings_n; i++) {
        const struct finding *f = &facts->findings[i];
        if (f->kind != FINDING_VULN || f->status == VULN_NOT_AFFECTED || f->severity < j->in->fail_on)
            continue;
        struct reason *r = add_reason(j);
        *r = (struct reason){.deny = true,
                             .policy = STR("fail-on"),
                             .finding = f->id,
                             .exception = STR(""),
                             .text = one_line(describe(j->a, NULL, f))};
        r->rule = arena_strf(j->a, "vuln.severity >= %s", vuln_severity_name(j->in->fail_on));
        r->package =
            f->package ? arena_strf(j->a, STR_FMT " " STR_FMT, STR_ARG(f->package->name), STR_ARG(f->package->version))
                       : STR("");
    }
}

int policy_verdict(struct arena *a, const struct policy_set *s, const struct verdict_input *in, struct verdict *ret,
                   struct err *e)
{
    if (!in->facts)
        return err_set(e, EINVAL, "no facts to judge");
    struct verdict v = {
        .image_id = in->facts->image_id,
        .intel_revision = in->intel_revision,
        .policy_revision = s ? policy_set_revision(s) : STR(""),
        .evaluated = in->now,
        .allow = true,
        .valid_until = TIME_NEVER,
    };
    struct judging j = {.a = a, .in = in, .v = &v};
    built_in(&j);
    for (size_t i = 0; s && i < s->images_n; i++) {
        const struct image_policy *p = &s->images[i];
        if (!selects(p, in->facts->names, in->facts->names_n, in->facts->image_id))
            continue;
        j.used = arena_array(a, p->exceptions_n, sizeof(bool));
        for (size_t k = 0; k < p->rules_n; k++) {
            judge(&j, p, &p->rules[k]);
            not_looked_for(&j, p, &p->rules[k]);
        }
        stale_exceptions(&j, p);
    }
    /* denies first, each group in the order of the rules */
    struct reason *sorted = arena_array(a, v.reasons_n, sizeof(*sorted));
    size_t n = 0;
    for (int deny = 1; deny >= 0; deny--)
        for (size_t i = 0; i < v.reasons_n; i++)
            if (v.reasons[i].deny == (bool)deny)
                sorted[n++] = v.reasons[i];
    v.reasons = sorted;
    v.allow = !n || !sorted[0].deny;
    *ret = v;
    return 0;
}
