/* Any bytes as a definition, and any bytes as its packets. In front of the first line "%%" is the definition (without
 * one: a definition that has everything, or one of commutated frames), behind it the packets, each behind a byte that
 * says how long it is. No crash, no byte read outside of a packet, no leak; what leaves is a valid batch; whatever is
 * said can be printed; every bit of a stream of frames is counted; what an encoder makes of any values is what a
 * decoder takes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "decom/encode.h"

static const char everything[] =
    "container h\n  id u8\n"
    "packet a : h when id == 1\n  x u12\n  y i20 scale 0.5\n  z f32\n  m u8 { 0 A, 1 B }\n  ...\n"
    "packet b : h when id == 2\n  n u8\n  g group[n, max 20]\n    k u4\n    t text(k)\n    u bcd12 if k > 3\n  r "
    "bytes(rest)\n"
    "packet c : h when id == 3\n  s text(until 0, max 9)\n  p text(prefix u16le) charset utf16le\n  l text(5) charset "
    "latin1 at + 3\n"
    "  q u7[*, max 40]\n"
    "packet d : h when id == 4\n  a u8\n  b u8\n  m u16[a, max 8][b, max 8]\n  e u32 at end - 4\n"
    "packet e : h when id == 5\n  t cuc(4, 3) stamp\n  d cds(3, 4)\n  c u14 sequence by id\n  v mil48\n  w gray9 lsb0\n"
    "packet f : h when id > 5 and id != 9\n  g group[*, max 16]\n    n u8\n    b bytes(n) at + 1\n";

static const char frames[] =
    "frame f\n  sync 0x5a3c errors 1\n  lock check 1 flywheel 2 errors 2\n  minor 14 words of 7\n  major 3 by n from "
    "1\n  rate 1000\n"
    "  n u7 word 4\n  m u3 word 5 at bit 4 { 0 A, 1 B }\n  a i14 word 6 + 7 if m != 2\n  b u7 word 8 frame 1 scale 2\n"
    "    when m == A: poly(1, 2)\n  c u7 word 9, 10\n  t text(2) word 11 + 13 + 12 at bit 3\n  s u7 s since unix word "
    "14 stamp\n";
static const char checked[] =
    "frame f\n  sync 0x5a3c\n  lock flywheel 1\n  minor 7 words of 8\n  major 4 by n\n"
    "  n u8 word 3\n  k u8 word 4 = 7\n  v u8 word 5\n  c u16 word 6 + 7 check sum16 from 2\n";

/* Values out of the bytes, over and over. */
struct asked {
    const uint8_t *data;
    size_t size, at;
};

static void on_ask(void *arg, const struct yd_encode_ask *ask, struct yd_encode_answer *answer)
{
    struct asked *asked = arg;
    uint8_t byte = asked->size ? asked->data[asked->at++ % asked->size] : 0;
    answer->raw = ask->raw || byte & 1;
    if (byte & 2)
        answer->value = (struct yd_decom_value){.type = YD_F64, .f64 = (double)byte * 1e3 - 1e5};
    else if (byte & 4)
        answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = (int64_t)byte << (byte % 56)};
    else if (ask->counts)
        answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = ask->count_min + byte % 5};
    else
        answer->value = (struct yd_decom_value){
            .type = YD_TEXT, .bytes = {(const char *)asked->data, YD_MIN(asked->size, (size_t)byte)}};
}

static void encode(const struct yd_plan *plan, const uint8_t *data, size_t size)
{
    struct asked asked = {data, size, 0};
    const struct yd_encoder_options options = {&asked, on_ask, NULL};
    struct yd_encoder *encoder;
    if (yd_encoder_create(plan, &options, NULL, &encoder) < 0) return;
    for (uint32_t i = 0; i < YD_MIN(yd_plan_packet_count(plan), 8u); i++) {
        struct yd_str bytes;
        for (int turn = 0; turn < 3; turn++)
            if (yd_encode(encoder, i, &bytes) == 0 && bytes.size) (void)yd_hash_str(bytes);
    }
    (void)yd_encoder_rest(encoder);
    yd_encoder_destroy(encoder);
}

static void count_bits(const struct yd_plan *plan, struct yd_decoder *decoder, uint64_t bits)
{
    struct yd_decoder_counts counts;
    yd_decoder_counts(decoder, &counts);
    uint64_t whole = counts.packets;
    for (int i = 0; i < YD_FRAME_REFUSAL_COUNT; i++) whole += counts.frames.refused[i];
    if (!yd_plan_frame_bits(plan)) return;
    if (whole * yd_plan_frame_bits(plan) + counts.frames.skipped_bits + counts.frames.waiting_bits != bits) abort();
}

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct yd_batch *again;
    char *frame = malloc(batch->header.size);
    (void)arg;
    if (!frame) abort();
    yd_batch_to_bytes(batch, frame);
    if (yd_batch_from_bytes(frame, batch->header.size, &again) < 0) abort();
    yd_batch_unref(again);
    yd_batch_unref(batch);
    free(frame);
}

static void run(struct yd_str text, const uint8_t *data, size_t size, bool closely)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan_options options = {.raw = size & 1, .closely = closely};
    struct yd_plan *plan = NULL;
    struct yd_decoder *decoder;
    struct yd_buf shown;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&shown, NULL);
    int r = yd_plan_read("fuzz", text, &options, &diagnostics, &plan);
    if ((r < 0) != (diagnostics.errors > 0)) abort();
    yd_diagnostics_print(&diagnostics, size & 2, &shown);
    yd_diagnostics_json(&diagnostics, &shown);
    struct yd_decoder_options decoding = {.size_max = 8192, .batch = on_batch};
    if (r == 0 && yd_decoder_create(plan, &decoding, NULL, &decoder) == 0) {
        uint64_t bits = 0;
        for (size_t at = 0; at < size;) {
            size_t length = YD_MIN((size_t)data[at], size - at - 1);
            char *packet = malloc(length + !length); /* its own block: any byte too far is seen */
            if (!packet) abort();
            memcpy(packet, data + at + 1, length);
            int taken = yd_decoder_take(decoder, (int64_t)at, (struct yd_str){packet, length});
            if (closely &&
                yd_plan_explain(plan, (struct yd_str){packet, length}, YD_STR(""), at & 1, &shown) != taken &&
                taken >= 0 && yd_plan_packet_count(plan) && taken != 1 + YD_DECOM_NO_SYNC &&
                strstr(text.data, "frame") == NULL)
                abort();
            at += length + 1;
            free(packet);
            bits += length * 8;
            count_bits(plan, decoder, bits);
        }
        (void)yd_decoder_end(decoder);
        count_bits(plan, decoder, bits);
        if (closely) encode(plan, data, size);
        (void)yd_decoder_flush(decoder);
        yd_decoder_destroy(decoder);
    }
    yd_plan_destroy(plan);
    yd_buf_fini(&shown);
    yd_diagnostics_fini(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *split = size ? memmem(data, size, "%%", 2) : NULL;
    char *text = NULL;
    struct yd_str definition = {everything, sizeof everything - 1};
    if (size && data[0] == 0xf1) definition = (struct yd_str){frames, sizeof frames - 1};
    if (size && data[0] == 0xf2) definition = (struct yd_str){checked, sizeof checked - 1};
    if (split) {
        text = malloc((size_t)(split - data) + 1);
        if (!text) abort();
        memcpy(text, data, (size_t)(split - data));
        text[split - data] = 0;
        definition = (struct yd_str){text, (size_t)(split - data)};
        size -= (size_t)(split - data) + 2;
        data = split + 2;
    }
    run(definition, data, size, false);
    run(definition, data, size, true);
    free(text);
    return 0;
}
