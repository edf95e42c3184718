/* A learned profile of any bytes, from disk or from another host: read, told as a policy and in every export. */
#include "base/cleanup.h"
#include "format/json.h"
#include "runtime/identity.h"
#include "runtime/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct json_value *v;
    struct profile profile;
    struct err e = ERR_INIT;
    char id[IDENTITY_TEXT];
    identity_from_cgroup(str_n((const char *)p, n), id);
    if (n > 65536 || json_parse(a, str_n((const char *)p, n), 0, &v, &e) < 0 || profile_read(a, v, &profile, &e) < 0)
        return 0;
    struct buf b = BUF_INIT(16u << 20);
    struct json_writer w = JSON_WRITER(&b);
    profile_write(&w, &profile);
    if (json_parse(a, buf_str(&b), 0, &v, &e) < 0)
        abort();
    buf_reset(&b);
    profile_policy(&b, &profile, "audit");
    buf_fini(&b);
    return 0;
}
