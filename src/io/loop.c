/* io/loop.c: the functions of loop.h.
 *
 * A handle knows its loop, a loop its table: one indirect call takes either the way through libuv or the one through
 * the simulator. Timers live here, in one heap a loop, in nanoseconds: both kinds ask it for the next one before they
 * wait (or step their clock) and let it fire what is due. */
#include <stdlib.h>
#include <time.h>

#include "io/file.h"
#include "io/loop_inner.h"

#define NOT_RUNNING UINT32_MAX

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * YD_NS_PER_S + now.tv_nsec;
}
int64_t yd_clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
int64_t yd_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

static void freshen(struct yd_loop *loop)
{
    if (YD_LIKELY(!loop->stale)) return;
    loop->ops->clocks(loop);
    loop->stale = false;
}
int64_t yd_loop_mono(struct yd_loop *loop)
{
    freshen(loop);
    return loop->mono;
}
int64_t yd_loop_wall(struct yd_loop *loop)
{
    freshen(loop);
    return loop->wall;
}
uint64_t yd_loop_random(struct yd_loop *loop)
{
    return yd_rng_next(&loop->rng);
}

void yd__loop_init(struct yd_loop *loop, const struct yd__loop_ops *ops, uint64_t seed)
{
    *loop = (struct yd_loop){.ops = ops, .stale = true};
    yd_rng_init(&loop->rng, seed);
}

void yd__loop_fini(struct yd_loop *loop)
{
    YD_ASSERT(loop->timers_made == 0);
    free(loop->timers);
}

void yd_loop_destroy(struct yd_loop *loop)
{
    if (loop) loop->ops->destroy(loop);
}
int yd_loop_run(struct yd_loop *loop, int64_t timeout_ns)
{
    return loop->ops->run(loop, timeout_ns);
}
void yd_loop_wake(struct yd_loop *loop)
{
    loop->ops->wake(loop);
}
int64_t yd_loop_slept(const struct yd_loop *loop)
{
    return loop->slept_ns;
}
int yd_loop_post(struct yd_loop *loop, void (*fn)(void *arg), void *arg)
{
    return loop->ops->post(loop, fn, arg);
}

/* ---- timers ---- */

static bool before(const struct yd_timer *a, const struct yd_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void put(struct yd_loop *loop, uint32_t index, struct yd_timer *timer)
{
    loop->timers[index] = timer;
    timer->index = index;
}

static void sift_up(struct yd_loop *loop, uint32_t index)
{
    struct yd_timer *timer = loop->timers[index];
    for (; index && before(timer, loop->timers[(index - 1) / 2]); index = (index - 1) / 2)
        put(loop, index, loop->timers[(index - 1) / 2]);
    put(loop, index, timer);
}

static void sift_down(struct yd_loop *loop, uint32_t index)
{
    struct yd_timer *timer = loop->timers[index];
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= loop->timer_count) break;
        if (child + 1 < loop->timer_count && before(loop->timers[child + 1], loop->timers[child])) child++;
        if (!before(loop->timers[child], timer)) break;
        put(loop, index, loop->timers[child]);
        index = child;
    }
    put(loop, index, timer);
}

/* Room in the heap is taken when a timer is made, so that starting one cannot fail. */
int yd_timer_create(struct yd_loop *loop, void (*fire)(void *arg), void *arg, struct yd_timer **ret_timer)
{
    if (loop->timers_made == loop->timer_capacity) {
        uint32_t capacity = YD_MAX(loop->timer_capacity * 2, 16);
        struct yd_timer **timers = realloc(loop->timers, capacity * sizeof *timers);
        if (!timers) return YD_ENOMEM;
        loop->timers = timers;
        loop->timer_capacity = capacity;
    }
    struct yd_timer *timer = malloc(sizeof *timer);
    if (!timer) return YD_ENOMEM;
    *timer = (struct yd_timer){.loop = loop, .fire = fire, .arg = arg, .index = NOT_RUNNING};
    loop->timers_made++;
    *ret_timer = timer;
    return 0;
}

void yd_timer_start(struct yd_timer *timer, int64_t mono_ns)
{
    struct yd_loop *loop = timer->loop;
    timer->at = mono_ns;
    timer->seq = ++loop->timer_seq;
    if (timer->index == NOT_RUNNING) {
        put(loop, loop->timer_count++, timer);
        sift_up(loop, timer->index);
        return;
    }
    sift_up(loop, timer->index);
    sift_down(loop, timer->index);
}

void yd_timer_stop(struct yd_timer *timer)
{
    struct yd_loop *loop = timer->loop;
    uint32_t index = timer->index;
    if (index == NOT_RUNNING) return;
    timer->index = NOT_RUNNING;
    struct yd_timer *last = loop->timers[--loop->timer_count];
    if (last == timer) return;
    put(loop, index, last);
    sift_up(loop, index);
    sift_down(loop, last->index);
}

void yd_timer_close(struct yd_timer *timer)
{
    if (!timer) return;
    yd_timer_stop(timer);
    timer->loop->timers_made--;
    free(timer);
}

int64_t yd__loop_next_timer(const struct yd_loop *loop)
{
    return loop->timer_count ? loop->timers[0]->at : INT64_MAX;
}

void yd__loop_fire_timers(struct yd_loop *loop)
{
    uint64_t last = loop->timer_seq; /* what is started from here on waits for the next turn: no endless one */
    while (loop->timer_count && loop->timers[0]->at <= loop->mono && loop->timers[0]->seq <= last) {
        struct yd_timer *timer = loop->timers[0];
        yd_timer_stop(timer);
        loop->callbacks++;
        timer->fire(timer->arg); /* may close it */
    }
}

/* ---- dispatch ---- */

int yd_listen(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
              struct yd_listener **ret_listener, struct yd_trail *trail)
{
    return loop->ops->listen(loop, at, ops, arg, ret_listener, trail);
}
void yd_listener_address(struct yd_listener *listener, struct yd_address *ret)
{
    listener->loop->ops->listener_address(listener, ret);
}
void yd_listener_pause(struct yd_listener *listener, bool paused)
{
    listener->loop->ops->listener_pause(listener, paused);
}
void yd_listener_close(struct yd_listener *listener)
{
    if (listener) listener->loop->ops->listener_close(listener);
}

int yd_connect(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
               struct yd_stream **ret_stream, struct yd_trail *trail)
{
    return loop->ops->connect(loop, to, ops, arg, ret_stream, trail);
}
void yd_stream_start(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg)
{
    stream->ops->stream_start(stream, ops, arg);
}
void yd_stream_pause(struct yd_stream *stream, bool paused)
{
    stream->ops->stream_pause(stream, paused);
}
int yd_stream_write(struct yd_stream *stream, struct yd_str bytes)
{
    return stream->ops->stream_write(stream, bytes);
}

int yd_stream_write_shared(struct yd_stream *stream, struct yd_str bytes, void (*release)(void *arg), void *arg)
{
    const struct yd__loop_ops *ops = stream->ops;
    if (ops->stream_write_shared) return ops->stream_write_shared(stream, bytes, release, arg);
    int error = ops->stream_write(stream, bytes);
    if (!error) release(arg);
    return error;
}

int yd_stream_send_file(struct yd_stream *stream, struct yd_file *file, uint64_t offset, size_t size)
{
    const struct yd__loop_ops *ops = stream->ops;
    int fd = file->fs->ops->descriptor ? file->fs->ops->descriptor(file) : -1;
    if (fd >= 0 && ops->stream_send_file) return ops->stream_send_file(stream, fd, offset, size);
    char *bytes = malloc(size ? size : 1);
    size_t got = 0;
    if (!bytes) return YD_ENOMEM;
    int error = yd_file_read(file, bytes, size, offset, &got);
    if (!error && got < size) error = YD_EIO;
    if (!error) error = ops->stream_write(stream, (struct yd_str){bytes, size});
    free(bytes);
    return error;
}
size_t yd_stream_backlog(const struct yd_stream *stream)
{
    return stream->ops->stream_backlog(stream);
}
void yd_stream_limit(struct yd_stream *stream, size_t bytes)
{
    stream->ops->stream_limit(stream, bytes);
}
void yd_stream_shutdown(struct yd_stream *stream)
{
    stream->ops->stream_shutdown(stream);
}
void yd_stream_close(struct yd_stream *stream)
{
    if (stream) stream->ops->stream_close(stream);
}
int yd_stream_peek(struct yd_stream *stream, void (*peeked)(void *arg, struct yd_str bytes, int error), void *arg)
{
    return stream->ops->stream_peek(stream, peeked, arg);
}
int yd_stream_move(struct yd_stream *stream, struct yd_loop *to, void (*moved)(void *arg, struct yd_stream *stream),
                   void *arg)
{
    return stream->ops->stream_move ? stream->ops->stream_move(stream, to, moved, arg) : YD_ENOTSUP;
}
int yd_stream_detach(struct yd_stream *stream, int *ret_fd)
{
    return stream->ops->stream_detach(stream, ret_fd);
}
bool yd_stream_peer_user(struct yd_stream *stream, uint32_t *ret_uid)
{
    return stream->ops->stream_peer_user(stream, ret_uid);
}

int yd_datagrams_open(struct yd_loop *loop, const struct yd_address *at, const struct yd_datagrams_ops *ops, void *arg,
                      struct yd_datagrams **ret, struct yd_trail *trail)
{
    return yd_datagrams_open_with(loop, at, &(struct yd_datagrams_options){0}, ops, arg, ret, trail);
}
int yd_datagrams_open_with(struct yd_loop *loop, const struct yd_address *at,
                           const struct yd_datagrams_options *options, const struct yd_datagrams_ops *ops, void *arg,
                           struct yd_datagrams **ret, struct yd_trail *trail)
{
    if (options->share != YD_DATAGRAMS_ALONE && (at->storage.ss_family == AF_UNIX || yd_address_multicast(at)))
        return yd_trail_add(trail, YD_EINVAL, "this address cannot be shared");
    return loop->ops->datagrams_open(loop, at, options, ops, arg, ret, trail);
}
uint64_t yd_datagrams_drops(struct yd_datagrams *datagrams)
{
    return datagrams->loop->ops->datagrams_drops(datagrams);
}
size_t yd_datagrams_buffer(struct yd_datagrams *datagrams)
{
    return datagrams->loop->ops->datagrams_buffer(datagrams);
}
void yd_datagrams_finish(struct yd_datagrams *datagrams)
{
    datagrams->loop->ops->datagrams_finish(datagrams);
}
void yd_datagrams_address(struct yd_datagrams *datagrams, struct yd_address *ret)
{
    datagrams->loop->ops->datagrams_address(datagrams, ret);
}
void yd_datagrams_pause(struct yd_datagrams *datagrams, bool paused)
{
    datagrams->loop->ops->datagrams_pause(datagrams, paused);
}
int yd_datagrams_send(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes)
{
    return datagrams->loop->ops->datagrams_send(datagrams, to, bytes);
}
void yd_datagrams_close(struct yd_datagrams *datagrams)
{
    if (datagrams) datagrams->loop->ops->datagrams_close(datagrams);
}
