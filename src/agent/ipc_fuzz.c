/* What the root side reads of a hostile uplink process: any bytes, any cut. */
#include "agent/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipc c;
    struct ipc_message m;
    ipc_init(&c, -1, IPC_FROM_U);
    for (size_t off = 0; off < size;) {
        size_t part = 1 + data[off] % 16;
        if (part > size - off)
            part = size - off;
        buf_put(&c.in, data + off, part);
        off += part;
        int r;
        while ((r = ipc_next(&c, &m, NULL)) > 0) {
            struct str s = ipc_get_str(&m);
            if (s.n > size)
                __builtin_trap();
            ipc_get_u32(&m);
            ipc_get_u64(&m);
            ipc_get_raw(&m);
            ipc_end(&m, NULL);
        }
        if (r < 0)
            break;
    }
    ipc_fini(&c);
    return 0;
}
