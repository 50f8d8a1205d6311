/* io/lock.h: a mutex that knows how long it was waited for.
 *
 *   take: trylock ── free ──▶ yours, as cheap as ever
 *            └─ held ──▶ clock, lock, clock ──▶ the holder (you, now) counts what it took
 *
 * Only waiting is timed: a lock nobody fights over costs what a mutex does. Who wants to know reads the times without
 * taking the lock, so a status page never waits for a disk behind one. Condition variables wait on `mutex`; what passes
 * in them, and until they have it again, is not counted: that is waiting for news, not for the lock. libc only. */
#ifndef IO_LOCK_H
#define IO_LOCK_H

#include <pthread.h>

#include "base/histogram.h"

struct yd_lock {
    pthread_mutex_t mutex;
    struct yd_histogram waits; /* of those that found it taken; written by its holder, see yd_histogram_add_shared */
};
void yd_lock_init(struct yd_lock *lock);
void yd_lock_fini(struct yd_lock *lock);
void yd__lock_wait(struct yd_lock *lock);

static inline void yd_lock_take(struct yd_lock *lock)
{
    if (YD_UNLIKELY(pthread_mutex_trylock(&lock->mutex) != 0)) yd__lock_wait(lock);
}
static inline void yd_lock_give(struct yd_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

/* ---- what is waited for, told by whoever owns it ---- */
enum yd_wait_what {
    YD_WAIT_LOCK,  /* a lock that was found taken */
    YD_WAIT_QUEUE, /* file threads: from handing a job over until one begins it */
    YD_WAIT_WORK,  /* file threads: the jobs themselves */
    YD_WAIT_WRITE, /* a disk: writing a group of batches */
    YD_WAIT_SYNC,  /* a disk: fdatasync */
};
struct yd_wait {
    enum yd_wait_what what;
    const char *of;      /* "stream metrics/0", "file threads", "element history", "executors" */
    const char *part;    /* which of its locks; "" */
    const char *element; /* of a topology, whose it is; NULL: nobody's alone. Filled in above */
    const struct yd_histogram *spent;
    int64_t since_ns; /* how long the one that is going on has taken already; 0: none is, or it is not known */
};
struct yd_wait_visit { /* called for each, also those nobody has waited for yet */
    void (*visit)(void *arg, const struct yd_wait *wait);
    void *arg;
};
/* Tells `lock` as such; NULL for `part` is "". */
void yd_wait_lock(const struct yd_wait_visit *visit, const char *of, const char *part, const struct yd_lock *lock);
/* Tells a histogram that may be written to meanwhile. */
void yd_wait_tell(const struct yd_wait_visit *visit, enum yd_wait_what what, const char *of, const char *part,
                  const struct yd_histogram *live, int64_t since_ns);

#endif
