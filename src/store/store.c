/* store: one writer and some readers of the same database, for a whole program. */
#include "base/cleanup.h"
#include "base/time.h"
#include "store/db.h"

#include <pthread.h>

struct store {
    struct db *writer;
    pthread_mutex_t write_lock;
    pthread_mutex_t read_lock;
    pthread_cond_t read_free;
    struct db **readers; /* the free ones are the first `free` */
    unsigned readers_n, free_n;
};

/* "0007.sql" -> 7 */
static int64_t number(const struct embedded *m)
{
    uint64_t n;
    struct str name, ext;
    str_split(str_c(m->name), '.', &name, &ext);
    return str_u64(name, &n) < 0 ? -1 : (int64_t)n;
}

/* Statement by statement: a migration's text has no triggers, so a ';' at the end of a line ends one. */
static int apply(struct db *db, const struct embedded *m, struct arena *a, struct err *e)
{
    struct str rest = embedded_str(m);
    while (str_trim(rest).n) {
        ptrdiff_t end = str_find(rest, STR(";\n"));
        struct str one = end < 0 ? rest : str_sub(rest, 0, (size_t)end + 1);
        rest = str_sub(rest, one.n, rest.n);
        if (!str_trim(one).n || str_eqc(str_trim(one), ";"))
            continue;
        struct db_rows q;
        int r = db_query_built(db, &q, e, arena_cstr(a, one), NULL, 0);
        db_end(&q);
        if (r < 0)
            return r;
    }
    return 0;
}

static int migrate_one(struct db *db, const struct embedded *m, struct arena *a, struct err *e)
{
    int r = db_begin(db, e);
    if (r < 0)
        return r;
    if ((r = apply(db, m, a, e)) >= 0)
        r = (int)db_run(db, e, "INSERT INTO migration(number, name, applied) VALUES(?1, ?2, ?3)", "izi", number(m),
                        m->name, time_now());
    if (r < 0) {
        db_rollback(db);
        return err_wrap(e, "migration %s", m->name);
    }
    return db_commit(db, e);
}

static int migrate(struct db *db, const struct embedded *m, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct db_rows q;
    int64_t have = 0, r = db_run(db, e,
                                 "CREATE TABLE IF NOT EXISTS migration(number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
                                 "applied INTEGER NOT NULL) STRICT",
                                 "");
    if (r < 0)
        return (int)r;
    if ((r = db_query(db, &q, e, "SELECT coalesce(max(number), 0) FROM migration", "")) > 0)
        have = db_i64(&q, 0);
    db_end(&q);
    int64_t newest = 0;
    for (; r >= 0 && m->name; m++) {
        if (number(m) <= newest)
            return err_set(e, EINVAL, "migration %s: out of order", m->name);
        newest = number(m);
        if (newest > have)
            r = migrate_one(db, m, a, e);
    }
    if (r >= 0 && have > newest)
        return err_set(e, ENOTSUP,
                       "the database was written by a newer version (migration %" PRId64 ", this one knows %" PRId64
                       ")",
                       have, newest);
    return r < 0 ? (int)r : 0;
}

int store_open(const char *url, unsigned readers, const struct embedded *migrations, struct store **ret, struct err *e)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s || !(s->readers = calloc(readers ? readers : 1, sizeof(struct db *))))
        abort();
    pthread_mutex_init(&s->write_lock, NULL);
    pthread_mutex_init(&s->read_lock, NULL);
    pthread_cond_init(&s->read_free, NULL);
    int r = db_open(url, 0, &s->writer, e);
    if (r >= 0)
        r = migrate(s->writer, migrations, e);
    for (; r >= 0 && s->readers_n < (readers ? readers : 1); s->readers_n++)
        if ((r = db_open(url, DB_READ_ONLY, &s->readers[s->readers_n], e)) < 0)
            break;
    s->free_n = s->readers_n;
    if (r < 0) {
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->readers_n; i++)
        db_close(s->readers[i]);
    db_close(s->writer);
    pthread_mutex_destroy(&s->write_lock);
    pthread_mutex_destroy(&s->read_lock);
    pthread_cond_destroy(&s->read_free);
    free(s->readers);
    free(s);
}

int store_write(struct store *s, struct db **ret, struct err *e)
{
    pthread_mutex_lock(&s->write_lock);
    int r = db_begin(s->writer, e);
    if (r < 0)
        pthread_mutex_unlock(&s->write_lock);
    else
        *ret = s->writer;
    return r;
}

int store_commit(struct store *s, struct err *e)
{
    int r = db_commit(s->writer, e);
    pthread_mutex_unlock(&s->write_lock);
    return r;
}

int store_abort(struct store *s, int r)
{
    db_rollback(s->writer);
    pthread_mutex_unlock(&s->write_lock);
    return r;
}

struct db *store_read(struct store *s)
{
    pthread_mutex_lock(&s->read_lock);
    while (!s->free_n)
        pthread_cond_wait(&s->read_free, &s->read_lock);
    struct db *db = s->readers[--s->free_n];
    pthread_mutex_unlock(&s->read_lock);
    db_run(db, NULL, "BEGIN", ""); /* deferred: the snapshot starts at the first query; a fault shows there */
    return db;
}

void store_done(struct store *s, struct db *db)
{
    if (!db)
        return;
    db_run(db, NULL, "COMMIT", "");
    pthread_mutex_lock(&s->read_lock);
    s->readers[s->free_n++] = db;
    pthread_cond_signal(&s->read_free);
    pthread_mutex_unlock(&s->read_lock);
}
