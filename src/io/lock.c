/* io/lock.c: see lock.h. */
#include <time.h>

#include "base/drd.h"
#include "io/lock.h"

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * YD_NS_PER_S + time.tv_nsec;
}

void yd_lock_init(struct yd_lock *lock)
{
    *lock = (struct yd_lock){0};
    pthread_mutex_init(&lock->mutex, NULL); /* glibc: cannot fail with default attributes */
    YD_DRD_IGNORE(&lock->waits);
}

void yd_lock_fini(struct yd_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void yd__lock_wait(struct yd_lock *lock)
{
    int64_t begun = now();
    pthread_mutex_lock(&lock->mutex);
    yd_histogram_add_shared(&lock->waits, now() - begun);
}

void yd_wait_tell(const struct yd_wait_visit *visit, enum yd_wait_what what, const char *of, const char *part,
                  const struct yd_histogram *live, int64_t since_ns)
{
    struct yd_histogram spent;
    yd_histogram_copy(&spent, live);
    visit->visit(visit->arg, &(struct yd_wait){what, of, part ? part : "", NULL, &spent, since_ns});
}

void yd_wait_lock(const struct yd_wait_visit *visit, const char *of, const char *part, const struct yd_lock *lock)
{
    yd_wait_tell(visit, YD_WAIT_LOCK, of, part, &lock->waits, 0);
}
