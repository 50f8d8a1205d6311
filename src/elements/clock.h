/* elements/clock.h: the time by which elements with deadlines judge, so that the same stream gives the same judgement.
 *
 *   batches from a Log: when each was appended           nothing comes for a while: the clock on the wall
 *   batches without that: when they arrive
 *
 * Read again after a crash, or with an hour's backlog, a stream is judged as it was the first time: nothing is late and
 * nobody was silent only because the reader was. The wall's clock counts once nothing has come for `idle`, and not
 * while the element is blocked: then it is the element that is late. One thread. */
#ifndef ELEMENTS_CLOCK_H
#define ELEMENTS_CLOCK_H

#include <yarder/element.h>

#define YD_CLOCK_IDLE INT64_C(1000000000)

struct yd_clock {
    int64_t now;       /* only goes forward; saved by the element */
    int64_t last_mono; /* of the last batch, or of the start */
    bool blocked;
};

static inline void yd_clock_batch(struct yd_clock *clock, const struct yd_input *input)
{
    int64_t time = input->batch->header.append_time ? input->batch->header.append_time : input->wall_ns;
    if (time > clock->now) clock->now = time;
    clock->last_mono = input->mono_ns;
}

static inline void yd_clock_start(struct yd_clock *clock, const struct yd_input *input)
{
    clock->last_mono = input->mono_ns;
}

/* By a timer: true, and the wall's time is now; or false: look again at *ret_again. */
static inline bool yd_clock_wall(struct yd_clock *clock, const struct yd_input *input, int64_t *ret_again)
{
    *ret_again = clock->blocked ? input->mono_ns + YD_CLOCK_IDLE : clock->last_mono + YD_CLOCK_IDLE;
    if (clock->blocked || input->mono_ns < *ret_again) return false;
    if (input->wall_ns > clock->now) clock->now = input->wall_ns;
    return true;
}

/* When, on the monotonic clock, `deadline` should be looked at. */
static inline int64_t yd_clock_mono(const struct yd_clock *clock, int64_t deadline, int64_t mono_ns, int64_t wall_ns)
{
    int64_t idle = clock->last_mono + YD_CLOCK_IDLE, wait = deadline - wall_ns;
    if (wait < 0) wait = 0;
    if (wait > INT64_C(1) << 55) wait = INT64_C(1) << 55;
    return mono_ns + wait > idle ? mono_ns + wait : idle;
}

#endif
