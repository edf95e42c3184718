#include "intel/stage.h"

#include "base/cleanup.h"
#include "intel/database.h"
#include "intel/snapshot.h"

#include <fcntl.h>

static const char schema[] =
    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-32768;"
    "CREATE TABLE space (name TEXT PRIMARY KEY, scheme TEXT) WITHOUT ROWID;"
    "CREATE TABLE date (feed TEXT PRIMARY KEY, newest INTEGER) WITHOUT ROWID;"
    "CREATE TABLE osv (rec INTEGER PRIMARY KEY, id TEXT, modified INTEGER, withdrawn INTEGER);"
    "CREATE TABLE affected (space TEXT, name TEXT, id TEXT, feed TEXT, n INTEGER, rec INTEGER, status INTEGER,"
    " severity INTEGER, fixed TEXT, ranges TEXT, versions TEXT);"
    "CREATE TABLE fixed (space TEXT, name TEXT, id TEXT, feed TEXT, status INTEGER, severity INTEGER, fixed TEXT,"
    " PRIMARY KEY (space, name, id, feed)) WITHOUT ROWID;"
    "CREATE TABLE ranged (space TEXT, name TEXT, id TEXT, feed TEXT, status INTEGER, severity INTEGER, ranges TEXT,"
    " PRIMARY KEY (space, name, id, feed, ranges)) WITHOUT ROWID;"
    "CREATE TABLE vuln (id TEXT, feed TEXT, rec INTEGER, aliases TEXT, severity INTEGER, cvss REAL, vector TEXT,"
    " published INTEGER, title TEXT, PRIMARY KEY (id, feed, rec)) WITHOUT ROWID;"
    "CREATE TABLE score (id TEXT PRIMARY KEY, epss REAL, percentile REAL) WITHOUT ROWID;"
    "CREATE TABLE kev (id TEXT PRIMARY KEY, added INTEGER, due INTEGER, ransomware INTEGER, title TEXT) WITHOUT ROWID;"
    "BEGIN;";

static const char *const inserts[] = {
    [STAGE_SPACE] = "INSERT OR REPLACE INTO space VALUES (?1, ?2)",
    [STAGE_DATE] = "INSERT INTO date VALUES (?1, CAST(?2 AS INTEGER)) "
                   "ON CONFLICT (feed) DO UPDATE SET newest = max(newest, excluded.newest)",
    [STAGE_OSV] = "INSERT INTO osv (id, modified, withdrawn) VALUES (?1, CAST(?2 AS INTEGER), CAST(?3 AS INTEGER))",
    [STAGE_AFFECTED] =
        "INSERT INTO affected VALUES (?1, ?2, ?3, ?4, ?10, ?11, CAST(?5 AS INTEGER), CAST(?6 AS INTEGER), "
        "?7, ?8, ?9)",
    /* of a tracker the last word, of lists of fixes the best one: see better() */
    [STAGE_FIXED] = "INSERT INTO fixed VALUES (?1, ?2, ?3, ?4, CAST(?5 AS INTEGER), CAST(?6 AS INTEGER), ?7) "
                    "ON CONFLICT DO UPDATE SET status = excluded.status, severity = max(severity, excluded.severity), "
                    "fixed = excluded.fixed WHERE better(feed, status, fixed, excluded.status, excluded.fixed)",
    [STAGE_RANGED] =
        "INSERT OR REPLACE INTO ranged VALUES (?1, ?2, ?3, ?4, CAST(?5 AS INTEGER), CAST(?6 AS INTEGER), ?7)",
    [STAGE_VULN] = "INSERT OR REPLACE INTO vuln VALUES (?1, ?2, ?9, ?3, CAST(?4 AS INTEGER), CAST(?5 AS REAL), ?6, "
                   "CAST(?7 AS INTEGER), ?8)",
    [STAGE_SCORE] = "INSERT OR REPLACE INTO score VALUES (?1, CAST(?2 AS REAL), CAST(?3 AS REAL))",
    [STAGE_KEV] =
        "INSERT OR REPLACE INTO kev VALUES (?1, CAST(?2 AS INTEGER), CAST(?3 AS INTEGER), CAST(?4 AS INTEGER), ?5)",
};

/* Does the second word on the same vulnerability, package and release replace the first? Of secdb the highest fix
 * counts (an earlier one was not enough), of rpm's errata the lowest ("el9_4" and "el9" have one each), a fix before
 * none. */
static void better(sqlite3_context *c, int n, sqlite3_value **v)
{
    static const struct {
        const char *feed;
        enum version_scheme scheme;
        int order; /* of the one that counts to the other */
    } feeds[] = {{"alpine", VERSION_APK, 1},   {"wolfi", VERSION_APK, 1},       {"chainguard", VERSION_APK, 1},
                 {"redhat", VERSION_RPM, -1},  {"oracle", VERSION_RPM, -1},     {"suse", VERSION_RPM, -1},
                 {"amazon", VERSION_RPM, -1},  {"alma", VERSION_RPM, -1},       {"rocky", VERSION_RPM, -1},
                 {"fedora", VERSION_RPM, -1},  {"azure", VERSION_RPM, -1},      {"photon", VERSION_RPM, -1},
                 {"ubuntu", VERSION_DPKG, -1}, {"debian-list", VERSION_DPKG, 1}};
    struct str feed = str_c((const char *)sqlite3_value_text(v[0]));
    struct str a = str_c((const char *)sqlite3_value_text(v[2])), b = str_c((const char *)sqlite3_value_text(v[4]));
    int had = sqlite3_value_int(v[1]), has = sqlite3_value_int(v[3]), order;
    bool replace = true;
    for (size_t i = 0; i < ARRAY_LEN(feeds); i++) {
        if (!str_eqc(feed, feeds[i].feed))
            continue;
        if ((had == VULN_FIXED) != (has == VULN_FIXED))
            replace = has == VULN_FIXED;
        else if (had == VULN_FIXED)
            replace = version_compare(feeds[i].scheme, b, a, &order) == 0 && order == feeds[i].order;
    }
    sqlite3_result_int(c, replace);
}

int stage_open(struct stage *s, const char *output, struct err *e)
{
    *s = (struct stage){0};
    if (snprintf(s->path, sizeof(s->path), "%s.stage-XXXXXX", output) >= (int)sizeof(s->path)) {
        s->path[0] = 0;
        return err_set(e, ENAMETOOLONG, "%s", output);
    }
    int fd = mkostemp(s->path, O_CLOEXEC);
    if (fd < 0) {
        int r = err_errno(e, "cannot write beside %s", output);
        s->path[0] = 0;
        return r;
    }
    close(fd);
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return database_error(s->db, e, "staging");
    if (sqlite3_create_function_v2(s->db, "better", 5, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, better, NULL, NULL,
                                   NULL) != SQLITE_OK)
        return database_error(s->db, e, "staging");
    int r = database_exec(s->db, schema, e);
    for (size_t i = 0; i < STAGE_INSERTS && r == 0; i++)
        if (sqlite3_prepare_v3(s->db, inserts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->insert[i], NULL) != SQLITE_OK)
            r = database_error(s->db, e, "staging");
    return r;
}

void stage_close(struct stage *s)
{
    for (size_t i = 0; i < STAGE_INSERTS; i++)
        sqlite3_finalize(s->insert[i]);
    if (s->db)
        sqlite3_close_v2(s->db);
    if (s->path[0])
        unlink(s->path);
    *s = (struct stage){0};
}

static int insert(struct stage *s, enum stage_insert what, const struct record *r, int fields, struct err *e)
{
    sqlite3_stmt *st = s->insert[what];
    for (int i = 0; i < fields; i++)
        snapshot_bind(st, i + 1, r->f[i]);
    int code = sqlite3_step(st);
    sqlite3_reset(st);
    return code == SQLITE_DONE ? 0 : database_error(s->db, e, "staging");
}

static int take_affected(struct stage *s, const struct record *r, struct err *e)
{
    if (!str_eqc(r->f[3], "osv") && r->f[7].n) {
        struct record ranged = *r;
        ranged.f[6] = r->f[7];
        return insert(s, STAGE_RANGED, &ranged, 7, e);
    }
    if (!str_eqc(r->f[3], "osv"))
        return insert(s, STAGE_FIXED, r, 7, e);
    if (!s->osv)
        return err_set(e, EBADMSG, "the feed parser sent rows of no record");
    sqlite3_bind_int64(s->insert[STAGE_AFFECTED], 10, s->n++);
    sqlite3_bind_int64(s->insert[STAGE_AFFECTED], 11, s->osv);
    return insert(s, STAGE_AFFECTED, r, 9, e);
}

int stage_take(struct stage *s, const struct record *r, struct err *e)
{
    int q;
    switch (r->type) {
    case RECORD_FILE:
        s->osv = 0;
        return 0;
    case RECORD_SPACE:
        return insert(s, STAGE_SPACE, r, 2, e);
    case RECORD_DATE:
        return insert(s, STAGE_DATE, r, 2, e);
    case RECORD_OSV:
        if ((q = insert(s, STAGE_OSV, r, 3, e)) < 0)
            return q;
        s->osv = sqlite3_last_insert_rowid(s->db);
        s->n = 0;
        return 0;
    case RECORD_AFFECTED:
        return take_affected(s, r, e);
    case RECORD_VULN:
        sqlite3_bind_int64(s->insert[STAGE_VULN], 9, str_eqc(r->f[1], "osv") ? s->osv : 0);
        return insert(s, STAGE_VULN, r, 8, e);
    case RECORD_SCORE:
        return insert(s, STAGE_SCORE, r, 3, e);
    case RECORD_KEV:
        return insert(s, STAGE_KEV, r, 5, e);
    default:
        return 0;
    }
}

/* Of each OSV id the newest record, unless that one was withdrawn. Everything goes in in the order of its key. */
static const char transfer[] =
    "CREATE TABLE stage.chosen AS SELECT rec FROM (SELECT rec, withdrawn, row_number() OVER "
    " (PARTITION BY id ORDER BY modified DESC, rec DESC) AS k FROM stage.osv) WHERE k = 1 AND NOT withdrawn ORDER BY "
    "rec;"
    "CREATE UNIQUE INDEX stage.chosen_rec ON chosen (rec);"
    "INSERT INTO space (name, scheme) SELECT name, scheme FROM stage.space ORDER BY name;"
    "INSERT INTO affected SELECT s.id, a.name, a.id, a.feed, a.n, a.status, a.severity, a.fixed, a.ranges, a.versions "
    "FROM"
    " (SELECT space, name, id, feed, row_number() OVER (PARTITION BY space, name, id, feed ORDER BY rec, n) AS n, "
    "status,"
    "   severity, fixed, ranges, versions FROM stage.affected WHERE rec IN (SELECT rec FROM stage.chosen)"
    "  UNION ALL SELECT space, name, id, feed, 0, status, severity, fixed, '', '' FROM stage.fixed"
    "   WHERE feed <> 'debian-list'"
    "  UNION ALL SELECT space, name, id, 'debian', 0, status, severity, fixed, '', '' FROM stage.fixed"
    "   WHERE feed = 'debian-list' AND space NOT IN (SELECT space FROM stage.fixed WHERE feed = 'debian')"
    "  UNION ALL SELECT space, name, id, feed, row_number() OVER (PARTITION BY space, name, id, feed ORDER BY ranges),"
    "   status, severity, '', ranges, '' FROM stage.ranged) a"
    " JOIN space s ON s.name = a.space ORDER BY s.id, a.name, a.id, a.feed, a.n;"
    "INSERT INTO vuln SELECT id, feed, aliases, severity, cvss, vector, published, title FROM stage.vuln"
    " WHERE rec = 0 OR rec IN (SELECT rec FROM stage.chosen) ORDER BY id, feed;"
    "INSERT OR IGNORE INTO alias SELECT alias, id FROM (WITH RECURSIVE cut(id, alias, rest) AS ("
    "  SELECT id, '', aliases || ' ' FROM vuln WHERE aliases <> ''"
    "  UNION ALL SELECT id, substr(rest, 1, instr(rest, ' ') - 1), substr(rest, instr(rest, ' ') + 1) FROM cut WHERE "
    "rest <> '')"
    " SELECT DISTINCT alias, id FROM cut WHERE alias <> '') ORDER BY alias, id;"
    "INSERT INTO score SELECT id, epss, percentile FROM stage.score ORDER BY id;"
    "INSERT INTO kev SELECT id, added, due, ransomware, title FROM stage.kev ORDER BY id;"
    "INSERT INTO feed SELECT d.feed, CASE d.feed WHEN 'epss' THEN (SELECT count(*) FROM score)"
    "  WHEN 'kev' THEN (SELECT count(*) FROM kev) WHEN 'nvd' THEN (SELECT count(*) FROM vuln WHERE feed = 'nvd')"
    "  ELSE (SELECT count(*) FROM affected a WHERE a.feed = d.feed) END, d.newest FROM stage.date d ORDER BY d.feed;"
    "INSERT INTO meta VALUES ('built', (SELECT coalesce(max(newest), 0) FROM feed));"
    "INSERT INTO meta VALUES ('format', '1');";

static int count(sqlite3 *db, const char *sql, uint64_t *ret, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW) {
        int r = database_error(db, e, "intel database");
        sqlite3_finalize(s);
        return r;
    }
    *ret = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return 0;
}

static int fill(sqlite3 *db, struct intel_build_report *report, struct err *e)
{
    uint64_t built = 0;
    char sql[256];
    int r;
    if ((r = database_exec(db, transfer, e)) < 0 || (r = database_revision(db, report->revision, e)) < 0)
        return r;
    snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES ('revision', '%s')", report->revision);
    if ((r = database_exec(db, sql, e)) < 0 ||
        (r = count(db, "SELECT count(*) FROM affected", &report->affected, e)) < 0 ||
        (r = count(db, "SELECT count(DISTINCT id) FROM vuln", &report->advisories, e)) < 0 ||
        (r = count(db, "SELECT count(*) FROM space", &report->spaces, e)) < 0 ||
        (r = count(db, "SELECT count(*) FROM score", &report->scores, e)) < 0 ||
        (r = count(db, "SELECT count(*) FROM kev", &report->kev, e)) < 0 ||
        (r = count(db, "SELECT value FROM meta WHERE key = 'built'", &built, e)) < 0)
        return r;
    report->built = (int64_t)built;
    return 0;
}

int stage_write(struct stage *s, const char *path, struct intel_build_report *report, struct err *e)
{
    char sql[512];
    int r = database_exec(s->db, "COMMIT", e);
    for (size_t i = 0; i < STAGE_INSERTS; i++) {
        sqlite3_finalize(s->insert[i]);
        s->insert[i] = NULL;
    }
    sqlite3_close_v2(s->db);
    s->db = NULL;
    if (r < 0)
        return r;
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return database_error(s->db, e, "intel database");
    char *attach = sqlite3_mprintf("ATTACH %Q AS stage", s->path);
    snprintf(sql, sizeof(sql),
             "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA auto_vacuum=NONE;"
             "PRAGMA cache_size=-32768; PRAGMA application_id=%d; PRAGMA user_version=%d",
             INTEL_APPLICATION_ID, INTEL_FORMAT);
    if ((r = database_exec(s->db, sql, e)) == 0 && (r = database_exec(s->db, attach, e)) == 0 &&
        (r = database_exec(s->db, "PRAGMA stage.journal_mode=OFF; PRAGMA stage.synchronous=OFF; BEGIN", e)) == 0 &&
        (r = database_create(s->db, e)) == 0 && (r = fill(s->db, report, e)) == 0)
        r = database_exec(s->db, "COMMIT", e);
    sqlite3_free(attach);
    if (r == 0)
        r = database_exec(s->db, "DETACH stage", e);
    if (sqlite3_close(s->db) != SQLITE_OK && r == 0)
        r = err_set(e, EIO, "intel database: cannot be closed");
    s->db = NULL;
    return r;
}
