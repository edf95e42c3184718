#include "scan/report.h"

#include "base/cleanup.h"

const struct finding *report_next(const struct report *r, const struct finding *f)
{
    const struct image_facts *facts = &r->assessment->facts;
    const struct finding *end = facts->findings + facts->findings_n;
    for (f = f ? f + 1 : facts->findings; f < end; f++)
        if (f->kind != FINDING_PACKAGE)
            return f;
    return NULL;
}

const char *report_kind(enum finding_kind kind)
{
    static const char *const names[FINDING_KINDS] = {"vulnerability", "malware", "secret", "package", "configuration"};
    return names[kind];
}

struct str report_what(struct arena *a, const struct finding *f)
{
    if (f->package)
        return arena_strf(a, STR_FMT " " STR_FMT, STR_ARG(f->package->name), STR_ARG(f->package->version));
    return f->path;
}

struct str report_sentence(struct arena *a, const struct finding *f)
{
    struct str what = report_what(a, f);
    struct str head = arena_strf(a, "%s " STR_FMT "%s" STR_FMT, vuln_severity_name(f->severity), STR_ARG(f->id),
                                 what.n ? " in " : "", STR_ARG(what));
    if (f->kind != FINDING_VULN)
        return f->title.n ? arena_strf(a, STR_FMT ": " STR_FMT, STR_ARG(head), STR_ARG(f->title)) : head;
    struct str fix = f->fixed.n ? arena_strf(a, "fixed in " STR_FMT, STR_ARG(f->fixed))
                                : arena_strf(a, "no fix yet (%s)", vuln_status_name(f->status));
    return arena_strf(a, STR_FMT ", " STR_FMT "%s%s" STR_FMT, STR_ARG(head), STR_ARG(fix), f->kev ? ", exploited" : "",
                      f->title.n ? ": " : "", STR_ARG(f->title));
}

const struct reason *report_reason(const struct report *r, const struct finding *f)
{
    const struct verdict *v = &r->assessment->verdict;
    for (size_t i = 0; i < v->reasons_n; i++) {
        const struct reason *why = &v->reasons[i];
        if (!why->finding.n || !str_eq(why->finding, f->id))
            continue;
        if (!f->package || !why->package.n)
            return why;
        struct str name, version;
        str_split(why->package, ' ', &name, &version);
        if (str_eq(name, f->package->name) && str_eq(version, f->package->version))
            return why;
    }
    return NULL;
}

/* Bytes of the character at s, 0 when they are not UTF-8 or not a character of XML. */
static size_t character(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n > s.n || !str_utf8(str_sub(s, 0, n)))
        return 0;
    if (c < 0x20 || c == 0x7f || (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0))
        return 0;
    return n == 3 && !memcmp(s.p, "\xef\xbf", 2) && (unsigned char)s.p[2] >= 0xbe ? 0 : n;
}

void report_xml(struct buf *b, struct str s)
{
    static const struct {
        char c;
        const char *text;
    } escapes[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    while (s.n) {
        size_t n = character(s), i = 0;
        while (i < ARRAY_LEN(escapes) && escapes[i].c != s.p[0])
            i++;
        if (i < ARRAY_LEN(escapes))
            buf_putz(b, escapes[i].text);
        else if (n)
            buf_put(b, s.p, n);
        else
            buf_putz(b, "\xef\xbf\xbd");
        s = str_sub(s, n ? n : 1, s.n);
    }
}
