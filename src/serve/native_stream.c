/* serve/native_stream.c: OPEN, and being told that a stream's positions moved.
 *
 *   OPEN ─▶ the registry of open streams ──────────────────────────────▶ handle, OPENED
 *        └▶ not there: a job ─▶ DATA/streams/NAME/PARTITION is opened, run and registered ─┘
 *
 *   the log's thread: moved ─▶ one post, until it has run ─▶ acknowledgements, what waits for room, subscriptions
 *
 * The jobs share one lane: two that want the same stream find it opened by the first. What was opened here stays open
 * until the server stops. */
#include "serve/native_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file.h"

#define HANDLES_MAX   1024
#define PARTITION_MAX 65535

struct yd__native_owned {
    struct yd__native_owned *next;
    char name[256];
    struct yd_log *log;
};

bool yd__native_stream_name(struct yd_str text, char to[256])
{
    const char *slash = memchr(text.data, '/', text.size);
    size_t name_size = slash ? (size_t)(slash - text.data) : text.size;
    if (name_size == 0 || name_size > 200 || text.data[0] == '.') return false;
    for (size_t i = 0; i < name_size; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("._-", c, 3)))
            return false;
    }
    unsigned partition = 0;
    if (slash) {
        struct yd_str digits = {slash + 1, text.size - name_size - 1};
        if (digits.size == 0 || digits.size > 5 || (digits.size > 1 && digits.data[0] == '0')) return false;
        for (size_t i = 0; i < digits.size; i++) {
            if (digits.data[i] < '0' || digits.data[i] > '9') return false;
            partition = partition * 10 + (unsigned)(digits.data[i] - '0');
        }
        if (partition > PARTITION_MAX) return false;
    }
    (void)snprintf(to, 256, "%.*s/%u", (int)name_size, text.data, partition);
    return true;
}

bool yd__native_refuse_whole(struct yd__native_handle *handle, uint64_t correlation, const char *what)
{
    const struct yd_layout *layout = &handle->stream->layout;
    int size = (int)strcspn(handle->stream->name, "/");
    if (!handle->whole) return false;
    yd__native_refuse(handle->peer, correlation, &(struct yd_msg_refused){.error = YD_EINVAL},
                      "%.*s has %u partitions, chosen by the hash of %s: %s %.*s/0 to %.*s/%u", size,
                      handle->stream->name, layout->partitions,
                      layout->by == YD_LAYOUT_BY_PRODUCER ? "the producer's number" : "each record's name", what, size,
                      handle->stream->name, size, handle->stream->name, layout->partitions - 1);
    return true;
}

/* ---- positions that moved ---- */

static void free_stream(struct yd__native_stream *stream)
{
    *stream->at = stream->next;
    if (stream->next) stream->next->at = stream->at;
    yd_log_unref(stream->log);
    free(stream);
}

static void release_stream(struct yd__native_stream *stream)
{
    if (stream->handle_count > 0 || stream->flushing) return;
    yd_log_unwatch(stream->watch);
    stream->watch = NULL;
    /* Acquire pairs with the exchange in `moved`: a post that is still to come frees it instead. */
    if (!atomic_load_explicit(&stream->told, memory_order_acquire)) free_stream(stream);
}

static void tell_handles(struct yd__native_stream *stream)
{
    struct yd_log_position position;
    yd_log_position(stream->log, &position);
    stream->gone = position.closed;
    stream->handle_count++; /* ours, while peers may go */
    stream->round++;
    struct yd__native_handle *handle = stream->handles;
    while (handle) {
        struct yd__native_peer *peer = handle->peer;
        if (handle->round == stream->round) {
            handle = handle->next;
            continue;
        }
        handle->round = stream->round;
        yd__native_peer_pin(peer);
        yd__native_acks_moved(handle, &position);
        if (!peer->dead) yd__native_append_again(peer);
        if (!peer->dead) yd__native_subs_moved(handle, &position);
        if (!peer->dead) yd__native_follow_moved(handle, &position);
        if (!peer->dead && position.closed) yd__native_subs_end(handle, YD_ECLOSED);
        handle = peer->dead ? stream->handles : handle->next; /* a peer takes all its handles along */
        yd__native_peer_unpin(peer);
    }
    stream->handle_count--;
}

static void moved_here(void *arg)
{
    struct yd__native_stream *stream = arg;
    struct yd_native *native = stream->native;
    native->jobs++;
    /* Before the position is read: what moves from here on tells again. */
    atomic_store_explicit(&stream->told, false, memory_order_release);
    if (stream->watch) tell_handles(stream);
    release_stream(stream);
    native->jobs--;
    if (native->stopping) yd__native_finish(native);
}

static void moved(void *arg)
{
    struct yd__native_stream *stream = arg;
    if (atomic_exchange_explicit(&stream->told, true, memory_order_acq_rel)) return;
    /* No memory for the post: the next move tries again. */
    if (yd_loop_post(stream->native->loop, moved_here, stream))
        atomic_store_explicit(&stream->told, false, memory_order_release);
}

static struct yd__native_stream *use_stream(struct yd_native *native, const char *name, struct yd_log *log,
                                            const struct yd_layout *layout)
{
    for (struct yd__native_stream *stream = native->streams; stream; stream = stream->next)
        if (stream->log == log && stream->watch) return stream;
    struct yd__native_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    stream->native = native;
    (void)snprintf(stream->name, sizeof stream->name, "%s", name);
    stream->log = yd_log_ref(log);
    stream->layout = *layout;
    if (yd_log_watch(log, moved, stream, &stream->watch)) {
        yd_log_unref(log);
        free(stream);
        return NULL;
    }
    stream->at = &native->streams;
    stream->next = native->streams;
    if (stream->next) stream->next->at = &stream->next;
    native->streams = stream;
    return stream;
}

/* ---- a simulation has no thread that flushes ---- */

struct flush_job {
    struct yd__native_job job;
    struct yd__native_stream *stream;
};

static void flush_work(struct yd__native_job *job)
{
    (void)yd_log_flush(YD_CONTAINER(job, struct flush_job, job)->stream->log); /* the positions tell */
}

static void flush_done(struct yd__native_job *job)
{
    struct flush_job *flush = YD_CONTAINER(job, struct flush_job, job);
    struct yd__native_stream *stream = flush->stream;
    free(flush);
    stream->flushing = false;
    if (stream->flush_again && stream->handle_count > 0)
        yd__native_appended(stream);
    else
        release_stream(stream);
}

void yd__native_appended(struct yd__native_stream *stream)
{
    struct yd_native *native = stream->native;
    if (!native->options.simulated) return;
    stream->flush_again = stream->flushing;
    if (stream->flushing) return;
    struct flush_job *flush = calloc(1, sizeof *flush);
    if (!flush) return;
    *flush = (struct flush_job){.job = {.work = flush_work, .done = flush_done}, .stream = stream};
    stream->flushing = yd__native_submit(native, native->lane, NULL, &flush->job) == 0;
    if (!stream->flushing) free(flush);
}

/* ---- handles ---- */

static struct yd__native_handle *add_handle(struct yd__native_peer *peer, const char *name, struct yd_log *log,
                                            const struct yd_layout *layout)
{
    if (peer->handle_count == peer->handle_capacity) {
        uint32_t capacity = peer->handle_capacity ? peer->handle_capacity * 2 : 8;
        struct yd__native_handle **handles = realloc(peer->handles, capacity * sizeof *handles);
        if (!handles) return NULL;
        peer->handles = handles;
        peer->handle_capacity = capacity;
    }
    struct yd__native_handle *handle = calloc(1, sizeof *handle);
    struct yd__native_stream *stream = handle ? use_stream(peer->native, name, log, layout) : NULL;
    if (!stream) {
        free(handle);
        return NULL;
    }
    handle->peer = peer;
    handle->stream = stream;
    handle->index = peer->handle_count;
    handle->at = &stream->handles;
    handle->next = stream->handles;
    if (handle->next) handle->next->at = &handle->next;
    stream->handles = handle;
    stream->handle_count++;
    peer->handles[peer->handle_count++] = handle;
    return handle;
}

void yd__native_handle_close(struct yd__native_handle *handle)
{
    struct yd__native_stream *stream = handle->stream;
    yd__native_follow_close(handle);
    yd__native_acks_fini(handle);
    *handle->at = handle->next;
    if (handle->next) handle->next->at = handle->at;
    free(handle);
    stream->handle_count--;
    release_stream(stream);
}

/* ---- OPEN ---- */

struct open_job {
    struct yd__native_job job;
    uint64_t correlation, producer_id;
    char name[256];
    bool create, plain;
    bool create_refused; /* asked for, where peers may not */ /* plain: no partition was named */
    int error;
    struct yd_log *log; /* a reference */
    struct yd_layout layout;
    struct yd_trail trail;
};

static void attach(struct yd__native_peer *peer, const struct open_job *open, struct yd_log *log,
                   const struct yd_layout *layout)
{
    const char *name = open->name;
    uint64_t correlation = open->correlation, producer_id = open->producer_id;
    struct yd__native_handle *handle = add_handle(peer, name, log, layout);
    if (!handle) {
        yd__native_refuse(peer, correlation, &(struct yd_msg_refused){.error = YD_ENOMEM}, "out of memory");
        return;
    }
    handle->whole = open->plain && layout->partitions > 1;
    struct yd_log_position position;
    yd_log_position(log, &position);
    char dir[4096];
    int dir_size = snprintf(dir, sizeof dir, "%s/streams/%s", peer->native->data, name);
    if (!peer->local || handle->whole || dir_size >= (int)sizeof dir) dir_size = 0;
    struct yd_msg_opened opened = {.handle = handle->index,
                                   .partitions = layout->partitions,
                                   .log_id = position.log_id,
                                   .epoch = position.epoch,
                                   .flags = position.follower ? YD_OPENED_FOLLOWER : 0,
                                   .first = position.first,
                                   .written = position.written,
                                   .durable = position.durable,
                                   .replicated = position.replicated,
                                   .dir_size = (uint16_t)dir_size};
    if (layout->partitions > 1)
        opened.flags |= layout->by == YD_LAYOUT_BY_PRODUCER ? YD_OPENED_BY_PRODUCER : YD_OPENED_BY_NAME;
    uint32_t epoch;
    if (producer_id && yd_log_producer(log, producer_id, &epoch, &opened.producer_seq) == 0)
        opened.producer_epoch = epoch;
    yd__native_send(peer, YD_MSG_OPENED, 0, correlation, &opened, sizeof opened,
                    (struct yd_str){dir, (size_t)dir_size});
}

static int64_t mono(void *arg)
{
    (void)arg;
    return yd_clock_mono();
}

/* Opens the stream's folder, runs it and tells everybody where it is. On the server's lane, as all that calls it. */
static int open_folder(struct yd_native *native, const char *name, bool create, struct yd_log **ret_log,
                       struct yd_trail *trail)
{
    const struct yd_native_options *options = &native->options;
    char dir[4096], stream[256];
    struct yd_stat now;
    struct yd_layout layout = {.partitions = 1};
    if (snprintf(dir, sizeof dir, "%s/streams/%s", native->data, name) >= (int)sizeof dir) return YD_ETOOBIG;
    int error = yd_fs_stat(options->fs, dir, &now);
    if (error == YD_ENOENT && !create) return yd_trail_add(trail, error, "there is no such stream");
    if (error && error != YD_ENOENT) return error;
    size_t stream_size = strcspn(name, "/");
    (void)snprintf(stream, sizeof stream, "%.*s", (int)stream_size, name);
    error = yd_layout_load(options->fs, native->data, stream, &layout);
    if (error && error != YD_ENOENT)
        return yd_trail_add(trail, error, "%s/streams/%s/stream.json cannot be understood", native->data, stream);
    if (!error && strtoul(name + stream_size + 1, NULL, 10) >= layout.partitions)
        return yd_trail_add(trail, YD_ENOENT, "there is no such partition: %s has %u", stream, layout.partitions);
    struct yd_log_options log = {.fs = options->fs,
                                 .dir = dir,
                                 .stream = name,
                                 .random = yd__native_random,
                                 .wall = yd__native_wall,
                                 .mono = options->simulated ? NULL : mono,
                                 .clock_arg = native,
                                 .retain_ns = layout.keep_ns,
                                 .retain_bytes = layout.size_bytes / layout.partitions};
    struct yd__native_owned *owned = calloc(1, sizeof *owned);
    if (!owned) return YD_ENOMEM;
    (void)snprintf(owned->name, sizeof owned->name, "%s", name);
    error = yd_log_open(&log, &owned->log, NULL, trail);
    if (!error && !options->simulated) error = yd_log_start(owned->log);
    if (!error) error = yd_streams_put(options->streams, name, owned->log);
    if (error) {
        (void)yd_log_close(owned->log); /* nothing was appended */
        free(owned);
        return error;
    }
    owned->next = native->owned;
    native->owned = owned;
    *ret_log = yd_log_ref(owned->log);
    return 0;
}

int yd__native_open_stream(struct yd_native *native, const char *name, bool create, struct yd_log **ret_log,
                           struct yd_trail *trail)
{
    *ret_log = yd_streams_find(native->options.streams, name);
    return *ret_log ? 0 : open_folder(native, name, create, ret_log, trail);
}

static void open_work(struct yd__native_job *job)
{
    struct open_job *open = YD_CONTAINER(job, struct open_job, job);
    struct yd_native *native = job->native;
    char stream[256];
    open->error = yd__native_open_stream(native, open->name, open->create, &open->log, &open->trail);
    if (open->error == YD_ENOENT && open->create_refused) {
        open->trail = (struct yd_trail){0};
        (void)yd_trail_add(
            &open->trail, YD_ENOENT,
            "there is no such stream, and this server makes none for its clients (Native: `create: true`, or "
            "`yarder log create` there)");
    }
    if (open->error) return;
    (void)snprintf(stream, sizeof stream, "%.*s", (int)strcspn(open->name, "/"), open->name);
    open->layout = (struct yd_layout){.partitions = 1};
    int error = yd_layout_load(native->options.fs, native->data, stream, &open->layout);
    if (error && error != YD_ENOENT) open->error = error;
}

static void open_done(struct yd__native_job *job)
{
    struct open_job *open = YD_CONTAINER(job, struct open_job, job);
    if (!job->peer->dead && open->error)
        yd__native_refuse(job->peer, open->correlation, &(struct yd_msg_refused){.error = open->error}, "%s: %s",
                          open->name, open->trail.size ? yd_trail_text(&open->trail) : yd_error_text(open->error));
    else if (!job->peer->dead)
        attach(job->peer, open, open->log, &open->layout);
    yd_log_unref(open->log);
    free(open);
}

/* In use here, and not closed. */
static struct yd__native_stream *find_open(struct yd_native *native, const char *name)
{
    struct yd__native_stream *stream = native->streams;
    while (stream && (!stream->watch || strcmp(stream->name, name) != 0)) stream = stream->next;
    if (!stream) return NULL;
    struct yd_log_position position;
    yd_log_position(stream->log, &position);
    return position.closed ? NULL : stream;
}

int yd__native_open(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    const struct yd_msg_open *message = (const void *)frame->body;
    struct yd_native *native = peer->native;
    struct yd_str text;
    size_t at = sizeof *message;
    struct open_job asked = {.job = {.work = open_work, .done = open_done},
                             .correlation = frame->head.correlation,
                             .producer_id = message->producer_id,
                             .create = native->options.create && (message->flags & YD_OPEN_CREATE_STREAM),
                             .create_refused = !native->options.create && (message->flags & YD_OPEN_CREATE_STREAM)};
    if (!yd__native_text(frame, &at, message->stream_size, &text)) return YD_EFORMAT;
    asked.plain = !memchr(text.data, '/', text.size);
    if (!yd__native_stream_name(text, asked.name)) {
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_EINVAL},
                          "a stream is NAME or NAME/PARTITION: letters, digits, `.`, `_`, `-`; a number");
        return 0;
    }
    if (peer->handle_count + peer->jobs >= HANDLES_MAX) {
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_EFULL},
                          "a connection may open a stream %d times", HANDLES_MAX);
        return 0;
    }
    struct yd__native_stream *used = find_open(native, asked.name);
    if (used) { /* nothing to be looked up */
        attach(peer, &asked, used->log, &used->layout);
        return 0;
    }
    struct open_job *open = malloc(sizeof *open);
    if (open) {
        *open = asked;
        if (yd__native_submit(native, native->lane, peer, &open->job) == 0) return 0;
        free(open);
    }
    yd__native_refuse(peer, frame->head.correlation,
                      &(struct yd_msg_refused){.error = YD_ENOMEM, .retry_after_ms = 1000}, "out of memory");
    return 0;
}

/* ---- the end ---- */

struct close_job {
    struct yd__native_job job;
    struct yd__native_owned *owned;
};

static void close_owned(struct yd_native *native, struct yd__native_owned *owned)
{
    while (owned) {
        struct yd__native_owned *next = owned->next;
        yd_streams_remove(native->options.streams, owned->name);
        (void)yd_log_close(owned->log); /* what a last flush could not do, recovery finds */
        free(owned);
        owned = next;
    }
}

static void close_work(struct yd__native_job *job)
{
    close_owned(job->native, YD_CONTAINER(job, struct close_job, job)->owned);
}

static void close_done(struct yd__native_job *job)
{
    free(YD_CONTAINER(job, struct close_job, job));
}

void yd__native_streams_close(struct yd_native *native)
{
    struct yd__native_owned *owned = native->owned;
    native->owned = NULL;
    if (!owned) return;
    struct close_job *close = calloc(1, sizeof *close);
    if (close) *close = (struct close_job){.job = {.work = close_work, .done = close_done}, .owned = owned};
    if (close && yd__native_submit(native, native->lane, NULL, &close->job) == 0) return;
    free(close);
    close_owned(native, owned); /* no memory: then here */
}
