/* layer, inside: layer.c reads the archive, layer_entry.c its entries, layer_probe.c runs the probes. */
#ifndef BULKHEAD_SCAN_LAYER_INTERNAL_H
#define BULKHEAD_SCAN_LAYER_INTERNAL_H

#include "base/map.h"
#include "format/digest.h"
#include "scan/layer.h"
#include "scan/probe.h"

struct layer_probe {
    const struct probe *ops;
    void *state;
    bool wants; /* of the entry under way */
};

struct layer {
    struct arena *a;       /* results */
    struct arena *scratch; /* names, reset for each entry */
    struct arena *parsed;  /* of the file under way, reset when its results were copied */
    struct sha256 blob, content;
    struct unpack *unpack;
    struct tar *tar;
    bool no_tar, tree;
    uint64_t size, content_size, entries;
    unsigned char first[512];
    size_t first_n;
    struct layer_record rec;
    struct map *by_path;      /* of rec.files: index + 1 */
    struct map *folders;      /* those that rec.files are in */
    struct layer_paths owned; /* by packages of the system, by layer_owned_as() */
    size_t files_cap, problems_cap, packages_n, issues_n;
    struct layer_probe probes[PROBES + 1];
    size_t probes_n;

    /* the entry under way */
    struct str path;        /* its name, in a when it is a file that somebody wants */
    bool held, seen;        /* an analyzer wants it; some probe still does */
    struct buf body;        /* its content when held */
    struct layer_file file; /* what is known of it so far */
    size_t file_packages_cap, file_issues_cap;
};

void layer_settle_owned(struct layer *l); /* all file lists were seen */
void layer_problem(struct layer *l, struct str text);
int layer_file_add(struct layer *l, const struct layer_file *f, struct err *e);

void layer_probes_open(struct layer *l, const struct probe_setup *setup);
void layer_probes_close(struct layer *l);
bool layer_probes_entry(struct layer *l, const struct tar_entry *ent, struct str path); /* does one want it? */
bool layer_probes_data(struct layer *l, const void *p, size_t n);
void layer_probes_end(struct layer *l);

#endif
