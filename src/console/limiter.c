#include "console/limiter.h"

#include "base/fs.h"
#include "base/time.h"

#include <pthread.h>
#include <sodium.h>

#define SLOTS 8192u

struct limiter {
    pthread_mutex_t lock;
    unsigned char key[crypto_shorthash_KEYBYTES]; /* so that nobody can aim at another's slot */
    struct {
        int64_t used; /* microseconds of refill that are used up; the bucket is full at 0 */
        int64_t at;
    } slot[SLOTS];
};

struct limiter *limiter_new(void)
{
    struct limiter *l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    pthread_mutex_init(&l->lock, NULL);
    fs_random(l->key, sizeof(l->key));
    return l;
}

void limiter_free(struct limiter *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static size_t place(const struct limiter *l, const char *kind, struct str name)
{
    unsigned char text[256], out[crypto_shorthash_BYTES];
    size_t k = strlen(kind), n = name.n < sizeof(text) - k ? name.n : sizeof(text) - k;
    memcpy(text, kind, k);
    if (n)
        memcpy(text + k, name.p, n);
    crypto_shorthash(out, text, k + n, l->key);
    uint32_t h;
    memcpy(&h, out, sizeof(h));
    return h % SLOTS;
}

bool limiter_take(struct limiter *l, const char *kind, struct str name, unsigned burst, int64_t refill)
{
    size_t i = place(l, kind, name);
    int64_t now = time_monotonic();
    pthread_mutex_lock(&l->lock);
    int64_t left = l->slot[i].used - (now - l->slot[i].at);
    if (left < 0)
        left = 0;
    bool ok = left + refill <= (int64_t)burst * refill;
    l->slot[i].used = ok ? left + refill : left;
    l->slot[i].at = now;
    pthread_mutex_unlock(&l->lock);
    return ok;
}

void limiter_give(struct limiter *l, const char *kind, struct str name, unsigned burst)
{
    size_t i = place(l, kind, name);
    pthread_mutex_lock(&l->lock);
    l->slot[i].used -= l->slot[i].used / (burst ? burst : 1); /* about one try */
    pthread_mutex_unlock(&l->lock);
}
