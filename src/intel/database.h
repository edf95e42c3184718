/* database: the file format of intel.db. See README.md for the tables.
 *
 * A signed file is the SQLite file followed by a trailer of INTEL_TRAILER bytes of text: magic, size, SHA-256 of the
 * public key, ed25519 signature, padded with newlines. Signed is the SHA-256 over all bytes before the trailer
 * together with their number and, when given, a serial number and the instant until which the file counts (so that
 * nobody can roll back or hold back updates unnoticed); the trailer is compared byte for byte with the only one that
 * the signature allows, so no bit of the file can change unnoticed. An unsigned file is the SQLite file alone, exactly
 * as long as its header says.
 *
 * Opening maps the file, verifies the mapped bytes and hands the same bytes to SQLite (sqlite3_deserialize): there is
 * no second open, no lock file, no write, and it works where open() is not allowed. The file must not be changed in
 * place while in use; everyone replaces it by rename.
 */
#ifndef BULKHEAD_INTEL_DATABASE_H
#define BULKHEAD_INTEL_DATABASE_H

#include "base/arena.h"
#include "base/err.h"

#include <sqlite3.h>

enum { INTEL_TRAILER = 512, INTEL_APPLICATION_ID = 0x42484b49, INTEL_FORMAT = 1 };

/* What is signed beside the bytes. */
struct signature_terms {
    uint64_t serial; /* 0: none */
    int64_t expires; /* microseconds; 0: never */
};

struct database {
    sqlite3 *db;
    void *map;
    size_t map_n;
    bool is_signed;               /* by the key given; without one: carries a trailer, unverified */
    struct signature_terms terms; /* when signed */
};

/* key_path NULL: not verified. -EKEYREJECTED, -EBADMSG, -errno. */
int database_open(const char *path, const char *key_path, struct database *ret, struct err *e);
void database_close(struct database *d);
int database_error(sqlite3 *db, struct err *e, const char *doing); /* from the handle's last error; -EBADMSG or -EIO */
int database_exec(sqlite3 *db, const char *sql, struct err *e);
int database_create(sqlite3 *db, struct err *e); /* the empty tables */

/* SHA-256 (hex) over the rows of all tables in the order of their keys; what the revision is. */
int database_revision(sqlite3 *db, char out[static 65], struct err *e);

/* Append the trailer to an open SQLite file of which `size` bytes were written. The key is PKCS#8 PEM (ed25519). */
int signature_append(int fd, const char *key_path, const struct signature_terms *terms, struct err *e);
/* -EKEYREJECTED with the reason; *ret_size: bytes of the SQLite file before the trailer. */
int signature_verify(const void *p, size_t n, const char *key_path, size_t *ret_size, struct signature_terms *ret_terms,
                     struct err *e);
bool signature_present(const void *p, size_t n);

#endif
