/* deb822: paragraphs of "Field: value" lines with continuation lines, as in dpkg's status file (deb822(5)), and the
 * packages of a dpkg database.
 *
 * Lenient the way dpkg is with old databases: comment lines are skipped, a line without a colon ends in -EBADMSG.
 * A dpkg status file is written whole, so a damaged one is an error, not an empty list.
 */
#ifndef BULKHEAD_FORMAT_DEB822_H
#define BULKHEAD_FORMAT_DEB822_H

#include "base/err.h"
#include "format/package.h"

struct deb822_field {
    struct str name, value; /* value: first line and its continuation lines as they stand, trimmed */
};

/* Next field of the paragraph at the head of *rest: 1 and *ret, 0 at the end of the paragraph or of the text (*rest is
 * then behind the blank lines), -EBADMSG. */
int deb822_next(struct str *rest, struct deb822_field *ret, struct err *e);

/* Packages whose files are in the image: state installed, or broken half way (unpacked, half-configured,
 * half-installed, triggers-*); config-files and not-installed are not. Without a Status field (status.d of images
 * built without dpkg) a package counts as installed. Arrays and strings: strings borrow from text, the rest is in the
 * arena; path and layer are left empty. */
int dpkg_parse(struct arena *a, struct str text, struct package **ret, size_t *ret_n, struct err *e);

#endif
