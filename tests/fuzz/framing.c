/* Framing: whatever comes, pieces and the whole agree, for each family; frames are within bounds; it ends. The first
 * byte chooses the family and how. */
#include "elements/framing.h"
#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sums {
    uint64_t frames, bad, skipped, hash, size_max;
};

static void on_frame(void *arg, struct yd_str frame)
{
    struct sums *sums = arg;
    YD_ASSERT(frame.size <= sums->size_max);
    sums->frames++;
    sums->hash = sums->hash * 31 + yd_hash_str(frame);
}

static void on_bad(void *arg, enum yd_framing_reason reason, struct yd_str bytes)
{
    struct sums *sums = arg;
    sums->bad++;
    sums->hash = sums->hash * 31 + reason;
    if (bytes.size) sums->size_max += 0 * (uint64_t)bytes.data[bytes.size - 1]; /* it can be read */
}

static void on_skipped(void *arg, struct yd_str bytes)
{
    ((struct sums *)arg)->skipped += bytes.size;
}

static struct sums run(const struct yd_framing_options *options, struct yd_str bytes, size_t step)
{
    struct sums sums = {.size_max = options->size_max};
    struct yd_framing *framing;
    YD_ASSERT(yd_framing_create(options, (struct yd_framing_sink){&sums, on_frame, on_bad, on_skipped}, &framing) == 0);
    int r = 0;
    for (size_t at = 0; at < bytes.size && r == 0; at += step)
        r = yd_framing_take(framing, (struct yd_str){bytes.data + at, YD_MIN(step, bytes.size - at)});
    YD_ASSERT(r == 0 || !options->slides);
    if (r == 0) yd_framing_end(framing, true);
    yd_framing_destroy(framing);
    if (r < 0) sums.skipped = 0; /* what is behind goes uncounted: the connection has ended */
    return sums;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct yd_framing_options options = {
        .family = (enum yd_framing_family)(data[0] % (YD_FRAMING_LINES + 1)),
        .size_max = data[1] & 1 ? 40 : 300,
        .checksum = data[0] & 0x80 ? (enum yd_checksum)(data[1] % YD_CHECKSUM_COUNT) : YD_CHECKSUM_NONE,
        .checksum_little = data[0] & 0x40,
        .length = {(data[1] >> 1) % 5, 1 + (data[1] >> 3) % 4, data[1] & 2, data[1] % 9 - 2},
        .sync = {0xeb, data[1]},
        .sync_size = 1 + (data[1] & 1),
        .slides = data[1] & 4};
    if (options.family == YD_FRAMING_FIXED || options.family == YD_FRAMING_TM_FRAME || data[1] & 0x20) options.size = 9;
    struct yd_str bytes = {(const char *)data + 2, size - 2};
    struct sums whole = run(&options, bytes, size), pieces = run(&options, bytes, 3), bits = run(&options, bytes, 1);
    YD_ASSERT(whole.frames == pieces.frames && whole.bad == pieces.bad && whole.hash == pieces.hash);
    YD_ASSERT(whole.frames == bits.frames && whole.bad == bits.bad && whole.hash == bits.hash);
    YD_ASSERT(whole.skipped == pieces.skipped && whole.skipped == bits.skipped);
    return 0;
}
