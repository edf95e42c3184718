#include "runc/args.h"

#include "base/cleanup.h"

/* Global options of runc and crun that take a word; all others are switches. */
static const char *const global_words[] = {"log", "log-format", "root", "criu", "rootless", "cgroup-manager"};
/* Options of create, run and restore that take a word. */
static const char *const command_words[] = {
    "bundle",    "b",           "console-socket",    "pid-file",    "preserve-fds",        "config",
    "f",         "image-path",  "work-path",         "parent-path", "manage-cgroups-mode", "empty-ns",
    "status-fd", "lsm-profile", "lsm-mount-context",
};
/* Options of exec that take a word. */
static const char *const exec_words[] = {
    "process", "p",        "console-socket", "cwd",      "env", "e", "user",         "u",      "additional-gids",
    "g",       "pid-file", "process-label",  "apparmor", "cap", "c", "preserve-fds", "cgroup",
};
static const char *const starting[] = {"create", "run", "restore"};

static bool in(const char *const *list, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqc(name, list[i]))
            return true;
    return false;
}

/* One option at *at: its name, and its value if it takes one (moving *at to the value's word). */
static int option(char ***at, const char *const *words, size_t n, struct str *name, const char **value, struct err *e)
{
    const char *text = **at + 1;
    text += *text == '-';
    struct str left, right;
    bool joined = str_split(str_c(text), '=', &left, &right);
    *name = left;
    *value = joined ? text + left.n + 1 : NULL;
    if (joined || !in(words, n, left))
        return 0;
    if (!(*at)[1])
        return err_set(e, EINVAL, "option %s needs a value", **at);
    *value = *++*at;
    return 0;
}

/* Of exec: the file with the process, and the container. What is not understood is runc's to refuse. */
static void read_exec(char **at, struct args *a)
{
    struct str name;
    const char *value, *process = NULL;
    for (; *at && **at == '-' && (*at)[1]; at++) {
        if (option(&at, exec_words, ARRAY_LEN(exec_words), &name, &value, NULL) < 0)
            return;
        if (value && (str_eqc(name, "process") || str_eqc(name, "p")))
            process = value;
    }
    if (*at && process) {
        a->id = *at;
        a->process = process;
    }
}

int args_parse(char **argv, struct args *ret, struct err *e)
{
    int r;
    struct str name;
    const char *value;
    struct args a = {
        .state = "/var/lib/bulkhead", .bpf_dir = "/sys/fs/bpf/bulkhead", .bundle = ".", .command = "", .id = ""};
    char **at = argv + (argv[0] != NULL);
    for (; *at && str_starts(str_c(*at), STR("--bulkhead-")); at++) {
        static const char *const ours[] = {"bulkhead-state", "bulkhead-runtime", "bulkhead-bpf-dir"};
        const char *word = *at;
        if ((r = option(&at, ours, ARRAY_LEN(ours), &name, &value, e)) < 0)
            return r;
        if (!value || !*value || !in(ours, ARRAY_LEN(ours), name))
            return err_set(e, EINVAL, "unknown option %s", word);
        *(str_eqc(name, ours[0]) ? &a.state : str_eqc(name, ours[1]) ? &a.runtime : &a.bpf_dir) = value;
    }
    a.rest = at;
    for (; *at && **at == '-' && (*at)[1]; at++) {
        if ((r = option(&at, global_words, ARRAY_LEN(global_words), &name, &value, e)) < 0)
            return r;
        if (str_eqc(name, "log"))
            a.log = value;
        else if (str_eqc(name, "log-format"))
            a.log_json = value && str_eqc(str_c(value), "json");
    }
    if (*at)
        a.command = *at++;
    if (str_eqc(str_c(a.command), "exec"))
        read_exec(at, &a);
    a.starts = in(starting, ARRAY_LEN(starting), str_c(a.command));
    for (; a.starts && *at && **at == '-' && (*at)[1]; at++) {
        if (str_eqc(str_c(*at), "--")) {
            at++;
            break;
        }
        if ((r = option(&at, command_words, ARRAY_LEN(command_words), &name, &value, e)) < 0)
            return r;
        if (value && (str_eqc(name, "bundle") || str_eqc(name, "b")))
            a.bundle = value;
    }
    if (a.starts) {
        if (!*at || at[1])
            return err_set(e, EINVAL, "%s: expected exactly one container id", a.command);
        a.id = *at;
    }
    *ret = a;
    return 0;
}
