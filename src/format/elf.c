#include "format/elf.h"

#include "format/bytes.h"

enum { SEGMENT_LOAD = 1, SEGMENT_WRITABLE = 2, SECTION_NOBITS = 8 };

static uint64_t number(const struct elf *f, const char *p, size_t n)
{
    if (n == 2)
        return f->big ? bytes_be16(p) : bytes_le16(p);
    if (n == 4)
        return f->big ? bytes_be32(p) : bytes_le32(p);
    return f->big ? bytes_be64(p) : bytes_le64(p);
}

/* A field that is an address or a size: 4 bytes at `at32` or 8 at `at64`. */
static uint64_t word(const struct elf *f, const char *p, size_t at32, size_t at64)
{
    return f->wide ? number(f, p + at64, 8) : number(f, p + at32, 4);
}

bool elf_is(struct str bytes)
{
    return str_starts(bytes, STR("\177ELF"));
}

int elf_open(struct str bytes, struct elf *ret, struct err *e)
{
    struct elf f = {.bytes = bytes};
    if (!elf_is(bytes) || bytes.n < 52 || (bytes.p[4] != 1 && bytes.p[4] != 2) ||
        (bytes.p[5] != 1 && bytes.p[5] != 2) || (bytes.p[4] == 2 && bytes.n < 64))
        return err_set(e, EBADMSG, "not an ELF file");
    f.wide = bytes.p[4] == 2;
    f.big = bytes.p[5] == 2;
    f.segments = word(&f, bytes.p, 28, 32);
    f.sections = word(&f, bytes.p, 32, 40);
    const char *tail = bytes.p + (f.wide ? 54 : 42);
    f.segments_size = (uint16_t)number(&f, tail, 2);
    f.segments_n = (uint16_t)number(&f, tail + 2, 2);
    f.sections_size = (uint16_t)number(&f, tail + 4, 2);
    f.sections_n = (uint16_t)number(&f, tail + 6, 2);
    f.names = (uint16_t)number(&f, tail + 8, 2);
    if (f.segments_size < (f.wide ? 56 : 32) ||
        !bytes_have(bytes, f.segments, (uint64_t)f.segments_n * f.segments_size))
        f.segments_n = 0;
    if (f.sections_size < (f.wide ? 64 : 40) ||
        !bytes_have(bytes, f.sections, (uint64_t)f.sections_n * f.sections_size))
        f.sections_n = 0;
    *ret = f;
    return 0;
}

static bool section(const struct elf *f, unsigned i, uint32_t *name, struct str *ret)
{
    const char *p = f->bytes.p + f->sections + (uint64_t)i * f->sections_size;
    uint64_t at = word(f, p, 16, 24), size = word(f, p, 20, 32);
    *name = (uint32_t)number(f, p, 4);
    if (number(f, p + 4, 4) == SECTION_NOBITS || !bytes_have(f->bytes, at, size))
        return false;
    *ret = str_n(f->bytes.p + at, size);
    return true;
}

int elf_section(const struct elf *f, const char *name, struct str *ret)
{
    struct str names, content;
    uint32_t at;
    size_t n = strlen(name) + 1;
    if (f->names >= f->sections_n || !section(f, f->names, &at, &names))
        return -ENOENT;
    for (unsigned i = 0; i < f->sections_n; i++)
        if (section(f, i, &at, &content) && content.n > 0 && bytes_have(names, at, n) &&
            !memcmp(names.p + at, name, n)) {
            *ret = content;
            return 0;
        }
    return -ENOENT;
}

static bool segment(const struct elf *f, unsigned i, uint64_t *address, uint32_t *flags, struct str *ret)
{
    const char *p = f->bytes.p + f->segments + (uint64_t)i * f->segments_size;
    uint64_t at = word(f, p, 4, 8), size = word(f, p, 16, 32);
    *address = word(f, p, 8, 16);
    *flags = (uint32_t)number(f, p + (f->wide ? 4 : 24), 4);
    if (number(f, p, 4) != SEGMENT_LOAD || !bytes_have(f->bytes, at, size))
        return false;
    *ret = str_n(f->bytes.p + at, size);
    return true;
}

int elf_address(const struct elf *f, uint64_t address, struct str *ret)
{
    struct str content;
    uint64_t start;
    uint32_t flags;
    for (unsigned i = 0; i < f->segments_n; i++)
        if (segment(f, i, &start, &flags, &content) && address >= start && address - start < content.n) {
            *ret = str_sub(content, address - start, content.n);
            return 0;
        }
    return -ENOENT;
}

int elf_data(const struct elf *f, struct str *ret)
{
    uint64_t start;
    uint32_t flags;
    for (unsigned i = 0; i < f->segments_n; i++)
        if (segment(f, i, &start, &flags, ret) && (flags & SEGMENT_WRITABLE) && ret->n > 0)
            return 0;
    return -ENOENT;
}
