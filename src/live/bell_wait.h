/* live/bell_wait.h: a reader's end of a bell. libc only.
 *
 *   for (;;) {
 *       if (what I wait for is there) break;              a look, without touching the bell
 *       seen = yd_live_bell_arm(bell, word);              arm:   from here on a ring wakes me
 *       if (what I wait for is there) break;              check: it may have come before I armed
 *       yd_live_bell_sleep(…, seen, …);                   sleep: unless the word has changed since
 *   }
 *
 * In that order nothing is missed: arming and ringing are read-modify-writes of one word, so either the ring sees the
 * waiter's bit, or the waiter sees, in what he checks, all that was stored before the ring. */
#ifndef LIVE_BELL_WAIT_H
#define LIVE_BELL_WAIT_H

#include "live/bell_format.h"
#include "live/region_read.h"

#define YD_LIVE_SLEEP_MAX_NS    (INT64_C(30) * 1000000000) /* then the caller looks whether the writer lives */
#define YD_LIVE_SLEEP_WORDS_MAX 128

/* One of the words to sleep on. */
struct yd_live_sleep {
    uint32_t *word;
    uint32_t seen; /* by arming */
};

/* Says that somebody waits for this word; returns what to sleep on. */
uint32_t yd__bell_arm(uint32_t *word);
static inline uint32_t *yd_live_bell_word(const struct yd_live_mapping *bell, uint32_t word)
{
    return &((struct yd__bell_page *)(uintptr_t)bell->header)->words[word % YD__BELL_WORDS].word;
}
static inline struct yd__bell_said *yd_live_bell_said(const struct yd_live_mapping *bell, uint32_t word)
{
    return &((struct yd__bell_page *)(uintptr_t)bell->header)->said[word % YD__BELL_WORDS];
}
static inline struct yd_live_sleep yd_live_bell_arm(const struct yd_live_mapping *bell, uint32_t word)
{
    uint32_t *at = yd_live_bell_word(bell, word);
    return (struct yd_live_sleep){at, yd__bell_arm(at)};
}
/* Sleeps until one of the words is not what was seen, was rung, or it is `until_ns` (CLOCK_MONOTONIC), and at most
 * YD_LIVE_SLEEP_MAX_NS. 0: look again (which may be for nothing). YD_ETIMEOUT: it is until_ns. YD_ECANCELED: a signal.
 * YD_EINVAL: no words or too many. On kernels before 5.16, and in sandboxes that do not know futex_waitv, several words
 * are looked at every 10 ms. */
int yd_live_bell_sleep(const struct yd_live_sleep *words, unsigned count, int64_t until_ns);

#endif
