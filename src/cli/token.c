/* bulkhead token: tokens for agents, pipelines and people. */
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/table.h"

#include "base/fs.h"

#include <getopt.h>

static const char token_help[] =
    "usage: bulkhead token create --kind agent|ci|user [OPTIONS]\n"
    "       bulkhead token list [--json]\n"
    "       bulkhead token revoke ID\n"
    "\n"
    "An agent's token is a file for \"bulkhead-agent --token-file FILE\": address and authority of the console, and a\n"
    "secret that enrols one agent (or --uses many) and is deleted by it. A ci or user token is for\n"
    "\"bulkhead login URL --token-file FILE\". A secret is shown once and never again.\n"
    "\n"
    "  --kind KIND          agent, ci or user\n"
    "  --expires DURATION   1m to 366d (agent 1h, others 30d)\n"
    "  --uses N             agents it may enrol (1)\n"
    "  --note TEXT          what it is for\n"
    "  --output FILE        write the secret there, mode 0600 (else standard output)\n"
    "  --json               list: JSON\n";

struct token {
    const char *kind, *expires, *uses, *note, *output;
    bool json;
};

static int write_secret(struct arena *a, const struct token *t, const struct json_value *v, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(256u << 10);
    const struct json_value *file = json_get(v, "token_file");
    if (file) {
        struct json_writer w = JSON_WRITER(&b);
        json_w_value(&w, file);
    } else {
        buf_puts(&b, json_str(json_get(v, "token")));
    }
    if (!b.n)
        return err_set(e, EBADMSG, "the console answered without a token");
    buf_putc(&b, '\n');
    int r = 0;
    if (t->output)
        r = fs_write(t->output, buf_str(&b), 0600, e);
    else
        fwrite(b.p, 1, b.n, stdout);
    fs_wipe(b.p, b.n);
    if (r == 0)
        fprintf(t->output ? stdout : stderr, "%s token %s, until %s%s%s\n", t->kind,
                plain(a, json_str(json_get(v, "id"))), plain(a, json_str(json_get(v, "expires"))),
                t->output ? ", in " : "", t->output ? t->output : "");
    return r;
}

static int create(struct remote *rm, struct arena *a, const struct token *t, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 10);
    struct json_writer w = JSON_WRITER(&b);
    const struct json_value *v;
    uint64_t uses = 0;
    if (t->uses && str_u64(str_c(t->uses), &uses) < 0)
        return err_set(e, EINVAL, "--uses needs a number");
    json_w_object(&w);
    json_w_kstrz(&w, "kind", t->kind);
    if (t->expires)
        json_w_kstrz(&w, "expires_in", t->expires);
    if (t->uses)
        json_w_ki64(&w, "uses", (int64_t)uses);
    if (t->note)
        json_w_kstrz(&w, "note", t->note);
    json_w_end(&w);
    int r = remote_call(rm, a, "POST", "/api/v1/tokens", "application/json", buf_str(&b), &v, e);
    return r < 0 ? r : write_secret(a, t, v, e);
}

static int list(struct remote *rm, struct arena *a, const struct token *t, struct err *e)
{
    static const struct table_column columns[] = {
        {"ID", "id", TABLE_TEXT},
        {"KIND", "kind", TABLE_TEXT},
        {"OWNER", "owner", TABLE_TEXT},
        {"NOTE", "note", TABLE_TEXT},
        {"EXPIRES", "expires", TABLE_AGE},
        {"USES LEFT", "uses_left", TABLE_TEXT},
        {"REVOKED", "revoked", TABLE_YES_NO},
        {"LAST USED", "last_used", TABLE_AGE},
    };
    const struct json_value *v;
    int r = remote_get(
        rm, a, t->kind ? arena_printf(a, "/api/v1/tokens?kind=%s", http_escape(a, str_c(t->kind))) : "/api/v1/tokens",
        &v, e);
    if (r < 0)
        return r;
    if (t->json) {
        _cleanup_(buf_fini) struct buf b = BUF_INIT(64u << 20);
        struct json_writer w = JSON_WRITER(&b);
        json_w_value(&w, json_get(v, "items"));
        buf_putc(&b, '\n');
        fwrite(b.p, 1, b.n, stdout);
    } else {
        table_print(stdout, columns, ARRAY_LEN(columns), json_get(v, "items"));
    }
    return 0;
}

int cmd_token(int argc, char **argv)
{
    static const struct option options[] = {
        {"kind", required_argument, NULL, 'k'},   {"expires", required_argument, NULL, 'e'},
        {"uses", required_argument, NULL, 'u'},   {"note", required_argument, NULL, 'n'},
        {"output", required_argument, NULL, 'o'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    struct token t = {0};
    struct err e = ERR_INIT;
    struct remote rm;
    const struct json_value *v;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'k':
            t.kind = optarg;
            break;
        case 'e':
            t.expires = optarg;
            break;
        case 'u':
            t.uses = optarg;
            break;
        case 'n':
            t.note = optarg;
            break;
        case 'o':
            t.output = optarg;
            break;
        case 'j':
            t.json = true;
            break;
        case 'h':
            fputs(token_help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    const char *verb = argv[optind] ? argv[optind] : "";
    const char *id = argc - optind == 2 ? argv[optind + 1] : NULL;
    bool creates = !strcmp(verb, "create"), lists = !strcmp(verb, "list"), revokes = !strcmp(verb, "revoke");
    if (!(creates || lists || revokes) || (revokes ? !id : argc - optind != 1))
        return command_usage("token", "create, list or revoke ID is needed");
    if (creates && !(t.kind && (!strcmp(t.kind, "agent") || !strcmp(t.kind, "ci") || !strcmp(t.kind, "user"))))
        return command_usage("token", "--kind agent, ci or user is needed");
    int r = remote_open(a, NULL, &rm, &e);
    if (r < 0)
        return command_failed("token", &e);
    if (creates)
        r = create(&rm, a, &t, &e);
    else if (lists)
        r = list(&rm, a, &t, &e);
    else if ((r = remote_call(&rm, a, "DELETE", arena_printf(a, "/api/v1/tokens/%s", http_escape(a, str_c(id))), NULL,
                              STR_NONE, &v, &e)) == 0)
        printf("token %s revoked\n", id);
    remote_close(&rm);
    return r < 0 ? command_failed("token", &e) : 0;
}
