/* The names and texts of the error table, and the way from errno into it. */
#include <errno.h>

#include "base/base.h"

const char *yd_error_name(int error)
{
    switch (error) {
    case YD_OK:
        return "OK";
#define CASE(name, number, text)                                                                                       \
    case YD_##name:                                                                                                    \
        return #name;
        YD_ERRORS(CASE)
#undef CASE
    default:
        return "E?";
    }
}

const char *yd_error_text(int error)
{
    switch (error) {
    case YD_OK:
        return "success";
#define CASE(name, number, text)                                                                                       \
    case YD_##name:                                                                                                    \
        return text;
        YD_ERRORS(CASE)
#undef CASE
    default:
        return "unknown error";
    }
}

int yd_error_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return YD_OK;
    case ENOMEM:
        return YD_ENOMEM;
    case EINVAL:
        return YD_EINVAL;
    case ERANGE:
    case EOVERFLOW:
        return YD_ERANGE;
    case EBUSY:
    case EMFILE:
    case ENFILE:
        return YD_EBUSY;
    case EAGAIN:
    case EINPROGRESS:
        return YD_EAGAIN;
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO:
        return YD_ENOENT;
    case EEXIST:
    case ENOTEMPTY:
        return YD_EEXIST;
    case ENOSPC:
    case EDQUOT:
        return YD_ENOSPC;
    case EFBIG:
    case E2BIG:
    case ENAMETOOLONG:
    case EMSGSIZE:
        return YD_ETOOBIG;
    case EPIPE:
    case EBADF:
    case ENOTCONN:
        return YD_ECLOSED;
    case ETIMEDOUT:
        return YD_ETIMEOUT;
    case ECANCELED:
        return YD_ECANCELED;
    case EPERM:
    case EACCES:
    case EROFS:
        return YD_EPERM;
    case ENOSYS:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
        return YD_ENOTSUP;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
        return YD_EADDRINUSE;
    case ECONNREFUSED:
        return YD_ECONNREFUSED;
    case ECONNRESET:
    case ECONNABORTED:
        return YD_ECONNRESET;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return YD_EUNDELIVERABLE;
    default:
        return YD_EIO;
    }
}
