/* Any bytes as a plain feed file of any kind: recognised as what they are, and forced through every parser. What they
 * write goes through the reader of records, which must take all of it. */
#include "base/cleanup.h"
#include "intel/feed.h"

#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_memory(void *arg, void *p, size_t n, struct err *e)
{
    struct str *rest = arg;
    if (n > rest->n)
        n = rest->n;
    memcpy(p, rest->p, n);
    *rest = str_sub(*rest, n, rest->n);
    return (ssize_t)n;
}

static int take(void *arg, const struct record *r, struct err *e)
{
    return 0;
}

static void parse(enum feed_kind kind, struct str text)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(FEED_ARENA);
    struct err e = ERR_INIT;
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        abort();
    fcntl(pipe_fds[1], F_SETPIPE_SZ, 1 << 20);
    struct record_writer w = {.fd = pipe_fds[1], .b = BUF_INIT(RECORD_MAX + (1u << 20)), .e = &e};
    struct feed f = {.w = &w, .a = a, .read = read_memory, .read_arg = &text};
    if (text.n <= 16384 && feed_parse(kind, &f, &e) >= 0 && w.b.n < (1 << 20)) {
        struct record_reader reader = {.b = BUF_INIT(2 * RECORD_MAX), .take = take};
        if (record_feed(&reader, w.b.p, w.b.n, &e) < 0)
            abort();
        buf_fini(&reader.b);
    }
    buf_fini(&w.b);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    enum feed_kind kind;
    struct err e = ERR_INIT;
    feed_recognise(text, true, &kind, &e);
    for (int k = FEED_UNKNOWN + 1; k < FEED_KINDS; k++)
        parse((enum feed_kind)k, text);
    return 0;
}
