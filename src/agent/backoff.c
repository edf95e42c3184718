#include "agent/backoff.h"

#include "base/fs.h"

int64_t backoff_next(struct backoff *b)
{
    uint64_t draw;
    b->step = b->step == 0 ? b->first : b->step > b->most / 2 ? b->most : b->step * 2;
    fs_random(&draw, sizeof(draw));
    int64_t half = b->step / 2;
    return b->step - (half > 0 ? (int64_t)(draw % (uint64_t)(half + 1)) : 0);
}
