/* Our tar reader against libarchive, on a tar of many small files: seconds of processor time per million entries.
 *
 *   gcc -O2 -D_GNU_SOURCE -include src/base/banned.h -Isrc test/bench/tar.c build/libbulkhead-core.a -larchive -o /tmp/tar-bench
 *   /tmp/tar-bench FILE.tar
 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "format/tar.h"

#include <archive.h>
#include <archive_entry.h>

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int entry(void *ctx, const struct tar_entry *ent, struct err *e)
{
    *(size_t *)ctx += ent->name.n;
    return 0;
}

static double ours(struct str text, size_t *names, uint64_t *entries)
{
    struct err e = ERR_INIT;
    double start = cpu();
    struct tar *t = tar_new(&(struct tar_sink){.entry = entry}, names);
    for (size_t at = 0; at < text.n; at += 256u << 10) /* in blocks, as the unpacker gives them */
        if (tar_feed(t, text.p + at, text.n - at < (256u << 10) ? text.n - at : 256u << 10, &e) < 0)
            fprintf(stderr, "%s\n", e.msg);
    *entries = tar_entries(t);
    tar_free(t);
    return cpu() - start;
}

static double theirs(struct str text, size_t *names)
{
    double start = cpu();
    struct archive *a = archive_read_new();
    struct archive_entry *ent;
    archive_read_support_format_tar(a);
    archive_read_open_memory(a, text.p, text.n);
    while (archive_read_next_header(a, &ent) == ARCHIVE_OK)
        *names += strlen(archive_entry_pathname(ent));
    archive_read_free(a);
    return cpu() - start;
}

int main(int argc, char **argv)
{
    struct arena *a = arena_new(SIZE_MAX);
    struct err e = ERR_INIT;
    struct str text;
    if (argc != 2 || fs_read(a, argv[1], SIZE_MAX / 4, &text, &e) < 0) {
        fprintf(stderr, "usage: tar-bench FILE.tar %s\n", e.msg);
        return 2;
    }
    for (int i = 0; i < 5; i++) {
        size_t n1 = 0, n2 = 0;
        uint64_t entries;
        double mine = ours(text, &n1, &entries), other = theirs(text, &n2);
        printf("%" PRIu64 " entries: ours %.3f, libarchive %.3f CPU s per million (%.1f times); names %zu %zu\n", entries,
               mine * 1e6 / (double)entries, other * 1e6 / (double)entries, other / mine, n1, n2);
    }
    return 0;
}
