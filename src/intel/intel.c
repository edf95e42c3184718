#include "intel/intel.h"

#include "base/cleanup.h"
#include "base/time.h"
#include "intel/ecosystem.h"
#include "intel/snapshot.h"

enum { SPACES_MAX = 65536, SNAPSHOT_ARENA = 32 << 20 };

struct str snapshot_peek(sqlite3_stmt *s, int column)
{
    const char *p = (const char *)sqlite3_column_text(s, column);
    return (struct str){p ? p : "", p ? (size_t)sqlite3_column_bytes(s, column) : 0};
}

struct str snapshot_text(struct arena *a, sqlite3_stmt *s, int column)
{
    return arena_str(a, snapshot_peek(s, column));
}

void snapshot_bind(sqlite3_stmt *s, int column, struct str text)
{
    sqlite3_bind_text(s, column, text.p ? text.p : "", (int)text.n, SQLITE_STATIC);
}

static int prepare(struct intel *i, const char *sql, sqlite3_stmt **ret, struct err *e)
{
    return sqlite3_prepare_v3(i->database.db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK
               ? 0
               : database_error(i->database.db, e, "not an intel database");
}

static int load_meta(struct intel *i, struct err *e)
{
    sqlite3_stmt *s;
    int r = prepare(i, "SELECT key, value FROM meta", &s, e);
    if (r < 0)
        return r;
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct str key = snapshot_peek(s, 0);
        if (str_eqc(key, "revision"))
            i->revision = snapshot_text(i->arena, s, 1);
        else if (str_eqc(key, "built") && str_i64(snapshot_peek(s, 1), &i->built) < 0)
            r = SQLITE_CORRUPT;
    }
    sqlite3_finalize(s);
    if (r != SQLITE_DONE || i->revision.n != 64)
        return err_set(e, EBADMSG, "not an intel database: no revision");
    return 0;
}

static int load_spaces(struct intel *i, struct err *e)
{
    sqlite3_stmt *s;
    size_t n = 0;
    int r = prepare(i, "SELECT id, name, scheme FROM space", &s, e);
    if (r < 0)
        return r;
    while ((r = sqlite3_step(s)) == SQLITE_ROW && n++ < SPACES_MAX) {
        struct space *space = arena_new_of(i->arena, struct space);
        space->id = sqlite3_column_int64(s, 0);
        space->name = snapshot_text(i->arena, s, 1);
        if (version_scheme_parse(snapshot_peek(s, 2), &space->scheme) < 0)
            break;
        map_put(i->spaces, space->name, space);
    }
    sqlite3_finalize(s);
    return r == SQLITE_DONE ? 0 : err_set(e, EBADMSG, "not an intel database: bad spaces");
}

static int load(struct intel *i, struct err *e)
{
    int r;
    if ((r = load_meta(i, e)) < 0 || (r = load_spaces(i, e)) < 0)
        return r;
    if ((r = prepare(i,
                     "SELECT id, feed, status, severity, fixed, ranges, versions FROM affected "
                     "WHERE space = ? AND name = ?",
                     &i->by_package, e)) < 0 ||
        (r = prepare(i, "SELECT feed, aliases, severity, cvss, vector, published, title FROM vuln WHERE id = ?",
                     &i->by_vuln, e)) < 0 ||
        (r = prepare(i, "SELECT v.id, v.aliases FROM alias a JOIN vuln v ON v.id = a.id WHERE a.alias = ?",
                     &i->by_alias, e)) < 0 ||
        (r = prepare(i, "SELECT epss FROM score WHERE id = ?", &i->by_score, e)) < 0)
        return r;
    return prepare(i, "SELECT title FROM kev WHERE id = ?", &i->by_kev, e);
}

int intel_open(const char *path, const char *key_path, int flags, struct intel **ret, struct err *e)
{
    if (!key_path && !(flags & INTEL_UNSIGNED_OK))
        return err_set(e, EKEYREJECTED, "intel %s: no key to verify it with", path);
    _cleanup_(intel_unrefp) struct intel *i = calloc(1, sizeof(*i));
    if (!i)
        abort();
    atomic_init(&i->refs, 1);
    pthread_mutex_init(&i->lock, NULL);
    i->arena = arena_new(SNAPSHOT_ARENA);
    i->spaces = map_new(SPACES_MAX);
    int r = database_open(path, key_path, &i->database, e);
    if (r < 0)
        return r;
    if ((r = load(i, e)) < 0)
        return err_wrap(e, "intel %s", path), r;
    *ret = TAKE(i);
    return 0;
}

struct intel *intel_ref(struct intel *i)
{
    atomic_fetch_add(&i->refs, 1);
    return i;
}

void intel_unref(struct intel *i)
{
    if (!i || atomic_fetch_sub(&i->refs, 1) != 1)
        return;
    sqlite3_finalize(i->by_package);
    sqlite3_finalize(i->by_vuln);
    sqlite3_finalize(i->by_alias);
    sqlite3_finalize(i->by_score);
    sqlite3_finalize(i->by_kev);
    database_close(&i->database);
    map_free(i->spaces);
    arena_free(i->arena);
    pthread_mutex_destroy(&i->lock);
    free(i);
}

void intel_unrefp(struct intel **i)
{
    intel_unref(*i);
}

bool intel_signed(const struct intel *i)
{
    return i->database.is_signed;
}

struct str intel_revision(const struct intel *i)
{
    return i->revision;
}

int64_t intel_built(const struct intel *i)
{
    return i->built;
}

uint64_t intel_serial(const struct intel *i)
{
    return i->database.terms.serial;
}

int64_t intel_expires(const struct intel *i)
{
    return i->database.terms.expires > 0 ? i->database.terms.expires : TIME_NEVER;
}

int intel_supersedes(const struct intel *fresh, const struct intel *old, int64_t now, struct err *e)
{
    char a[TIME_TEXT];
    if (intel_expires(fresh) <= now)
        return err_set(e, ESTALE, "this intel expired %s: somebody may be holding back updates",
                       time_format(intel_expires(fresh), a));
    if (old && intel_serial(fresh) < intel_serial(old))
        return err_set(e, ESTALE, "this intel (serial %" PRIu64 ") is older than the one in force (serial %" PRIu64 ")",
                       intel_serial(fresh), intel_serial(old));
    if (old && intel_serial(fresh) == intel_serial(old) && intel_built(fresh) < intel_built(old))
        return err_set(e, ESTALE, "this intel is older than the one in force");
    return 0;
}

bool intel_covers(const struct intel *i, const struct os_release *os)
{
    if (!os)
        return true;
    _cleanup_(arena_freep) struct arena *a = arena_new(1 << 20);
    struct ecosystem_lookup spaces[ECOSYSTEM_LOOKUPS];
    size_t n = ecosystem_os_spaces(a, os, spaces);
    for (size_t s = 0; s < n; s++)
        if (map_has(i->spaces, spaces[s].space))
            return true;
    return false;
}
