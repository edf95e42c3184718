#include "runtime/identity.h"
#include "runtime/process.h"

#include "base/cleanup.h"
#include "base/time.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#define HEX  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX2 "aaaa456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void ids_from_cgroups(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *id;
    } table[] = {
        {"0::/docker/" HEX "\n", HEX},
        {"12:pids:/docker/" HEX "\n0::/\n", HEX},
        {"0::/\n5:memory:/docker/" HEX "\n", HEX},
        {"0::/system.slice/docker-" HEX ".scope\n", HEX},
        {"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" HEX ".scope\n", HEX},
        {"0::/machine.slice/libpod-" HEX ".scope/container\n", HEX},
        {"0::/docker/" HEX "/docker/" HEX2 "\n", HEX2}, /* docker in docker: the inner one */
        {"0::/docker/" HEX "/init\n", HEX},
        {"0::/user.slice/user-0.slice/session-1.scope\n", NULL},
        {"0::/docker/0123456789abcdef\n", NULL},
        {"0::/docker/X123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", NULL},
        {"0::/docker/" HEX "0\n", NULL},
        {"", NULL},
        {"nonsense", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char id[IDENTITY_TEXT];
        bool found = identity_from_cgroup(str_c(table[i].text), id);
        if (found != (table[i].id != NULL) || (found && strcmp(id, table[i].id)))
            fail_msg("%s: %s", table[i].text, found ? id : "nothing");
    }
}

static void finds_what_was_there(void **state)
{
    (void)state;
    char *const argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a check below fails */
        execv("/bin/sleep", argv);
        _exit(1);
    }
    struct processes *t = processes_new(0);
    const struct process *p = NULL;
    for (int64_t until = time_monotonic() + 5 * TIME_SECOND; time_monotonic() < until;) {
        processes_scan(t);
        p = processes_get(t, pid, 0);
        if (p && str_ends(p->exe, STR("/sleep")) && p->args.n) /* in the midst of an exec it has none yet */
            break;
    }
    assert_non_null(p);
    assert_true(str_ends(p->exe, STR("/sleep")) || str_ends(p->exe, STR("/coreutils")));
    assert_int_equal(p->args.n, sizeof("sleep\0001000") - 1);
    assert_memory_equal(p->args.p, "sleep\0001000", p->args.n);
    assert_int_equal(p->ppid, getpid());
    int64_t age = time_now() - p->started;
    assert_true(age > -TIME_SECOND && age < 30 * TIME_SECOND);
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct event_parent *parents;
    size_t n = processes_parents(t, a, pid, true, &parents);
    assert_true(n >= 1);
    assert_int_equal(parents[0].pid, getpid());
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    processes_exit(t, pid);
    assert_non_null(processes_get(t, pid, 0)); /* for events of its children that come late */
    processes_free(t);
}

static void reused_pid_is_another_process(void **state)
{
    (void)state;
    struct processes *t = processes_new(0);
    struct process p = {.pid = 999999999, .ppid = 1, .started = 1000 * TIME_SECOND, .exe = STR("/bin/a")};
    processes_exec(t, &p);
    assert_non_null(processes_get(t, p.pid, p.started + TIME_SECOND));
    assert_null(processes_get(t, p.pid, p.started + 60 * TIME_SECOND));
    p.exe = STR("/bin/b");
    p.started += 60 * TIME_SECOND;
    processes_exec(t, &p);
    assert_true(str_eqc(processes_get(t, p.pid, p.started)->exe, "/bin/b"));
    assert_int_equal(processes_count(t), 1);
    processes_free(t);
}

static void bounded(void **state)
{
    (void)state;
    struct processes *t = processes_new(100);
    char text[4096];
    memset(text, 'x', sizeof(text));
    for (int64_t i = 0; i < 1000; i++) {
        struct process p = {.pid = 900000000 + i, .exe = str_n(text, sizeof(text)), .args = str_n(text, sizeof(text))};
        processes_exec(t, &p);
        if (i % 2)
            processes_exit(t, p.pid);
    }
    assert_int_equal(processes_count(t), 100);
    const struct process *p = processes_get(t, 900000998, 0);
    assert_non_null(p);
    assert_int_equal(p->exe.n + p->args.n, PROCESS_TEXT);
    assert_null(processes_get(t, 900000001, 0)); /* ended first */
    processes_free(t);
}

static void chain_stops_at_the_border(void **state)
{
    (void)state;
    struct processes *t = processes_new(0);
    struct process shim = {.pid = 900000001, .ppid = 0, .exe = STR("/usr/bin/containerd-shim")};
    struct process init = {.pid = 900000002, .ppid = 900000001, .exe = STR("/bin/sh"), .id = HEX};
    struct process child = {.pid = 900000003, .ppid = 900000002, .exe = STR("/bin/ls"), .id = HEX};
    processes_exec(t, &shim);
    processes_exec(t, &init);
    processes_exec(t, &child);
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct event_parent *v;
    assert_int_equal(processes_parents(t, a, child.pid, false, &v), 1);
    assert_true(str_eqc(v[0].exe, "/bin/sh"));
    assert_int_equal(processes_parents(t, a, child.pid, true, &v), 2);
    assert_true(str_eqc(v[1].exe, "/usr/bin/containerd-shim"));
    processes_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_from_cgroups),
        cmocka_unit_test(finds_what_was_there),
        cmocka_unit_test(reused_pid_is_another_process),
        cmocka_unit_test(bounded),
        cmocka_unit_test(chain_stops_at_the_border),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
