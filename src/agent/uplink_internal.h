/* uplink_internal: the root side of the uplink, shared by uplink.c (child, main loop), uplink_down.c (what comes from
 * the console) and uplink_up.c (what goes there). */
#ifndef BULKHEAD_AGENT_UPLINK_INTERNAL_H
#define BULKHEAD_AGENT_UPLINK_INTERNAL_H

#include "agent/backoff.h"
#include "agent/install.h"
#include "agent/ipc.h"
#include "agent/spool.h"
#include "agent/uplink.h"

#define UPLINK_REFUSED_KEPT 64u /* events the console refused, of the batch under way */

struct uplink {
    char *state, *console, *token_file, *host;
    unsigned uid, gid;
    struct journal *journal;
    int journal_dir;
    bool intel_key_pinned;
    struct uplink_callbacks on;

    int epoll, timer;
    pid_t child; /* 0: none */
    struct ipc down, up;
    struct backoff backoff;
    int64_t started;

    struct spool *spool;
    char *status; /* newest, not yet delivered */
    uint64_t status_tag;
    char wanted[80]; /* image id whose inventory is to be asked for; empty none */
    bool waiting;    /* the child got `nothing`: it wants a wake */
    uint64_t cursor; /* what the console has */
    uint64_t refused[UPLINK_REFUSED_KEPT];
    size_t refused_n;

    struct arena *docs_arena; /* a policy set that is coming in */
    struct policy_source *docs;
    size_t docs_n, docs_want;
    size_t docs_bytes;
    char docs_config[256];
    struct install_intel intel;

    struct uplink_info info;
    char story[512], config_revision[256], policy_error[1024], intel_error[1024];
};

/* A message on a channel: 0, or an error that ends the child. */
int uplink_on_down(struct uplink *u, struct ipc_message *m, struct err *e);
int uplink_on_up(struct uplink *u, struct ipc_message *m, struct err *e);

void uplink_set_text(char *to, size_t size, struct str *view, struct str s);
void uplink_set_phase(struct uplink *u, enum uplink_phase phase, struct str story);
void uplink_changed(struct uplink *u);

#endif
