#include "runc/lockdown.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static const char dockers[] =
    "{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"sh\"],\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_NET_"
    "RAW\"],"
    "\"effective\":[\"CAP_CHOWN\",\"CAP_NET_RAW\"]},\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":"
    "18446744073709551615}]},"
    "\"linux\":{\"cgroupsPath\":\"/x\",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,"
    "\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\",\"SCMP_ARCH_AARCH64\"],"
    "\"syscalls\":[{\"names\":[\"read\",\"chroot\",\"mkdir\"],\"action\":\"SCMP_ACT_ALLOW\"},"
    "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_"
    "EQ\"}]},"
    "{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}]}}}";
static const char bare[] = "{\"process\":{\"capabilities\":{\"bounding\":[\"CAP_SYS_ADMIN\"]}},\"linux\":{}}";

static const struct json_value *locked(struct arena *a, const char *config, const struct container_policy *p,
                                       const struct profile *pr, struct lockdown *l)
{
    _cleanup_(buf_fini) struct buf out = BUF_INIT(1u << 20);
    struct json_value *v;
    struct err e = ERR_INIT;
    if (lockdown_config(a, str_c(config), p, pr, &out, l, &e) < 0)
        fail_msg("%s", e.msg);
    if (!l->changed)
        return NULL;
    assert_int_equal(json_parse(a, arena_str(a, buf_str(&out)), 0, &v, &e), 0);
    return v;
}

/* Does the filter let this call through, by its rules without conditions? */
static bool allows(const struct json_value *config, const char *name)
{
    const struct json_value *f = json_path(config, "linux.seccomp");
    JSON_EACH (json_get(f, "syscalls"), rule)
        JSON_EACH (json_get(rule, "names"), it)
            if (str_eqc(json_str(it), name))
                return str_eqc(json_str(json_get(rule, "action")), "SCMP_ACT_ALLOW");
    return str_eqc(json_str(json_get(f, "defaultAction")), "SCMP_ACT_ALLOW");
}

static void test_learned(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 22);
    struct container_policy p = {.mode = MODE_ENFORCE, .syscalls = STR("learned")};
    struct profile pr = {.stable = true};
    struct lockdown l;
    calls_add(&pr.calls, SYS_mkdir);
    calls_add(&pr.calls, SYS_mount); /* was tried, and no program held what it needs */
    const struct json_value *v = locked(a, dockers, &p, &pr, &l);
    assert_true(l.changed && !l.sealed && !l.said);
    assert_true(allows(v, "mkdir") && allows(v, "read")); /* learned; needed by any */
    assert_false(allows(v, "chroot") || allows(v, "personality") || allows(v, "mount") || allows(v, "clone3"));
    assert_string_equal(json_path(v, "process")->first->next->next->first->first->next->text.p, "18446744073709551615");
    assert_int_equal(json_get(json_path(v, "linux.seccomp"), "architectures")->count, 4);
    /* where the engine gave no filter there is one now */
    v = locked(a, bare, &p, &pr, &l);
    assert_true(allows(v, "mkdir") && allows(v, "execve") && !allows(v, "chroot") && !allows(v, "mount"));
    /* nothing learned: nothing changes, and it is said */
    v = locked(a, dockers, &p, NULL, &l);
    assert_true(allows(v, "chroot"));
    assert_non_null(l.said);
    p.mode = MODE_AUDIT;
    assert_null(locked(a, dockers, &p, &pr, &l));
}

static void test_default_and_file(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 22);
    struct container_policy p = {.mode = MODE_ENFORCE, .syscalls = STR("default")};
    struct lockdown l;
    const struct json_value *v = locked(a, dockers, &p, NULL, &l);
    assert_true(allows(v, "chroot")); /* the engine's own is kept */
    v = locked(a, bare, &p, NULL, &l);
    assert_true(allows(v, "mount") && allows(v, "chroot")); /* SYS_ADMIN is held */
    assert_false(allows(v, "keyctl") || allows(v, "init_module"));

    char path[] = "/tmp/bh-lockdown-XXXXXX";
    struct err e = ERR_INIT;
    _cleanup_(buf_fini) struct buf out = BUF_INIT(1u << 20);
    int fd = mkstemp(path);
    p.syscalls = str_c(path);
    assert_int_equal(fs_write(path,
                              STR("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"chroot\"],"
                                  "\"action\":\"SCMP_ACT_ERRNO\"}]}"),
                              0600, &e),
                     0);
    v = locked(a, dockers, &p, NULL, &l);
    assert_true(!allows(v, "chroot") && allows(v, "personality"));
    assert_int_equal(
        fs_write(path, STR("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"includes\":{}}]}"),
                 0600, &e),
        0);
    assert_int_equal(lockdown_config(a, str_c(dockers), &p, NULL, &out, &l, &e), -ENOTSUP);
    assert_int_equal(fs_write(path, STR("{"), 0600, &e), 0);
    assert_true(lockdown_config(a, str_c(dockers), &p, NULL, &out, &l, &e) < 0);
    assert_non_null(strstr(e.msg, path));
    close(fd);
    unlink(path);
}

static void test_seal_and_capabilities(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 22);
    struct str only[] = {STR("CHOWN")};
    struct container_policy p = {.mode = MODE_ENFORCE, .compat = ACTION_block};
    struct lockdown l;
    const struct json_value *v = locked(a, dockers, &p, NULL, &l);
    assert_true(l.sealed);
    assert_int_equal(json_get(json_path(v, "linux.seccomp"), "architectures")->count, 1);
    assert_int_equal(json_path(v, "process.capabilities.bounding")->count, 2);
    v = locked(a, bare, &p, NULL, &l);
    assert_true(l.sealed && allows(v, "chroot"));
    assert_int_equal(json_get(json_path(v, "linux.seccomp"), "architectures")->count, 1);
    p.compat = ACTION_alert;
    p.has_capabilities = true;
    p.capabilities = only;
    p.capabilities_n = 1;
    v = locked(a, dockers, &p, NULL, &l);
    assert_false(l.sealed);
    assert_int_equal(json_path(v, "process.capabilities.bounding")->count, 1);
    assert_string_equal(json_path(v, "process.capabilities.effective")->first->text.p, "CAP_CHOWN");
    assert_int_equal(json_get(json_path(v, "linux.seccomp"), "architectures")->count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_learned), cmocka_unit_test(test_default_and_file),
                                       cmocka_unit_test(test_seal_and_capabilities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
