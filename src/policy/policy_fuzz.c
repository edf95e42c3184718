/* policy: any text either is a set or gives an error; a set has the same revision when read again, and judges an image
 * and a container without falling over. */
#include "base/cleanup.h"
#include "base/time.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(policy_set_unrefp) struct policy_set *s = NULL, *again = NULL;
    struct policy_source source = {STR("f"), str_n((const char *)data, size), 1};
    struct err e = ERR_INIT;
    if (policy_set_parse(&source, 1, &s, &e) < 0) {
        if (s || !e.msg[0])
            abort();
        return 0;
    }
    if (policy_set_parse(&source, 1, &again, &e) < 0 || !str_eq(policy_set_revision(s), policy_set_revision(again)))
        abort();
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 30);
    struct package p = {
        .type = STR("deb"), .name = STR("openssl"), .version = STR("3"), .license = STR("MIT AND GPL-2.0")};
    struct finding f[] = {
        {.kind = FINDING_VULN,
         .id = STR("CVE-2023-0001"),
         .package = &p,
         .severity = VULN_HIGH,
         .fixed = STR("4"),
         .published = TIME_DAY,
         .cvss = 7,
         .epss = -1},
        {.kind = FINDING_SECRET, .id = STR("key"), .path = STR("x")},
        {.kind = FINDING_PACKAGE, .id = STR("pkg:deb/openssl"), .package = &p},
    };
    struct str name = STR("shop/web:7");
    struct image_facts facts = {
        .image_id = STR("sha256:aa"), .names = &name, .names_n = 1, .findings = f, .findings_n = 3};
    struct verdict_input in = {
        .facts = &facts, .now = 20000 * TIME_DAY, .running = true, .running_since = 19999 * TIME_DAY};
    struct verdict v;
    for (int i = 0; i < 3; i++) {
        if (policy_verdict(a, s, &in, &v, &e) < 0 || v.valid_until <= in.now)
            abort();
        if (v.valid_until == TIME_NEVER)
            break;
        in.now = v.valid_until;
    }
    struct container_subject c = {.id = STR("00"), .name = STR("web-1"), .image = name};
    struct container_policy cp;
    policy_container(a, s, &c, &cp);
    if (cp.mode > MODE_ENFORCE || cp.drift > ACTION_block)
        abort();
    return 0;
}
