/* journal: where every event of the agent goes: stamped, written to the events file, kept for the uplink.
 *
 * journal_put() stamps id (ULID), time (unless preset), seq and host, renders one JSON line and gives it to two places:
 * the events output (a file or standard output) and, with `spool`, the segment files of the uplink. Telemetry (action
 * off, and a type that nobody has to be told about) goes to the events output only, and only with `telemetry`.
 *
 * seq: per agent, starts at 1, never reused. The next number lives in a mapped file (`seq`), so it is exact after
 * kill -9; a bound ahead of it is reserved with fsync, and after a crash of the machine (another boot id) numbering
 * goes on from that bound. Numbers may therefore be skipped after a machine crash; loss of events is told only by gap
 * events.
 *
 * Segments: DIR/NNNNNNNNNNNNNNNNNNNN.jsonl, named by the first seq in it (20 digits), lines in ascending seq, at most
 * JOURNAL_SEGMENT bytes; only the newest is appended to. A line cut short by a crash is dropped at the next start.
 * The file `ack` holds the highest seq the console has confirmed (decimal and newline); segments wholly below are
 * removed. When the segments outgrow `spool_max` the oldest is dropped and a gap event {from, to, count, reason} takes
 * its place at the end of the stream.
 *
 * Writer: any thread of the agent (one lock inside). Reader: whoever holds a descriptor of the directory (the root side
 * of the uplink); it never writes, and hands acknowledgements to journal_ack().
 *
 *     struct journal_opts opts = {.dir = "/var/lib/bulkhead/journal", .events = "-", .spool = true};
 *     _cleanup_(journal_closep) struct journal *j = NULL;
 *     if ((r = journal_open(&opts, &j, e)) < 0) return r;
 *     journal_put(j, &ev);
 *     journal_flush(j);      // at the end of each round of the main loop
 */
#ifndef BULKHEAD_AGENT_JOURNAL_H
#define BULKHEAD_AGENT_JOURNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "format/event.h"

#define JOURNAL_SEGMENT   (4u << 20)
#define JOURNAL_SPOOL_MAX (256u << 20)

struct journal;

struct journal_opts {
    const char *dir;    /* created when missing (0700) */
    const char *events; /* file to append to, "-" for standard output, NULL: none */
    struct str host;    /* empty: the machine's host name */
    bool spool;         /* keep segments for the uplink */
    bool telemetry;     /* also write events with action off to the events output */
    uint64_t spool_max; /* bytes; 0: JOURNAL_SPOOL_MAX */
};

int journal_open(const struct journal_opts *opts, struct journal **ret, struct err *e);
void journal_close(struct journal *j); /* flushes; NULL is fine */
void journal_closep(struct journal **j);

/* Stamp, render, queue for writing. Fills ev->seq, ->time, ->host (id stays NULL). 1 when it was taken, 0 when it is
 * telemetry that nobody wants. Never fails: what cannot be written (disk full, stalled reader of standard output) is
 * counted and told by a gap event as soon as writing works again. */
int journal_put(struct journal *j, struct event *ev);
void journal_flush(struct journal *j);

/* A gap: `count` events were lost (from and to 0 when the loss was before they got numbers). */
void journal_gap(struct journal *j, uint64_t from, uint64_t to, uint64_t count, struct str reason);

void journal_ack(struct journal *j, uint64_t seq); /* the console has everything up to seq */
uint64_t journal_last(const struct journal *j);    /* highest seq given so far; 0: none */
void journal_spool(struct journal *j, bool on);    /* an agent that enrols or leaves while it runs */

struct journal_stats {
    uint64_t last, acked;                        /* seq */
    uint64_t spool_bytes, spool_events, dropped; /* dropped: events told as gap since start */
};
struct journal_stats journal_stats(struct journal *j);

/* ---- reader ---- */

/* Append whole lines (events as JSON, each with its newline) with seq > after, oldest first, to `out` until max_events
 * or max_bytes would be passed (one line is always taken). *last is the highest seq taken. Returns the number of lines,
 * 0 when there is nothing new. dirfd: a descriptor of the journal's directory. */
int journal_read(int dirfd, uint64_t after, size_t max_events, size_t max_bytes, struct buf *out, uint64_t *last,
                 struct err *e);
int journal_acked(int dirfd, uint64_t *ret, struct err *e); /* content of `ack`; 0 when there is none */

#endif
