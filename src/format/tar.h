/* tar: a push reader for tar streams. Bytes go in as they come, entries and the content of wanted ones come out; one
 * pass, nothing is copied but headers and long names.
 *
 * It reads what Go's archive/tar reads, because that is what engines unpack layers with, and a difference between the
 * two would be a place to hide: ustar, V7, GNU long names and sparse files, PAX (path, linkpath, size, sparse);
 * global PAX headers are skipped, not applied; the archive ends at two zero blocks or at a block boundary; what
 * follows the end is ignored. Links, devices, directories and fifos have no content whatever their size field says.
 * Formats: POSIX.1-2017 pax, "Interchange Format"; GNU tar manual, "Standard Format" and "Storing Sparse Files".
 *
 * Names are bytes as stored; tar_clean() makes them relative to the root. Wrong checksums, numbers or records are
 * -EBADMSG with the offset. Why not libarchive: docs/decisions/0030-tar-reader.md.
 *
 *     struct tar *t = tar_new(&(struct tar_sink){on_entry, on_data, on_end}, ctx);
 *     while ((n = read(...)) > 0) if ((r = tar_feed(t, p, n, e)) < 0) ...
 *     if ((r = tar_finish(t, e)) < 0) ...
 */
#ifndef BULKHEAD_FORMAT_TAR_H
#define BULKHEAD_FORMAT_TAR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tar;

enum tar_type {
    TAR_FILE = '0',
    TAR_HARDLINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR = '3',
    TAR_BLOCK = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6',
    TAR_OTHER = '?', /* a type no engine unpacks */
};

struct tar_entry {
    enum tar_type type;
    struct str name, link; /* as stored; valid during the call only */
    uint64_t size;         /* content that follows; for sparse files the stored part */
    uint32_t mode;
    uint64_t uid, gid;
    struct str capabilities; /* of the file (security.capability), binary; empty: none */
    bool sparse;             /* the content is a map and pieces, not the file as it is */
};

struct tar_sink {
    int (*entry)(void *ctx, const struct tar_entry *entry, struct err *e); /* > 0: wants the content; < 0: stop */
    int (*data)(void *ctx, const void *p, size_t n, struct err *e);        /* pieces of a wanted entry */
    int (*end)(void *ctx, struct err *e);                                  /* its end (also of an empty one) */
};

struct tar *tar_new(const struct tar_sink *sink, void *ctx);
void tar_free(struct tar *t); /* NULL is fine */
void tar_freep(struct tar **t);
int tar_feed(struct tar *t, const void *p, size_t n, struct err *e);
int tar_finish(struct tar *t, struct err *e); /* -EBADMSG when the stream ended inside an entry */
uint64_t tar_entries(const struct tar *t);
/* For those who can seek: bytes of unwanted content that need not be fed; the reader goes on behind them. */
uint64_t tar_skip(struct tar *t);
bool tar_ended(const struct tar *t); /* the end mark was seen */

/* Does this block (512 bytes) start a tar archive? By checksum, so it is never wrong for text or JSON. */
bool tar_is_header(const void *block);

/* Path relative to the root: no leading or doubled '/', no "." parts, ".." taken back lexically as Go's path.Clean
 * does. Empty: the root itself. -EINVAL: it leads out of the root or is over 4096 bytes or holds a NUL. */
int tar_clean(struct arena *a, struct str name, struct str *ret);

#endif
