/* sensor: the BPF programs behind one interface, in whichever tier this host proves it can carry.
 *
 * Opening a sensor mounts bpffs where it is missing, finds the tier by trying (a probe program must really deny an
 * exec of our own child before `lsm` is believed), and then loads and pins programs, links and maps under bpf_dir, or
 * takes over what an earlier agent left there: maps are kept while BH_LAYOUT is equal, new programs are attached
 * before old ones are let go, so there is no moment without enforcement. Closing leaves everything pinned and in
 * force; only sensor_remove() takes it away. One consumer of events per bpf_dir (a lock file beside it holds that).
 *
 * Events are decoded in place: all strings point into the ring's record and die when the handler returns.
 * One thread uses a sensor. sensor_doctor() and sensor_remove() need no open sensor.
 *
 *     struct sensor_opts o = {.bpf_dir = SENSOR_BPF_DIR};
 *     if (sensor_open(&o, &s, e) < 0) ...
 *     poll(sensor_fd(s)) ; sensor_poll(s, 0, handler, ctx, e);
 */
#ifndef BULKHEAD_RUNTIME_SENSOR_H
#define BULKHEAD_RUNTIME_SENSOR_H

#include "base/err.h"
#include "bpf/event.h"
#include "format/event.h"

#define SENSOR_BPF_DIR "/sys/fs/bpf/bulkhead"

enum sensor_tier { SENSOR_AUTO, SENSOR_LSM, SENSOR_TRACE };

struct sensor_opts {
    const char *bpf_dir;   /* NULL: SENSOR_BPF_DIR */
    enum sensor_tier tier; /* AUTO, or one forced: -ENOTSUP when the host cannot carry it */
    bool opens;            /* tell files opened for writing also where that costs every open (trace tier) */
    bool host;             /* tell execs of the host too (telemetry; never judged) */
    size_t ring;           /* bytes of the telemetry ring, power of two; 0: 4 MiB. The alert ring is 1 MiB */
};

struct sensor;

/* One event, decoded. Fields of `raw` are numbers in host order; the strings are paths as the container sees them. */
struct sensor_event {
    const struct bh_event *raw;
    int64_t time;    /* wall clock, when it happened */
    int64_t started; /* wall clock, start of the process */
    struct str id;   /* 64 hex digits; empty: the host's */
    struct str exe, path, comm;
    struct str args; /* NUL-separated; sensor_args() cuts */
    /* the same decision in the terms of the house */
    enum event_type type; /* BH_IO_URING has none of its own: EVENT_TYPE_bpf with CONTROL_io_uring */
    enum event_control control;
    enum event_action action;
    enum event_level level;     /* what acted: detect when nothing was done */
    enum event_level would;     /* with mode learn/audit and action block: what enforce does on this tier */
    enum event_outcome outcome; /* prevented, killed or detected; allowed for telemetry */
};
size_t sensor_args(const struct sensor_event *ev, struct str *out, size_t max); /* number found, at most max */
struct str sensor_parent_exe(const struct sensor_event *ev, size_t i);          /* i < raw->parents_n; may be empty */
/* "10.0.0.7:443", "[::1]:80", "unix:/run/x.sock", "netlink"; empty when there is none. */
struct str sensor_peer(struct arena *a, const struct sensor_event *ev);
/* Names of the flags of a file ("upper", "tmpfs", ...), joined by commas. */
struct str sensor_file_flags(struct arena *a, uint32_t flags);

int sensor_open(const struct sensor_opts *o, struct sensor **ret, struct err *e);
void sensor_close(struct sensor *s); /* enforcement stays; NULL is fine */
void sensor_closep(struct sensor **s);

enum sensor_tier sensor_tier(const struct sensor *s);
const char *sensor_tier_name(enum sensor_tier t);
bool sensor_took_over(const struct sensor *s); /* pinned objects of an earlier agent were found and kept */
int sensor_fd(const struct sensor *s);         /* becomes readable when events wait (epoll) */

/* Attach what only some containers need, detach what none does (demand.h). sensor_poll() calls it; so should whoever
 * polls rarely, once a second or so. */
int sensor_tend(struct sensor *s, struct err *e);

/* Hand all waiting events to fn, alerts first; waits up to timeout_ms (-1: for ever) for the first one. Returns their
 * number. fn returning negative stops and is returned. */
int sensor_poll(struct sensor *s, int timeout_ms, int (*fn)(void *ctx, const struct sensor_event *ev), void *ctx,
                struct err *e);

struct sensor_loss {
    uint64_t told[2], lost[2]; /* by ring: 0 alerts, 1 telemetry; since the maps were made */
};
int sensor_loss(struct sensor *s, struct sensor_loss *ret, struct err *e);

/* What the kernel remembers of a container; -ENOENT: none of its programs ran yet. overlay == 0: drift cannot be told
 * there, the control is unavailable. */
int sensor_container(struct sensor *s, struct str id, struct bh_container *ret, struct err *e);
/* The container is gone: forget its root, its novelty entries age out by themselves. */
int sensor_container_forget(struct sensor *s, struct str id, struct err *e);
/* For hosts whose engine leaves containers outside of a cgroup that names them: this mount namespace is container id.
 */
int sensor_mnt_ns_put(const char *bpf_dir, uint32_t mnt_ns, struct str id, struct err *e);
int sensor_mnt_ns_del(const char *bpf_dir, uint32_t mnt_ns, struct err *e);

/* This file is the socket of a container engine: whoever connects to it, under any name, gets out (control escape). The
 * usual places are known; an agent adds those of its own engines. */
int sensor_engine_socket(const char *bpf_dir, const char *path, struct err *e);

/* ---- doctor ---- */
struct sensor_control {
    enum event_control control;
    enum event_level level;  /* strongest this host and tier has */
    bool available;          /* false: nothing at all */
    bool survives;           /* stays in force when the agent dies */
    struct str how;          /* the hook that does it */
    bool proven;             /* it was tried in a throw-away container, and acted as the level says */
    bool failed;             /* it was tried and did not */
    struct str proof;        /* what was seen; "attached; not tried: why" where it was not tried */
    struct str why_not_more; /* empty when level is block */
};
struct sensor_report {
    enum sensor_tier tier;
    struct str tier_proof; /* what the probe saw */
    struct str kernel;     /* release */
    bool pinned;           /* something of ours is in force under bpf_dir now */
    const struct sensor_control *controls;
    size_t controls_n;
    const struct str *notes; /* limits of this host in plain words */
    size_t notes_n;
};
/* Probes by doing, in children of ours and with programs that see only these; harmless on a live host. */
int sensor_doctor(struct arena *a, const char *bpf_dir, struct sensor_report *ret, struct err *e);
/* Level of one control on a tier, without probing: for events and listings. */
enum event_level sensor_control_level(enum sensor_tier t, enum event_control c);

/* Unpin everything under bpf_dir: enforcement ends. */
int sensor_remove(const char *bpf_dir, struct err *e);

#endif
