#include "intel/database.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "format/digest.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* TABLE(name, columns, order): every table, and the order in which its rows are content */
#define TABLES(X)                                                                                                      \
    X("meta", "key TEXT PRIMARY KEY, value TEXT NOT NULL", "key")                                                      \
    X("feed", "name TEXT PRIMARY KEY, records INTEGER NOT NULL, newest INTEGER NOT NULL", "name")                      \
    X("space", "id INTEGER PRIMARY KEY, name TEXT NOT NULL, scheme TEXT NOT NULL", "id")                               \
    X("affected",                                                                                                      \
      "space INTEGER NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, feed TEXT NOT NULL, n INTEGER NOT NULL, "         \
      "status INTEGER NOT NULL, severity INTEGER NOT NULL, fixed TEXT NOT NULL, ranges TEXT NOT NULL, "                \
      "versions TEXT NOT NULL, PRIMARY KEY (space, name, id, feed, n)",                                                \
      "space, name, id, feed, n")                                                                                      \
    X("vuln",                                                                                                          \
      "id TEXT NOT NULL, feed TEXT NOT NULL, aliases TEXT NOT NULL, severity INTEGER NOT NULL, "                       \
      "cvss REAL NOT NULL, vector TEXT NOT NULL, published INTEGER NOT NULL, title TEXT NOT NULL, "                    \
      "PRIMARY KEY (id, feed)",                                                                                        \
      "id, feed")                                                                                                      \
    X("alias", "alias TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (alias, id)", "alias, id")                          \
    X("score", "id TEXT PRIMARY KEY, epss REAL NOT NULL, percentile REAL NOT NULL", "id")                              \
    X("kev",                                                                                                           \
      "id TEXT PRIMARY KEY, added INTEGER NOT NULL, due INTEGER NOT NULL, ransomware INTEGER NOT NULL, "               \
      "title TEXT NOT NULL",                                                                                           \
      "id")

static const struct {
    const char *name, *columns, *order;
} tables[] = {
#define X(name, columns, order) {name, columns, order},
    TABLES(X)
#undef X
};

int database_error(sqlite3 *db, struct err *e, const char *doing)
{
    int code = sqlite3_errcode(db);
    bool content = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR || code == SQLITE_SCHEMA;
    return err_set(e, content ? EBADMSG : EIO, "%s: %s", doing, sqlite3_errmsg(db));
}

int database_exec(sqlite3 *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : database_error(db, e, "intel database");
}

int database_create(sqlite3 *db, struct err *e)
{
    char sql[1024];
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(tables) && r == 0; i++) {
        bool rowid = !strcmp(tables[i].name, "space");
        snprintf(sql, sizeof(sql), "CREATE TABLE %s (%s)%s", tables[i].name, tables[i].columns,
                 rowid ? "" : " WITHOUT ROWID");
        r = database_exec(db, sql, e);
    }
    return r;
}

/* ---- revision ---- */

static void digest_row(struct sha256 *h, sqlite3_stmt *s)
{
    int columns = sqlite3_column_count(s);
    for (int i = 0; i < columns; i++) {
        const void *text = sqlite3_column_text(s, i);
        uint32_t n = (uint32_t)sqlite3_column_bytes(s, i);
        uint8_t length[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        sha256_update(h, length, sizeof(length));
        sha256_update(h, text ? text : "", n);
    }
}

static int digest_table(sqlite3 *db, size_t i, struct sha256 *h, struct err *e)
{
    char sql[256];
    sqlite3_stmt *s;
    snprintf(sql, sizeof(sql), "SELECT * FROM %s%s ORDER BY %s", tables[i].name,
             strcmp(tables[i].name, "meta") ? "" : " WHERE key <> 'revision'", tables[i].order);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        return database_error(db, e, "intel database");
    sha256_update(h, tables[i].name, strlen(tables[i].name) + 1);
    int r;
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        digest_row(h, s);
    sqlite3_finalize(s);
    return r == SQLITE_DONE ? 0 : database_error(db, e, "intel database");
}

int database_revision(sqlite3 *db, char out[static 65], struct err *e)
{
    _cleanup_(sha256_fini) struct sha256 h;
    uint8_t sum[SHA256_SIZE];
    sha256_init(&h);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        int r = digest_table(db, i, &h, e);
        if (r < 0)
            return r;
    }
    sha256_final(&h, sum);
    hex_encode(sum, sizeof(sum), out);
    return 0;
}

/* ---- open ---- */

static uint32_t be(const uint8_t *p, int n)
{
    uint32_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* The header of the file format: https://sqlite.org/fileformat2.html#the_database_header */
static int header_check(const uint8_t *p, size_t n, size_t size, struct err *e)
{
    if (n < 512 || memcmp(p, "SQLite format 3", 16) || be(p + 68, 4) != INTEL_APPLICATION_ID)
        return err_set(e, EBADMSG, "not an intel database");
    if (be(p + 60, 4) != INTEL_FORMAT)
        return err_set(e, EBADMSG, "format %u of the intel database is not known to this version", be(p + 60, 4));
    size_t page = be(p + 16, 2) == 1 ? 65536 : be(p + 16, 2);
    if (page < 512 || be(p + 28, 4) * page != size)
        return err_set(e, EBADMSG, "it is truncated or has bytes that do not belong to it");
    return 0;
}

static int map_file(const char *path, struct database *d, struct err *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return err_errno(e, "cannot open");
    if (fstat(fd, &st) < 0)
        return err_errno(e, "fstat");
    if (!S_ISREG(st.st_mode) || st.st_size < 512)
        return err_set(e, EBADMSG, "not an intel database");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(e, "mmap");
    d->map = p;
    d->map_n = (size_t)st.st_size;
    return 0;
}

static int open_mapped(struct database *d, const char *key_path, struct err *e)
{
    size_t size = d->map_n;
    int r;
    if (key_path) {
        if ((r = signature_verify(d->map, d->map_n, key_path, &size, &d->terms, e)) < 0)
            return r;
        d->is_signed = true;
    } else if (signature_present(d->map, d->map_n)) {
        size -= INTEL_TRAILER;
    }
    if ((r = header_check(d->map, d->map_n, size, e)) < 0)
        return r;
    if (sqlite3_open_v2(":memory:", &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return err_set(e, ENOMEM, "sqlite");
    if (sqlite3_deserialize(d->db, "main", d->map, (sqlite3_int64)size, (sqlite3_int64)size,
                            SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
        return database_error(d->db, e, "not an intel database");
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(d->db, SQLITE_LIMIT_LENGTH, 64 << 20);
    return database_exec(d->db, "PRAGMA query_only=1; PRAGMA cell_size_check=1", e);
}

int database_open(const char *path, const char *key_path, struct database *ret, struct err *e)
{
    struct database d = {0};
    int r = map_file(path, &d, e);
    if (r >= 0)
        r = open_mapped(&d, key_path, e);
    if (r < 0) {
        database_close(&d);
        return err_wrap(e, "intel %s", path), r;
    }
    *ret = d;
    return 0;
}

void database_close(struct database *d)
{
    if (d->db)
        sqlite3_close_v2(d->db);
    if (d->map)
        munmap(d->map, d->map_n);
    *d = (struct database){0};
}
