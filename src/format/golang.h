/* golang: what a Go program was built from, as its linker wrote it into the program (what `go version -m` prints), and
 * go.mod files. Format: Go, src/debug/buildinfo/buildinfo.go, src/runtime/debug/mod.go;
 * https://go.dev/ref/mod#go-mod-file
 *
 * Packages: type golang, name the module path, version as Go writes it ("v1.2.3"); the standard library is "stdlib"
 * with its version without "go", release candidates as "1.22.0-rc.1". Replaced modules are told as what replaces them;
 * local ones and the main module without a version are left out.
 */
#ifndef BULKHEAD_FORMAT_GOLANG_H
#define BULKHEAD_FORMAT_GOLANG_H

#include "format/elf.h"
#include "format/package.h"

/* Where build info starts, aligned to 16 from the start of bytes; -1. */
ptrdiff_t golang_find(struct str bytes);

/* From the start of build info. elf: to follow addresses, as programs of Go before 1.18 need it; NULL: those are left
 * out. 0, -EAGAIN: more bytes are needed, -EBADMSG: it is none after all. */
int golang_build_info(struct package_list *list, struct str at, const struct elf *elf, struct err *e);

/* The whole program: 0 also when it has none. */
int golang_program(struct package_list *list, const struct elf *elf, struct err *e);

int golang_mod(struct package_list *list, struct str path, struct str text, struct err *e);

#endif
