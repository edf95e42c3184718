/* evidence: what a container was doing, kept before it is stopped: one sealed bundle each.
 *
 *     STATE/evidence/TIME-ID12-N.tar.zst     root only
 *       processes/PID.json       program, arguments, user, parents, open files and sockets, times
 *       processes/PID.maps       memory map
 *       network/NAME             the container's own /proc/net tables
 *       upper.jsonl              files written or changed since the container was created, with SHA-256
 *       offender/exe             the program of the offender; offender/memory/ADDRESS-ADDRESS on request
 *       manifest.json            last: what, why, by whom, and the SHA-256 and size of each of the above; what was cut
 *     STATE/evidence/chain       one line a bundle: its SHA-256, bound to the line before. A bundle or line that is
 *                                changed, put in or taken out breaks it; its hash also went out with the event
 *
 * Sizes and counts are capped, what did not fit is named in the manifest. A full disk costs the evidence, never the
 * response: nothing is written below EVIDENCE_RESERVE of free space, and a bundle that cannot be finished is removed.
 * Over EVIDENCE_BUNDLES or EVIDENCE_TOTAL the oldest bundles go (their lines in the chain stay).
 *
 * What is read of a container is its own writing: paths are resolved below its layer without links, and bytes are
 * copied and hashed, never parsed.
 */
#ifndef BULKHEAD_RUNTIME_EVIDENCE_H
#define BULKHEAD_RUNTIME_EVIDENCE_H

#include "runtime/cgroup.h"

#define EVIDENCE_BUNDLES   64u
#define EVIDENCE_TOTAL     (UINT64_C(4) << 30)
#define EVIDENCE_RESERVE   (UINT64_C(128) << 20) /* free space that is left alone */
#define EVIDENCE_BUNDLE    (UINT64_C(512) << 20) /* content of one bundle, before compression */
#define EVIDENCE_PROCESSES 512u
#define EVIDENCE_FILES     50000u              /* entries of the upper layer */
#define EVIDENCE_HASHED    (UINT64_C(1) << 30) /* bytes of them */
#define EVIDENCE_MEMORY    (UINT64_C(256) << 20)
#define EVIDENCE_TIME      20 /* seconds; the container stands still meanwhile */

struct evidence_order {
    const char *state, *bpf_dir;
    struct str id, name, reason, by;
    int64_t pid; /* the offender; 0: none */
    bool memory;
    const struct cgroup *cgroup;
};
/* name: of the bundle, for the event. -ENOSPC, -EBUSY (another one is being taken). */
int evidence_take(const struct evidence_order *o, char *name, size_t n, struct err *e);

struct evidence_item {
    struct str name, sha256, id, container, reason, time;
    int64_t size;
    bool present; /* the file is still there */
};
int evidence_list(struct arena *a, const char *state, struct evidence_item **ret, size_t *n, struct err *e);
/* The chain and every bundle (name empty) or one: -EBADMSG tells what is broken. *checked: bundles that were read. */
int evidence_verify(const char *state, struct str name, size_t *checked, struct err *e);
/* The manifest of a bundle, as it stands in it. */
int evidence_manifest(struct arena *a, const char *state, struct str name, struct str *ret, struct err *e);

int evidence_started(pid_t pid, int64_t *ret); /* instant of a process's start */

/* ---- evidence_pack.c: a tar.zst that hashes what goes in; one file at a time ---- */
struct pack;
int pack_new(int fd, uint64_t max, struct pack **ret, struct err *e);
void pack_free(struct pack *p);
void pack_freep(struct pack **p);
int pack_file(struct pack *p, const char *name, struct str content, struct err *e);
/* The first `size` bytes of a descriptor, from `at` on (-1: no seeking); what cannot be read is zeros. */
int pack_fd(struct pack *p, const char *name, int fd, int64_t at, uint64_t size, struct err *e);
uint64_t pack_size(const struct pack *p); /* so far, before compression */
bool pack_full(const struct pack *p, uint64_t more);
struct json_writer;
void pack_list(const struct pack *p, struct json_writer *w); /* array of {name, size, sha256} */
int pack_end(struct pack *p, struct err *e);

/* ---- evidence_seal.c ---- */
int evidence_seal(const struct evidence_order *o, const char *name, int64_t time, struct err *e);
void evidence_prune(const char *state);

#endif
