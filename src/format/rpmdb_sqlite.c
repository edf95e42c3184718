#include "base/cleanup.h"
#include "format/rpmdb.h"

#include <sqlite3.h>

static void close_db(sqlite3 **db)
{
    sqlite3_close(*db);
}
static void finalize(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
}

static int failed(sqlite3 *db, struct err *e)
{
    int code = sqlite3_errcode(db);
    return err_set(e, code == SQLITE_NOMEM ? ENOMEM : EBADMSG, "sqlite: %s", sqlite3_errmsg(db));
}

int rpmdb_sqlite(struct str db, rpmdb_take_fn *take, void *ctx, struct err *e)
{
    _cleanup_(close_db) sqlite3 *s = NULL;
    _cleanup_(finalize) sqlite3_stmt *q = NULL;
    unsigned char *copy = sqlite3_malloc64(db.n);
    if (!copy)
        return err_set(e, ENOMEM, "sqlite: %zu bytes", db.n);
    memcpy(copy, db.p, db.n);
    if (db.n > 19) /* rpm writes with a log; a database in memory has none */
        copy[18] = copy[19] = 1;
    if (sqlite3_open_v2(":memory:", &s, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL) != SQLITE_OK) {
        sqlite3_free(copy);
        return failed(s, e);
    }
    sqlite3_db_config(s, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* the copy is SQLite's from here on, also when it fails */
    if (sqlite3_deserialize(s, "main", copy, (sqlite3_int64)db.n, (sqlite3_int64)db.n,
                            SQLITE_DESERIALIZE_READONLY | SQLITE_DESERIALIZE_FREEONCLOSE) != SQLITE_OK ||
        sqlite3_prepare_v2(s, "SELECT blob FROM Packages ORDER BY hnum", -1, &q, NULL) != SQLITE_OK)
        return failed(s, e);
    int step;
    while ((step = sqlite3_step(q)) == SQLITE_ROW) {
        const void *blob = sqlite3_column_blob(q, 0);
        int r = take(ctx, str_n(blob, (size_t)sqlite3_column_bytes(q, 0)), e);
        if (r < 0)
            return err_wrap(e, "sqlite");
    }
    return step == SQLITE_DONE ? 0 : failed(s, e);
}
