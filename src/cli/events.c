/* bulkhead events: search and follow what the agents told the console. */
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/table.h"

#include "base/map.h"

#include <getopt.h>
#include <poll.h>

#define FOLLOW_WAIT   55
#define RETRY_MOST_MS 30000
#define PAGE          1000u
#define SEEN_MAX      2000u

static const char events_help[] =
    "usage: bulkhead events [--follow] [OPTIONS]\n"
    "\n"
    "Show events of all agents, oldest first: the last --limit of them, and with --follow what comes from now on.\n"
    "\n"
    "  -f, --follow           wait for new ones, until interrupted\n"
    "      --json             one event a line, as in api/event.schema.json\n"
    "      --limit N          how many of the past (20; 0 none; without --follow at most 1000)\n"
    "      --count N          end after N events\n"
    "      --severity LEVEL   this or worse: info low medium high critical\n"
    "      --container NAME   name or id\n"
    "      --image NAME       as in the event\n"
    "      --agent ID         of one agent\n"
    "      --host NAME        of one host\n"
    "      --type LIST        exec,mmap,gate, ...\n"
    "      --control LIST     drift,fileless,image, ...\n"
    "      --outcome LIST     detected,prevented,killed, ...\n"
    "      --since INSTANT    from then on (RFC 3339)\n"
    "      --search WORDS     words that all must occur\n";

/* Options that are parameters of the API. */
static const struct {
    const char *option, *parameter;
} filters[] = {
    {"severity", "severity"}, {"container", "container"}, {"image", "image"},     {"agent", "agent"}, {"host", "host"},
    {"type", "type"},         {"control", "control"},     {"outcome", "outcome"}, {"since", "since"}, {"search", "q"}};

struct events {
    char *query; /* "&key=value..." */
    bool follow, json;
    uint64_t limit, count, shown;
    struct map *seen; /* ids of the past that was shown, which following may give once more */
};

static void put_json(const struct json_value *v)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4u << 20);
    struct json_writer w = JSON_WRITER(&b);
    json_w_value(&w, v);
    buf_putc(&b, '\n');
    fwrite(b.p, 1, b.n, stdout);
}

static void put_line(struct arena *a, const struct json_value *v)
{
    struct str severity = json_str(json_get(v, "severity")), outcome = json_str(json_get(v, "outcome"));
    struct str container = json_str(json_path(v, "container.name")), exe = json_str(json_path(v, "process.exe"));
    struct str rule = json_str(json_get(v, "rule")), control = json_str(json_get(v, "control"));
    if (!container.n)
        container = str_sub(json_str(json_path(v, "container.id")), 0, 12);
    printf("%s  %s%-8s%s  %s%s%s  %s%s%s", plain(a, str_sub(json_str(json_get(v, "time")), 0, 19)),
           color_of(stdout, severity), plain(a, severity), color_end(stdout, severity),
           plain(a, json_str(json_get(v, "host"))), container.n ? "/" : "", plain(a, container),
           color_of(stdout, outcome), plain(a, outcome), color_end(stdout, outcome));
    printf("  %s%s%s", plain(a, json_str(json_get(v, "type"))), control.n && !str_eqc(control, "none") ? "/" : "",
           str_eqc(control, "none") ? "" : plain(a, control));
    if (exe.n)
        printf("  %s", plain(a, exe));
    if (rule.n)
        printf("  %s", plain(a, rule));
    struct str message = json_str(json_path(v, "detail.message"));
    if (!message.n)
        message = json_str(json_path(v, "detail.reason"));
    if (message.n)
        printf("  %s", plain(a, message));
    putchar('\n');
}

/* True when the count asked for is reached. */
static bool show(struct arena *a, struct events *ev, const struct json_value *v)
{
    struct str id = json_str(json_get(v, "id"));
    if (map_has(ev->seen, id))
        return false;
    if (map_count(ev->seen) < SEEN_MAX)
        map_put(ev->seen, id, ev);
    if (ev->json)
        put_json(v);
    else
        put_line(a, v);
    return ++ev->shown == ev->count;
}

/* Oldest first; the API gives the newest first. */
static bool show_backwards(struct arena *a, struct events *ev, const struct json_value *items)
{
    size_t n = 0;
    const struct json_value **all = arena_array(a, items ? items->count + 1 : 1, sizeof(*all));
    JSON_EACH (items, v)
        all[n++] = v;
    while (n > 0)
        if (show(a, ev, all[--n]))
            return true;
    return false;
}

/* 1: the count is reached; 0: the past is shown and *cursor is where to go on. */
static int past(struct remote *rm, struct arena *a, struct events *ev, char **cursor, struct err *e)
{
    const struct json_value *v;
    int r;
    /* where "now" is, before the past is read: an event between the two would otherwise be missed */
    if (ev->follow) {
        if ((r = remote_get(rm, a, arena_printf(a, "/api/v1/events?order=asc&wait=0&limit=1%s", ev->query), &v, e)) < 0)
            return r;
        *cursor = strndup(json_str(json_get(v, "next")).p ? json_str(json_get(v, "next")).p : "",
                          json_str(json_get(v, "next")).n);
    }
    if (ev->limit == 0)
        return 0;
    if ((r = remote_get(rm, a, arena_printf(a, "/api/v1/events?limit=%" PRIu64 "%s", ev->limit, ev->query), &v, e)) < 0)
        return r;
    return show_backwards(a, ev, json_get(v, "items"));
}

static int follow(struct remote *rm, struct events *ev, char **cursor, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    const struct json_value *v;
    int r = remote_get(rm, a,
                       arena_printf(a, "/api/v1/events?order=asc&wait=%d&limit=%u&cursor=%s%s", FOLLOW_WAIT, PAGE,
                                    http_escape(a, str_c(*cursor)), ev->query),
                       &v, e);
    if (r < 0)
        return r;
    JSON_EACH (json_get(v, "items"), x)
        if (show(a, ev, x))
            return 1;
    if (fflush(stdout) < 0)
        return err_errno(e, "standard output");
    struct str next = json_str(json_get(v, "next"));
    if (next.n) {
        free(*cursor);
        *cursor = strndup(next.p, next.n);
    }
    return 0;
}

static int events(struct events *ev, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    _cleanup_free_ char *cursor = NULL;
    struct remote rm;
    int wait_ms = 500, r = remote_open(a, NULL, &rm, e);
    if (r < 0)
        return r;
    r = past(&rm, a, ev, &cursor, e);
    fflush(stdout);
    while (r == 0 && ev->follow) {
        r = follow(&rm, ev, &cursor, e);
        if (r == 0) {
            wait_ms = 500;
        } else if (r == -ECONNREFUSED || r == -ETIMEDOUT || r == -EBADMSG || r == -EAGAIN) {
            /* A console that restarts: nothing is missed, the cursor says where we are. */
            if (wait_ms == 500)
                fprintf(stderr, "bulkhead events: %s; trying again\n", e->msg);
            poll(NULL, 0, wait_ms);
            wait_ms = wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : wait_ms * 2;
            r = 0;
        }
    }
    remote_close(&rm);
    if (fflush(stdout) < 0 && r >= 0)
        r = err_errno(e, "standard output");
    return r < 0 ? r : 0;
}

int cmd_events(int argc, char **argv)
{
    struct option options[ARRAY_LEN(filters) + 6] = {
        {"follow", no_argument, NULL, 'f'},      {"json", no_argument, NULL, 'j'},
        {"limit", required_argument, NULL, 'l'}, {"count", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
    };
    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        options[5 + i] = (struct option){filters[i].option, required_argument, NULL, 1000 + (int)i};
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct events ev = {.limit = 20, .query = arena_printf(a, "%s", "")};
    struct err e = ERR_INIT;
    for (int c; (c = getopt_long(argc, argv, "fh", options, NULL)) != -1;) {
        switch (c) {
        case 'f':
            ev.follow = true;
            break;
        case 'j':
            ev.json = true;
            break;
        case 'l':
            if (str_u64(str_c(optarg), &ev.limit) < 0 || ev.limit > 1000)
                return command_usage("events", "--limit needs a number up to 1000");
            break;
        case 'c':
            if (str_u64(str_c(optarg), &ev.count) < 0 || ev.count == 0)
                return command_usage("events", "--count needs a number");
            break;
        case 'h':
            fputs(events_help, stdout);
            return 0;
        case '?':
            return 2;
        default:
            ev.query =
                arena_printf(a, "%s&%s=%s", ev.query, filters[c - 1000].parameter, http_escape(a, str_c(optarg)));
        }
    }
    if (optind != argc)
        return command_usage("events", "\"%s\" is no option", argv[optind]);
    ev.seen = map_new(SEEN_MAX);
    int r = events(&ev, &e);
    map_free(ev.seen);
    return r < 0 ? command_failed("events", &e) : 0;
}
