/* db: one small interface to the database, over SQLite (PostgreSQL: later, behind the same functions).
 *
 * A struct db is one connection, used by one thread at a time; struct store holds one writer and some readers for a
 * whole program. SQL is static text with ?1 ?2 ...; values are only ever bound, never pasted. Statements are prepared
 * once per connection and text. Foreign keys are on; the file is in WAL mode and every commit is on disk when it
 * returns (the console says "ack" after it).
 *
 *     struct db *db;
 *     if ((r = store_write(s, &db, e)) < 0) return r;       // locks, begins a transaction
 *     if ((r = db_run(db, e, "INSERT INTO t(a,b) VALUES(?1,?2)", "si", name, n)) < 0) return store_abort(s, r);
 *     return store_commit(s, e);
 *
 *     struct db *db = store_read(s); struct db_rows q;      // a consistent snapshot
 *     for (r = db_query(db, &q, e, "SELECT a FROM t WHERE b=?1", "i", n); r > 0; r = db_next(&q, e))
 *         use(db_str(&q, 0));                               // valid until db_next
 *     store_done(s, db);
 *
 * Formats of db_run and db_query, one letter a value: s struct str (NULL when p is NULL), z const char *, b struct str
 * as bytes, i int64_t, d double, n nothing (NULL).
 */
#ifndef BULKHEAD_STORE_DB_H
#define BULKHEAD_STORE_DB_H

#include "base/arena.h"
#include "base/embedded.h"
#include "base/err.h"

struct db;

/* ---- one connection ---- */
enum { DB_READ_ONLY = 1 };
/* url: a file, sqlite:FILE, or postgres://... (-ENOTSUP in this version). */
int db_open(const char *url, int flags, struct db **ret, struct err *e);
void db_close(struct db *db); /* NULL is fine */

/* -EEXIST: a unique or primary key is there already; -EBUSY: locked for longer than 10 s; -EBADMSG: the file is
 * damaged or no database; -ENOSPC; else -EIO. Returns the number of rows changed. */
int64_t db_run(struct db *db, struct err *e, const char *sql, const char *format, ...);

struct db_rows {
    struct db *db;
    void *stmt;
    bool once;
};
/* First row: 1 there is one, 0 none. A query is over when db_next or db_query gave 0 or an error, or by db_end. The
 * same text may not run twice at a time on one connection. */
int db_query(struct db *db, struct db_rows *ret, struct err *e, const char *sql, const char *format, ...);
int db_next(struct db_rows *q, struct err *e);
void db_end(struct db_rows *q);
/* For a text that was put together (of static parts; values only as ?N): prepared for this once. */
struct db_value {
    bool text;
    struct str s;
    int64_t i;
};
int db_query_built(struct db *db, struct db_rows *ret, struct err *e, const char *sql, const struct db_value *v,
                   size_t n);
struct str db_str(const struct db_rows *q, int column); /* text or bytes; STR_NONE for NULL */
int64_t db_i64(const struct db_rows *q, int column);
double db_double(const struct db_rows *q, int column);
bool db_null(const struct db_rows *q, int column);
/* As a value in an arena */
struct str db_copy(struct arena *a, const struct db_rows *q, int column);

int64_t db_last_id(struct db *db);
int db_begin(struct db *db, struct err *e); /* takes the write lock at once */
int db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db);

/* Hot paths: a statement of one's own, without formats. */
struct db_stmt;
int db_prepare(struct db *db, const char *sql, struct db_stmt **ret,
               struct err *e); /* lives as long as the connection */
void db_bind_i64(struct db_stmt *s, int at, int64_t v);
void db_bind_str(struct db_stmt *s, int at, struct str v); /* borrowed until the next db_exec returned */
int db_exec(struct db *db, struct db_stmt *s, struct err *e);

/* ---- a whole program's ---- */
struct store;
/* Opens, migrates (each file of `migrations` once, in the order of their names, each in a transaction). */
int store_open(const char *url, unsigned readers, const struct embedded *migrations, struct store **ret, struct err *e);
void store_close(struct store *s);
int store_write(struct store *s, struct db **ret, struct err *e); /* waits for the writer, begins a transaction */
int store_commit(struct store *s, struct err *e);                 /* unlocks in any case */
int store_abort(struct store *s, int r);                          /* rolls back, unlocks, returns r */
struct db *store_read(struct store *s);                           /* waits for a reader; a snapshot until store_done */
void store_done(struct store *s, struct db *db);                  /* NULL is fine */

extern const struct embedded store_migrations[]; /* src/store/migrations, in the binary */

#endif
