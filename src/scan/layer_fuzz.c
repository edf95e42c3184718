#include "base/limits.h"
#include "scan/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct layer *l = layer_new(a, NULL);
    struct layer_record rec, back;
    struct err e = ERR_INIT;
    if (layer_feed(l, p, n, &e) >= 0 && layer_finish(l, &rec, &e) >= 0 && rec.tar) {
        struct buf b = BUF_INIT(LIMIT_REPORT);
        struct json_writer w = JSON_WRITER(&b);
        struct json_value *v;
        layer_record_write(&w, &rec);
        if (json_parse(a, buf_str(&b), 0, &v, &e) < 0 || layer_record_read(a, v, &back, &e) < 0 ||
            back.files_n != rec.files_n)
            abort();
        buf_fini(&b);
    }
    layer_free(l);
    arena_free(a);
    return 0;
}
