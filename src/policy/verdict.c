#include "policy/verdict.h"

#include "base/cleanup.h"
#include "base/time.h"

static void put_text(struct json_writer *w, const char *key, struct str s)
{
    json_w_kstr(w, key, s.n ? s : STR_NONE);
}

static void put_time(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    /* beyond year 9999 there is no RFC 3339: never */
    json_w_kstr(w, key, t && t < INT64_C(253402300800) * TIME_SECOND ? str_c(time_format(t, text)) : STR_NONE);
}

void verdict_write(struct json_writer *w, const struct verdict *v)
{
    json_w_object(w);
    put_text(w, "image_id", v->image_id);
    put_text(w, "intel_revision", v->intel_revision);
    put_text(w, "policy_revision", v->policy_revision);
    put_time(w, "evaluated", v->evaluated);
    put_time(w, "valid_until", v->valid_until);
    json_w_kbool(w, "allow", v->allow);
    json_w_karray(w, "reasons");
    for (size_t i = 0; i < v->reasons_n; i++) {
        const struct reason *r = &v->reasons[i];
        json_w_object(w);
        json_w_kbool(w, "deny", r->deny);
        put_text(w, "policy", r->policy);
        put_text(w, "rule", r->rule);
        put_text(w, "text", r->text);
        put_text(w, "finding", r->finding);
        put_text(w, "package", r->package);
        put_text(w, "exception", r->exception);
        put_time(w, "until", r->until);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_karray(w, "stale_exceptions");
    for (size_t i = 0; i < v->stale_n; i++) {
        const struct stale_exception *x = &v->stale[i];
        json_w_object(w);
        put_text(w, "policy", x->policy);
        put_text(w, "what", x->what);
        put_text(w, "package", x->package);
        put_text(w, "owner", x->owner);
        put_time(w, "expires", x->expires);
        json_w_kbool(w, "expired", x->expired);
        json_w_kbool(w, "unused", x->unused);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
}

struct read_verdict {
    struct str image_id, intel, policy, evaluated, valid_until;
    bool allow;
    const struct json_value *reasons;
};
#define F(name, type, required)                                                                                        \
    {                                                                                                                  \
#name, type, offsetof(struct read_verdict, name), required                                                     \
    }
static const struct json_field verdict_fields[] = {
    F(image_id, JSON_F_STR, false),
    {"intel_revision", JSON_F_STR, offsetof(struct read_verdict, intel), false},
    {"policy_revision", JSON_F_STR, offsetof(struct read_verdict, policy), false},
    F(evaluated, JSON_F_STR, true),
    F(valid_until, JSON_F_STR, false),
    F(allow, JSON_F_BOOL, true),
    F(reasons, JSON_F_VALUE, true),
};
#undef F

struct read_reason {
    bool deny;
    struct str policy, rule, text, finding, package, exception, until;
};
#define F(name, type, required)                                                                                        \
    {                                                                                                                  \
#name, type, offsetof(struct read_reason, name), required                                                      \
    }
static const struct json_field reason_fields[] = {
    F(deny, JSON_F_BOOL, true),      F(policy, JSON_F_STR, true),   F(rule, JSON_F_STR, false),
    F(text, JSON_F_STR, true),       F(finding, JSON_F_STR, false), F(package, JSON_F_STR, false),
    F(exception, JSON_F_STR, false), F(until, JSON_F_STR, false),
};
#undef F

static int read_time(const char *field, struct str s, int64_t none, int64_t *ret, struct err *e)
{
    *ret = none;
    if (s.p && time_parse(s, ret) < 0)
        return err_set(e, EBADMSG, "field \"%s\": not an instant", field);
    return 0;
}

static int read_reason(struct arena *a, const struct json_value *v, struct reason *ret, struct err *e)
{
    struct read_reason in = {0};
    int r = json_decode(a, v, reason_fields, ARRAY_LEN(reason_fields), JSON_DECODE_UNKNOWN_OK, &in, e);
    if (r < 0)
        return r;
    *ret = (struct reason){.deny = in.deny,
                           .policy = in.policy,
                           .rule = in.rule,
                           .text = in.text,
                           .finding = in.finding,
                           .package = in.package,
                           .exception = in.exception};
    return read_time("until", in.until, 0, &ret->until, e);
}

int verdict_read(struct arena *a, const struct json_value *v, struct verdict *ret, struct err *e)
{
    struct read_verdict in = {0};
    struct verdict out = {0};
    int r = json_decode(a, v, verdict_fields, ARRAY_LEN(verdict_fields), JSON_DECODE_UNKNOWN_OK, &in, e);
    if (r < 0)
        return r;
    if (!in.reasons || in.reasons->type != JSON_ARRAY)
        return err_set(e, EBADMSG, "field \"reasons\": expected an array");
    if ((r = read_time("evaluated", in.evaluated, 0, &out.evaluated, e)) < 0 ||
        (r = read_time("valid_until", in.valid_until, TIME_NEVER, &out.valid_until, e)) < 0)
        return r;
    out.image_id = in.image_id;
    out.intel_revision = in.intel;
    out.policy_revision = in.policy;
    out.allow = in.allow;
    out.reasons = arena_array(a, in.reasons->count, sizeof(*out.reasons));
    JSON_EACH (in.reasons, it) {
        if ((r = read_reason(a, it, &out.reasons[out.reasons_n], e)) < 0) {
            err_wrap(e, "reasons[%zu]", out.reasons_n);
            return r;
        }
        if (out.allow && out.reasons[out.reasons_n].deny)
            return err_set(e, EBADMSG, "reasons[%zu] denies, but the verdict is allow", out.reasons_n);
        out.reasons_n++;
    }
    const struct json_value *stale = json_get(v, "stale_exceptions");
    out.stale = arena_array(a, stale ? stale->count : 0, sizeof(*out.stale));
    JSON_EACH (stale, it) {
        struct stale_exception *x = &out.stale[out.stale_n++];
        *x = (struct stale_exception){.policy = json_str(json_get(it, "policy")),
                                      .what = json_str(json_get(it, "what")),
                                      .package = json_str(json_get(it, "package")),
                                      .owner = json_str(json_get(it, "owner")),
                                      .expired = json_bool(json_get(it, "expired"), false),
                                      .unused = json_bool(json_get(it, "unused"), false)};
        if ((r = read_time("expires", json_str(json_get(it, "expires")), 0, &x->expires, e)) < 0)
            return r;
    }
    *ret = out;
    return 0;
}
