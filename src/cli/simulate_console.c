/* bulkhead policy simulate --console: drafts or newer intel against the images that the console knows. */
#include "base/cleanup.h"
#include "base/map.h"
#include "cli/apply.h"
#include "cli/policy.h"
#include "cli/put.h"
#include "cli/table.h"

#define STALE_MAX 10000u

static const char *const sums[] = {"judged", "denied_before", "denied_after", "newly_denied", "newly_allowed"};
enum { JUDGED, BEFORE, AFTER, NEWLY_DENIED, NEWLY_ALLOWED, SUMS };

struct stale {
    const struct json_value *v;
    int64_t images;
};

struct totals {
    struct arena *a;
    int64_t n[SUMS];
    struct json_writer *items; /* NULL: for people */
    struct map *stale;
};

static void show_item(struct totals *t, const struct json_value *x)
{
    const struct json_value *names = json_get(x, "names");
    bool before = json_bool(json_get(x, "allowed_before"), false);
    struct str name = json_str(json_get(x, "id"));
    JSON_EACH (names, it)
        if (str_starts(name, STR("sha256:")))
            name = json_str(it);
    if (t->items) {
        json_w_value(t->items, x);
        return;
    }
    printf("%-5s -> %-5s  %s%s\n", before ? "allow" : "deny", before ? "deny" : "allow", plain(t->a, name),
           json_str(json_get(x, "running_since")).n ? " (runs)" : "");
    JSON_EACH (json_path(x, "verdict.reasons"), r)
        if (before && json_bool(json_get(r, "deny"), false))
            printf("                 deny %s: %s\n", plain(t->a, json_str(json_get(r, "policy"))),
                   plain(t->a, json_str(json_get(r, "text"))));
}

static void add_page(struct totals *t, const struct json_value *page)
{
    for (size_t i = 0; i < SUMS; i++)
        t->n[i] += json_i64(json_get(page, sums[i]), 0);
    JSON_EACH (json_get(page, "items"), x)
        show_item(t, x);
    JSON_EACH (json_get(page, "stale"), x) {
        struct str key = arena_strf(t->a, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT,
                                    STR_ARG(json_str(json_get(x, "policy"))), STR_ARG(json_str(json_get(x, "what"))),
                                    STR_ARG(json_str(json_get(x, "package"))), STR_ARG(json_str(json_get(x, "owner"))));
        struct stale *s = map_get(t->stale, key);
        if (!s && map_count(t->stale) < STALE_MAX) {
            s = arena_new_of(t->a, struct stale);
            s->v = x;
            map_put(t->stale, key, s);
        }
        if (s)
            s->images += json_i64(json_get(x, "images"), 0);
    }
}

/* Of the console's images all, or of newer intel those it concerns; a page at a time. */
static int pages(struct remote *rm, struct totals *t, struct str policies, const char *intel, struct err *e)
{
    struct str cursor = STR("");
    do {
        const struct json_value *page;
        const char *query = cursor.n ? arena_printf(t->a, "?cursor=%s", http_escape(t->a, cursor)) : "";
        const char *path = arena_printf(t->a, "/api/v1/simulate/%s%s", intel ? "intel" : "policies", query);
        int r = intel ? put_stream(rm, t->a, "POST", intel, path, "application/octet-stream", &page, e)
                      : remote_call(rm, t->a, "POST", path, "application/yaml", policies, &page, e);
        if (r < 0)
            return r;
        add_page(t, page);
        cursor = json_str(json_get(page, "next"));
    } while (cursor.n);
    return 0;
}

static void show_totals(struct totals *t, bool intel)
{
    MAP_EACH (t->stale, it) {
        const struct stale *s = it->value;
        struct str package = json_str(json_get(s->v, "package"));
        bool expired = json_bool(json_get(s->v, "expired"), false);
        printf("stale: policy %s, %s%s%s of %s: ", plain(t->a, json_str(json_get(s->v, "policy"))),
               plain(t->a, json_str(json_get(s->v, "what"))), package.n ? " in " : "", plain(t->a, package),
               plain(t->a, json_str(json_get(s->v, "owner"))));
        if (expired)
            printf("expired\n");
        else
            printf("does nothing in %" PRIi64 " of the images judged\n", s->images);
    }
    printf("%" PRIi64 " image%s %s, %" PRIi64 " newly denied, %" PRIi64 " newly allowed, %" PRIi64 " denied in all\n",
           t->n[JUDGED], t->n[JUDGED] == 1 ? "" : "s", intel ? "concerned" : "judged", t->n[NEWLY_DENIED],
           t->n[NEWLY_ALLOWED], t->n[AFTER]);
}

static void write_totals(struct totals *t)
{
    struct json_writer *w = t->items;
    json_w_end(w);
    for (size_t i = 0; i < SUMS; i++)
        json_w_ki64(w, sums[i], t->n[i]);
    json_w_karray(w, "stale");
    MAP_EACH (t->stale, it) {
        const struct stale *s = it->value;
        json_w_object(w);
        JSON_EACH (s->v, member) {
            json_w_key(w, arena_cstr(t->a, member->key));
            if (str_eqc(member->key, "images"))
                json_w_i64(w, s->images);
            else
                json_w_value(w, member);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

int simulate_console(const char *url, const char *const *files, size_t files_n, const char *intel, bool json)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REMOTE_ARENA);
    _cleanup_(map_freep) struct map *stale = map_new(STALE_MAX);
    _cleanup_(buf_fini) struct buf out = BUF_INIT(512u << 20), policies = BUF_INIT(LIMIT_POLICY_FILE);
    struct json_writer w = JSON_WRITER(&out);
    struct totals t = {.a = a, .items = json ? &w : NULL, .stale = stale};
    struct remote rm;
    struct err e = ERR_INIT;
    int r = files_n ? apply_read(a, files, files_n, &policies, &e) : 0;
    if (r < 0 || (r = remote_open(a, url, &rm, &e)) < 0)
        return command_failed("policy simulate", &e);
    json_w_object(&w);
    json_w_karray(&w, "items");
    r = pages(&rm, &t, buf_str(&policies), intel, &e);
    remote_close(&rm);
    if (r < 0)
        return command_failed("policy simulate", &e);
    if (!json) {
        show_totals(&t, intel);
    } else {
        write_totals(&t);
        json_w_end(&w);
        buf_putc(&out, '\n');
        if (buf_check(&out, &e) < 0)
            return command_failed("policy simulate", &e);
        fwrite(out.p, 1, out.n, stdout);
    }
    return t.n[NEWLY_DENIED] ? 1 : 0;
}
