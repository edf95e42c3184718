/* unpack: a push decompressor for blobs. The format is told by the first bytes, never by a name or media type: gzip
 * (also several members), zstd (also several frames) or plain. Checksums inside the stream are verified. Backends:
 * inflate_isal.c (ISA-L) or inflate_zlib.c, whichever the build found, and libzstd.
 *
 * Output comes in pieces of at most UNPACK_BLOCK bytes. A stream whose output passes LIMIT_SCAN_CONTENT, or
 * LIMIT_SCAN_RATIO times its input, is -E2BIG.
 *
 *     struct unpack *u = unpack_new(sink, ctx);
 *     while ((n = read(...)) > 0) if ((r = unpack_feed(u, p, n, e)) < 0) ...
 *     if ((r = unpack_finish(u, e)) < 0) ...          // -EBADMSG: ended in the middle
 */
#ifndef BULKHEAD_FORMAT_UNPACK_H
#define BULKHEAD_FORMAT_UNPACK_H

#include "base/err.h"
#include "base/str.h"

#define UNPACK_BLOCK (256u << 10)

enum unpack_format { UNPACK_UNKNOWN, UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD };

struct unpack;
typedef int unpack_sink_fn(void *ctx, const void *p, size_t n, struct err *e);

struct unpack *unpack_new(unpack_sink_fn *sink, void *ctx);
void unpack_free(struct unpack *u); /* NULL is fine */
void unpack_freep(struct unpack **u);
int unpack_feed(struct unpack *u, const void *p, size_t n, struct err *e);
int unpack_finish(struct unpack *u, struct err *e);
enum unpack_format unpack_format(const struct unpack *u); /* known once 6 bytes came or after finish */
const char *unpack_format_name(enum unpack_format f);     /* none gzip zstd, in the report's words */

/* The inflate backend: a gzip stream of any number of members. *n and *out_n are updated to what is left over of the
 * input and what was written. Returns 1 at the end of a member, 0 when it wants more input or room, -EBADMSG. */
struct inflate;
struct inflate *inflate_new(void);
void inflate_free(struct inflate *f);
void inflate_reset(struct inflate *f); /* for the next member */
int inflate_step(struct inflate *f, const unsigned char **p, size_t *n, unsigned char *out, size_t *out_n,
                 struct err *e);
extern const char inflate_backend[]; /* "isa-l" or "zlib" */

#endif
