/* io/loop_uv.c: the Linux loop, on libuv: turns, waking, posts, foreign descriptors, signals.
 *
 *   run:  flush streams ─▶ park ─▶ uv_run (poll, callbacks) ─▶ unpark ─▶ posts ─▶ timers ─▶ flush streams
 *
 * Waking costs a system call only when the loop is in its poll: `state` says so (see loop_uv.h). A wake that comes
 * between two polls is remembered and makes the next one not wait, so none is lost; several are one.
 *
 * libuv is used for its poller, child processes and signals. Streams and datagrams do their own reads and writes on
 * polled descriptors: so what is written in a turn leaves in one call, the first bytes can be peeked at, and a
 * descriptor can be handed out. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/drd.h"
#include "io/loop_uv.h"

#define WOKEN  1u
#define PARKED 2u

int yd__uv_error(int uv_error)
{
    if (uv_error >= 0) return 0;
    return uv_error == UV_EOF ? YD_EEOF : yd_error_from_errno(-uv_error);
}

static void read_clocks(struct yd_loop *loop)
{
    loop->mono = yd_clock_mono();
    loop->wall = yd_clock_wall();
}

/* ---- waking and posting: any thread ---- */

static void wake(struct yd_loop *loop)
{
    struct yd__uv_loop *uv = yd__uv(loop);
    /* Release: pairs with the acquires in `poll_once`, so what the waker did before is seen after the poll. */
    YD_DRD_BEFORE(&uv->state);
    uint32_t old = atomic_fetch_or_explicit(&uv->state, WOKEN, memory_order_acq_rel);
    if (old == PARKED) (void)uv_async_send(&uv->async); /* cannot fail on a live handle */
}

void yd__loop_post_own(struct yd_loop *loop, struct yd__post *post)
{
    struct yd__uv_loop *uv = yd__uv(loop);
    post->next = atomic_load_explicit(&uv->posts, memory_order_relaxed);
    /* Release: pairs with the acquire exchange in `run_posts`; the post's fields are written before it is seen. */
    do YD_DRD_BEFORE(&uv->posts);
    while (!atomic_compare_exchange_weak_explicit(&uv->posts, &post->next, post, memory_order_release,
                                                  memory_order_relaxed));
    wake(loop);
}

static int post(struct yd_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct yd__post *made = malloc(sizeof *made);
    if (!made) return YD_ENOMEM;
    *made = (struct yd__post){.fn = fn, .arg = arg, .ours = true};
    yd__loop_post_own(loop, made);
    return 0;
}

static void run_posts(struct yd__uv_loop *uv)
{
    if (!atomic_load_explicit(&uv->posts, memory_order_relaxed)) return; /* a wake comes with every push: seen next */
    struct yd__post *taken = atomic_exchange_explicit(&uv->posts, NULL, memory_order_acquire), *in_order = NULL;
    YD_DRD_AFTER(&uv->posts);
    while (taken) { /* the stack has the last one on top */
        struct yd__post *next = taken->next;
        taken->next = in_order;
        in_order = taken;
        taken = next;
    }
    while (in_order) {
        struct yd__post *next = in_order->next;
        void (*fn)(void *arg) = in_order->fn;
        void *arg = in_order->arg;
        if (in_order->ours) free(in_order); /* else fn may free it, as its owner */
        uv->loop.callbacks++;
        fn(arg);
        in_order = next;
    }
}

/* ---- turns ---- */

static void nothing(uv_async_t *async)
{
    yd__uv_awake(YD_CONTAINER(async, struct yd__uv_loop, async));
}
/* uv_run fires timers before it polls too: one that is over by then (this thread was preempted) would leave nothing to
 * wait for and so wait forever. Stopping makes that poll return at once. */
static void at_deadline(uv_timer_t *timer)
{
    yd__uv_awake(YD_CONTAINER(timer, struct yd__uv_loop, deadline));
    uv_stop(timer->loop);
}

/* Nanoseconds this turn may wait; 0 not at all, INT64_MAX for ever. */
static int64_t wait_for(struct yd__uv_loop *uv, int64_t timeout_ns)
{
    int64_t next = yd__loop_next_timer(&uv->loop), wait = timeout_ns < 0 ? INT64_MAX : timeout_ns;
    if (wait == 0 || next == INT64_MAX) return wait;
    uv->loop.stale = true;
    int64_t left = next - yd_loop_mono(&uv->loop);
    return YD_MAX(YD_MIN(left, wait), 0);
}

static void poll_once(struct yd__uv_loop *uv, int64_t wait)
{
    if (wait) {
        /* Acquire: pairs with the release in `wake`. The release half orders nothing of ours. */
        uint32_t old = atomic_fetch_or_explicit(&uv->state, PARKED, memory_order_acq_rel);
        if (old & WOKEN) wait = 0;
    }
    bool timed = wait && wait != INT64_MAX;
    if (timed) {
        uv_update_time(&uv->uv);
        (void)uv_timer_start(&uv->deadline, at_deadline, (uint64_t)((wait + YD_NS_PER_MS - 1) / YD_NS_PER_MS), 0);
    }
    if (wait) uv->asleep_since = yd_clock_mono();
    (void)uv_run(&uv->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    yd__uv_awake(uv);
    if (timed) (void)uv_timer_stop(&uv->deadline);
    /* Before the posts are looked at: one that comes later sets WOKEN again and is not forgotten by the next turn. */
    (void)atomic_exchange_explicit(&uv->state, 0, memory_order_acq_rel);
    YD_DRD_AFTER(&uv->state);
}

static int run(struct yd_loop *loop, int64_t timeout_ns)
{
    struct yd__uv_loop *uv = yd__uv(loop);
    uint64_t before = loop->callbacks;
    yd__uv_flush_streams(uv);
    int64_t wait = loop->callbacks != before ? 0 : wait_for(uv, timeout_ns);
    loop->stale = true;
    poll_once(uv, wait);
    run_posts(uv);
    if (loop->timer_count) {
        (void)yd_loop_mono(loop);
        yd__loop_fire_timers(loop);
    }
    yd__uv_flush_streams(uv);
    return (int)YD_MIN(loop->callbacks - before, INT32_MAX);
}

/* ---- life ---- */

static void must_be_closing(uv_handle_t *handle, void *arg)
{
    (void)arg;
    /* A child that was closed alive has been killed and ends soon. Any other open handle is somebody's mistake: waiting
     * for it would never end. */
    YD_ASSERT(uv_is_closing(handle) || handle->type == UV_PROCESS);
}

static void destroy(struct yd_loop *loop)
{
    struct yd__uv_loop *uv = yd__uv(loop);
    run_posts(uv);
    uv_close((uv_handle_t *)&uv->async, NULL);
    uv_close((uv_handle_t *)&uv->deadline, NULL);
    uv_walk(&uv->uv, must_be_closing, NULL);
    (void)uv_run(&uv->uv, UV_RUN_DEFAULT);  /* lets go of everything that was closed */
    YD_ASSERT(uv_loop_close(&uv->uv) == 0); /* somebody's handle is still open */
    yd__loop_fini(loop);
    yd__uv_free_datagram_room(uv);
    free(uv->child_room);
    free(uv);
}

int yd_loop_create_uv(struct yd_loop **ret_loop)
{
    struct yd__uv_loop *uv = aligned_alloc(YD_CACHE_LINE, YD_ALIGN_UP(sizeof *uv, YD_CACHE_LINE));
    uint64_t seed;
    if (!uv) return YD_ENOMEM;
    memset(uv, 0, sizeof *uv);
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = (uint64_t)yd_clock_wall() ^ (uintptr_t)uv;
    yd__loop_init(&uv->loop, &yd__uv_ops, seed);
    uv->to_flush.prev = uv->to_flush.next = &uv->to_flush;
    YD_DRD_IGNORE(&uv->state);
    YD_DRD_IGNORE(&uv->posts);
    int error = uv_loop_init(&uv->uv);
    if (error) {
        free(uv);
        return yd__uv_error(error);
    }
    error = uv_async_init(&uv->uv, &uv->async, nothing);
    if (error) {
        YD_ASSERT(uv_loop_close(&uv->uv) == 0);
        free(uv);
        return yd__uv_error(error);
    }
    YD_ASSERT(uv_timer_init(&uv->uv, &uv->deadline) == 0);
    *ret_loop = &uv->loop;
    return 0;
}

/* ---- any descriptor ---- */

struct yd_watch {
    struct yd__uv_loop *loop;
    uv_poll_t poll;
    void (*ready)(void *arg);
    void *arg;
};

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    struct yd_watch *watch = poll->data;
    (void)status, (void)events; /* an error is for the descriptor's owner to find */
    yd__uv_awake(watch->loop);
    watch->loop->loop.callbacks++;
    watch->ready(watch->arg);
}

int yd_watch_open(struct yd_loop *loop, int fd, void (*ready)(void *arg), void *arg, struct yd_watch **ret_watch)
{
    if (loop->ops->is_sim) return YD_ENOTSUP;
    struct yd_watch *watch = malloc(sizeof *watch);
    if (!watch) return YD_ENOMEM;
    *watch = (struct yd_watch){.loop = yd__uv(loop), .ready = ready, .arg = arg};
    int error = uv_poll_init(&watch->loop->uv, &watch->poll, fd);
    if (error) {
        free(watch);
        return yd__uv_error(error);
    }
    watch->poll.data = watch;
    YD_ASSERT(uv_poll_start(&watch->poll, UV_READABLE, watch_ready) == 0);
    *ret_watch = watch;
    return 0;
}

static void watch_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void yd_watch_close(struct yd_watch *watch)
{
    if (watch) uv_close((uv_handle_t *)&watch->poll, watch_gone);
}

/* ---- signals ---- */

struct yd_signal {
    struct yd__uv_loop *loop;
    uv_signal_t handle;
    void (*fire)(void *arg, int signal);
    void *arg;
};

static void signal_came(uv_signal_t *handle, int number)
{
    struct yd_signal *signal = handle->data;
    yd__uv_awake(signal->loop);
    signal->loop->loop.callbacks++;
    signal->fire(signal->arg, number);
}

static void signal_gone(uv_handle_t *handle)
{
    free(handle->data);
}

int yd_signal_open(struct yd_loop *loop, int signal, void (*fire)(void *arg, int signal), void *arg,
                   struct yd_signal **ret_signal)
{
    if (loop->ops->is_sim) return YD_ENOTSUP;
    struct yd_signal *made = malloc(sizeof *made);
    if (!made) return YD_ENOMEM;
    *made = (struct yd_signal){.loop = yd__uv(loop), .fire = fire, .arg = arg};
    int error = uv_signal_init(&made->loop->uv, &made->handle);
    if (error) {
        free(made);
        return yd__uv_error(error);
    }
    made->handle.data = made;
    error = uv_signal_start(&made->handle, signal_came, signal);
    if (error) {
        uv_close((uv_handle_t *)&made->handle, signal_gone);
        return yd__uv_error(error);
    }
    *ret_signal = made;
    return 0;
}

void yd_signal_close(struct yd_signal *signal)
{
    if (signal) uv_close((uv_handle_t *)&signal->handle, signal_gone);
}

const struct yd__loop_ops yd__uv_ops = {
    .destroy = destroy,
    .run = run,
    .wake = wake,
    .post = post,
    .clocks = read_clocks,
    .listen = yd__uv_listen,
    .listener_address = yd__uv_listener_address,
    .listener_pause = yd__uv_listener_pause,
    .listener_close = yd__uv_listener_close,
    .connect = yd__uv_connect,
    .stream_start = yd__uv_stream_start,
    .stream_pause = yd__uv_stream_pause,
    .stream_write = yd__uv_stream_write,
    .stream_write_shared = yd__uv_stream_write_shared,
    .stream_send_file = yd__uv_stream_send_file,
    .stream_backlog = yd__uv_stream_backlog,
    .stream_limit = yd__uv_stream_limit,
    .stream_shutdown = yd__uv_stream_shutdown,
    .stream_close = yd__uv_stream_close,
    .stream_peek = yd__uv_stream_peek,
    .stream_move = yd__uv_stream_move,
    .stream_detach = yd__uv_stream_detach,
    .stream_peer_user = yd__uv_stream_peer_user,
    .find_host = yd__linux_find_host,
    .datagrams_open = yd__uv_datagrams_open,
    .datagrams_address = yd__uv_datagrams_address,
    .datagrams_pause = yd__uv_datagrams_pause,
    .datagrams_send = yd__uv_datagrams_send,
    .datagrams_drops = yd__uv_datagrams_drops,
    .datagrams_buffer = yd__uv_datagrams_buffer,
    .datagrams_finish = yd__uv_datagrams_finish,
    .datagrams_close = yd__uv_datagrams_close,
};
