/* Each encoding against vectors: of its standard where one publishes any, else computed by hand (said at each). */
#include "decoded.h"

/* By hand: 0xABCD = 1010 1011 1100 1101. */
static void bits_are_counted_from_the_highest_or_from_the_lowest(void **state)
{
    (void)state;
    expect_field("u4", "ab cd", "10");
    expect_field("u4 lsb0", "ab cd", "11");
    expect_field("u12", "ab cd", "2748");
    expect_field("u12 lsb0", "ab cd", "3499"); /* 0xdab */
    expect_field("u5 at bit 3", "ab cd", "11");
    expect_field("u5 lsb0 at bit 3", "ab cd", "21");
    expect_field("u7 at 0 bit 5", "ab cd", "60");       /* 011 1100 */
    expect_field("u7 lsb0 at 0 bit 5", "ab cd", "109"); /* 01101 above 101 */
    expect_field("u1 at 1 bit 7", "ab cd", "1");
    expect_field("u1 lsb0 at 1 bit 7", "ab cd", "1");
    expect_field("u1 lsb0 at 1 bit 1", "ab cd", "0");
}

static void whole_bytes_come_in_any_order(void **state)
{
    (void)state;
    expect_field("u16", "12 34", "4660");
    expect_field("u16le", "12 34", "13330");
    expect_field("u16be lsb0", "12 34", "4660");
    expect_field("u24le", "01 02 03", "197121");
    expect_field("u32 order(2, 1, 4, 3)", "22 11 44 33", "287454020"); /* 0x11223344 */
    expect_field("u32 order(3 4 1 2)", "33 44 11 22", "287454020");
    expect_field("u32 lsb0 order(2, 1, 4, 3)", "22 11 44 33", "287454020");
    expect_field("u16le at bit 4", "01 23 40", "13330"); /* bytes 12 34 begin in the middle of one */
    expect_field("u64", "01 23 45 67 89 ab cd ef", "81985529216486895");
    expect_field("u64le", "ef cd ab 89 67 45 23 01", "81985529216486895");
    expect_field("u64 at bit 4", "00 12 34 56 78 9a bc de f0", "81985529216486895");
    expect_field("u64 lsb0 at bit 4", "f0 de bc 9a 78 56 34 12 00", "81985529216486895");
}

static void a_bit_order_may_be_reversed(void **state)
{
    (void)state;
    expect_field("u8 reversed", "01", "128");
    expect_field("u5 reversed at bit 3", "1d", "23"); /* 11101 backwards 10111 */
    expect_field("u16le reversed", "00 01", "128");   /* 0x0100 backwards */
}

/* By hand, in 8 and 4 bits. */
static void signs_are_written_in_many_ways(void **state)
{
    (void)state;
    expect_field("i8", "ff", "-1");
    expect_field("i8", "80", "-128");
    expect_field("i12", "80 00", "-2048");
    expect_field("i64", "80 00 00 00 00 00 00 00", "-9223372036854775808");
    expect_field("ones8", "fe", "-1");
    expect_field("ones8", "ff", "0");
    expect_field("ones8", "7f", "127");
    expect_field("sign8", "81", "-1");
    expect_field("sign8", "80", "0");
    expect_field("sign16", "ff ff", "-32767");
    expect_field("bias8", "00", "-128");
    expect_field("bias8", "80", "0");
    expect_field("bias8 bias 127", "80", "1");
    expect_field("bias64", "00 00 00 00 00 00 00 00", "-9223372036854775808");
}

static void digits_of_four_bits_are_a_number(void **state)
{
    (void)state;
    expect_field("bcd16", "12 34", "1234");
    expect_field("bcd64", "99 99 99 99 99 99 99 99", "9999999999999999");
    expect_field("bcd6", "94", "25"); /* 10 0101: a digit of two bits, one of four */
    expect_field("bcd8", "1a", "nil?");
}

/* The reflected code: 0 to 7 are 000 001 011 010 110 111 101 100. */
static void gray_code_steps_one_bit_at_a_time(void **state)
{
    (void)state;
    const char *codes[] = {"00", "20", "60", "40", "c0", "e0", "a0", "80"};
    for (int i = 0; i < 8; i++) {
        char value[8];
        (void)snprintf(value, sizeof value, "%d", i);
        expect_field("gray3", codes[i], value);
    }
    expect_field("gray32", "80 00 00 00", "4294967295");
}

/* IEEE 754-2008, examples of the binary interchange formats. */
static void floats_have_three_sizes(void **state)
{
    (void)state;
    expect_field("f16", "3c 00", "1");
    expect_field("f16", "c0 00", "-2");
    expect_field("f16", "7b ff", "65504");
    expect_field("f16", "04 00", "0.00006103515625");
    expect_field("f16", "00 01", "5.960464477539063e-8");
    expect_field("f16", "7c 00", "inf");
    expect_field("f16", "35 55", "0.333251953125");
    expect_field("f32", "40 49 0f db", "3.1415927410125732");
    expect_field("f32le", "db 0f 49 40", "3.1415927410125732");
    expect_field("f32 at bit 4", "04 04 90 fd b0", "3.1415927410125732");
    expect_field("f64", "40 09 21 fb 54 44 2d 18", "3.141592653589793");
    expect_field("f64le", "18 2d 44 54 fb 21 09 40", "3.141592653589793");
    expect_field("f32", "7f c0 00 00", "nan");
}

/* MIL-STD-1750A, tables of examples in 4.1.4 (32 bits) and 4.1.5 (48 bits). */
static void mil_std_1750a_floats_have_two_sizes(void **state)
{
    (void)state;
    expect_field("mil32", "7f ff ff 7f", "1.7014116317805963e38"); /* 0.9999998 × 2^127 */
    expect_field("mil32", "40 00 00 7f", "8.507059173023462e37");  /* 0.5 × 2^127 */
    expect_field("mil32", "50 00 00 04", "10");
    expect_field("mil32", "40 00 00 01", "1");
    expect_field("mil32", "40 00 00 00", "0.5");
    expect_field("mil32", "40 00 00 ff", "0.25");
    expect_field("mil32", "40 00 00 80", "1.4693679385278594e-39");
    expect_field("mil32", "00 00 00 00", "0");
    expect_field("mil32", "80 00 00 00", "-1");
    expect_field("mil32", "bf ff ff 80", "-1.4693682888524755e-39");
    expect_field("mil32", "9f ff ff 04", "-12.000001907348633");
    expect_field("mil48", "40 00 00 7f 00 00", "8.507059173023462e37");
    expect_field("mil48", "40 00 00 00 00 00", "0.5");
    expect_field("mil48", "40 00 00 ff 00 00", "0.25");
    expect_field("mil48", "80 00 00 00 00 00", "-1");
    expect_field("mil48", "80 00 00 ff 00 00", "-0.5");
    expect_field("mil48", "a0 00 00 ff 00 00", "-0.375");
}

static void texts_end_in_four_ways(void **state)
{
    (void)state;
    expect_field("text(4)", "41 42 00 ff", "AB");
    expect_field("text(4)", "41 42 20 20", "AB");
    expect_field("text(4) untrimmed", "41 42 20 20", "AB  ");
    expect_field("text(until 0)", "41 42 43 00 44", "ABC");
    expect_field("text(until \"\\n\")", "41 42 0a 44", "AB");
    expect_field("text(until 0x0d0a)", "41 42 0d 0a 44", "AB");
    expect_field("text(until 0x0d0a)", "41 42 43 0d 0a 44", "ABC"); /* it begins at any byte */
    expect_field("text(until 0x0d0a)", "41 0d 0d 0a 44", "A\r");
    expect_field("text(until 0x0000) charset utf16be", "01 00 00 41 00 00 44", "ĀA"); /* where a character begins */
    expect_field("text(prefix u8)", "02 41 42 43", "AB");
    expect_field("text(prefix u16le)", "02 00 41 42 43", "AB");
    expect_field("text(rest)", "41 42 43", "ABC");
    expect_field("text(2) at bit 4", "04 14 20", "AB");
    expect_field("bytes(3)", "01 02 ff", "0102ff");
    expect_field("bytes(prefix u8)", "02 ff 00", "ff00");
    expect_rejected("packet p\n  x text(until 0)\n", "41 42", YD_DECOM_TRUNCATED);
    expect_rejected("packet p\n  x text(until 0, max 1)\n  ...\n", "41 42 43 00", YD_DECOM_TERMINATOR);
    expect_rejected("packet p\n  x text(prefix u8)\n", "03 41 42", YD_DECOM_TRUNCATED);
    expect_rejected("packet p\n  x text(prefix u8, max 2)\n", "03 41 42 43", YD_DECOM_COUNT);
}

static void texts_have_charsets(void **state)
{
    (void)state;
    expect_field("text(3)", "c3 a9 41",
                 "\xc3\xa9"
                 "A");
    expect_field("text(2) charset latin1", "e9 41",
                 "\xc3\xa9"
                 "A");
    expect_field("text(4) charset utf16be", "00 e9 20 ac", "\xc3\xa9\xe2\x82\xac");
    expect_field("text(4) charset utf16le", "3d d8 00 de", "\xf0\x9f\x98\x80");
    expect_field("text(6) charset utf16be", "00 41 00 20 00 00", "A");
    expect_field("text(3) charset ascii", "c3 a9 41", "c3a941?");
    expect_field("text(2)", "ff fe", "fffe?");
    expect_field("text(2) charset utf16be", "d8 00", "d800?");
}

static void raw_values_become_engineering_values(void **state)
{
    (void)state;
    expect_field("u8 scale 0.5 offset -10", "40", "22");
    expect_field("u8 poly(1, 2, 3)", "02", "17");
    expect_field("u8 rational(1 1 / 2 0.5)", "04", "1.25");
    expect_field("u8 rational(1 / -4 1)", "04", "nil?");
    expect_field("u8 spline(0 0, 10 100, 20 110)", "05", "50");
    expect_field("u8 spline(0 0, 10 100, 20 110)", "0f", "105");
    expect_field("u8 spline(0 0, 10 100, 20 110)", "14", "110");
    expect_field("u8 spline(0 0, 10 100, 20 110)", "1e", "110?");
    expect_field("u8 spline(0 0, 10 100, 20 110) extrapolate", "1e", "120");
    expect_field("u8 steps(0 1, 10 2)", "09", "1");
    expect_field("u8 steps(0 1, 10 2)", "0a", "2");
    expect_field("u8 table(1 1.5, 3 2.5)", "03", "2.5");
    expect_field("u8 table(1 1.5, 3 2.5)", "02", "nil?");
    expect_field("f32 table(1 1.5, 3 2.5)", "7f c0 00 00", "nil?");
    expect_field("u8 { 0 OFF, 1 ON, 2..9 \"VERY ON\" }", "01", "ON");
    expect_field("u8 { 0 OFF, 1 ON, 2..9 \"VERY ON\" }", "05", "VERY ON");
    expect_field("u8 { 0 OFF, 1 ON }", "05", "5?");
    expect_field("u8 { 0 OFF, else HM }", "05", "HM");
    expect_field("u8 { else HM }", "05", "HM");
    expect_field("u64 { else HM }", "ff ff ff ff ff ff ff ff", "HM");
    expect_field("i8 { else HM }", "85", "HM");
    expect_field("i16 { -5..-1 LOW, 0 ZERO, 1000..2000 HIGH }", "ff fd", "LOW");
    expect_field("i16 { -5..-1 LOW, 0 ZERO, 1000..2000 HIGH }", "05 dc", "HIGH");
    expect_field("bool", "80", "true");
    expect_field("bool8", "02", "true");
    expect_field("bool8", "00", "false");
    expect_field("u8 valid 1..5", "05", "5");
    expect_field("u8 valid 1..5", "06", "6?");
    expect_field("f32 scale 2", "3f 80 00 00", "2");
    expect_field("i16le scale 0.1", "f6 ff", "-1");
}

/* CCSDS 301.0-B-4: CUC counts from 1958 TAI; CDS days from 1958. 1970-01-01 is day 4383. By hand otherwise. */
static void times_become_nanoseconds_of_utc(void **state)
{
    (void)state;
    expect_field("u32 s since unix", "00 00 00 02", "2000000000");
    expect_field("u32 ms since unix", "00 00 00 02", "2000000");
    expect_field("f64 s since unix", "3f f8 00 00 00 00 00 00", "1500000000");
    expect_field("u32 s since gps", "00 00 00 00", "315964800000000000");
    /* 2017-01-01T00:00:00Z is GPS 1167264018. */
    expect_field("u32 s since gps", "45 93 09 12", "1483228800000000000");
    expect_field("u32 s since gps", "45 93 09 10", "1483228799000000000");
    expect_field("u32 s since j2000", "00 00 00 00", "946727935816000000");
    expect_field("u32 s since \"2000-01-01\"", "00 00 00 01", "946684801000000000");
    expect_field("cuc(4, 2) since unix", "00 00 00 01 80 00", "1500000000");
    /* 2000-01-01T00:00:00Z is 15340 days and 32 s of TAI after 1958. */
    expect_field("cuc(4, 0)", "4e ff a2 20", "946684800000000000");
    expect_field("cds(2, 0)", "11 1f 00 00 00 01", "1000000");
    expect_field("cds(2, 2)", "11 1f 00 00 00 01 00 07", "1007000");
    expect_field("cds(3, 4)", "00 11 1f 00 00 00 01 00 0f 42 40", "1001000");
    expect_field("cds(2, 0)", "11 1f 05 26 5c 00 ", "86400000000000"); /* the leap second's millisecond is allowed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_counted_from_the_highest_or_from_the_lowest),
        cmocka_unit_test(whole_bytes_come_in_any_order),
        cmocka_unit_test(a_bit_order_may_be_reversed),
        cmocka_unit_test(signs_are_written_in_many_ways),
        cmocka_unit_test(digits_of_four_bits_are_a_number),
        cmocka_unit_test(gray_code_steps_one_bit_at_a_time),
        cmocka_unit_test(floats_have_three_sizes),
        cmocka_unit_test(mil_std_1750a_floats_have_two_sizes),
        cmocka_unit_test(texts_end_in_four_ways),
        cmocka_unit_test(texts_have_charsets),
        cmocka_unit_test(raw_values_become_engineering_values),
        cmocka_unit_test(times_become_nanoseconds_of_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
