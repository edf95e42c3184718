/* object: the compiled kernel programs, carried inside our binaries, and which of them a tier needs. */
#ifndef BULKHEAD_RUNTIME_OBJECT_H
#define BULKHEAD_RUNTIME_OBJECT_H

#include "base/err.h"
#include "runtime/sensor.h"

#include <bpf/libbpf.h>

#define OBJECT_LSM   (1u << SENSOR_LSM)
#define OBJECT_TRACE (1u << SENSOR_TRACE)

struct object {
    const char *name;
    const unsigned char *start, *end;
    unsigned tiers;
    bool optional; /* a kernel without one of its hooks goes without it; doctor says so */
};
const struct object *object_list(size_t *n);
const struct object *object_find(const char *name);
/* Hash of tier, options and all code: what names a directory of links. */
uint64_t object_version(enum sensor_tier tier, unsigned options);
/* Open with every map tied to its pin under maps_dir (NULL: private maps). `log` receives libbpf's complaints. */
int object_open(const struct object *o, const char *maps_dir, size_t ring, struct bpf_object **ret, struct err *e);
int object_load(struct bpf_object *obj, const char *name, struct err *e);
/* libbpf prints to stderr unless told otherwise: be quiet (errors come back through struct err). */
void object_quiet(void);

#endif
