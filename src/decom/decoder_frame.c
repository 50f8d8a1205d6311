/* A decoder of commutated frames: chunks of a stream of bits in, minor frames cut out of it, values of their words.
 *
 *   searching   the pattern is somewhere: at each bit, until it is there, and there again one frame later
 *   locked      it must be where the last frame ended; otherwise searching again, from the next bit on
 *
 * What is kept between chunks is less than two frames and a pattern. The time of a value is that of the chunk that
 * ended its frame; with a bit rate, when its last bit came, counted back from the chunk's end. Without one, the values
 * of a frame are a nanosecond apart, so that no two of one measurement have the same time. */
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

/* To the next pattern that has another one a frame later. False: there is none yet. */
static bool search(struct yd_decoder *decoder, const struct yd__frame *frame)
{
    struct yd__stream *stream = &decoder->stream;
    uint64_t bits = (uint64_t)stream->size * 8;
    for (; stream->at + frame->bits + frame->sync_bits <= bits; stream->at++, stream->skipped++) {
        if (!yd__frame_synced(frame, stream->data, stream->size, stream->at)) continue;
        if (yd__frame_synced(frame, stream->data, stream->size, stream->at + frame->bits)) return stream->locked = true;
    }
    return false;
}

/* Minor frames follow each other; what is missing between two is told by their counter. */
static int follow(struct yd_decoder *decoder, const struct yd__frame *frame, uint32_t index)
{
    struct yd__stream *stream = &decoder->stream;
    uint32_t before = stream->index;
    stream->index = index;
    if (!stream->has_index) return stream->has_index = true, 0;
    uint32_t step = (index + frame->major - before) % frame->major;
    if (frame->major == 1 || step == 1) return 0;
    uint32_t lost = step ? step - 1 : frame->major - 1;
    decoder->counts.lost += lost;
    return yd__decoder_lost(decoder, &frame->lost, 0, lost);
}

static int64_t time_of(const struct yd__frame *frame, int64_t time_ns, uint64_t bits_behind, uint32_t order)
{
    if (!frame->rate) return time_ns + order;
    __int128 at = (__int128)time_ns - (__int128)bits_behind * 1000000000 / frame->rate;
    return at < INT64_MIN ? INT64_MIN : (int64_t)at;
}

static int take_frame(struct yd_decoder *decoder, const struct yd__frame *frame, uint32_t index, int64_t time_ns)
{
    struct yd__stream *stream = &decoder->stream;
    uint64_t end = (uint64_t)stream->size * 8;
    for (uint32_t i = 0; i < frame->list_sizes[index]; i++) {
        const struct yd__sample *sample = &frame->samples[frame->lists[index][i]];
        struct yd__frame_value read =
            yd__frame_read(frame, sample, decoder->machine.registers, stream->data, stream->size, stream->at);
        decoder->machine.time_ns = time_of(frame, time_ns, end - (stream->at + sample->end), i);
        struct yd__staged staged = {read.field->name, read.value};
        int r = staged.name == YD__NONE ? 0 : yd__decoder_write(decoder, frame->program, &staged);
        if (r == 0 && read.field->raw_name != YD__NONE) {
            staged = (struct yd__staged){read.field->raw_name, read.raw};
            r = yd__decoder_write(decoder, frame->program, &staged);
        }
        if (r < 0) return r;
        decoder->counts.values++;
    }
    return 0;
}

int yd__decoder_take_chunk(struct yd_decoder *decoder, int64_t time_ns, struct yd_str chunk)
{
    const struct yd__frame *frame = decoder->plan->frame;
    struct yd__stream *stream = &decoder->stream;
    uint64_t frames = 0, skipped = stream->skipped;
    int r = keep(decoder, chunk);
    if (r < 0) return r;
    while (r == 0) {
        uint64_t bits = (uint64_t)stream->size * 8;
        if (!stream->locked && !search(decoder, frame)) break;
        if (stream->at + frame->bits > bits) break;
        if (!yd__frame_synced(frame, stream->data, stream->size, stream->at)) {
            stream->locked = false;
            stream->at++;
            stream->skipped++;
            continue;
        }
        uint32_t index = yd__frame_index(frame, stream->data, stream->size, stream->at);
        decoder->machine.time_ns = time_ns;
        if (index == YD__NONE) {
            decoder->counts.bad_frames++; /* the frame is skipped, the lock stays */
        } else {
            r = follow(decoder, frame, index);
            if (r == 0) r = take_frame(decoder, frame, index, time_ns);
            if (r == 0) yd__decoder_count(decoder, frame->program);
        }
        stream->at += frame->bits;
        frames++;
    }
    forget(stream);
    if (r < 0) return r;
    if (frames || stream->skipped == skipped) return 0;
    decoder->counts.rejected++;
    decoder->counts.reasons[YD_DECOM_NO_SYNC]++;
    return 1 + YD_DECOM_NO_SYNC;
}
