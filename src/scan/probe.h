/* probe: looks at every entry of a layer, and at the content of the files it asks for, while they stream by. For what
 * the analyzers of analyzers.tbl.h cannot do: they name files by path and get them whole, a probe sees all of them in
 * pieces, so that a file of any size costs no memory (malware, secrets, programs told by their bytes, file modes).
 *
 * A probe is a line in probes.tbl.h and a struct probe. One state is made for each layer; layers may be read by several
 * threads at once, so a state must not share anything mutable with another. It runs in the jail: it opens nothing.
 * What it finds it hands to probe_package() and probe_issue(), which attach it to the entry under way: whether the
 * file is still visible in the image or was deleted by a later layer is told by merge.h.
 *
 *     static int secrets_entry(void *s, const struct tar_entry *ent, struct str path) { return ent->size < MAX; }
 *     static int secrets_data(void *s, const void *p, size_t n) { ...; return more_wanted; }
 *     static void secrets_end(void *s) { probe_issue(...); }
 *     const struct probe probe_secrets = {secrets_open, secrets_entry, secrets_data, secrets_end, secrets_close};
 */
#ifndef BULKHEAD_SCAN_PROBE_H
#define BULKHEAD_SCAN_PROBE_H

#include "format/tar.h"
#include "scan/layer.h"

#include <pthread.h>

/* What probes are to do; made before the jail starts (rules already loaded) and borrowed. All zero: the default. */
struct probe_setup {
    const struct malware *malware; /* NULL: no rules (malware.h) */
    struct clamd *clamd;           /* NULL: none */
    unsigned off;                  /* bit 1u << enum probe_id: not to run */
    struct str key; /* tells records made with one set of rules from those of another; [a-z0-9]*, at most 64 */
};

/* A session with clamd, made before the jail; one file at a time. */
struct clamd {
    int fd;
    bool broken;
    pthread_mutex_t lock;
};

struct probe {
    void *(*open)(const struct probe_setup *setup, struct layer *l);
    /* Every entry but whiteouts, `path` cleaned and relative to the root: 1 wants the content (regular files only),
     * 0 does not. */
    int (*entry)(void *state, const struct tar_entry *ent, struct str path);
    int (*data)(void *state, const void *p, size_t n); /* the next piece: 1 goes on, 0 has seen enough */
    void (*end)(void *state);                          /* of an entry whose content was wanted */
    void (*close)(void *state);
};

#define PROBE(id) PROBE_##id,
enum probe_id {
#include "scan/probes.tbl.h"
    PROBES
};
#undef PROBE

/* From a probe's callbacks, about the entry under way; strings are copied. What is over a cap becomes a problem of the
 * layer. path and layer are filled in (a path with '!' may be given for files inside archives: "a.jar!/b.jar"). */
void probe_package(struct layer *l, const struct package *p);
void probe_issue(struct layer *l, const struct finding *d);
void probe_problem(struct layer *l, struct str text); /* could not be read: the scan is incomplete */

#endif
