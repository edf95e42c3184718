/* dialer: the unprivileged process that talks to the console (`bulkhead-agent uplink`, started by uplink.c).
 *
 * It is started as root with two sockets (descriptors 3 and 4: channels "down" and "up" of ipc.tbl.h) and the path of
 * its directory, enters it, and gives up everything else before it reads a byte: user, group, capabilities, new
 * privileges, other folders (Landlock where the kernel has it), programs, namespaces, other processes (seccomp).
 * It ends when either channel closes.
 *
 * Two threads of straight-line blocking code, each with a channel and an HTTP client of its own:
 *     down   enrol, renew, long poll for configuration and intel     (dialer_down.c)
 *     up     events, documents, heartbeats                            (dialer_up.c)
 * They share the identity, under `lock`.
 */
#ifndef BULKHEAD_AGENT_DIALER_H
#define BULKHEAD_AGENT_DIALER_H

#include "agent/backoff.h"
#include "agent/identity.h"
#include "agent/ipc.h"
#include "net/http.h"

#include <pthread.h>
#include <stdatomic.h>

#define DIALER_FD_DOWN 3
#define DIALER_FD_UP   4
#define DIALER_ARENA   ((size_t)LIMIT_REQUEST_ARENA * 2)

struct dialer {
    /* set by hello, then constant */
    struct arena *a;
    struct str address, token, host, machine_id;
    struct ipc down, up;
    /* shared */
    pthread_mutex_t lock;
    pthread_cond_t enrolled;
    struct arena *identity_arena;
    struct identity identity; /* under lock */
    unsigned generation;      /* under lock; 0: no identity yet, else counts its changes */
    atomic_uint heartbeat;    /* seconds */
};

/* One thread's connection under the current identity. */
struct line {
    struct http *h;
    unsigned generation;
    struct str address;
    struct arena *a;
};

int dialer_main(int argc, char **argv); /* argv: uplink DIR UID GID */

/* Give up all privileges but the directory (an open one, which becomes the working directory). uid 0: stay who we are.
 */
int dialer_lock_down(int dirfd, unsigned uid, unsigned gid, struct err *e);

void dialer_run_down(struct dialer *d) __attribute__((noreturn));
void *dialer_run_up(void *dialer);

/* Make l fit the identity: -ENOENT when there is none yet. */
int line_ready(struct line *l, struct dialer *d, struct err *e);
/* One request with a path below the address; body may be STR_NONE. */
int line_run(struct line *l, struct arena *a, const char *method, const char *path, const char *type, struct str body,
             struct http_response *ret, struct err *e);
void dialer_gone(const char *why) __attribute__((noreturn)); /* a channel broke: nothing left to do */

/* What a failed request means for the line as a whole. */
enum verdict_of_console { CONSOLE_LATER, CONSOLE_REFUSES, CONSOLE_CLONED };
enum verdict_of_console line_verdict(struct arena *a, int code, const struct http_response *s);

#endif
