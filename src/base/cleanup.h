/* cleanup: locals that clean themselves, and the one visible word with which ownership moves. */
#ifndef BULKHEAD_BASE_CLEANUP_H
#define BULKHEAD_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}
#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_close_  _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

#define TAKE(p)                                                                                                        \
    ({                                                                                                                 \
        __typeof__(p) t_ = (p);                                                                                        \
        (p) = NULL;                                                                                                    \
        t_;                                                                                                            \
    })
#define TAKE_FD(fd)                                                                                                    \
    ({                                                                                                                 \
        int t_ = (fd);                                                                                                 \
        (fd) = -1;                                                                                                     \
        t_;                                                                                                            \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
