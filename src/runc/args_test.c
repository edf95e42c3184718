#include "runc/args.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID "4f0c1d2e4f0c1d2e4f0c1d2e4f0c1d2e4f0c1d2e4f0c1d2e4f0c1d2e4f0c1d2e"

/* words separated by blanks -> "state|runtime|bpf|command|bundle|log|id|first word of the rest", NULL: refused */
static const struct {
    const char *line, *want;
} table[] = {
    /* as containerd-shim-runc-v2 calls it */
    {"--root /run/x --log /b/log.json --log-format json create --bundle /b --pid-file /b/init.pid " ID,
     "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|create|/b|/b/log.json|" ID "|--root"},
    {"--bulkhead-state /s --bulkhead-runtime /r --bulkhead-bpf-dir /p --root /x --log=/l create -b /b c1",
     "/s|/r|/p|create|/b|/l|c1|--root"},
    {"--bulkhead-state=/s run --bundle=/b --detach c1", "/s|-|/sys/fs/bpf/bulkhead|run|/b|-|c1|run"},
    {"-log /l --systemd-cgroup create --no-pivot -bundle /b c1",
     "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|create|/b|/l|c1|-log"},
    {"restore --image-path /i --work-path /w --bundle /b c1",
     "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|restore|/b|-|c1|restore"},
    {"create c1", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|create|.|-|c1|create"},
    {"create -- c1", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|create|.|-|c1|create"},
    /* an option whose value looks like a command */
    {"--root create --log /l start c1", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|start|.|/l||--root"},
    {"exec --process /p --detach c1", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|exec|.|-|c1|exec"},
    {"exec --pid-file=/x -p /p c1", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|exec|.|-|c1|exec"},
    {"exec c1 sh -p x", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|exec|.|-||exec"},
    {"delete --force c1", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead|delete|.|-||delete"},
    {"--version", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead||.|-||--version"},
    {"", "/var/lib/bulkhead|-|/sys/fs/bpf/bulkhead||.|-||"},
    /* not to be guessed at */
    {"create", NULL},
    {"create --bundle /b", NULL},
    {"create --bundle", NULL},
    {"create --unknown /b c1", NULL},
    {"--bulkhead-stat /s create c1", NULL},
    {"--bulkhead-state", NULL},
    {"--log", NULL},
};

static void lines(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *argv[32] = {(char *)"bulkhead-runc"}, have[1024];
        size_t n = 1;
        _cleanup_free_ char *copy = strdup(table[i].line);
        for (char *save = NULL, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
            argv[n++] = w;
        struct args a;
        struct err e = ERR_INIT;
        int r = args_parse(argv, &a, &e);
        if (!table[i].want) {
            if (r != -EINVAL)
                fail_msg("\"%s\" was taken", table[i].line);
            continue;
        }
        if (r < 0)
            fail_msg("\"%s\": %s", table[i].line, e.msg);
        snprintf(have, sizeof(have), "%s|%s|%s|%s|%s|%s|%s|%s", a.state, a.runtime ? a.runtime : "-", a.bpf_dir,
                 a.command, a.bundle, a.log ? a.log : "-", a.id, a.rest[0] ? a.rest[0] : "");
        assert_string_equal(have, table[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
