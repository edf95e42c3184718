/* bulkhead login, logout: the console that the other commands talk to. */
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/table.h"

#include "base/fs.h"
#include "base/time.h"
#include "net/tls_peek.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <termios.h>

static const char login_help[] =
    "usage: bulkhead login URL [--user NAME | --token-file FILE] [OPTIONS]\n"
    "\n"
    "Log in to a console and remember it for get, apply, token, events and scan --console.\n"
    "\n"
    "  --user NAME           user (asked for on a terminal when absent)\n"
    "  --password-file FILE  password from a file, - for standard input (asked for on a terminal when absent)\n"
    "  --token-file FILE     a token made by \"bulkhead token create\" instead of user and password, - for standard "
    "input\n"
    "  --ca FILE             trust exactly this authority (PEM) for the console\n"
    "  --fingerprint HEX     trust the authority the console shows if the SHA-256 of its public key is this\n"
    "\n"
    "Without --ca and --fingerprint the system's authorities are tried; a console they do not vouch for shows its own\n"
    "authority, and on a terminal you are asked whether its fingerprint is the one the console printed at its start.\n"
    "No connection is ever made unverified. The login is kept in ~/.config/bulkhead/console.json (mode 0600).\n";

struct login {
    const char *url, *user, *password_file, *token_file, *ca_file, *fingerprint;
};

/* ---- which authority ---- */

static bool same_fingerprint(const char *have, const char *want)
{
    size_t n = 0;
    if (!strncasecmp(want, "sha256:", 7))
        want += 7;
    for (; *want; want++) {
        if (*want == ':')
            continue;
        char c = *want >= 'A' && *want <= 'F' ? (char)(*want + 32) : *want;
        if (n >= TLS_FINGERPRINT - 1 || have[n++] != c)
            return false;
    }
    return n == TLS_FINGERPRINT - 1;
}

static bool confirm(void)
{
    char line[16] = "";
    fprintf(stderr, "Is this the fingerprint that the console printed at its start? [yes/no] ");
    return fgets(line, sizeof(line), stdin) && (!strcmp(line, "yes\n") || !strcmp(line, "y\n"));
}

static int find_ca(struct arena *a, const struct login *l, struct remote *rm, struct err *e)
{
    struct tls_peek seen;
    struct remote old;
    char known[TLS_FINGERPRINT] = "";
    int r;
    if (l->ca_file)
        return fs_read(a, l->ca_file, 1u << 20, &rm->ca, e);
    if ((r = tls_peek(a, arena_cstr(a, rm->url), &seen, e)) < 0)
        return r;
    if (!l->fingerprint && seen.trusted)
        return 0; /* the system store vouches for it */
    if (!seen.ca.n)
        return err_set(
            e, EKEYREJECTED,
            "%s shows no authority of its own and the system does not vouch for it; --ca FILE tells whom to trust",
            arena_cstr(a, rm->url));
    if (l->fingerprint) {
        if (!same_fingerprint(seen.fingerprint, l->fingerprint))
            return err_set(e, EKEYREJECTED, "the console's authority has the fingerprint %s, not the one given",
                           seen.fingerprint);
        rm->ca = seen.ca;
        return 0;
    }
    if (remote_load(a, &old, NULL) == 0 && str_eq(old.url, rm->url) && old.ca.n) {
        if (tls_fingerprint(old.ca, known, NULL) == 0 && !strcmp(known, seen.fingerprint)) {
            rm->ca = old.ca;
            return 0;
        }
        fprintf(stderr, "WARNING: the authority of this console is not the one of the last login (%s)!\n", known);
    }
    fprintf(stderr, "The console %s has its own authority (%s), SHA-256 of its public key:\n  %s\n",
            arena_cstr(a, rm->url), plain(a, seen.ca_name), seen.fingerprint);
    if (!isatty(STDIN_FILENO))
        return err_set(e, EKEYREJECTED,
                       "nobody is there to confirm the fingerprint: give --ca FILE or --fingerprint HEX");
    if (!confirm())
        return err_set(e, EKEYREJECTED, "the authority of the console was not confirmed");
    rm->ca = seen.ca;
    return 0;
}

/* ---- who ---- */

static int ask(const char *prompt, bool secret, char *line, size_t size, struct err *e)
{
    _cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios old, quiet;
    sigset_t all, before;
    if (fd < 0)
        return err_set(e, EINVAL, "no terminal to ask on");
    if (tcgetattr(fd, &old) < 0)
        return err_errno(e, "terminal");
    sigemptyset(&all); /* an interrupt waits until the terminal echoes again */
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGTERM);
    sigprocmask(SIG_BLOCK, &all, &before);
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)(secret ? ECHO : 0);
    tcsetattr(fd, TCSAFLUSH, &quiet);
    dprintf(fd, "%s: ", prompt);
    ssize_t n = read(fd, line, size - 1);
    tcsetattr(fd, TCSAFLUSH, &old);
    if (secret)
        dprintf(fd, "\n");
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (n <= 0)
        return err_set(e, EINVAL, "nothing was entered");
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    return 0;
}

static int first_line(struct arena *a, const char *path, struct str *ret, struct err *e)
{
    struct str text, line = STR("");
    int r = read_input(a, path, 64u << 10, &text, e);
    if (r < 0)
        return r;
    str_cut(&text, '\n', &line);
    if (str_ends(line, STR("\r")))
        line.n--;
    if (!line.n)
        return err_set(e, EINVAL, "%s is empty", strcmp(path, "-") ? path : "standard input");
    *ret = line;
    return 0;
}

static int with_password(struct arena *a, const struct login *l, struct remote *rm, struct err *e)
{
    _cleanup_(buf_fini) struct buf body = BUF_INIT(64u << 10);
    struct json_writer w = JSON_WRITER(&body);
    const struct json_value *v;
    char user[256], typed[1024];
    struct str password;
    int r = 0;
    rm->user = str_c(l->user);
    if (!l->user) {
        if ((r = ask("user", false, user, sizeof(user), e)) < 0)
            return err_set(e, EINVAL, "--user NAME or --token-file FILE is needed");
        rm->user = arena_str(a, str_c(user));
    }
    if (l->password_file || !isatty(STDIN_FILENO)) {
        r = first_line(a, l->password_file ? l->password_file : "-", &password, e);
    } else if ((r = ask("password", true, typed, sizeof(typed), e)) == 0) {
        password = arena_str(a, str_c(typed));
        fs_wipe(typed, sizeof(typed));
    }
    if (r < 0)
        return err_wrap(e, "password"), r;
    json_w_object(&w);
    json_w_kstr(&w, "user", rm->user);
    json_w_kstr(&w, "password", password);
    json_w_end(&w);
    fs_wipe((char *)password.p, password.n);
    r = remote_call(rm, a, "POST", "/api/v1/login", "application/json", buf_str(&body), &v, e);
    fs_wipe(body.p, body.n);
    if (r < 0)
        return r;
    rm->token = json_str(json_get(v, "token"));
    rm->expires = json_str(json_get(v, "expires"));
    return rm->token.n ? 0 : err_set(e, EBADMSG, "the console answered without a token");
}

static int with_token(struct arena *a, const struct login *l, struct remote *rm, struct err *e)
{
    const struct json_value *v;
    int r = first_line(a, l->token_file, &rm->token, e);
    if (r < 0 || (r = remote_get(rm, a, "/api/v1/whoami", &v, e)) < 0)
        return r;
    rm->user = json_str(json_get(v, "user"));
    rm->expires = json_str(json_get(v, "expires"));
    return 0;
}

static int log_in(const struct login *l, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    struct remote rm = {0};
    int r;
    if ((r = url_normal(a, l->url, &rm.url, e)) < 0 || (r = find_ca(a, l, &rm, e)) < 0 ||
        (r = remote_connect(&rm, e)) < 0)
        return r;
    r = l->token_file ? with_token(a, l, &rm, e) : with_password(a, l, &rm, e);
    if (r == 0)
        r = remote_store(a, &rm, e);
    remote_close(&rm);
    if (r == 0)
        printf("logged in to %s%s%s until %s\n", arena_cstr(a, rm.url), rm.user.n ? " as " : "", plain(a, rm.user),
               plain(a, rm.expires));
    return r;
}

int cmd_login(int argc, char **argv)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'},
        {"password-file", required_argument, NULL, 'p'},
        {"token-file", required_argument, NULL, 't'},
        {"ca", required_argument, NULL, 'c'},
        {"fingerprint", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct login l = {0};
    struct err e = ERR_INIT;
    int c;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'u':
            l.user = optarg;
            break;
        case 'p':
            l.password_file = optarg;
            break;
        case 't':
            l.token_file = optarg;
            break;
        case 'c':
            l.ca_file = optarg;
            break;
        case 'f':
            l.fingerprint = optarg;
            break;
        case 'h':
            fputs(login_help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc)
        return command_usage("login", "exactly one URL is needed");
    if (l.token_file && (l.user || l.password_file))
        return command_usage("login", "--token-file goes without user and password");
    l.url = argv[optind];
    return log_in(&l, &e) < 0 ? command_failed("login", &e) : 0;
}

static const char logout_help[] = "usage: bulkhead logout\n"
                                  "\n"
                                  "End the session on the console and forget it here.\n";

int cmd_logout(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    const struct json_value *v;
    struct remote rm;
    struct err e = ERR_INIT;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        fputs(c == 'h' ? logout_help : "", stdout);
        return c == 'h' ? 0 : 2;
    }
    if (remote_open(a, NULL, &rm, &e) < 0)
        return command_failed("logout", &e);
    /* Forgotten here in any case: a console that is away must not keep a login alive on this machine. */
    int r = remote_call(&rm, a, "POST", "/api/v1/logout", NULL, STR_NONE, &v, &e);
    remote_close(&rm);
    if (unlink(remote_file(a)) < 0 && errno != ENOENT)
        err_errno(&e, "%s", remote_file(a)), r = -1;
    else if (r == -EKEYREJECTED)
        r = 0; /* it had ended already */
    if (r < 0)
        return command_failed("logout", &e);
    printf("logged out\n");
    return 0;
}
