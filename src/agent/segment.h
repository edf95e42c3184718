/* segment: the files of the journal's spool; format in agent/journal.h. Used by the journal under its lock. */
#ifndef BULKHEAD_AGENT_SEGMENT_H
#define BULKHEAD_AGENT_SEGMENT_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define SEGMENT_MAX 4096u /* files in the spool */

struct segment {
    uint64_t first, last, bytes, count;
    uint64_t from, told; /* of one that was dropped: gap events in it told of `told` others, from `from` on */
};

struct segments {
    int dirfd, fd; /* fd: the newest, -1 when none is open */
    struct segment *v;
    size_t n, cap;
    uint64_t bytes, events, max, acked;
};

/* Take over what is in the directory: a torn last line is cut off, confirmed segments are removed. */
int segments_open(struct segments *s, int dirfd, uint64_t max, struct err *e);
void segments_fini(struct segments *s);
uint64_t segments_last(const struct segments *s); /* highest seq in the files; 0 none */
/* Append whole lines; a failed write leaves the file as it was. */
int segments_append(struct segments *s, struct str lines, uint64_t first, uint64_t last, uint64_t count);
/* Over the cap: remove the oldest (never the newest) and tell what was in it. */
bool segments_drop(struct segments *s, struct segment *ret);
void segments_ack(struct segments *s, uint64_t seq);

uint64_t segment_seq(struct str line); /* the seq of an event line; 0 when it has none */

#endif
