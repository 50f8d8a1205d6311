/* Minor frames: is this the sync pattern, which frame is it, what do its words say. */
#include "decom/frame.h"

bool yd__frame_synced(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at)
{
    uint64_t wrong = (yd__bits_msb0(data, size, at, frame->sync_bits) ^ frame->sync) & frame->mask;
    return (uint32_t)__builtin_popcountll(wrong) <= frame->sync_errors;
}

static uint64_t joined(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data,
                       uint64_t size, uint64_t at)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < sample->piece_count; i++)
        bits = (frame->word_bits < 64 ? bits << frame->word_bits : 0) |
               yd__bits_msb0(data, size, at + sample->pieces[i].at, frame->word_bits);
    return bits;
}

static struct yd_decom_value raw_of(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data,
                                    uint64_t size, uint64_t at)
{
    const struct yd__frame_field *field = sample->field;
    uint8_t words[9] = {0};
    uint32_t total = frame->word_bits * sample->piece_count;
    uint64_t bits = __builtin_bswap64(joined(frame, sample, data, size, at) << (64 - total));
    memcpy(words, &bits, 8);
    return yd__field_decode(&field->field, yd__field_bits(&field->field, words, sizeof words, field->offset));
}

uint32_t yd__frame_index(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at)
{
    if (!frame->counter) return 0;
    struct yd_decom_value raw = raw_of(frame, frame->counter, data, size, at);
    uint64_t index = raw.u64 - frame->counter_first;
    return index < frame->major ? (uint32_t)index : YD__NONE;
}

struct yd__frame_value yd__frame_read(const struct yd__frame *frame, const struct yd__sample *sample,
                                      struct yd_decom_value *registers, const uint8_t *data, uint64_t size, uint64_t at)
{
    struct yd__frame_value read = {.field = sample->field, .sample = sample};
    read.raw = raw_of(frame, sample, data, size, at);
    if (sample->field->reg != YD__NONE) registers[sample->field->reg] = read.raw;
    read.value = yd__field_value(&sample->field->field, read.raw, registers);
    return read;
}
