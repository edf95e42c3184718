/* digest: SHA-256 while streaming, and the text form "sha256:<64 lower-case hex digits>" by which images, layers and
 * snapshots are named. Backed by GnuTLS (assembler with SHA-NI): 2.0 GB/s on one core where nettle's own code makes 1.8
 * and libsodium 0.4; see test/bench/digest.c. Not thread-safe for one object; never fails (aborts without memory).
 *
 *     struct sha256 h;
 *     sha256_init(&h);
 *     sha256_update(&h, p, n);
 *     sha256_final(&h, out);          // also releases it; sha256_fini releases without a result
 */
#ifndef BULKHEAD_FORMAT_DIGEST_H
#define BULKHEAD_FORMAT_DIGEST_H

#include "base/err.h"
#include "base/str.h"

#define SHA256_SIZE 32
#define DIGEST_TEXT (7 + 64 + 1) /* "sha256:", hex, NUL */

struct sha256 {
    void *handle;
};

void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *p, size_t n);
void sha256_final(struct sha256 *h, uint8_t out[static SHA256_SIZE]);
void sha256_fini(struct sha256 *h); /* for _cleanup_; fine after final and on a zeroed object */

void sha256_of(struct str s, uint8_t out[static SHA256_SIZE]);

const char *digest_text(const uint8_t sum[static SHA256_SIZE], char out[static DIGEST_TEXT]); /* returns out */
bool digest_valid(struct str s);                                                /* exactly sha256:<64 lower-case hex> */
int digest_parse(struct str s, uint8_t out[static SHA256_SIZE], struct err *e); /* -EINVAL names what was found */

#endif
