/* Any bytes as what a feed parser that was taken over might send, in two pieces. */
#include "intel/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *arg, const struct record *r, struct err *e)
{
    volatile size_t sum = 0;
    for (size_t i = 0; i < RECORD_FIELDS; i++)
        for (size_t k = 0; k < r->f[i].n; k++)
            sum += (unsigned char)r->f[i].p[k];
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_reader r = {.b = BUF_INIT(2 * RECORD_MAX), .take = take};
    struct err e = ERR_INIT;
    size_t half = size / 2;
    if (record_feed(&r, data, half, &e) == 0)
        record_feed(&r, data + half, size - half, &e);
    buf_fini(&r.b);
    return 0;
}
