#include "scan/report.h"

#include "base/cleanup.h"
#include "base/limits.h"

void report_puts(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f) {
            buf_putc(b, '?');
        } else if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0) {
            buf_putc(b, '?');
            i++;
        } else {
            buf_putc(b, (char)c);
        }
    }
}

struct rows {
    struct arena *a;
    struct str *v;
    size_t n, cap;
};

static void add(struct rows *rows, const struct str *cells, size_t n)
{
    _cleanup_(buf_fini) struct buf line = BUF_INIT(LIMIT_JSON_STRING);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(&line, '\t');
        report_puts(&line, cells[i]);
    }
    rows->v = arena_grow(rows->a, rows->v, rows->n, &rows->cap, sizeof(*rows->v));
    rows->v[rows->n++] = arena_str(rows->a, buf_str(&line));
}

static int bytewise(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static void packages(struct rows *rows, const struct inventory *inv)
{
    for (size_t i = 0; i < inv->packages_n; i++) {
        const struct package *p = &inv->packages[i];
        const struct str cells[] = {p->type, p->name, p->version, package_purl(rows->a, p, &inv->os),
                                    p->layer.n ? p->layer : p->path};
        add(rows, cells, ARRAY_LEN(cells));
    }
}

static void findings(struct rows *rows, const struct assessment *as)
{
    for (size_t i = 0; i < as->vulns_n; i++) {
        const struct finding *f = &as->vulns[i];
        const struct str cells[] = {
            f->id,    str_c(vuln_severity_name(f->severity)), f->package->type, f->package->name, f->package->version,
            f->fixed, str_c(vuln_status_name(f->status))};
        add(rows, cells, ARRAY_LEN(cells));
    }
}

void report_tsv(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct rows rows = {.a = a};
    if (r->list == REPORT_FINDINGS)
        findings(&rows, r->assessment);
    else
        packages(&rows, r->inventory);
    if (rows.n > 1)
        qsort(rows.v, rows.n, sizeof(*rows.v), bytewise);
    for (size_t i = 0; i < rows.n; i++) {
        buf_puts(b, rows.v[i]);
        buf_putc(b, '\n');
    }
}

void report_json(struct buf *b, const struct report *r)
{
    struct json_writer w = JSON_WRITER(b);
    assess_write(&w, r->inventory, r->assessment);
    buf_putc(b, '\n');
}
