/* Graphite's plaintext and OpenTSDB's put: every edge case of the protocols' reference is a sentence here. Each text is
 * parsed by AVX2 and by the portable way, whole and in pieces, and all must agree. */
#include "testing.h"

#define NOW_S 1000000000
#define NOW   "1000000000.000000000"

static const struct yd_lines_format *format;

static struct yd_lines *open_lines(struct heard *heard, struct yd_lines_options options)
{
    struct yd_lines *lines;
    options.format = format;
    options.sink = hear(heard);
    assert_int_equal(yd_lines_create(&options, &lines), 0);
    yd_lines_set_now(lines, (int64_t)NOW_S * YD_NS_PER_S);
    return lines;
}

static void parse_pieces(struct yd_lines *lines, const char *text, size_t size, struct yd_rng *rng, size_t piece_max)
{
    struct yd_lines_tail tail = {0};
    while (size) {
        char *to;
        size_t room, piece = piece_max == 1 ? 1 : 1 + yd_rng_below(rng, piece_max);
        yd_lines_room(lines, &tail, &to, &room);
        piece = YD_MIN(YD_MIN(piece, room), size);
        memcpy(to, text, piece);
        yd_lines_data(lines, &tail, piece);
        text += piece, size -= piece;
    }
    yd_lines_ended(lines, &tail, true);
    assert_null(tail.data);
}

/* The text gives these records and these rejects and commands, however it is parsed. */
static void expect_sized(const char *text, size_t size, const char *records, const char *others)
{
    struct yd_rng rng;
    yd_rng_init(&rng, 1);
    /* Long enough, with good lines around, that the wide way is really taken. */
    for (int way = 0; way < 6; way++) {
        struct heard heard;
        struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){.portable = way & 1});
        for (int round = 0; round < 2; round++) { /* names unknown, then known */
            yd_buf_clear(&heard.records);
            yd_buf_clear(&heard.others);
            if (way < 2)
                yd_lines_parse_all(lines, text, size);
            else
                parse_pieces(lines, text, size, &rng, way < 4 ? 1 : 20);
            yd_lines_flush(lines);
            if (way < 2) { /* a file's last line needs no end; nor does a connection's that ended in order */
                assert_string_equal(text_of(&heard.records), records);
                assert_string_equal(text_of(&heard.others), others);
            } else {
                assert_string_equal(text_of(&heard.records), records);
                assert_string_equal(text_of(&heard.others), others);
            }
        }
        yd_lines_destroy(lines);
        forget(&heard);
    }
    /* And in the middle of a large buffer, where nothing is careful. */
    const char *good = format == &yd_graphite_format ? "g 1 1\n" : "put g 1 1.0\n";
    struct yd_buf big;
    yd_buf_init(&big, NULL);
    for (int i = 0; i < 20; i++) yd_buf_cstr(&big, good);
    size_t before = big.size;
    yd_buf_add(&big, text, size);
    if (size && text[size - 1] != '\n') yd_buf_char(&big, '\n');
    for (int i = 0; i < 20; i++) yd_buf_cstr(&big, good);
    (void)before;
    struct heard heard;
    struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){0});
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&heard.records);
        yd_buf_clear(&heard.others);
        yd_lines_parse_all(lines, big.data, big.size);
        yd_lines_flush(lines);
        const char *all = text_of(&heard.records), *g = "1.000000000 g 1";
        for (int i = 0; i < 20; i++) {
            assert_int_equal(strncmp(all, g, strlen(g)), 0);
            all += strlen(g) + 2;
        }
        if (!strchr(text, '\r')) {
            assert_int_equal(strncmp(all, records, strlen(records)), 0);
            assert_string_equal(text_of(&heard.others), others);
        }
    }
    yd_lines_destroy(lines);
    forget(&heard);
    yd_buf_fini(&big);
}

static void expect(const char *text, const char *records, const char *others)
{
    expect_sized(text, strlen(text), records, others);
}

#define GRAPHITE   format = &yd_graphite_format
#define OPENTSDB   format = &yd_opentsdb_format
#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

/* ---- Graphite ---- */

TEST(graphite_takes_path_value_and_seconds)
{
    UNUSED, GRAPHITE;
    expect("cpu.load 1.5 1700000000\n", "1700000000.000000000 cpu.load 1.5", "");
    expect("a 1 1\nb -2 2\nc +3.25 3\n", "1.000000000 a 1; 2.000000000 b -2; 3.000000000 c 3.25", "");
}

TEST(graphite_splits_from_the_right_so_a_path_may_hold_spaces)
{
    UNUSED, GRAPHITE;
    expect("disk used 1 1700000000\n", "1700000000.000000000 disk\\ used 1", "");
    expect("disk  \t used 1 1700000000\n", "1700000000.000000000 disk\\ used 1", "");
}

TEST(graphite_takes_tabs_and_runs_of_spaces_between_fields)
{
    UNUSED, GRAPHITE;
    expect("a\t1\t2\n", "2.000000000 a 1", "");
    expect("  a   1 \t 2  \n", "2.000000000 a 1", "");
    expect("   a 1\n\t \ta 2 3\n  7 8\n", NOW " a 1; 3.000000000 a 2; " NOW " 7 8", "");
}

TEST(graphite_takes_crlf_empty_lines_and_a_missing_last_line_end)
{
    UNUSED, GRAPHITE;
    expect("a 1 2\r\n\r\n\n   \nb 3 4\r\nc 5 6", "2.000000000 a 1; 4.000000000 b 3; 6.000000000 c 5", "");
}

TEST(graphite_takes_carriage_returns_alone_as_line_ends)
{
    UNUSED, GRAPHITE;
    expect("a 1 2\rb 3 4\rc 5 6\r", "2.000000000 a 1; 4.000000000 b 3; 6.000000000 c 5", "");
}

TEST(graphite_missing_zero_and_minus_one_timestamps_are_now)
{
    UNUSED, GRAPHITE;
    expect("a 1\na 2 0\na 3 -1\na 4 -1.0\n", NOW " a 1; " NOW " a 2; " NOW " a 3; " NOW " a 4", "");
}

TEST(graphite_cuts_fractions_of_seconds_and_takes_exponents)
{
    UNUSED, GRAPHITE;
    expect("a 1 1700000000.987\na 1 1.7e9\n", "1700000000.000000000 a 1; 1700000000.000000000 a 1", "");
}

TEST(graphite_rejects_bad_timestamps)
{
    UNUSED, GRAPHITE;
    expect("a 1 x\na 1 -5\na 1 nan\na 1 9223372036\na 1 1e300\n", "",
           "! bad timestamp; ! bad timestamp; ! bad timestamp; ! bad timestamp; ! bad timestamp");
    expect("a 1 9223372035\n", "9223372035.000000000 a 1", "");
}

TEST(graphite_takes_every_way_to_write_a_number)
{
    UNUSED, GRAPHITE;
    expect("a .5 1\na 5. 1\na 1e3 1\na -1.5E-3 1\na +7 1\na 0 1\na 00012 1\n",
           "1.000000000 a 0.5; 1.000000000 a 5; 1.000000000 a 1000; 1.000000000 a -0.0015; 1.000000000 a 7; "
           "1.000000000 a 0; 1.000000000 a 12",
           "");
    expect("a 9007199254740993 1\na -9223372036854775808 1\na 18446744073709551615 1\na 9223372036854775807\n",
           "1.000000000 a 9007199254740993i; 1.000000000 a -9223372036854775808i; "
           "1.000000000 a 18446744073709551615; " NOW " a 9223372036854775807i",
           "");
    expect("a 0.8444218515250481 1\na 123456789012345 1\na 1234567890123456 1\na 99999999999.9999 1\n",
           "1.000000000 a 0.8444218515250481; 1.000000000 a 123456789012345; 1.000000000 a 1234567890123456; "
           "1.000000000 a 99999999999.9999",
           "");
}

TEST(graphite_rejects_what_is_no_number)
{
    UNUSED, GRAPHITE;
    expect("a . 1\na - 1\na 1.2.3 1\na 0x10 1\na 1e 1\na 12a 1\na +-1 1\na b 1\n", "",
           "! bad value; ! bad value; ! bad value; ! bad value; ! bad value; ! bad value; ! bad value; ! bad value");
}

TEST(graphite_drops_nan_and_infinities_by_name)
{
    UNUSED, GRAPHITE;
    expect("a nan 1\na NaN 1\na inf 1\na -Infinity 1\na 1e999 1\n", "",
           "! value not finite; ! value not finite; ! value not finite; ! value not finite; ! value not finite");
}

TEST(graphite_one_bad_line_does_not_sink_the_rest)
{
    UNUSED, GRAPHITE;
    expect("lines 1 2\nare 3 4\nnot\nvalid 5 6", "2.000000000 lines 1; 4.000000000 are 3; 6.000000000 valid 5",
           "! no value");
}

TEST(graphite_sorts_tags_and_escapes_what_the_qualified_name_needs)
{
    UNUSED, GRAPHITE;
    expect("m;z=1;a=2 1 1\n", "1.000000000 m a=2,z=1 1", "");
    expect("m;a=b=c,d 1 1\n", "1.000000000 m a=b\\=c\\,d 1", "");
    expect("m*;a=\\ 1 1\n", "1.000000000 m\\* a=\\\\ 1", "");
}

TEST(graphite_tolerates_empty_tags)
{
    UNUSED, GRAPHITE;
    expect("foo; 1 1\n", "1.000000000 foo 1", "");
    expect("foo;a=;=b;c=d; 1 1\n", "1.000000000 foo c=d 1", "");
}

TEST(graphite_rejects_bad_tags)
{
    UNUSED, GRAPHITE;
    expect("m;a 1 1\nm;a!=1 1 1\nm;a^=1 1 1\nm;a=~x 1 1\n", "", "! bad tag; ! bad tag; ! bad tag; ! bad tag");
    expect("m;a=1;a=2 1 1\n", "", "! tag given twice");
    expect("m;a=1;a=1 1 1\n", "1.000000000 m a=1 1", "");
    expect(";a=1 1 1\n", "", "! bad name");
}

TEST(graphite_two_spellings_of_one_name_are_one_name)
{
    UNUSED, GRAPHITE;
    struct heard heard;
    struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){0});
    for (int round = 0; round < 3; round++) {
        const char *text[] = {"m;a=1;b=2 1 1\nm;b=2;a=1 2 2\nm{a=\"1\",b=\"2\"} 3 3\n",
                              "m;b=2;a=1 1 1\nm{a=\"1\",b=\"2\"} 3 3\nm;a=1;b=2 1 1\n",
                              "m{a=\"1\",b=\"2\"} 3 3\nm;a=1;b=2; 1 1\n"};
        yd_lines_parse_all(lines, text[round], strlen(text[round]));
        yd_lines_flush(lines);
    }
    yd_lines_destroy(lines);
    forget(&heard);
}

TEST(graphite_takes_openmetrics_braces)
{
    UNUSED, GRAPHITE;
    expect("m{b=\"x y\",a=\"q\\\"z\"} 1 1\n", "1.000000000 m a=q\"z,b=x\\ y 1", "");
    expect("m{} 1 1\nm{a=\"1\",} 1 1\n", "1.000000000 m 1; 1.000000000 m a=1 1", "");
    expect("m{a=1} 1 1\nm{a=\"1} 1 1\nm{a=\"1\"b=\"2\"} 1 1\n", "", "! bad tag; ! bad tag; ! bad tag");
}

TEST(graphite_rejects_names_that_are_no_text)
{
    UNUSED, GRAPHITE;
    expect("a\xff 1 1\n", "", "! name not UTF-8");
    expect("a\x01 1 1\n", "", "! bad name");
    expect_sized("a\0b 1 1\nc 1 1\n", 14, "1.000000000 c 1", "! bad name");
    expect("m\xc3\xa4rz;k=\xe2\x82\xac 1 1\n", "1.000000000 m\xc3\xa4rz k=\xe2\x82\xac 1", "");
}

TEST(graphite_names_a_http_request)
{
    UNUSED, GRAPHITE;
    expect("GET /metrics HTTP/1.1\na 1 1\n", "1.000000000 a 1", "! HTTP request on a line port");
    assert_false(yd_line_is_http(yd_str_of("GET 1 1")));
    assert_true(yd_line_is_http(yd_str_of("POST http://x/ HTTP/1.0")));
}

TEST(graphite_rejects_names_over_the_limit_and_keeps_the_neighbours)
{
    UNUSED, GRAPHITE;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "a 1 1\n");
    for (int i = 0; i < YD_NAME_SIZE_MAX + 1; i++) yd_buf_char(&text, 'n');
    yd_buf_cstr(&text, " 1 1\nb 1 1\n");
    expect_sized(text.data, text.size, "1.000000000 a 1; 1.000000000 b 1", "! name too long");
    yd_buf_fini(&text);
}

/* ---- OpenTSDB ---- */

TEST(opentsdb_takes_put_with_tags_in_any_order)
{
    UNUSED, OPENTSDB;
    expect("put sys.cpu 1356998400 42.5 host=web01 cpu=0\n", "1356998400.000000000 sys.cpu cpu=0,host=web01 42.5", "");
}

TEST(opentsdb_keeps_integers_exact_and_other_numbers_as_floats)
{
    UNUSED, OPENTSDB;
    expect("put m 1 42 a=b\nput m 1 -7 a=b\nput m 1 +4 a=b\nput m 1 9223372036854775807 a=b\n",
           "1.000000000 m a=b 42i; 1.000000000 m a=b -7i; 1.000000000 m a=b 4i; 1.000000000 m a=b 9223372036854775807i",
           "");
    expect("put m 1 1e-3 a=b\nput m 1 -.5 a=b\nput m 1 4.0 a=b\n",
           "1.000000000 m a=b 0.001; 1.000000000 m a=b -0.5; 1.000000000 m a=b 4", "");
    expect("put m 1 9223372036854775808 a=b\nput m 1 NaN a=b\nput m 1 Infinity a=b\nput m 1 x a=b\n", "",
           "! bad value; ! value not finite; ! value not finite; ! bad value");
}

TEST(opentsdb_tells_seconds_from_milliseconds)
{
    UNUSED, OPENTSDB;
    expect(
        "put m 4294967295 1.5\nput m 4294967296 1.5\nput m 1356998400123 1.5\nput m 9223372036853 1.5\n",
        "4294967295.000000000 m 1.5; 4294967.296000000 m 1.5; 1356998400.123000000 m 1.5; 9223372036.853000000 m 1.5",
        "");
    expect("put m 1356998400.123 1.5\nput m 1356998400.5 1.5\nput m 1.123456789 1.5\n",
           "1356998400.123000000 m 1.5; 1356998400.500000000 m 1.5; 1.123456789 m 1.5", "");
}

TEST(opentsdb_rejects_bad_timestamps)
{
    UNUSED, OPENTSDB;
    expect("put m 0 1.5\nput m -1 1.5\nput m 9223372036854 1.5\nput m x 1.5\nput m 1. 1.5\nput m 4294967296.1 1.5\n",
           "", "! bad timestamp; ! bad timestamp; ! bad timestamp; ! bad timestamp; ! bad timestamp; ! bad timestamp");
}

TEST(opentsdb_takes_zero_tags_and_skips_empty_words)
{
    UNUSED, OPENTSDB;
    expect("put m 1 1.5\nput m 1 1.5 \nput  m  1  1.5   a=b   c=d \r\n",
           "1.000000000 m 1.5; 1.000000000 m 1.5; 1.000000000 m a=b,c=d 1.5", "");
    expect("put m 1 1.5 a=b=c d= =e\n", "1.000000000 m a=b\\=c 1.5", "");
}

TEST(opentsdb_rejects_bad_tags)
{
    UNUSED, OPENTSDB;
    expect("put m 1 1.5 a\nput m 1 1.5 a=b a=c\n", "", "! bad tag; ! tag given twice");
    expect("put m 1 1.5 a=b a=b\n", "1.000000000 m a=b 1.5", "");
}

TEST(opentsdb_rejects_puts_that_lack_words)
{
    UNUSED, OPENTSDB;
    expect("put\nput m\nput m 1\n", "", "! no value; ! no value; ! no value");
}

TEST(opentsdb_hands_on_commands_in_order)
{
    UNUSED, OPENTSDB;
    expect("version\nput m 1 1.5\nput x\nputs m 1 1\nstats\n\nPUT m 1 1.5\n", "1.000000000 m 1.5",
           "> version; ! no value; > puts m 1 1; > stats; > PUT m 1 1.5");
}

TEST(opentsdb_finds_long_metrics_and_values)
{
    UNUSED, OPENTSDB;
    expect("put a.metric.name.that.is.longer.than.thirty.two.bytes.in.one.word 1356998400 0.8444218515250481 a=b\n",
           "1356998400.000000000 a.metric.name.that.is.longer.than.thirty.two.bytes.in.one.word a=b 0.8444218515250481",
           "");
}

/* ---- lines ---- */

TEST(a_line_over_the_limit_is_rejected_and_the_next_one_taken)
{
    UNUSED, GRAPHITE;
    for (int way = 0; way < 4; way++) {
        struct heard heard;
        struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){.line_max = 100, .portable = way & 1});
        struct yd_buf text;
        struct yd_rng rng;
        yd_rng_init(&rng, 3);
        yd_buf_init(&text, NULL);
        yd_buf_cstr(&text, "a 1 1\n");
        for (int i = 0; i < 1000; i++) yd_buf_char(&text, 'x');
        yd_buf_cstr(&text, " 1 1\nb 1 1\n");
        parse_pieces(lines, text.data, text.size, &rng, way < 2 ? 7 : 5000);
        yd_lines_flush(lines);
        assert_string_equal(text_of(&heard.records), "1.000000000 a 1; 1.000000000 b 1");
        assert_string_equal(text_of(&heard.others), "! line too long");
        assert_int_equal(yd_lines_count(lines), 3);
        yd_lines_destroy(lines);
        forget(&heard);
        yd_buf_fini(&text);
    }
}

TEST(a_line_that_a_lost_connection_cut_is_rejected)
{
    UNUSED, GRAPHITE;
    struct heard heard;
    struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){0});
    struct yd_lines_tail tail = {0};
    char *to;
    size_t room;
    yd_lines_room(lines, &tail, &to, &room);
    memcpy(to, "a 1 1\nb 1 1700", 14);
    yd_lines_data(lines, &tail, 14);
    yd_lines_ended(lines, &tail, false);
    yd_lines_flush(lines);
    assert_string_equal(text_of(&heard.records), "1.000000000 a 1");
    assert_string_equal(text_of(&heard.others), "! connection lost inside a line");
    yd_lines_destroy(lines);
    forget(&heard);
}

TEST(a_name_cache_that_is_full_forgets_and_goes_on)
{
    UNUSED, GRAPHITE;
    struct heard heard;
    struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){.cache_bytes = 9 << 20, .batch_bytes = 8192});
    char line[128];
    for (int i = 0; i < 150000; i++) {
        int size = snprintf(line, sizeof line, "some.long.metric.name.for.the.cache.%d 1 1\n", i);
        yd_lines_parse_all(lines, line, (size_t)size);
        yd_buf_clear(&heard.records);
    }
    yd_lines_flush(lines);
    assert_int_equal(heard.record_count, 150000);
    assert_true(yd__lines_names(lines)->resets > 0);
    yd_lines_destroy(lines);
    forget(&heard);
}

TEST(full_batches_are_sealed_and_nothing_is_lost)
{
    UNUSED, GRAPHITE;
    for (int way = 0; way < 2; way++) {
        struct heard heard;
        struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){.batch_bytes = 8192, .portable = way});
        struct yd_buf text, expected;
        yd_buf_init(&text, NULL);
        yd_buf_init(&expected, NULL);
        for (int i = 0; i < 5000; i++) {
            yd_buf_printf(&text, "name.%d %d 1\n", i * 7919 % 700, i);
            yd_buf_printf(&expected, "%s1.000000000 name.%d %d", i ? "; " : "", i * 7919 % 700, i);
        }
        yd_lines_parse_all(lines, text.data, text.size);
        yd_lines_flush(lines);
        assert_string_equal(text_of(&heard.records), text_of(&expected));
        assert_true(heard.batch_count > 10);
        yd_lines_destroy(lines);
        forget(&heard);
        yd_buf_fini(&text);
        yd_buf_fini(&expected);
    }
}

TEST(long_names_that_fill_a_small_batch_go_through_one_by_one)
{
    UNUSED, GRAPHITE;
    struct heard heard;
    struct yd_lines *lines = open_lines(&heard, (struct yd_lines_options){.batch_bytes = 8192});
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 4000; k++) yd_buf_char(&text, 'a');
        yd_buf_printf(&text, "%03d 1 1\n", i);
    }
    yd_lines_parse_all(lines, text.data, text.size);
    yd_lines_flush(lines);
    assert_int_equal(heard.record_count, 200);
    assert_int_equal(heard.reject_count, 0);
    yd_lines_destroy(lines);
    forget(&heard);
    yd_buf_fini(&text);
}

/* Fragments that lines are made of, good and bad, so that random texts meet every branch. */
TEST(graphite_timestamp_as_in_the_line_before_is_only_that_where_the_whole_field_is)
{
    UNUSED, GRAPHITE;
    expect("a 1 1700000000\na 2 1700000000\n", "1700000000.000000000 a 1; 1700000000.000000000 a 2", "");
    expect("a 1 70\nb 2 170\nc 3 70\nd 4 0070\ne 5 7\n",
           "70.000000000 a 1; 170.000000000 b 2; 70.000000000 c 3; 70.000000000 d 4; 7.000000000 e 5", "");
    expect("a 1 70\nb 2\t70\nc\t3 70\nd 4 x70\n 70\n70\ne f 70\n",
           "70.000000000 a 1; 70.000000000 b 2; 70.000000000 c 3",
           "! bad timestamp; ! no value; ! no value; ! bad value");
}

TEST(put_timestamp_as_in_the_line_before_is_only_that_where_the_whole_field_is)
{
    UNUSED, OPENTSDB;
    expect("put a 70 1.5 h=1\nput a 70 2.5 h=1\n", "70.000000000 a h=1 1.5; 70.000000000 a h=1 2.5", "");
    expect("put a 70 1.5\nput b 700 2.5\nput c 70 3.5\nput d 7 4.5\nput e 070 5.5\n",
           "70.000000000 a 1.5; 700.000000000 b 2.5; 70.000000000 c 3.5; 7.000000000 d 4.5; 70.000000000 e 5.5", "");
    expect(
        "put a 70 1.5\nput b 70\t2.5\nput c\t70 3.5\nput d 70.5 4.5\nput e 70 \nput f 70\nput 70 5.5\nput 70 70 70\n",
        "70.000000000 a 1.5; 70.000000000 b 2.5; 70.000000000 c 3.5; 70.500000000 d 4.5; 70.000000000 70 70i",
        "! no value; ! no value; ! no value");
}

TEST(put_value_that_reaches_over_the_step_is_taken_whole)
{
    UNUSED, OPENTSDB;
    expect("put a 1700000000000 1234567890.1234 h=1\nput a 1700000000000 0.1234567890123 h=1\n",
           "1700000000.000000000 a h=1 1234567890.1234; 1700000000.000000000 a h=1 0.1234567890123", "");
    expect("put a 1700000000000 0.000000000000000000000000000000025\n", "1700000000.000000000 a 2.5e-32", "");
}

static size_t random_text(struct yd_rng *rng, char *to, size_t size)
{
    static const char *const pieces[] = {"cpu.load",
                                         "a",
                                         "put ",
                                         "put",
                                         "m;b=1;a=2",
                                         "m;a=2;b=1",
                                         " ",
                                         " ",
                                         " ",
                                         "  ",
                                         "\t",
                                         "\r",
                                         "\n",
                                         "\n",
                                         "\n",
                                         "\r\n",
                                         "1",
                                         "42",
                                         "1.5",
                                         "-1",
                                         "-1",
                                         "1700000000",
                                         "1356998400123",
                                         "1356998400.5",
                                         "0.8444218515250481",
                                         "nan",
                                         "1e5",
                                         ".",
                                         "-",
                                         "host=web01",
                                         "cpu=0",
                                         "a=b=c",
                                         "=x",
                                         "x=",
                                         ";",
                                         "\xff",
                                         "\x01",
                                         "{",
                                         "}",
                                         "k=\"v\"",
                                         "GET /x HTTP/1.1",
                                         "some.quite.long.metric.name.with.more.than.thirty.two.bytes",
                                         "12345678901234567890",
                                         "4294967296",
                                         "0"};
    size_t used = 0;
    while (used + 64 < size) {
        if (yd_rng_chance(rng, 2)) {
            int n = snprintf(to + used, 64, "%sn%u%s %u.%02u %u%s\n", format == &yd_graphite_format ? "" : "put ",
                             (unsigned)yd_rng_below(rng, 50), format == &yd_graphite_format ? "" : " 1700000000",
                             (unsigned)yd_rng_below(rng, 1000), (unsigned)yd_rng_below(rng, 100),
                             1 + (unsigned)yd_rng_below(rng, 2000000000u), format == &yd_graphite_format ? "" : "=x");
            used += (size_t)n;
            continue;
        }
        const char *piece = pieces[yd_rng_below(rng, YD_COUNT(pieces))];
        size_t n = strlen(piece);
        memcpy(to + used, piece, n);
        used += n;
    }
    return used;
}

TEST(wide_portable_whole_and_pieces_agree_on_random_texts)
{
    UNUSED;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    static char text[8192];
    for (int round = 0; round < 300; round++) {
        format = round & 1 ? &yd_graphite_format : &yd_opentsdb_format;
        size_t size = random_text(&rng, text, 64 + yd_rng_below(&rng, sizeof text - 64));
        char *records = NULL, *others = NULL;
        uint64_t count = 0;
        for (int way = 0; way < 3; way++) {
            struct heard heard;
            struct yd_lines *lines =
                open_lines(&heard, (struct yd_lines_options){.portable = way == 1, .batch_bytes = way == 2 ? 8192 : 0});
            if (way < 2) {
                yd_lines_parse_all(lines, text, size);
            } else {
                /* Pieces that end with a whole line: a lone CR ends lines only in a burst without LF. */
                const char *p = text, *end = text + size;
                while (p < end) {
                    const char *lf = memchr(p, '\n', (size_t)(end - p));
                    size_t n = lf ? (size_t)(lf + 1 - p) : (size_t)(end - p);
                    yd_lines_parse_all(lines, p, n);
                    p += n;
                }
            }
            yd_lines_flush(lines);
            if (way == 0) {
                records = strdup(text_of(&heard.records));
                others = strdup(text_of(&heard.others));
                count = yd_lines_count(lines);
            } else {
                assert_same_text(text_of(&heard.records), records);
                assert_same_text(text_of(&heard.others), others);
                assert_int_equal(yd_lines_count(lines), count);
            }
            yd_lines_destroy(lines);
            forget(&heard);
        }
        free(records);
        free(others);
    }
}

TEST(an_allocation_that_fails_costs_lines_but_never_more)
{
    UNUSED, GRAPHITE;
    static char text[4096];
    struct yd_rng rng;
    yd_rng_init(&rng, 5);
    size_t size = random_text(&rng, text, sizeof text);
    for (uint64_t fail_at = 1; fail_at < 60; fail_at++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, fail_at);
        struct heard heard;
        struct yd_lines *lines;
        struct yd_lines_options options = {.format = format, .sink = hear(&heard), .alloc = &failing.alloc};
        if (yd_lines_create(&options, &lines) == 0) {
            yd_lines_parse_all(lines, text, size);
            yd_lines_flush(lines);
            assert_int_equal(heard.record_count + heard.reject_count, yd_lines_count(lines));
            yd_lines_destroy(lines);
        }
        assert_int_equal(failing.bytes_out, 0);
        forget(&heard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphite_takes_path_value_and_seconds),
        cmocka_unit_test(graphite_splits_from_the_right_so_a_path_may_hold_spaces),
        cmocka_unit_test(graphite_takes_tabs_and_runs_of_spaces_between_fields),
        cmocka_unit_test(graphite_takes_crlf_empty_lines_and_a_missing_last_line_end),
        cmocka_unit_test(graphite_takes_carriage_returns_alone_as_line_ends),
        cmocka_unit_test(graphite_missing_zero_and_minus_one_timestamps_are_now),
        cmocka_unit_test(graphite_cuts_fractions_of_seconds_and_takes_exponents),
        cmocka_unit_test(graphite_rejects_bad_timestamps),
        cmocka_unit_test(graphite_takes_every_way_to_write_a_number),
        cmocka_unit_test(graphite_rejects_what_is_no_number),
        cmocka_unit_test(graphite_drops_nan_and_infinities_by_name),
        cmocka_unit_test(graphite_one_bad_line_does_not_sink_the_rest),
        cmocka_unit_test(graphite_sorts_tags_and_escapes_what_the_qualified_name_needs),
        cmocka_unit_test(graphite_tolerates_empty_tags),
        cmocka_unit_test(graphite_rejects_bad_tags),
        cmocka_unit_test(graphite_two_spellings_of_one_name_are_one_name),
        cmocka_unit_test(graphite_takes_openmetrics_braces),
        cmocka_unit_test(graphite_rejects_names_that_are_no_text),
        cmocka_unit_test(graphite_names_a_http_request),
        cmocka_unit_test(graphite_rejects_names_over_the_limit_and_keeps_the_neighbours),
        cmocka_unit_test(opentsdb_takes_put_with_tags_in_any_order),
        cmocka_unit_test(opentsdb_keeps_integers_exact_and_other_numbers_as_floats),
        cmocka_unit_test(opentsdb_tells_seconds_from_milliseconds),
        cmocka_unit_test(opentsdb_rejects_bad_timestamps),
        cmocka_unit_test(opentsdb_takes_zero_tags_and_skips_empty_words),
        cmocka_unit_test(opentsdb_rejects_bad_tags),
        cmocka_unit_test(opentsdb_rejects_puts_that_lack_words),
        cmocka_unit_test(opentsdb_hands_on_commands_in_order),
        cmocka_unit_test(opentsdb_finds_long_metrics_and_values),
        cmocka_unit_test(a_line_over_the_limit_is_rejected_and_the_next_one_taken),
        cmocka_unit_test(a_line_that_a_lost_connection_cut_is_rejected),
        cmocka_unit_test(a_name_cache_that_is_full_forgets_and_goes_on),
        cmocka_unit_test(full_batches_are_sealed_and_nothing_is_lost),
        cmocka_unit_test(long_names_that_fill_a_small_batch_go_through_one_by_one),
        cmocka_unit_test(graphite_timestamp_as_in_the_line_before_is_only_that_where_the_whole_field_is),
        cmocka_unit_test(put_timestamp_as_in_the_line_before_is_only_that_where_the_whole_field_is),
        cmocka_unit_test(put_value_that_reaches_over_the_step_is_taken_whole),
        cmocka_unit_test(wide_portable_whole_and_pieces_agree_on_random_texts),
        cmocka_unit_test(an_allocation_that_fails_costs_lines_but_never_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
