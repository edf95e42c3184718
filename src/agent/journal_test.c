#include "agent/journal.h"
#include "agent/segment.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct place {
    char dir[64], journal[96], events[96];
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    snprintf(p->dir, sizeof(p->dir), "/tmp/bh-journal-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->journal, sizeof(p->journal), "%s/journal", p->dir);
    snprintf(p->events, sizeof(p->events), "%s/events.jsonl", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    fs_remove_tree(p->dir, NULL);
    free(p);
    return 0;
}

static struct journal *open_journal(const struct place *p, bool spool, uint64_t max)
{
    struct journal_opts o = {
        .dir = p->journal, .events = p->events, .spool = spool, .spool_max = max, .host = STR("node-1")};
    struct journal *j = NULL;
    struct err e = ERR_INIT;
    if (journal_open(&o, &j, &e) < 0)
        fail_msg("%s", e.msg);
    return j;
}

static struct event an_event(struct str detail)
{
    return (struct event){.type = EVENT_TYPE_exec,
                          .control = CONTROL_drift,
                          .rule = STR("Drop and execute"),
                          .severity = SEVERITY_critical,
                          .action = ACTION_block,
                          .level = LEVEL_kill,
                          .outcome = OUTCOME_killed,
                          .detail = detail};
}

static struct str content(struct arena *a, const char *path)
{
    struct str s = STR_NONE;
    struct err e = ERR_INIT;
    if (fs_read(a, path, 64u << 20, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

static size_t lines(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void stamps_and_writes(void **state)
{
    struct place *p = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(8u << 20);
    struct journal *j = open_journal(p, true, 0);
    struct event ev = an_event(STR("{\"x\":1}"));
    assert_int_equal(journal_put(j, &ev), 1);
    assert_int_equal(ev.seq, 1);
    journal_close(j);
    struct json_value *v;
    assert_int_equal(json_parse(a, str_trim(content(a, p->events)), 0, &v, NULL), 0);
    assert_int_equal(json_str(json_get(v, "id")).n, 26);
    assert_int_equal(json_i64(json_get(v, "seq"), 0), 1);
    assert_true(str_eqc(json_str(json_get(v, "host")), "node-1"));
    assert_true(str_ends(json_str(json_get(v, "time")), STR("Z")));
    assert_int_equal(json_i64(json_path(v, "detail.x"), 0), 1);
}

static void telemetry_only_when_asked(void **state)
{
    struct place *p = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(8u << 20);
    struct journal *j = open_journal(p, true, 0);
    struct event quiet = {.type = EVENT_TYPE_exec, .outcome = OUTCOME_allowed};
    struct event life = {.type = EVENT_TYPE_agent, .outcome = OUTCOME_detected};
    assert_int_equal(journal_put(j, &quiet), 0);
    assert_int_equal(journal_put(j, &life), 1);
    journal_close(j);
    assert_int_equal(lines(content(a, p->events)), 1);
}

static void seq_goes_on(void **state)
{
    struct place *p = *state;
    for (uint64_t i = 1; i <= 3; i++) {
        struct journal *j = open_journal(p, i & 1, 0);
        struct event ev = an_event(STR("{}"));
        journal_put(j, &ev);
        assert_int_equal(ev.seq, i);
        assert_int_equal(journal_last(j), i);
        journal_close(j);
    }
}

/* A child is killed while it writes; whatever it had written, no number may come twice. */
static void kill_9(void **state)
{
    struct place *p = *state;
    uint64_t highest = 0;
    for (int round = 0; round < 5; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
            struct journal *j = open_journal(p, true, 0);
            for (unsigned i = 0;; i++) {
                struct event ev = an_event(STR("{}"));
                journal_put(j, &ev);
                journal_flush(j);
                if (i == 200 && write(fds[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        char c;
        assert_int_equal(read(fds[0], &c, 1), 1);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fds[0]);
        close(fds[1]);
        struct journal *j = open_journal(p, true, 0);
        struct event ev = an_event(STR("{}"));
        journal_put(j, &ev);
        assert_true(ev.seq > highest + 200);
        highest = ev.seq;
        journal_close(j);
    }
    int dirfd = open(p->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(256u << 20);
    uint64_t last = 0, seen = 0;
    assert_true(journal_read(dirfd, 0, 10000000, 256u << 20, &b, &last, NULL) > 1000);
    close(dirfd);
    assert_int_equal(last, highest);
    struct str rest = buf_str(&b), line;
    while (str_cut(&rest, '\n', &line)) {
        if (!line.n)
            continue;
        uint64_t seq = segment_seq(line);
        assert_true(seq > seen);
        seen = seq;
    }
}

/* The machine crashed: what the mapped file says may be old, only the reserved bound counts. */
static void other_boot(void **state)
{
    struct place *p = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/seq", p->journal);
    struct journal *j = open_journal(p, true, 0);
    struct event ev = an_event(STR("{}"));
    journal_put(j, &ev);
    journal_close(j);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "another-boot", 12, 24), 12);
    close(fd);
    j = open_journal(p, true, 0);
    struct event next = an_event(STR("{}"));
    journal_put(j, &next);
    assert_true(next.seq >= 4097);
    journal_close(j);
    fd = open(path, O_RDWR | O_CLOEXEC); /* and a ruined file */
    assert_int_equal(pwrite(fd, "ruined!!", 8, 0), 8);
    close(fd);
    j = open_journal(p, true, 0);
    struct event third = an_event(STR("{}"));
    journal_put(j, &third);
    assert_true(third.seq > next.seq);
    journal_close(j);
}

static void torn_line_is_cut(void **state)
{
    struct place *p = *state;
    char path[160];
    struct journal *j = open_journal(p, true, 0);
    for (int i = 0; i < 3; i++) {
        struct event ev = an_event(STR("{}"));
        journal_put(j, &ev);
    }
    journal_close(j);
    snprintf(path, sizeof(path), "%s/%020d.jsonl", p->journal, 1);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "{\"id\":\"half", 11), 11);
    close(fd);
    j = open_journal(p, true, 0);
    struct event ev = an_event(STR("{}"));
    journal_put(j, &ev);
    journal_close(j);
    assert_int_equal(stat(path, &after), 0);
    int dirfd = open(p->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    uint64_t last;
    assert_int_equal(journal_read(dirfd, 0, 100, 1u << 20, &b, &last, NULL), 4);
    assert_int_equal(last, 4);
    close(dirfd);
}

static void batches_and_acknowledgements(void **state)
{
    struct place *p = *state;
    struct journal *j = open_journal(p, true, 0);
    char big[4096];
    memset(big, 'x', sizeof(big));
    memcpy(big, "{\"x\":\"", 6);
    memcpy(big + sizeof(big) - 2, "\"}", 2);
    for (int i = 0; i < 3000; i++) { /* about 12 MB: several segments */
        struct event ev = an_event(str_n(big, sizeof(big)));
        journal_put(j, &ev);
    }
    journal_flush(j);
    int dirfd = open(p->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t last = 0, acked;
    size_t total = 0;
    for (int n;;) {
        _cleanup_(buf_fini) struct buf b = BUF_INIT(2u << 20);
        uint64_t upto = last;
        n = journal_read(dirfd, last, 100, 256u << 10, &b, &upto, NULL);
        assert_true(n >= 0);
        if (!n)
            break;
        assert_true(n <= 100 && b.n <= 256u << 10);
        assert_int_equal(lines(buf_str(&b)), n);
        assert_int_equal(segment_seq(buf_str(&b)), last + 1);
        total += (size_t)n;
        assert_int_equal(upto, total);
        last = upto;
    }
    assert_int_equal(total, 3000);
    uint64_t before = journal_stats(j).spool_bytes;
    journal_ack(j, 2900);
    assert_true(journal_stats(j).spool_bytes < before / 2);
    assert_int_equal(journal_acked(dirfd, &acked, NULL), 0);
    assert_int_equal(acked, 2900);
    journal_close(j);
    j = open_journal(p, true, 0);
    assert_int_equal(journal_stats(j).acked, 2900);
    journal_close(j);
    close(dirfd);
}

/* One line larger than a batch is still taken. */
static void a_line_always_fits(void **state)
{
    struct place *p = *state;
    struct journal *j = open_journal(p, true, 0);
    struct event ev = an_event(STR("{\"text\":\"a long enough detail to be over the batch\"}"));
    journal_put(j, &ev);
    journal_flush(j);
    int dirfd = open(p->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    uint64_t last;
    assert_int_equal(journal_read(dirfd, 0, 100, 10, &b, &last, NULL), 1);
    close(dirfd);
    journal_close(j);
}

static void full_spool_tells_a_gap(void **state)
{
    struct place *p = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(128u << 20);
    struct journal *j = open_journal(p, true, 8u << 20);
    char big[4096];
    memset(big, 'x', sizeof(big));
    memcpy(big, "{\"x\":\"", 6);
    memcpy(big + sizeof(big) - 2, "\"}", 2);
    for (int i = 0; i < 4000; i++) {
        struct event ev = an_event(str_n(big, sizeof(big)));
        journal_put(j, &ev);
    }
    journal_flush(j);
    assert_true(journal_stats(j).spool_bytes <= (12u << 20));
    uint64_t dropped = journal_stats(j).dropped, first;
    assert_true(dropped > 500);
    int dirfd = open(p->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
    uint64_t last;
    assert_true(journal_read(dirfd, 0, 100000, 64u << 20, &b, &last, NULL) > 0);
    close(dirfd);
    first = segment_seq(buf_str(&b));
    struct str rest = buf_str(&b), line;
    uint64_t told = 0;
    while (str_cut(&rest, '\n', &line)) {
        struct json_value *v;
        if (!str_has(str_sub(line, 0, 256), STR("\"type\":\"gap\"")))
            continue;
        assert_int_equal(json_parse(a, line, 0, &v, NULL), 0);
        told += (uint64_t)json_i64(json_path(v, "detail.count"), 0);
        assert_true((uint64_t)json_i64(json_path(v, "detail.to"), 0) < first);
    }
    assert_int_equal(told, dropped);
    assert_int_equal(first, dropped + 1);
    journal_close(j);
}

static void reader_that_stalls(void **state)
{
    struct place *p = *state;
    int fds[2], out = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(stdout);
    dup2(fds[1], STDOUT_FILENO);
    struct journal_opts o = {.dir = p->journal, .events = "-"};
    struct journal *j = NULL;
    int r = journal_open(&o, &j, NULL);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(fds[1]);
    assert_int_equal(r, 0);
    for (int i = 0; i < 40000; i++) { /* would block for ever, were it not for the poll */
        struct event ev = an_event(STR("{}"));
        journal_put(j, &ev);
    }
    journal_flush(j);
    /* now somebody reads: what was lost is told, and every line is whole */
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
    for (int idle = 0; idle < 3;) {
        char *room = buf_room(&b, 65536);
        ssize_t n = read(fds[0], room, 65536);
        if (n > 0)
            b.n += (size_t)n;
        idle = n > 0 ? 0 : idle + 1;
        journal_flush(j);
    }
    uint64_t seen = 0, told = 0;
    struct str rest = buf_str(&b), line;
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    while (str_cut(&rest, '\n', &line)) {
        struct json_value *v;
        if (!line.n)
            continue;
        assert_int_equal(json_parse(a, line, 0, &v, NULL), 0);
        if (str_eqc(json_str(json_get(v, "type")), "gap"))
            told += (uint64_t)json_i64(json_path(v, "detail.count"), 0);
        else
            seen++;
    }
    assert_int_equal(seen + told, 40000);
    assert_true(told > 0);
    close(fds[0]);
    journal_close(j);
}

static void moved_file_is_opened_again(void **state)
{
    struct place *p = *state;
    char moved[128];
    struct journal *j = open_journal(p, false, 0);
    struct event ev = an_event(STR("{}"));
    journal_put(j, &ev);
    journal_flush(j);
    snprintf(moved, sizeof(moved), "%s.1", p->events);
    assert_int_equal(rename(p->events, moved), 0);
    int64_t until = time_monotonic() + 10 * TIME_SECOND;
    while (!fs_exists(p->events) && time_monotonic() < until) {
        struct event more = an_event(STR("{}"));
        journal_put(j, &more);
        journal_flush(j);
    }
    assert_true(fs_exists(p->events));
    journal_close(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stamps_and_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(telemetry_only_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(seq_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(kill_9, setup, teardown),
        cmocka_unit_test_setup_teardown(other_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(torn_line_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(batches_and_acknowledgements, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_always_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(full_spool_tells_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(reader_that_stalls, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_file_is_opened_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
