#include "store/db.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    char dir[64], file[96];
    struct store *s;
    struct arena *a;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->dir, sizeof(w->dir), "/tmp/bh-store-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->file, sizeof(w->file), "%s/t.db", w->dir);
    w->a = arena_new(16u << 20);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    store_close(w->s);
    arena_free(w->a);
    fs_remove_tree(w->dir, NULL);
    free(w);
    return 0;
}

static const struct embedded one[] = {{"0001.sql", "CREATE TABLE t(a TEXT PRIMARY KEY, b INTEGER);\n", 47}, {0}};
static const struct embedded two[] = {{"0001.sql", "CREATE TABLE t(a TEXT PRIMARY KEY, b INTEGER);\n", 47},
                                      {"0002.sql", "ALTER TABLE t ADD COLUMN c TEXT;\nCREATE INDEX tc ON t(c);\n", 58},
                                      {0}};
static const struct embedded broken[] = {{"0001.sql", "CREATE TABLE t(a TEXT PRIMARY KEY, b INTEGER);\n", 47},
                                         {"0002.sql", "CREATE TABLE u(a);\nNONSENSE;\n", 29},
                                         {0}};

static int64_t count(struct world *w, const char *sql)
{
    struct err e = ERR_INIT;
    struct db_rows q;
    struct db *db = store_read(w->s);
    int r = db_query(db, &q, &e, sql, "");
    int64_t n = r > 0 ? db_i64(&q, 0) : r;
    db_end(&q);
    store_done(w->s, db);
    return n;
}

static void migrations(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    assert_int_equal(store_open(w->file, 1, broken, &w->s, &e), -EIO);
    assert_non_null(strstr(e.msg, "0002.sql"));
    assert_int_equal(store_open(w->file, 1, one, &w->s, &e), 0); /* the half-done one left nothing */
    assert_int_equal(count(w, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'"), 0);
    store_close(TAKE(w->s));
    assert_int_equal(store_open(w->file, 1, two, &w->s, &e), 0);
    assert_int_equal(count(w, "SELECT max(number) FROM migration"), 2);
    store_close(TAKE(w->s));
    assert_int_equal(store_open(w->file, 1, two, &w->s, &e), 0);
    store_close(TAKE(w->s));
    assert_int_equal(store_open(w->file, 1, one, &w->s, &e), -ENOTSUP); /* an old program, a new database */
    assert_null(w->s);
    assert_int_equal(store_open("postgres://db/x", 1, one, &w->s, &e), -ENOTSUP);
    assert_int_equal(fs_write(w->file,
                              STR("this is no database, is it? no, it is a sentence that goes on for long enough"),
                              0600, &e),
                     0);
    assert_int_equal(store_open(w->file, 1, one, &w->s, &e), -EBADMSG);
}

static void transactions(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct db *db;
    assert_int_equal(store_open(w->file, 2, one, &w->s, &e), 0);
    assert_int_equal(store_write(w->s, &db, &e), 0);
    assert_int_equal(db_run(db, &e, "INSERT INTO t VALUES(?1, ?2)", "si", STR("a'; DROP TABLE t; --"), (int64_t)1), 1);
    assert_int_equal(db_run(db, &e, "INSERT INTO t VALUES(?1, ?2)", "si", STR_NONE, (int64_t)1), 1);
    assert_int_equal(store_commit(w->s, &e), 0);
    assert_int_equal(count(w, "SELECT count(*) FROM t"), 2);
    assert_int_equal(store_write(w->s, &db, &e), 0);
    assert_int_equal(db_run(db, &e, "INSERT INTO t VALUES(?1, ?2)", "si", STR("b"), (int64_t)1), 1);
    assert_int_equal(count(w, "SELECT count(*) FROM t"), 2); /* readers see what was committed */
    int64_t r = db_run(db, &e, "INSERT INTO t VALUES(?1, ?2)", "si", STR("b"), (int64_t)2);
    assert_int_equal(r, -EEXIST);
    assert_int_equal(store_abort(w->s, (int)r), -EEXIST);
    assert_int_equal(count(w, "SELECT count(*) FROM t"), 2);
    db = store_read(w->s);
    assert_true(db_run(db, &e, "DELETE FROM t", "") < 0); /* readers cannot write */
    store_done(w->s, db);
    assert_int_equal(count(w, "SELECT count(*) FROM t"), 2);
}

static void snapshot(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct db *db, *reader;
    struct db_rows q;
    assert_int_equal(store_open(w->file, 2, one, &w->s, &e), 0);
    reader = store_read(w->s);
    assert_int_equal(db_query(reader, &q, &e, "SELECT count(*) FROM t", ""), 1);
    db_end(&q);
    assert_int_equal(store_write(w->s, &db, &e), 0);
    db_run(db, &e, "INSERT INTO t VALUES('a', 1)", "");
    assert_int_equal(store_commit(w->s, &e), 0);
    assert_int_equal(db_query(reader, &q, &e, "SELECT count(*) FROM t", ""), 1);
    assert_int_equal(db_i64(&q, 0), 0);
    db_end(&q);
    store_done(w->s, reader);
    assert_int_equal(count(w, "SELECT count(*) FROM t"), 1);
    struct db_value v[] = {{.text = true, .s = STR("a")}, {.i = 1}};
    reader = store_read(w->s);
    assert_int_equal(db_query_built(reader, &q, &e, "SELECT b FROM t WHERE a = ?1 AND b = ?2", v, 2), 1);
    assert_int_equal(db_next(&q, &e), 0);
    store_done(w->s, reader);
}

static void *writer(void *arg)
{
    struct world *w = arg;
    struct err e = ERR_INIT;
    for (int i = 0; i < 50; i++) {
        struct db *db;
        assert_int_equal(store_write(w->s, &db, &e), 0);
        assert_int_equal(db_run(db, &e, "UPDATE t SET b = b + 1 WHERE a = 'n'", ""), 1);
        assert_int_equal(store_commit(w->s, &e), 0);
        assert_true(count(w, "SELECT b FROM t WHERE a = 'n'") > 0);
    }
    return NULL;
}

static void threads(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct db *db;
    pthread_t t[4];
    assert_int_equal(store_open(w->file, 2, one, &w->s, &e), 0);
    assert_int_equal(store_write(w->s, &db, &e), 0);
    db_run(db, &e, "INSERT INTO t VALUES('n', 0)", "");
    assert_int_equal(store_commit(w->s, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_create(&t[i], NULL, writer, w);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    assert_int_equal(count(w, "SELECT b FROM t WHERE a = 'n'"), 200);
}

static void shipped_migrations_apply(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    if (store_open(w->file, 1, store_migrations, &w->s, &e) < 0)
        fail_msg("%s", e.msg);
    assert_true(count(w, "SELECT count(*) FROM event") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(migrations, setup, teardown),
        cmocka_unit_test_setup_teardown(transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(threads, setup, teardown),
        cmocka_unit_test_setup_teardown(shipped_migrations_apply, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
