/* Commutated frames: what their words carry, how the stream is locked onto, what is counted when it is not; and the
 * encoder beside the decoder. */
#include <time.h>

#include "base/hash.h"
#include "decoded.h"
#include "decom/encode.h"

static uint64_t bits_in;

/* Chunks in hex, '|' between, and the end of the stream. Every bit is in a frame taken or refused, or was skipped. */
static void run(struct decoded *decoded, const char *ydm, const char *hex)
{
    struct yd_decoder *decoder;
    struct yd_plan *plan = decoded_begin(decoded, ydm, false, &decoder);
    bits_in = 0;
    while (*hex) bits_in += decoded_take(decoded, decoder, &hex) * 8;
    assert_int_equal(yd_decoder_end(decoder), 0);
    assert_int_equal(yd_decoder_flush(decoder), 0);
    yd_buf_char(&decoded->lines, 0);
    yd_decoder_counts(decoder, &decoded->counts);
    const struct yd_frame_counts *frames = &decoded->counts.frames;
    uint64_t whole = decoded->counts.packets;
    for (int i = 0; i < YD_FRAME_REFUSAL_COUNT; i++) whole += frames->refused[i];
    assert_int_equal(whole * yd_plan_frame_bits(plan) + frames->skipped_bits, bits_in);
    assert_int_equal(frames->waiting_bits, 0);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
}

static void gives(const char *ydm, const char *hex, const char *lines)
{
    struct decoded decoded;
    run(&decoded, ydm, hex);
    assert_string_equal(decoded.lines.data, lines);
    decoded_fini(&decoded);
}

#define PCM                                                                                                            \
    "definition v\nframe pcm\n  sync 0xfe6b\n  minor 8 words of 8\n  major 4 by sfid\n  sfid u8 word 3\n  a i16 word " \
    "4 + 6\n"                                                                                                          \
    "  t u8 word 5 frame 2 scale 0.5\n  u u8 word 5 frame 1 every 2\n  v u8 word 7, 8\n"

static void frames_are_found_and_their_words_sorted_out(void **state)
{
    (void)state;
    gives(PCM, "00 11 fe6b 01 ff 10 fe 01 02 fe6b 02 00 20 05 03 04 fe6b 03 00 30 06 05 06",
          "v.pcm.sfid=1\nv.pcm.u=16\nv.pcm.a=-2\nv.pcm.v=1\nv.pcm.v=2\n"
          "v.pcm.sfid=2\nv.pcm.t=16\nv.pcm.a=5\nv.pcm.v=3\nv.pcm.v=4\n"
          "v.pcm.sfid=3\nv.pcm.u=48\nv.pcm.a=6\nv.pcm.v=5\nv.pcm.v=6\n"
          "v.frames packet=pcm what=skipped_bits=16 TALLY\n"
          "v.frames packet=pcm what=major_partial=1 TALLY\n");
}

static void frames_may_begin_in_any_bit_and_come_in_any_pieces(void **state)
{
    (void)state;
    /* Minor frames 3, 0, 2, 3, three bits late: 0xfe6b… >> 3. */
    gives(PCM,
          "1f cd 60 | 60 00 00 00 00 1f cd 60 | 1f e2 1f | c0 20 5f cd | 60 40 04 00 a0 | 60 9f cd 60 | 60 00 00 00 00 "
          "00",
          "v.frames packet=pcm what=skipped_bits=3 TALLY\n"
          "v.pcm.sfid=3\nv.pcm.u=0\nv.pcm.a=0\nv.pcm.v=0\nv.pcm.v=0\n"
          "v.frames packet=pcm what=major_partial=1 TALLY\n"
          "v.pcm.sfid=0\nv.pcm.a=-2\nv.pcm.v=1\nv.pcm.v=2\n"
          "v.lost packet=pcm=1 TALLY\n"
          "v.pcm.sfid=2\nv.pcm.t=16\nv.pcm.a=5\nv.pcm.v=3\nv.pcm.v=4\n"
          "v.pcm.sfid=3\nv.pcm.u=0\nv.pcm.a=0\nv.pcm.v=0\nv.pcm.v=0\n"
          "v.frames packet=pcm what=counter_jump=1 TALLY\n"
          "v.frames packet=pcm what=major_partial=1 TALLY\n"
          "v.frames packet=pcm what=skipped_bits=5 TALLY\n");
}

static void noise_between_frames_costs_the_noise(void **state)
{
    struct decoded decoded;
    (void)state;
    run(&decoded, PCM,
        "fe6b 00 00 00 00 01 02 fe6b 01 00 00 00 03 04 | 55 55 55 | fe6b 02 00 00 00 05 06 fe6b 03 00 00 00 07 08");
    assert_non_null(strstr(decoded.lines.data, "v.pcm.v=8\n"));
    assert_int_equal(decoded.counts.lost, 0);
    assert_int_equal(decoded.counts.packets, 4);
    assert_int_equal(decoded.counts.frames.sync_lost, 1);
    assert_int_equal(decoded.counts.frames.skipped_bits, 24);
    assert_int_equal(decoded.counts.frames.major_whole, 1);
    assert_int_equal(decoded.counts.frames.major_partial, 0);
    decoded_fini(&decoded);
    decode_raw(&decoded, PCM, "55 55 55 55 55 55 55 55 55 55 55 55 55 55 55", false);
    assert_int_equal(decoded.result, 1 + YD_DECOM_NO_SYNC);
    decoded_fini(&decoded);
}

/* ---- what words carry ---- */

static void words_carry_what_fields_do(void **state)
{
    (void)state;
    /* Words of 12 bits; the text goes over three and a bit of them. */
    gives("frame f\n  sync 0xfe6b28\n  minor 16 words of 12\n  on bool word 3 at bit 0\n  mode u3 word 3 at bit 1 { 0 "
          "OFF, 5 \"FULL "
          "POWER\", else ODD }\n  low i8 word 3 at bit 4\n  wide f64 word 4 + 5 + 6 + 7 + 8 + 9 at bit 8\n"
          "  name text(4) word 10 + 11 + 12 at bit 4\n  raw bytes(3) word 13 + 14\n  gray gray12 word 15\n"
          "  day bcd12 word 16 valid 0..366\n",
          /* 1 101 11111110 | wide 1.5 behind 8 bits | 0 "abcd" | 123456 | 0x006 = 4 | 999 */
          "fe6b28dfe003ff8000000000000061626364123456006999 fe6b280ff004000000000000000061200000000000000001",
          "f.on=true\nf.mode=FULL POWER\nf.low=-2\nf.wide=1.5\nf.name=abcd\nf.raw=123456\nf.gray=4\nf.day=999?\n"
          "f.on=false\nf.mode=OFF\nf.low=-1\nf.wide=2\nf.name=a\nf.raw=000000\nf.gray=0\nf.day=1\n");
}

static void calibrations_and_conditions_ask_other_words_wherever_they_are(void **state)
{
    (void)state;
    const char *ydm = "frame f\n  sync 0xeb90\n  minor 8 words of 8\n  major 2 by n\n  n u8 word 3 hidden\n"
                      "  mode u8 word 8 { 0 COLD, 1 HOT } hidden\n  set u8 word 7 frame 1 hidden\n"
                      "  t u8 word 4\n    when mode == HOT: poly(100, 1)\n    otherwise: poly(0, 1)\n"
                      "  e u8 word 5 if set == 7\n  c u8 word 6 = 0x33 hidden\n";
    /* The mode stands behind what it is about; `set` comes in frame 1 and counts from then on, also in frame 0. */
    gives(ydm, "eb90 00 05 09 33 ff 01 eb90 01 05 09 33 07 00 eb90 00 06 0a 33 ff 01 eb90 01 06 0a 33 08 00",
          "f.t=105\nf.t=5\nf.e=9\nf.t=106\nf.e=10\nf.t=6\n");
    /* Behind a loss it must come again; what is not always the same refuses its frame. */
    gives(ydm, "eb90 01 05 09 33 07 00 eb90 00 05 09 33 00 00 eb90 00 06 0a 33 00 00 eb90 01 06 0a 34 07 00",
          "f.t=5\nf.e=9\nf.t=5\nf.e=9\nlost packet=f=1 TALLY\nf.t=6\n"
          "frames packet=f what=constant=1 TALLY\nframes packet=f what=counter_jump=1 TALLY\nframes packet=f "
          "what=major_partial=2 TALLY\n"
          "frames packet=f what=major_partial=1 TALLY\n");
}

/* The words of the next value are put together where the text was, and the next frame has other ones. */
static void texts_that_others_ask_for_stay_until_they_come_again(void **state)
{
    (void)state;
    const char *behind = "frame f\n  sync 0xeb90\n  minor 6 words of 8\n  mode text(2) word 3 + 4\n"
                         "  x u8 word 5 if mode == \"ON\"\n  y u8 word 6\n";
    gives(behind, "eb90 4f4e 01 02 eb90 4f46 03 04 eb90 4f4e 05 06",
          "f.mode=ON\nf.x=1\nf.y=2\nf.mode=OF\nf.y=4\nf.mode=ON\nf.x=5\nf.y=6\n");
    const char *before =
        "frame f\n  sync 0xeb90\n  minor 7 words of 8\n  mode text(2) charset latin1 word 5 + 6 + 7 at bit 4 hidden\n"
        "  x u8 word 3 if mode == \"ON\"\n  y u8 word 4\n";
    gives(before, "eb90 01 02 04f4e0 eb90 03 04 04f460", "f.x=1\nf.y=2\nf.y=4\n");
    const char *apart = "frame f\n  sync 0xeb90\n  minor 7 words of 8\n  major 3 by n\n  n u8 word 3 hidden\n"
                        "  mode text(2) word 4 + 5 frame 0 hidden\n  kind bytes(2) word 6 + 7 frame 0 hidden\n"
                        "  x u8 word 4 frame 1 if mode == \"ON\"\n  y u8 word 5 frame 1 every 1 if kind == \"AB\"\n";
    gives(apart, "eb90 00 4f4e 4142 eb90 01 0708 0000 eb90 02 090a 0000 eb90 00 4f46 4142 eb90 01 0b0c 0000",
          "f.x=7\nf.y=8\nf.y=10\nf.y=12\nframes packet=f what=major_partial=1 TALLY\n");
}

static void what_is_always_the_same_is_so_in_any_encoding(void **state)
{
    (void)state;
    const char *ydm = "frame f\n  sync 0xeb90\n  minor 10 words of 8\n  k i8 word 3 = -2 hidden\n"
                      "  d bcd16 word 4 + 5 = 1234 hidden\n  g gray8 word 6 = 5 hidden\n  o ones8 word 7 = -3 hidden\n"
                      "  z ones8 word 8 = 0 hidden\n  l i16le word 9 + 10 at bit 0 = -2\n";
    gives(ydm, "eb90 fe 1234 07 fc 00 feff eb90 fe 1234 07 fc ff feff", "f.l=-2\nf.l=-2\n");
    static const char *const wrong[] = {"eb90 ff 1234 07 fc 00 feff", "eb90 fe 123a 07 fc 00 feff",
                                        "eb90 fe 1234 05 fc 00 feff", "eb90 fe 1234 07 fd 00 feff",
                                        "eb90 fe 1234 07 fc 01 feff", "eb90 fe 1234 07 fc 00 fffe"};
    for (size_t i = 0; i < YD_COUNT(wrong); i++) {
        char hex[128];
        (void)snprintf(hex, sizeof hex, "%s eb90 fe 1234 07 fc 00 feff", wrong[i]);
        gives(ydm, hex, "f.l=-2\nframes packet=f what=constant=1 TALLY\n");
    }
}

static void a_stamp_in_the_frame_is_its_time(void **state)
{
    struct decoded decoded;
    (void)state;
    run(&decoded,
        "frame f\n  sync 0xeb90\n  minor 8 words of 8\n  rate 64000\n  t u32 ms since unix word 3 + 4 + 5 + 6 stamp "
        "hidden\n"
        "  a u8 word 8\n",
        "eb90 00000001 00 07 eb90 00000002 00 08");
    assert_int_equal(decoded.time_ns, 2 * YD_NS_PER_MS + YD_NS_PER_MS); /* behind all 64 bits, at 64 kbit/s */
    decoded_fini(&decoded);
    /* Without a rate values are a nanosecond apart, up to the last one that there is. */
    run(&decoded,
        "frame f\n  sync 0xeb90\n  minor 12 words of 8\n  t i64 ns since unix word 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 "
        "stamp "
        "hidden\n  a u8 word 11\n  b u8 word 12\n",
        "eb90 7ffffffffffffffe 07 08 eb90 7ffffffffffffffe 07 08");
    assert_int_equal(decoded.time_ns, INT64_MAX);
    decoded_fini(&decoded);
}

static void a_checksum_refuses_its_frame_before_its_counter_is_believed(void **state)
{
    (void)state;
    const char *ydm = "frame f\n  sync 0xeb90\n  minor 6 words of 8\n  major 4 by n\n  n u8 word 3\n  a u8 word 4\n"
                      "  crc u16 word 5 + 6 hidden check sum16 from 2\n";
    gives(ydm, "eb90 00 07 0007 eb90 03 07 0007 eb90 02 07 0009 eb90 03 08 000b",
          "f.n=0\nf.a=7\nf.n=2\nf.a=7\nf.n=3\nf.a=8\nframes packet=f what=checksum=1 TALLY\nframes packet=f "
          "what=major_partial=1 TALLY\n");
    /* In any bit of a byte. */
    gives(ydm, "75c8 00 03 8003 f5c8 00 83 8004 00",
          "f.n=0\nf.a=7\nf.n=1\nf.a=7\nframes packet=f what=skipped_bits=1 TALLY\n"
          "frames packet=f what=skipped_bits=7 TALLY\nframes packet=f what=major_partial=1 TALLY\n");
    expect_refused("frame f\n  sync 0xeb90\n  minor 6 words of 8\n  c u16 word 3 + 5 check sum16\n", "D053",
                   "behind each other");
    expect_refused("frame f\n  sync 0xeb90\n  minor 6 words of 8\n  c u16 word 3, 4 check sum16\n", "D040",
                   "do not fill");
    expect_refused("frame f\n  sync 0xeb90\n  minor 6 words of 8\n  c u8 word 3 frame 0 check sum8\n", "D053",
                   "each minor frame");
    expect_refused("frame f\n  sync 0xeb90\n  minor 6 words of 8\n  c u8 word 1 check sum8\n", "D042", "no bytes");
}

static void what_words_cannot_be_is_said(void **state)
{
    (void)state;
#define REFUSED(line, code, words)                                                                                     \
    expect_refused("frame f\n  sync 0xeb90\n  minor 6 words of 8\n  " line "\n", code, words)
    REFUSED("a u8[2] word 3, 4", "D047", "neither groups nor arrays");
    REFUSED("a text(prefix u8) word 3", "D047", "words have a size");
    REFUSED("a text(2) word 3", "D040", "do not fill");
    REFUSED("a u4 lsb0 word 3 at bit 1", "D047", "highest bit first");
    REFUSED("a u8 word 3 sequence", "D047", "counted by");
    REFUSED("a u8 word 3 stamp", "D046", "no time");
    REFUSED("major 4 by n from 1\n  n u2 word 3 at bit 2", "D053", "cannot count to");
    REFUSED("a text(2) word 3 + 4 = 5", "D042", "only an integer");
    REFUSED("a bytes(2) word 3 + 4 = 5", "D042", "only an integer");
    REFUSED("a cuc(2, 1) word 3 + 4 + 5 since tai = 5", "D042", "only an integer");
    REFUSED("a f32 word 3 + 4 + 5 + 6 = 5", "D042", "only an integer");
    REFUSED("a u8 word 3 = 300", "D043", "'a' has 8 bits and is never what it should always be");
    REFUSED("a u8 word 3 = -1", "D043", "is never");
    REFUSED("a i8 word 3 = 128", "D043", "is never");
    REFUSED("a bcd8 word 3 = 100", "D043", "is never");
    REFUSED("a u8 word 3\n  lock errors 9", "D053", "anything is a sync pattern");
    REFUSED("a u8 word 3\n  lock check 0", "D043", "at least 1");
    REFUSED("a u8 word 3\n  lock flywheel 65", "D043", "at most 64");
    REFUSED("a u8 word 3\n  lock check 2 slip 3", "D020", "check, flywheel or errors");
    expect_refused("frame f\n  sync 0xeb90eb90 errors 3\n  lock errors 2\n  minor 6 words of 8\n  a u8 word 6\n",
                   "D053", "stay locked");
    expect_refused("frame f\n  sync 0xeb90\n  lock flywheel 64\n  minor 1000000 words of 64\n  a u64 word 3\n", "D053",
                   "64 MiB");
}

/* ---- locking ---- */

#define F "frame f\n  sync 0xeb90\n  minor 4 words of 8\n  a u8 word 3\n  b u8 word 4\n"

static void a_pattern_is_believed_when_enough_others_follow(void **state)
{
    (void)state;
    /* 0xeb90 twice by chance, a frame apart; then three frames. */
    const char *hex = "eb90 0000 eb90 11 22 33 eb90 0102 eb90 0304 eb90 0506";
    gives(F, hex,
          "f.a=0\nf.b=0\nf.a=17\nf.b=34\nf.a=1\nf.b=2\nf.a=3\nf.b=4\nf.a=5\nf.b=6\n"
          "frames packet=f what=sync_lost=1 TALLY\nframes packet=f what=skipped_bits=8 TALLY\n");
    gives(F "  lock check 2\n", hex,
          "f.a=1\nf.b=2\nf.a=3\nf.b=4\nf.a=5\nf.b=6\nframes packet=f what=skipped_bits=72 TALLY\n");
    gives(F "  lock check 3\n", hex,
          "frames packet=f what=skipped_bits=72 TALLY\nframes packet=f what=skipped_bits=96 TALLY\n");
}

static void a_flywheel_goes_over_patterns_that_are_missing(void **state)
{
    struct decoded decoded;
    (void)state;
    const char *one = "eb90 0102 eb90 0304 | 0000 0506 | eb90 0708 eb90 090a";
    gives(F "  lock flywheel 1\n", one,
          "f.a=1\nf.b=2\nf.a=3\nf.b=4\nf.a=5?\nf.b=6?\nf.a=7\nf.b=8\nf.a=9\nf.b=10\nframes packet=f what=flown=1 "
          "TALLY\n");
    /* Without one the frame is lost with the lock. */
    run(&decoded, F, one);
    assert_null(strstr(decoded.lines.data, "f.a=5"));
    assert_int_equal(decoded.counts.frames.sync_lost, 1);
    assert_int_equal(decoded.counts.frames.skipped_bits, 32);
    decoded_fini(&decoded);
    /* One more missing than it has: nothing of them is taken, and the search begins in them, where a frame is. */
    run(&decoded, F "  lock flywheel 2\n", "eb90 0102 eb90 0304 00 eb90 0506 eb90 0708 eb90 090a");
    assert_non_null(strstr(decoded.lines.data, "f.a=3\nf.b=4\nf.a=5\nf.b=6\n"));
    assert_int_equal(decoded.counts.frames.sync_lost, 1);
    assert_int_equal(decoded.counts.frames.flown, 0);
    assert_int_equal(decoded.counts.frames.skipped_bits, 8);
    decoded_fini(&decoded);
    /* At the end nothing tells whether it would have come again. */
    run(&decoded, F "  lock flywheel 3\n", "eb90 0102 eb90 0304 0000 0506 00");
    assert_int_equal(decoded.counts.packets, 2);
    assert_int_equal(decoded.counts.frames.sync_lost, 1);
    assert_int_equal(decoded.counts.frames.skipped_bits, 40);
    decoded_fini(&decoded);
}

static void more_bits_may_be_wrong_once_it_is_locked(void **state)
{
    struct decoded decoded;
    (void)state;
    /* eb91 and fb90: one bit; ea91: two. */
    run(&decoded, F, "eb91 0102 eb90 0304 eb90 0506");
    assert_int_equal(decoded.counts.packets, 2);
    decoded_fini(&decoded);
    run(&decoded, "frame f\n  sync 0xeb90 errors 1\n  minor 4 words of 8\n  a u8 word 3\n",
        "eb91 0102 fb90 0304 ea91 0506");
    assert_int_equal(decoded.counts.packets, 2);
    decoded_fini(&decoded);
    run(&decoded, F "  lock errors 2\n", "eb90 0102 eb90 0304 ea91 0506 fb90 0708");
    assert_int_equal(decoded.counts.packets, 4);
    assert_int_equal(decoded.counts.frames.flown, 0);
    decoded_fini(&decoded);
}

/* ---- counters and major frames ---- */

static void a_wrong_bit_in_a_counter_costs_its_frame_alone(void **state)
{
    struct decoded decoded;
    const char *ydm =
        "frame f\n  sync 0xeb90\n  minor 4 words of 8\n  major 4 by n\n  n u8 word 3\n  a u8 word 4 frame 2\n";
    (void)state;
    /* 0, 1, 3 for 2, 3; then 0 … 3. */
    run(&decoded, ydm, "eb90 0000 eb90 0100 eb90 0309 eb90 0300 eb90 0000 eb90 0100 eb90 0207 eb90 0300");
    assert_string_equal(decoded.lines.data, "f.n=0\nf.n=1\nf.n=3\nf.n=0\nf.n=1\nf.n=2\nf.a=7\nf.n=3\n"
                                            "frames packet=f what=counter_unsure=1 TALLY\n"
                                            "frames packet=f what=major_partial=1 TALLY\n");
    assert_int_equal(decoded.counts.lost, 0);
    assert_int_equal(decoded.counts.frames.major_whole, 1);
    decoded_fini(&decoded);
    /* A number that there is not. */
    run(&decoded, ydm, "eb90 0000 eb90 0100 eb90 8209 eb90 0300");
    assert_int_equal(decoded.counts.frames.refused[YD_FRAME_OUTSIDE], 1);
    assert_int_equal(decoded.counts.lost, 0);
    decoded_fini(&decoded);
    /* The last one of a stream, which nothing follows. */
    run(&decoded, ydm, "eb90 0000 eb90 0100 eb90 0300");
    assert_int_equal(decoded.counts.frames.refused[YD_FRAME_UNSURE], 1);
    decoded_fini(&decoded);
}

static void what_is_missing_is_counted_by_minor_and_major_frames(void **state)
{
    struct decoded decoded;
    const char *ydm =
        "frame f\n  sync 0xeb90\n  minor 4 words of 8\n  major 4 by n from 1\n  n u8 word 3\n  a u8 word 4\n";
    (void)state;
    /* 3 and 4 of a first one, a whole one, 1 and 4 of one, 2 to 4 of one behind 1; the end inside of a frame. */
    run(&decoded, ydm,
        "eb90 0300 eb90 0400 eb90 0100 eb90 0200 eb90 0300 eb90 0400 | eb90 0100 | eb90 0400 eb90 0100 eb90 0300 eb90 "
        "0400 "
        "| eb90 01");
    assert_int_equal(decoded.counts.packets, 11);
    assert_int_equal(decoded.counts.lost, 3);
    assert_int_equal(decoded.counts.frames.jumps, 2);
    assert_int_equal(decoded.counts.frames.major_whole, 1);
    assert_int_equal(decoded.counts.frames.major_partial, 3);
    assert_int_equal(decoded.counts.frames.skipped_bits, 24);
    decoded_fini(&decoded);
    /* Bits that were skipped tell of whole major frames: nine minor frames, of which the counter says one. */
    run(&decoded, ydm,
        "eb90 0100 eb90 0200 | 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 | eb90 "
        "0400 eb90 0100");
    assert_int_equal(decoded.counts.lost, 9);
    assert_int_equal(decoded.counts.frames.major_partial, 3);
    assert_int_equal(decoded.counts.frames.jumps, 0);
    decoded_fini(&decoded);
}

/* ---- hostile streams ---- */

static struct yd_rng rng;

static void samples_only(struct yd_buf *lines)
{
    struct yd_buf kept;
    yd_buf_init(&kept, NULL);
    for (size_t at = 0; at < lines->size;) {
        const char *end = memchr(lines->data + at, '\n', lines->size - at);
        if (!end) break;
        struct yd_str line = {lines->data + at, (size_t)(end - lines->data) - at + 1};
        if (line.size < 7 || memcmp(line.data + line.size - 7, " TALLY\n", 7) != 0) yd_buf_str(&kept, line);
        at += line.size;
    }
    yd_buf_char(&kept, 0);
    yd_buf_fini(lines);
    *lines = kept;
}

static void feed(struct decoded *decoded, const char *ydm, const uint8_t *data, size_t size, size_t most)
{
    struct yd_decoder *decoder;
    *decoded = (struct decoded){0};
    yd_buf_init(&decoded->lines, NULL);
    yd_buf_init(&decoded->errors, NULL);
    struct yd_plan *plan = decoded_plan(decoded, ydm, false);
    if (!plan) print_message("%s\n", decoded->errors.data);
    assert_non_null(plan);
    struct yd_decoder_options options = {.arg = decoded, .batch = decoded_batch};
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    for (size_t at = 0; at < size;) {
        size_t piece = most ? 1 + (size_t)yd_rng_below(&rng, most) : size;
        piece = YD_MIN(piece, size - at);
        char *exact = malloc(piece);
        memcpy(exact, data + at, piece);
        assert_true(yd_decoder_take(decoder, 1000, (struct yd_str){exact, piece}) >= 0);
        free(exact);
        at += piece;
        const struct yd_frame_counts *frames = &decoded->counts.frames;
        yd_decoder_counts(decoder, &decoded->counts);
        uint64_t whole = decoded->counts.packets;
        for (int i = 0; i < YD_FRAME_REFUSAL_COUNT; i++) whole += frames->refused[i];
        assert_int_equal(whole * yd_plan_frame_bits(plan) + frames->skipped_bits + frames->waiting_bits, at * 8);
        assert_true(frames->waiting_bits <= 6 * (uint64_t)yd_plan_frame_bits(plan));
    }
    assert_int_equal(yd_decoder_end(decoder), 0);
    assert_int_equal(yd_decoder_flush(decoder), 0);
    yd_decoder_counts(decoder, &decoded->counts);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
    samples_only(&decoded->lines);
}

/* Frames with damage of each kind: the same values and counts in whatever pieces they come, and every bit counted. */
static void damaged_streams_give_the_same_in_any_pieces(void **state)
{
    static const char *const ydms[] = {
        "frame f\n  sync 0xb5 errors 1\n  minor 5 words of 7\n  major 3 by n from 1\n  lock flywheel 2 check 2\n  n u7 "
        "word 3\n"
        "  a u14 word 4 + 5\n",
        "frame f\n  sync 0xeb9\n  minor 6 words of 8\n  major 4 by n\n  lock flywheel 1 errors 2\n  n u8 word 3\n"
        "  b u8 word 5 at bit 0\n  a u8 word 4 if b > 10\n  s u8 word 6 check sum8 from 2\n",
    };
    (void)state;
    for (int turn = 0; turn < 300; turn++) {
        uint8_t data[1200] = {0};
        uint64_t bits = 0;
        const char *ydm = ydms[turn % 2];
        struct decoded whole, pieces;
        for (unsigned number = (unsigned)yd_rng_below(&rng, 7); bits + 128 < sizeof data * 8; number++) {
            uint8_t frame[8] = {0};
            uint32_t size = turn % 2 ? 48 : 35;
            if (turn % 2) {
                frame[0] = 0xeb, frame[1] = (uint8_t)(0x90 | yd_rng_below(&rng, 16)), frame[2] = (uint8_t)(number % 4);
                frame[3] = (uint8_t)yd_rng_next(&rng), frame[4] = (uint8_t)yd_rng_next(&rng);
                frame[5] = (uint8_t)(frame[2] + frame[3] + frame[4]);
            } else {
                uint64_t words =
                    (UINT64_C(0xb5) << 27) | (uint64_t)(1 + number % 3) << 14 | yd_rng_below(&rng, 1 << 14);
                words = __builtin_bswap64(words << 29);
                memcpy(frame, &words, 8);
            }
            if (yd_rng_chance(&rng, 12)) frame[yd_rng_below(&rng, size / 8)] ^= (uint8_t)(1u << yd_rng_below(&rng, 8));
            if (yd_rng_chance(&rng, 15)) continue; /* lost */
            if (yd_rng_chance(&rng, 15)) bits += yd_rng_below(&rng, 20);
            if (yd_rng_chance(&rng, 20)) size -= (uint32_t)yd_rng_below(&rng, 5);
            for (uint32_t i = 0; i < size; i++, bits++)
                if (frame[i / 8] & (0x80 >> i % 8)) data[bits / 8] |= (uint8_t)(0x80 >> bits % 8);
        }
        feed(&whole, ydm, data, sizeof data, 0);
        feed(&pieces, ydm, data, sizeof data, 1 + (size_t)turn % 30);
        assert_string_equal(pieces.lines.data, whole.lines.data);
        assert_memory_equal(&pieces.counts.frames, &whole.counts.frames, sizeof whole.counts.frames);
        assert_int_equal(pieces.counts.packets, whole.counts.packets);
        assert_int_equal(pieces.counts.lost, whole.counts.lost);
        assert_true(whole.counts.packets > 20);
        decoded_fini(&whole);
        decoded_fini(&pieces);
    }
}

/* ---- the encoder ---- */

struct made {
    struct decoded told;
    char text[32];
};

static void on_ask(void *arg, const struct yd_encode_ask *ask, struct yd_encode_answer *answer)
{
    struct made *made = arg;
    assert_true(ask->sample < YD_MAX(ask->samples, 1u));
    if (ask->field->encoding == YD_DEF_STRING || ask->field->encoding == YD_DEF_BINARY) {
        size_t size = (size_t)yd_rng_below(&rng, ask->room + 1);
        for (size_t i = 0; i < size; i++) made->text[i] = (char)('a' + yd_rng_below(&rng, 26));
        answer->value = (struct yd_decom_value){.type = YD_TEXT, .bytes = {made->text, size}};
    } else if (ask->field->encoding == YD_DEF_CUC || ask->entry->stamp) {
        answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = 1700000000 * YD_NS_PER_S};
    } else {
        answer->raw = ask->raw || yd_rng_chance(&rng, 3);
        answer->value = (struct yd_decom_value){.type = YD_F64, .f64 = (double)(int64_t)yd_rng_below(&rng, 5000) / 8};
    }
}

static void on_told(void *arg, const struct yd_encode_ask *ask, const struct yd_decom_value *raw,
                    const struct yd_decom_value *value)
{
    struct made *made = arg;
    struct yd_buf *to = &made->told.lines;
    char digits[32];
    (void)raw;
    if (!ask->published) return;
    yd_buf_str(to, ask->name);
    yd_buf_char(to, '=');
    if (value->type == YD_BOOL) yd_buf_cstr(to, value->u64 ? "true" : "false");
    if (value->type == YD_I64) yd_buf_add(to, digits, yd_text_put_i64(digits, value->i64));
    if (value->type == YD_U64) yd_buf_add(to, digits, yd_text_put_u64(digits, value->u64));
    if (value->type == YD_F64) yd_buf_add(to, digits, yd_text_put_f64(digits, value->f64));
    if (value->type == YD_TEXT) yd_buf_str(to, value->bytes);
    for (size_t i = 0; value->type == YD_BLOB && i < value->bytes.size; i++)
        yd_buf_printf(to, "%02x", (uint8_t)value->bytes.data[i]);
    if (value->suspect) yd_buf_char(to, '?');
    yd_buf_char(to, '\n');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(const struct yd_buf *lines)
{
    static char *items[65536];
    char *copy = strndup(lines->data, lines->size), *out = malloc(lines->size + 2), *to = out;
    size_t count = 0;
    for (char *at = strtok(copy, "\n"); at; at = strtok(NULL, "\n")) items[count++] = at;
    assert_true(count < YD_COUNT(items));
    qsort(items, count, sizeof *items, by_text);
    for (size_t i = 0; i < count; i++) to += sprintf(to, "%s\n", items[i]);
    *to = 0;
    free(copy);
    return out;
}

static void what_is_told_of_frames_is_what_is_decoded(void **state)
{
    /* 11 bits a word: minor frames end inside of bytes; and whole bytes with checksums over each other. */
    static const char *const ydms[] = {
        "definition d\nframe f\n  sync 0xfe6b2840\n  minor 30 words of 11\n  major 5 by n from 3\n  n u7 word 4 at bit "
        "4\n"
        "  on bool word 4 at bit 0\n  mode u3 word 4 at bit 1 { 0 OFF, 1 ON, else ODD }\n  fast u11 word 5, 12, 20 "
        "scale 0.1\n"
        "  wide i22 word 6 + 9\n  x f64 word 13 + 14 + 15 + 16 + 17 + 18 frame 2 at bit 1\n"
        "  y text(6) word 13 + 14 + 15 + 16 + 17 + 18 frame 1 every 2 at bit 3\n"
        "  z u11 word 21 frame 4\n    when mode == ON: poly(1, 2)\n    otherwise: poly(0, 0.5)\n"
        "  w u11 word 22 if on\n  t cuc(4, 1) word 25 + 26 + 27 + 28 at bit 1 since tai\n  g gray11 word 30 hidden\n",
        "frame g\n  sync 0xeb90\n  minor 20 words of 8\n  major 2 by n\n  rate 1000\n  n u8 word 3 hidden\n  k u8 word "
        "4 = 0x5a\n"
        "  t u32 s since unix word 5 + 6 + 7 + 8 stamp\n  v i16le word 9 + 10, 11 + 12\n  b bytes(2) word 13 + 14\n"
        "  c u8 word 15 check xor8 from 2 to 14\n  s sign8 word 16 = -2\n  d u32 word 17 + 18 + 19 + 20 check crc32c "
        "from 2\n",
    };
    (void)state;
    for (size_t i = 0; i < YD_COUNT(ydms); i++) {
        struct made made = {0};
        struct decoded errors = {0}, got;
        struct yd_encoder *encoder;
        struct yd_str bytes;
        struct yd_buf stream;
        yd_buf_init(&made.told.lines, NULL);
        yd_buf_init(&errors.errors, NULL);
        yd_buf_init(&stream, NULL);
        struct yd_plan *plan = decoded_plan(&errors, ydms[i], false);
        if (!plan) print_message("%s\n", errors.errors.data);
        assert_non_null(plan);
        const struct yd_encoder_options options = {&made, on_ask, on_told};
        assert_int_equal(yd_encoder_create(plan, &options, NULL, &encoder), 0);
        for (int frame = 0; frame < 500; frame++) {
            int r = yd_encode(encoder, 0, &bytes);
            if (r < 0) print_message("%s\n", yd_encoder_why(encoder));
            assert_int_equal(r, 0);
            yd_buf_str(&stream, bytes);
        }
        yd_buf_str(&stream, yd_encoder_rest(encoder));
        feed(&got, ydms[i], (const uint8_t *)stream.data, stream.size, 100);
        assert_int_equal(got.counts.packets, 500);
        assert_int_equal(got.counts.lost, 0);
        assert_true(got.counts.frames.skipped_bits < 8);
        assert_int_equal(got.counts.frames.major_whole, i ? 250 : 100);
        assert_int_equal(got.counts.frames.major_partial, 0);
        char *wanted = sorted(&made.told.lines), *is = sorted(&got.lines);
        assert_string_equal(is, wanted);
        free(wanted);
        free(is);
        yd_encoder_destroy(encoder);
        yd_plan_destroy(plan);
        yd_buf_fini(&made.told.lines);
        yd_buf_fini(&errors.errors);
        yd_buf_fini(&stream);
        decoded_fini(&got);
    }
}

int main(void)
{
    const char *seed = getenv("YARDER_SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("# YARDER_SEED=%llu\n", (unsigned long long)number);
    yd_rng_init(&rng, number);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_found_and_their_words_sorted_out),
        cmocka_unit_test(frames_may_begin_in_any_bit_and_come_in_any_pieces),
        cmocka_unit_test(noise_between_frames_costs_the_noise),
        cmocka_unit_test(words_carry_what_fields_do),
        cmocka_unit_test(calibrations_and_conditions_ask_other_words_wherever_they_are),
        cmocka_unit_test(texts_that_others_ask_for_stay_until_they_come_again),
        cmocka_unit_test(what_is_always_the_same_is_so_in_any_encoding),
        cmocka_unit_test(a_stamp_in_the_frame_is_its_time),
        cmocka_unit_test(a_checksum_refuses_its_frame_before_its_counter_is_believed),
        cmocka_unit_test(what_words_cannot_be_is_said),
        cmocka_unit_test(a_pattern_is_believed_when_enough_others_follow),
        cmocka_unit_test(a_flywheel_goes_over_patterns_that_are_missing),
        cmocka_unit_test(more_bits_may_be_wrong_once_it_is_locked),
        cmocka_unit_test(a_wrong_bit_in_a_counter_costs_its_frame_alone),
        cmocka_unit_test(what_is_missing_is_counted_by_minor_and_major_frames),
        cmocka_unit_test(damaged_streams_give_the_same_in_any_pieces),
        cmocka_unit_test(what_is_told_of_frames_is_what_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
