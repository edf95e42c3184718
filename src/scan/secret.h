/* secret: credentials in text. One pass over the bytes with a prefilter of all keywords at once (Wu and Manber, "A fast
 * algorithm for multi-pattern searching", 1994: blocks of two, so most bytes are never looked at); what stands around a
 * keyword is then held against the rule of rules/secrets.tbl.h: alphabet, length, entropy, structure, checksum.
 *
 * The scanner is immutable and may be used by several threads. No hit ever holds the secret: its evidence is the
 * keyword and the length. Bytes may be anything; the caller decides what is text (secret_is_text()).
 *
 *     struct secrets *s = secrets_new();
 *     secrets_scan(s, text, on_hit, ctx);
 */
#ifndef BULKHEAD_SCAN_SECRET_H
#define BULKHEAD_SCAN_SECRET_H

#include "base/arena.h"
#include "policy/finding.h"

#define SECRET_REACH (16u << 10) /* no secret is longer; windows over large files overlap by that much */

struct secret_hit {
    const char *id, *title;
    enum vuln_severity severity;
    size_t from, to;    /* in the text */
    const char *prefix; /* what may be shown of it */
    const char *note;   /* "checksum does not match", NULL */
};

struct secrets;
struct secrets *secrets_new(void);
void secrets_free(struct secrets *s); /* NULL is fine */
void secrets_freep(struct secrets **s);

/* Hits in ascending order, not overlapping; fn returning false ends the scan. */
void secrets_scan(const struct secrets *s, struct str text, bool (*fn)(void *ctx, const struct secret_hit *hit),
                  void *ctx);

/* First bytes of a file: is it text (no NUL, hardly a control character)? */
bool secret_is_text(struct str head);
/* Files in which secrets are examples: documentation, test data of libraries. */
bool secret_path_skipped(struct str path);
/* "ghp_… (40 characters)", into a. */
struct str secret_evidence(struct arena *a, const struct secret_hit *hit);
/* NAME=VALUE of an environment or of a .env file: does the name ask for a secret and the value look like one? */
bool secret_variable(struct str name, struct str value);
/* NAME=VALUE for one line, quotes and `export` taken off; false when it is none. */
bool secret_env_line(struct str line, struct str *name, struct str *value);

/* Environment, labels, history and command of an image's config: findings, and the values replaced by "[redacted]" in
 * place, so that no report holds them. history: created_by of the layers. */
void secret_config(const struct secrets *s, struct arena *a, struct image_config *c, struct str *history,
                   size_t history_n, struct finding **ret, size_t *ret_n);

/* ---- for the rules: secret_check.c ---- */
struct secret_at {
    struct str text;       /* everything */
    size_t keyword, value; /* where the keyword starts, where it ends */
    size_t from, to;       /* TOKEN, ASSIGN: the part behind the keyword, the value; FORM: set by the check */
    const char *note;
    bool doubtful; /* the form is right, a checksum is not */
    bool weak;     /* encrypted, short-lived: one severity lower */
};
#define SECRET_CHECKS(X)                                                                                               \
    X(none)                                                                                                            \
    X(mixed)                                                                                                           \
    X(github_crc)                                                                                                      \
    X(aws_id)                                                                                                          \
    X(uuid)                                                                                                            \
    X(docker_auth)                                                                                                     \
    X(key32)                                                                                                           \
    X(key64)                                                                                                           \
    X(slack)                                                                                                           \
    X(sendgrid)                                                                                                        \
    X(jwt)                                                                                                             \
    X(b64_pem)                                                                                                         \
    X(pem)                                                                                                             \
    X(putty)                                                                                                           \
    X(gcp)                                                                                                             \
    X(azure_client)                                                                                                    \
    X(terraform)                                                                                                       \
    X(telegram)                                                                                                        \
    X(braintree)                                                                                                       \
    X(openai)                                                                                                          \
    X(url)                                                                                                             \
    X(netrc)
#define X(name) bool secret_check_##name(struct secret_at *at);
SECRET_CHECKS(X)
#undef X
int secret_entropy(struct str s);      /* tenths of a bit a character */
bool secret_placeholder(struct str s); /* "changeme", "${X}", "xxxx", "your-token-here", "example" ... */

#endif
