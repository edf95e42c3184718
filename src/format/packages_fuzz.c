/* The first byte says which reader gets the rest. */
#include "format/cargo.h"
#include "format/composer.h"
#include "format/golang.h"
#include "format/java.h"
#include "format/npm.h"
#include "format/nuget.h"
#include "format/program.h"
#include "format/pypi.h"
#include "format/rpmdb.h"
#include "format/rubygems.h"

#include "base/cleanup.h"

static int program(struct package_list *list, struct str path, struct str bytes, struct err *e)
{
    struct elf elf;
    struct str crates;
    if (elf_open(bytes, &elf, e) < 0)
        return 0;
    golang_program(list, &elf, e);
    return elf_section(&elf, ".dep-v0", &crates) < 0 ? 0 : cargo_audit(list, crates, e);
}

static int known_program(struct package_list *list, struct str path, struct str bytes, struct err *e)
{
    static const char *const names[] = {"busybox", "openssl", "python3.11", "redis-server"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        program_find(list, str_c(names[i]), bytes);
    return 0;
}

static int rpm_manifest(struct package_list *list, struct str path, struct str text, struct err *e)
{
    return rpm_manifest_parse(list, text, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static int (*const readers[])(struct package_list *, struct str, struct str, struct err *) = {
        npm_installed, npm_lock,      npm_yarn,      npm_pnpm,      pypi_metadata, pypi_requirements, pypi_lock,
        pypi_pipfile,  rubygems_spec, rubygems_lock, java_archive,  golang_mod,    cargo_lock,        composer_packages,
        nuget_deps,    nuget_lock,    program,       known_program, rpm_manifest};
    if (n == 0)
        return 0;
    struct arena *a = arena_new(1u << 30);
    struct package_list list = PACKAGE_LIST(a);
    struct err e = ERR_INIT;
    readers[(p[0] - 'A') % ARRAY_LEN(readers)](&list, STR("lib/a-1.0.jar"), str_n((const char *)p + 1, n - 1), &e);
    for (size_t i = 0; i < list.n; i++)
        if (list.v[i].name.n == 0 || list.v[i].version.n == 0)
            abort();
    arena_free(a);
    return 0;
}
