/* actor/ticks.h: the cheapest clock there is, for durations only.
 *
 * A clock_gettime costs about 24 ns, the CPU's counter 10: an envelope's whole way is 40. Ticks measure turns, budgets
 * and statistics; deadlines and everything that a process sees use the monotonic clock. The scale is taken once when a
 * system is made. In a simulation nothing here is used: every duration is zero there, so that a seed replays. */
#ifndef ACTOR_TICKS_H
#define ACTOR_TICKS_H

#include "base/base.h"

#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t yd__ticks(void)
{
    return __rdtsc();
}
static inline void yd__relax(void)
{
    _mm_pause();
}
#elif defined(__aarch64__)
static inline uint64_t yd__ticks(void)
{
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
static inline void yd__relax(void)
{
    __asm__ volatile("yield");
}
#else
#include <time.h>
static inline uint64_t yd__ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
static inline void yd__relax(void) {}
#endif

/* ns = ticks × scale / 2^32. Good for durations up to 2^32 times the counter's period (minutes); longer ones are cut.
 */
static inline int64_t yd__ticks_ns(uint64_t ticks, uint64_t scale)
{
    return (int64_t)(((unsigned __int128)ticks * scale) >> 32);
}
static inline uint64_t yd__ticks_of_ns(int64_t ns, uint64_t scale)
{
    return (uint64_t)(((unsigned __int128)(uint64_t)ns << 32) / scale);
}
uint64_t yd__ticks_scale(void); /* measures for about 0.3 ms */

#endif
