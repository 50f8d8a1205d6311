/* short: preloaded, makes the kernel stingy: reads and writes at an offset give less than was asked for, or EINTR, by
 * chance from SHORT_SEED. What a caller may not rely on, it meets here. */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here, none redirected */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t state;

/* 0: as it is; 1: less; 2: interrupted. */
static unsigned chance(uint64_t *ret_dice)
{
    if (!state) {
        const char *seed = getenv("SHORT_SEED");
        state = seed ? strtoull(seed, NULL, 10) * 2 + 1 : 1;
    }
    uint64_t before = __atomic_fetch_add(&state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    uint64_t mixed = (before ^ before >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    *ret_dice = mixed >> 8;
    unsigned face = mixed & 7;
    return face < 3 ? 1 : face == 3 ? 2 : 0;
}

#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static size_t less(size_t size, uint64_t dice)
{
    return size > 1 ? 1 + dice % (size - 1) : size;
}

#define ONE(name, buffer)                                                                                              \
    ssize_t name(int fd, buffer data, size_t size, off_t offset)                                                       \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        uint64_t dice;                                                                                                 \
        unsigned what = chance(&dice);                                                                                 \
        if (what == 2) {                                                                                               \
            errno = EINTR;                                                                                             \
            return -1;                                                                                                 \
        }                                                                                                              \
        return real(fd, data, what == 1 ? less(size, dice) : size, offset);                                            \
    }

/* Of a list, the first part alone and only some of it. */
#define MANY(name)                                                                                                     \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset)                                           \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        uint64_t dice;                                                                                                 \
        unsigned what = chance(&dice);                                                                                 \
        if (what == 2) {                                                                                               \
            errno = EINTR;                                                                                             \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (what == 1 && count > 0 && parts[0].iov_len > 0) {                                                          \
            struct iovec first = {parts[0].iov_base, less(parts[0].iov_len, dice)};                                    \
            return real(fd, &first, 1, offset);                                                                        \
        }                                                                                                              \
        return real(fd, parts, count, offset);                                                                         \
    }

ONE(pread, void *)
ONE(pwrite, const void *)
ONE(pread64, void *)
ONE(pwrite64, const void *)
MANY(preadv)
MANY(pwritev)
MANY(preadv64)
MANY(pwritev64)
