/* pin: where the kernel side lives under bpf_dir, and how to reach it.
 *
 *     BPF_DIR/maps-LAYOUT/NAME           the maps, kept while the layout is the same
 *     BPF_DIR/links-VERSION/PROGRAM      one pinned link per attached program; VERSION names tier and build
 *
 * All functions return descriptors that the caller closes. -ENOENT: nothing is pinned there.
 */
#ifndef BULKHEAD_RUNTIME_PIN_H
#define BULKHEAD_RUNTIME_PIN_H

#include "base/err.h"
#include "bpf/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIN_PATH 512

/* Make bpf_dir on a bpf file system: mounts one on /sys/fs/bpf, or on bpf_dir itself when that is elsewhere. */
int pin_prepare(const char *bpf_dir, struct err *e);
int pin_maps_dir(const char *bpf_dir, char ret[static PIN_PATH], struct err *e);
int pin_links_dir(const char *bpf_dir, uint64_t version, char ret[static PIN_PATH], struct err *e);
/* Open a pinned map; checks that it is the one we know by its sizes. */
int pin_map(const char *bpf_dir, const char *name, size_t key, size_t value, int *ret_fd, struct err *e);
/* Remove a directory of pins: what nobody else holds ends. An absent one is fine. */
int pin_remove(const char *dir, struct err *e);
/* Remove every links-* directory but that of `keep` (0: all). */
int pin_remove_links(const char *bpf_dir, uint64_t keep, struct err *e);
/* Rename what links there are, so that the next sensor makes its own and removes these when it has. */
int pin_set_aside(const char *bpf_dir, struct err *e);
/* Remove maps of other layouts (all: of ours too). */
int pin_remove_maps(const char *bpf_dir, bool all, struct err *e);

#endif
