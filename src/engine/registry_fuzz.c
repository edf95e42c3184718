/* What a registry, an engine or a login file may say, of any bytes: references, challenges, config.json. */
#include "base/cleanup.h"
#include "engine/credentials.h"
#include "engine/registry_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(32u << 20);
    struct str text = str_n((const char *)p, n);
    struct image_ref ref, hub = {.host = STR("docker.io"), .repository = STR("library/a"), .tag = STR("1")}, again;
    struct registry_challenge ch;
    struct credentials who;
    struct err e = ERR_INIT;
    if (n > 65536)
        return 0;
    if (image_ref_parse(a, text, &ref, &e) == 0 &&
        (image_ref_parse(a, image_ref_name(a, &ref), &again, &e) < 0 || !str_eq(ref.repository, again.repository) ||
         !str_eq(ref.host, again.host)))
        abort();
    registry_challenge(a, text, &ch);
    url_origin(text);
    credentials_parse(a, text, &hub, &who, &e);
    return 0;
}
