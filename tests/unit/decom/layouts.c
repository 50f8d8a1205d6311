/* Random layouts against a slow decoder that reads bit by bit.
 *
 * Each round makes a definition of random fields (encoding, size, place, numbering, byte order, bit order, a line as
 * calibration), random bytes of just the packet's size, and compares every value that comes out with what the slow one
 * says; then cuts the packet and wants it refused. The seed is printed; YD_SEED sets it. */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "decoded.h"

enum { FIELDS_MAX = 24, ROUNDS = 400, PACKETS = 8 };

struct slow {
    char encoding; /* u i o s b g f */
    unsigned bits;
    uint64_t at;
    bool lsb0, reversed, swapped, line;
    unsigned permutation[8];
    bool permuted;
    double scale, offset;
};

static uint64_t seed;
static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % below);
}

/* Bit i of the field, the highest first, straight from the bytes. */
static unsigned slow_bit(const struct slow *field, const uint8_t *data, unsigned i)
{
    unsigned n = field->bits;
    if (field->reversed) i = n - 1 - i;
    if (field->swapped || field->permuted) {
        /* Byte i/8 of the value stands elsewhere in the packet. In LSB0 the packet's first byte is the lowest. */
        unsigned byte = i / 8, place = field->permuted ? field->permutation[byte] : n / 8 - 1 - byte;
        if (!field->permuted && field->lsb0) place = byte;
        uint64_t first = field->at + place * 8;
        if (!field->lsb0) return data[(first + i % 8) / 8] >> (7 - (first + i % 8) % 8) & 1;
        uint64_t at = first + (7 - i % 8);
        return data[at / 8] >> at % 8 & 1;
    }
    if (field->lsb0) {
        uint64_t at = field->at + (n - 1 - i);
        return data[at / 8] >> at % 8 & 1;
    }
    return data[(field->at + i) / 8] >> (7 - (field->at + i) % 8) & 1;
}

/* As text: the way it is compared. */
static void slow_value(const struct slow *field, const uint8_t *data, char *to)
{
    uint64_t bits = 0;
    unsigned n = field->bits;
    for (unsigned i = 0; i < n; i++) bits = bits << 1 | slow_bit(field, data, i);
    uint64_t low = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1, sign = UINT64_C(1) << (n - 1);
    bool is_signed = false;
    int64_t value = (int64_t)bits;
    double real = 0;
    if (field->encoding == 'i') {
        value = bits & sign ? (int64_t)(bits | ~low) : (int64_t)bits;
        is_signed = true;
    } else if (field->encoding == 'o') {
        value = bits & sign ? -(int64_t)(~bits & low) : (int64_t)bits;
        is_signed = true;
    } else if (field->encoding == 's') {
        value = bits & sign ? -(int64_t)(bits & ~sign) : (int64_t)bits;
        is_signed = true;
    } else if (field->encoding == 'b') {
        value = (int64_t)(bits - sign);
        is_signed = true;
    } else if (field->encoding == 'g') {
        uint64_t plain = 0, bit = 0;
        for (unsigned i = n; i-- > 0;) plain = plain << 1 | (bit ^= bits >> i & 1);
        value = (int64_t)plain;
    } else if (field->encoding == 'f') {
        uint32_t word = (uint32_t)bits;
        float single;
        memcpy(&single, &word, 4);
        memcpy(&real, &bits, 8);
        if (n == 32) real = (double)single;
    }
    if (field->line) {
        double x = field->encoding == 'f' ? real : is_signed ? (double)value : (double)(uint64_t)value;
        to[yd_text_put_f64(to, x * field->scale + field->offset)] = 0;
    } else if (field->encoding == 'f') {
        to[yd_text_put_f64(to, real)] = 0;
    } else if (is_signed) {
        (void)sprintf(to, "%" PRId64, value);
    } else {
        (void)sprintf(to, "%" PRIu64, (uint64_t)value);
    }
}

static void random_field(struct slow *field, uint64_t at, bool lsb0)
{
    static const char encodings[] = "uuuiiiosbgff";
    *field = (struct slow){.encoding = encodings[any(sizeof encodings - 1)], .lsb0 = lsb0};
    field->bits = 2 + any(63);
    if (any(2)) field->bits = 8 * (1 + any(8));
    if (field->encoding == 'f') field->bits = any(2) ? 32 : 64;
    field->at = at + (any(3) ? 0 : any(20));
    if (any(3) == 0) field->at = (field->at + 7) / 8 * 8;
    if (field->bits % 8 == 0 && field->bits > 8) {
        field->swapped = any(3) == 0;
        field->permuted = !field->swapped && any(6) == 0;
    }
    for (unsigned i = 0; i < field->bits / 8; i++) field->permutation[i] = i;
    for (unsigned i = field->bits / 8; field->permuted && i-- > 1;) {
        unsigned other = any(i + 1), kept = field->permutation[i];
        field->permutation[i] = field->permutation[other];
        field->permutation[other] = kept;
    }
    field->reversed = any(10) == 0;
    field->line = any(3) == 0;
    field->scale = (double)any(1000) / 64 - 5;
    field->offset = (double)any(1000) - 500;
}

static void put_field(struct yd_buf *to, const struct slow *field, unsigned index)
{
    static const char *const words[] = {
        ['u'] = "u", ['i'] = "i", ['o'] = "ones", ['s'] = "sign", ['b'] = "bias", ['g'] = "gray", ['f'] = "f"};
    const char *order = !field->swapped ? "" : field->lsb0 ? "be" : "le";
    yd_buf_printf(to, "  x%u %s%u%s at bit %" PRIu64, index, words[(unsigned char)field->encoding], field->bits, order,
                  field->at);
    if (field->lsb0) yd_buf_cstr(to, " lsb0");
    if (field->reversed) yd_buf_cstr(to, " reversed");
    if (field->permuted) {
        yd_buf_cstr(to, " order(");
        for (unsigned i = 0; i < field->bits / 8; i++) yd_buf_printf(to, "%u ", field->permutation[i] + 1);
        yd_buf_char(to, ')');
    }
    if (field->line) {
        char scale[40], offset[40];
        scale[yd_text_put_f64(scale, field->scale)] = 0;
        offset[yd_text_put_f64(offset, field->offset)] = 0;
        yd_buf_printf(to, " scale %s offset %s", scale, offset);
    }
    yd_buf_char(to, '\n');
}

struct taken {
    char lines[FIELDS_MAX][64];
    unsigned count;
};

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct taken *taken = arg;
    for (uint32_t i = 0; i < batch->view.count; i++) {
        const struct yd_record *record = &batch->view.records[i];
        struct yd_str name = yd_view_name(&batch->view, record->name);
        unsigned index = (unsigned)atoi(name.data + 3); /* "p.x12" */
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        yd_value_text(&batch->view, (enum yd_type)record->type, record->value, &text);
        assert_true(index < FIELDS_MAX && text.size < 64);
        memcpy(taken->lines[index], text.data, text.size);
        taken->lines[index][text.size] = 0;
        taken->count++;
        yd_buf_fini(&text);
    }
    yd_batch_unref(batch);
}

static void compare(const struct slow *fields, unsigned count, uint64_t size, struct yd_plan *plan)
{
    struct taken taken;
    struct yd_decoder *decoder;
    struct yd_decoder_options options = {.arg = &taken, .batch = on_batch};
    assert_int_equal(yd_decoder_create(plan, &options, NULL, &decoder), 0);
    for (unsigned packet = 0; packet < PACKETS; packet++) {
        uint8_t *data = malloc(size);
        for (uint64_t i = 0; i < size; i++) data[i] = packet == 0 ? 0xff : packet == 1 ? 0 : (uint8_t)any(256);
        taken.count = 0;
        assert_int_equal(yd_decoder_take(decoder, 5, (struct yd_str){(char *)data, size}), 0);
        assert_int_equal(yd_decoder_flush(decoder), 0);
        assert_int_equal(taken.count, count);
        for (unsigned i = 0; i < count; i++) {
            char wanted[64];
            slow_value(&fields[i], data, wanted);
            assert_string_equal(taken.lines[i], wanted);
        }
        free(data);
        uint8_t *cut = malloc(size);
        memset(cut, 0, size);
        assert_int_equal(yd_decoder_take(decoder, 5, (struct yd_str){(char *)cut, size - 1}),
                         1 + (size == 1 ? YD_DECOM_NOT_BYTES : YD_DECOM_TRUNCATED));
        free(cut);
    }
    yd_decoder_destroy(decoder);
}

static void every_layout_decodes_as_the_slow_decoder_says(void **state)
{
    (void)state;
    const char *given = getenv("YARDER_SEED");
    uint64_t begin = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%" PRIu64 "\n", begin);
    seed = begin;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct slow fields[FIELDS_MAX];
        unsigned count = 1 + any(FIELDS_MAX);
        uint64_t at = 0, end = 0;
        bool lsb0 = any(2);
        struct decoded decoded = {0};
        struct yd_buf ydm;
        yd_buf_init(&ydm, NULL);
        yd_buf_init(&decoded.errors, NULL);
        yd_buf_cstr(&ydm, "packet p\n");
        for (unsigned i = 0; i < count; i++) {
            random_field(&fields[i], at, lsb0);
            put_field(&ydm, &fields[i], i);
            at = fields[i].at + fields[i].bits;
            if (any(5) == 0) at = any((uint32_t)at); /* fields may overlap */
            end = YD_MAX(end, fields[i].at + fields[i].bits);
        }
        yd_buf_char(&ydm, 0);
        for (int closely = 0; closely < 2; closely++) {
            struct yd_diagnostics diagnostics;
            struct yd_plan *plan = NULL;
            struct yd_plan_options options = {.closely = closely};
            yd_diagnostics_init(&diagnostics, NULL);
            int r = yd_plan_read("random", (struct yd_str){ydm.data, ydm.size - 1}, &options, &diagnostics, &plan);
            if (r < 0) {
                yd_diagnostics_print(&diagnostics, false, &decoded.errors);
                print_message("%s\n%.*s\n", ydm.data, (int)decoded.errors.size, decoded.errors.data);
            }
            assert_int_equal(r, 0);
            compare(fields, count, (end + 7) / 8, plan);
            yd_plan_destroy(plan);
            yd_diagnostics_fini(&diagnostics);
        }
        yd_buf_fini(&ydm);
        yd_buf_fini(&decoded.errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layout_decodes_as_the_slow_decoder_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
