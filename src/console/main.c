/* bulkhead-console: options, start, signals. */
#include "base/fs.h"
#include "base/log.h"
#include "console/console.h"
#include "format/yml.h"
#include "net/tls_peek.h"

#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define TICK (500 * INT64_C(1000000)) /* nanoseconds */

static void usage(FILE *f)
{
    fprintf(
        f, "usage: bulkhead-console [OPTIONS]\n\n"
           "The server that holds policies, verdicts and events of a fleet. HTTPS always; it makes its own "
           "certificates.\n\n"
           "  --config FILE               YAML, the same names as these options, and heartbeat (seconds) and\n"
           "                              events-max (events kept); options win over it\n"
           "  --state DIR                 authority, keys, database (/var/lib/bulkhead-console)\n"
           "  --database URL              a SQLite file (DIR/console.db)\n"
           "  --listen ADDR:PORT          people and pipelines (127.0.0.1:8443; port 0 picks one)\n"
           "  --listen-agents ADDR:PORT   agents (127.0.0.1:8444)\n"
           "  --name NAME                 one more name or address for the certificate; may be repeated\n"
           "  --agents-address URL        what enrolment tokens tell agents to dial\n"
           "  --admin-password-file FILE  where the first start leaves the password of admin; else it is printed once\n"
           "  --log-level error|warn|info|debug\n"
           "  --version, --help\n");
}

static int read_config(struct arena *a, const char *path, struct console_opts *o, struct err *e)
{
    struct str text;
    struct yml_doc *docs;
    size_t n, cap = 0;
    int r = fs_read(a, path, 1u << 20, &text, e);
    if (r < 0)
        return r;
    if ((r = yml_parse(a, text, &docs, &n, e)) < 0)
        return err_wrap(e, "%s", path);
    if (n > 1 || (n && docs[0].root->kind != YML_MAP))
        return err_set(e, EINVAL, "%s: expected one mapping", path);
    const struct {
        const char *name;
        struct str *text;
        int64_t *number;
    } keys[] = {{"state", &o->state, NULL},
                {"database", &o->database, NULL},
                {"listen", &o->listen, NULL},
                {"listen-agents", &o->listen_agents, NULL},
                {"agents-address", &o->agents_address, NULL},
                {"admin-password-file", &o->admin_password_file, NULL},
                {"heartbeat", NULL, &o->heartbeat},
                {"events-max", NULL, &o->events_max}};
    YML_EACH(n ? docs[0].root : NULL, it)
    {
        bool known = false;
        if (str_eqc(it->key, "name") && it->kind == YML_LIST) {
            YML_EACH(it, name)
            {
                o->names = arena_grow(a, o->names, o->names_n, &cap, sizeof(*o->names));
                o->names[o->names_n++] = name->text;
            }
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(keys) && it->kind == YML_SCALAR; i++) {
            if (!str_eqc(it->key, keys[i].name))
                continue;
            known = true;
            if (keys[i].text)
                *keys[i].text = it->text;
            else if (str_i64(it->text, keys[i].number) < 0 || *keys[i].number < 1)
                return err_set(e, EINVAL, "%s:%zu: %s: expected a number above 0", path, it->line, keys[i].name);
        }
        if (!known)
            return err_set(e, EINVAL, "%s:%zu: unknown setting \"" STR_FMT "\"", path, it->key_line, STR_ARG(it->key));
    }
    return 0;
}

enum {
    O_CONFIG = 256,
    O_STATE,
    O_DATABASE,
    O_LISTEN,
    O_LISTEN_AGENTS,
    O_NAME,
    O_AGENTS_ADDRESS,
    O_PASSWORD,
    O_LOG,
    O_VERSION,
    O_HELP
};
static const struct option options[] = {{"config", 1, NULL, O_CONFIG},
                                        {"state", 1, NULL, O_STATE},
                                        {"database", 1, NULL, O_DATABASE},
                                        {"listen", 1, NULL, O_LISTEN},
                                        {"listen-agents", 1, NULL, O_LISTEN_AGENTS},
                                        {"name", 1, NULL, O_NAME},
                                        {"agents-address", 1, NULL, O_AGENTS_ADDRESS},
                                        {"admin-password-file", 1, NULL, O_PASSWORD},
                                        {"log-level", 1, NULL, O_LOG},
                                        {"version", 0, NULL, O_VERSION},
                                        {"help", 0, NULL, O_HELP},
                                        {0}};

/* 0 go on, 1 done, negative wrong usage */
static int read_options(struct arena *a, int argc, char **argv, struct console_opts *o, struct err *e)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    size_t cap = 0;
    int opt, r;
    bool named = false;
    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) /* the file first: the others win over it */
        if (opt == O_CONFIG && (r = read_config(a, optarg, o, e)) < 0)
            return r;
        else if (opt == '?')
            return err_set(e, EINVAL, "wrong usage; --help tells more");
    optind = 1;
    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1)
        switch (opt) {
        case O_STATE:
            o->state = str_c(optarg);
            break;
        case O_DATABASE:
            o->database = str_c(optarg);
            break;
        case O_LISTEN:
            o->listen = str_c(optarg);
            break;
        case O_LISTEN_AGENTS:
            o->listen_agents = str_c(optarg);
            break;
        case O_AGENTS_ADDRESS:
            o->agents_address = str_c(optarg);
            break;
        case O_PASSWORD:
            o->admin_password_file = str_c(optarg);
            break;
        case O_NAME:
            if (!named)
                o->names = NULL, o->names_n = 0;
            named = true;
            o->names = arena_grow(a, o->names, o->names_n, &cap, sizeof(*o->names));
            o->names[o->names_n++] = str_c(optarg);
            break;
        case O_LOG:
            for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
                if (!strcmp(optarg, levels[i]))
                    log_setup("bulkhead-console", (enum log_level)i, false);
            break;
        case O_VERSION:
            printf("bulkhead-console %s\n", BULKHEAD_VERSION);
            return 1;
        case O_HELP:
        case 'h':
            usage(stdout);
            return 1;
        default:
            break;
        }
    return optind < argc ? err_set(e, EINVAL, "unexpected \"%s\"; --help tells more", argv[optind]) : 0;
}

static void notify(const char *what)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof(sa.sun_path))
        return;
    memcpy(sa.sun_path, path, strlen(path));
    if (sa.sun_path[0] == '@')
        sa.sun_path[0] = 0;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        sendto(fd, what, strlen(what), MSG_NOSIGNAL, (struct sockaddr *)&sa,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
}

static void announce(struct console *c)
{
    char fingerprint[TLS_FINGERPRINT] = ""; /* of the authority: what `bulkhead login` asks people to compare */
    tls_fingerprint(pki_ca(c->pki), fingerprint, NULL);
    log_info("authority: SHA-256 of its public key %s", fingerprint);
    printf("{\"ready\":true,\"program\":\"bulkhead-console\",\"version\":\"%s\",\"listen\":\"%s\",\"listen_agents\":\"%"
           "s\",\"fingerprint\":\"%s\"}\n",
           BULKHEAD_VERSION, httpd_address(c->people), httpd_address(c->agents), fingerprint);
    fflush(stdout);
    notify("READY=1");
}

/* Until a signal ends it. */
static int serve(struct console *c, const sigset_t *signals, struct err *e)
{
    int r = console_listen(c, e);
    if (r < 0)
        return r;
    announce(c);
    for (;;) {
        struct timespec tick = {0, TICK};
        int s = sigtimedwait(signals, NULL, &tick);
        if (s == SIGTERM || s == SIGINT)
            break;
        console_tick(c);
        if (time_now() < c->certificate_renew)
            continue;
        log_info("half of the certificate's life has passed: listening again with a new one");
        console_stop(c);
        if ((r = console_listen(c, e)) < 0)
            return r;
    }
    notify("STOPPING=1");
    log_info("stopping");
    console_stop(c);
    return 0;
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(16u << 20);
    struct err e = ERR_INIT;
    struct console *c = NULL;
    struct console_opts o = {.state = STR("/var/lib/bulkhead-console"),
                             .listen = STR("127.0.0.1:8443"),
                             .listen_agents = STR("127.0.0.1:8444"),
                             .heartbeat = 30,
                             .events_max = 5000000};
    sigset_t signals;
    log_setup("bulkhead-console", LOG_INFO_, false);
    int r = read_options(a, argc, argv, &o, &e);
    if (r) {
        if (r < 0)
            fprintf(stderr, "bulkhead-console: %s\n", e.msg);
        return r < 0 ? 2 : 0;
    }
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* in all threads: sigtimedwait takes them */
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if ((r = console_open(&o, &c, &e)) >= 0)
        r = serve(c, &signals, &e);
    if (r < 0)
        log_error("%s", e.msg);
    console_close(c);
    return r < 0 ? err_exit_code(-r) : 0;
}
