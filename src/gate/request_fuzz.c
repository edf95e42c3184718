/* Input: METHOD \n URI \n CONTENT-TYPE \n UPGRADE \n BODY. Whatever is accepted must be a plain path of the table and
 * must classify the same again. */
#include "gate/request.h"

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > (1u << 16))
        return 0;
    struct str rest = str_n((const char *)data, size);
    struct request_raw raw = {0};
    str_cut(&rest, '\n', &raw.method);
    str_cut(&rest, '\n', &raw.uri);
    str_cut(&rest, '\n', &raw.content_type);
    str_cut(&rest, '\n', &raw.upgrade);
    raw.body = rest;
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct request rq, again;
    struct request_create c;
    if (request_classify(a, &raw, &rq, NULL) < 0)
        return 0;
    if (rq.path.p[0] != '/' || str_has(rq.path, STR("//")) || str_has(rq.path, STR("/../")) ||
        str_chr(rq.path, '%') >= 0)
        abort();
    struct request_raw plain = raw;
    plain.uri =
        arena_strf(a, "/v1.41" STR_FMT "%s" STR_FMT, STR_ARG(rq.path), rq.query.p ? "?" : "", STR_ARG(rq.query));
    if (plain.uri.n < 8000 && (request_classify(a, &plain, &again, NULL) < 0 || again.class != rq.class))
        abort();
    if (rq.class == REQUEST_CREATE)
        (void)request_create(rq.body, &c, NULL);
    return 0;
}
