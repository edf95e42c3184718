/* attestation: a verdict that can be carried: an in-toto statement (v1) about the image, in a DSSE envelope signed with
 * ed25519. A pipeline makes one (bulkhead scan --attest FILE --sign KEY); the gate honours it for images that were not
 * scanned on its host, when every policy that selects the image trusts the key (ImagePolicy `attesters`).
 *
 *     payloadType  application/vnd.in-toto+json
 *     subject      the image: sha256 is its id (digest of the config); with a manifest digest a second one
 *     predicate    {"verdict": as in the scan report, "scanner": version}; predicateType ATTESTATION_VERDICT
 *
 * What is not signed is not read: the envelope gives only payload and signatures.
 */
#ifndef BULKHEAD_SCAN_ATTESTATION_H
#define BULKHEAD_SCAN_ATTESTATION_H

#include "net/sign.h"
#include "scan/assess.h"

#define ATTESTATION_STATEMENT "https://in-toto.io/Statement/v1"
#define ATTESTATION_VERDICT   "urn:bulkhead:verdict:v1"
#define ATTESTATION_TYPE      "application/vnd.in-toto+json"

struct attestation {
    struct verdict verdict;
    struct str payload;           /* the statement, as signed */
    struct signature *signatures; /* not checked yet */
    size_t signatures_n;
};

/* -EINVAL: the target has no image id, so there is nothing to attest. */
int attestation_write(struct buf *b, const struct inventory *inv, const struct assessment *as, const char *key_path,
                      struct err *e);
/* Structure only; the verdict and the signatures must be about the same image. Lives in the arena. */
int attestation_read(struct arena *a, struct str text, struct attestation *ret, struct err *e);
/* 0 when one of the signatures is by this key, -EKEYREJECTED otherwise. */
int attestation_check(const struct attestation *t, struct str public_pem, struct err *e);

#endif
