/* show, info, check, diff: the database told to people. */
#include "base/cleanup.h"
#include "base/time.h"
#include "format/json.h"
#include "intel/diff.h"
#include "intel/snapshot.h"

enum { JSON_MAX = 64 << 20 };

static void k_date(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    if (t > 0)
        json_w_kstr(w, key, str_c(time_format(t, text)));
    else
        json_w_kstr(w, key, STR_NONE);
}

static void k_double(struct json_writer *w, const char *key, double v)
{
    json_w_key(w, key);
    if (v < 0)
        json_w_null(w);
    else
        json_w_double(w, v);
}

static void k_lines(struct json_writer *w, const char *key, struct str text, char sep)
{
    struct str line;
    json_w_karray(w, key);
    while (str_cut(&text, sep, &line))
        if (line.n)
            json_w_str(w, line);
    json_w_end(w);
}

static void write_vuln(sqlite3_stmt *s, struct json_writer *w)
{
    enum vuln_severity severity = (enum vuln_severity)sqlite3_column_int(s, 3);
    json_w_object(w);
    json_w_kstr(w, "id", snapshot_peek(s, 0));
    json_w_kstr(w, "feed", snapshot_peek(s, 1));
    k_lines(w, "aliases", snapshot_peek(s, 2), ' ');
    json_w_kstrz(w, "severity", vuln_severity_name(severity));
    k_double(w, "cvss", sqlite3_column_double(s, 4));
    json_w_kstr(w, "vector", snapshot_peek(s, 5));
    k_date(w, "published", sqlite3_column_int64(s, 6));
    json_w_kstr(w, "title", snapshot_peek(s, 7));
    json_w_end(w);
}

static void write_affected(sqlite3_stmt *s, struct json_writer *w)
{
    json_w_object(w);
    json_w_kstr(w, "id", snapshot_peek(s, 2));
    json_w_kstr(w, "space", snapshot_peek(s, 0));
    json_w_kstr(w, "package", snapshot_peek(s, 1));
    json_w_kstr(w, "feed", snapshot_peek(s, 3));
    json_w_kstrz(w, "status", vuln_status_name((enum vuln_status)sqlite3_column_int(s, 4)));
    json_w_kstrz(w, "severity", vuln_severity_name((enum vuln_severity)sqlite3_column_int(s, 5)));
    json_w_kstr(w, "fixed", snapshot_peek(s, 6));
    k_lines(w, "ranges", snapshot_peek(s, 7), '\n');
    k_lines(w, "versions", snapshot_peek(s, 8), '\n');
    json_w_end(w);
}

static void write_score(sqlite3_stmt *s, struct json_writer *w)
{
    json_w_object(w);
    json_w_kstr(w, "id", snapshot_peek(s, 0));
    k_double(w, "epss", sqlite3_column_double(s, 1));
    k_double(w, "percentile", sqlite3_column_double(s, 2));
    json_w_end(w);
}

static void write_kev(sqlite3_stmt *s, struct json_writer *w)
{
    json_w_object(w);
    json_w_kstr(w, "id", snapshot_peek(s, 0));
    k_date(w, "added", sqlite3_column_int64(s, 1));
    k_date(w, "due", sqlite3_column_int64(s, 2));
    json_w_kbool(w, "ransomware", sqlite3_column_int(s, 3) != 0);
    json_w_kstr(w, "title", snapshot_peek(s, 4));
    json_w_end(w);
}

/* Rows of a query with the id bound once, as an array; *ret_n counts them. */
static int rows(struct intel *i, const char *key, const char *sql, struct str id,
                void (*write)(sqlite3_stmt *, struct json_writer *), struct json_writer *w, size_t *ret_n,
                struct err *e)
{
    sqlite3_stmt *s;
    int r;
    if (sqlite3_prepare_v2(i->database.db, sql, -1, &s, NULL) != SQLITE_OK)
        return database_error(i->database.db, e, "intel database");
    if (sqlite3_bind_parameter_count(s))
        snapshot_bind(s, 1, id);
    json_w_karray(w, key);
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        write(s, w);
        ++*ret_n;
    }
    json_w_end(w);
    sqlite3_finalize(s);
    return r == SQLITE_DONE ? 0 : database_error(i->database.db, e, "intel database");
}

/* the id itself, what it is an alias of, and the aliases of its records */
#define IDS                                                                                                            \
    " IN (SELECT ?1 UNION SELECT id FROM alias WHERE alias = ?1 UNION SELECT alias FROM alias WHERE id = ?1"           \
    " UNION SELECT b.id FROM alias a JOIN alias b ON b.alias = a.alias WHERE a.id = ?1)"

int intel_show(struct intel *i, struct arena *a, struct str id, struct str *ret_json, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(JSON_MAX);
    struct json_writer w = JSON_WRITER(&b);
    size_t n = 0;
    int r;
    pthread_mutex_lock(&i->lock);
    json_w_object(&w);
    json_w_kstr(&w, "id", id);
    if ((r = rows(i, "vulnerabilities",
                  "SELECT id, feed, aliases, severity, cvss, vector, published, title FROM vuln WHERE id" IDS
                  " ORDER BY id, feed",
                  id, write_vuln, &w, &n, e)) == 0 &&
        (r = rows(
             i, "affected",
             "SELECT s.name, a.name, a.id, a.feed, a.status, a.severity, a.fixed, a.ranges, a.versions FROM affected a "
             "JOIN space s ON s.id = a.space WHERE a.id" IDS " ORDER BY s.name, a.name, a.id, a.feed, a.n",
             id, write_affected, &w, &n, e)) == 0 &&
        (r = rows(i, "scores", "SELECT id, epss, percentile FROM score WHERE id" IDS, id, write_score, &w, &n, e)) == 0)
        r = rows(i, "exploited", "SELECT id, added, due, ransomware, title FROM kev WHERE id" IDS, id, write_kev, &w,
                 &n, e);
    pthread_mutex_unlock(&i->lock);
    json_w_end(&w);
    if (r < 0 || (r = buf_check(&b, e)) < 0)
        return r;
    if (!n)
        return err_set(e, ENOENT, "nothing is known about " STR_FMT, STR_ARG(id));
    *ret_json = arena_str(a, buf_str(&b));
    return 0;
}

static void write_feed(sqlite3_stmt *s, struct json_writer *w)
{
    json_w_object(w);
    json_w_kstr(w, "name", snapshot_peek(s, 0));
    json_w_ki64(w, "records", sqlite3_column_int64(s, 1));
    k_date(w, "newest", sqlite3_column_int64(s, 2));
    json_w_end(w);
}

static void write_space(sqlite3_stmt *s, struct json_writer *w)
{
    json_w_object(w);
    json_w_kstr(w, "name", snapshot_peek(s, 0));
    json_w_kstr(w, "scheme", snapshot_peek(s, 1));
    json_w_ki64(w, "affected", sqlite3_column_int64(s, 2));
    json_w_end(w);
}

int intel_info(struct intel *i, struct arena *a, struct str *ret_json, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(JSON_MAX);
    struct json_writer w = JSON_WRITER(&b);
    size_t n = 0;
    int r;
    pthread_mutex_lock(&i->lock);
    json_w_object(&w);
    json_w_ki64(&w, "format", INTEL_FORMAT);
    json_w_kstr(&w, "revision", i->revision);
    k_date(&w, "built", i->built);
    json_w_kbool(&w, "signed", i->database.is_signed);
    json_w_ki64(&w, "serial", (int64_t)intel_serial(i));
    k_date(&w, "expires", i->database.terms.expires);
    json_w_ki64(&w, "bytes", (int64_t)i->database.map_n);
    if ((r = rows(i, "feeds", "SELECT name, records, newest FROM feed ORDER BY name", STR_NONE, write_feed, &w, &n,
                  e)) == 0)
        r = rows(i, "spaces",
                 "SELECT s.name, s.scheme, (SELECT count(*) FROM affected a WHERE a.space = s.id) FROM space s ORDER "
                 "BY s.name",
                 STR_NONE, write_space, &w, &n, e);
    pthread_mutex_unlock(&i->lock);
    json_w_end(&w);
    if (r < 0 || (r = buf_check(&b, e)) < 0)
        return r;
    *ret_json = arena_str(a, buf_str(&b));
    return 0;
}

static int integrity(struct intel *i, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(i->database.db, "PRAGMA integrity_check(1)", -1, &s, NULL) != SQLITE_OK)
        return database_error(i->database.db, e, "intel database");
    int r = sqlite3_step(s);
    bool fine = r == SQLITE_ROW && str_eqc(snapshot_peek(s, 0), "ok");
    sqlite3_finalize(s);
    return fine ? 0 : err_set(e, EBADMSG, "the intel database is damaged inside");
}

int intel_check(struct intel *i, struct err *e)
{
    char revision[65];
    pthread_mutex_lock(&i->lock);
    int r = integrity(i, e);
    if (r == 0)
        r = database_revision(i->database.db, revision, e);
    pthread_mutex_unlock(&i->lock);
    if (r == 0 && !str_eqc(i->revision, revision))
        r = err_set(e, EBADMSG, "the rows of the intel database do not give its revision");
    return r;
}

/* ---- diff: a merge of the two databases in the order of their keys ---- */

static const char diff_sql[] = "SELECT s.name, a.name, a.id, a.feed, a.n, a.status, a.severity, a.fixed, a.ranges, "
                               "a.versions FROM space s CROSS JOIN affected a ON a.space = s.id "
                               "ORDER BY s.name, a.space, a.name, a.id, a.feed, a.n";
enum { DIFF_KEYS = 5, DIFF_COLUMNS = 10 };

static int key_cmp(sqlite3_stmt *a, sqlite3_stmt *b)
{
    for (int c = 0; c < DIFF_KEYS; c++) {
        int64_t x = c == 4 ? sqlite3_column_int64(a, c) : 0, y = c == 4 ? sqlite3_column_int64(b, c) : 0;
        int diff = c == 4 ? (x > y) - (x < y) : str_cmp(snapshot_peek(a, c), snapshot_peek(b, c));
        if (diff)
            return diff;
    }
    return 0;
}

static bool same_values(sqlite3_stmt *a, sqlite3_stmt *b)
{
    for (int c = DIFF_KEYS; c < DIFF_COLUMNS; c++)
        if (!str_eq(snapshot_peek(a, c), snapshot_peek(b, c)))
            return false;
    return true;
}

static void tell(char sign, sqlite3_stmt *s, const struct intel_diff *d)
{
    struct intel_change c = {sign,
                             snapshot_peek(s, 0),
                             snapshot_peek(s, 1),
                             snapshot_peek(s, 2),
                             snapshot_peek(s, 7),
                             (enum vuln_status)sqlite3_column_int(s, 5)};
    d->tell(d->arg, &c);
}

int intel_diff(struct intel *a, struct intel *b, const struct intel_diff *d, struct err *e)
{
    sqlite3_stmt *x = NULL, *y = NULL;
    int r = 0;
    if (sqlite3_prepare_v2(a->database.db, diff_sql, -1, &x, NULL) != SQLITE_OK)
        return database_error(a->database.db, e, "intel database");
    if (sqlite3_prepare_v2(b->database.db, diff_sql, -1, &y, NULL) != SQLITE_OK) {
        sqlite3_finalize(x);
        return database_error(b->database.db, e, "intel database");
    }
    int p = sqlite3_step(x), q = sqlite3_step(y);
    while (p == SQLITE_ROW || q == SQLITE_ROW) {
        int order = p != SQLITE_ROW ? 1 : q != SQLITE_ROW ? -1 : key_cmp(x, y);
        if (order == 0 && !same_values(x, y))
            tell('~', y, d);
        else if (order)
            tell(order < 0 ? '-' : '+', order < 0 ? x : y, d);
        if (order <= 0)
            p = sqlite3_step(x);
        if (order >= 0)
            q = sqlite3_step(y);
    }
    if (p != SQLITE_DONE)
        r = database_error(a->database.db, e, "intel database");
    else if (q != SQLITE_DONE)
        r = database_error(b->database.db, e, "intel database");
    sqlite3_finalize(x);
    sqlite3_finalize(y);
    return r;
}
