/* sandbox: dynamic analysis. Runs an image's own command for a set time in a container of our own and tells what it
 * did: which dropped programs it ran, whom it asked for and connected to, which detection rules fired. These become
 * findings of kind `dynamic` of the inventory, and a profile (runtime/profile.h) of the programs of the image.
 *
 * The container (runc or crun) has namespaces of its own, a throw-away overlay in memory, no bind mounts, no devices
 * but the usual ones, few capabilities, no new privileges, limits of memory, processes and processor time; its network
 * leads nowhere but to ours (sink.h). The agent's own sensor watches, with pins of its own. Everything is taken away
 * when the call returns. Needs root, a kernel that carries the sensor, and runc or crun (-EPERM, -ENOTSUP).
 *
 *     struct sandbox_opts o = {.target = "docker:app:1", .seconds = 30};
 *     sandbox_run(a, &o, &inv, e);
 */
#ifndef BULKHEAD_SANDBOX_SANDBOX_H
#define BULKHEAD_SANDBOX_SANDBOX_H

#include "scan/inventory.h"

#define SANDBOX_SECONDS     30u
#define SANDBOX_SECONDS_MAX 3600u

struct sandbox_opts {
    const char *target;      /* archive:, docker:, podman: or a name that the engine has */
    const char *engine_url;  /* NULL: the usual */
    const char *profile_out; /* file for the ContainerPolicy that allows what the image ran; NULL: none */
    unsigned seconds;
};

int sandbox_run(struct arena *a, const struct sandbox_opts *o, struct inventory *inv, struct err *e);

#endif
