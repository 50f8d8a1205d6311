/* Framing: each rule by its examples; and for all: pieces of any size give equal frames, bad ones and skipped bytes. */
#include "testing.h"

#include <malloc.h>

#include "elements/framing.h"

struct seen {
    struct yd_buf text; /* "frame HEX", "bad N", "skip N", a line each; skips are summed up */
    uint64_t skipped, frames, bad, skipped_all;
};

static void end_skip(struct seen *seen)
{
    if (seen->skipped) yd_buf_printf(&seen->text, "skip %llu\n", (unsigned long long)seen->skipped);
    seen->skipped = 0;
}

static void on_frame(void *arg, struct yd_str frame)
{
    struct seen *seen = arg;
    end_skip(seen);
    yd_buf_cstr(&seen->text, "frame ");
    for (size_t i = 0; i < frame.size; i++) yd_buf_printf(&seen->text, "%02x", (uint8_t)frame.data[i]);
    yd_buf_char(&seen->text, '\n');
    seen->frames++;
}

static void on_bad(void *arg, enum yd_framing_reason reason, struct yd_str bytes)
{
    static const char *const names[] = {
#define NAME(name, text) #name,
        YD_FRAMING_REASONS(NAME)
#undef NAME
    };
    struct seen *seen = arg;
    (void)bytes;
    end_skip(seen);
    yd_buf_printf(&seen->text, "bad %s\n", names[reason]);
    seen->bad++;
}

static void on_skipped(void *arg, struct yd_str bytes)
{
    struct seen *seen = arg;
    assert_true(bytes.size > 0);
    seen->skipped += bytes.size;
    seen->skipped_all += bytes.size;
}

/* pieces 0: at once; 1: byte by byte; else random ones of up to so many bytes. */
static struct seen run(const struct yd_framing_options *options, struct yd_str bytes, size_t pieces, struct yd_rng *rng)
{
    struct seen seen = {0};
    struct yd_framing *framing;
    yd_buf_init(&seen.text, NULL);
    assert_int_equal(
        yd_framing_create(options, (struct yd_framing_sink){&seen, on_frame, on_bad, on_skipped}, &framing), 0);
    int r = 0;
    for (size_t at = 0; at < bytes.size && r == 0;) {
        size_t size = pieces == 0 ? bytes.size : pieces == 1 ? 1 : 1 + (size_t)yd_rng_below(rng, pieces);
        size = YD_MIN(size, bytes.size - at);
        char *copy = malloc(size); /* so that a sanitizer sees a byte too far */
        memcpy(copy, bytes.data + at, size);
        r = yd_framing_take(framing, (struct yd_str){copy, size});
        free(copy);
        at += size;
    }
    if (r < 0)
        yd_buf_cstr(&seen.text, "lost\n");
    else
        yd_framing_end(framing, true);
    end_skip(&seen);
    yd_framing_destroy(framing);
    (void)text_of(&seen.text);
    return seen;
}

static void expect(const struct yd_framing_options *options, const char *bytes, size_t size, const char *want)
{
    struct yd_rng rng;
    yd_rng_init(&rng, size);
    for (size_t pieces = 0; pieces < 4; pieces++) {
        struct seen seen = run(options, (struct yd_str){bytes, size}, pieces, &rng);
        assert_same_text(seen.text.data ? seen.text.data : "", want);
        yd_buf_fini(&seen.text);
    }
}
#define EXPECT(options, bytes, want) expect(options, bytes, sizeof(bytes) - 1, want)

/* ---- the rules ---- */

static void fixed_and_length(void **state)
{
    (void)state;
    struct yd_framing_options fixed = {.family = YD_FRAMING_FIXED, .size = 3, .size_max = 16};
    EXPECT(&fixed, "abcdefgh", "frame 616263\nframe 646566\nbad CUT_SHORT\n");
    fixed.strip = 1;
    EXPECT(&fixed, "abc", "frame 6263\n");
    struct yd_framing_options length = {.family = YD_FRAMING_LENGTH, .size_max = 16, .length = {1, 2, false, 3}};
    EXPECT(&length, "x\0\2aby\0\0", "frame 7800026162\nframe 790000\n");
    EXPECT(&length, "x\0\15xxxxxxxxxxxxx", "frame 78000d78787878787878787878787878\n"); /* 16 in all */
    EXPECT(&length, "x\0\16", "bad LENGTH\nlost\n");                                    /* 17 */
    length.slides = true;
    EXPECT(&length, "\xff\xffx\0\1a", "bad LENGTH\nbad LENGTH\nframe 78000161\n");
    struct yd_framing_options little = {.family = YD_FRAMING_LENGTH, .size_max = 99, .length = {0, 4, true, 0}};
    EXPECT(&little, "\6\0\0\0ab\4\0\0\0", "frame 060000006162\nframe 04000000\n"); /* of the packet, itself with it */
    EXPECT(&little, "\3\0\0\0", "bad LENGTH\nlost\n");                             /* less than its own header */
    EXPECT(&little, "\xff\xff\xff\xff", "bad LENGTH\nlost\n");
    little.length.more = -4;
    EXPECT(&little, "\4\0\0\0", "bad LENGTH\nlost\n"); /* 0 would go on for ever */
}

static void a_sync_word_is_found_again(void **state)
{
    (void)state;
    struct yd_framing_options sync = {
        .family = YD_FRAMING_SYNC, .size = 5, .size_max = 16, .sync = {0xeb, 0x90}, .sync_size = 2};
    EXPECT(&sync,
           "zz\xeb\x90"
           "abc\xeb\x90"
           "def\xeb",
           "skip 2\nframe eb90616263\nframe eb90646566\nbad CUT_SHORT\n");
    EXPECT(&sync,
           "\xeb\xeb\x90"
           "abc\xeb"
           "x\xeb\x90"
           "def",
           "skip 1\nframe eb90616263\nskip 2\nframe eb90646566\n");
    sync.size = 0;
    sync.length = (typeof(sync.length)){2, 1, false, 3};
    EXPECT(&sync,
           "\xeb\x90\2ab\xeb\x90\xff"
           "x\xeb\x90\1c",
           "frame eb90026162\nbad LENGTH\nskip 3\nframe eb900163\n");
    /* Behind a wrong checksum nothing is passed over: a good frame inside of what was none is found. */
    sync.checksum = YD_CHECKSUM_CRC16_CCITT;
    EXPECT(&sync, "\xeb\x90\xb\xeb\x90\2\xc1\xb2zzzzzz", "bad CHECKSUM\nskip 2\nframe eb9002c1b2\nskip 6\n");
}

static void ccsds_packets_and_frames(void **state)
{
    (void)state;
    struct yd_framing_options packet = {.family = YD_FRAMING_SPACE_PACKET, .size_max = 16};
    EXPECT(&packet, "\x08\x01\xc0\x00\0\1ab\x08\x01\xc0\x01\0\0c", "frame 0801c00000016162\nframe 0801c001000063\n");
    EXPECT(&packet, "\x08\x01\xc0\x00\0\x0a", "bad TOO_LARGE\nlost\n");
    EXPECT(&packet, "\x28\x01\xc0\x00\0\0a", "bad HEADER\nlost\n");
    struct yd_framing_options tm = {
        .family = YD_FRAMING_TM_FRAME, .size = 4, .size_max = 16, .sync = {0x1a, 0xcf, 0xfc, 0x1d}, .sync_size = 4};
    EXPECT(&tm, "x\x1a\xcf\xfc\x1d\1ab", "skip 1\nbad CUT_SHORT\n");
    EXPECT(&tm, "x\x1a\xcf\xfc\x1dS4\x1a\xcf\xfc\x1d\1abc", "skip 1\nbad HEADER\nskip 5\nframe 01616263\n");
    EXPECT(&tm, "\x1a\xcf\xfc\x1d\7abc\x1a\xcf\xfc\x1d\1abc", "frame 07616263\nframe 01616263\n");
    tm.size = 11; /* the check value of CRC-16/CCITT-FALSE: 0x29b1 */
    tm.checksum = YD_CHECKSUM_CRC16_CCITT;
    EXPECT(&tm,
           "\x1a\xcf\xfc\x1d"
           "123456789\x29\xb1",
           "frame 31323334353637383929b1\n");
    EXPECT(&tm,
           "\x1a\xcf\xfc\x1d"
           "123456789\x29\xb0",
           "bad CHECKSUM\nskip 14\n");
}

static void checksums_of_any_kind_and_order(void **state)
{
    (void)state;
    struct yd_framing_options options = {
        .family = YD_FRAMING_FIXED, .size = 13, .size_max = 64, .checksum = YD_CHECKSUM_CRC32};
    EXPECT(&options,
           "123456789\xcb\xf4\x39\x26"
           "123456789\x26\x39\xf4\xcb",
           "frame 313233343536373839cbf43926\nbad CHECKSUM\n");
    options.checksum_little = true;
    EXPECT(&options, "123456789\x26\x39\xf4\xcb", "frame 3132333435363738392639f4cb\n");
    struct yd_framing_options cobs = {
        .family = YD_FRAMING_COBS, .size_max = 64, .checksum = YD_CHECKSUM_CRC32C, .checksum_little = true};
    EXPECT(&cobs,
           "\x0e"
           "123456789\x83\x92\x06\xe3\0\x0e"
           "123456780\x83\x92\x06\xe3\0\2a\0",
           "frame 313233343536373839839206e3\nbad CHECKSUM\nbad CHECKSUM\n");
}

static void mavlink_of_both_versions(void **state)
{
    /* A heartbeat, and a message whose CRC_EXTRA is not among the usual ones. */
    static const char v1[] = "\xfe\x09\x4e\x01\x01\x00\x00\x00\x00\x00\x02\x03\x51\x03\x03\x19\xf3";
    static const char other[] = "\xfe\x28\x01\x01\x01\xea\x04\0\0\0\x24\x2c\x4f\x14\xd4\xf3\x2c\xba\xc1\xfe\x78\xfe\x52"
                                "\x7d\x68\x29\xd3\x01\xd4\xe5\x01\0\x81\0\x17\0\0\0\0\x09\x04\0\0\0\0\x01\x80\x99";
    struct yd_framing_options options = {.family = YD_FRAMING_MAVLINK, .size_max = 280};
    struct yd_rng rng;
    (void)state;
    struct seen seen = run(&options, (struct yd_str){v1, sizeof v1 - 1}, 0, &rng);
    assert_same_text(seen.text.data, "frame fe094e01010000000000020351030319f3\n");
    yd_buf_fini(&seen.text);
    seen = run(&options, (struct yd_str){other, sizeof other - 1}, 0, &rng);
    assert_int_equal(seen.frames, 1);
    yd_buf_fini(&seen.text);
    options.extras[0].message = 234;
    options.extras[0].extra = 150;
    options.extra_count = 1;
    seen = run(&options, (struct yd_str){other, sizeof other - 1}, 0, &rng);
    assert_int_equal(seen.frames, 1);
    yd_buf_fini(&seen.text);
    options.extras[0].extra = 151;
    seen = run(&options, (struct yd_str){other, sizeof other - 1}, 0, &rng);
    assert_int_equal(seen.frames, 0);
    assert_true(strncmp(seen.text.data, "bad CHECKSUM\n", 13) == 0);
    yd_buf_fini(&seen.text);
    EXPECT(&options, "\xfd\0\2\0\0\0\0\0\0\0", "bad HEADER\nskip 9\n"); /* a flag that nobody knows */
}

static void what_is_stuffed(void **state)
{
    (void)state;
    struct yd_framing_options cobs = {.family = YD_FRAMING_COBS, .size_max = 300};
    EXPECT(&cobs, "\1\1\0\3\x11\x22\2\x33\0\0", "frame 00\nframe 11220033\n");
    EXPECT(&cobs, "\1\1\1\0\2\x11\1\1\1\0", "frame 0000\nframe 11000000\n");
    EXPECT(&cobs, "\5ab\0\2a\0", "bad CODING\nframe 61\n");
    EXPECT(&cobs, "\2a", "bad CUT_SHORT\n");
    char block[258] = "\xff";
    for (int i = 1; i < 255; i++) block[i] = (char)i;
    block[255] = 2, block[256] = (char)255; /* 254 that are not zero, then one more: no zero between */
    struct yd_rng rng;
    struct seen seen = run(&cobs, (struct yd_str){block, 258}, 1, &rng);
    assert_int_equal(seen.frames, 1);
    assert_int_equal(seen.text.size, strlen("frame \n") + 2 * 255);
    assert_true(strstr(seen.text.data, "fdfeff\n") != NULL);
    yd_buf_fini(&seen.text);
    cobs.size_max = 4;
    EXPECT(&cobs, "\5abcd\0\6abcde\0xxxxxxxxxxxxxxxxxxxx\0\2a\0",
           "frame 61626364\nbad TOO_LARGE\nbad TOO_LARGE\nframe 61\n");
    struct yd_framing_options slip = {.family = YD_FRAMING_SLIP, .size_max = 4};
    EXPECT(&slip,
           "\xc0"
           "a\xdb\xdc\xdb\xdd\xc0\xc0"
           "b\xc0",
           "frame 61c0db\nframe 62\n");
    EXPECT(&slip,
           "a\xdbz\xc0"
           "b\xdb\xc0"
           "c\xc0",
           "bad CODING\nbad CODING\nframe 63\n");
    EXPECT(&slip,
           "abcde\xc0\xdb\xdc\xdb\xdc\xdb\xdc\xdb\xdc\xc0"
           "123456789\xc0!\xc0",
           "bad TOO_LARGE\nframe c0c0c0c0\nbad TOO_LARGE\nframe 21\n");
    struct yd_framing_options lines = {.family = YD_FRAMING_LINES, .size_max = 4};
    EXPECT(&lines, "ab\r\n\n\r\nabcd\r\nabcde\nabcdefghijk\nx\r",
           "frame 6162\nframe 61626364\nbad TOO_LARGE\nbad TOO_LARGE\nframe 78\n");
}

/* ---- without end ---- */

struct totals {
    uint64_t frames, bad, skipped;
    size_t memory;
};

static void count_frame(void *arg, struct yd_str frame)
{
    (void)frame;
    ((struct totals *)arg)->frames++;
}

static void count_bad(void *arg, enum yd_framing_reason reason, struct yd_str bytes)
{
    (void)reason;
    (void)bytes;
    ((struct totals *)arg)->bad++;
}

static void count_skipped(void *arg, struct yd_str bytes)
{
    ((struct totals *)arg)->skipped += bytes.size;
}

/* ---- pieces ---- */

static const struct yd_framing_options all[] = {
    {.family = YD_FRAMING_FIXED, .size = 7, .size_max = 64, .checksum = YD_CHECKSUM_CRC16_CCITT},
    {.family = YD_FRAMING_LENGTH, .size_max = 64, .length = {1, 1, false, 2}, .slides = true},
    {.family = YD_FRAMING_LENGTH,
     .size_max = 64,
     .length = {0, 2, true, 0},
     .checksum = YD_CHECKSUM_CRC16_CCITT,
     .slides = true},
    {.family = YD_FRAMING_SYNC,
     .size = 9,
     .size_max = 64,
     .sync = {0},
     .sync_size = 1,
     .checksum = YD_CHECKSUM_CRC16_CCITT},
    {.family = YD_FRAMING_SYNC, .size_max = 64, .sync = {1, 1, 2}, .sync_size = 3, .length = {3, 1, false, 4}},
    {.family = YD_FRAMING_SYNC,
     .size_max = 64,
     .sync = {0, 0},
     .sync_size = 2,
     .length = {2, 1, false, 3},
     .checksum = YD_CHECKSUM_CRC16_CCITT},
    {.family = YD_FRAMING_SPACE_PACKET, .size_max = 64, .slides = true},
    {.family = YD_FRAMING_TM_FRAME, .size = 6, .size_max = 64, .sync = {0, 1}, .sync_size = 2},
    {.family = YD_FRAMING_MAVLINK, .size_max = 280},
    {.family = YD_FRAMING_COBS, .size_max = 20},
    {.family = YD_FRAMING_SLIP, .size_max = 20},
    {.family = YD_FRAMING_LINES, .size_max = 20},
};

/* Of few byte values, those that mean something more often: so that most bytes begin something. */
static void fill(struct yd_rng *rng, char *to, size_t size)
{
    static const uint8_t liked[] = {0, 0, 0, 1, 1, 2, 3, 9, '\n', '\r', 0xc0, 0xdb, 0xdc, 0xdd, 0xfd, 0xfe, 0xff};
    for (size_t i = 0; i < size; i++)
        to[i] = yd_rng_below(rng, 4) ? (char)liked[yd_rng_below(rng, sizeof liked)] : (char)yd_rng_below(rng, 256);
}

static void pieces_of_any_size_give_the_same(void **state)
{
    (void)state;
    struct yd_rng rng;
    uint64_t frames = 0, bad = 0, skipped = 0;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 600; round++) {
        const struct yd_framing_options *options = &all[(size_t)round % YD_COUNT(all)];
        char bytes[2000];
        size_t size = (size_t)yd_rng_below(&rng, sizeof bytes);
        fill(&rng, bytes, size);
        struct seen whole = run(options, (struct yd_str){bytes, size}, 0, &rng);
        frames += whole.frames, bad += whole.bad, skipped += whole.skipped_all;
        for (size_t pieces = 1; pieces < 60; pieces += 1 + pieces * 2) {
            struct seen cut = run(options, (struct yd_str){bytes, size}, pieces, &rng);
            assert_same_text(cut.text.data ? cut.text.data : "", whole.text.data ? whole.text.data : "");
            yd_buf_fini(&cut.text);
        }
        yd_buf_fini(&whole.text);
    }
    assert_true(frames > 1000 && bad > 1000 && skipped > 1000);
}

/* Of whatever never ends or is never found, no more is kept than the largest frame; each byte is counted. */
static void what_never_ends_takes_no_more_memory_than_a_frame(void **state)
{
    enum { TOTAL = 4 << 20, PIECE = 4096, MOST = 1024 };
    static const struct {
        struct yd_framing_options options;
        char fill;
        uint64_t bad, skipped; /* at the end of it all */
    } cases[] = {
        {{.family = YD_FRAMING_SYNC, .size = 20, .size_max = MOST, .sync = {0xeb, 0x90}, .sync_size = 2},
         'x',
         0,
         TOTAL},
        /* the word's first byte for ever: the last one may begin it */
        {{.family = YD_FRAMING_SYNC, .size = 20, .size_max = MOST, .sync = {0xeb, 0x90}, .sync_size = 2},
         '\xeb',
         1,
         TOTAL - 1},
        {{.family = YD_FRAMING_COBS, .size_max = MOST}, '\1', 1, 0},
        {{.family = YD_FRAMING_SLIP, .size_max = MOST}, '\xdb', 1, 0},
        {{.family = YD_FRAMING_LINES, .size_max = MOST}, 'x', 1, 0},
        /* a length that lies: too large each time, and each byte is tried */
        {{.family = YD_FRAMING_SPACE_PACKET, .size_max = MOST, .slides = true}, '\x0f', TOTAL - 5 + 1, 0},
        {{.family = YD_FRAMING_LENGTH, .size_max = MOST, .length = {0, 2, false, 2}, .slides = true},
         '\x7f',
         TOTAL - 1 + 1,
         0},
    };
    (void)state;
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct totals totals = {0};
        struct yd_framing *framing;
        char *piece = malloc(PIECE);
        memset(piece, cases[i].fill, PIECE);
        assert_int_equal(yd_framing_create(&cases[i].options,
                                           (struct yd_framing_sink){&totals, count_frame, count_bad, count_skipped},
                                           &framing),
                         0);
        for (size_t at = 0; at < TOTAL; at += PIECE) {
            assert_int_equal(yd_framing_take(framing, (struct yd_str){piece, PIECE}), 0);
            if (at == TOTAL / 4) totals.memory = mallinfo2().uordblks;
        }
        assert_true(mallinfo2().uordblks <= totals.memory + 4 * MOST);
        yd_framing_end(framing, true);
        assert_int_equal(totals.frames, 0);
        assert_int_equal(totals.bad, cases[i].bad);
        assert_int_equal(totals.skipped, cases[i].skipped);
        yd_framing_destroy(framing);
        free(piece);
    }
}

/* Where each byte seems to begin a frame of 64 KiB with a wrong checksum. */
static void hostile_checksums_cost_a_bounded_time(void **state)
{
    (void)state;
    struct yd_framing_options sync = {.family = YD_FRAMING_SYNC,
                                      .size = 1 << 16,
                                      .size_max = 1 << 16,
                                      .sync = {7},
                                      .sync_size = 1,
                                      .checksum = YD_CHECKSUM_CRC16_CCITT};
    size_t size = 1 << 21;
    char *bytes = malloc(size);
    struct yd_rng rng;
    memset(bytes, 7, size);
    struct seen seen = run(&sync, (struct yd_str){bytes, size}, 0, &rng);
    /* Each costs 64 KiB: at most 16 times what came, and the patience of the beginning. */
    assert_true(seen.bad <= 16 * (size >> 16) + 16 + 1);
    assert_true(seen.bad >= size >> 16);
    yd_buf_fini(&seen.text);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_and_length),
        cmocka_unit_test(a_sync_word_is_found_again),
        cmocka_unit_test(ccsds_packets_and_frames),
        cmocka_unit_test(checksums_of_any_kind_and_order),
        cmocka_unit_test(mavlink_of_both_versions),
        cmocka_unit_test(what_is_stuffed),
        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test(what_never_ends_takes_no_more_memory_than_a_frame),
        cmocka_unit_test(hostile_checksums_cost_a_bounded_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
