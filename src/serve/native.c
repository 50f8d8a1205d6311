/* serve/native.c: the life of the native server: listening, turns, timeouts, work on the pool, the end.
 *
 *   start ─▶ listeners ─▶ peers (native_peer.c) ⇄ turns, one after another, each with a budget
 *                              └▶ jobs on the pool ─▶ done, in the loop
 *   stop  ─▶ GOODBYE to all ─▶ the last job is done ─▶ streams opened here are closed, on the pool ─▶ stopped()
 *
 * A peer that has more to send or to take than a turn's budget gets another turn behind all others. With no peer no
 * timer runs. */
#include "serve/native_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SWEEP_EVERY YD_NS_PER_S

const char *const yd_native_reasons[] = {"malformed frame",
                                         "malformed batch",
                                         "gap in a producer's or in the stream's numbers",
                                         "from a producer's older life",
                                         "stream read-only after a failed sync",
                                         "no room in the stream",
                                         "stream not open for appends here",
                                         "connection refused",
                                         "stream has partitions, none was named",
                                         NULL};

/* ---- the world ---- */

uint64_t yd__native_random(void *arg)
{
    struct yd_native *native = arg;
    if (native->options.random) return native->options.random(native->options.world_arg);
    uint64_t value = 0;
    (void)!getrandom(&value, sizeof value, 0); /* 8 bytes are always given */
    return value;
}

int64_t yd__native_wall(void *arg)
{
    struct yd_native *native = arg;
    return native->options.wall ? native->options.wall(native->options.world_arg) : yd_clock_wall();
}

void yd__native_count(struct yd_native *native, enum yd_native_count what, enum yd_native_reason reason,
                      uint64_t records, const struct yd__native_peer *peer)
{
    if (native->options.counted)
        native->options.counted(native->options.arg, what, reason, records, peer ? peer->name : "");
}

void yd__native_say(struct yd_native *native, int level, const char *format, ...)
{
    char text[400];
    va_list args;
    if (!native->options.said) return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    native->options.said(native->options.arg, level, text);
}

/* ---- work on the pool ---- */

static void job_work(void *arg)
{
    struct yd__native_job *job = arg;
    job->work(job);
}

static void job_done(void *arg)
{
    struct yd__native_job *job = arg;
    struct yd_native *native = job->native;
    struct yd__native_peer *peer = job->peer;
    job->done(job); /* frees the job, or uses it again */
    if (peer) {
        peer->jobs--;
        yd__native_peer_unpin(peer);
    }
    native->jobs--;
    if (native->stopping) yd__native_finish(native);
}

int yd__native_submit(struct yd_native *native, struct yd_lane *lane, struct yd__native_peer *peer,
                      struct yd__native_job *job)
{
    job->native = native;
    job->peer = peer;
    int error = yd_lane_submit(lane, job_work, native->loop, job_done, job);
    if (error) return error;
    native->jobs++;
    if (!peer) return 0;
    peer->jobs++;
    yd__native_peer_pin(peer);
    return 0;
}

/* ---- turns ---- */

static void take_turns(void *arg)
{
    struct yd_native *native = arg;
    native->turn_posted = false;
    struct yd__native_peer *peer = native->turns;
    native->turns = NULL;
    native->turns_last = &native->turns;
    while (peer) {
        struct yd__native_peer *next = peer->turn_next;
        peer->wants_turn = false;
        yd__native_peer_turn(peer);
        yd__native_peer_unpin(peer);
        peer = next;
    }
    if (native->stopping) yd__native_finish(native);
}

void yd__native_want_turn(struct yd__native_peer *peer)
{
    struct yd_native *native = peer->native;
    if (peer->wants_turn || peer->dead) return;
    if (!native->turn_posted) {
        if (yd_loop_post(native->loop, take_turns, native)) {
            yd__native_peer_close(peer); /* no memory for as much as that */
            return;
        }
        native->turn_posted = true;
    }
    peer->wants_turn = true;
    peer->turn_next = NULL;
    *native->turns_last = peer;
    native->turns_last = &peer->turn_next;
    yd__native_peer_pin(peer);
}

static void sweep(void *arg)
{
    struct yd_native *native = arg;
    int64_t now = yd_loop_mono(native->loop);
    struct yd__native_peer *next;
    for (struct yd__native_peer *peer = native->peers; peer; peer = next) {
        yd__native_peer_pin(peer);
        yd__native_peer_sweep(peer, now);
        next = peer->next; /* closing it leaves this alone while it is pinned */
        yd__native_peer_unpin(peer);
    }
    native->sweeping = native->peers != NULL;
    if (native->sweeping) yd_timer_start(native->sweep, now + SWEEP_EVERY);
}

/* ---- listening ---- */

static void accept_from(struct yd_native *native, struct yd_stream *stream, const struct yd_address *from,
                        bool unix_socket)
{
    if (native->stat.connections >= native->options.connections_max) {
        native->stat.refused++;
        yd__native_count(native, YD_NATIVE_DROPPED, YD_NATIVE_CONNECTION, 0, NULL);
        yd__native_say(native, 1, "%u connections are open, max_connections is %u: another one is refused",
                       (unsigned)native->stat.connections, native->options.connections_max);
        yd_stream_close(stream);
        return;
    }
    yd__native_peer_accept(native, stream, from, unix_socket);
    if (native->sweeping || !native->peers) return;
    native->sweeping = true;
    yd_timer_start(native->sweep, yd_loop_mono(native->loop) + SWEEP_EVERY);
}

static void accept_tcp(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    accept_from(arg, stream, from, false);
}

static void accept_unix(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    accept_from(arg, stream, from, true);
}

static int listen_at(struct yd_native *native, const char *text, const char *what, bool unix_socket,
                     struct yd_listener **ret_listener, struct yd_trail *trail)
{
    static const struct yd_listener_ops tcp = {.accept = accept_tcp}, local = {.accept = accept_unix};
    struct yd_address at;
    char put[160];
    int error = yd_address_parse(yd_str_of(text), &at, trail);
    if (error) return error;
    bool guarded = native->token || (native->options.certificates && native->options.tls);
    if (!unix_socket && !yd_address_loopback(&at) && !guarded && !native->options.open)
        return yd_trail_add(trail, YD_EPERM,
                            "%s is reached from other machines: it needs a token or client certificates (or `open: "
                            "true`, for a network that you trust)",
                            text);
    error = yd_listen(native->loop, &at, unix_socket ? &local : &tcp, native, ret_listener, trail);
    if (error) return error;
    yd_listener_address(*ret_listener, &at);
    (void)yd_address_put(&at, put, sizeof put);
    if (native->options.listens) native->options.listens(native->options.arg, what, put);
    return 0;
}

/* ---- life ---- */

static void free_native(struct yd_native *native)
{
    if (native->tcp) yd_listener_close(native->tcp);
    if (native->local) yd_listener_close(native->local);
    yd_timer_close(native->sweep);
    if (native->lane) yd_lane_close(native->lane);
    free(native->scratch);
    free(native->data);
    free(native->listen);
    free(native->unix_path);
    free(native->token);
    free(native);
}

static void fill_defaults(struct yd_native_options *options)
{
    if (!options->connections_max) options->connections_max = 256;
    if (!options->frame_max || options->frame_max > YD_PROTOCOL_FRAME_MAX) options->frame_max = YD_PROTOCOL_FRAME_MAX;
    if (!options->receive_max) options->receive_max = UINT64_C(256) << 20;
    if (!options->hello_ns) options->hello_ns = 10 * YD_NS_PER_S;
    if (!options->frame_ns) options->frame_ns = 30 * YD_NS_PER_S;
    if (!options->idle_ns) options->idle_ns = 600 * YD_NS_PER_S;
}

static char *copy_text(const char *text, int *error)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy) *error = YD_ENOMEM;
    return copy;
}

int yd_native_start(const struct yd_native_options *options, struct yd_native **ret_native, struct yd_trail *trail)
{
    struct yd_native *native = calloc(1, sizeof *native);
    if (!native) return YD_ENOMEM;
    int error = 0;
    native->options = *options;
    fill_defaults(&native->options);
    native->loop = options->loop;
    native->turns_last = &native->turns;
    /* Peers on this machine are told where the files are: their working directory is another. */
    if (!options->simulated) native->data = realpath(options->data, NULL);
    if (!native->data) native->data = copy_text(options->data, &error);
    native->listen = copy_text(options->listen, &error);
    native->token = copy_text(options->token, &error);
    if (options->unix_path) {
        native->unix_path = malloc(strlen(options->unix_path) + 6);
        if (native->unix_path)
            (void)sprintf(native->unix_path, "unix:%s", options->unix_path);
        else
            error = YD_ENOMEM;
    }
    native->server_id = yd_loop_random(native->loop);
    if (!error) error = yd_lane_open(options->pool, &native->lane);
    if (!error) error = yd_timer_create(native->loop, sweep, native, &native->sweep);
    if (!error && native->listen)
        error = listen_at(native, native->listen, options->tls ? "native protocol (TLS)" : "native protocol", false,
                          &native->tcp, trail);
    if (!error && native->unix_path)
        error = listen_at(native, native->unix_path, "native protocol", true, &native->local, trail);
    if (error) {
        free_native(native);
        return error;
    }
    *ret_native = native;
    return 0;
}

/* The end: nothing of ours is posted or on the pool. */
void yd__native_finish(struct yd_native *native)
{
    if (native->jobs > 0 || native->turn_posted || native->peers || native->streams) return;
    if (!native->closing_streams) {
        native->closing_streams = true;
        yd__native_streams_close(native);
        if (native->jobs > 0) return;
    }
    void (*stopped)(void *arg) = native->stopped;
    void *arg = native->stopped_arg;
    free_native(native);
    if (stopped) stopped(arg);
}

static void finish_later(void *arg)
{
    struct yd_native *native = arg;
    native->jobs--;
    yd__native_finish(native);
}

void yd_native_stop(struct yd_native *native, void (*stopped)(void *arg), void *arg)
{
    native->stopped = stopped;
    native->stopped_arg = arg;
    native->stopping = true;
    if (native->tcp) yd_listener_close(native->tcp);
    if (native->local) yd_listener_close(native->local);
    native->tcp = native->local = NULL;
    yd_timer_stop(native->sweep);
    while (native->peers) {
        struct yd__native_peer *peer = native->peers;
        yd__native_peer_pin(peer);
        yd__native_goodbye(peer, YD_ECLOSED, "the server is stopping");
        yd__native_peer_close(peer);
        yd__native_peer_unpin(peer);
    }
    native->jobs++; /* not from inside: the caller still holds us */
    if (yd_loop_post(native->loop, finish_later, native)) finish_later(native);
}

void yd_native_address(const struct yd_native *native, bool unix_socket, struct yd_address *ret)
{
    yd_listener_address(unix_socket ? native->local : native->tcp, ret);
}

void yd_native_stat(const struct yd_native *native, struct yd_native_stat *ret)
{
    *ret = native->stat;
}
