/* bulkhead intel delta | apply | publish | update */
#include "cli/intel.h"

#include "base/err.h"
#include "intel/delta.h"
#include "intel/intel.h"
#include "intel/update.h"

static int result(int r, const struct err *e)
{
    if (r < 0)
        fprintf(stderr, "bulkhead intel: %s\n", e->msg);
    return r < 0 ? 3 : 0;
}

int intel_cmd_delta(const char *from, const char *to, const char *output)
{
    struct err e = ERR_INIT;
    return result(delta_make(from, to, output, &e), &e);
}

int intel_cmd_apply(const char *from, const char *delta, const char *key, const char *output)
{
    struct err e = ERR_INIT;
    _cleanup_(intel_unrefp) struct intel *fresh = NULL;
    int r = delta_apply(from, delta, output, &e);
    if (r == 0 && key && (r = intel_open(output, key, 0, &fresh, &e)) < 0)
        unlink(output);
    return result(r, &e);
}

int intel_cmd_publish(const char *db, const char *key, const char *folder)
{
    struct err e = ERR_INIT;
    return result(intel_publish(db, key, folder, &e), &e);
}

static void tell(void *arg, const char *text)
{
    fprintf(stderr, "bulkhead intel: %s; trying the next one\n", text);
}

int intel_cmd_update(char **urls, size_t n, const char *key, const char *ca, const char *output, bool quiet)
{
    static const char *const how[] = {"is up to date", "replaced as a whole", "updated by a delta"};
    struct err e = ERR_INIT;
    enum intel_updated done;
    uint64_t bytes = 0;
    struct intel_update u = {
        .urls = (const char *const *)urls, .urls_n = n, .key_path = key, .ca_file = ca, .output = output, .tell = tell};
    int r = intel_update(&u, &done, &bytes, &e);
    if (r == 0 && !quiet)
        printf("%s: %s (%" PRIu64 " bytes)\n", output, how[done], bytes);
    return result(r, &e);
}
