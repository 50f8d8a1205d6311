/* Any bytes as a definition, and any bytes as its packets. In front of the first line "%%" is the definition (without
 * one: a definition that has everything), behind it the packets, each behind a byte that says how long it is. No crash,
 * no byte read outside of a packet, no leak; what leaves is a valid batch; whatever is said can be printed. */
#include <stdio.h>
#include <stdlib.h>

#include "decom/plan.h"

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

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct yd_batch *checked;
    char *frame = malloc(batch->header.size);
    (void)arg;
    if (!frame) abort();
    yd_batch_to_bytes(batch, frame);
    if (yd_batch_from_bytes(frame, batch->header.size, &checked) < 0) abort();
    yd_batch_unref(checked);
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
        }
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
