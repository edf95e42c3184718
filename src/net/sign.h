/* sign: ed25519 signatures over bytes, with keys in PEM: PKCS#8 for the private one (openssl genpkey -algorithm
 * ed25519), SubjectPublicKeyInfo for the public one (openssl pkey -pubout). A key's id is the SHA-256 of its public
 * half in DER, 64 hex digits.
 *
 *     struct signature s;
 *     if ((r = sign_bytes("ci.key", message, &s, e)) < 0) ...
 *     if ((r = sign_check(pem, message, &s, e)) < 0) ...     // -EKEYREJECTED: not by this key, or other bytes
 *
 * Where a public key is asked for, the private one will do too.
 */
#ifndef BULKHEAD_NET_SIGN_H
#define BULKHEAD_NET_SIGN_H

#include "base/err.h"
#include "base/str.h"

#define SIGN_SIZE    64
#define SIGN_ID      65 /* with the NUL */
#define SIGN_PEM_MAX 16384

struct signature {
    uint8_t bytes[SIGN_SIZE];
    char id[SIGN_ID];
};

int sign_bytes(const char *key_path, struct str message, struct signature *ret, struct err *e);
/* The id in the signature is not believed: it must be the key's as well. */
int sign_check(struct str public_pem, struct str message, const struct signature *s, struct err *e);
int sign_id(struct str public_pem, char out[static SIGN_ID], struct err *e);

#endif
