/* arena: allocations with one lifetime (a request, a batch, a layer, a job). Freed all at once.
 *
 * Allocation never fails: above `max` bytes in total, or out of memory, the process aborts with a message, so sizes
 * from outside must have been capped first (base/limits.h). Not thread-safe. Memory is zeroed.
 *
 *     _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_REQUEST_ARENA);
 *     char *path = arena_printf(a, "%s/%s", dir, name);
 */
#ifndef BULKHEAD_BASE_ARENA_H
#define BULKHEAD_BASE_ARENA_H

#include "base/str.h"

#include <stdarg.h>

struct arena;

struct arena *arena_new(size_t max); /* max: bytes in total before it aborts */
void arena_free(struct arena *a);    /* NULL is fine */
void arena_freep(struct arena **a);  /* for _cleanup_ */
void arena_reset(struct arena *a);   /* forget everything, keep the first block */
size_t arena_used(const struct arena *a);

void *arena_alloc(struct arena *a, size_t size);               /* 16-byte aligned, zeroed */
void *arena_array(struct arena *a, size_t count, size_t size); /* overflow-checked count*size */
/* Grow an array kept in the arena: *cap elements at p of which n are used; returns room for at least n+1. */
void *arena_grow(struct arena *a, void *p, size_t n, size_t *cap, size_t size);
#define arena_new_of(a, type) ((type *)arena_alloc((a), sizeof(type)))

struct str arena_str(struct arena *a, struct str s); /* copy, NUL-terminated behind n */
char *arena_cstr(struct arena *a, struct str s);     /* copy as a C string (stops nowhere: may hold NULs) */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str arena_strf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

#endif
