/* rule files: any text is rules or gives errors and notices; what compiles runs on any event, twice with one result. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "detect/detector.h"

static void alert(void *ctx, const struct detect_alert *al, struct detect_subject *s)
{
    ++*(size_t *)ctx;
    if (!al->message.p || !al->rule->name.n)
        abort();
}

static size_t run(const struct detect_rules *rs, struct arena *a)
{
    struct detector *d = detector_new(rs);
    size_t fired = 0;
    for (unsigned k = 0; k < KINDS; k++) {
        struct detect_subject s = {.a = a,
                                   .kind = (enum detect_kind)k,
                                   .time = 1000000 * (int64_t)k,
                                   .pid = 7,
                                   .ns_uid = 0,
                                   .exe = STR("/bin/sh"),
                                   .args = STR("sh\0-c\0id"),
                                   .path = STR("/etc/passwd"),
                                   .family = 2,
                                   .port = 443,
                                   .addr = {[10] = 0xff, [11] = 0xff, [12] = 10},
                                   .parents_n = 1,
                                   .parents = {{.pid = 1, .exe = STR("/sbin/init")}},
                                   .container = {.id = STR("ab"), .image = STR("x/y:1")}};
        detector_run(d, &s, alert, &fired);
    }
    detector_free(d);
    return fired;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 30);
    _cleanup_(detect_rules_freep) struct detect_rules *rs = detect_rules_new();
    struct err e = ERR_INIT;
    if (size > 65536)
        return 0;
    if (detect_rules_add(rs, "fuzz.yaml", str_n((const char *)data, size), &e) < 0) {
        if (!e.msg[0])
            abort();
        return 0;
    }
    detect_rules_compile(rs);
    if (run(rs, a) != run(rs, a))
        abort();
    return 0;
}
