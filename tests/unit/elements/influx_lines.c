/* Influx line protocol: every rule and edge case that elements/influx_lines.h names. */
#include "elements/influx_lines.h"

#include "testing.h"

#define NOW        INT64_C(1000000000000000007)
#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

struct said {
    struct yd_buf records, others;
    uint64_t rejects[YD_INFLUX_REASON_COUNT], batches;
};

static void say(struct yd_buf *to, const char *text)
{
    if (to->size) yd_buf_cstr(to, "; ");
    yd_buf_cstr(to, text);
}

static void take(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct said *said = arg;
    struct yd_view view;
    assert_int_equal(records, batch->header.count);
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
    for (uint32_t i = 0; i < batch->header.count; i++) {
        const struct yd_record *record = &view.records[i];
        char number[32];
        double value;
        say(&said->records, "");
        yd_buf_printf(&said->records, "%lld ", (long long)record->time_ns);
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, ' ');
        if (record->type == YD_TEXT) {
            assert_int_equal(record->kind, YD_EVENT);
            struct yd_str text = yd_view_bytes(&view, record->value);
            yd_buf_printf(&said->records, "\"%.*s\"", YD_STR_FMT(text));
            continue;
        }
        assert_int_equal(record->kind, YD_SAMPLE);
        assert_true(yd_value_number(record->type, record->value, &value));
        yd_buf_add(&said->records, number,
                   record->type == YD_I64   ? yd_text_put_i64(number, record->value.i64)
                   : record->type == YD_U64 ? yd_text_put_u64(number, record->value.u64)
                                            : yd_text_put_f64(number, value));
        if (record->type != YD_F64) yd_buf_char(&said->records, record->type == YD_I64 ? 'i' : 'u');
    }
    said->batches++;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_influx_reason reason, struct yd_str line)
{
    struct said *said = arg;
    (void)line;
    say(&said->others, yd_influx_reasons[reason]);
    said->rejects[reason]++;
}

static struct yd_influx *open_influx(struct said *said, struct yd_influx_options options)
{
    struct yd_influx *influx;
    *said = (struct said){0};
    yd_buf_init(&said->records, NULL);
    yd_buf_init(&said->others, NULL);
    options.sink = (struct yd_influx_sink){said, take, refuse};
    if (!options.separator.data) options.separator = YD_STR("_");
    options.seed = 7;
    assert_int_equal(yd_influx_create(&options, &influx), 0);
    return influx;
}

static void close_influx(struct yd_influx *influx, struct said *said)
{
    yd_influx_destroy(influx);
    yd_buf_fini(&said->records);
    yd_buf_fini(&said->others);
}

static void expect_in(const char *text, size_t size, int64_t unit_ns, const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said;
    struct yd_influx *influx = open_influx(&said, (struct yd_influx_options){0});
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        (void)yd_influx_parse(influx, (struct yd_str){copy, size}, unit_ns, NOW);
        yd_influx_flush(influx);
        assert_string_equal(text_of(&said.records), records);
        assert_string_equal(text_of(&said.others), others);
    }
    free(copy);
    close_influx(influx, &said);
}

static void expect(const char *text, const char *records, const char *others)
{
    expect_in(text, strlen(text), 1, records, others);
}

TEST(a_line_is_one_record_for_each_field_with_the_lines_tags_sorted)
{
    UNUSED;
    expect("cpu,host=b,cpu=0 user=1.5,idle=98i 1700000000000000001\n",
           "1700000000000000001 cpu_user cpu=0,host=b 1.5; 1700000000000000001 cpu_idle cpu=0,host=b 98i", "");
    expect("m v=1 5", "5 m_v 1", "");
}

TEST(values_are_floats_integers_unsigned_booleans_and_strings)
{
    UNUSED;
    expect("m a=1,b=-2i,c=18446744073709551615u,d=t,e=F,f=TRUE,g=false,h=1e3,i=.5,j=5.,k=-9223372036854775808i 1",
           "1 m_a 1; 1 m_b -2i; 1 m_c 18446744073709551615u; 1 m_d 1i; 1 m_e 0i; 1 m_f 1i; 1 m_g 0i; 1 m_h 1000; "
           "1 m_i 0.5; 1 m_j 5; 1 m_k -9223372036854775808i",
           "");
    expect("m s=\"up\",t=\"a \\\"b\\\" c\\\\d\\n\",e=\"\" 1", "1 m_s \"up\"; 1 m_t \"a \"b\" c\\d\\n\"; 1 m_e \"\"",
           "");
}

TEST(bad_values_reject_the_line_and_only_it)
{
    UNUSED;
    static const char *const bad[] = {".",
                                      "1e",
                                      "nan",
                                      "NaN",
                                      "inf",
                                      "-Inf",
                                      "1x",
                                      "i",
                                      "u",
                                      "-1u",
                                      "tr",
                                      "1.5i",
                                      "--1",
                                      "9223372036854775808i",
                                      "18446744073709551616u",
                                      "0x1f"};
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "a v=1 1\nm good=1,v=%s,z=2 1\nb v=2 2\n", bad[i]);
        expect(text, "1 a_v 1; 2 b_v 2", "bad value");
    }
    expect("m v= 1\n", "", "bad value");
}

TEST(escapes_hold_commas_spaces_and_equals_and_other_backslashes_are_themselves)
{
    UNUSED;
    expect("my\\,me\\ as,t\\,a\\=g=va\\ lu\\=e f\\=i\\,e\\ ld=1 1\n",
           "1 my\\,me\\ as_f\\=i\\,e\\ ld t\\,a\\=g=va\\ lu\\=e 1", "");
    expect("m\\e,k=a\\b v\\w=1 1\n", "1 m\\\\e_v\\\\w k=a\\\\b 1", "");
    expect("m=e,k=v x=1 1\n", "1 m\\=e_x k=v 1", ""); /* a bare = may stand in a measurement */
}

TEST(a_string_may_hold_line_feeds_spaces_and_commas)
{
    UNUSED;
    expect("m s=\"two\nlines, and = more\",n=2 3\nm v=1 4\n", "3 m_s \"two\nlines, and = more\"; 3 m_n 2; 4 m_v 1", "");
}

TEST(an_open_string_costs_its_line_and_not_what_follows)
{
    UNUSED;
    expect("m s=\"open 1\na v=1 2\n", "2 a_v 1", "string not closed");
}

TEST(comments_blank_lines_and_extra_spaces_are_nothing)
{
    UNUSED;
    expect("# a comment\n\n   \n  m   v=1   7  \n\r\nm v=2\t\n", "7 m_v 1", "bad value");
    expect("m v=1 \n", "1000000000000000007 m_v 1", "");
    expect("m v=1 8\r\nm v=2\r\n", "8 m_v 1; 1000000000000000007 m_v 2", "");
}

TEST(a_line_without_a_time_is_now_and_zero_and_negative_times_are_times)
{
    UNUSED;
    expect("m v=1\nm v=2 0\nm v=3 -5\n", "1000000000000000007 m_v 1; 0 m_v 2; -5 m_v 3", "");
}

TEST(bad_times_reject)
{
    UNUSED;
    expect("m v=1 x\nm v=1 1.5\nm v=1 9223372036854775808\nm v=1 1 2\nm v=1 +4\n", "",
           "bad timestamp; bad timestamp; bad timestamp; bad timestamp; bad timestamp");
    expect_in("m v=1 99999999999999\n", 21, YD_NS_PER_S, "", "bad timestamp"); /* beyond 2262 */
}

TEST(precision_scales_times_and_auto_guesses)
{
    UNUSED;
    static const struct {
        const char *name;
        int64_t unit_ns;
    } known[] = {{"ns", 1},
                 {"n", 1},
                 {"us", 1000},
                 {"u", 1000},
                 {"ms", 1000000},
                 {"s", YD_NS_PER_S},
                 {"m", 60 * YD_NS_PER_S},
                 {"h", 3600 * YD_NS_PER_S},
                 {"auto", 0}};
    int64_t unit_ns;
    for (size_t i = 0; i < YD_COUNT(known); i++) {
        assert_int_equal(yd_influx_precision(yd_str_of(known[i].name), &unit_ns), 0);
        assert_int_equal(unit_ns, known[i].unit_ns);
    }
    assert_int_equal(yd_influx_precision(YD_STR("d"), &unit_ns), YD_EINVAL);
    expect_in("m v=1 1700000000", 16, YD_NS_PER_S, "1700000000000000000 m_v 1", "");
    const char *text = "m v=1 1700000000\nm v=1 1700000000001\nm v=1 1700000000000002\nm v=1 1700000000000000003";
    expect_in(text, strlen(text), 0,
              "1700000000000000000 m_v 1; 1700000000001000000 m_v 1; 1700000000000002000 m_v 1; "
              "1700000000000000003 m_v 1",
              "");
}

TEST(what_is_no_line_is_rejected_by_its_reason)
{
    UNUSED;
    expect("m\n", "", "no fields");
    expect("m \n", "", "no fields");
    expect(",t=1 v=1\n", "", "bad measurement");
    expect("m v\n", "", "bad field");
    expect("m =1\n", "", "bad field");
    expect("m v=1,\n", "", "bad field");
    expect("m v=1,,w=2\n", "", "bad field");
    expect("m a b=1\n", "", "bad field");
    expect("m s=\"x\"y 1\n", "", "bad field");
    expect("m,t v=1\n", "", "bad tag");
    expect("m,t= v=1\n", "", "bad tag");
    expect("m,=t v=1\n", "", "bad tag");
    expect("m,t=a=b v=1\n", "", "bad tag");
    expect("m, v=1\n", "", "bad tag");
    expect("m,t=1,t=2 v=1\n", "", "tag given twice");
    expect("m,t= v=1,w=2,x=3\nm,t= v=1\n", "", "bad tag; bad tag"); /* once a line */
    expect("m,t=\xff v=1\n", "", "not UTF-8");
    expect("m s=\"\xff\" 1\n", "", "not UTF-8");
}

TEST(a_tag_given_twice_alike_is_one_and_a_field_given_twice_is_both)
{
    UNUSED;
    expect("m,t=1,t=1 v=1 1\n", "1 m_v t=1 1", "");
    expect("m v=1,v=2 1\n", "1 m_v 1; 1 m_v 2", "");
}

TEST(strings_may_be_dropped_and_are_counted)
{
    UNUSED;
    struct said said;
    struct yd_influx *influx = open_influx(&said, (struct yd_influx_options){.drop_strings = true});
    assert_int_equal(yd_influx_parse(influx, YD_STR("m s=\"x\",v=1 1\nm s=\"y\" 2\nm s=\"z\",b=. 3\n"), 1, NOW), 3);
    yd_influx_flush(influx);
    assert_string_equal(text_of(&said.records), "1 m_v 1");
    assert_int_equal(yd_influx_strings(influx), 2); /* not that of the rejected line */
    assert_int_equal(yd_influx_strings(influx), 0);
    close_influx(influx, &said);
}

TEST(names_too_long_and_huge_lines_are_rejected_and_neighbours_kept)
{
    UNUSED;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "a v=1 1\n");
    for (int i = 0; i < 40000; i++) yd_buf_char(&text, 'n');
    yd_buf_cstr(&text, " v=1 1\nb v=1 1\n");
    expect_in(text.data, text.size, 1, "1 a_v 1; 1 b_v 1", "name too long");
    yd_buf_fini(&text);
}

TEST(many_fields_fill_batches_and_none_is_lost)
{
    UNUSED;
    struct said said;
    struct yd_influx *influx = open_influx(&said, (struct yd_influx_options){.batch_bytes = 8192});
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "wide ");
    for (int i = 0; i < 3000; i++) yd_buf_printf(&text, "%sf%d=%di", i ? "," : "", i, i);
    yd_buf_cstr(&text, " 9\n");
    (void)yd_influx_parse(influx, yd_buf_view(&text), 1, NOW);
    yd_influx_flush(influx);
    assert_true(said.batches > 5);
    yd_buf_clear(&text);
    for (int i = 0; i < 3000; i++) yd_buf_printf(&text, "%s9 wide_f%d %di", i ? "; " : "", i, i);
    assert_string_equal(text_of(&said.records), text_of(&text));
    yd_buf_fini(&text);
    close_influx(influx, &said);
}

/* Random texts of the pieces that matter, as a whole and line by line: the same records and rejects. */
TEST(whole_bodies_and_single_lines_agree_on_random_texts)
{
    UNUSED;
    static const char *const pieces[] = {"m",  "cpu", ",",          ",",   " ",    " ",        "=", "=",
                                         "\\", "\\ ", "a=b",        "v=1", "v=2i", "1",        "t", "x",
                                         "#",  "\r",  "1700000000", "-3",  ".",    "\xc3\xa9", "u"};
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 300; round++) {
        struct said whole, single;
        struct yd_influx *a = open_influx(&whole, (struct yd_influx_options){0});
        struct yd_influx *b = open_influx(&single, (struct yd_influx_options){.batch_bytes = 4096});
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        for (int line = 0; line < 100; line++) {
            size_t start = text.size, count = 1 + yd_rng_below(&rng, 12);
            if (yd_rng_chance(&rng, 2)) yd_buf_printf(&text, "m,t=%u v=%u", (unsigned)yd_rng_below(&rng, 9), line);
            for (size_t i = 0; i < count; i++) yd_buf_cstr(&text, pieces[yd_rng_below(&rng, YD_COUNT(pieces))]);
            yd_buf_char(&text, '\n');
            (void)yd_influx_parse(b, (struct yd_str){text.data + start, text.size - start}, 1, NOW);
        }
        (void)yd_influx_parse(a, yd_buf_view(&text), 1, NOW);
        yd_influx_flush(a);
        yd_influx_flush(b);
        assert_same_text(text_of(&whole.records), text_of(&single.records));
        assert_memory_equal(whole.rejects, single.rejects, sizeof whole.rejects);
        yd_buf_fini(&text);
        close_influx(a, &whole);
        close_influx(b, &single);
    }
}

TEST(an_allocation_that_fails_costs_lines_but_never_more)
{
    UNUSED;
    const char *text = "m,t=1 v=1,w=\"a\\\"b\" 1\nm,t=2 v=2 2\nn x=1,y=2,z=3 3\n";
    for (uint64_t nth = 1;; nth++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, nth);
        struct said said = {0};
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        struct yd_influx_options options = {
            .sink = {&said, take, refuse}, .separator = YD_STR("_"), .seed = 7, .alloc = &failing.alloc};
        struct yd_influx *influx = NULL;
        if (yd_influx_create(&options, &influx) == 0) {
            (void)yd_influx_parse(influx, yd_str_of(text), 1, NOW);
            yd_influx_flush(influx);
        }
        yd_influx_destroy(influx);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
        assert_int_equal(failing.bytes_out, 0);
        if (failing.calls < nth) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_record_for_each_field_with_the_lines_tags_sorted),
        cmocka_unit_test(values_are_floats_integers_unsigned_booleans_and_strings),
        cmocka_unit_test(bad_values_reject_the_line_and_only_it),
        cmocka_unit_test(escapes_hold_commas_spaces_and_equals_and_other_backslashes_are_themselves),
        cmocka_unit_test(a_string_may_hold_line_feeds_spaces_and_commas),
        cmocka_unit_test(an_open_string_costs_its_line_and_not_what_follows),
        cmocka_unit_test(comments_blank_lines_and_extra_spaces_are_nothing),
        cmocka_unit_test(a_line_without_a_time_is_now_and_zero_and_negative_times_are_times),
        cmocka_unit_test(bad_times_reject),
        cmocka_unit_test(precision_scales_times_and_auto_guesses),
        cmocka_unit_test(what_is_no_line_is_rejected_by_its_reason),
        cmocka_unit_test(a_tag_given_twice_alike_is_one_and_a_field_given_twice_is_both),
        cmocka_unit_test(strings_may_be_dropped_and_are_counted),
        cmocka_unit_test(names_too_long_and_huge_lines_are_rejected_and_neighbours_kept),
        cmocka_unit_test(many_fields_fill_batches_and_none_is_lost),
        cmocka_unit_test(whole_bodies_and_single_lines_agree_on_random_texts),
        cmocka_unit_test(an_allocation_that_fails_costs_lines_but_never_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
