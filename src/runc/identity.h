/* identity: which container and image a bundle belongs to, found out without the engine and without the agent.
 *
 * 1. What the gate noted at create: STATE/containers/ID.json.
 * 2. The engine's own files: config.json names the root file system (DOCKER-ROOT/DRIVER/...), and
 *    DOCKER-ROOT/containers/ID/config.v2.json the image id, name and labels;
 *    DOCKER-ROOT/image/DRIVER/repositories.json every tag and digest of that image.
 * The engine's file wins where both tell the image id.
 */
#ifndef BULKHEAD_RUNC_IDENTITY_H
#define BULKHEAD_RUNC_IDENTITY_H

#include "gate/subject.h"

/* Never fails: what could not be found out stays empty (and an image that is unknown is then denied by the gate). */
void identity_find(struct arena *a, const char *state, const char *bundle, struct str id, struct subject *ret);

#endif
