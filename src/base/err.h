/* err: how a failure travels, with its story.
 *
 * A function that can fail returns 0 (or a count) on success and a negative errno on failure, and takes
 * `struct err *e` as its last parameter. The place that finds the fault calls err_set(); callers on the way up
 * may prefix where it happened with err_wrap(). Library code never logs: the error is printed once, where it is
 * handled. `e` may be NULL when the caller only wants the code. Outputs are untouched on failure.
 *
 *     if (magic != TAR_MAGIC)
 *         return err_set(e, EBADMSG, "bad magic at %zu", off);     // returns -EBADMSG
 *     ...
 *     if ((r = tar_next(t, &entry, e)) < 0)
 *         return err_wrap(e, "layer %s", digest);                  // returns the same code
 */
#ifndef BULKHEAD_BASE_ERR_H
#define BULKHEAD_BASE_ERR_H

#include <errno.h>

struct err {
    int code;       /* positive errno, 0 when unset */
    char msg[1024]; /* one line, no newline, truncated with "..." when too long */
};

#define ERR_INIT ((struct err){0})

/* Set code and message; returns -code. Control characters of the message are replaced by '?'. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set with errno, and ": <strerror>" behind the message; returns -errno (-EIO if errno is 0). */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prefix the message with "<fmt>: "; returns -e->code (-EIO without e: keep the code yourself then). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The one table from codes to the outside (err.tbl.h): exit code of a command, status of an HTTP answer. */
int err_exit_code(int code);
int err_http_status(int code);

#endif
