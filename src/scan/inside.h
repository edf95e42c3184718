/* inside: what is in the archives that a file is: zip (jar, war, whl), tar, 7z, cpio, deb, cab, and single files packed
 * with gzip, xz, bzip2, zstd or lzma; archives in archives to LIMIT_INSIDE_DEPTH. All in memory, for content that is at
 * hand whole. The bytes are hostile: run it in the jail. Reader: libarchive, only with what it reads by itself (its
 * other filters start programs).
 *
 *     int told = inside_walk(a, path, content, on_content, ctx);
 *     if (told & INSIDE_CAPPED) ...
 */
#ifndef BULKHEAD_SCAN_INSIDE_H
#define BULKHEAD_SCAN_INSIDE_H

#include "base/arena.h"

enum {
    INSIDE_CAPPED = 1,    /* there was more than the caps of limits.h */
    INSIDE_ENCRYPTED = 2, /* something needs a password */
    INSIDE_DAMAGED = 4,   /* something could not be unpacked */
};

/* By its first bytes (300 are enough). */
bool inside_is_archive(struct str head);
/* fn gets each content with its path "outer.zip!dir/file"; false ends the walk. Returns flags. */
int inside_walk(struct str path, struct str content, bool (*fn)(void *ctx, struct str path, struct str content),
                void *ctx);

#endif
