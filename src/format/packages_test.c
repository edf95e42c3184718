/* Readers of language packages against what the ecosystems' own tools say of the same files; where each comes from is
 * in test/data/LICENSES.md. */
#include "format/cargo.h"
#include "format/composer.h"
#include "format/golang.h"
#include "format/java.h"
#include "format/npm.h"
#include "format/nuget.h"
#include "format/program.h"
#include "format/pypi.h"
#include "format/rubygems.h"
#include "format/test_data.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef int parse_fn(struct package_list *list, struct str path, struct str text, struct err *e);

/* What a program was built from, as scan/probe_programs.c asks for it. */
static int program(struct package_list *list, struct str path, struct str bytes, struct err *e)
{
    struct elf elf;
    struct str crates;
    int r = elf_open(bytes, &elf, e);
    if (r < 0 || (r = golang_program(list, &elf, e)) < 0)
        return r;
    return elf_section(&elf, ".dep-v0", &crates) < 0 ? 0 : cargo_audit(list, crates, e);
}

/* npm ls --all --omit=dev */
#define NPM                                                                                                            \
    "npm @babel/code-frame 7.22.5\nnpm @babel/helper-validator-identifier 7.29.7\nnpm @babel/highlight 7.25.9\n"       \
    "npm ansi-styles 3.2.1\nnpm chalk 2.4.2\nnpm color-convert 1.9.3\nnpm color-name 1.1.3\nnpm debug 2.6.9\n"         \
    "npm escape-string-regexp 1.0.5\nnpm has-flag 3.0.0\nnpm js-tokens 4.0.0\n"
#define NPM_REST "npm lodash 4.17.20\nnpm ms 2.0.0\nnpm picocolors 1.1.1\nnpm supports-color 5.5.0\n"

static const struct {
    const char *file;
    parse_fn *parse;
    const char *want; /* lines "type name version[ license]" */
} files[] = {
    {"npm-package.json", npm_installed, "npm @babel/code-frame 7.22.5 MIT\n"},
    {"package-lock-v1.json", npm_lock, NPM NPM_REST},
    {"package-lock-v2.json", npm_lock, NPM NPM_REST},
    {"package-lock-v3.json", npm_lock, NPM NPM_REST},
    {"yarn-v1.lock", npm_yarn, NPM "npm left-pad 1.3.0\n" NPM_REST}, /* does not tell what is for development */
    {"yarn-v4.lock", npm_yarn, NPM "npm left-pad 1.3.0\n" NPM_REST},
    {"pnpm-v5.yaml", npm_pnpm, NPM NPM_REST},
    {"pnpm-v6.yaml", npm_pnpm, NPM NPM_REST},
    {"pnpm-v9.yaml", npm_pnpm, NPM "npm left-pad 1.3.0\n" NPM_REST},
    {"METADATA", pypi_metadata, "pypi zope.interface 5.4.0 ZPL 2.1\n"},
    {"PKG-INFO", pypi_metadata, "pypi Mako 1.1.3 MIT License\n"},
    {"requirements.txt", pypi_requirements,
     "pypi flask 2.0.1\npypi requests 2.25.1\npypi pyyaml 5.4.1\npypi zope.interface 5.4.0\n"},
    {"poetry.lock", pypi_lock, "pypi certifi 2024.2.2\npypi jinja2 3.1.3\n"},
    {"uv.lock", pypi_lock, "pypi requests 2.25.1\npypi idna 2.10\n"},
    {"Pipfile.lock", pypi_pipfile, "pypi certifi 2024.2.2\npypi requests 2.25.1\n"},
    {"gem.gemspec", rubygems_spec, "gem json 2.6.1 Ruby\n"},
    {"Gemfile.lock", rubygems_lock, "gem widget 0.9.1\ngem nokogiri 1.13.6\ngem racc 1.6.0\ngem rack 2.2.3\n"},
    {"composer.lock", composer_packages,
     "composer monolog/monolog 2.3.5 MIT\ncomposer symfony/http-kernel v4.4.12 MIT\n"},
    {"composer-installed-v1.json", composer_packages, "composer monolog/monolog 2.3.5 MIT\n"},
    {"composer-installed-v2.json", composer_packages, "composer psr/log 1.1.4 MIT\n"},
    {"app.deps.json", nuget_deps, "nuget Newtonsoft.Json 12.0.3\nnuget System.Text.Json 6.0.0-rc.1.21451.13\n"},
    {"packages.lock.json", nuget_lock, "nuget Newtonsoft.Json 12.0.3\nnuget System.Buffers 4.5.1\n"},
    {"Cargo.lock", cargo_lock, "cargo smallvec 1.6.0\ncargo time 0.1.43\n"},
    {"auditable.elf", program, "cargo app 0.1.0\ncargo adler 1.0.2\n"},
    {"go.mod", golang_mod,
     "golang github.com/gin-gonic/gin v1.7.2\ngolang golang.org/x/text v0.3.5\n"
     "golang github.com/quoted/mod v2.0.0+incompatible\ngolang golang.org/x/net v0.17.0\n"},
    {"go-1.20.elf", program, "golang stdlib 1.20.12\ngolang golang.org/x/sys v0.0.0-20220715151400-c0bba94af5f8\n"},
    {"go-1.16.elf", program,
     "golang stdlib 1.16.5\ngolang example.com/app v1.0.0\ngolang github.com/pkg/errors v0.9.1\n"
     "golang example.com/new v1.2.3\n"},
    {"shop.war", java_archive,
     "maven org.slf4j:slf4j-api 1.7.30\nmaven org.yaml:snakeyaml 1.26\nmaven com.google.guava:guava 29.0-jre\n"
     "maven com.example:fat 3.0\nmaven bare 1.0.2\nmaven org.apache.logging.log4j:log4j-core 2.14.1\n"},
};

static struct str as_text(struct arena *a, const struct package_list *list)
{
    struct str s = STR("");
    for (size_t i = 0; i < list->n; i++) {
        const struct package *p = &list->v[i];
        s = arena_strf(a, STR_FMT STR_FMT " " STR_FMT " " STR_FMT "%s" STR_FMT "\n", STR_ARG(s), STR_ARG(p->type),
                       STR_ARG(p->name), STR_ARG(p->version), p->license.n ? " " : "", STR_ARG(p->license));
    }
    return s;
}

static void test_files(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
        struct package_list list = PACKAGE_LIST(a);
        struct err e = ERR_INIT;
        struct str text = test_data(a, arena_printf(a, "packages/%s", files[i].file));
        int r = files[i].parse(&list, str_c(files[i].file), text, &e);
        if (r < 0)
            fail_msg("%s: %s", files[i].file, e.msg);
        bool npm = files[i].parse == npm_lock || files[i].parse == npm_yarn || files[i].parse == npm_pnpm;
        for (size_t k = 0; npm && k < list.n; k++) /* package-lock tells licences since version 2: not compared here */
            list.v[k].license = STR("");
        struct str have = as_text(a, &list);
        if (!str_eqc(have, files[i].want))
            fail_msg("%s:\n" STR_FMT "instead of\n%s", files[i].file, STR_ARG(have), files[i].want);
    }
}

/* Cut anywhere and with bytes turned over: an error or some packages, each with a name and a version. */
static void test_damaged(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
        struct str whole = test_data(a, arena_printf(a, "packages/%s", files[i].file));
        char *copy = arena_cstr(a, whole);
        for (size_t at = 0; at < whole.n; at += whole.n / 40 + 1) {
            _cleanup_(arena_freep) struct arena *b = arena_new(64u << 20);
            struct package_list cut = PACKAGE_LIST(b), flipped = PACKAGE_LIST(b);
            files[i].parse(&cut, STR("x.jar"), str_sub(whole, 0, at), NULL);
            copy[at] = (char)~copy[at];
            files[i].parse(&flipped, STR("x.jar"), str_n(copy, whole.n), NULL);
            copy[at] = whole.p[at];
            for (size_t k = 0; k < cut.n; k++)
                assert_true(cut.v[k].name.n && cut.v[k].version.n);
            for (size_t k = 0; k < flipped.n; k++)
                assert_true(flipped.v[k].name.n && flipped.v[k].version.n);
        }
    }
}

static void test_nested_paths(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct package_list list = PACKAGE_LIST(a);
    assert_int_equal(java_archive(&list, STR("opt/shop.war"), test_data(a, "packages/shop.war"), NULL), 0);
    assert_true(str_eqc(list.v[0].path, "opt/shop.war!/WEB-INF/lib/slf4j-api-1.7.30.jar"));
    assert_true(
        str_eqc(list.v[list.n - 1].path, "opt/shop.war!/WEB-INF/lib/boot.jar!/BOOT-INF/lib/log4j-core-2.14.1.jar"));
}

/* As these programs have them; the real ones are read in test/integration/packages.test.ts. */
static void test_programs(void **state)
{
    static const struct {
        const char *name;
        struct str bytes;
        const char *want;
    } programs[] = {
        {"busybox", STR("x\0BusyBox v1.36.1 (2023-11-07 18:53:09 UTC)\0"), "generic busybox 1.36.1\n"},
        {"nginx", STR("\0nginx version: nginx/1.25.3\n\0"), "generic nginx 1.25.3\n"},
        {"openssl", STR("OpenSSL \0OpenSSL 1.1.1w  11 Sep 2023\0"), "generic openssl 1.1.1w\n"},
        {"libcrypto.so.3", STR("\0OpenSSL 3.0.0-beta1 17 Jun 2021\0"), "generic openssl 3.0.0-beta1\n"},
        {"python3.11", STR("\0009.9.9\0Python-3.11.2\0"), "generic python 3.11.2\n"},
        {"libpython3.9.so.1.0", STR("13.9.18\0003.9\0003.9.18\0"), "generic python 3.9.18\n"},
        {"redis-server", STR("\0006.2.0\0007.0.15\0A\0007.0.15ip-10-0-0-1-17000000000000\0"), "generic redis 7.0.15\n"},
        {"curl", STR("\0curl/8.5.0\0"), "generic curl 8.5.0\n"},
        {"node", STR("..node.js/v20.20.2\0"), "generic node 20.20.2\n"},
        {"node", STR("no version here\0"), ""},
        {"cat", STR("BusyBox v1.36.1 \0"), ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
        struct package_list list = PACKAGE_LIST(a);
        program_find(&list, str_c(programs[i].name), programs[i].bytes);
        struct str have = as_text(a, &list);
        if (!str_eqc(have, programs[i].want))
            fail_msg("%s: " STR_FMT, programs[i].name, STR_ARG(have));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_nested_paths), cmocka_unit_test(test_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
