#include "scan/check.h"

#include "base/cleanup.h"
#include "base/time.h"
#include "scan/issue.h"

#define YEAR (INT64_C(365) * 24 * 3600 * 1000000)

#define CHECK(id, severity, title) {#id, VULN_##severity, title},
static const struct {
    const char *name;
    enum vuln_severity severity;
    const char *title;
} checks[] = {
#include "scan/checks.tbl.h"
};
#undef CHECK

const char *check_name(enum check_id id)
{
    return checks[id].name;
}

struct finding check_finding(enum check_id id, enum finding_origin origin, struct str match)
{
    return (struct finding){.kind = FINDING_CHECK,
                            .id = str_c(checks[id].name),
                            .title = str_c(checks[id].title),
                            .severity = checks[id].severity,
                            .origin = origin,
                            .match = match,
                            .cvss = -1,
                            .epss = -1};
}

struct checking {
    struct arena *a;
    struct inventory *inv;
    struct finding *list;
    size_t n, cap;
};

static void add(struct checking *c, enum check_id id, enum finding_origin origin, struct str match)
{
    if (c->n >= 1000)
        return;
    c->list = arena_grow(c->a, c->list, c->n, &c->cap, sizeof(*c->list));
    c->list[c->n++] = check_finding(id, origin, arena_str(c->a, str_sub(match, 0, 200)));
}

static bool is_root(struct str user)
{
    struct str name, group;
    uint64_t id;
    str_split(user, ':', &name, &group);
    if (name.n && (name.p[0] == '+' || name.p[0] == '-')) /* engines read it with strconv.Atoi */
        name = str_sub(name, 1, name.n);
    return name.n == 0 || str_eqc(name, "root") || (str_u64(name, &id) == 0 && id == 0);
}

static void user_and_names(struct checking *c)
{
    const struct inventory *inv = c->inv;
    bool other = false;
    size_t latest = 0;
    if (is_root(inv->config.user))
        add(c, CHECK_root_user, ORIGIN_CONFIG, inv->config.user.n ? inv->config.user : STR("no USER"));
    if (!inv->config.healthcheck)
        add(c, CHECK_no_healthcheck, ORIGIN_CONFIG, STR(""));
    for (size_t i = 0; i < inv->names_n; i++) {
        bool is = str_ends(inv->names[i], STR(":latest"));
        latest += is;
        other |= !is && str_chr(inv->names[i], '@') < 0;
    }
    if (latest && !other)
        add(c, CHECK_latest_tag, ORIGIN_CONFIG, inv->names[0]);
}

static void ports_and_volumes(struct checking *c)
{
    static const unsigned remote[] = {21, 22, 23, 2375, 3389, 5900};
    static const char *const system[] = {"/",     "/etc", "/bin", "/sbin", "/usr", "/lib",
                                         "/boot", "/dev", "/sys", "/proc", "/run", "/root"};
    const struct image_config *k = &c->inv->config;
    for (size_t i = 0; i < k->ports_n; i++) {
        struct str port, proto;
        uint64_t n;
        bool is_remote = false;
        str_split(k->ports[i], '/', &port, &proto);
        if (str_u64(port, &n) < 0)
            continue;
        for (size_t x = 0; x < ARRAY_LEN(remote); x++)
            is_remote |= n == remote[x];
        if (is_remote || n < 1024)
            add(c, is_remote ? CHECK_remote_access_port : CHECK_privileged_port, ORIGIN_CONFIG, k->ports[i]);
    }
    for (size_t i = 0; i < k->volumes_n; i++)
        for (size_t x = 0; x < ARRAY_LEN(system); x++)
            if (str_eqc(k->volumes[i], system[x]) || str_starts(k->volumes[i], STR("/var/run/docker.sock")))
                add(c, CHECK_sensitive_volume, ORIGIN_CONFIG, k->volumes[i]);
}

/* "... | sh", "... |bash", "... | sudo bash -s" */
static bool pipes_to_shell(struct str line)
{
    struct str rest = line, part;
    bool download = false;
    for (bool first = true; str_cut(&rest, '|', &part); first = false) {
        struct str word = str_trim(part), tail;
        if (str_starts(word, STR("sudo ")))
            word = str_trim(str_sub(word, 5, word.n));
        str_split(word, ' ', &word, &tail);
        if (str_starts(word, STR("/bin/")))
            word = str_sub(word, 5, word.n);
        while (word.n && strchr(";&)", word.p[word.n - 1]))
            word.n--;
        if (!first && download &&
            (str_eqc(word, "sh") || str_eqc(word, "bash") || str_eqc(word, "python") || str_eqc(word, "python3")))
            return true;
        if (str_has(part, STR("curl ")) || str_has(part, STR("wget ")))
            download = true;
    }
    return false;
}

static void history_line(struct checking *c, struct str line)
{
    static const char *const unverified[] = {"--no-check-certificate",
                                             "curl -k ",
                                             "curl --insecure",
                                             "--allow-unauthenticated",
                                             "--nogpgcheck",
                                             "--no-gpg-check",
                                             "--allow-untrusted",
                                             "--trusted-host",
                                             "strict-ssl false",
                                             "http.sslVerify false",
                                             "NODE_TLS_REJECT_UNAUTHORIZED=0"};
    struct str rest = str_trim(line);
    if (str_starts(rest, STR("ADD http://")) || str_starts(rest, STR("ADD https://")))
        add(c, CHECK_add_from_url, ORIGIN_HISTORY, rest);
    if (pipes_to_shell(rest))
        add(c, CHECK_pipe_to_shell, ORIGIN_HISTORY, rest);
    for (size_t i = 0; i < ARRAY_LEN(unverified); i++)
        if (str_has(rest, str_c(unverified[i]))) {
            add(c, CHECK_unverified_download, ORIGIN_HISTORY, rest);
            break;
        }
    if (str_has(rest, STR("chmod 777")) || str_has(rest, STR("chmod -R 777")) || str_has(rest, STR("chmod a+rwx")))
        add(c, CHECK_chmod_777, ORIGIN_HISTORY, rest);
    if (str_has(rest, STR(" sudo ")) && !str_has(rest, STR("install")))
        add(c, CHECK_sudo_in_build, ORIGIN_HISTORY, rest);
}

void check_image(struct arena *a, struct inventory *inv, const struct str *history, size_t history_n, int64_t now)
{
    struct checking c = {.a = a, .inv = inv};
    if (inv->image_id.n) {
        user_and_names(&c);
        ports_and_volumes(&c);
        if (inv->config.created && now - inv->config.created > YEAR) {
            char t[TIME_TEXT];
            time_format(inv->config.created, t);
            add(&c, CHECK_old_image, ORIGIN_CONFIG, str_n(t, 10));
        }
        for (size_t i = 0; i < history_n; i++)
            history_line(&c, history[i]);
    }
    struct finding *all = arena_array(a, inv->issues_n + c.n, sizeof(*all));
    if (inv->issues_n)
        memcpy(all, inv->issues, inv->issues_n * sizeof(*all));
    if (c.n)
        memcpy(all + inv->issues_n, c.list, c.n * sizeof(*all));
    inv->issues = all;
    inv->issues_n += c.n;
    if (inv->issues_n > 1)
        qsort(inv->issues, inv->issues_n, sizeof(*all), issue_order);
}
