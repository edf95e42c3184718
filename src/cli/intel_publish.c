/* bulkhead intel delta | apply | publish | update */
#include "cli/intel.h"

#include "base/err.h"
#include "engine/publication.h"
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

int intel_cmd_publish(const char *db, const char *key, const char *to, const struct registry_opts *registry)
{
    struct err e = ERR_INIT;
    bool oci = str_starts(str_c(to), STR(PUBLICATION_SCHEME));
    return result(oci ? publication_push(registry, to, db, key, &e) : intel_publish(db, key, to, &e), &e);
}

static void tell(void *arg, const char *text)
{
    fprintf(stderr, "bulkhead intel: %s; trying the next one\n", text);
}

static int open_registry(void *arg, struct arena *a, const char *url, struct intel_source *ret, struct err *e)
{
    return publication_open(arg, a, url, ret, e);
}

int intel_cmd_update(char **urls, size_t n, const char *key, const char *output, const struct registry_opts *registry,
                     bool quiet)
{
    static const char *const how[] = {"is up to date", "replaced as a whole", "updated by a delta"};
    struct err e = ERR_INIT;
    enum intel_updated done;
    uint64_t bytes = 0;
    struct registry_opts opts = *registry;
    struct intel_update u = {.urls = (const char *const *)urls,
                             .urls_n = n,
                             .key_path = key,
                             .ca_file = registry->ca_file,
                             .output = output,
                             .tell = tell,
                             .open = open_registry,
                             .arg = &opts};
    int r = intel_update(&u, &done, &bytes, &e);
    if (r == 0 && !quiet)
        printf("%s: %s (%" PRIu64 " bytes)\n", output, how[done], bytes);
    return result(r, &e);
}
