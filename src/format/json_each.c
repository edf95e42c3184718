#include "format/json_each.h"

#include "base/cleanup.h"

static int members(struct json *j, json_each_fn *take, void *ctx, struct err *e)
{
    for (;;) {
        int t = json_next(j, e);
        if (t < 0)
            return t;
        if (t != JSON_KEY)
            return 0;
        int r = take(ctx, json_text(j), j, e);
        if (r < 0)
            return r;
    }
}

int json_each(struct json *j, json_each_fn *take, void *ctx, struct err *e)
{
    int t = json_next(j, e), r;
    if (t == JSON_OBJECT)
        return members(j, take, ctx, e);
    if (t != JSON_ARRAY)
        return t < 0 ? t : 0;
    do
        r = take(ctx, STR(""), j, e);
    while (r >= 0);
    return r == -ENOENT ? 0 : r;
}

int json_each_text(struct str text, json_each_fn *take, void *ctx, struct err *e)
{
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_sub(text, 3, text.n);
    _cleanup_(json_closep) struct json *j = json_open_mem(text, JSON_ANY_KEYS);
    int r = json_each(j, take, ctx, e);
    if (r < 0)
        return r;
    r = json_next(j, e); /* nothing may follow */
    return r < 0 ? r : 0;
}

int json_each_str(struct json *j, struct arena *a, struct str *ret, struct err *e)
{
    int t = json_next(j, e);
    if (t == JSON_STRING)
        *ret = arena_str(a, json_text(j));
    else if (t == JSON_OBJECT || t == JSON_ARRAY)
        return json_skip(j, e);
    return t < 0 ? t : 0;
}
