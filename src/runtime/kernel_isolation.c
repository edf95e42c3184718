#include "runtime/kernel_isolation.h"

#include "base/cleanup.h"
#include "runtime/pin.h"
#include "runtime/sensor.h"

#include <bpf/bpf.h>

struct pair {
    uint64_t from, to;
};

/* id_hash() of bpf/tell.h */
static uint64_t id_hash(struct str id)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < BH_ID / 8; i++) {
        uint64_t w;
        memcpy(&w, id.p + 8 * i, 8);
        h = (h ^ w) * UINT64_C(0x100000001b3);
    }
    return h;
}

/* Pairs of `from` that are not among the others. */
static void drop_old(int fd, uint64_t from, const struct str *others, size_t n)
{
    struct pair at, next;
    void *before = NULL;
    for (size_t seen = 0; seen < 2 * ISOLATION_PAIRS && bpf_map_get_next_key(fd, before, &next) == 0; seen++) {
        bool stays = next.from != from;
        for (size_t i = 0; i < n && !stays; i++)
            stays = id_hash(others[i]) == next.to;
        if (!stays && bpf_map_delete_elem(fd, &next) == 0)
            continue; /* from where we were: the next one has moved up */
        at = next;
        before = &at;
    }
}

int kernel_isolation_put(const char *bpf_dir, struct str id, const struct str *others, size_t n, struct err *e)
{
    _cleanup_close_ int fd = -1;
    uint32_t one = 1;
    if (id.n != BH_ID)
        return err_set(e, EINVAL, "not a container id: '" STR_FMT "'", STR_ARG(id));
    int r = pin_map(bpf_dir ? bpf_dir : SENSOR_BPF_DIR, "iso_pairs", sizeof(struct pair), 4, &fd, e);
    if (r < 0)
        return r;
    drop_old(fd, id_hash(id), others, n);
    for (size_t i = 0; i < n; i++) {
        struct pair p = {.from = id_hash(id), .to = id_hash(others[i])};
        if (bpf_map_update_elem(fd, &p, &one, BPF_ANY) < 0)
            return errno == E2BIG ? err_set(e, E2BIG, "more than %d pairs of containers that may reach each other",
                                            ISOLATION_PAIRS)
                                  : err_errno(e, "map iso_pairs");
    }
    return 0;
}
