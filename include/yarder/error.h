/* Errors: one table from which the enum, the names and the messages derive.
 *
 * Every function that can fail returns int: 0 or positive is success, negative one of these.
 * On failure outputs are untouched unless the function says otherwise. Any thread. */
#ifndef YARDER_ERROR_H
#define YARDER_ERROR_H

#include <stddef.h>

#define YD_ERRORS(X)                                                                                                   \
    X(ENOMEM, 1, "out of memory")                                                                                      \
    X(EINVAL, 2, "invalid argument")                                                                                   \
    X(ERANGE, 3, "value out of range")                                                                                 \
    X(EFULL, 4, "full")                                                                                                \
    X(EBUSY, 5, "busy, try again later")                                                                               \
    X(EAGAIN, 6, "nothing there yet")                                                                                  \
    X(ENOENT, 7, "not found")                                                                                          \
    X(EEXIST, 8, "exists already")                                                                                     \
    X(EIO, 9, "input/output error")                                                                                    \
    X(ENOSPC, 10, "no space left on the device")                                                                       \
    X(ECORRUPT, 11, "damaged data")                                                                                    \
    X(EVERSION, 12, "unknown version")                                                                                 \
    X(EFORMAT, 13, "malformed")                                                                                        \
    X(ETOOBIG, 14, "over a limit")                                                                                     \
    X(ECLOSED, 15, "closed")                                                                                           \
    X(ETIMEOUT, 16, "timed out")                                                                                       \
    X(ECANCELED, 17, "cancelled")                                                                                      \
    X(EPERM, 18, "not permitted")                                                                                      \
    X(ENOTSUP, 19, "not supported")                                                                                    \
    X(EADDRINUSE, 20, "address in use")                                                                                \
    X(ECONNREFUSED, 21, "connection refused")                                                                          \
    X(ECONNRESET, 22, "connection reset by peer")                                                                      \
    X(EEOF, 23, "end of input")                                                                                        \
    X(EGAP, 24, "gap in the sequence")                                                                                 \
    X(EDUP, 25, "duplicate")                                                                                           \
    X(EEPOCH, 26, "stale epoch")                                                                                       \
    X(ELOCKED, 27, "held by another process")                                                                          \
    X(EREADONLY, 28, "read-only after a failed sync")                                                                  \
    X(EUNDELIVERABLE, 29, "undeliverable")                                                                             \
    X(EFAIL, 30, "failed")

enum yd_error {
    YD_OK = 0,
#define YD_ERROR_ENUM(name, number, text) YD_##name = -(number),
    YD_ERRORS(YD_ERROR_ENUM)
#undef YD_ERROR_ENUM
};

/* "EINVAL" and "invalid argument". Never NULL; unknown numbers get "E?" and "unknown error". */
const char *yd_error_name(int error);
const char *yd_error_text(int error);

/* The YD_E… for an errno value; what has no match of its own becomes YD_EIO. */
int yd_error_from_errno(int errno_value);

/* The error trail of control paths: what is wrong, where, what to do instead; outermost last. Bounded: when it is
 * full the oldest text stays and the rest is cut. NULL trails are accepted everywhere and ignored. */
struct yd_trail {
    size_t size;
    char text[1024];
};
void yd_trail_clear(struct yd_trail *trail);
/* Appends a line and returns `error`, so that `return yd_trail_add(trail, YD_EIO, "…")` reads well. */
int yd_trail_add(struct yd_trail *trail, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *yd_trail_text(const struct yd_trail *trail); /* lines joined by ": ", outermost first; "" when empty */

#endif
