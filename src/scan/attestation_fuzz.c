/* Envelope and statement of a signed verdict: whatever comes is refused or read, and never believed. */
#include "base/cleanup.h"
#include "scan/attestation.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct str pem = STR("-----BEGIN PUBLIC KEY-----\n"
                                      "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                                      "-----END PUBLIC KEY-----\n");
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct attestation t;
    struct err e = ERR_INIT;
    if (attestation_read(a, str_n((const char *)p, n), &t, &e) == 0 && attestation_check(&t, pem, &e) == 0)
        __builtin_trap(); /* nobody here has the key */
    return 0;
}
