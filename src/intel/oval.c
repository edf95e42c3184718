#include "intel/oval.h"

#include "base/cleanup.h"
#include "intel/redhat.h"

enum { WALK_DEPTH = FEED_ID_MAX };

struct context {
    struct str spaces[OVAL_PLATFORMS_MAX];
    size_t spaces_n;
    enum version_scheme scheme;
    const char *feed;
    struct str module; /* "nodejs:12" */
};

struct oval_node *oval_add(struct arena *a, struct oval_node *parent, struct str comment)
{
    struct oval_node *n = arena_new_of(a, struct oval_node);
    n->parent = parent;
    n->comment = comment.n ? arena_str(a, comment) : STR_NONE;
    if (parent->last)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
    return n;
}

/* ---- products ---- */

/* The first word that begins with a digit, and the service pack behind it: "15 SP1-LTSS" -> "15.1". */
static struct str number_of(struct arena *a, struct str text)
{
    struct str word, number = STR_NONE;
    while (str_cut(&text, ' ', &word)) {
        if (!number.n && word.n && word.p[0] >= '0' && word.p[0] <= '9') {
            size_t n = 0;
            while (n < word.n && ((word.p[n] >= '0' && word.p[n] <= '9') || word.p[n] == '.'))
                n++;
            number = str_sub(word, 0, n);
        } else if (number.n && str_starts(word, STR("SP")) && word.n > 2) {
            return arena_strf(a, STR_FMT ".%c", STR_ARG(number), word.p[2]);
        }
    }
    return number;
}

static struct str parenthesised(struct str s)
{
    ptrdiff_t open = str_chr(s, '('), close = str_chr(s, ')');
    return open >= 0 && close > open ? str_sub(s, (size_t)open + 1, (size_t)close) : STR_NONE;
}

struct str oval_space(struct arena *a, struct str product, enum version_scheme *ret_scheme, const char **ret_feed)
{
    static const struct {
        const char *has, *feed, *space;
        bool major;
    } products[] = {
        {"Red Hat Enterprise Linux", "redhat", "redhat", true},
        {"Oracle Linux", "oracle", "oracle", true},
        {"SUSE Linux Enterprise", "suse", "suse", false},
        {"openSUSE Leap", "suse", "opensuse", false},
        {"AlmaLinux", "alma", "alma", true},
        {"Rocky Linux", "rocky", "rocky", true},
        {"CBL-Mariner", "azure", "azurelinux", false},
        {"Azure Linux", "azure", "azurelinux", false},
        {"Amazon Linux", "amazon", "amazon", true},
    };
    *ret_scheme = VERSION_RPM;
    *ret_feed = "";
    if (str_has(product, STR("Ubuntu"))) {
        struct str codename = parenthesised(product);
        *ret_scheme = VERSION_DPKG;
        *ret_feed = "ubuntu";
        return codename.n ? arena_strf(a, "ubuntu/" STR_FMT, STR_ARG(codename)) : STR_NONE;
    }
    if (str_has(product, STR("openSUSE Tumbleweed"))) {
        *ret_feed = "suse";
        return STR("opensuse/tumbleweed");
    }
    for (size_t i = 0; i < ARRAY_LEN(products); i++) {
        ptrdiff_t at = str_find(product, str_c(products[i].has));
        struct str number, major, rest;
        if (at < 0)
            continue;
        number = number_of(a, str_sub(product, (size_t)at + strlen(products[i].has), product.n));
        if (!number.n)
            return STR_NONE;
        str_split(number, '.', &major, &rest);
        *ret_feed = products[i].feed;
        return arena_strf(a, "%s/" STR_FMT, products[i].space, STR_ARG(products[i].major ? major : number));
    }
    return STR_NONE;
}

/* "sles-release is ==15.1" of SUSE counts as its product. */
static bool is_platform(struct arena *a, struct str comment, struct context *c)
{
    ptrdiff_t at = str_find(comment, STR("-release is =="));
    struct str space = STR_NONE;
    if (at >= 0) {
        space = arena_strf(a, "suse/" STR_FMT, STR_ARG(str_sub(comment, (size_t)at + 14, comment.n)));
        c->scheme = VERSION_RPM;
        c->feed = "suse";
    } else if (str_has(comment, STR(" is installed")) || str_has(comment, STR(" must be installed"))) {
        enum version_scheme scheme;
        const char *feed;
        space = oval_space(a, comment, &scheme, &feed);
        if (feed[0]) {
            c->scheme = scheme;
            c->feed = feed;
        } else if (!str_starts(comment, STR("Red Hat "))) {
            return false;
        }
    } else {
        return false;
    }
    for (size_t i = 0; i < c->spaces_n; i++)
        if (str_eq(c->spaces[i], space))
            return true;
    if (space.n && c->spaces_n < OVAL_PLATFORMS_MAX)
        c->spaces[c->spaces_n++] = space;
    return true;
}

/* ---- packages ---- */

struct package_test {
    struct str name, fixed;
    enum vuln_status status;
};

static bool cut_at(struct str s, const char *mark, struct str *left, struct str *right)
{
    ptrdiff_t at = str_find(s, str_c(mark));
    if (at < 0)
        return false;
    *left = str_sub(s, 0, (size_t)at);
    *right = str_sub(s, (size_t)at + strlen(mark), s.n);
    return true;
}

/* "name-version-release" */
static bool split_nvr(struct str s, struct str *name, struct str *version)
{
    ptrdiff_t r = str_rchr(s, '-'), v = r > 0 ? str_rchr(str_sub(s, 0, (size_t)r), '-') : -1;
    if (v <= 0)
        return false;
    *name = str_sub(s, 0, (size_t)v);
    *version = str_sub(s, (size_t)v + 1, s.n);
    return true;
}

/* Ubuntu: "curl package in jammy was vulnerable but has been fixed (note: '7.81.0-1ubuntu1.14')." */
static bool ubuntu_test(struct str comment, struct package_test *t)
{
    struct str rest, note = parenthesised(comment);
    if (!cut_at(comment, " package in ", &t->name, &rest))
        return false;
    ptrdiff_t close = str_chr(t->name, ')'); /* "(CVE-2020-1) curl" */
    t->name = str_trim(str_sub(t->name, close < 0 ? 0 : (size_t)close + 1, t->name.n));
    if (str_has(rest, STR("has been fixed")) || str_has(rest, STR("pending publication"))) {
        ptrdiff_t open = str_chr(note, '\'');
        note = open < 0 ? STR_NONE : str_sub(note, (size_t)open + 1, note.n);
        ptrdiff_t end = str_chr(note, '\'');
        t->fixed = end < 0 ? STR_NONE : str_sub(note, 0, (size_t)end);
        t->status = VULN_FIXED;
        return t->fixed.n > 0;
    }
    t->status = str_has(rest, STR("defer"))         ? VULN_FIX_DEFERRED
                : str_has(rest, STR("ignore"))      ? VULN_WILL_NOT_FIX
                : str_has(rest, STR("is affected")) ? VULN_AFFECTED
                                                    : VULN_NOT_AFFECTED;
    return t->status != VULN_NOT_AFFECTED;
}

static bool package_test(const struct context *c, struct str comment, struct package_test *t)
{
    struct str rest;
    *t = (struct package_test){.status = VULN_FIXED};
    if (c->scheme == VERSION_DPKG)
        return ubuntu_test(comment, t);
    if (str_starts(comment, STR("Package "))) /* Azure Linux */
        comment = str_sub(comment, 8, comment.n);
    if (cut_at(comment, " is earlier than ", &t->name, &rest) || cut_at(comment, " is <", &t->name, &rest)) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != ',')
            n++;
        t->fixed = str_sub(rest, 0, n);
        return t->fixed.n > 0;
    }
    if (cut_at(comment, " is affected", &t->name, &rest)) {
        t->status = VULN_AFFECTED;
        return true;
    }
    if (!cut_at(comment, " is installed", &t->name, &rest) || rest.n)
        return false;
    if (!strcmp(c->feed, "suse"))
        return split_nvr(t->name, &t->name, &t->fixed);
    t->status = VULN_AFFECTED;
    return !str_has(t->name, STR(" "));
}

/* Red Hat's word on what it has not fixed. */
static enum vuln_status resolution(const struct oval_definition *d, struct str component)
{
    static const struct {
        const char *state;
        enum vuln_status status;
    } states[] = {{"Will not fix", VULN_WILL_NOT_FIX},        {"Fix deferred", VULN_FIX_DEFERRED},
                  {"Out of support scope", VULN_END_OF_LIFE}, {"Under investigation", VULN_UNDER_INVESTIGATION},
                  {"Not affected", VULN_NOT_AFFECTED},        {"Affected", VULN_AFFECTED}};
    struct str module, name;
    for (size_t i = 0; i < d->resolutions_n; i++) {
        struct str c = d->resolutions[i].component;
        if (!str_split(c, '/', &module, &name))
            name = module;
        if (c.n && !str_eq(c, component) && !str_eq(name, component))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(states); k++)
            if (str_ieq(d->resolutions[i].state, str_c(states[k].state)))
                return states[k].status;
    }
    return VULN_AFFECTED;
}

/* Oracle's kernels that patch themselves and its FIPS builds have versions of their own. */
static struct str variant_name(struct arena *a, const struct context *c, const struct package_test *t)
{
    if (c->module.n)
        return arena_strf(a, STR_FMT "::" STR_FMT, STR_ARG(c->module), STR_ARG(t->name));
    if (str_has(t->fixed, STR(".ksplice")))
        return arena_strf(a, "ksplice::" STR_FMT, STR_ARG(t->name));
    if (str_has(t->fixed, STR("_fips")))
        return arena_strf(a, "fips::" STR_FMT, STR_ARG(t->name));
    return c->scheme == VERSION_RPM ? t->name : arena_strf(a, "bin:" STR_FMT, STR_ARG(t->name));
}

/* Red Hat's criteria name the release, its CPEs the stream: what is only for EUS and the like is not for the release.
 */
static void streams(struct arena *a, const struct oval_definition *d, struct context *c)
{
    struct context only = {0};
    for (size_t i = 0; i < d->cpes_n; i++) {
        struct str space = redhat_space(a, d->cpes[i]);
        bool have = !space.n;
        for (size_t k = 0; k < only.spaces_n; k++)
            have = have || str_eq(only.spaces[k], space);
        for (size_t k = 0; k < c->spaces_n; k++)
            if (str_eq(c->spaces[k], space))
                return;
        if (!have)
            only.spaces[only.spaces_n++] = space;
    }
    if (!only.spaces_n || strcmp(c->feed, "redhat") != 0)
        return;
    memcpy(c->spaces, only.spaces, sizeof(c->spaces));
    c->spaces_n = only.spaces_n;
}

static void emit(struct feed *f, const struct oval_definition *d, const struct context *where,
                 const struct package_test *t)
{
    struct context c_own = *where, *c = &c_own;
    streams(f->a, d, c);
    enum vuln_status status = t->status == VULN_AFFECTED ? resolution(d, t->name) : t->status;
    if (status == VULN_NOT_AFFECTED || !c->feed[0])
        return;
    struct feed_row row = {.feed = c->feed,
                           .name = variant_name(f->a, c, t),
                           .scheme = c->scheme,
                           .status = status,
                           .severity = feed_severity(d->severity),
                           .fixed = t->fixed};
    for (size_t s = 0; s < c->spaces_n; s++) {
        row.space = c->spaces[s];
        for (size_t i = 0; i < d->cves_n; i++) {
            row.id = d->cves[i];
            feed_row(f, &row);
        }
        row.id = d->advisory.n ? d->advisory : d->id;
        if (!d->cves_n)
            feed_row(f, &row);
    }
}

static bool only_platforms(struct arena *a, const struct oval_node *n)
{
    struct context scratch = {.feed = ""};
    for (const struct oval_node *k = n->first; k; k = k->next)
        if (!k->comment.n || !is_platform(a, k->comment, &scratch))
            return false;
    return n->first != NULL;
}

static bool module_of(struct str comment, struct str *ret)
{
    struct str rest;
    return str_starts(comment, STR("Module ")) && cut_at(str_sub(comment, 7, comment.n), " is enabled", ret, &rest);
}

static void walk(struct feed *f, const struct oval_definition *d, const struct oval_node *n,
                 const struct context *outer, unsigned depth)
{
    struct context c = *outer, own = {.feed = outer->feed, .scheme = outer->scheme};
    for (const struct oval_node *k = n->first; k; k = k->next) {
        if (k->comment.n) {
            if (!module_of(k->comment, &c.module))
                is_platform(f->a, k->comment, &own);
        } else if (only_platforms(f->a, k)) {
            for (const struct oval_node *p = k->first; p; p = p->next)
                is_platform(f->a, p->comment, &own);
        }
    }
    if (own.spaces_n) {
        memcpy(c.spaces, own.spaces, own.spaces_n * sizeof(*own.spaces));
        c.spaces_n = own.spaces_n;
    }
    c.feed = own.feed;
    c.scheme = own.scheme;
    for (const struct oval_node *k = n->first; k; k = k->next) {
        struct package_test t;
        struct context scratch = {.feed = ""};
        if (!k->comment.n) {
            if (depth < WALK_DEPTH)
                walk(f, d, k, &c, depth + 1);
        } else if (!is_platform(f->a, k->comment, &scratch) && package_test(&c, k->comment, &t)) {
            emit(f, d, &c, &t);
        }
    }
}

int oval_emit(struct feed *f, const struct oval_definition *d)
{
    struct context c = {.feed = ""};
    for (size_t i = 0; i < d->platforms_n; i++) { /* where the criteria name none */
        enum version_scheme scheme;
        const char *feed;
        struct str space = oval_space(f->a, d->platforms[i], &scheme, &feed);
        if (!feed[0])
            continue;
        c.feed = feed;
        c.scheme = scheme;
        bool have = !space.n;
        for (size_t k = 0; k < c.spaces_n; k++)
            have = have || str_eq(c.spaces[k], space);
        if (!have && c.spaces_n < OVAL_PLATFORMS_MAX)
            c.spaces[c.spaces_n++] = space;
    }
    feed_saw_date(f, d->issued);
    walk(f, d, &d->root, &c, 0);
    if (!f->name[0])
        return f->w->code; /* of no distribution that is known */
    /* the severity is the distribution's: it goes with its packages only */
    struct feed_vuln v = {.feed = f->name, .id = d->advisory, .cvss = -1, .published = d->issued, .title = d->title};
    if (v.id.n) {
        v.aliases = feed_join(f->a, d->cves, d->cves_n < FEED_ALIASES_MAX ? d->cves_n : FEED_ALIASES_MAX);
        feed_vuln(f, &v);
    } else if (d->cves_n == 1) {
        v.id = d->cves[0];
        v.cvss = d->cvss;
        v.vector = d->vector;
        feed_vuln(f, &v);
    }
    return f->w->code;
}
