/* Numbers: every double survives the way to text and back, and text is read as strtod reads it, only faster. */
#include <locale.h>
#include <math.h>

#include "testing.h"

static struct yd_str str(const char *text)
{
    return yd_str_of(text);
}

static void integers_are_read_to_their_limits(void **state)
{
    (void)state;
    int64_t i = 5;
    uint64_t u = 5;
    assert_ok(yd_text_i64(YD_STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_ok(yd_text_i64(YD_STR("+9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_ok(yd_text_i64(YD_STR("-0"), &i));
    assert_true(i == 0);
    assert_ok(yd_text_u64(YD_STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_ok(yd_text_u64(YD_STR("000000000000000000000000000001"), &u));
    assert_true(u == 1);
    assert_error(yd_text_i64(YD_STR("9223372036854775808"), &i), YD_ERANGE);
    assert_error(yd_text_i64(YD_STR("-9223372036854775809"), &i), YD_ERANGE);
    assert_error(yd_text_u64(YD_STR("18446744073709551616"), &u), YD_ERANGE);
    assert_error(yd_text_u64(YD_STR("99999999999999999999999"), &u), YD_ERANGE);
    const char *bad[] = {"", "-", "+", "--1", "1 ", " 1", "1.0", "0x1", "a", "+-1", "9999999999999999999999x"};
    for (unsigned k = 0; k < YD_COUNT(bad); k++) {
        assert_error(yd_text_i64(str(bad[k]), &i), YD_EFORMAT);
        assert_error(yd_text_u64(str(bad[k]), &u), YD_EFORMAT);
    }
    assert_error(yd_text_u64(YD_STR("-1"), &u), YD_EFORMAT);
    assert_true(i == 0 && u == 1); /* untouched by refusals */
}

static void integers_are_printed(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t value = i == 0 ? UINT64_MAX : i < 300 ? (uint64_t)i : yd_rng_next(&rng) >> yd_rng_below(&rng, 64);
        char text[24], expected[24];
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
        assert_text(((struct yd_str){text, yd_text_put_u64(text, value)}), expected);
        (void)snprintf(expected, sizeof expected, "%lld", (long long)value);
        assert_text(((struct yd_str){text, yd_text_put_i64(text, (int64_t)value)}), expected);
    }
    char text[24];
    assert_text(((struct yd_str){text, yd_text_put_i64(text, INT64_MIN)}), "-9223372036854775808");
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Reads as strtod does, to the bit. */
static void assert_reads(const char *text)
{
    double value = -1, expected = strtod(text, NULL);
    int r = yd_text_f64(str(text), false, &value);
    if (isinf(expected) ? r == YD_ERANGE : r == 0 && bits_of(value) == bits_of(expected)) return;
    fail_msg("'%s' read as %.17g (%s), not %.17g", text, value, yd_error_name(r), expected);
}

static void decimals_are_read_as_strtod_reads_them(void **state)
{
    (void)state;
    const char *texts[] = {"0",
                           "-0",
                           "1",
                           ".5",
                           "5.",
                           "-.5e1",
                           "1e5",
                           "1E+5",
                           "1e-5",
                           "0e999999999999",
                           "0.0000000000000000000000001",
                           "123456789012345678901234567890",
                           "9007199254740993",
                           "9007199254740992.9999999999999999999999999999",
                           "9007199254740993.00000000000000000000000000000000000000000000000000000000000001",
                           "0.500000000000000166533453693773481063544750213623046875",
                           "1.7976931348623157e308",
                           "1.7976931348623158e308",
                           "1.7976931348623159e308",
                           "1e309",
                           "1e99999999999999999999",
                           "1e-99999999999999999999",
                           "4.9e-324",
                           "5e-324",
                           "2.4703282292062327e-324",
                           "2.4703282292062328e-324",
                           "2.2250738585072011e-308",
                           "2.2250738585072014e-308",
                           "2."
                           "2250738585072011360574097967091319759348195463516456480234261097248222220210769455165295239"
                           "08135087914149158913"
                           "0396211068700864386945946455276572074078206217433799881410632673292535522868813721490129811"
                           "2245145188984905722230"
                           "728525513315575501591439747639798341180199932396254805145e-308",
                           "1e23",
                           "8.5e22",
                           "6.631236846766476e-316",
                           "0.1e-6",
                           "100000000000000000000000000000000000000e-37",
                           "00000000000000000000000000000000000000000000000000001e0",
                           "1.00000000000000011102230246251565404236316680908203125",
                           "1.00000000000000011102230246251565404236316680908203124",
                           "1.00000000000000011102230246251565404236316680908203126",
                           "18446744073709551615",
                           "18446744073709551616",
                           "1844674407370955161600",
                           "3.5844466002796428e+298"};
    for (unsigned i = 0; i < YD_COUNT(texts); i++) assert_reads(texts[i]);

    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    char text[2048];
    for (int i = 0; i < 200000; i++) {
        union {
            uint64_t bits;
            double value;
        } any = {yd_rng_next(&rng)};
        if (i % 4 == 1) any.value = (double)(int64_t)yd_rng_next(&rng) / 1e6;
        if (isnan(any.value) || isinf(any.value)) continue;
        int precision = i % 1000 == 0 ? (int)yd_rng_below(&rng, 900) : (int)yd_rng_below(&rng, 25);
        (void)snprintf(text, sizeof text, i % 2 ? "%.*e" : "%.*g", precision, any.value);
        assert_reads(text);
        /* Half way between two doubles, exactly, and a hair beside. */
        if (i % 100 == 0 && fabs(any.value) > 1e-200 && fabs(any.value) < 1e200) {
            any.value = fabs(any.value);
            double next = nextafter(any.value, INFINITY);
            long double middle = ((long double)any.value + (long double)next) / 2;
            int size = snprintf(text, sizeof text, "%.780Le", middle);
            assert_reads(text);
            char *e = strchr(text, 'e');
            e[-1] = '1';
            assert_reads(text);
            assert_true(size < (int)sizeof text);
        }
        /* Random digits and exponents. */
        size_t size = 0, digits = 1 + yd_rng_below(&rng, 30), point = yd_rng_below(&rng, 32);
        for (size_t j = 0; j < digits; j++) {
            if (j == point) text[size++] = '.';
            text[size++] = (char)('0' + yd_rng_below(&rng, 10));
        }
        (void)snprintf(text + size, 16, "e%d", (int)yd_rng_below(&rng, 700) - 350);
        assert_reads(text);
    }
}

static void what_is_not_a_decimal_is_refused(void **state)
{
    (void)state;
    double value = 7;
    const char *bad[] = {"",   "+",    "-",   ".",  "e5",   ".e5", "1e",    "1e+", "1e-",   "1.2.3", "1 ",
                         " 1", "0x10", "1,5", "1f", "nan1", "na",  "infin", "--1", "1e5.0", "1_000", "inf inity"};
    for (unsigned i = 0; i < YD_COUNT(bad); i++) {
        assert_error(yd_text_f64(str(bad[i]), false, &value), YD_EFORMAT);
        assert_error(yd_text_f64(str(bad[i]), true, &value), YD_EFORMAT);
    }
    const char *special[] = {"nan", "NaN", "-inf", "INF", "+Infinity"};
    for (unsigned i = 0; i < YD_COUNT(special); i++)
        assert_error(yd_text_f64(str(special[i]), false, &value), YD_ERANGE);
    assert_true(value == 7);
    assert_ok(yd_text_f64(YD_STR("-INF"), true, &value));
    assert_true(value == -INFINITY);
    assert_ok(yd_text_f64(YD_STR("nan"), true, &value));
    assert_true(isnan(value));
}

static void the_locale_has_no_say(void **state)
{
    (void)state;
    const char *locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    unsigned i = 0;
    while (i < YD_COUNT(locales) && !setlocale(LC_ALL, locales[i])) i++;
    if (i == YD_COUNT(locales)) return; /* none with a decimal comma is installed */
    double value = 0;
    assert_ok(yd_text_f64(YD_STR("1.5"), false, &value));
    assert_true(value == 1.5);
    assert_ok(yd_text_f64(YD_STR("9007199254740993.00000000000000000001"), false, &value));
    assert_true(value == 9007199254740994.0);
    char text[32];
    assert_text(((struct yd_str){text, yd_text_put_f64(text, 0.1)}), "0.1");
    (void)setlocale(LC_ALL, "C");
}

static void doubles_are_printed_shortest(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {{0.0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-1.5, "-1.5"},
                 {0.1, "0.1"},
                 {0.001, "0.001"},
                 {0.3, "0.3"},
                 {100, "100"},
                 {1e15, "1000000000000000"},
                 {9007199254740991, "9007199254740991"},
                 {9007199254740992, "9007199254740992"},
                 {123456789012345680, "123456789012345680"},
                 {1e21, "1e21"},
                 {1e20, "100000000000000000000"},
                 {1e22, "1e22"},
                 {1e23, "1e23"},
                 {0.000001, "0.000001"},
                 {1e-7, "1e-7"},
                 {1.25e-7, "1.25e-7"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e308"},
                 {2.2250738585072014e-308, "2.2250738585072014e-308"},
                 {5.684341886080802e-14, "5.684341886080802e-14"},
                 {9.5e-3, "0.0095"},
                 {0.30000000000000004, "0.30000000000000004"},
                 {1.0 / 3, "0.3333333333333333"},
                 {2251799813685248.5, "2251799813685248.5"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"}};
    char text[32];
    for (unsigned i = 0; i < YD_COUNT(cases); i++)
        assert_text(((struct yd_str){text, yd_text_put_f64(text, cases[i].value)}), cases[i].text);
    assert_text(((struct yd_str){text, yd_text_put_f64(text, NAN)}), "nan");
}

static void every_double_comes_back_and_no_shorter_text_would_do(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 300000; i++) {
        union {
            uint64_t bits;
            double value;
        } any = {yd_rng_next(&rng)};
        switch (i % 5) {
        case 1: /* powers of two: the lower neighbour is nearer */
            any.bits = yd_rng_below(&rng, 2047) << 52;
            break;
        case 2:
            any.value = (double)yd_rng_below(&rng, UINT64_C(1000000000000)) / 1000;
            break;
        case 3:
            any.value = (double)yd_rng_below(&rng, 100000) * pow(10, (double)yd_rng_below(&rng, 40) - 20);
            break;
        case 4: /* subnormal */
            any.bits &= UINT64_C(0x800fffffffffffff);
            break;
        default:
            break;
        }
        if (isnan(any.value) || isinf(any.value)) continue;
        char text[40], shorter[64];
        size_t size = yd_text_put_f64(text, any.value);
        assert_true(size <= 26);
        text[size] = 0;
        double value;
        if (yd_text_f64((struct yd_str){text, size}, false, &value) < 0 || bits_of(value) != bits_of(any.value) ||
            bits_of(strtod(text, NULL)) != bits_of(any.value))
            fail_msg("%.17g printed as '%s'", any.value, text);
        size_t digits = 0, zeros = 0;
        for (const char *p = text; *p && *p != 'e'; p++) {
            if (*p < '0' || *p > '9') continue;
            if (*p != '0') zeros = 0;
            if (*p == '0') zeros++;
            if (digits || *p != '0') digits++;
        }
        if (digits > zeros + 1) {
            (void)snprintf(shorter, sizeof shorter, "%.*e", (int)(digits - zeros) - 2, any.value);
            if (bits_of(strtod(shorter, NULL)) == bits_of(any.value))
                fail_msg("'%s' is shorter than '%s'", shorter, text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_to_their_limits),
        cmocka_unit_test(integers_are_printed),
        cmocka_unit_test(decimals_are_read_as_strtod_reads_them),
        cmocka_unit_test(what_is_not_a_decimal_is_refused),
        cmocka_unit_test(the_locale_has_no_say),
        cmocka_unit_test(doubles_are_printed_shortest),
        cmocka_unit_test(every_double_comes_back_and_no_shorter_text_would_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
