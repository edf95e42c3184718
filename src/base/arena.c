#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

/* Under AddressSanitizer what was not handed out is poisoned, so an overrun inside a block is caught as well. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#endif
#endif
#ifndef POISON
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define ALIGN       16u
#define BLOCK_FIRST (8u << 10)
#define BLOCK_MOST  (1u << 20)

struct block {
    struct block *next;
    size_t used, size;
    size_t pad; /* keeps data aligned */
    char data[];
};

struct arena {
    struct block *first, *last;
    size_t max, used, next_size;
};

static void __attribute__((noreturn)) die(const char *what, size_t n)
{
    fprintf(stderr, "fatal: arena: %s (%zu bytes)\n", what, n);
    abort();
}

static struct block *block_new(size_t size)
{
    struct block *b = calloc(1, sizeof(*b) + size);
    if (!b)
        die("out of memory", size);
    b->size = size;
    POISON(b->data, size);
    return b;
}

struct arena *arena_new(size_t max)
{
    struct arena *a = calloc(1, sizeof(*a));
    if (!a)
        die("out of memory", sizeof(*a));
    a->max = max;
    a->next_size = BLOCK_FIRST;
    return a;
}

static void blocks_free(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        UNPOISON(b->data, b->size);
        free(b);
        b = next;
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    blocks_free(a->first);
    free(a);
}

void arena_freep(struct arena **a)
{
    arena_free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    struct block *b = a->first;
    if (b) {
        blocks_free(b->next);
        b->next = NULL;
        UNPOISON(b->data, b->used);
        memset(b->data, 0, b->used);
        POISON(b->data, b->size);
        b->used = 0;
    }
    a->last = b;
    a->used = 0;
    a->next_size = BLOCK_FIRST * 2;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

static size_t align_up(size_t n)
{
    if (n > SIZE_MAX - ALIGN)
        die("size overflow", n);
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void account(struct arena *a, size_t n)
{
    if (n > a->max || a->used > a->max - n)
        die("over its maximum; a size was not capped", a->max);
    a->used += n;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t n = align_up(size ? size : 1);
    account(a, n);
    struct block *b = a->last;
    if (!b || b->size - b->used < n) {
        size_t want = a->next_size;
        if (a->next_size < BLOCK_MOST)
            a->next_size *= 2;
        b = block_new(n > want ? n : want);
        if (a->last)
            a->last->next = b;
        else
            a->first = b;
        a->last = b;
    }
    void *p = b->data + b->used;
    b->used += n;
    UNPOISON(p, size);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        die("array size overflow", count);
    return arena_alloc(a, n);
}

void *arena_grow(struct arena *a, void *p, size_t n, size_t *cap, size_t size)
{
    if (p && n < *cap)
        return p;
    size_t want = *cap < 4 ? 8 : *cap * 2, old, total;
    if (want <= n)
        want = n + 1;
    if (__builtin_mul_overflow(*cap, size, &old) || __builtin_mul_overflow(want, size, &total))
        die("array size overflow", want);
    struct block *b = a->last;
    /* The newest allocation grows in place. */
    if (p && b && (char *)p + align_up(old) == b->data + b->used) {
        size_t more = align_up(total) - align_up(old);
        if (b->size - b->used >= more) {
            account(a, more);
            b->used += more;
            UNPOISON(p, total);
            *cap = want;
            return p;
        }
    }
    void *q = arena_alloc(a, total);
    if (p && n)
        memcpy(q, p, n * size);
    *cap = want;
    return q;
}

char *arena_cstr(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){arena_cstr(a, s), s.n};
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        die("bad format", 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

struct str arena_strf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return str_c(p);
}
