/* Any bytes as YAML (documents as trees, and as JSON) and as TOML. */
#include "base/cleanup.h"
#include "format/json.h"
#include "format/toml.h"
#include "format/yml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    struct str text = str_n((const char *)p, n);
    struct yml_doc *docs;
    size_t docs_n;
    struct err e = ERR_INIT;
    if (n > 65536)
        return 0;
    if (yml_parse(a, text, &docs, &docs_n, &e) == 0)
        for (size_t i = 0; i < docs_n; i++)
            if (!docs[i].root || !yml_json(a, docs[i].root))
                abort();
    struct toml t = {a, text};
    struct toml_item it;
    for (size_t left = n + 1; toml_next(&t, &it) != TOML_END;)
        if (left-- == 0) /* each item takes at least a byte */
            abort();
    return 0;
}
