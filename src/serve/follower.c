/* serve/follower.c: see follower.h.
 *
 * One connection at a time, in phases; each attempt begins at the place where the log ends then, so nothing needs to be
 * remembered between two of them. Frames of data go into the inbox, in order; a job takes all that is in it, hands it
 * to the log part by part, and flushes. A part that the log refuses ends the connection: the next attempt finds out
 * what is the matter, because the leader looks at our place first. */
#include "serve/follower.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/text.h"
#include "io/tls.h"
#include <yarder/protocol.h>

#define BUFFER_FIRST ((size_t)64 << 10)
#define RETRY_FIRST  (100 * YD_NS_PER_MS)
#define BEAT_NS      YD_NS_PER_S /* FOLLOWED also says that we live */

enum phase { APART, FINDING, CONNECTING, GREETING, OPENING, ASKING, CHANGING, FOLLOWING };

struct item {
    struct item *next;
    uint16_t type;
    size_t size, done; /* of bytes; of a BATCHES frame: what the log has */
    char bytes[];      /* the frame's body */
};

struct yd_follower {
    struct yd_follower_options options;
    char *from, *stream_name, *id, *token;
    char *tls_name;
    struct yd_address address;
    bool named;       /* from's host is a name: each attempt looks it up */
    unsigned attempt; /* which of its addresses */
    int job_find_error;
    struct yd_trail job_find_trail;
    struct yd_stream *stream;
    struct yd_lane *lane;
    struct yd_timer *timer;
    enum phase phase;
    int64_t retry_ns, heard_ns, next_try_ns;
    uint32_t handle, partitions; /* partitions: of the leader's stream */
    bool by_producer;
    uint64_t correlation, told; /* told: durable, as our leader knows */
    struct yd_follower_stat stat;
    int said; /* the error last said: each once */
    /* reading */
    char *bytes;
    size_t size, capacity;
    bool paused;
    /* frames to be applied */
    struct item *first, **last;
    size_t inbox;
    /* the job */
    bool busy;
    unsigned round, job_round; /* of connections: what belongs to an older one is thrown away */
    struct item *job_items;
    struct yd_msg_following job_following;
    uint32_t job_partitions; /* 0: not known yet */
    bool job_by_producer;
    bool job_change;
    bool change_wanted; /* what `wanted` says comes before anything else */
    struct yd_msg_following wanted;
    uint64_t job_edge, job_batches, job_bytes, job_durable;
    int job_error;
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static void say(struct yd_follower *follower, int level, const char *format, ...) YD_PRINTF(3, 4);
static void say(struct yd_follower *follower, int level, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (follower->options.said) follower->options.said(follower->options.arg, level, text);
}

/* The host of an address, as a certificate names it. */
static char *host_of(const char *address)
{
    if (strncmp(address, "unix:", 5) == 0) return strdup("localhost");
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : strlen(address);
    if (size > 1 && address[0] == '[' && address[size - 1] == ']') address++, size -= 2;
    return strndup(address, size);
}

static void free_items(struct item *item)
{
    while (item) {
        struct item *next = item->next;
        free(item);
        item = next;
    }
}

/* ---- the connection's end, and the next attempt ---- */

static void part(struct yd_follower *follower, int error)
{
    if (follower->phase == APART) return;
    yd_stream_close(follower->stream);
    follower->stream = NULL;
    follower->attempt++;
    follower->phase = APART;
    follower->round++;
    follower->stat.connected = follower->stat.following = false;
    follower->stat.error = error;
    follower->size = 0;
    follower->paused = false;
    free_items(follower->first);
    follower->first = NULL;
    follower->last = &follower->first;
    follower->inbox = 0;
    follower->change_wanted = false;
    int64_t now = yd_loop_mono(follower->options.loop);
    follower->next_try_ns = now + follower->retry_ns;
    follower->retry_ns = YD_MIN(follower->retry_ns * 2, follower->options.retry_ns);
    if (!follower->stopping) yd_timer_start(follower->timer, follower->next_try_ns);
}

/* Ends it, and says why, once for each reason in a row. */
static void give_up(struct yd_follower *follower, int error, const char *what)
{
    if (follower->said != error && !follower->stopping)
        say(follower, error == YD_ECLOSED || error == YD_EEOF ? 0 : 1, "%s at %s: %s: %s", follower->stream_name,
            follower->from, what, yd_error_text(error));
    follower->said = error;
    part(follower, error);
}

static void send_frame(struct yd_follower *follower, enum yd_message type, const void *body, size_t body_size,
                       struct yd_str text, struct yd_str text2)
{
    char bytes[sizeof(struct yd_frame) + 64 + 2 * YD_PROTOCOL_TEXT_MAX + 8] = {0};
    size_t at = sizeof(struct yd_frame);
    YD_ASSERT(body_size <= 64 && text.size <= YD_PROTOCOL_TEXT_MAX && text2.size <= YD_PROTOCOL_TEXT_MAX);
    if (body_size) memcpy(bytes + at, body, body_size);
    at += body_size;
    if (text.size) memcpy(bytes + at, text.data, text.size);
    at += text.size;
    if (text2.size) memcpy(bytes + at, text2.data, text2.size);
    at = YD_ALIGN_UP(at + text2.size, 8);
    struct yd_frame frame = {(uint32_t)at, (uint16_t)type, 0, ++follower->correlation};
    memcpy(bytes, &frame, sizeof frame);
    if (follower->stream && yd_stream_write(follower->stream, (struct yd_str){bytes, at}))
        give_up(follower, YD_ECLOSED, "cannot be written to");
}

static void ask(struct yd_follower *follower)
{
    struct yd_log_place place;
    yd_log_place(follower->options.log, &place);
    struct yd_str id = yd_str_of(follower->id);
    struct yd_msg_follow message = {
        .handle = follower->handle,
        .epoch = place.epoch,
        .last_crc = place.last_crc,
        .id_size = (uint16_t)id.size,
        .log_id = place.log_id,
        .seqno = place.seqno,
        .segment = place.segment,
        .offset = place.offset,
        .known_epoch = place.known_epoch,
        .copy = place.copy,
        .epoch_start = place.epoch_start,
    };
    follower->phase = ASKING;
    send_frame(follower, YD_MSG_FOLLOW, &message, sizeof message, id, (struct yd_str){0});
}

static void tell(struct yd_follower *follower, uint64_t durable)
{
    struct yd_log_place place;
    yd_log_place(follower->options.log, &place);
    struct yd_msg_followed message = {.handle = follower->handle, .epoch = place.known_epoch, .durable = durable};
    follower->told = durable;
    send_frame(follower, YD_MSG_FOLLOWED, &message, sizeof message, (struct yd_str){0}, (struct yd_str){0});
}

/* ---- the job: all that is in the inbox, and then one sync for it ---- */

static int apply_batches(struct yd_follower *follower, struct item *item)
{
    struct yd_log *log = follower->options.log;
    if (item->done == 0) item->done = sizeof(struct yd_msg_batches);
    while (item->done < item->size) {
        struct yd_batch *batch;
        int error = yd_batch_from_bytes(item->bytes + item->done, item->size - item->done, &batch);
        if (error) return error == YD_EAGAIN ? YD_ECORRUPT : error;
        error = yd_log_follow_batch(log, batch);
        if (error == YD_EFULL) {
            error = yd_log_flush(log);
            if (!error) error = yd_log_follow_batch(log, batch);
        }
        size_t size = batch->header.size;
        yd_batch_unref(batch);
        if (error) return error;
        item->done += size;
        follower->job_batches++;
        follower->job_bytes += size;
    }
    return 0;
}

static int apply(struct yd_follower *follower, struct item *item)
{
    struct yd_log *log = follower->options.log;
    if (item->type == YD_MSG_SEGMENT) {
        const struct yd_msg_segment *segment = (const void *)item->bytes;
        return yd_log_follow_segment(log, item->bytes + sizeof *segment, item->size - sizeof *segment, segment->size);
    }
    if (item->type == YD_MSG_SEAL) {
        const struct yd_msg_seal *seal = (const void *)item->bytes;
        if (seal->size > item->size - sizeof *seal) return YD_EFORMAT;
        return yd_log_follow_seal(log, seal->base, item->bytes + sizeof *seal, (size_t)seal->size);
    }
    return apply_batches(follower, item);
}

static int change_log(struct yd_follower *follower)
{
    struct yd_log *log = follower->options.log;
    const struct yd_msg_following *message = &follower->job_following;
    int error = yd_log_follow_leader(log, message->epoch);
    if (error || message->error == 0) return error;
    if (message->error == YD_ENOENT) return yd_log_follow_anew(log);
    error = yd_log_follow_cut(log, message->common, &follower->job_edge);
    /* Nothing that is here does it share with us, or it cannot say what. */
    return error == YD_ENOENT || (error == 0 && follower->job_edge > message->common) ? yd_log_follow_anew(log) : error;
}

static void work(void *arg)
{
    struct yd_follower *follower = arg;
    struct yd_log *log = follower->options.log;
    int error = follower->job_change ? change_log(follower) : 0;
    if (follower->job_change && follower->options.laid_out && follower->job_partitions)
        follower->options.laid_out(follower->options.arg, follower->job_partitions, follower->job_by_producer);
    while (!error && follower->job_items) {
        struct item *item = follower->job_items;
        error = apply(follower, item);
        if (error) break;
        follower->job_items = item->next;
        free(item);
    }
    struct yd_log_position position;
    yd_log_position(log, &position);
    while (!error && position.durable < position.memory) {
        error = yd_log_flush(log);
        yd_log_position(log, &position);
    }
    follower->job_durable = position.durable;
    follower->job_error = error;
}

static void done(void *arg);

static void submit(struct yd_follower *follower)
{
    follower->job_round = follower->round;
    follower->job_batches = follower->job_bytes = 0;
    follower->busy = true;
    if (yd_lane_submit(follower->lane, work, follower->options.loop, done, follower)) {
        follower->busy = false;
        give_up(follower, YD_ENOMEM, "no memory for a job");
    }
}

static void run(struct yd_follower *follower)
{
    if (follower->busy || follower->phase != FOLLOWING || (!follower->first && !follower->job_items)) return;
    struct item **end = &follower->job_items;
    while (*end) end = &(*end)->next;
    *end = follower->first;
    follower->first = NULL;
    follower->last = &follower->first;
    follower->inbox = 0;
    follower->job_change = false;
    submit(follower);
    if (follower->paused && follower->stream) {
        follower->paused = false;
        yd_stream_pause(follower->stream, false);
    }
}

/* To the place that our leader wants us at. */
static void change(struct yd_follower *follower)
{
    follower->job_following = follower->wanted;
    follower->job_partitions = follower->partitions;
    follower->job_by_producer = follower->by_producer;
    follower->job_change = true;
    follower->change_wanted = false;
    free_items(follower->job_items); /* of before */
    follower->job_items = NULL;
    submit(follower);
}

static void finish(struct yd_follower *follower)
{
    void (*stopped)(void *arg) = follower->stopped;
    void *arg = follower->stopped_arg;
    yd_timer_close(follower->timer);
    yd_lane_close(follower->lane);
    yd_log_unref(follower->options.log);
    free_items(follower->first);
    free_items(follower->job_items);
    free(follower->bytes);
    free(follower->from);
    free(follower->stream_name);
    free(follower->id);
    free(follower->token);
    free(follower->tls_name);
    yd_tls_unref(follower->options.tls);
    free(follower);
    if (stopped) stopped(arg);
}

static void changed(struct yd_follower *follower)
{
    const struct yd_msg_following *message = &follower->job_following;
    if (message->error == 0) {
        follower->phase = FOLLOWING;
        follower->stat.following = true;
        follower->stat.error = 0;
        follower->retry_ns = RETRY_FIRST;
        follower->said = 0;
        say(follower, 0, "follows %s at %s from record %llu on, epoch %u", follower->stream_name, follower->from,
            (unsigned long long)follower->job_durable, message->epoch);
        tell(follower, follower->job_durable);
        run(follower);
        return;
    }
    if (message->error == YD_ENOENT) {
        follower->stat.begun_anew++;
        say(follower, 1, "%s: what comes next was retired at %s: begins anew; what was here is in quarantine/",
            follower->stream_name, follower->from);
    } else {
        follower->stat.cuts++;
        say(follower, 1, "%s: had records from %llu on that %s, epoch %u, has not: they are cut, and in quarantine/",
            follower->stream_name, (unsigned long long)follower->job_edge, follower->from, message->epoch);
    }
    ask(follower);
}

static void done(void *arg)
{
    struct yd_follower *follower = arg;
    int error = follower->job_error;
    follower->busy = false;
    follower->stat.batches += follower->job_batches;
    follower->stat.bytes += follower->job_bytes;
    if (follower->stopping) {
        finish(follower);
        return;
    }
    if (follower->job_round != follower->round) { /* of a connection that has gone */
        free_items(follower->job_items);
        follower->job_items = NULL;
        if (follower->change_wanted) change(follower);
        return;
    }
    if (follower->change_wanted) {
        change(follower);
        return;
    }
    if (error == YD_ENOSPC || error == YD_ENOMEM) {
        if (follower->said != error) say(follower, 2, "%s: %s: waits", follower->stream_name, yd_error_text(error));
        follower->said = error;
        return; /* the beat tries again */
    }
    if (error) {
        free_items(follower->job_items);
        follower->job_items = NULL;
        give_up(follower, error, follower->job_change ? "cannot be followed" : "what it sent was refused");
        return;
    }
    if (follower->job_change) {
        changed(follower);
        return;
    }
    if (follower->job_durable != follower->told) tell(follower, follower->job_durable);
    run(follower);
}

/* ---- what comes ---- */

static void following(struct yd_follower *follower, const struct yd_msg_following *message)
{
    if (message->error == YD_EEPOCH) {
        give_up(follower, YD_EEPOCH, "was deposed: a newer leader is known here");
        return;
    }
    if (message->error && message->error != YD_EGAP && message->error != YD_ENOENT) {
        give_up(follower, message->error, "cannot be followed");
        return;
    }
    follower->wanted = *message;
    follower->change_wanted = true;
    follower->phase = CHANGING;
    follower->stat.following = false;
    if (!follower->busy) change(follower);
}

static void opened(struct yd_follower *follower, const struct yd_msg_opened *message)
{
    follower->handle = message->handle;
    follower->partitions = message->partitions;
    follower->by_producer = message->flags & YD_OPENED_BY_PRODUCER;
    follower->stat.connected = true;
    ask(follower);
}

static void refused(struct yd_follower *follower, const struct yd_msg_refused *message, size_t size)
{
    char text[200];
    size_t text_size = YD_MIN((size_t)message->text_size, size - sizeof *message);
    (void)snprintf(text, sizeof text, "refuses (%.*s)", (int)YD_MIN(text_size, (size_t)150),
                   (const char *)(message + 1));
    give_up(follower, message->error < 0 ? message->error : YD_EFAIL, text);
}

static bool keep(struct yd_follower *follower, const struct yd_frame *frame, const char *body, size_t size)
{
    struct item *item = malloc(sizeof *item + size);
    if (!item) return false;
    *item = (struct item){.type = frame->type, .size = size};
    memcpy(item->bytes, body, size);
    *follower->last = item;
    follower->last = &item->next;
    follower->inbox += size;
    return true;
}

static const struct {
    size_t size;
    bool data;
} known[] = {
    [YD_MSG_WELCOME] = {sizeof(struct yd_msg_welcome), false},
    [YD_MSG_REFUSED] = {sizeof(struct yd_msg_refused), false},
    [YD_MSG_GOODBYE] = {sizeof(struct yd_msg_refused), false},
    [YD_MSG_OPENED] = {sizeof(struct yd_msg_opened), false},
    [YD_MSG_FOLLOWING] = {sizeof(struct yd_msg_following), false},
    [YD_MSG_SEGMENT] = {sizeof(struct yd_msg_segment), true},
    [YD_MSG_BATCHES] = {sizeof(struct yd_msg_batches), true},
    [YD_MSG_SEAL] = {sizeof(struct yd_msg_seal), true},
};

static void take_frame(struct yd_follower *follower, const struct yd_frame *frame, const char *body, size_t size)
{
    if (frame->type < YD_COUNT(known) && size < known[frame->type].size) {
        give_up(follower, YD_EFORMAT, "sends frames that cannot be");
    } else if (frame->type < YD_COUNT(known) && known[frame->type].data) {
        if (follower->phase != FOLLOWING && follower->phase != CHANGING)
            give_up(follower, YD_EFORMAT, "sends what was not asked for");
        else if (!keep(follower, frame, body, size))
            give_up(follower, YD_ENOMEM, "no memory for what it sends");
    } else if (frame->type == YD_MSG_WELCOME && follower->phase == GREETING) {
        struct yd_str name = yd_str_of(follower->stream_name);
        struct yd_msg_open message = {.stream_size = (uint16_t)name.size};
        follower->phase = OPENING;
        send_frame(follower, YD_MSG_OPEN, &message, sizeof message, name, (struct yd_str){0});
    } else if (frame->type == YD_MSG_OPENED && follower->phase == OPENING) {
        opened(follower, (const void *)body);
    } else if (frame->type == YD_MSG_FOLLOWING && (follower->phase == ASKING || follower->phase == FOLLOWING)) {
        following(follower, (const void *)body);
    } else if (frame->type == YD_MSG_REFUSED || frame->type == YD_MSG_GOODBYE) {
        refused(follower, (const void *)body, size);
    } else if (frame->type == YD_MSG_PING) {
        send_frame(follower, YD_MSG_PONG, NULL, 0, (struct yd_str){0}, (struct yd_str){0});
    }
}

/* The first bytes of a TLS record with an alert: what a leader that wants TLS answers a HELLO with. */
static bool is_alert(const struct yd_follower *follower)
{
    return follower->phase == GREETING && follower->size >= 3 && memcmp(follower->bytes, "\x15\x03", 2) == 0;
}

static void take_frames(struct yd_follower *follower)
{
    if (is_alert(follower)) {
        give_up(follower, YD_EFORMAT, "speaks TLS: write \"tls:\" before its address");
        return;
    }
    unsigned round = follower->round;
    size_t at = 0;
    while (follower->round == round && follower->size - at >= sizeof(struct yd_frame)) {
        struct yd_frame frame;
        memcpy(&frame, follower->bytes + at, sizeof frame);
        if (frame.size < sizeof frame || frame.size % 8 || frame.size > YD_PROTOCOL_FRAME_MAX) {
            give_up(follower, YD_EFORMAT, "sends frames that cannot be");
            return;
        }
        if (follower->size - at < frame.size) break;
        take_frame(follower, &frame, follower->bytes + at + sizeof frame, frame.size - sizeof frame);
        at += frame.size;
    }
    if (follower->round != round) return;
    follower->size -= at;
    memmove(follower->bytes, follower->bytes + at, follower->size);
    run(follower);
    if (follower->round != round) return;
    if (!follower->paused && follower->inbox > follower->options.inbox_max) {
        follower->paused = true;
        yd_stream_pause(follower->stream, true);
    }
}

static void room(void *arg, char **ret_to, size_t *ret_size)
{
    struct yd_follower *follower = arg;
    size_t wanted = BUFFER_FIRST;
    if (follower->size >= sizeof(struct yd_frame)) {
        struct yd_frame frame;
        memcpy(&frame, follower->bytes, sizeof frame);
        wanted = YD_MAX(wanted, (size_t)YD_MIN(frame.size, YD_PROTOCOL_FRAME_MAX));
    }
    if (follower->capacity - follower->size < 4096 || follower->capacity < wanted) {
        size_t capacity = YD_MAX(wanted, follower->size + BUFFER_FIRST);
        char *bytes = realloc(follower->bytes, capacity);
        if (!bytes) {
            *ret_to = NULL;
            *ret_size = 0;
            return;
        }
        follower->bytes = bytes;
        follower->capacity = capacity;
    }
    *ret_to = follower->bytes + follower->size;
    *ret_size = follower->capacity - follower->size;
}

static void data(void *arg, size_t size)
{
    struct yd_follower *follower = arg;
    follower->size += size;
    follower->heard_ns = yd_loop_mono(follower->options.loop);
    take_frames(follower);
}

static void ended(void *arg, int error)
{
    struct yd_follower *follower = arg;
    char why[200], text[300];
    if (yd_stream_tls_trouble(follower->stream, why, sizeof why)) {
        (void)snprintf(text, sizeof text, "TLS: %s", why);
        give_up(follower, error, text);
        return;
    }
    give_up(follower, error ? error : YD_EEOF, follower->phase == CONNECTING ? "cannot be reached" : "went");
}

static void connected(void *arg)
{
    struct yd_follower *follower = arg;
    struct yd_str name = yd_str_of(follower->id), token = yd_str_of(follower->token ? follower->token : "");
    struct yd_msg_hello hello = {.magic = YD_PROTOCOL_MAGIC,
                                 .version_min = YD_PROTOCOL_VERSION,
                                 .version_max = YD_PROTOCOL_VERSION,
                                 .name_size = (uint16_t)name.size,
                                 .token_size = (uint16_t)token.size};
    follower->phase = GREETING;
    follower->stat.connects++;
    send_frame(follower, YD_MSG_HELLO, &hello, sizeof hello, name, token);
}

static const struct yd_stream_ops stream_ops = {.room = room, .data = data, .ended = ended, .connected = connected};

static void begin_connecting(struct yd_follower *follower)
{
    struct yd_trail trail = {0};
    struct yd_loop *loop = follower->options.loop;
    follower->phase = CONNECTING;
    follower->heard_ns = yd_loop_mono(loop);
    int error = yd_connect(loop, &follower->address, &stream_ops, follower, &follower->stream, &trail);
    if (!error && follower->options.tls) {
        error = yd_stream_secure(&follower->stream, follower->options.tls, follower->tls_name);
        if (!error) yd_stream_start(follower->stream, &stream_ops, follower);
    }
    if (error) give_up(follower, error, "cannot be reached");
}

/* ---- the leader's name ---- */

static void find(void *arg) /* on a file thread */
{
    struct yd_follower *follower = arg;
    follower->job_find_trail = (struct yd_trail){0};
    follower->job_find_error = yd_address_find(follower->options.loop, yd_str_of(follower->from), follower->attempt,
                                               &follower->address, &follower->job_find_trail);
}

static void found(void *arg)
{
    struct yd_follower *follower = arg;
    follower->busy = false;
    if (follower->stopping)
        finish(follower);
    else if (follower->job_find_error)
        give_up(follower, follower->job_find_error, yd_trail_text(&follower->job_find_trail));
    else
        begin_connecting(follower);
}

static void find_leader(struct yd_follower *follower)
{
    follower->phase = FINDING;
    follower->busy = true;
    if (yd_lane_submit(follower->lane, find, follower->options.loop, found, follower) == 0) return;
    follower->busy = false;
    give_up(follower, YD_ENOMEM, "no memory for a job");
}

static void try_again(struct yd_follower *follower)
{
    struct yd_log_position position;
    yd_log_position(follower->options.log, &position);
    if (position.failed) {
        if (follower->said != YD_EREADONLY)
            say(follower, 2, "%s: a write or sync failed here: follows nobody until the next start",
                follower->stream_name);
        follower->said = YD_EREADONLY;
        return;
    }
    if (follower->named)
        find_leader(follower);
    else
        begin_connecting(follower);
}

static void beat(void *arg)
{
    struct yd_follower *follower = arg;
    int64_t now = yd_loop_mono(follower->options.loop);
    if (follower->phase == APART) {
        if (now >= follower->next_try_ns && !follower->busy) try_again(follower);
    } else if (follower->phase == FINDING) { /* the resolver has bounds of its own */
    } else if (now - follower->heard_ns > follower->options.silence_ns && !follower->paused) {
        give_up(follower, YD_ETIMEOUT, "is silent");
    } else if (follower->phase == FOLLOWING) {
        tell(follower, follower->told);
        if (follower->stream && now - follower->heard_ns > follower->options.silence_ns / 3)
            send_frame(follower, YD_MSG_PING, NULL, 0, (struct yd_str){0}, (struct yd_str){0});
        run(follower); /* what had to wait for space */
    } else if (follower->phase == CHANGING && !follower->busy) {
        submit(follower);
    }
    if (!follower->stopping)
        yd_timer_start(follower->timer, YD_MIN(now + BEAT_NS, follower->phase == APART && follower->next_try_ns > now
                                                                  ? follower->next_try_ns
                                                                  : INT64_MAX));
}

int yd_follower_start(const struct yd_follower_options *options, struct yd_follower **ret_follower,
                      struct yd_trail *trail)
{
    struct yd_follower *follower = calloc(1, sizeof *follower);
    if (!follower) return YD_ENOMEM;
    follower->options = *options;
    if (!follower->options.retry_ns) follower->options.retry_ns = 5 * YD_NS_PER_S;
    if (!follower->options.silence_ns) follower->options.silence_ns = 15 * YD_NS_PER_S;
    if (!follower->options.inbox_max) follower->options.inbox_max = (size_t)16 << 20;
    follower->retry_ns = RETRY_FIRST;
    follower->last = &follower->first;
    follower->from = strdup(options->from);
    follower->stream_name = strdup(options->stream);
    follower->id = strdup(options->id ? options->id : "follower");
    follower->token = options->token ? strdup(options->token) : NULL;
    follower->tls_name = options->tls_name ? strdup(options->tls_name) : host_of(options->from);
    int error = follower->from && follower->stream_name && follower->id && follower->tls_name ? 0 : YD_ENOMEM;
    if (!error) error = yd_address_check(yd_str_of(options->from), &follower->named, trail);
    if (!error && !follower->named) error = yd_address_parse(yd_str_of(options->from), &follower->address, trail);
    if (!error) error = yd_lane_open(options->pool, &follower->lane);
    if (!error) error = yd_timer_create(options->loop, beat, follower, &follower->timer);
    if (error) {
        if (follower->lane) yd_lane_close(follower->lane);
        free(follower->from);
        free(follower->stream_name);
        free(follower->id);
        free(follower->token);
        free(follower->tls_name);
        free(follower);
        return error;
    }
    if (options->tls) (void)yd_tls_ref(options->tls);
    yd_log_ref(options->log);
    yd_timer_start(follower->timer, yd_loop_mono(options->loop));
    *ret_follower = follower;
    return 0;
}

void yd_follower_stop(struct yd_follower *follower, void (*stopped)(void *arg), void *arg)
{
    follower->stopping = true;
    follower->stopped = stopped;
    follower->stopped_arg = arg;
    part(follower, YD_ECLOSED);
    yd_timer_stop(follower->timer);
    if (!follower->busy) finish(follower);
}

void yd_follower_stat(const struct yd_follower *follower, struct yd_follower_stat *ret)
{
    *ret = follower->stat;
}
