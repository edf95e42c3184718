/* policy_test: what the tests of this room share. */
#ifndef BULKHEAD_POLICY_POLICY_TEST_H
#define BULKHEAD_POLICY_POLICY_TEST_H

#include "base/cleanup.h"
#include "policy/policy_internal.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

/* The contract's examples; alternatives ("learn | audit | enforce", "{...}") are resolved to one of them. */
static const char production[] = "kind: ImagePolicy\n"
                                 "name: production\n"
                                 "select: {images: [\"*\"]}\n"
                                 "rules:                                     # a verdict lists every rule that fired\n"
                                 "  - deny: vuln.severity >= high and vuln.fixed exists and vuln.age > 14d\n"
                                 "  - deny: malware exists\n"
                                 "  - deny: secret exists\n"
                                 "  - deny: config.user = root\n"
                                 "  - warn: package.license in (AGPL-3.0-only)\n"
                                 "exceptions: [{finding: CVE-2023-0001, package: openssl, reason: \"not reachable\", "
                                 "owner: alice, expires: 2027-01-31}]\n"
                                 "grace: 72h                                 # for ids that already run\n"
                                 "unscanned: scan\n";

static inline struct policy_set *parse(const char *text)
{
    struct policy_set *s = NULL;
    struct err e = ERR_INIT;
    struct policy_source source = {STR("test.yaml"), str_c(text), 7};
    if (policy_set_parse(&source, 1, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

#endif
