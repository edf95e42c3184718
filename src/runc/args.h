/* args: the command line of an OCI runtime as containerd and dockerd give it, with our own options in front.
 *
 *     bulkhead-runc [--bulkhead-state DIR] [--bulkhead-runtime PATH] [--bulkhead-bpf-dir DIR] RUNC-ARGUMENTS...
 *
 * Only what the guard must know is read: the command, the bundle, the log and the id. Everything behind our options is
 * handed on untouched. runc takes options with one or two dashes and with '=' or as two words, so does this.
 */
#ifndef BULKHEAD_RUNC_ARGS_H
#define BULKHEAD_RUNC_ARGS_H

#include "base/err.h"
#include "base/str.h"

struct args {
    const char *state;   /* default /var/lib/bulkhead */
    const char *runtime; /* NULL: look for runc */
    const char *bpf_dir; /* default /sys/fs/bpf/bulkhead */
    char **rest;         /* what the real runtime gets behind its argv[0], NULL-terminated */
    const char *command; /* "" when there is none (--version) */
    const char *bundle;  /* default "." */
    const char *log;     /* NULL: none */
    bool log_json;
    const char *id;      /* "" when the command has none, or needs no look */
    const char *process; /* exec: the file that describes it; NULL: none */
    bool starts;         /* create, run and restore bring a container into being */
};

int args_parse(char **argv, struct args *ret, struct err *e); /* argv NULL-terminated, with argv[0]; borrows */

#endif
