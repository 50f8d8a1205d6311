/* Minor frames out of values: the decoder's words, written. See encode.h.
 *
 *   pattern, constants, counter ─▶ words that others depend on ─▶ all others ─▶ checksums ─▶ read back and told ─▶ bits
 *
 * Minor frames follow each other as bits do: where one ends inside of a byte, the next one begins there. What is told
 * is what the decoder's own reading makes of the frame. */
#include "decom/encode_internal.h"
#include "decom/frame.h"

/* Bits into the words of a sample, where its field has them; other fields may have the rest. */
static void put_bits(struct yd_encoder *encoder, const struct yd__sample *sample, const struct yd__field *field,
                     uint64_t bits, struct yd__joined *joined)
{
    const struct yd__frame *frame = encoder->plan->frame;
    yd__frame_join(frame, sample, encoder->room, YD__ENCODE_ROOM, 0, joined->words);
    yd__field_put(field, bits, joined->words, sample->field->offset);
    yd__frame_split(frame, sample, joined->words, encoder->room);
}

static void put_bytes(struct yd_encoder *encoder, const struct yd__sample *sample, const uint8_t *bytes,
                      struct yd__joined *joined)
{
    const struct yd__frame *frame = encoder->plan->frame;
    const struct yd__field byte = {.bits = 8};
    yd__frame_join(frame, sample, encoder->room, YD__ENCODE_ROOM, 0, joined->words);
    for (uint32_t i = 0; i < sample->field->bits / 8; i++)
        yd__field_put(&byte, bytes[i], joined->words, sample->field->offset + i * 8);
    yd__frame_split(frame, sample, joined->words, encoder->room);
}

static struct yd_encode_ask ask_of(const struct yd__frame *frame, const struct yd__sample *sample)
{
    const struct yd__frame_field *field = sample->field;
    struct yd_encode_ask ask = {.entry = field->entry, .field = &field->field, .name = yd_str_of(field->path)};
    ask.published = field->name != YD__NONE;
    if (ask.published) ask.name = frame->program->names[field->name];
    if (frame->rate) ask.since_ns = (int64_t)((__int128)sample->end * 1000000000 / frame->rate);
    ask.room = field->bits / 8;
    return ask;
}

static int put_sample(struct yd_encoder *encoder, const struct yd__sample *sample, struct yd_encode_ask *ask,
                      struct yd__joined *joined)
{
    const struct yd__frame_field *field = sample->field;
    const struct yd_def_type *type = field->entry->type;
    struct yd_encode_answer answer = {0};
    struct yd_decom_value raw;
    uint8_t bytes[YD__JOINED_MAX / 8] = {0};
    uint64_t bits = 0;
    bool saturated = false;
    if (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) {
        encoder->options.value(encoder->options.arg, ask, &answer);
        if (answer.value.type == YD_TEXT || answer.value.type == YD_BLOB)
            (void)yd__encode_text(type, answer.value.bytes, (char *)bytes, ask->room);
        put_bytes(encoder, sample, bytes, joined);
        return 0;
    }
    if (type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS) {
        encoder->options.value(encoder->options.arg, ask, &answer);
        yd__field_put_time(&field->field, answer.value.type == YD_F64 ? (int64_t)answer.value.f64 : answer.value.i64,
                           bytes);
        put_bytes(encoder, sample, bytes, joined);
        return 0;
    }
    raw = yd__encode_raw(encoder, &field->field, ask);
    if (yd__field_encode(&field->field, raw, &bits, &saturated) < 0)
        return yd__encode_no_number(encoder, field->path, &field->field, raw);
    encoder->saturated += saturated;
    put_bits(encoder, sample, &field->field, bits, joined);
    if (field->reg != YD__NONE) encoder->machine.registers[field->reg] = yd__field_decode(&field->field, bits);
    return 0;
}

static uint32_t samples_of(const struct yd__frame *frame, uint32_t index, const struct yd__frame_field *field)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < frame->list_sizes[index]; i++)
        count += frame->samples[frame->lists[index][i]].field == field;
    return count;
}

/* Each sample of this minor frame, those of one field behind each other, those that others depend on first. */
static int each(struct yd_encoder *encoder, uint32_t index, struct yd__joined *joined,
                int (*what)(struct yd_encoder *, const struct yd__sample *, struct yd_encode_ask *,
                            struct yd__joined *))
{
    const struct yd__frame *frame = encoder->plan->frame;
    const uint32_t *list = frame->lists[index], count = frame->list_sizes[index];
    int r = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < count; i++) {
            const struct yd__frame_field *field = frame->samples[list[i]].field;
            bool seen = (field->reg == YD__NONE) != (pass == 1);
            for (uint32_t j = 0; j < i && !seen; j++) seen = frame->samples[list[j]].field == field;
            uint32_t sample = 0, samples = seen ? 0 : samples_of(frame, index, field);
            for (uint32_t j = i; j < count && sample < samples && r == 0; j++) {
                if (frame->samples[list[j]].field != field) continue;
                struct yd_encode_ask ask = ask_of(frame, &frame->samples[list[j]]);
                ask.sample = sample++;
                ask.samples = samples;
                r = what(encoder, &frame->samples[list[j]], &ask, joined);
            }
            if (r) return r;
        }
    return 0;
}

static int put(struct yd_encoder *encoder, const struct yd__sample *sample, struct yd_encode_ask *ask,
               struct yd__joined *joined)
{
    const struct yd__frame *frame = encoder->plan->frame;
    const struct yd_def_entry *entry = sample->field->entry;
    if (entry->check.kind) return 0;
    uint64_t bits = 0;
    bool saturated = false;
    struct yd_decom_value number = {.type = YD_U64, .u64 = (uint64_t)encoder->frame_index + frame->counter_first};
    if (!entry->has_constant && sample != frame->counter) return put_sample(encoder, sample, ask, joined);
    if (entry->has_constant)
        (void)yd__field_constant(&sample->field->field, entry->constant, &bits); /* what never is has been refused */
    else if (yd__field_encode(&sample->field->field, number, &bits, &saturated) < 0 || saturated)
        return yd__encode_refuse(encoder, sample->field->path, "it cannot count to the last minor frame");
    put_bits(encoder, sample, &sample->field->field, bits, joined);
    if (sample->field->reg != YD__NONE)
        encoder->machine.registers[sample->field->reg] = yd__field_decode(&sample->field->field, bits);
    return 0;
}

/* One may be of bytes that another one is among. */
static int put_checks(struct yd_encoder *encoder, struct yd__joined *joined)
{
    const struct yd__frame *frame = encoder->plan->frame;
    uint32_t rounds = 0;
    for (uint32_t i = 0; i < frame->sample_count; i++) rounds += frame->samples[i].field->entry->check.kind != 0;
    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < frame->sample_count; i++) {
            const struct yd__sample *sample = &frame->samples[i];
            uint32_t value;
            if (!sample->field->entry->check.kind) continue;
            if (!yd__check_value(&sample->field->entry->check, encoder->room, frame->bits / 8, sample->pieces[0].at,
                                 &value))
                return yd__encode_refuse(encoder, sample->field->path, "a checksum of bytes that are not there");
            put_bits(encoder, sample, &sample->field->field, value, joined);
        }
    return 0;
}

static int tell(struct yd_encoder *encoder, const struct yd__sample *sample, struct yd_encode_ask *ask,
                struct yd__joined *joined)
{
    struct yd__frame_value read =
        yd__frame_read(encoder->plan->frame, sample, &encoder->machine, joined, encoder->room, YD__ENCODE_ROOM, 0);
    if (read.is_there && encoder->options.told)
        encoder->options.told(encoder->options.arg, ask, &read.raw, &read.value);
    return 0;
}

/* Behind the bits that the last frame left over. */
static struct yd_str append(struct yd_encoder *encoder, uint64_t bits)
{
    const struct yd__field byte = {.bits = 8};
    uint64_t at = encoder->rest_bits, size = (at + bits) / 8;
    encoder->out[0] = encoder->rest;
    if (at == 0)
        memcpy(encoder->out, encoder->room, (bits + 7) / 8);
    else
        for (uint64_t i = 0; i * 8 < bits; i++) yd__field_put(&byte, encoder->room[i], encoder->out, at + i * 8);
    encoder->rest_bits = (uint32_t)((at + bits) % 8);
    encoder->rest = encoder->rest_bits ? (uint8_t)(encoder->out[size] & (0xff00 >> encoder->rest_bits)) : 0;
    return (struct yd_str){(const char *)encoder->out, size};
}

int yd__encode_frame(struct yd_encoder *encoder, struct yd_str *ret_bytes)
{
    const struct yd__frame *frame = encoder->plan->frame;
    const struct yd__field pattern = {.bits = frame->sync_bits};
    uint32_t index = encoder->frame_index;
    struct yd__joined joined;
    if (frame->bits > (YD__ENCODE_ROOM - 8) * 8u)
        return yd__encode_refuse(encoder, "", "longer than 64 KiB"), YD_ETOOBIG;
    memset(encoder->room, 0, (frame->bits + 7) / 8 + 8);
    yd__field_put(&pattern, frame->sync, encoder->room, 0);
    int r = each(encoder, index, &joined, put);
    if (r == 0) r = put_checks(encoder, &joined);
    if (r) return r;
    bool good = yd__frame_synced(frame, encoder->room, YD__ENCODE_ROOM, 0, 0) &&
                yd__frame_index(frame, encoder->room, YD__ENCODE_ROOM, 0) == index &&
                yd__frame_verify(frame, index, encoder->room, YD__ENCODE_ROOM, 0, NULL) == 0;
    if (!good) return yd__encode_refuse(encoder, "", "its words lie over its pattern, its counter or its checksums");
    yd__frame_load(frame, index, &encoder->machine, &joined, encoder->room, YD__ENCODE_ROOM, 0);
    (void)each(encoder, index, &joined, tell);
    encoder->frame_index = (index + 1) % frame->major;
    *ret_bytes = append(encoder, frame->bits);
    return 0;
}

struct yd_str yd_encoder_rest(struct yd_encoder *encoder)
{
    if (!encoder->rest_bits) return YD_STR("");
    encoder->out[0] = encoder->rest;
    encoder->rest_bits = encoder->rest = 0;
    return (struct yd_str){(const char *)encoder->out, 1};
}
