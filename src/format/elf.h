/* elf: sections and addresses of an ELF file in memory, either class and byte order. Format: System V ABI, chapter 4.
 * Everything is a piece of the bytes that were given.
 */
#ifndef BULKHEAD_FORMAT_ELF_H
#define BULKHEAD_FORMAT_ELF_H

#include "base/err.h"
#include "base/str.h"

struct elf {
    struct str bytes;
    bool wide, big;
    uint64_t sections, segments; /* offsets of the tables */
    uint16_t sections_n, sections_size, segments_n, segments_size, names;
};

bool elf_is(struct str bytes); /* by the magic number */
int elf_open(struct str bytes, struct elf *ret, struct err *e);
/* Content of the first section of that name that has any; -ENOENT. */
int elf_section(const struct elf *f, const char *name, struct str *ret);
/* What is at an address of the running program, to the end of its segment's content; -ENOENT. */
int elf_address(const struct elf *f, uint64_t address, struct str *ret);
/* Content of the first writable segment; -ENOENT. */
int elf_data(const struct elf *f, struct str *ret);

#endif
