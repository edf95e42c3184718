/* program: the version of a well-known program out of its bytes (program.tbl.h). */
#ifndef BULKHEAD_FORMAT_PROGRAM_H
#define BULKHEAD_FORMAT_PROGRAM_H

#include "format/package.h"

bool program_known(struct str name); /* is there a line for a file of this name (without folders)? */
/* Adds the program (type generic) if its version is found in these bytes, a whole file or a window of one: true. */
bool program_find(struct package_list *list, struct str name, struct str bytes);

#endif
