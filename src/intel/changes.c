#include "intel/changes.h"

#include "base/cleanup.h"
#include "intel/diff.h"
#include "intel/ecosystem.h"
#include "intel/snapshot.h"

enum { IDS_MAX = 4000000 };
_Static_assert((int)INTEL_KEYS == (int)ECOSYSTEM_LOOKUPS, "one key for each look-up");

uint64_t intel_key(struct str space, struct str name)
{
    return str_hash(space) * UINT64_C(0x9e3779b97f4a7c15) ^ str_hash(name);
}

size_t intel_keys(struct arena *a, const struct package *p, const struct os_release *os,
                  uint64_t ret[static INTEL_KEYS])
{
    struct ecosystem_lookup lookups[ECOSYSTEM_LOOKUPS];
    bool is_os;
    size_t n = ecosystem_lookups(a, p, os, lookups, &is_os);
    for (size_t i = 0; i < n; i++)
        ret[i] = intel_key(lookups[i].space, lookups[i].name);
    return n;
}

static void add(struct intel_changes *c, uint64_t key)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 1024;
        c->keys = reallocarray(c->keys, c->cap, sizeof(*c->keys));
        if (!c->keys)
            abort();
    }
    c->keys[c->n++] = key;
}

static void on_row(void *arg, const struct intel_change *change)
{
    add(arg, intel_key(change->space, change->package));
}

/* ---- what is said about ids ---- */

struct words {
    sqlite3_stmt *s;
    int r;
};

static int open_words(struct intel *i, const char *sql, struct words *w, struct err *e)
{
    if (sqlite3_prepare_v2(i->database.db, sql, -1, &w->s, NULL) != SQLITE_OK)
        return database_error(i->database.db, e, "intel database");
    w->r = sqlite3_step(w->s);
    return 0;
}

/* By the first two columns, which are the key. */
static int order(const struct words *x, const struct words *y)
{
    if (x->r != SQLITE_ROW || y->r != SQLITE_ROW)
        return x->r == SQLITE_ROW ? -1 : 1;
    int r = str_cmp(snapshot_peek(x->s, 0), snapshot_peek(y->s, 0));
    return r ? r : str_cmp(snapshot_peek(x->s, 1), snapshot_peek(y->s, 1));
}

static bool same(const struct words *x, const struct words *y)
{
    for (int c = 2; c < sqlite3_column_count(x->s); c++)
        if (!str_eq(snapshot_peek(x->s, c), snapshot_peek(y->s, c)))
            return false;
    return true;
}

static void mark(struct map *ids, const struct words *w, bool aliases)
{
    struct str alias, list = aliases ? snapshot_peek(w->s, 2) : STR_NONE;
    if (map_count(ids) < IDS_MAX)
        map_put(ids, snapshot_peek(w->s, 0), ids);
    while (str_cut(&list, ' ', &alias)) /* rows may go by the other name */
        if (alias.n && map_count(ids) < IDS_MAX)
            map_put(ids, alias, ids);
}

static int merge(struct intel *a, struct intel *b, const char *sql, bool aliases, struct map *ids, struct err *e)
{
    struct words x = {0}, y = {0};
    int r = open_words(a, sql, &x, e);
    if (r == 0)
        r = open_words(b, sql, &y, e);
    while (r == 0 && (x.r == SQLITE_ROW || y.r == SQLITE_ROW)) {
        int o = order(&x, &y);
        if (o || !same(&x, &y)) {
            if (o <= 0)
                mark(ids, &x, aliases);
            if (o >= 0)
                mark(ids, &y, aliases);
        }
        if (o <= 0)
            x.r = sqlite3_step(x.s);
        if (o >= 0)
            y.r = sqlite3_step(y.s);
    }
    if (r == 0 && x.r != SQLITE_DONE)
        r = database_error(a->database.db, e, "intel database");
    if (r == 0 && y.r != SQLITE_DONE)
        r = database_error(b->database.db, e, "intel database");
    sqlite3_finalize(x.s);
    sqlite3_finalize(y.s);
    return r;
}

/* Packages with rows about these ids; a row's own id, or an alias of it, may be the one. */
static int packages_of(struct intel *i, const struct map *ids, struct intel_changes *ret, struct err *e)
{
    sqlite3_stmt *s;
    int r;
    if (sqlite3_prepare_v2(i->database.db, "SELECT s.name, a.name, a.id FROM affected a JOIN space s ON s.id = a.space",
                           -1, &s, NULL) != SQLITE_OK)
        return database_error(i->database.db, e, "intel database");
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        if (map_has(ids, snapshot_peek(s, 2)))
            add(ret, intel_key(snapshot_peek(s, 0), snapshot_peek(s, 1)));
    sqlite3_finalize(s);
    return r == SQLITE_DONE ? 0 : database_error(i->database.db, e, "intel database");
}

/* Rows under another name of a changed id: GHSA-... for a CVE whose score changed. */
static int other_names(struct intel *i, struct map *ids, struct err *e)
{
    sqlite3_stmt *s;
    int r;
    if (sqlite3_prepare_v2(i->database.db, "SELECT alias, id FROM alias", -1, &s, NULL) != SQLITE_OK)
        return database_error(i->database.db, e, "intel database");
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        if (map_has(ids, snapshot_peek(s, 0)) && map_count(ids) < IDS_MAX)
            map_put(ids, snapshot_peek(s, 1), ids);
    sqlite3_finalize(s);
    return r == SQLITE_DONE ? 0 : database_error(i->database.db, e, "intel database");
}

static int by_number(const void *p, const void *q)
{
    uint64_t a = *(const uint64_t *)p, b = *(const uint64_t *)q;
    return (a > b) - (a < b);
}

static int collect(struct intel *a, struct intel *b, int flags, struct map *ids, struct intel_changes *ret,
                   struct err *e)
{
    struct intel_diff d = {on_row, ret};
    int r;
    if ((r = intel_diff(a, b, &d, e)) < 0 ||
        (r = merge(a, b, "SELECT id, feed, aliases, severity, cvss, vector, published, title FROM vuln ORDER BY 1, 2",
                   true, ids, e)) < 0 ||
        (r = merge(a, b, "SELECT id, '', added, ransomware FROM kev ORDER BY 1", false, ids, e)) < 0)
        return r;
    if ((flags & INTEL_CHANGES_SCORES) &&
        (r = merge(a, b, "SELECT id, '', epss FROM score ORDER BY 1", false, ids, e)) < 0)
        return r;
    if (!map_count(ids))
        return 0;
    if ((r = other_names(a, ids, e)) < 0 || (r = other_names(b, ids, e)) < 0 || (r = packages_of(a, ids, ret, e)) < 0)
        return r;
    return packages_of(b, ids, ret, e);
}

int intel_changes(struct intel *a, struct intel *b, int flags, struct intel_changes *ret, struct err *e)
{
    _cleanup_(map_freep) struct map *ids = map_new(IDS_MAX + 1);
    struct intel_changes c = {0};
    size_t n = 0;
    int r = str_eq(intel_revision(a), intel_revision(b)) ? 0 : collect(a, b, flags, ids, &c, e);
    if (r < 0) {
        intel_changes_fini(&c);
        return r;
    }
    if (map_count(ids) >= IDS_MAX)
        return intel_changes_fini(&c), err_set(e, E2BIG, "more than %d ids differ", IDS_MAX);
    if (c.n)
        qsort(c.keys, c.n, sizeof(*c.keys), by_number);
    for (size_t i = 0; i < c.n; i++)
        if (!n || c.keys[n - 1] != c.keys[i])
            c.keys[n++] = c.keys[i];
    c.n = n;
    *ret = c;
    return 0;
}

void intel_changes_fini(struct intel_changes *c)
{
    free(c->keys);
    *c = (struct intel_changes){0};
}

bool intel_changes_has(const struct intel_changes *c, uint64_t key)
{
    return c->n && bsearch(&key, c->keys, c->n, sizeof(*c->keys), by_number);
}
