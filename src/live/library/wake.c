/* live/library/wake.c: bells become a descriptor, for programs that wait with poll or epoll.
 *
 *   program: yd_live_woken (armed) ─▶ looks at its items            waker thread: armed? ─▶ arm the bells of all that
 *      ▲                                                             is followed ─▶ have they rung since I looked last?
 *      └──── eventfd readable ◀──────────────────────────────────────  yes, or after sleeping on them: write, disarmed
 *
 * What rang while the program was busy is found by the sequence in the words, so nothing is missed; a wake may be for
 * nothing. */
#include "live/library/internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct yd__waker {
    pthread_t thread;
    struct yd_live *live;
    int fd;
    uint32_t armed; /* atomic: 1: the program wants to be woken */
    uint32_t ends;  /* atomic */
    uint32_t seen[YD__BELL_WORDS], news;
    uint64_t generation;
};

static struct yd__attachment *hold(struct yd_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    struct yd__attachment *attachment = live->pending ? live->pending : live->current;
    if (attachment) attachment->refs++;
    (void)pthread_mutex_unlock(&live->lock);
    return attachment;
}

/* Arms, and tells whether something rang since the last time. */
static bool rang(struct yd__waker *waker, struct yd__attachment *attachment, struct yd_live_sleep *words,
                 unsigned *ret_count, struct yd__grant **held, unsigned *ret_held)
{
    struct yd_live *live = waker->live;
    uint32_t news = yd__load(&live->news, ACQUIRE);
    uint64_t mask = yd__load(&live->mask, ACQUIRE), generation = attachment ? attachment->generation : 0;
    bool changed = news != waker->news || generation != waker->generation;
    unsigned count = 0;
    waker->news = news;
    waker->generation = generation;
    words[count++] = (struct yd_live_sleep){&live->news, news};
    for (; attachment && mask; mask &= mask - 1) {
        uint32_t word = (uint32_t)__builtin_ctzll(mask);
        words[count] = yd_live_bell_arm(&attachment->bell, word);
        changed |= (words[count].seen & ~YD__BELL_WAITER) != waker->seen[word];
        waker->seen[word] = words[count++].seen & ~YD__BELL_WAITER;
    }
    *ret_held = yd__live_arm_subscriptions(live, words + count, held, &changed);
    *ret_count = count + *ret_held;
    return changed;
}

static void *wake(void *arg)
{
    struct yd__waker *waker = arg;
    struct yd_live_sleep words[YD__BELL_WORDS + 1 + YD_LIVE_SUBSCRIPTIONS];
    struct yd__grant *held[YD_LIVE_SUBSCRIPTIONS];
    const uint64_t one = 1;
    while (!yd__load(&waker->ends, ACQUIRE)) { /* pairs with the release in yd__live_wake_end */
        /* Pairs with the release in yd_live_woken: what the program did before is done. */
        if (!yd__load(&waker->armed, ACQUIRE)) {
            struct yd_live_sleep idle = {&waker->armed, 0};
            (void)yd_live_bell_sleep(&idle, 1, INT64_MAX); /* whatever ends it: looks again */
            continue;
        }
        struct yd__attachment *attachment = hold(waker->live);
        unsigned count, holds;
        if (rang(waker, attachment, words, &count, held, &holds)) {
            yd__store(&waker->armed, 0, RELEASE);
            (void)!write(waker->fd, &one, sizeof one); /* full: it is readable already */
        } else if (!yd__load(&waker->ends, ACQUIRE)) {
            (void)yd_live_bell_sleep(words, count, INT64_MAX);
        }
        while (holds) yd__grant_unref(waker->live, held[--holds]);
        yd__attachment_unref(waker->live, attachment);
    }
    return NULL;
}

int yd_live_descriptor(struct yd_live *live, int *ret_fd)
{
    if (live->waker) {
        *ret_fd = live->waker->fd;
        return 0;
    }
    struct yd__waker *waker = yd_alloc_zero(NULL, sizeof *waker);
    if (!waker) return YD_ENOMEM;
    waker->live = live;
    waker->armed = 1;
    waker->news = yd__load(&live->news, RELAXED) - 1; /* the first look finds something: what is there already */
    waker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = waker->fd < 0 ? yd_error_from_errno(errno) : yd__live_thread(&waker->thread, wake, waker);
    if (error) {
        if (waker->fd >= 0) (void)close(waker->fd);
        yd_alloc_put(NULL, waker, sizeof *waker);
        return error;
    }
    live->waker = waker;
    *ret_fd = waker->fd;
    return 0;
}

void yd_live_woken(struct yd_live *live)
{
    uint64_t count;
    if (!live->waker) return;
    (void)!read(live->waker->fd, &count, sizeof count); /* empty: as well */
    yd__live_look(live);
    yd__store(&live->waker->armed, 1, RELEASE);
    yd__futex_wake_all(&live->waker->armed);
}

void yd__live_wake_leave(struct yd_live *live)
{
    struct yd__waker *waker = live->waker;
    if (!waker) return;
    (void)close(waker->fd);
    yd_alloc_put(NULL, waker, sizeof *waker);
    live->waker = NULL;
}

void yd__live_wake_end(struct yd_live *live)
{
    struct yd__waker *waker = live->waker;
    if (!waker) return;
    yd__store(&waker->ends, 1, RELEASE);
    yd__store(&waker->armed, 1, RELEASE);
    yd__futex_wake_all(&waker->armed);
    (void)__atomic_fetch_add(&live->news, 1, __ATOMIC_RELEASE);
    yd__futex_wake_all(&live->news);
    (void)pthread_join(waker->thread, NULL);
    yd__live_wake_leave(live);
}
