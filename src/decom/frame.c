/* Minor frames: is this the sync pattern, which frame is it, is it whole, what do its words say. */
#include "decom/frame.h"

#include "decom/encode.h"

bool yd__frame_synced(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at, uint32_t errors)
{
    uint64_t wrong = (yd__bits_msb0(data, size, at, frame->sync_bits) ^ frame->sync) & frame->mask;
    return (uint32_t)__builtin_popcountll(wrong) <= errors;
}

void yd__frame_join(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data, uint64_t size,
                    uint64_t at, uint8_t *words)
{
    uint32_t n = frame->word_bits;
    if ((uint64_t)n * sample->piece_count <= 64) {
        uint64_t bits = 0;
        for (uint32_t i = 0; i < sample->piece_count; i++)
            bits = (n < 64 ? bits << n : 0) | yd__bits_msb0(data, size, at + sample->pieces[i].at, n);
        bits = __builtin_bswap64(bits << (64 - n * sample->piece_count));
        memcpy(words, &bits, 8);
        words[8] = 0;
        return;
    }
    const struct yd__field word = {.bits = n};
    memset(words, 0, (n * sample->piece_count + 7) / 8 + 8);
    for (uint32_t i = 0; i < sample->piece_count; i++)
        yd__field_put(&word, yd__bits_msb0(data, size, at + sample->pieces[i].at, n), words, (uint64_t)i * n);
}

void yd__frame_split(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *words,
                     uint8_t *data)
{
    const struct yd__field word = {.bits = frame->word_bits};
    for (uint32_t i = 0; i < sample->piece_count; i++)
        yd__field_put(&word, yd__bits_msb0(words, YD__JOINED_MAX / 8 + 8, (uint64_t)i * word.bits, word.bits), data,
                      sample->pieces[i].at);
}

static struct yd_decom_value raw_of(const struct yd__frame *frame, const struct yd__sample *sample,
                                    struct yd__joined *joined, const uint8_t *data, uint64_t size, uint64_t at)
{
    const struct yd__frame_field *field = sample->field;
    yd__frame_join(frame, sample, data, size, at, joined->words);
    switch (field->field.encoding) {
    case YD_DEF_STRING:
    case YD_DEF_BINARY:
    case YD_DEF_CUC:
    case YD_DEF_CDS:
        if (field->offset % 8) { /* to a whole byte */
            for (uint32_t i = 0; i * 8 < field->bits; i++)
                joined->text[i] = (char)yd__bits_msb0(joined->words, sizeof joined->words, field->offset + i * 8, 8);
            memcpy(joined->words, joined->text, field->bits / 8);
        } else if (field->offset) {
            memmove(joined->words, joined->words + field->offset / 8, field->bits / 8);
        }
        if (field->field.encoding >= YD_DEF_CUC) return yd__field_time(&field->field, joined->words);
        return yd__field_text(&field->field, (struct yd_str){(const char *)joined->words, field->bits / 8},
                              joined->text);
    default:
        return yd__field_decode(&field->field,
                                yd__field_bits(&field->field, joined->words, sizeof joined->words, field->offset));
    }
}

static uint64_t bits_of(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data,
                        uint64_t size, uint64_t at)
{
    uint8_t words[24] = {0};
    yd__frame_join(frame, sample, data, size, at, words);
    return yd__field_bits(&sample->field->field, words, sizeof words, sample->field->offset);
}

uint32_t yd__frame_index(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at)
{
    if (!frame->counter) return 0;
    uint64_t index = bits_of(frame, frame->counter, data, size, at) - frame->counter_first;
    return index < frame->major ? (uint32_t)index : YD__NONE;
}

void yd__frame_copy(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at, uint8_t *copy)
{
    for (uint64_t i = 0; i * 8 < frame->bits; i++) {
        uint32_t n = (uint32_t)YD_MIN(frame->bits - i * 8, UINT64_C(8));
        copy[i] = (uint8_t)(yd__bits_msb0(data, size, at + i * 8, n) << (8 - n));
    }
}

/* Integers as they are decoded: of the same number there may be several forms of bits. */
static bool is_constant_right(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data,
                              uint64_t size)
{
    struct yd_decom_value is = yd__field_decode(&sample->field->field, bits_of(frame, sample, data, size, 0));
    return is.type != YD_NIL && is.u64 == sample->field->entry->constant;
}

static bool is_checksum_right(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data,
                              uint64_t size)
{
    uint32_t value;
    const struct yd_def_check *check = &sample->field->entry->check;
    return yd__check_value(check, data, frame->bits / 8, sample->pieces[0].at, &value) &&
           bits_of(frame, sample, data, size, 0) == value;
}

int yd__frame_verify(const struct yd__frame *frame, uint32_t index, const uint8_t *data, uint64_t size, uint64_t at,
                     uint8_t *copy)
{
    if (!frame->has_checks) return 0;
    uint64_t bytes = (frame->bits + 7) / 8;
    if (at % 8 == 0) {
        data += at / 8;
        size -= at / 8;
    } else {
        yd__frame_copy(frame, data, size, at, copy);
        data = copy;
        size = bytes;
    }
    /* Checksums are in each frame: they are asked before anybody believes a counter. */
    for (uint32_t i = 0; i < frame->sample_count; i++)
        if (frame->samples[i].field->entry->check.kind && !is_checksum_right(frame, &frame->samples[i], data, size))
            return YD_FRAME_CHECKSUM;
    for (uint32_t i = 0; index != YD__NONE && i < frame->list_sizes[index]; i++) {
        const struct yd__sample *sample = &frame->samples[frame->lists[index][i]];
        if (sample->field->entry->has_constant && !is_constant_right(frame, sample, data, size))
            return YD_FRAME_CONSTANT;
    }
    return 0;
}

/* Others ask for it later, when these words have made room for other ones. */
static void keep(const struct yd__frame_field *field, struct yd__machine *machine, struct yd_decom_value raw)
{
    bool is_text = raw.type == YD_TEXT || raw.type == YD_BLOB;
    if (is_text && field->keeps) {
        char *room = machine->kept + field->kept;
        if (raw.bytes.size) memcpy(room, raw.bytes.data, raw.bytes.size);
        raw.bytes.data = room;
    }
    machine->registers[field->reg] = raw;
}

void yd__frame_load(const struct yd__frame *frame, uint32_t index, struct yd__machine *machine,
                    struct yd__joined *joined, const uint8_t *data, uint64_t size, uint64_t at)
{
    for (uint32_t i = 0; frame->has_registers && i < frame->list_sizes[index]; i++) {
        const struct yd__sample *sample = &frame->samples[frame->lists[index][i]];
        if (sample->field->reg != YD__NONE) keep(sample->field, machine, raw_of(frame, sample, joined, data, size, at));
    }
}

struct yd__frame_value yd__frame_read(const struct yd__frame *frame, const struct yd__sample *sample,
                                      struct yd__machine *machine, struct yd__joined *joined, const uint8_t *data,
                                      uint64_t size, uint64_t at)
{
    const struct yd__frame_field *field = sample->field;
    struct yd__frame_value read = {.field = field, .sample = sample, .is_there = true};
    read.raw = raw_of(frame, sample, joined, data, size, at);
    if (field->reg != YD__NONE) keep(field, machine, read.raw);
    read.is_there = !field->only_if || yd__condition_holds(field->only_if, machine->registers);
    read.value = yd__field_value(&field->field, read.raw, machine->registers);
    return read;
}
