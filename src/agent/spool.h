/* spool: documents that wait for the console, on disk: one file each, the newest of a name wins, oldest first out.
 *
 * Events do not go here (they wait in the journal). Over the cap the oldest documents are dropped and counted. A
 * document stays until spool_done() with the tag it was given out with, so a newer one that came meanwhile survives
 * the acknowledgement of the older. Survives restarts: the folder is read at the start, oldest file first.
 * Not thread-safe.
 */
#ifndef BULKHEAD_AGENT_SPOOL_H
#define BULKHEAD_AGENT_SPOOL_H

#include "base/arena.h"
#include "base/err.h"

#define SPOOL_KIND(id, method, path) SPOOL_##id,
enum spool_kind {
#include "agent/spool.tbl.h"
    SPOOL_KINDS
};
#undef SPOOL_KIND

struct spool;

struct spool_document {
    enum spool_kind kind;
    const char *name; /* borrowed until the next call */
    uint64_t tag;
    struct str json; /* in the arena */
};

int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret, struct err *e); /* creates dir, 0700 */
void spool_close(struct spool *s); /* NULL is fine; the files stay */
void spool_closep(struct spool **s);

/* name: letters, digits, '-', '_' and '.', 1 to 128 of them, else -EINVAL. -E2BIG: larger than a message may be. */
int spool_put(struct spool *s, enum spool_kind kind, struct str name, struct str json, struct err *e);
int spool_next(struct spool *s, struct arena *a, struct spool_document *ret, struct err *e); /* 1, 0 empty, -errno */
void spool_done(struct spool *s, enum spool_kind kind, struct str name, uint64_t tag);
size_t spool_count(const struct spool *s);
uint64_t spool_dropped(const struct spool *s);

#endif
