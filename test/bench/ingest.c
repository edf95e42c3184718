/* ingest: events a second through the whole console (mTLS, zstd, reading, SQLite with its indexes, commit on disk
 * before the ack), against what SQLite itself does with the same lines in the same batches into a table without an
 * index. Interleaved rounds in one run; median of the rounds and of their ratios.
 *
 *     ingest [DIR] [ROUNDS] [BATCHES] [EVENTS]     (/var/tmp, 5 rounds of 40 batches of 2500) */
#include "base/fs.h"
#include "base/log.h"
#include "console/console.h"
#include "net/http.h"

#include <sodium.h>
#include <zstd.h>

#define ROUNDS_MAX 32

struct bench {
    struct arena *a;
    struct console *c;
    struct http *h;
    char dir[256];
    uint64_t seq, acked;
    size_t batches, events;
    struct str *raw; /* of this round */
    struct str *packed;
    uint64_t bytes, wire;
};

static void __attribute__((noreturn)) die(const struct err *e)
{
    fprintf(stderr, "ingest: %s\n", e->msg);
    exit(3);
}

static void make_batch(struct bench *b, struct buf *out)
{
    char when[TIME_TEXT];
    for (size_t i = 0; i < b->events; i++) {
        uint64_t s = ++b->seq;
        buf_printf(
            out,
            "{\"id\":\"01J%023" PRIu64 "\",\"time\":\"%s\",\"seq\":%" PRIu64
            ",\"host\":\"node-1\",\"type\":\"%s\",\"control\":\"%s\","
            "\"rule\":\"Drop and "
            "execute\",\"severity\":\"%s\",\"action\":\"block\",\"level\":\"kill\",\"outcome\":\"killed\","
            "\"container\":{\"id\":\"%064" PRIu64 "\",\"name\":\"web-%" PRIu64
            "\",\"image\":\"registry.example/shop/web:%" PRIu64 "\","
            "\"image_id\":\"sha256:%064d\",\"image_digest\":null,\"engine\":\"docker\",\"labels\":{\"app\":\"web\","
            "\"team\":\"shop\"}},"
            "\"process\":{\"pid\":%" PRIu64 ",\"exe\":\"/tmp/x%" PRIu64 "\",\"args\":[\"/tmp/x\",\"-d\",\"%" PRIu64
            "\"],\"uid\":33,"
            "\"started\":\"%s\",\"parents\":[{\"pid\":800,\"exe\":\"/bin/sh\"},{\"pid\":1,\"exe\":\"/usr/sbin/"
            "nginx\"}]},"
            "\"user\":{\"name\":null,\"via\":null},\"policy\":{\"name\":\"web\",\"revision\":12},\"detail\":{}}\n",
            s, time_format(time_now(), when), s, s % 3 ? "exec" : "connect", s % 5 ? "none" : "drift",
            s % 10 ? "info" : "critical", s % 40, s % 40, s % 7, 7, 1000 + s % 30000, s % 1000, s, when);
    }
}

/* Made and packed before the clock starts: that is the agents' work. */
static void make_round(struct bench *b)
{
    arena_reset(b->a);
    b->raw = arena_array(b->a, b->batches, sizeof(*b->raw));
    b->packed = arena_array(b->a, b->batches, sizeof(*b->packed));
    _cleanup_(buf_fini) struct buf text = BUF_INIT(64u << 20);
    for (size_t i = 0; i < b->batches; i++) {
        buf_reset(&text);
        make_batch(b, &text);
        b->raw[i] = arena_str(b->a, buf_str(&text));
        size_t room = ZSTD_compressBound(text.n);
        char *p = arena_alloc(b->a, room);
        b->packed[i] = str_n(p, ZSTD_compress(p, room, text.p, text.n, 3));
        b->bytes += text.n;
        b->wire += b->packed[i].n;
    }
}

static double through_console(struct bench *b)
{
    struct err e = ERR_INIT;
    int64_t start = time_monotonic();
    for (size_t i = 0; i < b->batches; i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
        struct http_header coding = {STR("Content-Encoding"), STR("zstd")};
        struct http_request q = {.method = "POST",
                                 .url =
                                     arena_printf(a, "%s/agent/v1/events?after=%" PRIu64, b->c->agents_url, b->acked),
                                 .headers = &coding,
                                 .headers_n = 1,
                                 .body = b->packed[i]};
        struct http_response s;
        if (http_run(b->h, a, &q, &s, &e) < 0 || http_check(&s, &e) < 0)
            die(&e);
        b->acked += b->events;
    }
    return (double)(b->batches * b->events) / ((double)(time_monotonic() - start) / 1e6);
}

/* The yardstick: one connection, one prepared statement, the same durability. */
static double through_sqlite(struct bench *b)
{
    struct err e = ERR_INIT;
    struct db *db = NULL;
    struct db_stmt *s;
    char path[300];
    snprintf(path, sizeof(path), "%s/raw.db", b->dir);
    if (db_open(path, 0, &db, &e) < 0 ||
        db_run(db, &e, "CREATE TABLE IF NOT EXISTS raw(id INTEGER PRIMARY KEY, line TEXT NOT NULL)", "") < 0 ||
        db_prepare(db, "INSERT INTO raw(line) VALUES(?1)", &s, &e) < 0)
        die(&e);
    int64_t start = time_monotonic();
    for (size_t i = 0; i < b->batches; i++) {
        struct str rest = b->raw[i], line;
        if (db_begin(db, &e) < 0)
            die(&e);
        while (str_cut(&rest, '\n', &line)) {
            if (!line.n)
                continue;
            db_bind_str(s, 1, line);
            if (db_exec(db, s, &e) < 0)
                die(&e);
        }
        if (db_commit(db, &e) < 0)
            die(&e);
    }
    double rate = (double)(b->batches * b->events) / ((double)(time_monotonic() - start) / 1e6);
    db_close(db);
    return rate;
}

/* An agent enrols as any other. */
static void enroll(struct bench *b)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct err e = ERR_INIT;
    struct db *db;
    struct str id, secret, key, csr;
    struct json_value *v;
    struct http_opts o = {.ca = pki_ca(b->c->pki)};
    struct http_response s;
    _cleanup_(buf_fini) struct buf body = BUF_INIT(64u << 10);
    if (store_write(b->c->store, &db, &e) < 0 ||
        token_create(db, a, "agent", STR("admin"), STR_NONE, STR_NONE, TIME_DAY, 1, &id, &secret, &e) < 0 ||
        store_commit(b->c->store, &e) < 0 || pki_key(a, &key, &e) < 0 || pki_request(a, key, "bench", &csr, &e) < 0 ||
        http_open(&o, &b->h, &e) < 0)
        die(&e);
    struct json_writer w = JSON_WRITER(&body);
    json_w_object(&w);
    json_w_kstr(&w, "id", id);
    json_w_kstr(&w, "secret", secret);
    json_w_kstr(&w, "csr", csr);
    json_w_kstrz(&w, "host", "node-1");
    json_w_kstrz(&w, "version", BULKHEAD_VERSION);
    json_w_end(&w);
    struct http_request q = {.url = arena_printf(a, "%s/agent/v1/enroll", b->c->agents_url), .body = buf_str(&body)};
    if (http_run(b->h, a, &q, &s, &e) < 0 || http_check(&s, &e) < 0 || json_parse(a, s.body, 0, &v, &e) < 0)
        die(&e);
    http_close(TAKE(b->h));
    o.cert = json_str(json_get(v, "certificate"));
    o.key = key;
    if (http_open(&o, &b->h, &e) < 0)
        die(&e);
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static size_t number(const char *s, size_t most)
{
    uint64_t n;
    return s && str_u64(str_c(s), &n) >= 0 && n >= 1 && n <= most ? n : 0;
}

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct bench b = {.batches = 40, .events = 2500};
    size_t rounds = 5;
    double console[ROUNDS_MAX], sqlite[ROUNDS_MAX], ratio[ROUNDS_MAX];
    log_setup("ingest", LOG_WARN_, false);
    if ((argc > 2 && !(rounds = number(argv[2], ROUNDS_MAX))) || (argc > 3 && !(b.batches = number(argv[3], 100000))) ||
        (argc > 4 && !(b.events = number(argv[4], 10000)))) {
        fprintf(stderr, "usage: ingest [DIR] [ROUNDS] [BATCHES] [EVENTS]\n");
        return 2;
    }
    snprintf(b.dir, sizeof(b.dir), "%s/bh-ingest-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (!mkdtemp(b.dir)) {
        perror(b.dir);
        return 3;
    }
    b.a = arena_new((size_t)2 << 30);
    struct console_opts o = {.state = str_c(b.dir),
                             .listen = STR("127.0.0.1:0"),
                             .listen_agents = STR("127.0.0.1:0"),
                             .heartbeat = 30,
                             .events_max = 100000000};
    char password[300];
    snprintf(password, sizeof(password), "%s/password", b.dir);
    o.admin_password_file = str_c(password);
    if (console_open(&o, &b.c, &e) < 0 || console_listen(b.c, &e) < 0)
        die(&e);
    enroll(&b);
    for (size_t i = 0; i < rounds; i++) {
        make_round(&b);
        console[i] = i % 2 ? through_console(&b) : 0;
        sqlite[i] = through_sqlite(&b);
        if (!(i % 2))
            console[i] = through_console(&b);
        ratio[i] = console[i] / sqlite[i];
    }
    printf("events of %" PRIu64 " bytes (%" PRIu64 " on the wire), batches of %zu, %zu rounds of %zu\n",
           b.bytes / b.seq, b.wire / b.seq, b.events, rounds, b.batches * b.events);
    printf("console: %.0f events/s   sqlite alone, one table, no index: %.0f rows/s   ratio %.2f\n",
           median(console, rounds), median(sqlite, rounds), median(ratio, rounds));
    http_close(b.h);
    console_close(b.c);
    arena_free(b.a);
    fs_remove_tree(b.dir, NULL);
    return 0;
}
