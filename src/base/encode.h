/* encode: hex, base64, ulid. */
#ifndef BULKHEAD_BASE_ENCODE_H
#define BULKHEAD_BASE_ENCODE_H

#include "base/arena.h"

void hex_encode(const void *p, size_t n, char *out);               /* 2n lower-case digits and a NUL */
int hex_decode(struct str s, void *out, size_t n);                 /* exactly n bytes, else -EINVAL */
struct str base64_encode(struct arena *a, struct str s);           /* padded, standard alphabet */
struct str base64url_encode(struct arena *a, struct str s);        /* no padding */
int base64_decode(struct arena *a, struct str s, struct str *ret); /* either alphabet, padding optional; strict else */

#define ULID_TEXT 27
/* 26 characters of Crockford base 32 that sort by time, monotonic within the process, and a NUL. */
const char *ulid_make(int64_t time_us, char out[static ULID_TEXT]);

#endif
