/* intel: the parts of `bulkhead intel` that are in files of their own. Each returns an exit code. */
#ifndef BULKHEAD_CLI_INTEL_H
#define BULKHEAD_CLI_INTEL_H

#include "cli/command.h"
#include "engine/registry.h"

int intel_cmd_delta(const char *from, const char *to, const char *output);
int intel_cmd_apply(const char *from, const char *delta, const char *key, const char *output);
int intel_cmd_publish(const char *db, const char *key, const char *to, const struct registry_opts *registry);
int intel_cmd_update(char **urls, size_t n, const char *key, const char *output, const struct registry_opts *registry,
                     bool quiet);

int intel_cmd_rescan(const char *folder, const char *from, const char *to, const char *key, bool quiet);

#endif
