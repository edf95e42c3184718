/* SHA-256 of the libraries at hand, GB per second of processor time on blocks of 256 KiB. The choice of
 * src/format/digest.c rests on this.
 *
 *   gcc -O2 test/bench/digest.c -lnettle -lgnutls -lsodium -lcrypto -o /tmp/digest-bench && /tmp/digest-bench
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <nettle/sha2.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 256 << 10, ROUNDS = 2000 };

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define MEASURE(name, update)                                                            \
    do {                                                                                 \
        double start = cpu();                                                            \
        for (int i = 0; i < ROUNDS; i++)                                                 \
            update;                                                                      \
        printf("%-8s %.2f GB/s\n", name, (double)BLOCK * ROUNDS / (cpu() - start) / 1e9); \
    } while (0)

int main(void)
{
    static unsigned char block[BLOCK];
    struct sha256_ctx nettle;
    gnutls_hash_hd_t gnutls;
    crypto_hash_sha256_state sodium;
    EVP_MD_CTX *openssl = EVP_MD_CTX_new();
    memset(block, 7, sizeof(block));
    sha256_init(&nettle);
    gnutls_hash_init(&gnutls, GNUTLS_DIG_SHA256);
    crypto_hash_sha256_init(&sodium);
    EVP_DigestInit_ex(openssl, EVP_sha256(), NULL);
    for (int run = 0; run < 3; run++) {
        MEASURE("nettle", sha256_update(&nettle, BLOCK, block));
        MEASURE("gnutls", gnutls_hash(gnutls, block, BLOCK));
        MEASURE("sodium", crypto_hash_sha256_update(&sodium, block, BLOCK));
        MEASURE("openssl", EVP_DigestUpdate(openssl, block, BLOCK));
    }
    return 0;
}
