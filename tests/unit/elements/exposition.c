/* Prometheus' exposition formats: every rule and edge case that elements/exposition.h names. */
#include "elements/exposition.h"

#include "testing.h"

#define TEST(name) static void name(void **state)
#define UNUSED     (void)state
#define NOW        (INT64_C(1000) * YD_NS_PER_S)

struct said {
    struct yd_buf records, others;
    uint64_t taken, rejected;
};

static void take(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct said *said = arg;
    struct yd_view view;
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
    assert_int_equal(view.count, records);
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        char number[32];
        assert_int_equal(record->type, YD_F64);
        if (said->records.size) yd_buf_cstr(&said->records, "; ");
        if (record->kind == YD_DELTA) yd_buf_cstr(&said->records, "+");
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, ' ');
        yd_buf_add(&said->records, number, yd_text_put_f64(number, record->value.f64));
        if (record->time_ns != NOW) yd_buf_printf(&said->records, " @%lld", (long long)record->time_ns);
    }
    said->taken += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_exposition_reason reason, struct yd_str line)
{
    struct said *said = arg;
    (void)line;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_cstr(&said->others, yd_exposition_reasons[reason]);
    said->rejected++;
}

static const struct yd_tag own[] = {{YD_STR("job"), YD_STR("j")}, {YD_STR("instance"), YD_STR("h:1")}};

static void expect_with(struct yd_exposition_options options, const char *text, size_t size, bool openmetrics,
                        const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said = {.taken = 0};
    struct yd_exposition *exposition;
    char *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, text, size);
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    options.sink = (struct yd_exposition_sink){&said, take, refuse};
    options.seed = 7;
    assert_int_equal(yd_exposition_create(&options, &exposition), 0);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        (void)yd_exposition_parse(exposition, (struct yd_str){copy, size}, openmetrics, NOW);
        yd_exposition_flush(exposition);
        assert_string_equal(text_of(&said.records), records);
        assert_string_equal(text_of(&said.others), others);
    }
    yd_exposition_destroy(exposition);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
    free(copy);
}

static void expect(const char *text, const char *records, const char *others)
{
    expect_with((struct yd_exposition_options){.batch_bytes = 0}, text, strlen(text), false, records, others);
}

static void expect_open(const char *text, const char *records, const char *others)
{
    expect_with((struct yd_exposition_options){.batch_bytes = 0}, text, strlen(text), true, records, others);
}

static void expect_own(const char *text, bool honor, const char *records, const char *others)
{
    expect_with((struct yd_exposition_options){.labels = own, .label_count = 2, .honor_labels = honor}, text,
                strlen(text), false, records, others);
}

/* The example of the format's own documentation. */
TEST(the_documentations_example_is_understood)
{
    UNUSED;
    expect("# HELP http_requests_total The total number of HTTP requests.\n"
           "# TYPE http_requests_total counter\n"
           "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n"
           "http_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n"
           "\n"
           "# Escaping in label values:\n"
           "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file\"} 1.458255915e9\n"
           "\n"
           "# Minimalistic line:\n"
           "metric_without_timestamp_and_labels 12.47\n"
           "\n"
           "# A weird metric from before the epoch:\n"
           "something_weird{problem=\"division by zero\"} +Inf -3982045\n"
           "# TYPE http_request_duration_seconds histogram\n"
           "http_request_duration_seconds_bucket{le=\"0.05\"} 24054\n"
           "http_request_duration_seconds_bucket{le=\"+Inf\"} 144320\n"
           "http_request_duration_seconds_sum 53423\n"
           "http_request_duration_seconds_count 144320\n"
           "# TYPE rpc_duration_seconds summary\n"
           "rpc_duration_seconds{quantile=\"0.01\"} 3102\n"
           "rpc_duration_seconds_sum 1.7560473e+07\n"
           "rpc_duration_seconds_count 2693\n",
           "+http_requests_total code=200,method=post 1027 @1395066363000000000; "
           "+http_requests_total code=400,method=post 3 @1395066363000000000; "
           "msdos_file_access_time_seconds error=Cannot\\ find\\ file,path=C:\\\\DIR\\\\FILE.TXT 1458255915; "
           "metric_without_timestamp_and_labels 12.47; "
           "+http_request_duration_seconds_bucket le=0.05 24054; "
           "+http_request_duration_seconds_bucket le=+Inf 144320; "
           "+http_request_duration_seconds_sum 53423; "
           "+http_request_duration_seconds_count 144320; "
           "rpc_duration_seconds quantile=0.01 3102; "
           "+rpc_duration_seconds_sum 17560473; "
           "+rpc_duration_seconds_count 2693",
           "value not finite");
}

TEST(a_type_counts_for_its_family_alone)
{
    UNUSED;
    expect("# TYPE a counter\na 1\nab 2\na_total 3\na_created 4\n# TYPE b gauge\nb 5\na 6\n",
           "+a 1; ab 2; +a_total 3; "
           "a_created 4; b 5; a 6",
           "");
    expect("# TYPE h histogram\nh 1\nh_gsum 2\nh_sum 3\n# TYPE s summary\ns_bucket 4\ns_sum 5\n",
           "h 1; h_gsum 2; +h_sum 3; s_bucket 4; +s_sum 5", "");
    expect("#TYPE a counter\na 1\n# \tTYPE\tb \t counter \nb 2\n", "+a 1; +b 2", "");
}

TEST(a_bad_type_is_counted_and_means_nothing)
{
    UNUSED;
    expect("# TYPE a counter\n# TYPE a\na 1\n# TYPE a nonsense\na 2\n# TYPE\na 3\n# TYPE a counter x\na 4\n",
           "a 1; a 2; a 3; a 4", "bad type; bad type; bad type; bad type");
    expect("# HELP\n#\n#HELP a TYPE b counter\n# EOF\nb 1", "b 1", "");
}

TEST(openmetrics_times_are_seconds_and_exemplars_are_passed_over)
{
    UNUSED;
    expect_open("# TYPE a counter\n# UNIT a seconds\n"
                "a_total 1.5 1.25\n"
                "a_total{x=\"}\"} 2 -1.000000001 # {trace=\"}\\\"\"} 0.67 1.1\n"
                "a_total 3 # {} 1\n"
                "a_created 4 1e2\n"
                "a_total 5 -0.5\n"
                "# EOF\n",
                "+a_total 1.5 @1250000000; +a_total x=} 2 @-1000000001; +a_total 3; a_created 4 @100000000000; "
                "+a_total 5 @-500000000",
                "");
}

TEST(quoted_names_are_names)
{
    UNUSED;
    expect("# TYPE \"my.counter\" counter\n{\"my.counter\",\"a.b\"=\"1\"} 5\n{ \"my.counter\" , x = \"y\" , } 6\n",
           "+my.counter a.b=1 5; +my.counter x=y 6", "");
    expect("a{\"b\"} 1\n{} 2\n{x=\"1\"} 3\n{\"\"} 4\n", "", "bad label; bad name; bad name; bad name");
}

TEST(blanks_and_ends_of_lines_are_as_they_like)
{
    UNUSED;
    expect("  a\t1\r\n\r\n \t \nb { x = \"1\" ,y=\"2\", }\t2\t5 \nc{}3\nd 4", "a 1; b x=1,y=2 2 @5000000; c 3; d 4",
           "");
    expect("", "", "");
}

TEST(escapes_are_three_and_others_stand_for_themselves)
{
    UNUSED;
    expect("a{x=\"q\\\"\\\\ \\d\"} 1\n", "a x=q\"\\\\\\ \\\\d 1", "");
    expect("a{x=\"1\\n2\"} 1\nb 2\n", "b 2", "bad label"); /* no name has a line's end in it */
}

TEST(bad_lines_are_rejected_by_one_reason_and_cost_themselves_only)
{
    UNUSED;
    expect("a\na{x=\"1\"}\na x\na 0x1\na 1_000\na 1 x\na 1 1.5\na 1 2 3\na{x=\"1\" 1\na{x=1} 1\na{x} 1\n"
           "a{=\"1\"} 1\na{x=\"1\"y=\"2\"} 1\na{x=\"1} 1\na{1=\"x\"} 1\n<p> 1\n1a 1\na-b 1\ngood 1\n",
           "good 1",
           "no value; no value; bad value; bad value; bad value; bad timestamp; bad timestamp; bad line; bad label; "
           "bad label; bad label; bad label; bad label; bad label; bad label; bad name; bad name; bad name");
    expect("a{x=\"1\",x=\"2\"} 1\na{x=\"1\",x=\"1\"} 2\n", "a x=1 2", "label given twice");
    expect("a NaN\na nan\na +Inf\na -inf\na 1e999\na 1 9223372036855\n", "",
           "value not finite; value not finite; value not finite; value not finite; value not finite; bad timestamp");
    expect("a{x=\"\xff\"} 1\na{x=\"\xc3\xa9\"} 1\n", "a x=\xc3\xa9 1", "not UTF-8");
}

TEST(empty_labels_are_none)
{
    UNUSED;
    expect("a{x=\"\",y=\"1\"} 1\na{y=\"1\"} 2\n", "a y=1 1; a y=1 2", "");
}

TEST(the_targets_own_labels_are_added_and_clashes_are_exported)
{
    UNUSED;
    expect_own("a 1\n", false, "a instance=h:1,job=j 1", "");
    expect_own("a{job=\"x\"} 1\n", false, "a exported_job=x,instance=h:1,job=j 1", "");
    expect_own("a{job=\"\"} 1\n", false, "a instance=h:1,job=j 1", "");
    expect_own("a{job=\"x\"} 1\n", true, "a instance=h:1,job=x 1", "");
    expect_own("a{job=\"\"} 1\n", true, "a instance=h:1,job=j 1", "");
    expect_own("a{job=\"x\",exported_job=\"y\"} 1\n", false, "", "label given twice");
}

TEST(times_can_be_ignored)
{
    UNUSED;
    expect_with((struct yd_exposition_options){.ignore_times = true}, "a 1 5\na 2 x\n", 12, false, "a 1",
                "bad timestamp");
}

TEST(names_too_long_or_with_too_many_labels_are_rejected)
{
    UNUSED;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    for (int i = 0; i < 5000; i++) yd_buf_char(&text, 'a');
    yd_buf_cstr(&text, " 1\nb{");
    for (int i = 0; i < 200; i++) yd_buf_printf(&text, "l%d=\"v\",", i);
    yd_buf_cstr(&text, "} 1\nc{");
    for (int i = 0; i < 65; i++) yd_buf_printf(&text, "l%d=\"v\",", i);
    yd_buf_cstr(&text, "} 1\ngood 1\n");
    expect(text_of(&text), "good 1", "name too long; name too long; name too long");
    yd_buf_fini(&text);
}

TEST(openmetrics_is_whole_when_it_says_so_at_its_end)
{
    UNUSED;
    assert_true(yd_exposition_whole(YD_STR("a 1\n# EOF\n")));
    assert_true(yd_exposition_whole(YD_STR("a 1\n# EOF")));
    assert_true(yd_exposition_whole(YD_STR("# EOF\n")));
    assert_false(yd_exposition_whole(YD_STR("")));
    assert_false(yd_exposition_whole(YD_STR("\n")));
    assert_false(yd_exposition_whole(YD_STR("a 1\n")));
    assert_false(yd_exposition_whole(YD_STR("a 1\n# EOF\nb 2\n")));
    assert_false(yd_exposition_whole(YD_STR("a 1 # EOF")));
    assert_false(yd_exposition_whole(YD_STR("a 1\n# EO")));
}

TEST(many_series_fill_several_batches_and_none_is_lost)
{
    UNUSED;
    struct said said = {.taken = 0};
    struct yd_exposition *exposition;
    struct yd_exposition_options options = {.sink = {&said, take, refuse}, .batch_bytes = 8192};
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    for (int i = 0; i < 3000; i++) yd_buf_printf(&text, "m{i=\"%d\"} %d\n", i, i);
    assert_int_equal(yd_exposition_create(&options, &exposition), 0);
    assert_int_equal(yd_exposition_parse(exposition, yd_buf_view(&text), false, NOW), 3000);
    yd_exposition_flush(exposition);
    assert_int_equal(said.taken, 3000);
    assert_int_equal(said.rejected, 0);
    yd_exposition_destroy(exposition);
    yd_buf_fini(&text);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
}

TEST(memory_that_runs_out_is_said_and_leaks_nothing)
{
    UNUSED;
    static const char text[] = "a{x=\"1\"} 1\nb{y=\"\\\\\"} 2\n# TYPE c counter\nc 3\n";
    for (uint64_t fail_at = 1;; fail_at++) {
        struct yd_alloc_failing failing;
        struct said said = {.taken = 0};
        struct yd_exposition *exposition;
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        yd_alloc_failing_init(&failing, fail_at);
        struct yd_exposition_options options = {.sink = {&said, take, refuse}, .alloc = &failing.alloc};
        if (yd_exposition_create(&options, &exposition) == 0) {
            assert_int_equal(yd_exposition_parse(exposition, yd_str_of(text), false, NOW), 3);
            yd_exposition_flush(exposition);
            assert_int_equal(said.taken + said.rejected, 3);
            yd_exposition_destroy(exposition);
        }
        assert_int_equal(failing.bytes_out, 0);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
        if (failing.calls < fail_at) break;
    }
}

/* A known text with bytes changed, taken out and put in: what comes out is always whole. */
TEST(damaged_texts_are_survived)
{
    UNUSED;
    static const char base[] =
        "# TYPE a counter\na{x=\"1\\\\\",y=\"2\"} 1.5 1000 # {t=\"1\"} 2\n{\"b.c\",z=\"}\"} 3\n# EOF\n";
    static const char bytes[] = "{}\"\\=,# \t\n\r1.eE+-aNI\x80\xff";
    struct {
        uint64_t s;
    } random = {test_seed()};
    for (int round = 0; round < 20000; round++) {
        char text[sizeof base];
        size_t size = sizeof base - 1;
        memcpy(text, base, sizeof base);
        for (int i = 0; i < 4; i++) {
            random.s = random.s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            size_t at = (random.s >> 33) % size;
            if (random.s >> 62 == 0 && size > 1)
                memmove(text + at, text + at + 1, --size - at);
            else
                text[at] = bytes[(random.s >> 20) % (sizeof bytes - 1)];
        }
        struct said said = {.taken = 0};
        struct yd_exposition *exposition;
        struct yd_exposition_options options = {
            .sink = {&said, take, refuse}, .labels = own, .label_count = 2, .batch_bytes = 8192, .cache_bytes = 4096};
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        char *copy = malloc(size);
        memcpy(copy, text, size);
        assert_int_equal(yd_exposition_create(&options, &exposition), 0);
        uint64_t samples = yd_exposition_parse(exposition, (struct yd_str){copy, size}, round & 1, NOW);
        yd_exposition_flush(exposition);
        assert_true(said.taken <= samples && said.taken + said.rejected >= samples);
        yd_exposition_destroy(exposition);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documentations_example_is_understood),
        cmocka_unit_test(a_type_counts_for_its_family_alone),
        cmocka_unit_test(a_bad_type_is_counted_and_means_nothing),
        cmocka_unit_test(openmetrics_times_are_seconds_and_exemplars_are_passed_over),
        cmocka_unit_test(quoted_names_are_names),
        cmocka_unit_test(blanks_and_ends_of_lines_are_as_they_like),
        cmocka_unit_test(escapes_are_three_and_others_stand_for_themselves),
        cmocka_unit_test(bad_lines_are_rejected_by_one_reason_and_cost_themselves_only),
        cmocka_unit_test(empty_labels_are_none),
        cmocka_unit_test(the_targets_own_labels_are_added_and_clashes_are_exported),
        cmocka_unit_test(times_can_be_ignored),
        cmocka_unit_test(names_too_long_or_with_too_many_labels_are_rejected),
        cmocka_unit_test(openmetrics_is_whole_when_it_says_so_at_its_end),
        cmocka_unit_test(many_series_fill_several_batches_and_none_is_lost),
        cmocka_unit_test(memory_that_runs_out_is_said_and_leaks_nothing),
        cmocka_unit_test(damaged_texts_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
