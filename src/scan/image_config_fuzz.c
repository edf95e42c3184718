#include "scan/image_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(256u << 20);
    struct image_config c, back;
    struct image_layers l;
    struct err e = ERR_INIT;
    if (image_config_parse(a, str_n((const char *)p, n), &c, &l, &e) == 0) {
        /* what was understood must survive its own JSON */
        struct buf b = BUF_INIT(64u << 20);
        struct json_writer w = JSON_WRITER(&b);
        struct json_value *v;
        image_config_write(&w, &c);
        if (json_parse(a, buf_str(&b), 0, &v, &e) < 0 || image_config_read(a, v, &back, &e) < 0 ||
            !str_eq(back.user, c.user) || back.env_n != c.env_n || back.labels_n != c.labels_n)
            abort();
        buf_fini(&b);
    }
    arena_free(a);
    return 0;
}
