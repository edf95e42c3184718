#include "store/db.h"

#include "base/cleanup.h"

#include <sqlite3.h>
#include <stdarg.h>

#define BUSY_MS    10000
#define STATEMENTS 256 /* distinct SQL texts a connection keeps prepared */

struct db {
    sqlite3 *sq;
    bool writing;
    struct {
        const char *sql; /* by address: texts are static */
        sqlite3_stmt *stmt;
    } kept[STATEMENTS];
};

static int fault(struct db *db, struct err *e)
{
    int x = sqlite3_extended_errcode(db->sq);
    const char *msg = sqlite3_errmsg(db->sq);
    switch (x & 0xff) {
    case SQLITE_CONSTRAINT:
        return err_set(e, x == SQLITE_CONSTRAINT_UNIQUE || x == SQLITE_CONSTRAINT_PRIMARYKEY ? EEXIST : EINVAL,
                       "database: %s", msg);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, EBUSY, "database: %s", msg);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, EBADMSG, "database: %s", msg);
    case SQLITE_FULL:
        return err_set(e, ENOSPC, "database: %s", msg);
    case SQLITE_TOOBIG:
        return err_set(e, E2BIG, "database: %s", msg);
    case SQLITE_INTERRUPT:
        return err_set(e, ETIMEDOUT, "database: the query took too long");
    default:
        return err_set(e, EIO, "database: %s", msg);
    }
}

static int plain(struct db *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db->sq, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fault(db, e);
}

int db_open(const char *url, int flags, struct db **ret, struct err *e)
{
    struct str u = str_c(url);
    if (str_starts(u, STR("postgres://")) || str_starts(u, STR("postgresql://")))
        return err_set(e, ENOTSUP,
                       "database %s: PostgreSQL is not supported in this version; leave --database away for SQLite",
                       "postgres://...");
    const char *path = str_starts(u, STR("sqlite:")) ? url + 7 : url;
    struct db *db = calloc(1, sizeof(*db));
    if (!db)
        abort();
    int mode = flags & DB_READ_ONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int r = 0;
    if (sqlite3_open_v2(path, &db->sq, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
        r = db->sq ? fault(db, e) : err_set(e, ENOMEM, "database");
    } else {
        sqlite3_busy_timeout(db->sq, BUSY_MS);
        sqlite3_db_config(db->sq, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db->sq, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        r = plain(db, "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32768", e);
        if (r >= 0 && !(flags & DB_READ_ONLY))
            r = plain(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000", e);
    }
    if (r < 0) {
        db_close(db);
        return err_wrap(e, "%s", path);
    }
    *ret = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < STATEMENTS && db->kept[i].sql; i++)
        sqlite3_finalize(db->kept[i].stmt);
    sqlite3_close(db->sq);
    free(db);
}

static int prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *e)
{
    size_t i;
    for (i = 0; i < STATEMENTS && db->kept[i].sql; i++)
        if (db->kept[i].sql == sql) {
            *ret = db->kept[i].stmt;
            return 0;
        }
    if (i == STATEMENTS)
        return err_set(e, EIO, "database: too many statements"); /* a bug: texts must be static */
    if (sqlite3_prepare_v3(db->sq, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
        return fault(db, e);
    db->kept[i].sql = sql;
    db->kept[i].stmt = *ret;
    return 0;
}

static void bind_str(sqlite3_stmt *s, int at, struct str v)
{
    if (!v.p)
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_text(s, at, v.p, (int)v.n, SQLITE_STATIC);
}

static void bind(sqlite3_stmt *s, const char *format, va_list ap)
{
    sqlite3_clear_bindings(s);
    for (int at = 1; *format; format++, at++)
        switch (*format) {
        case 's':
            bind_str(s, at, va_arg(ap, struct str));
            break;
        case 'z':
            bind_str(s, at, str_c(va_arg(ap, const char *)));
            break;
        case 'b': {
            struct str v = va_arg(ap, struct str);
            sqlite3_bind_blob64(s, at, v.p, v.n, SQLITE_STATIC);
            break;
        }
        case 'i':
            sqlite3_bind_int64(s, at, va_arg(ap, int64_t));
            break;
        case 'd':
            sqlite3_bind_double(s, at, va_arg(ap, double));
            break;
        case 'n':
            sqlite3_bind_null(s, at);
            break;
        default:
            abort();
        }
}

int64_t db_run(struct db *db, struct err *e, const char *sql, const char *format, ...)
{
    sqlite3_stmt *s;
    int r = prepare(db, sql, &s, e);
    if (r < 0)
        return r;
    va_list ap;
    va_start(ap, format);
    bind(s, format, ap);
    va_end(ap);
    do
        r = sqlite3_step(s);
    while (r == SQLITE_ROW);
    int64_t ret = r == SQLITE_DONE ? sqlite3_changes64(db->sq) : fault(db, e);
    sqlite3_reset(s);
    return ret;
}

int db_query(struct db *db, struct db_rows *ret, struct err *e, const char *sql, const char *format, ...)
{
    sqlite3_stmt *s;
    *ret = (struct db_rows){db, NULL, false};
    int r = prepare(db, sql, &s, e);
    if (r < 0)
        return r;
    va_list ap;
    va_start(ap, format);
    bind(s, format, ap);
    va_end(ap);
    ret->stmt = s;
    return db_next(ret, e);
}

int db_query_built(struct db *db, struct db_rows *ret, struct err *e, const char *sql, const struct db_value *v,
                   size_t n)
{
    sqlite3_stmt *s;
    *ret = (struct db_rows){db, NULL, true};
    if (sqlite3_prepare_v2(db->sq, sql, -1, &s, NULL) != SQLITE_OK)
        return fault(db, e);
    for (size_t i = 0; i < n; i++)
        if (v[i].text)
            bind_str(s, (int)i + 1, v[i].s);
        else
            sqlite3_bind_int64(s, (int)i + 1, v[i].i);
    ret->stmt = s;
    return db_next(ret, e);
}

int db_next(struct db_rows *q, struct err *e)
{
    if (!q->stmt)
        return 0;
    int r = sqlite3_step(q->stmt);
    if (r == SQLITE_ROW)
        return 1;
    r = r == SQLITE_DONE ? 0 : fault(q->db, e);
    db_end(q);
    return r;
}

void db_end(struct db_rows *q)
{
    if (q->once)
        sqlite3_finalize(q->stmt);
    else if (q->stmt)
        sqlite3_reset(q->stmt);
    q->stmt = NULL;
}

struct str db_str(const struct db_rows *q, int column)
{
    const void *p = sqlite3_column_blob(q->stmt, column);
    int n = sqlite3_column_bytes(q->stmt, column);
    if (sqlite3_column_type(q->stmt, column) == SQLITE_NULL)
        return STR_NONE;
    return str_n(p ? p : "", (size_t)n);
}

int64_t db_i64(const struct db_rows *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}
double db_double(const struct db_rows *q, int column)
{
    return sqlite3_column_double(q->stmt, column);
}
bool db_null(const struct db_rows *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

struct str db_copy(struct arena *a, const struct db_rows *q, int column)
{
    struct str s = db_str(q, column);
    return s.p ? arena_str(a, s) : STR_NONE;
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->sq);
}

int db_begin(struct db *db, struct err *e)
{
    int r = plain(db, "BEGIN IMMEDIATE", e);
    db->writing = r >= 0;
    return r;
}

int db_commit(struct db *db, struct err *e)
{
    if (!db->writing)
        return err_set(e, EIO, "database: no transaction");
    int r = plain(db, "COMMIT", e);
    if (r < 0)
        plain(db, "ROLLBACK", NULL);
    db->writing = false;
    return r;
}

void db_rollback(struct db *db)
{
    if (db->writing)
        plain(db, "ROLLBACK", NULL);
    db->writing = false;
}

/* ---- hot paths: a db_stmt is a sqlite3_stmt ---- */

int db_prepare(struct db *db, const char *sql, struct db_stmt **ret, struct err *e)
{
    return prepare(db, sql, (sqlite3_stmt **)ret, e);
}

void db_bind_i64(struct db_stmt *s, int at, int64_t v)
{
    sqlite3_bind_int64((sqlite3_stmt *)s, at, v);
}
void db_bind_str(struct db_stmt *s, int at, struct str v)
{
    bind_str((sqlite3_stmt *)s, at, v);
}

int db_exec(struct db *db, struct db_stmt *s, struct err *e)
{
    int r = sqlite3_step((sqlite3_stmt *)s) == SQLITE_DONE ? 0 : fault(db, e);
    sqlite3_reset((sqlite3_stmt *)s);
    return r;
}
