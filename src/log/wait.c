/* log/wait.c: a reader sleeps until its stream has got further.
 *
 *   sample the event word ─▶ may the reader go on? yes: done
 *                         └▶ no: sleep while the word is what was sampled (or until somebody wakes the reader)
 *
 * The word is sampled before the positions are looked at, and the writer raises it after it has stored them: what moves
 * in between makes the sleep end at once. No polling: a sleep ends by the writer's wake, by yd_log_reader_wake, or
 * after LOOK_AGAIN, when a writer that was killed and never came back is found out. The control page is mapped
 * read-only, by the reader itself, so that it outlives the log it may be of. */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log/reader.h"

#define LOOK_AGAIN (INT64_C(30) * YD_NS_PER_S)

static int64_t monotonic(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * YD_NS_PER_S + at.tv_nsec;
}

/* Returns when either word is not what was seen, or was woken, or it is `until` (monotonic). */
static void sleep_on(const uint32_t *event, uint32_t seen, const uint32_t *wakes, uint32_t wakes_seen, int64_t until)
{
    struct timespec at = {until / YD_NS_PER_S, until % YD_NS_PER_S};
#ifdef SYS_futex_waitv
    struct futex_waitv words[2] = {
        {.val = seen, .uaddr = (uintptr_t)event, .flags = FUTEX_32},
        {.val = wakes_seen, .uaddr = (uintptr_t)wakes, .flags = FUTEX_32},
    };
    if (syscall(SYS_futex_waitv, words, 2, 0, &at, CLOCK_MONOTONIC) >= 0 || errno != ENOSYS) return;
#endif
    /* Kernels before 5.16 wait for one word only: the other is looked at five times a second. */
    int64_t left = YD_MIN(until - monotonic(), 200 * YD_NS_PER_MS);
    struct timespec wait = {0, YD_MAX(left, 0)};
    if (__atomic_load_n(wakes, __ATOMIC_ACQUIRE) == wakes_seen)
        (void)syscall(SYS_futex, event, FUTEX_WAIT, seen, &wait, NULL, 0); /* whatever ended it: the caller looks */
}

static int map_control(struct yd_log_reader *reader)
{
    if (reader->control) return 0;
    char path[YD__PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/control", reader->dir);
    int error = yd_fs_open(reader->fs, path, YD_OPEN_READ, &reader->control_file);
    void *address = NULL;
    if (!error) error = yd_file_map(reader->control_file, 0, YD__CONTROL_SIZE, false, &address);
    if (!error) reader->control = address;
    return error;
}

/* Would `next` say something else than "nothing yet"? */
static bool may_go_on(struct yd_log_reader *reader)
{
    if (reader->pending.reason || reader->by_time) return true;
    if (reader->log) {
        struct yd_log *log = reader->log;
        yd_lock_take(&log->mutex);
        bool more = log->closed || reader->seqno < yd__log_end(log, reader->level);
        yd_lock_give(&log->mutex);
        return more;
    }
    yd__reader_look(reader);
    if (reader->pending.reason) return true;
    /* Of a stream whose writer was killed the end is where good frames end: the last `next` has seen it. */
    return reader->end_known && reader->seqno < reader->end;
}

int yd_log_reader_wait(struct yd_log_reader *reader, int64_t timeout_ns)
{
    int error = map_control(reader);
    if (error) return error;
    int64_t until = timeout_ns < 0 ? INT64_MAX : monotonic() + timeout_ns;
    for (;;) {
        uint32_t wakes = __atomic_load_n(&reader->wakes, __ATOMIC_ACQUIRE); /* pairs with yd_log_reader_wake */
        if (wakes != reader->wakes_taken) {
            reader->wakes_taken = wakes;
            return YD_ECANCELED;
        }
        /* Acquire: pairs with yd__control_publish, which raises it last. */
        uint32_t seen = __atomic_load_n(&reader->control->event, __ATOMIC_ACQUIRE);
        if (may_go_on(reader)) return 0;
        if (!reader->log && !reader->end_known && seen != reader->event_seen) {
            reader->event_seen = seen; /* somebody wrote since the last time: `next` looks for good frames */
            return 0;
        }
        int64_t now = monotonic();
        if (now >= until) return YD_ETIMEOUT;
        sleep_on(&reader->control->event, seen, &reader->wakes, wakes, YD_MIN(until, now + LOOK_AGAIN));
    }
}

void yd_log_reader_wake(struct yd_log_reader *reader)
{
    /* Release: pairs with the acquire in yd_log_reader_wait. */
    __atomic_fetch_add(&reader->wakes, 1, __ATOMIC_RELEASE);
    (void)syscall(SYS_futex, &reader->wakes, FUTEX_WAKE, 1, NULL, NULL, 0); /* nobody sleeping is fine */
}
