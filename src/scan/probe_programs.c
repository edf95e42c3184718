/* Programs, by their content: what they were built from (Go modules from build info, Rust crates from cargo-auditable)
 * and a few that people copy into images without a package (format/program.tbl.h). Up to LIMIT_SCAN_BINARY a file is
 * held whole; of a larger one a window passes by, in which Go's build info and the programs' marks are still found,
 * crates are not. Damaged bytes are no problem of the image: then nothing is told. */
#include "scan/probe.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "format/cargo.h"
#include "format/golang.h"
#include "format/program.h"

#include <stdio.h>
#include <stdlib.h>

#define LEAST 128         /* bytes of a program */
#define KEPT  (64u << 10) /* of a window for the next one: longer than any mark */
#define FREE  (8u << 20)  /* memory that stays for the next file */

struct programs {
    struct layer *layer;
    struct buf body; /* the file, or the window that is passing by */
    char name[256];
    bool known;   /* the name is one of program.tbl.h */
    bool decided; /* whether it is ELF */
    bool skip, windows;
    uint64_t size;
    struct arena *a;
    struct package_list modules, programs; /* found in windows */
};

static void *programs_open(const struct probe_setup *setup, struct layer *l)
{
    struct programs *b = calloc(1, sizeof(*b));
    if (!b)
        abort();
    b->body = BUF_INIT(LIMIT_SCAN_BINARY);
    b->layer = l;
    b->a = arena_new(LIMIT_SCAN_ARENA);
    return b;
}

static void programs_close(void *state)
{
    struct programs *b = state;
    buf_fini(&b->body);
    arena_free(b->a);
    free(b);
}

static struct str base_name(struct str path)
{
    return str_sub(path, (size_t)(str_rchr(path, '/') + 1), path.n);
}

static int programs_entry(void *state, const struct tar_entry *ent, struct str path)
{
    struct programs *b = state;
    struct str name = base_name(path);
    if (ent->type != TAR_FILE || ent->sparse || ent->size < LEAST)
        return 0;
    b->known = program_known(name);
    if (!b->known && !(ent->mode & 0111))
        return 0;
    snprintf(b->name, sizeof(b->name), STR_FMT, STR_ARG(name));
    b->decided = b->skip = false;
    b->windows = ent->size > LIMIT_SCAN_BINARY;
    b->size = ent->size;
    if (b->body.cap > FREE)
        buf_fini(&b->body);
    buf_reset(&b->body);
    arena_reset(b->a);
    b->modules = b->programs = PACKAGE_LIST(b->a);
    return 1;
}

/* What a window shows. The start of build info may be in it, but not its end: then it is kept for the next. */
static void look(struct programs *b)
{
    size_t keep = b->body.n < KEPT ? b->body.n : KEPT;
    if (b->known && b->programs.n == 0)
        program_find(&b->programs, str_c(b->name), buf_str(&b->body));
    if (b->modules.n == 0) {
        ptrdiff_t at = golang_find(buf_str(&b->body));
        if (at >= 0 &&
            golang_build_info(&b->modules, str_sub(buf_str(&b->body), (size_t)at, b->body.n), NULL, NULL) == -EAGAIN &&
            at > 0)
            keep = b->body.n - (size_t)at;
    }
    buf_drop(&b->body, (b->body.n - keep) & ~(size_t)15); /* build info is aligned */
}

static int programs_data(void *state, const void *p, size_t n)
{
    struct programs *b = state;
    while (n > 0 && !b->skip) {
        size_t room = LIMIT_SCAN_BINARY - b->body.n, take = n < room ? n : room;
        if (!b->decided && b->body.n + take >= 4) {
            char head[4];
            size_t have = b->body.n < 4 ? b->body.n : 4;
            if (have)
                memcpy(head, b->body.p, have);
            memcpy(head + have, p, 4 - have);
            b->decided = true;
            b->skip = !elf_is(str_n(head, 4));
            if (b->skip)
                return 0;
            buf_room(&b->body, b->windows ? LIMIT_SCAN_BINARY : b->size);
        }
        buf_put(&b->body, p, take);
        p = (const char *)p + take;
        n -= take;
        if (b->windows && b->body.n == LIMIT_SCAN_BINARY)
            look(b);
        else if (take == 0) /* more than its entry said */
            b->skip = true;
    }
    return !b->skip;
}

static void programs_end(void *state)
{
    struct programs *b = state;
    struct elf elf;
    struct str crates;
    if (!b->decided || b->skip)
        return;
    if (b->windows) {
        look(b);
    } else if (elf_open(buf_str(&b->body), &elf, NULL) >= 0) {
        golang_program(&b->modules, &elf, NULL);
        if (b->known)
            program_find(&b->programs, str_c(b->name), buf_str(&b->body));
        if (elf_section(&elf, ".dep-v0", &crates) >= 0)
            cargo_audit(&b->modules, crates, NULL);
    }
    for (size_t i = 0; i < b->modules.n; i++)
        probe_package(b->layer, &b->modules.v[i]);
    for (size_t i = 0; i < b->programs.n; i++)
        probe_package(b->layer, &b->programs.v[i]);
}

const struct probe probe_programs = {programs_open, programs_entry, programs_data, programs_end, programs_close};
