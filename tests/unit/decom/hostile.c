/* What no definition foresaw: random packets, cut packets, no memory. Each packet lies in a block of its own, so that a
 * sanitizer sees any byte too far. */
#include <inttypes.h>
#include <time.h>

#include "decoded.h"

static const char everything[] =
    "container h\n  id u8\n"
    "packet a : h when id == 1\n  x u12\n  y i20 scale 0.5\n  z f32\n  m u8 { 0 A, 1 B }\n  k u4 at 1\n  ...\n"
    "packet b : h when id == 2\n  n u8\n  g group[n, max 20]\n    k u4\n    t text(k)\n    u bcd12 if k > 3\n  r "
    "bytes(rest)\n"
    "packet c : h when id == 3\n  s text(until 0, max 9)\n  p text(prefix u16le) charset utf16le\n  l text(5) charset "
    "latin1 at "
    "+ 3\n  q u7[*]\n"
    "packet d : h when id == 4\n  a u8\n  b u8\n  m u16[a, max 64][b, max 64]\n  e u32 at end - 4\n"
    "packet e : h when id == 5\n  t cuc(4, 3) stamp\n  d cds(3, 4)\n  c u14 sequence by id\n  v mil48\n  w gray9 lsb0\n"
    "  z u8 calc(x / (x - 7))\n"
    "packet f : h when id > 5 and id != 9\n  g group[*]\n    n u8\n    b bytes(n) at + 1\n";
static const char frames[] = "frame f\n  sync 0x5a3c\n  minor 9 words of 7\n  major 3 by n from 1\n  n u7 word 4\n"
                             "  a u14 word 5 + 6\n  b i7 word 7 frame 1 scale 2\n  c u7 word 8, 9\n";

static void drop(void *arg, struct yd_batch *batch)
{
    struct yd_batch *checked;
    char *frame = malloc(batch->header.size);
    (void)arg;
    yd_batch_to_bytes(batch, frame);
    assert_int_equal(yd_batch_from_bytes(frame, batch->header.size, &checked), 0);
    yd_batch_unref(checked);
    yd_batch_unref(batch);
    free(frame);
}

static uint64_t seed;
static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % below);
}

static struct yd_plan *plan_of(const char *text, struct yd_alloc *alloc, int *ret)
{
    struct yd_plan *plan = NULL;
    struct yd_diagnostics diagnostics;
    struct yd_plan_options options = {.alloc = alloc, .raw = true};
    yd_diagnostics_init(&diagnostics, NULL);
    *ret = yd_plan_read("hostile", yd_str_of(text), &options, &diagnostics, &plan);
    yd_diagnostics_fini(&diagnostics);
    return plan;
}

/* Frames are hardly ever there by chance. */
static void feed(const char *text, unsigned packets, bool some_decode)
{
    int r;
    struct yd_plan *plan = plan_of(text, NULL, &r);
    struct yd_decoder *decoder;
    struct yd_decoder_options options = {.size_max = 8192, .batch = drop};
    struct yd_decoder_counts counts;
    assert_int_equal(r, 0);
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    uint64_t good = 0, bad = 0;
    for (unsigned i = 0; i < packets; i++) {
        size_t size = any(8) ? any(40) : any(1500);
        char *packet = malloc(size + !size);
        for (size_t j = 0; j < size; j++) packet[j] = (char)(any(4) ? any(256) : any(8));
        if (size && any(4)) packet[0] = (char)(1 + any(7));
        int taken = yd_decoder_take(decoder, i, (struct yd_str){packet, size});
        assert_in_range(taken, 0, YD_DECOM_REASON_COUNT);
        good += taken == 0;
        bad += taken > 0;
        free(packet);
    }
    assert_int_equal(yd_decoder_flush(decoder), 0);
    yd_decoder_counts(decoder, &counts);
    assert_int_equal(counts.rejected, bad);
    assert_true(bad > 0);
    if (some_decode) assert_true(good > 0);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
}

static void random_packets_of_every_kind_harm_nothing(void **state)
{
    (void)state;
    const char *given = getenv("YARDER_SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%" PRIu64 "\n", seed);
    feed(everything, 20000, true);
    feed(frames, 4000, false);
}

static void a_packet_cut_anywhere_is_refused_whole(void **state)
{
    (void)state;
    static const uint8_t whole[] = {2, 3, 0x14, 0x14, 0x24, 0x14, 0x24, 0x31, 0x00};
    int r;
    struct yd_plan *plan =
        plan_of("packet p\n  id u8\n  n u8\n  g group[n]\n    k u4\n    t text(k)\n  e u16 at end - 2\n", NULL, &r);
    struct yd_decoder *decoder;
    uint64_t values = 0;
    struct yd_decoder_options options = {.arg = &values, .batch = drop};
    assert_int_equal(r, 0);
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    for (size_t size = 0; size < sizeof whole; size++) {
        struct yd_decoder_counts before, after;
        char *cut = malloc(size + !size);
        memcpy(cut, whole, size);
        yd_decoder_counts(decoder, &before);
        int taken = yd_decoder_take(decoder, 0, (struct yd_str){cut, size});
        yd_decoder_counts(decoder, &after);
        if (taken) assert_int_equal(before.values, after.values);
        free(cut);
    }
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct yd_alloc_failing failing;
        struct yd_decoder *decoder = NULL;
        int r;
        yd_alloc_failing_init(&failing, n);
        struct yd_plan *plan = plan_of(everything, &failing.alloc, &r);
        if (r == 0) {
            struct yd_decoder_options options = {.size_max = 8192, .batch = drop};
            r = yd_decoder_create(plan, &options, &failing.alloc, &decoder);
            static const char packet[] = "\2\2\x24\x41\x42\x34\x41\x42\x43zzz";
            if (r == 0) r = yd_decoder_take(decoder, 1, (struct yd_str){packet, sizeof packet - 1});
            if (r >= 0) r = yd_decoder_flush(decoder);
        }
        yd_decoder_destroy(decoder);
        yd_plan_destroy(plan);
        assert_int_equal(failing.bytes_out, 0);
        if (r == 0) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(r, YD_ENOMEM);
        assert_true(n < 100000);
    }
}

/* Each of them begins where those before it have all been placed: what is compared for warnings is not kept. */
static void a_long_chain_of_containers_costs_what_its_text_does(void **state)
{
    (void)state;
    int r;
    struct yd_buf text;
    struct yd_alloc_failing counting;
    yd_alloc_failing_init(&counting, 0);
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "container c0\n  id u8\n");
    for (int i = 1; i < 3000; i++)
        yd_buf_printf(&text, "%s c%d : c%d\n  f%d u8 at %d\n", i == 2999 ? "packet" : "container", i, i - 1, i, i);
    yd_buf_char(&text, 0);
    struct yd_plan *plan = plan_of(text.data, &counting.alloc, &r);
    assert_int_equal(r, 0);
    print_message("# %" PRId64 " bytes of %zu\n", counting.bytes_out, text.size);
    assert_true(counting.bytes_out < INT64_C(300) * (int64_t)text.size);
    yd_plan_destroy(plan);
    assert_int_equal(counting.bytes_out, 0);
    yd_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_packets_of_every_kind_harm_nothing),
        cmocka_unit_test(a_packet_cut_anywhere_is_refused_whole),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_long_chain_of_containers_costs_what_its_text_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
