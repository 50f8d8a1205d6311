/* live/futex.h: sleeping on a word that processes share, and waking. Never FUTEX_PRIVATE. libc only. */
#ifndef LIVE_FUTEX_H
#define LIVE_FUTEX_H

#include "live/atomic.h"

#ifndef YD_LIVE_STEPS
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void yd__futex_wake_all(uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); /* how many it woke is nobody's business */
}
#endif

#endif
