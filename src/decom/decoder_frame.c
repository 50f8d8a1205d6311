/* A decoder of commutated frames: chunks of a stream of bits in, minor frames cut out of it, values of their words.
 *
 *   search   the pattern is somewhere: at each bit
 *   check    it is there again one frame later, as many times as the definition wants; else: search, from the next bit
 *   locked   it must be where the last frame ended. Where it is not, the flywheel looks on: if it is there again before
 *            as many as may be missing are missing, the frames between are taken, their values suspect; else the lock
 *            is lost, and the search begins behind the first one that was missing
 *
 * A minor frame is then taken, or refused by a reason: a checksum, a constant, a counter that there is not, or one that
 * neither follows the last nor is followed by the next (unless a checksum vouches for it). So a bit that is wrong in a
 * counter costs its frame, and frames that are missing are told from it. What cannot be known yet waits, at most as
 * long as the flywheel and the check are. Every bit is in a frame taken or refused, skipped, or waits.
 *
 * The time of a value is that of the chunk in which its frame was decided; with a bit rate, when its last bit came,
 * counted back from the chunk's end; with a stamp in the frame, that (and the rate, from the frame's beginning on).
 * Without a rate the values of a chunk are a nanosecond apart, so that no two of one measurement have the same time. */
#include <stdio.h>
#include <string.h>

#include "decom/decoder_internal.h"
#include "decom/frame.h"

static int keep(struct yd_decoder *decoder, struct yd_str chunk)
{
    struct yd__stream *stream = &decoder->stream;
    size_t want = stream->size + chunk.size;
    if (stream->capacity < want) {
        void *grown = yd_alloc_resize(decoder->alloc, stream->data, stream->capacity, want);
        if (!grown) return YD_ENOMEM;
        stream->data = grown;
        stream->capacity = want;
    }
    memcpy(stream->data + stream->size, chunk.data, chunk.size);
    stream->size += chunk.size;
    return 0;
}

/* Forgets whole bytes in front of the position. */
static void forget(struct yd__stream *stream)
{
    size_t bytes = (size_t)(stream->at / 8);
    if (bytes) memmove(stream->data, stream->data + bytes, stream->size - bytes);
    stream->size -= bytes;
    stream->at -= (uint64_t)bytes * 8;
}

/* 1: the pattern is there, 0: it is not, -1: its bits have not come. */
static int look(const struct yd__stream *stream, const struct yd__frame *frame, uint64_t at, uint32_t errors)
{
    if (at + frame->sync_bits > (uint64_t)stream->size * 8) return -1;
    return yd__frame_synced(frame, stream->data, stream->size, at, errors);
}

/* To the next pattern that others follow. False: there is none yet. */
static bool search(struct yd_decoder *decoder, const struct yd__frame *frame)
{
    struct yd__stream *stream = &decoder->stream;
    for (;; stream->at++, stream->skipped++) {
        int there = look(stream, frame, stream->at, frame->errors);
        for (uint32_t k = 1; there > 0 && k <= frame->check; k++)
            there = look(stream, frame, stream->at + (uint64_t)k * frame->bits, frame->errors);
        if (there > 0) return stream->locked = true;
        if (there < 0 && !stream->ending) return false;
        if (there < 0 && stream->at + frame->sync_bits > (uint64_t)stream->size * 8) return false;
    }
}

/* The pattern that should be here is missing. 1: the flywheel has seen it behind; 0: the lock is lost; -1: wait. */
static int fly(struct yd_decoder *decoder, const struct yd__frame *frame)
{
    struct yd__stream *stream = &decoder->stream;
    for (uint32_t k = 1; k <= frame->flywheel; k++) {
        int there = look(stream, frame, stream->at + (uint64_t)k * frame->bits, frame->errors_locked);
        if (there < 0 && !stream->ending) return -1;
        if (there > 0) return stream->flying = k, 1;
    }
    stream->locked = false;
    decoder->counts.frames.sync_lost++;
    return 0;
}

/* ---- which frame ---- */

/* A major frame ends: whole, or not. Of those of which nothing came, the lost frames tell. */
static void close_major(struct yd_decoder *decoder, const struct yd__frame *frame)
{
    struct yd__stream *stream = &decoder->stream;
    if (frame->major == 1 || !stream->seen) return;
    if (stream->seen == frame->major)
        decoder->counts.frames.major_whole++;
    else
        decoder->counts.frames.major_partial++;
    stream->seen = 0;
}

static void go_on(struct yd_decoder *decoder, const struct yd__frame *frame, uint64_t frames)
{
    struct yd__stream *stream = &decoder->stream;
    if (!stream->has_index) return;
    uint64_t position = stream->index + frames;
    if (position >= frame->major) close_major(decoder, frame);
    stream->index = (uint32_t)(position % frame->major);
}

/* How many are missing in front of this one: what its counter says; when bits were skipped, with as many whole major
 * frames as they are nearest to. */
static uint64_t missing(const struct yd__stream *stream, const struct yd__frame *frame, uint32_t index)
{
    if (!stream->has_index || !frame->counter || frame->major == 1) return 0;
    uint64_t step = (index + frame->major - (stream->index + 1) % frame->major) % frame->major;
    uint64_t skipped = (stream->skipped - stream->skipped_before + frame->bits / 2) / frame->bits;
    if (skipped > step) step += (skipped - step + frame->major / 2) / frame->major * frame->major;
    return step;
}

/* 0: this frame is `*ret_index`; a reason; -1: wait for the next one. */
static int judge(struct yd_decoder *decoder, const struct yd__frame *frame, uint32_t *ret_index)
{
    struct yd__stream *stream = &decoder->stream;
    uint32_t index = yd__frame_index(frame, stream->data, stream->size, stream->at);
    int why = yd__frame_verify(frame, index, stream->data, stream->size, stream->at, stream->copy);
    if (why) return why;
    if (index == YD__NONE) return YD_FRAME_OUTSIDE;
    *ret_index = index;
    /* Under a checksum that is right a counter is, too. */
    if (!frame->counter || frame->has_checksum || (stream->has_index && index == (stream->index + 1) % frame->major))
        return 0;
    uint64_t next = stream->at + frame->bits;
    bool has_come = next + YD_MAX(frame->counter->end, frame->sync_bits) <= (uint64_t)stream->size * 8;
    if (!has_come && !stream->ending) return -1;
    if (!has_come || look(stream, frame, next, frame->errors_locked) <= 0 ||
        yd__frame_index(frame, stream->data, stream->size, next) != (index + 1) % frame->major)
        return YD_FRAME_UNSURE;
    return 0;
}

/* ---- a frame ---- */

static int64_t time_of(const struct yd_decoder *decoder, const struct yd__frame *frame, int64_t time_ns,
                       const struct yd__sample *sample, const struct yd_decom_value *stamp)
{
    const struct yd__stream *stream = &decoder->stream;
    uint64_t end = (uint64_t)stream->size * 8;
    bool stamped = stamp && stamp->type == YD_I64;
    if (stamped) time_ns = stamp->i64;
    if (!frame->rate)
        return time_ns > INT64_MAX - (int64_t)stream->order ? INT64_MAX : time_ns + (int64_t)stream->order;
    __int128 bits = stamped ? sample->end : -(__int128)(end - (stream->at + sample->end));
    __int128 at = (__int128)time_ns + bits * 1000000000 / frame->rate;
    return at < INT64_MIN ? INT64_MIN : at > INT64_MAX ? INT64_MAX : (int64_t)at;
}

static int write_value(struct yd_decoder *decoder, const struct yd__frame *frame, uint32_t name,
                       struct yd_decom_value value, bool suspect)
{
    if (name == YD__NONE) return 0;
    value.suspect |= suspect;
    struct yd__staged staged = {name, value};
    int r = yd__decoder_write(decoder, frame->program, &staged);
    if (r == 0) decoder->counts.values++;
    return r;
}

static int take_frame(struct yd_decoder *decoder, const struct yd__frame *frame, uint32_t index, int64_t time_ns,
                      bool suspect)
{
    struct yd__stream *stream = &decoder->stream;
    struct yd__machine *machine = &decoder->machine;
    struct yd_decom_value stamp = {.type = YD_NIL};
    struct yd__joined joined;
    yd__frame_load(frame, index, machine, &joined, stream->data, stream->size, stream->at);
    if (frame->stamp)
        stamp = yd__frame_read(frame, frame->stamp, machine, &joined, stream->data, stream->size, stream->at).value;
    for (uint32_t i = 0; i < frame->list_sizes[index]; i++) {
        const struct yd__sample *sample = &frame->samples[frame->lists[index][i]];
        struct yd__frame_value read =
            yd__frame_read(frame, sample, machine, &joined, stream->data, stream->size, stream->at);
        if (!read.is_there) continue;
        decoder->machine.time_ns = time_of(decoder, frame, time_ns, sample, &stamp);
        stream->order++;
        int r = write_value(decoder, frame, read.field->name, read.value, suspect);
        if (r == 0) r = write_value(decoder, frame, read.field->raw_name, read.raw, suspect);
        if (r < 0) return r;
    }
    return 0;
}

static int accept(struct yd_decoder *decoder, const struct yd__frame *frame, uint32_t index, int64_t time_ns,
                  bool suspect)
{
    struct yd__stream *stream = &decoder->stream;
    uint64_t lost = missing(stream, frame, index);
    int r = 0;
    decoder->machine.time_ns = time_ns;
    if (lost || stream->skipped != stream->skipped_before) {
        /* What other words depend on is from another time: it must come again. */
        memset(decoder->machine.registers, 0, decoder->plan->register_count * sizeof *decoder->machine.registers);
        decoder->counts.lost += lost;
        if (lost && stream->skipped == stream->skipped_before) decoder->counts.frames.jumps++;
        if (lost) r = yd__decoder_lost(decoder, &frame->lost, 0, lost);
    }
    if (r < 0) return r;
    go_on(decoder, frame, 1 + lost);
    stream->has_index = true;
    stream->index = index;
    stream->skipped_before = stream->skipped;
    stream->seen++;
    r = take_frame(decoder, frame, index, time_ns, suspect);
    if (index == frame->major - 1) close_major(decoder, frame);
    if (r == 0) yd__decoder_count(decoder, frame->program);
    return r;
}

static void refuse(struct yd_decoder *decoder, const struct yd__frame *frame, int why)
{
    decoder->counts.frames.refused[why]++;
    go_on(decoder, frame, 1);
}

/* 1: a frame is done with; 0: nothing more can be done with what there is. */
static int step(struct yd_decoder *decoder, const struct yd__frame *frame, int64_t time_ns)
{
    struct yd__stream *stream = &decoder->stream;
    uint32_t index = 0;
    if (!stream->locked && !search(decoder, frame)) return 0;
    if (!stream->flying) {
        int there = look(stream, frame, stream->at, frame->errors_locked);
        if (there < 0) return 0;
        if (!there && (there = fly(decoder, frame)) <= 0) {
            if (there < 0) return 0;
            stream->at++;
            stream->skipped++;
            return step(decoder, frame, time_ns);
        }
    }
    if (stream->at + frame->bits > (uint64_t)stream->size * 8) return 0;
    int why = judge(decoder, frame, &index), r = 0;
    if (why < 0) return 0;
    bool suspect = stream->flying > 0;
    stream->flying -= suspect;
    decoder->counts.frames.flown += suspect;
    if (why)
        refuse(decoder, frame, why);
    else
        r = accept(decoder, frame, index, time_ns, suspect);
    stream->at += frame->bits;
    return r < 0 ? r : 1;
}

/* ---- what is told of it ---- */

/* What happened since it was told last, each a TALLY. */
static int tell(struct yd_decoder *decoder, const struct yd__frame *frame)
{
    struct yd_frame_counts *now = &decoder->counts.frames, *told = &decoder->stream.told;
    const struct {
        const char *what;
        uint64_t *now, *told;
    } rows[] = {{"sync_lost", &now->sync_lost, &told->sync_lost},
                {"flown", &now->flown, &told->flown},
                {"skipped_bits", &now->skipped_bits, &told->skipped_bits},
                {"checksum", &now->refused[YD_FRAME_CHECKSUM], &told->refused[YD_FRAME_CHECKSUM]},
                {"constant", &now->refused[YD_FRAME_CONSTANT], &told->refused[YD_FRAME_CONSTANT]},
                {"counter_outside", &now->refused[YD_FRAME_OUTSIDE], &told->refused[YD_FRAME_OUTSIDE]},
                {"counter_unsure", &now->refused[YD_FRAME_UNSURE], &told->refused[YD_FRAME_UNSURE]},
                {"counter_jump", &now->jumps, &told->jumps},
                {"major_partial", &now->major_partial, &told->major_partial}};
    for (size_t i = 0; i < YD_COUNT(rows); i++) {
        if (*rows[i].now == *rows[i].told) continue;
        int r = yd__decoder_tally(decoder, "frames", frame->lost.label, rows[i].what, *rows[i].now - *rows[i].told);
        if (r < 0) return r;
        *rows[i].told = *rows[i].now;
    }
    return 0;
}

static int run(struct yd_decoder *decoder, int64_t time_ns, uint64_t *ret_frames)
{
    const struct yd__frame *frame = decoder->plan->frame;
    struct yd__stream *stream = &decoder->stream;
    int r;
    stream->order = 0;
    while ((r = step(decoder, frame, time_ns)) > 0) ++*ret_frames;
    decoder->counts.frames.skipped_bits = stream->skipped;
    forget(stream);
    decoder->counts.frames.waiting_bits = (uint64_t)stream->size * 8 - stream->at;
    decoder->machine.time_ns = time_ns;
    return r;
}

int yd__decoder_take_chunk(struct yd_decoder *decoder, int64_t time_ns, struct yd_str chunk)
{
    const struct yd__frame *frame = decoder->plan->frame;
    struct yd__stream *stream = &decoder->stream;
    uint64_t frames = 0, skipped = stream->skipped;
    stream->ending = false;
    stream->time_ns = time_ns;
    int r = keep(decoder, chunk);
    if (r == 0) r = run(decoder, time_ns, &frames);
    if (r == 0) r = tell(decoder, frame);
    if (r < 0) return r;
    if (frames || stream->skipped == skipped) return 0;
    decoder->counts.rejected++;
    decoder->counts.reasons[YD_DECOM_NO_SYNC]++;
    return 1 + YD_DECOM_NO_SYNC;
}

int yd_decoder_end(struct yd_decoder *decoder)
{
    const struct yd__frame *frame = decoder->plan->frame;
    struct yd__stream *stream = &decoder->stream;
    uint64_t frames = 0;
    if (!frame) return 0;
    if (!stream->capacity) return tell(decoder, frame); /* of the plan before */
    stream->ending = true;
    int r = run(decoder, stream->time_ns, &frames);
    if (r < 0) return r;
    stream->skipped += decoder->counts.frames.waiting_bits;
    decoder->counts.frames.skipped_bits = stream->skipped;
    decoder->counts.frames.waiting_bits = 0;
    close_major(decoder, frame);
    stream->size = 0;
    stream->at = 0;
    stream->flying = 0;
    stream->locked = stream->has_index = false;
    stream->skipped_before = stream->skipped;
    return tell(decoder, frame);
}
