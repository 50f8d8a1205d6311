/* The encoder against the decoder: whatever was told about a packet is what the decoder finds in its bytes. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "decoded.h"
#include "decom/encode.h"

static struct yd_rng rng;

struct made {
    struct decoded told, got;
    struct yd_plan *closely, *plan;
    struct yd_encoder *encoder;
    struct yd_decoder *decoder;
    bool raw, fixed;
    struct yd_decom_value answer;
    struct yd_buf raws;
    char text[64];
};

static struct yd_plan *plan_of(const char *ydm, bool closely)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan_options options = {.closely = closely};
    struct yd_plan *plan = NULL;
    struct yd_buf said;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&said, NULL);
    int r = yd_plan_read("test.ydm", yd_str_of(ydm), &options, &diagnostics, &plan);
    yd_diagnostics_print(&diagnostics, false, &said);
    if (r < 0) print_message("%.*s\n", (int)said.size, said.data);
    assert_int_equal(r, 0);
    yd_buf_fini(&said);
    yd_diagnostics_fini(&diagnostics);
    return plan;
}

/* Any value at all: engineering ones of a plausible size, raw ones, labels, texts. */
static void on_ask(void *arg, const struct yd_encode_ask *ask, struct yd_encode_answer *answer)
{
    struct made *made = arg;
    const struct yd__field *field = ask->field;
    if (made->fixed) {
        *answer = (struct yd_encode_answer){made->answer, made->raw};
    } else if (ask->counts) {
        uint64_t span = (uint64_t)YD_MIN(ask->count_max - ask->count_min, INT64_C(4)) + 1;
        answer->value =
            (struct yd_decom_value){.type = YD_I64, .i64 = ask->count_min + (int64_t)yd_rng_below(&rng, span)};
    } else if (field->encoding == YD_DEF_STRING || field->encoding == YD_DEF_BINARY) {
        size_t size = (size_t)yd_rng_below(&rng, 20);
        for (size_t i = 0; i < size; i++) made->text[i] = (char)('a' + yd_rng_below(&rng, 26));
        answer->value = (struct yd_decom_value){.type = YD_TEXT, .bytes = {made->text, size}};
    } else if (field->encoding == YD_DEF_CUC || field->encoding == YD_DEF_CDS) {
        int64_t time_ns = (int64_t)yd_rng_below(&rng, UINT64_C(1800000000) * YD_NS_PER_S);
        answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = time_ns};
    } else if (field->label_count && yd_rng_chance(&rng, 2)) {
        uint64_t index = yd_rng_below(&rng, field->label_count);
        answer->value = (struct yd_decom_value){.type = YD_TEXT, .bytes = field->labels[index].text};
    } else {
        answer->raw = ask->raw || yd_rng_chance(&rng, 3);
        answer->value =
            (struct yd_decom_value){.type = YD_F64, .f64 = (double)(int64_t)yd_rng_below(&rng, 2000000) / 16 - 50000};
    }
}

static void line_of(struct yd_buf *to, struct yd_str name, const struct yd_decom_value *value)
{
    char digits[32];
    yd_buf_str(to, name);
    yd_buf_char(to, '=');
    if (value->type == YD_BOOL) yd_buf_cstr(to, value->u64 ? "true" : "false");
    if (value->type == YD_I64) yd_buf_add(to, digits, yd_text_put_i64(digits, value->i64));
    if (value->type == YD_U64) yd_buf_add(to, digits, yd_text_put_u64(digits, value->u64));
    if (value->type == YD_F64) yd_buf_add(to, digits, yd_text_put_f64(digits, value->f64));
    if (value->type == YD_TEXT) yd_buf_str(to, value->bytes);
    for (size_t i = 0; value->type == YD_BLOB && i < value->bytes.size; i++)
        yd_buf_printf(to, "%02x", (uint8_t)value->bytes.data[i]);
    if (value->type == YD_NIL) yd_buf_cstr(to, "nil");
    if (value->suspect || value->type == YD_NIL) yd_buf_char(to, '?');
    yd_buf_char(to, '\n');
}

static void on_told(void *arg, const struct yd_encode_ask *ask, const struct yd_decom_value *raw,
                    const struct yd_decom_value *value)
{
    struct made *made = arg;
    if (ask->published) line_of(&made->told.lines, ask->name, value);
    line_of(&made->raws, ask->name, raw);
}

static void begin(struct made *made, const char *ydm)
{
    const struct yd_encoder_options options = {made, on_ask, on_told};
    const struct yd_decoder_options decoder = {.arg = &made->got, .batch = decoded_batch};
    *made = (struct made){0};
    yd_buf_init(&made->told.lines, NULL);
    yd_buf_init(&made->got.lines, NULL);
    yd_buf_init(&made->raws, NULL);
    made->closely = plan_of(ydm, true);
    made->plan = plan_of(ydm, false);
    assert_int_equal(yd_encoder_create(made->closely, &options, NULL, &made->encoder), 0);
    assert_int_equal(yd_decoder_create(made->plan, &decoder, NULL, &made->decoder), 0);
}

static void end(struct made *made)
{
    yd_encoder_destroy(made->encoder);
    yd_decoder_destroy(made->decoder);
    yd_plan_destroy(made->plan);
    yd_plan_destroy(made->closely);
    yd_buf_fini(&made->told.lines);
    yd_buf_fini(&made->got.lines);
    yd_buf_fini(&made->raws);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines in the order of the alphabet: the decoder has those of lanes first. */
static void sort_lines(struct yd_buf *lines)
{
    char *copy = strndup(lines->data ? lines->data : "", lines->size), *items[4096];
    size_t count = 0;
    for (char *at = strtok(copy, "\n"); at; at = strtok(NULL, "\n")) {
        assert_true(count < YD_COUNT(items));
        items[count++] = at;
    }
    qsort(items, count, sizeof *items, by_text);
    yd_buf_clear(lines);
    for (size_t i = 0; i < count; i++) yd_buf_printf(lines, "%s\n", items[i]);
    yd_buf_char(lines, 0);
    free(copy);
}

static void make(struct made *made, uint32_t packet)
{
    struct yd_str bytes;
    yd_buf_clear(&made->told.lines);
    yd_buf_clear(&made->got.lines);
    yd_buf_clear(&made->raws);
    int r = yd_encode(made->encoder, packet, &bytes);
    if (r < 0) print_message("not made: %s\n", yd_encoder_why(made->encoder));
    assert_int_equal(r, 0);
    char *exact = malloc(bytes.size);
    memcpy(exact, bytes.data, bytes.size);
    r = yd_decoder_take(made->decoder, 1000, (struct yd_str){exact, bytes.size});
    if (r) print_message("not decoded: %s\n", yd_decom_reason_text((enum yd_decom_reason)(r - 1)));
    assert_int_equal(r, 0);
    assert_int_equal(yd_decoder_flush(made->decoder), 0);
    free(exact);
}

static void compare(struct made *made)
{
    sort_lines(&made->told.lines);
    sort_lines(&made->got.lines);
    assert_string_equal(made->got.lines.data, made->told.lines.data);
}

/* ---- whole definitions ---- */

static const char everything[] = "definition all\n"
                                 "order little\n"
                                 "type volt u16 scale 0.001 unit \"V\"\n"
                                 "type state u8 { 0 OFF, 1 ON, 2..9 \"VERY ON\", else UNKNOWN }\n"
                                 "type pos group\n"
                                 "  lat i32 scale 1e-7\n"
                                 "  lon i32 scale 1e-7\n"
                                 "container head\n"
                                 "  sync u32be = 0x1ACFFC1D hidden\n"
                                 "  apid u11be\n"
                                 "  flags u5be\n"
                                 "  count u14be sequence by apid\n"
                                 "  _ u2\n"
                                 "packet one : head when apid == 1 and not flags\n"
                                 "  t cuc(4, 2) since gps stamp\n"
                                 "  whole u32 check crc32c from 4 to end\n"
                                 "  upto u16be check crc16_x25 from 2 to 14\n"
                                 "  supply volt\n"
                                 "  mode state\n"
                                 "  at_home pos\n"
                                 "  temp i12be at 40 bit 4\n"
                                 "    when mode == ON: poly(-40, 0.1)\n"
                                 "    otherwise: spline(0 -40, 4095 85) extrapolate\n"
                                 "  n u8\n"
                                 "  list group[n, max 5]\n"
                                 "    k u8\n"
                                 "    v text(k) charset latin1\n"
                                 "  rest bytes(rest)\n"
                                 "packet two : head when apid in 2..5 or flags == 3\n"
                                 "  a bcd16 table(1 1.5, 2 2.5)\n"
                                 "  b gray8 steps(0 1, 10 2)\n"
                                 "  c bias16 rational(1 2 / 3 4)\n"
                                 "  d mil32\n"
                                 "  d48 mil48\n"
                                 "  e f32 order(3 4 1 2)\n"
                                 "  f u8 lsb0 reversed\n"
                                 "  g u16 ms since \"2000-01-01\" tai\n"
                                 "  curved i16 poly(1, 2, 0.5, 0.001)\n"
                                 "  day cds(2, 2)\n"
                                 "  many u8[3]\n"
                                 "  grid i8[2][3]\n"
                                 "  name text(12) charset utf16be\n"
                                 "  line text(until \"\\n\", max 20)\n"
                                 "  tail text(prefix u16, max 64)[n2, max 4] if a > 5\n"
                                 "  crc u16 at end - 2 check crc16_modbus\n"
                                 "  ...\n";

static void what_is_told_is_what_is_decoded(void **state)
{
    (void)state;
    const char *text = strstr(everything, "tail");
    char ydm[4096];
    struct made made;
    /* The number of tails stands before them. */
    (void)snprintf(ydm, sizeof ydm, "%.*sn2 u8\n  %s", (int)(text - everything), everything, text);
    begin(&made, ydm);
    for (int i = 0; i < 2000; i++) {
        make(&made, (uint32_t)(i % 2));
        compare(&made);
    }
    struct yd_decoder_counts counts;
    yd_decoder_counts(made.decoder, &counts);
    assert_int_equal(counts.packets, 2000);
    assert_int_equal(counts.lost + counts.repeated, 0);
    end(&made);
}

static void random_bits_of_each_encoding_come_back(void **state)
{
    (void)state;
    static const char *const kinds[] = {"u", "i", "ones", "sign", "bias", "bcd", "gray", "f", "mil"};
    static const char *const options[] = {"", " lsb0", " reversed", " at 0 bit 3", " lsb0 at 1 bit 5"};
    for (int round = 0; round < 1500; round++) {
        char ydm[256];
        struct made made;
        const char *kind = kinds[yd_rng_below(&rng, YD_COUNT(kinds))];
        unsigned bits = 2 + (unsigned)yd_rng_below(&rng, 63);
        if (*kind == 'f') bits = 16u << yd_rng_below(&rng, 3);
        if (*kind == 'm') bits = yd_rng_chance(&rng, 2) ? 32 : 48;
        (void)snprintf(ydm, sizeof ydm, "packet p\n  x %s%u%s\n  ...\n", kind, bits,
                       options[yd_rng_below(&rng, YD_COUNT(options))]);
        begin(&made, ydm);
        /* Any value the field can have: what random bits mean. */
        struct yd__field field = {.bits = bits};
        const struct yd_def_entry *entry = yd_plan_def(made.closely)->containers->entries.first;
        field.type = entry->type;
        field.encoding = entry->type->encoding;
        for (int i = 0; i < 4; i++) {
            uint64_t random = yd_rng_next(&rng) >> (64 - bits);
            made.answer = yd__field_decode(&field, random);
            if (made.answer.type == YD_NIL || (made.answer.type == YD_F64 && isnan(made.answer.f64))) continue;
            made.fixed = made.raw = true;
            make(&made, 0);
            compare(&made);
            struct yd_buf want;
            yd_buf_init(&want, NULL);
            line_of(&want, YD_STR("p.x"), &made.answer);
            yd_buf_char(&want, 0);
            if (strcmp(want.data, made.got.lines.data) != 0) print_message("%s", ydm);
            assert_string_equal(made.got.lines.data, want.data);
            assert_int_equal(yd_encoder_saturated(made.encoder), 0);
            yd_buf_fini(&want);
        }
        end(&made);
    }
}

static void encodes(const char *type, struct yd_decom_value answer, const char *line, uint64_t saturated)
{
    char ydm[256];
    struct made made;
    (void)snprintf(ydm, sizeof ydm, "packet p\n  x %s\n", type);
    begin(&made, ydm);
    made.fixed = true;
    made.answer = answer;
    make(&made, 0);
    yd_buf_char(&made.got.lines, 0);
    assert_string_equal(made.got.lines.data, line);
    assert_int_equal(yd_encoder_saturated(made.encoder), saturated);
    end(&made);
}

static struct yd_decom_value real(double value)
{
    return (struct yd_decom_value){.type = YD_F64, .f64 = value};
}

static void engineering_values_are_computed_backwards(void **state)
{
    (void)state;
    struct yd_decom_value on = {.type = YD_TEXT, .bytes = YD_STR("ON")};
    struct yd_decom_value time_ns = {.type = YD_I64, .i64 = 1700000000 * YD_NS_PER_S};
    encodes("u16 scale 0.001", real(7.4), "p.x=7.4\n", 0);
    encodes("i16 scale 0.5 offset 10", real(-2), "p.x=-2\n", 0);
    encodes("u12 spline(0 -40, 4095 85)", real(85), "p.x=85\n", 0);
    encodes("u8 table(1 1.5, 2 2.5)", real(2.4), "p.x=2.5\n", 0);
    encodes("u16 poly(1, 2, 3)", real(34), "p.x=34\n", 0);     /* 1 + 2x + 3x², x = 3 */
    encodes("u16 poly(100, -1, -1)", real(58), "p.x=58\n", 0); /* falling; x = 6 */
    encodes("u8 { 0 OFF, 1 ON }", on, "p.x=ON\n", 0);
    encodes("bool", real(1), "p.x=true\n", 0);
    encodes("u32 s since unix", time_ns, "p.x=1700000000000000000\n", 0);
    encodes("u48 ms since gps", time_ns, "p.x=1700000000000000000\n", 0);
    encodes("cuc(4, 2)", time_ns, "p.x=1700000000000000000\n", 0);
    encodes("cds(2, 2)", time_ns, "p.x=1700000000000000000\n", 0);
}

static void what_does_not_fit_saturates_and_is_counted(void **state)
{
    (void)state;
    encodes("u8", real(300), "p.x=255\n", 1);
    encodes("i8", real(-300), "p.x=-128\n", 1);
    encodes("ones8", real(-300), "p.x=-127\n", 1);
    encodes("bcd8", real(100), "p.x=99\n", 1);
    encodes("f16", real(1e9), "p.x=65504\n", 1);
}

static void what_is_always_the_same_and_checksums_are_written_hidden_or_not(void **state)
{
    static const char *const ydms[] = {"packet p\n  k bcd8 = 42\n  g gray8 = 5 hidden\n  s ones8 = -2\n  x u8\n",
                                       "packet p\n  a u16\n  c u8 check sum8 hidden\n",
                                       "packet p\n  a u16\n  _ u16 check sum16\n  b u8\n"};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(ydms); i++) {
        struct made made;
        begin(&made, ydms[i]);
        made.fixed = true;
        made.answer = real(113);
        make(&made, 0);
        compare(&made);
        end(&made);
    }
}

/* The next text is put together where this one was. */
static void texts_that_others_ask_for_stay_for_the_packet(void **state)
{
    struct made made;
    (void)state;
    begin(&made,
          "packet p\n  tag text(2)\n  z text(4) charset utf16be\n  x u8 { 0 OFF, 1 ON } if tag == \"ON\"\n  ...\n");
    made.fixed = true;
    made.answer = (struct yd_decom_value){.type = YD_TEXT, .bytes = YD_STR("ON")};
    for (int i = 0; i < 3; i++) {
        make(&made, 0);
        compare(&made);
        assert_string_equal(made.got.lines.data, "p.tag=ON\np.x=ON\np.z=ON\n");
    }
    end(&made);
}

static void not_made(const char *ydm, uint32_t packet, const char *words)
{
    struct made made;
    struct yd_str bytes;
    begin(&made, ydm);
    assert_int_equal(yd_encode(made.encoder, packet, &bytes), YD_ENOTSUP);
    assert_non_null(strstr(yd_encoder_why(made.encoder), words));
    end(&made);
}

static void what_cannot_be_encoded_is_named(void **state)
{
    (void)state;
    not_made("container h\n  a u8\npacket p : h when a == 1 and a == 2\n  x u8\n", 0, "told from others");
    not_made("frame f\n  sync 0xEB90\n  minor 8 words of 8\n  x u8 word 2 = 7\n", 0, "lie over its pattern");
}

static void a_text_that_is_no_label_is_named(void **state)
{
    static const struct {
        const char *ydm, *words;
    } rows[] = {
        {"packet p\n  a u8 { 0 OFF, 1 ON }\n", "p.a: 'OM' is none of its labels"},
        {"packet p\n  a u8\n", "p.a: 'OM' is no number"},
        {"frame p\n  sync 0xEB90\n  minor 8 words of 8\n  a u8 word 3 { 0 OFF }\n", "'OM' is none of its labels"}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(rows); i++) {
        struct made made;
        struct yd_str bytes;
        begin(&made, rows[i].ydm);
        made.fixed = true;
        made.answer = (struct yd_decom_value){.type = YD_TEXT, .bytes = YD_STR("OM")};
        assert_int_equal(yd_encode(made.encoder, 0, &bytes), YD_ENOTSUP);
        assert_non_null(strstr(yd_encoder_why(made.encoder), rows[i].words));
        end(&made);
    }
}

static void conditions_of_every_kind_are_met(void **state)
{
    (void)state;
    static const char *const conditions[] = {"a == 7",
                                             "a != 0",
                                             "a > 200",
                                             "a >= 255",
                                             "a in 3..9",
                                             "not (a < 4 or b == 0)",
                                             "a > 3 and (b == 9 or b == 1)",
                                             "s == ON and b == 3"};
    for (size_t i = 0; i < YD_COUNT(conditions); i++) {
        char ydm[512];
        struct made made;
        (void)snprintf(ydm, sizeof ydm,
                       "container h\n  a u8\n  b i8\n  s u8 { 0 OFF, 3 ON }\npacket p : h when %s\n  x u8\n",
                       conditions[i]);
        begin(&made, ydm);
        for (int j = 0; j < 20; j++) {
            make(&made, 0);
            compare(&made);
        }
        end(&made);
    }
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    struct made made = {.fixed = true, .answer = {.type = YD_TEXT, .bytes = YD_STR("ON")}};
    const struct yd_encoder_options options = {&made, on_ask, NULL};
    struct yd_plan *plan = plan_of("packet p\n  n u8 sequence\n  x u8 = 3\n  t text(2)\n  y u8 if t != \"ON\"\n", true);
    int64_t out = 0;
    for (uint64_t nth = 1;; nth++) {
        struct yd_alloc_failing failing;
        struct yd_encoder *encoder = NULL;
        struct yd_str bytes;
        yd_alloc_failing_init(&failing, nth);
        int r = yd_encoder_create(plan, &options, &failing.alloc, &encoder);
        if (r == 0) r = yd_encode(encoder, 0, &bytes);
        if (encoder) yd_encoder_destroy(encoder);
        out += (int64_t)failing.bytes_out;
        if (r == 0) break;
        assert_int_equal(r, YD_ENOMEM);
    }
    assert_int_equal(out, 0);
    yd_plan_destroy(plan);
}

int main(void)
{
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# seed %llu\n", (unsigned long long)seed);
    yd_rng_init(&rng, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_what_is_decoded),
        cmocka_unit_test(random_bits_of_each_encoding_come_back),
        cmocka_unit_test(engineering_values_are_computed_backwards),
        cmocka_unit_test(what_does_not_fit_saturates_and_is_counted),
        cmocka_unit_test(what_is_always_the_same_and_checksums_are_written_hidden_or_not),
        cmocka_unit_test(texts_that_others_ask_for_stay_for_the_packet),
        cmocka_unit_test(conditions_of_every_kind_are_met),
        cmocka_unit_test(what_cannot_be_encoded_is_named),
        cmocka_unit_test(a_text_that_is_no_label_is_named),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
