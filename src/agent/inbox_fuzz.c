/* What lies in the inbox and what the engine keeps on disk: files that others write. */
#include "agent/agent.h"

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    struct str text = str_n((const char *)data, n < LIMIT_EVENT ? n : LIMIT_EVENT);
    struct event ev;
    struct subject s;
    if (inbox_event(a, text, &ev, NULL) == 0) { /* whatever came in can go out again */
        _cleanup_(buf_fini) struct buf b = BUF_INIT(8u << 20);
        struct json_writer w = JSON_WRITER(&b);
        struct json_value *v;
        event_write(&w, &ev);
        if (!b.full && json_parse(a, buf_str(&b), 0, &v, NULL) < 0)
            abort();
    }
    containers_parse_docker(a, text, &s, NULL);
    return 0;
}
