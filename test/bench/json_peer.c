/* json-c reading a text; apart from the rest because both have names that begin with json_. */
#include "base/time.h"

#include <json-c/json.h>

double json_peer(const char *p, size_t n);
double json_peer(const char *p, size_t n)
{
    int64_t start = time_monotonic();
    struct json_tokener *t = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(t, p, (int)n);
    if (!o)
        fprintf(stderr, "json-c: %s\n", json_tokener_error_desc(json_tokener_get_error(t)));
    json_object_put(o);
    json_tokener_free(t);
    return (double)(time_monotonic() - start) / 1e6;
}
