/* config: options of the agent, from the command line and a YAML file with the same names (without dashes):
 *
 *     state: /var/lib/bulkhead
 *     policy: [/etc/bulkhead/policies]
 *     engine: [unix:///var/run/docker.sock]
 *     events: /var/log/bulkhead/events.jsonl
 *     telemetry: true
 *
 * What is on the command line wins over the file. Strings live in the arena.
 */
#ifndef BULKHEAD_AGENT_CONFIG_H
#define BULKHEAD_AGENT_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/sensor.h"

#define CONFIG_LIST 16u /* values of an option that may be given several times */
#define CONFIG_FILE "/etc/bulkhead/agent.yaml"

struct config_list {
    const char *v[CONFIG_LIST];
    size_t n;
};

struct config {
    const char *config, *state, *intel, *intel_key, *events, *authz_socket, *podman_root, *console, *token_file,
        *bpf_dir, *host, *scanner;
    struct config_list policy, engine, rules;
    bool telemetry, json, no_shipped_rules, no_scan, opens, no_self_protection, help;
    enum sensor_tier tier;
    int64_t learn_starts, learn_time; /* until a profile is stable: starts, microseconds */
    int64_t scan_time;
    int64_t canary;        /* microseconds between two; 0: a minute */
    int64_t respond_limit; /* a minute */
};

/* argv[0] is skipped. -EINVAL with one line for people. */
int config_parse(struct arena *a, int argc, char **argv, struct config *ret, struct err *e);
/* The file alone; pure, for tests. */
int config_read(struct arena *a, struct str text, struct config *c, struct err *e);
void config_help(FILE *f);

#endif
