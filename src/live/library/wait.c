/* live/library/wait.c: sleeping until something is newer.
 *
 *   look ─▶ a little longer, spinning ─▶ arm the words of all items ─▶ look ─▶ sleep on them ─┐
 *    ▲                                                                                          │
 *    └──────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * Without memory to sleep on (the writer is gone) `news` is slept on: it rises when one comes. Items share 63 words, so
 * however many there are, what is slept on fits one system call. */
#include "live/library/internal.h"

#include <time.h>

#define SPINS 64

static int64_t mono_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail for this clock */
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

int yd__live_sleep_on(struct yd_live *live, bool (*look)(void *arg), unsigned (*arm)(void *arg, struct yd_live_sleep *),
                      void *arg, int64_t timeout_ns)
{
    struct yd_live_sleep words[YD__BELL_WORDS + 1];
    int64_t until = 0;
    bool timed = false;
    yd__live_look(live);
    if (look(arg)) return 1;
    for (int spin = 0; timeout_ns != 0 && spin < SPINS; spin++) {
        yd__relax();
        if (look(arg)) return 1;
    }
    for (;;) {
        uint32_t news = yd__load(&live->news, ACQUIRE);
        yd__live_look(live);
        if (look(arg)) return 1;
        if (!live->told && yd__load(&live->gone, ACQUIRE)) {
            live->told = true;
            return YD_ECLOSED;
        }
        if (timeout_ns == 0) return YD_ETIMEOUT;
        if (!timed) {
            int64_t now = mono_ns();
            until = timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
            timed = true;
        }
        unsigned count = 0;
        /* Pairs with the release in offer (attach.c). */
        if (!live->current || yd__load(&live->gone, ACQUIRE)) {
            words[count++] = (struct yd_live_sleep){&live->news, news};
        } else {
            count = arm(arg, words);
            if (count == 0) words[count++] = (struct yd_live_sleep){&live->news, news};
        }
        if (look(arg)) return 1;
        if (yd__load(&live->news, ACQUIRE) != news) continue;
        int error = yd_live_bell_sleep(words, count, until);
        if (error && error != YD_ETIMEOUT && error != YD_ECANCELED) return error;
        if (error) {
            yd__live_look(live);
            return look(arg) ? 1 : error;
        }
    }
}

struct masked {
    struct yd_live *live;
    bool (*look)(void *arg);
    void *arg;
    uint64_t mask;
};

static bool look_masked(void *arg)
{
    struct masked *masked = arg;
    return masked->look(masked->arg);
}

static unsigned arm_masked(void *arg, struct yd_live_sleep *words)
{
    const struct masked *masked = arg;
    unsigned count = 0;
    for (uint64_t mask = masked->mask; mask; mask &= mask - 1)
        words[count++] = yd_live_bell_arm(&masked->live->current->bell, (uint32_t)__builtin_ctzll(mask));
    return count;
}

int yd__live_sleep(struct yd_live *live, bool (*look)(void *arg), void *arg, uint64_t mask, int64_t timeout_ns)
{
    struct masked masked = {live, look, arg, mask};
    return yd__live_sleep_on(live, look_masked, arm_masked, &masked, timeout_ns);
}

struct any {
    struct yd_live *live;
    struct yd_live_item *const *items;
    size_t count, found;
};

static bool look_at_any(void *arg)
{
    struct any *any = arg;
    size_t first = any->count ? any->live->turn % any->count : 0;
    for (size_t i = 0; i < any->count; i++) {
        size_t at = first + i < any->count ? first + i : first + i - any->count;
        if (!yd__live_changed(any->items[at])) continue;
        any->found = at;
        any->live->turn = at + 1;
        return true;
    }
    return false;
}

int yd_live_wait_any(struct yd_live *live, struct yd_live_item *const *items, size_t count, int64_t timeout_ns,
                     size_t *ret_index)
{
    struct any any = {live, items, count, 0};
    uint64_t mask = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i]->live != live) return YD_EINVAL;
        mask |= UINT64_C(1) << items[i]->bell;
    }
    if (count == 0) return YD_EINVAL;
    int result = yd__live_sleep(live, look_at_any, &any, mask, timeout_ns);
    if (result == 1 && ret_index) *ret_index = any.found;
    return result;
}

int yd_live_wait(struct yd_live_item *item, int64_t timeout_ns)
{
    return yd_live_wait_any(item->live, &item, 1, timeout_ns, NULL);
}
