/* Whole packets: which one it is, what is in it, what is missing, and what is refused. */
#include "decoded.h"

#include <time.h>

#define TWO                                                                                                            \
    "definition r\ncontainer h\n  id u8\npacket a : h when id == 1\n  x u8\npacket b : h when id == 2\n  y u16\n"

static void the_first_fields_tell_which_packet_it_is(void **state)
{
    (void)state;
    expect(TWO, "01 07", "r.a.id=1\nr.a.x=7\n");
    expect(TWO, "02 01 00", "r.b.id=2\nr.b.y=256\n");
    expect(TWO, "01 07 | 02 00 01 | 01 08", "r.a.id=1\nr.a.x=7\nr.b.id=2\nr.b.y=1\nr.a.id=1\nr.a.x=8\n");
}

static void what_is_no_packet_is_refused_whole(void **state)
{
    (void)state;
    expect_rejected(TWO, "03 07", YD_DECOM_UNKNOWN);
    expect_rejected(TWO, "01", YD_DECOM_TRUNCATED);
    expect_rejected(TWO, "02 07", YD_DECOM_TRUNCATED);
    expect_rejected(TWO, "01 07 00", YD_DECOM_TOO_LONG);
}

static void an_open_packet_may_be_longer(void **state)
{
    (void)state;
    expect("packet p\n  x u8\n  ...\n", "07 08 09", "p.x=7\n");
    expect_rejected("packet p\n  x u8\n", "07 08", YD_DECOM_TOO_LONG);
    expect("packet p\n  x u4\n", "70", "p.x=7\n"); /* the rest of a byte is no byte more */
}

static void conditions_are_and_or_and_not(void **state)
{
    (void)state;
    const char *ydm = "container h\n  a u8\n  b i8\npacket p : h when a == 1 and (b < 0 or b in 10..20)\n"
                      "packet q : h when not a and b != 3\npacket r : h when a >= 5\n";
    expect(ydm, "01 ff", "p.a=1\np.b=-1\n");
    expect(ydm, "01 0f", "p.a=1\np.b=15\n");
    expect_rejected(ydm, "01 09", YD_DECOM_UNKNOWN);
    expect(ydm, "00 04", "q.a=0\nq.b=4\n");
    expect_rejected(ydm, "00 03", YD_DECOM_UNKNOWN);
    expect(ydm, "05 00", "r.a=5\nr.b=0\n");
}

static void constants_are_conditions_too(void **state)
{
    (void)state;
    const char *ydm = "packet p\n  sync u16 = 0xeb90 hidden\n  x u8\npacket q\n  sync i16 = -2 hidden\n  y u8\n";
    expect(ydm, "eb 90 01", "p.x=1\n");
    expect(ydm, "ff fe 02", "q.y=2\n");
    expect_rejected(ydm, "eb 91 01", YD_DECOM_UNKNOWN);
}

static void texts_can_be_asked_hidden_or_not(void **state)
{
    (void)state;
    expect("packet p\n  tag text(2)\n  x u8 if tag == \"ON\"\n  ...\n", "4f4e 07 | 4f46 07",
           "p.tag=ON\np.x=7\np.tag=OF\n");
    expect("packet p\n  tag text(2) hidden\n  x u8 if tag == \"ON\"\n  y u8\n  ...\n", "4f4e 07 08 | 4f46 07",
           "p.x=7\np.y=8\np.y=7\n");
    expect("container h\n  tag text(2) hidden\npacket p : h when tag == \"ON\"\n  x u8\n", "4f4e 07", "p.x=7\n");
}

static void labels_and_calibrated_values_can_be_asked(void **state)
{
    (void)state;
    const char *ydm = "container h\n  m u8 { 0 OFF, 1 ON }\n  v u8 scale 0.5\npacket p : h when m == ON\n  x u8\n"
                      "packet q : h when value(v) > 10.0\n  y u8\n";
    expect(ydm, "01 04 07", "p.v=2\np.x=7\np.m=ON\n");
    expect(ydm, "00 18 07", "q.v=12\nq.y=7\nq.m=OFF\n");
    expect_rejected(ydm, "00 04 07", YD_DECOM_UNKNOWN);
}

/* Labels of one unsigned number have a way of their own through the decoder. */
static void labels_are_the_same_alone_in_lists_and_of_signed_numbers(void **state)
{
    (void)state;
#define LABELS " { 0 OFF, 1..3 ON, 5 \"gr\xc3\xbc\xc3\x9f e\", 200 HIGH }"
    expect("packet p\n  x u8" LABELS "\n", "02", "p.x=ON\n");
    expect("packet p\n  x u8" LABELS "\n", "05", "p.x=gr\xc3\xbc\xc3\x9f e\n");
    expect("packet p\n  x u8" LABELS "\n", "04", "p.x=4?\n");
    expect("packet p\n  x u8" LABELS "\n", "ff", "p.x=255?\n");
    expect("packet p\n  x i8" LABELS "\n", "ff", "p.x=-1?\n");
    expect("packet p\n  x i8" LABELS "\n", "03", "p.x=ON\n");
    expect("packet p\n  x u64" LABELS "\n", "ff ff ff ff ff ff ff ff", "p.x=18446744073709551615?\n");
    expect("packet p\n  x u64 { 0 OFF, else FAR }\n", "ff ff ff ff ff ff ff ff", "p.x=FAR\n");
    expect("packet p\n  a u3\n  x u9le lsb0 at 0 bit 3" LABELS "\n  ...\n", "40 06", "p.a=2\np.x=HIGH\n");
    expect("packet p\n  x u8[3]" LABELS "\n", "00 03 07", "p.x.0=OFF\np.x.1=ON\np.x.2=7?\n");
    const char *told = "packet p\n  n u8 hidden\n  b bytes(n)\n  x u4" LABELS " if n == 1\n  y u4" LABELS "\n  ...\n";
    expect(told, "01 ee 30", "p.b=ee\np.x=ON\np.y=OFF\n");
    expect(told, "02 ee ee 30", "p.b=eeee\np.y=ON\n");
    expect_rejected(told, "02 ee ee", YD_DECOM_TRUNCATED);
    struct decoded decoded;
    decode_raw(&decoded, "packet p\n  x u8" LABELS "\n  y u8 at end - 1" LABELS "\n  ...\n", "02 c8", true);
    assert_string_equal(decoded.lines.data, "p.x=ON\np.x.raw=2\np.y=HIGH\np.y.raw=200\n");
    decoded_fini(&decoded);
}

static void many_packets_are_found_by_their_number(void **state)
{
    (void)state;
    struct yd_buf ydm;
    yd_buf_init(&ydm, NULL);
    yd_buf_cstr(&ydm, "container h\n  id u16 hidden\n");
    for (int i = 0; i < 300; i++) yd_buf_printf(&ydm, "packet p%d : h when id == %d\n  x u8\n", i, i * 7);
    yd_buf_char(&ydm, 0);
    for (int i = 0; i < 300; i += 37) {
        char hex[16], lines[32];
        (void)snprintf(hex, sizeof hex, "%04x 05", i * 7);
        (void)snprintf(lines, sizeof lines, "p%d.x=5\n", i);
        expect(ydm.data, hex, lines);
    }
    expect_rejected(ydm.data, "0001 05", YD_DECOM_UNKNOWN);
    yd_buf_fini(&ydm);
}

static void a_child_may_be_told_by_what_follows_a_text(void **state)
{
    (void)state;
    const char *ydm = "container h\n  n text(prefix u8)\n  id u8\npacket a : h when id == 1\n  x u8\npacket b : h when "
                      "id == 2\n  y u8\n";
    expect(ydm, "02 48 69 01 07", "a.n=Hi\na.id=1\na.x=7\n");
    expect(ydm, "00 02 07", "b.n=\nb.id=2\nb.y=7\n");
    expect_rejected(ydm, "05 48", YD_DECOM_TRUNCATED);
}

static void arrays_and_groups_are_named_by_their_index(void **state)
{
    (void)state;
    expect("packet p\n  x u8[3]\n", "01 02 03", "p.x.0=1\np.x.1=2\np.x.2=3\n");
    expect("packet p\n  x u8[2][2]\n", "01 02 03 04", "p.x.0.0=1\np.x.0.1=2\np.x.1.0=3\np.x.1.1=4\n");
    expect("packet p\n  g group[2]\n    a u8\n    b u4\n    _ u4\n", "01 20 03 40",
           "p.g.0.a=1\np.g.0.b=2\np.g.1.a=3\np.g.1.b=4\n");
    expect("type t group\n  a u8\npacket p\n  g t\n  h t\n", "01 02", "p.g.a=1\np.h.a=2\n");
}

/* Nor is there what the packet before it had: its bytes are somebody else's by now. */
static void what_a_group_holds_is_not_there_when_the_group_is_not(void **state)
{
    (void)state;
    expect("packet p\n  kind u8\n  g group if kind == 1\n    tag text(4)\n  x u8 if g.tag == \"ABCD\"\n  ...\n",
           "01 41424344 07 | 00 07 | 01 41424345 07",
           "p.kind=1\np.g.tag=ABCD\np.x=7\np.kind=0\np.kind=1\np.g.tag=ABCE\n");
    expect("packet p\n  kind u8\n  g group if kind == 1\n    h group\n      n u8\n  x u8 if g.h.n > 0\n  ...\n",
           "01 02 07 | 00 07", "p.kind=1\np.g.h.n=2\np.x=7\np.kind=0\n");
    struct decoded decoded;
    decode_raw(&decoded, "packet p\n  kind u8\n  g group if kind == 1\n    n u8\n  b bytes(g.n)\n  ...\n",
               "01 02 aabb | 00 aabb", false);
    assert_int_equal(decoded.result, 1 + YD_DECOM_COUNT);
    decoded_fini(&decoded);
}

static void counts_and_sizes_come_from_fields(void **state)
{
    (void)state;
    expect("packet p\n  n u8 hidden\n  x u8[n]\n  y u8\n", "02 01 02 03", "p.x.0=1\np.x.1=2\np.y=3\n");
    expect("packet p\n  n u8 hidden\n  x u8[n * 2 - 1]\n", "02 01 02 03", "p.x.0=1\np.x.1=2\np.x.2=3\n");
    expect("packet p\n  n u8 hidden\n  x text(n + 1)\n  y u8\n", "01 41 42 03", "p.x=AB\np.y=3\n");
    expect("packet p\n  n u8 hidden\n  m u8 hidden\n  x u8[n][m]\n", "02 01 05 06", "p.x.0.0=5\np.x.1.0=6\n");
    expect("packet p\n  n u8 hidden\n  g group[n]\n    k u8\n    v text(k)\n", "02 01 41 02 42 43",
           "p.g.0.k=1\np.g.0.v=A\np.g.1.k=2\np.g.1.v=BC\n");
    /* What a neighbour in the same element says counts, not what another element says. */
    expect("type t group\n  k u8\n  v text(k)\npacket p\n  k u8\n  g t\n  h t\n", "05 01 41 02 42 43",
           "p.k=5\np.g.k=1\np.g.v=A\np.h.k=2\np.h.v=BC\n");
    expect("packet p\n  g group[2]\n    k u4\n    x u4\n      when k == 1: scale 2\n", "13 23",
           "p.g.0.k=1\np.g.0.x=6\np.g.1.k=2\np.g.1.x=3\n");
    expect("packet p\n  _ u8\n  n u8 hidden\n  _ u8[n]\n  x u8\n", "00 02 00 00 07", "p.x=7\n");
    expect("packet p\n  x u8[*]\n", "01 02", "p.x.0=1\np.x.1=2\n");
    expect("packet p\n  g group[*]\n    a u8\n    b u8\n", "01 02 03 04",
           "p.g.0.a=1\np.g.0.b=2\np.g.1.a=3\np.g.1.b=4\n");
    expect_rejected("packet p\n  n u8 hidden\n  x u8[n, max 4]\n  ...\n", "05 01 02 03 04 05", YD_DECOM_COUNT);
    expect_rejected("packet p\n  n u8 hidden\n  x u8[n]\n", "03 01 02", YD_DECOM_TRUNCATED);
    expect_rejected("packet p\n  n u8 hidden\n  x u8[n - 2]\n", "01 01", YD_DECOM_COUNT);
    expect_rejected("packet p\n  n u8 hidden\n  x u8[n]\n", "01 01 02", YD_DECOM_TOO_LONG);
    expect_rejected("packet p\n  g group[*]\n    a u8\n    b u8\n", "01 02 03", YD_DECOM_TRUNCATED);
}

static void places_are_counted_from_three_ends(void **state)
{
    (void)state;
    expect("packet p\n  a u8 at 2\n  b u8 at 0\n  c u8\n", "01 02 03", "p.a=3\np.b=1\np.c=2\n");
    expect("packet p\n  a u8\n  b u8 at + 1\n", "01 02 03", "p.a=1\np.b=3\n");
    expect("packet p\n  a u8\n  b u4 at - 1\n", "12", "p.a=18\np.b=1\n");
    expect("packet p\n  a u8\n  t text(rest)\n  crc u16 at end - 2\n  ...\n", "01 41 42 43",
           "p.a=1\np.t=ABC\np.crc=16963\n");
    expect("packet p\n  a u8\n  b u4 at end - 1 bit 4\n", "01 02 03", "p.a=1\np.b=3\n");
    expect_rejected("packet p\n  a u8 at 2\n", "01 02", YD_DECOM_TRUNCATED);
    expect_rejected("packet p\n  a u16\n  b u32 at end - 4\n", "01 02", YD_DECOM_TRUNCATED);
}

static void a_field_may_be_there_or_not(void **state)
{
    (void)state;
    const char *ydm = "packet p\n  f u8\n  a u8 if f == 1\n  b u8\n";
    expect(ydm, "01 02 03", "p.f=1\np.a=2\np.b=3\n");
    expect(ydm, "00 03", "p.f=0\np.b=3\n");
    expect_rejected(ydm, "01 02", YD_DECOM_TRUNCATED);
    expect_rejected(ydm, "00 02 03", YD_DECOM_TOO_LONG);
}

static void calibrations_depend_on_other_fields(void **state)
{
    (void)state;
    const char *ydm =
        "packet p\n  m u8 { 0 LOW, 1 HIGH }\n  x u8\n    when m == HIGH: scale 10\n    otherwise: scale 0.1\n";
    expect(ydm, "01 05", "p.m=HIGH\np.x=50\n");
    expect(ydm, "00 05", "p.m=LOW\np.x=0.5\n");
    expect("packet p\n  a u8\n  x u8 calc(x * a + 0.5)\n", "03 05", "p.a=3\np.x=15.5\n");
    expect("packet p\n  x i8 calc(sqrt(x))\n", "ff", "p.x=nil?\n");
}

static void raw_values_are_published_where_they_differ(void **state)
{
    (void)state;
    struct decoded decoded;
    decode_raw(&decoded, "packet p\n  a u8\n  b u8 scale 2\n  c u8 { 3 X }\n  d bool8\n", "01 02 03 04", true);
    assert_string_equal(decoded.lines.data, "p.a=1\np.b=4\np.b.raw=2\np.c=X\np.c.raw=3\np.d=true\np.d.raw=4\n");
    decoded_fini(&decoded);
}

static void names_can_be_chosen_and_fields_hidden(void **state)
{
    (void)state;
    expect("definition r\npacket p\n  a u8 as alt\n  b u8 hidden\n  _ u8\n  c u8 as \"x.y\"\n", "01 02 03 04",
           "r.alt=1\nr.x.y=4\n");
}

static void a_stamp_is_the_time_of_the_whole_packet(void **state)
{
    (void)state;
    struct decoded decoded;
    decode_raw(&decoded, "packet p\n  x u8\n  t u32 s since unix stamp\n", "01 00 00 00 05", false);
    assert_string_equal(decoded.lines.data, "p.x=1\np.t=5000000000\n");
    assert_int_equal(decoded.time_ns, 5000000000);
    decoded_fini(&decoded);
    decode_raw(&decoded, "packet p\n  x u8\n", "01", false);
    assert_int_equal(decoded.time_ns, 1000);
    decoded_fini(&decoded);
}

static void counters_tell_what_is_missing(void **state)
{
    (void)state;
    const char *ydm = "definition r\npacket p\n  id u8 hidden\n  n u4 sequence by id hidden\n  x u4\n";
    struct decoded decoded;
    decode_raw(&decoded, ydm, "01 01 | 01 12 | 01 43 | 02 54 | 01 55 | 02 65", false);
    assert_string_equal(decoded.lines.data,
                        "r.p.x=1\nr.p.x=2\nr.lost id=1=2 TALLY\nr.p.x=3\nr.p.x=4\nr.p.x=5\nr.p.x=5\n");
    assert_int_equal(decoded.counts.lost, 2);
    decoded_fini(&decoded);
    /* It wraps, and one that comes twice or late is no loss. */
    decode_raw(&decoded, "packet p\n  n u4 sequence hidden\n  x u4\n", "e1 | f2 | 03 | 14 | 15 | 06 | 27 | 48", false);
    assert_string_equal(decoded.lines.data,
                        "p.x=1\np.x=2\np.x=3\np.x=4\np.x=5\np.x=6\np.x=7\nlost packet=p=1 TALLY\np.x=8\n");
    assert_int_equal(decoded.counts.repeated, 2);
    decoded_fini(&decoded);
}

static void a_source_that_begins_anew_is_followed_there(void **state)
{
    (void)state;
    struct decoded decoded;
    const char *ydm = "packet p\n  n u32 sequence hidden\n  x u8\n";
    decode_raw(&decoded, ydm, "00010000 01 | 00000000 02 | 00000001 03 | 00000004 04", false);
    assert_string_equal(decoded.lines.data, "p.x=1\np.x=2\np.x=3\nlost packet=p=2 TALLY\np.x=4\n");
    assert_int_equal(decoded.counts.repeated, 1);
    decoded_fini(&decoded);
    /* Late ones that are two in a row have not begun anew. */
    decode_raw(&decoded, ydm, "00010000 01 | 0000fff0 02 | 0000fff1 03 | 00010001 04", false);
    assert_string_equal(decoded.lines.data, "p.x=1\np.x=2\np.x=3\np.x=4\n");
    assert_int_equal(decoded.counts.repeated, 2);
    decoded_fini(&decoded);
}

static void rows_to_the_end_may_have_no_columns(void **state)
{
    (void)state;
    expect("packet p\n  n u8\n  x u8[*][n, max 4]\n", "02 01 02 03 04",
           "p.n=2\np.x.0.0=1\np.x.0.1=2\np.x.1.0=3\np.x.1.1=4\n");
    expect("packet p\n  n u8\n  x u8[*][n, max 4]\n", "00", "p.n=0\n");
    expect_rejected("packet p\n  n u8\n  x u8[*][n, max 4]\n", "00 01", YD_DECOM_TOO_LONG);
    expect_rejected("packet p\n  n u8\n  x cds(2, 0)[*][n, max 4]\n", "00 01", YD_DECOM_TOO_LONG);
    expect("packet p\n  x cuc(1, 0)[*] since unix\n", "01 02", "p.x.0=1000000000\np.x.1=2000000000\n");
    expect("packet p\n  x text(1)[*, max 2][2]\n", "41 42 43 44", "p.x.0.0=A\np.x.0.1=B\np.x.1.0=C\np.x.1.1=D\n");
    expect_rejected("packet p\n  x text(1)[*][2]\n", "41 42 43", YD_DECOM_TRUNCATED);
    expect_rejected("packet p\n  g group[*][2]\n    a u8\n", "41 42 43", YD_DECOM_TRUNCATED);
    expect("packet p\n  n u8\n  g group[*][n, max 4]\n    a u8\n", "00", "p.n=0\n");
}

static void a_packet_larger_than_a_batch_is_cut_not_lost(void **state)
{
    (void)state;
    struct yd_buf ydm, hex;
    yd_buf_init(&ydm, NULL);
    yd_buf_init(&hex, NULL);
    yd_buf_cstr(&ydm, "packet p\n  n u16 hidden\n  x u8[n, max 60000]\n");
    yd_buf_char(&ydm, 0);
    yd_buf_cstr(&hex, "07d0");
    for (int i = 0; i < 2000; i++) yd_buf_printf(&hex, "%02x", i & 255);
    yd_buf_char(&hex, 0);
    struct decoded decoded;
    decode_raw(&decoded, ydm.data, hex.data, false);
    assert_int_equal(decoded.result, 0);
    assert_int_equal(decoded.counts.values, 2000);
    assert_non_null(strstr(decoded.lines.data, "p.x.1999=207\n"));
    decoded_fini(&decoded);
    yd_buf_fini(&ydm);
    yd_buf_fini(&hex);
}

struct wide {
    uint32_t batches, values;
    uint64_t sum;
    bool in_order;
};

static void take_wide(void *arg, struct yd_batch *batch)
{
    struct wide *wide = arg;
    wide->batches++;
    for (uint32_t i = 0; i < batch->view.count; i++, wide->values++) {
        char name[32];
        (void)snprintf(name, sizeof name, "p.f%u", wide->values % 20000);
        wide->in_order &= yd_str_eq(yd_view_name(&batch->view, batch->view.records[i].name), yd_str_of(name));
        wide->sum += batch->view.records[i].value.u64;
    }
    yd_batch_unref(batch);
}

/* Names and records of these fields are more than a batch, though each has a fixed place and a plain type. */
static void more_plain_fields_than_a_batch_holds_are_cut_not_lost(void **state)
{
    enum { FIELDS = 20000 };
    struct decoded decoded = {0};
    struct wide wide = {.in_order = true};
    struct yd_decoder *decoder;
    struct yd_buf text, packet;
    uint64_t sum = 0;
    (void)state;
    yd_buf_init(&text, NULL);
    yd_buf_init(&packet, NULL);
    yd_buf_init(&decoded.errors, NULL);
    yd_buf_cstr(&text, "packet p\n");
    for (unsigned i = 0; i < FIELDS; i++) {
        yd_buf_printf(&text, "  f%u u8\n", i);
        yd_buf_char(&packet, (char)(i * 7));
        sum += (uint8_t)(i * 7);
    }
    yd_buf_char(&text, 0);
    struct yd_plan *plan = decoded_plan(&decoded, text.data, false);
    assert_non_null(plan);
    struct yd_decoder_options options = {.arg = &wide, .batch = take_wide};
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(yd_decoder_take(decoder, 1, yd_buf_view(&packet)), 0);
    assert_int_equal(yd_decoder_flush(decoder), 0);
    assert_int_equal(wide.values, 3 * FIELDS);
    assert_int_equal(wide.sum, 3 * sum);
    assert_true(wide.in_order && wide.batches > 1);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
    yd_buf_fini(&decoded.errors);
    yd_buf_fini(&packet);
    yd_buf_fini(&text);
}

static void bytes_that_no_batch_holds_are_refused_and_the_next_packet_is_decoded(void **state)
{
    enum { SIZE = 3 << 20 };
    struct decoded decoded = {0};
    struct wide wide = {0};
    struct yd_decoder *decoder;
    char *bytes = calloc(1, SIZE);
    (void)state;
    assert_non_null(bytes);
    yd_buf_init(&decoded.errors, NULL);
    struct yd_plan *plan = decoded_plan(&decoded, "packet p\n  a u8\n  rest bytes(rest, max 10000000)\n", false);
    assert_non_null(plan);
    struct yd_decoder_options options = {.arg = &wide, .batch = take_wide};
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    assert_int_equal(yd_decoder_take(decoder, 1, (struct yd_str){bytes, SIZE}), 1 + YD_DECOM_COUNT);
    assert_int_equal(yd_decoder_take(decoder, 1, (struct yd_str){bytes, SIZE / 4}), 0);
    assert_int_equal(yd_decoder_flush(decoder), 0);
    assert_int_equal(wide.values, 2);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
    yd_buf_fini(&decoded.errors);
    free(bytes);
}

static void a_checksum_that_is_wrong_refuses_the_packet(void **state)
{
    (void)state;
    const char *end =
        "packet p\n  a u8\n  n u8 hidden\n  t text(n)\n  crc u16be at end - 2 hidden check crc16_ccitt from 1\n";
    expect_rejected(end, "01 03 616263 0000", YD_DECOM_CHECKSUM);
    expect_rejected(end, "01 03 616263 00", YD_DECOM_CHECKSUM);
    expect_rejected("packet p\n  c u8\n  x u8 at end - 1 check sum8 from 3\n", "01 02", YD_DECOM_TRUNCATED);
    /* What the catalogue says of "123456789": the checksum behind it, in front of it, and in the middle. */
    expect("packet p\n  _ u8[9]\n  crc u32be check crc32\n", "31 32 33 34 35 36 37 38 39 cbf43926",
           "p.crc=3421780262\n");
    expect("packet p\n  crc u32le check crc32c from 4 to end\n  ...\n", "83 92 06 e3 31 32 33 34 35 36 37 38 39",
           "p.crc=3808858755\n");
    expect("packet p\n  id u8\n  s u8 check xor8 from 0 to 4\n  a u16\n  b u8\n", "01 07 02 04 ff",
           "p.id=1\np.a=516\np.b=255\np.s=7\n");
    expect_rejected("packet p\n  id u8\n  s u8 check xor8 from 0 to 4\n  a u16\n  b u8\n", "01 06 02 04 ff",
                    YD_DECOM_CHECKSUM);
    /* Whether it is published or not, and wherever it is. */
    expect("packet p\n  a u16\n  c u8 check sum8 hidden\n", "01 02 03", "p.a=258\n");
    expect_rejected("packet p\n  a u16\n  c u8 check sum8 hidden\n", "01 02 99", YD_DECOM_CHECKSUM);
    expect("packet p\n  a u16\n  _ u8 check sum8\n", "01 02 03", "p.a=258\n");
    expect_rejected("packet p\n  a u16\n  _ u8 check sum8\n", "01 02 99", YD_DECOM_CHECKSUM);
    expect_rejected("packet p\n  g group\n    a u16\n    c u8 check sum8 hidden\n", "01 02 99", YD_DECOM_CHECKSUM);
    expect_rejected("container h\n  s u8 check sum8 from 1 to end hidden\npacket p : h\n  a u8\n", "01 02",
                    YD_DECOM_CHECKSUM);
    expect_refused("packet p\n  a u8\n  s u16 check sum8\n", "D047", "one plain number of 8 bits");
    expect_refused("packet p\n  s u8 check sum8\n  a u8\n", "D042", "of no bytes");
    expect_refused("packet p\n  a u8\n  s u8 check sum9\n", "D021", "did you mean 'sum8'");
    expect_refused("type t u8 check sum8\npacket p\n  a t\n", "D047", "belongs to a field");
}

/* Batches of both decoders, as text. */
struct handed {
    struct decoded decoded;
    struct yd_plan *before, *now;
    struct yd_decoder *decoder;
};

static struct yd_decoder *decoder_of(struct handed *handed, const struct yd_plan *plan)
{
    struct yd_decoder_options options = {.arg = &handed->decoded, .batch = decoded_batch};
    struct yd_decoder *decoder;
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    return decoder;
}

static void hand_over(struct handed *handed, const char *before, const char *now)
{
    *handed = (struct handed){0};
    yd_buf_init(&handed->decoded.lines, NULL);
    yd_buf_init(&handed->decoded.errors, NULL);
    handed->before = decoded_plan(&handed->decoded, before, false);
    handed->now = decoded_plan(&handed->decoded, now, false);
    assert_non_null(handed->before);
    assert_non_null(handed->now);
    handed->decoder = decoder_of(handed, handed->before);
}

static void take_bytes(struct handed *handed, const char *bytes, size_t size)
{
    assert_int_equal(yd_decoder_take(handed->decoder, 1000, (struct yd_str){bytes, size}), 0);
    assert_int_equal(yd_decoder_flush(handed->decoder), 0);
}

static void go_over(struct handed *handed)
{
    struct yd_decoder *next = decoder_of(handed, handed->now);
    assert_int_equal(yd_decoder_take_over(next, handed->decoder), 0);
    yd_decoder_destroy(handed->decoder);
    handed->decoder = next;
}

static void handed_fini(struct handed *handed, const char *lines)
{
    yd_buf_char(&handed->decoded.lines, 0);
    assert_string_equal(handed->decoded.lines.data, lines);
    yd_decoder_destroy(handed->decoder);
    yd_plan_destroy(handed->before);
    yd_plan_destroy(handed->now);
    decoded_fini(&handed->decoded);
}

#define COUNTED(extra, fields)                                                                                         \
    "definition v\n" extra "container head\n  id u8 hidden\n  n u8 sequence by id hidden\n"                            \
    "packet a : head when id == 1\n" fields "packet b : head when id == 2\n  own u8 sequence\n"

static void another_plan_goes_on_counting(void **state)
{
    struct handed handed;
    struct yd_decoder_counts counts;
    (void)state;
    hand_over(&handed, COUNTED("", "  x u8\n"), COUNTED("packet z when k == 9\n  k u8\n", "  y u8\n"));
    take_bytes(&handed, "\x01\x05\x07", 3);
    take_bytes(&handed, "\x02\x05\x07", 3);
    go_over(&handed);
    take_bytes(&handed, "\x01\x08\x09", 3); /* 6 and 7 are missing, over the change */
    take_bytes(&handed, "\x02\x06\x09", 3); /* and b's own 8 */
    yd_decoder_counts(handed.decoder, &counts);
    assert_int_equal(counts.packets, 4);
    assert_int_equal(counts.lost, 3);
    assert_int_equal(yd_decoder_packet_count(handed.decoder, 0), 0);
    assert_int_equal(yd_decoder_packet_count(handed.decoder, 1), 2);
    assert_int_equal(yd_decoder_packet_count(handed.decoder, 2), 2);
    handed_fini(&handed, "v.a.x=7\nv.b.own=7\nv.lost id=1=2 TALLY\nv.a.y=9\nv.lost packet=b=1 TALLY\nv.b.own=9\n");
}

/* Each packet has a counter of its own; turned round, so that no place stays the same. */
static void write_counted(struct yd_buf *to, unsigned count, bool turned)
{
    yd_buf_str(to, YD_STR("definition v\ncontainer head\n  id u16 hidden\n"));
    for (unsigned i = 0; i < count; i++) {
        unsigned id = turned ? count - 1 - i : i;
        yd_buf_printf(to, "packet p%u : head when id == %u\n  n u8 sequence\n", id, id);
    }
    yd_buf_char(to, 0);
}

static void thousands_of_counters_go_over_in_no_time(void **state)
{
    enum { COUNT = 4000 };
    struct handed handed;
    struct yd_decoder_counts counts;
    struct yd_buf before, now;
    (void)state;
    yd_buf_init(&before, NULL);
    yd_buf_init(&now, NULL);
    write_counted(&before, COUNT, false);
    write_counted(&now, COUNT, true);
    hand_over(&handed, before.data, now.data);
    for (unsigned i = 0; i < COUNT; i++) take_bytes(&handed, (const char[]){(char)(i >> 8), (char)i, (char)i}, 3);
    clock_t began = clock();
    go_over(&handed);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message("# %d counters went over in %.3f s\n", COUNT, seconds);
    assert_true(seconds < 2); /* a walk through all for each takes half a minute */
    for (unsigned i = 0; i < COUNT; i++)
        take_bytes(&handed, (const char[]){(char)(i >> 8), (char)i, (char)(i + 1 + i % 2)}, 3);
    yd_decoder_counts(handed.decoder, &counts);
    assert_int_equal(counts.packets, 2 * COUNT);
    assert_int_equal(counts.lost, COUNT / 2);
    assert_int_equal(counts.repeated, 0);
    yd_buf_fini(&before);
    yd_buf_fini(&now);
    yd_decoder_destroy(handed.decoder);
    yd_plan_destroy(handed.before);
    yd_plan_destroy(handed.now);
    decoded_fini(&handed.decoded);
}

static void a_frame_that_has_not_come_whole_goes_on_with_another_plan(void **state)
{
#define FRAME(field)                                                                                                   \
    "frame f\n  sync 0xfe6b\n  minor 4 words of 8\n  major 4 by n\n  n u8 word 3\n  " field " u8 word 4\n"
    struct handed handed;
    (void)state;
    hand_over(&handed, FRAME("a"), FRAME("b"));
    take_bytes(&handed, "\xfe\x6b\x01\x0a\xfe\x6b\x02", 7);
    go_over(&handed);
    take_bytes(&handed, "\x0b\xfe\x6b\x03\x0c", 5);
    handed_fini(&handed, "f.n=1\nf.a=10\nf.n=2\nf.b=11\nf.n=3\nf.b=12\nframes packet=f what=major_partial=1 TALLY\n");
    /* Other frames: what waited is counted. */
    struct yd_decoder_counts counts;
    hand_over(&handed, FRAME("a"), "frame f\n  sync 0xfe6b\n  minor 5 words of 8\n  c u8 word 5\n");
    take_bytes(&handed, "\xfe\x6b\x01\x0a\xfe\x6b\x02", 7);
    go_over(&handed);
    take_bytes(&handed, "\xfe\x6b\1\2\3\xfe\x6b\1\2\4", 10);
    yd_decoder_counts(handed.decoder, &counts);
    assert_int_equal(counts.packets, 3);
    assert_int_equal(counts.frames.skipped_bits, 24);
    assert_int_equal(counts.frames.waiting_bits, 0);
    handed_fini(&handed, "f.n=1\nf.a=10\nf.c=3\nf.c=4\nframes packet=f what=skipped_bits=24 TALLY\n"
                         "frames packet=f what=major_partial=1 TALLY\n");
}

static void a_frame_that_waits_is_checked_at_the_end_by_another_plan(void **state)
{
    const char *ydm = "frame f\n  sync 0xeb90\n  minor 5 words of 8\n  major 4 by n\n  n u8 word 3\n  a u8 word 4\n"
                      "  c u8 word 5 = 0x33 hidden\n";
    struct handed handed;
    (void)state;
    /* One bit late: minor frames 0, 1 and 3, of which the last one waits for the next. */
    hand_over(&handed, ydm, ydm);
    take_bytes(&handed, "\x75\xc8\x00\x03\x99\xf5\xc8\x00\x84\x19\xf5\xc8\x01\x84\x99\x80", 16);
    go_over(&handed);
    assert_int_equal(yd_decoder_end(handed.decoder), 0);
    assert_int_equal(yd_decoder_flush(handed.decoder), 0);
    handed_fini(&handed, "f.n=0\nf.a=7\nf.n=1\nf.a=8\nframes packet=f what=skipped_bits=1 TALLY\n"
                         "frames packet=f what=skipped_bits=7 TALLY\nframes packet=f what=counter_unsure=1 TALLY\n"
                         "frames packet=f what=major_partial=1 TALLY\n");
}

/* What has been told is not told again, though nothing came between two changes. */
static void counts_go_on_over_two_plans_without_a_byte_between(void **state)
{
    const char *other = "frame f\n  sync 0xfe6b\n  minor 5 words of 8\n  c u8 word 5\n";
    const char *lines = "f.n=1\nf.a=10\nframes packet=f what=skipped_bits=8 TALLY\n";
    char all[512];
    struct yd_decoder_counts counts;
    struct handed handed;
    (void)state;
    hand_over(&handed, FRAME("a"), other);
    take_bytes(&handed, "\x55\xfe\x6b\x01\x0a\xfe\x6b\x02", 8);
    go_over(&handed);
    go_over(&handed);
    take_bytes(&handed, "\xfe\x6b\1\2\3\xfe\x6b\1\2\4", 10);
    yd_decoder_counts(handed.decoder, &counts);
    assert_int_equal(counts.frames.skipped_bits, 32);
    assert_int_equal(counts.frames.major_partial, 1);
    (void)snprintf(all, sizeof all, "%sf.c=3\nf.c=4\n%s%s", lines, "frames packet=f what=skipped_bits=24 TALLY\n",
                   "frames packet=f what=major_partial=1 TALLY\n");
    handed_fini(&handed, all);
    /* Nor does it stay untold when nothing comes any more. */
    hand_over(&handed, FRAME("a"), other);
    take_bytes(&handed, "\x55\xfe\x6b\x01\x0a\xfe\x6b\x02", 8);
    go_over(&handed);
    go_over(&handed);
    assert_int_equal(yd_decoder_end(handed.decoder), 0);
    assert_int_equal(yd_decoder_flush(handed.decoder), 0);
    (void)snprintf(all, sizeof all, "%s%s%s", lines, "frames packet=f what=skipped_bits=24 TALLY\n",
                   "frames packet=f what=major_partial=1 TALLY\n");
    handed_fini(&handed, all);
}

static int note_change(void *arg, struct yd_str name, bool is_gone)
{
    yd_buf_printf(arg, "%.*s %s\n", YD_STR_FMT(name), is_gone ? "gone" : "wider");
    return 0;
}

static void what_is_gone_and_what_needs_more_room_is_told(void **state)
{
    struct handed handed;
    struct yd_buf told;
    (void)state;
    hand_over(&handed, "packet p\n  a u8\n  b u8\n  c u8\n  d text(4)\n  e u8[2]\nderive f = p.a\n",
              "packet p\n  a u8\n  b u8 { 0 OFF }\n  c text(1)\n  d f32\n  e u8[1]\n  g u8\n");
    yd_buf_init(&told, NULL);
    assert_int_equal(yd_plan_each_changed(handed.before, handed.now, note_change, &told), 0);
    yd_buf_char(&told, 0);
    assert_string_equal(told.data, "p.b wider\np.c wider\np.e.1 gone\n");
    assert_int_equal(yd_plan_measurements(handed.before), 6);
    yd_buf_fini(&told);
    handed_fini(&handed, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_fields_tell_which_packet_it_is),
        cmocka_unit_test(what_is_no_packet_is_refused_whole),
        cmocka_unit_test(an_open_packet_may_be_longer),
        cmocka_unit_test(conditions_are_and_or_and_not),
        cmocka_unit_test(constants_are_conditions_too),
        cmocka_unit_test(texts_can_be_asked_hidden_or_not),
        cmocka_unit_test(labels_and_calibrated_values_can_be_asked),
        cmocka_unit_test(labels_are_the_same_alone_in_lists_and_of_signed_numbers),
        cmocka_unit_test(many_packets_are_found_by_their_number),
        cmocka_unit_test(a_child_may_be_told_by_what_follows_a_text),
        cmocka_unit_test(arrays_and_groups_are_named_by_their_index),
        cmocka_unit_test(counts_and_sizes_come_from_fields),
        cmocka_unit_test(what_a_group_holds_is_not_there_when_the_group_is_not),
        cmocka_unit_test(places_are_counted_from_three_ends),
        cmocka_unit_test(a_field_may_be_there_or_not),
        cmocka_unit_test(calibrations_depend_on_other_fields),
        cmocka_unit_test(raw_values_are_published_where_they_differ),
        cmocka_unit_test(names_can_be_chosen_and_fields_hidden),
        cmocka_unit_test(a_stamp_is_the_time_of_the_whole_packet),
        cmocka_unit_test(counters_tell_what_is_missing),
        cmocka_unit_test(a_source_that_begins_anew_is_followed_there),
        cmocka_unit_test(rows_to_the_end_may_have_no_columns),
        cmocka_unit_test(a_packet_larger_than_a_batch_is_cut_not_lost),
        cmocka_unit_test(more_plain_fields_than_a_batch_holds_are_cut_not_lost),
        cmocka_unit_test(bytes_that_no_batch_holds_are_refused_and_the_next_packet_is_decoded),
        cmocka_unit_test(a_checksum_that_is_wrong_refuses_the_packet),
        cmocka_unit_test(another_plan_goes_on_counting),
        cmocka_unit_test(thousands_of_counters_go_over_in_no_time),
        cmocka_unit_test(a_frame_that_has_not_come_whole_goes_on_with_another_plan),
        cmocka_unit_test(a_frame_that_waits_is_checked_at_the_end_by_another_plan),
        cmocka_unit_test(counts_go_on_over_two_plans_without_a_byte_between),
        cmocka_unit_test(what_is_gone_and_what_needs_more_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
