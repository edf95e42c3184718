/* A stored report of any bytes, as given by report:, to the console, or by a jailed worker that was taken over: what
 * is read is written, and what is written reads back the same. */
#include "base/cleanup.h"
#include "scan/inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(512u << 20);
    struct json_value *v, *again;
    struct inventory inv, back;
    struct layer_record rec;
    struct err e = ERR_INIT;
    if (n > 65536 || json_parse(a, str_n((const char *)p, n), 0, &v, &e) < 0)
        return 0;
    layer_record_read(a, v, &rec, &e);
    if (inventory_read(a, v, &inv, &e) < 0)
        return 0;
    struct buf b = BUF_INIT(LIMIT_REPORT);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    inventory_write(&w, &inv);
    json_w_end(&w);
    if (json_parse(a, buf_str(&b), 0, &again, &e) < 0)
        abort();
    if (inventory_read(a, again, &back, &e) < 0 || back.packages_n != inv.packages_n || back.layers_n != inv.layers_n ||
        !str_eq(back.image_id, inv.image_id))
        abort();
    buf_fini(&b);
    return 0;
}
