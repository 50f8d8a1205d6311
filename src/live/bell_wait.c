/* live/bell_wait.c: arming and sleeping. libc only. The order is in bell_wait.h.
 *
 * The kernel compares the word with what was seen before it lets us sleep, under the lock that a wake takes: a ring
 * between arming and sleeping has changed the word, one after it finds the bit and wakes. */
#include "live/bell_wait.h"

#include "live/atomic.h"

uint32_t yd__bell_arm(uint32_t *word)
{
    /* Acquire pairs with the release of the exchange in yd_live_bell_ring: what was stored before a ring that this
     * follows is seen by the check that comes next. A ring that comes later finds the bit: both change the same word.
     */
    return yd__fetch_or(word, YD__BELL_WAITER, ACQUIRE) | YD__BELL_WAITER;
}

#ifndef YD_LIVE_STEPS
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t monotonic(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail for this clock */
    return at.tv_sec * NS_PER_S + at.tv_nsec;
}

/* One word; several where the kernel can (5.16). The time is absolute for both. */
static long sleep_until(const struct yd_live_sleep *words, unsigned count, int64_t until_ns)
{
    struct timespec at = {until_ns / NS_PER_S, until_ns % NS_PER_S};
    if (count == 1)
        return syscall(SYS_futex, words->word, FUTEX_WAIT_BITSET, words->seen, &at, NULL, FUTEX_BITSET_MATCH_ANY);
#ifdef SYS_futex_waitv
    struct futex_waitv list[YD_LIVE_SLEEP_WORDS_MAX];
    for (unsigned i = 0; i < count; i++)
        list[i] = (struct futex_waitv){.val = words[i].seen, .uaddr = (uintptr_t)words[i].word, .flags = FUTEX_32};
    long result = syscall(SYS_futex_waitv, list, count, 0, &at, CLOCK_MONOTONIC);
    if (result >= 0 || (errno != ENOSYS && errno != EPERM)) return result; /* EPERM: a sandbox that is older than it */
#endif
    int64_t soon = monotonic() + 10 * 1000000;
    if (soon > until_ns) soon = until_ns;
    at = (struct timespec){soon / NS_PER_S, soon % NS_PER_S};
    long slept = syscall(SYS_futex, words->word, FUTEX_WAIT_BITSET, words->seen, &at, NULL, FUTEX_BITSET_MATCH_ANY);
    if (slept && errno == ETIMEDOUT && soon < until_ns) return 0; /* look at the others */
    return slept;
}

int yd_live_bell_sleep(const struct yd_live_sleep *words, unsigned count, int64_t until_ns)
{
    if (count == 0 || count > YD_LIVE_SLEEP_WORDS_MAX) return YD_EINVAL;
    int64_t now = monotonic(), until = until_ns;
    if (now >= until_ns) return YD_ETIMEOUT;
    if (until - now > YD_LIVE_SLEEP_MAX_NS) until = now + YD_LIVE_SLEEP_MAX_NS;
    if (sleep_until(words, count, until) >= 0 || errno == EAGAIN) return 0;
    if (errno == ETIMEDOUT) return until == until_ns ? YD_ETIMEOUT : 0;
    return errno == EINTR ? YD_ECANCELED : YD_EINVAL;
}
#endif
