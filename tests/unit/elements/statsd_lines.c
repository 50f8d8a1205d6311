/* StatsD and DogStatsD: every rule and edge case that elements/statsd_lines.h names, and what StatsD computes. */
#include "elements/statsd_lines.h"
#include "elements/statsd_sums.h"

#include "testing.h"

#define NOW        INT64_C(7000000000)
#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

struct said {
    struct yd_buf records, others;
    uint64_t rejects[YD_STATSD_REASON_COUNT], batches, records_count;
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
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        char number[32];
        say(&said->records, yd_kind_name((enum yd_kind)record->kind));
        yd_buf_char(&said->records, ' ');
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, ' ');
        if (record->type == YD_TEXT) {
            yd_buf_printf(&said->records, "\"%.*s\"", YD_STR_FMT(yd_view_bytes(&view, record->value)));
        } else if (record->type == YD_LIST) {
            const struct yd_cells *cells = yd_view_cells(&view, record->value);
            assert_int_equal(cells->count, 2);
            yd_buf_add(&said->records, number, yd_text_put_f64(number, cells->cell[0].value.f64));
            yd_buf_char(&said->records, '*');
            yd_buf_add(&said->records, number, yd_text_put_f64(number, cells->cell[1].value.f64));
        } else {
            yd_buf_add(&said->records, number, yd_text_put_f64(number, record->value.f64));
        }
        if (record->kind == YD_STATE) yd_buf_printf(&said->records, " %u", record->flags & YD_RECORD_CODE_MASK);
        if (record->time_ns != NOW) yd_buf_printf(&said->records, " @%lld", (long long)(record->time_ns / YD_NS_PER_S));
    }
    said->batches++;
    said->records_count += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_statsd_reason reason, struct yd_str line)
{
    struct said *said = arg;
    (void)line;
    say(&said->others, yd_statsd_reasons[reason]);
    said->rejects[reason]++;
}

static struct yd_statsd *open_statsd(struct said *said, struct yd_statsd_options options)
{
    struct yd_statsd *statsd;
    *said = (struct said){0};
    yd_buf_init(&said->records, NULL);
    yd_buf_init(&said->others, NULL);
    options.sink = (struct yd_statsd_sink){said, take, refuse};
    options.seed = 7;
    assert_int_equal(yd_statsd_create(&options, &statsd), 0);
    return statsd;
}

static void close_statsd(struct yd_statsd *statsd, struct said *said)
{
    yd_statsd_destroy(statsd);
    yd_buf_fini(&said->records);
    yd_buf_fini(&said->others);
}

static void expect(const char *text, const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said;
    struct yd_statsd *statsd = open_statsd(&said, (struct yd_statsd_options){0});
    size_t size = strlen(text);
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        (void)yd_statsd_parse(statsd, (struct yd_str){copy, size}, NOW);
        yd_statsd_flush(statsd);
        assert_string_equal(text_of(&said.records), records);
        assert_string_equal(text_of(&said.others), others);
    }
    free(copy);
    close_statsd(statsd, &said);
}

TEST(every_type_becomes_the_kind_that_says_what_it_means)
{
    UNUSED;
    expect("a:1|c\nb:2.5|g\nc:3|ms\nd:4|h\ne:5|d\nf:x y|s\ng:6|C",
           "TALLY a 1; SAMPLE b 2.5; SAMPLE c 3*1; SAMPLE d 4*1; SAMPLE e 5*1; FACT f \"x y\"; TALLY g 6", "");
    expect("a:-3|c\nb:1e3|g\r\n\nb:.5|g\n", "TALLY a -3; SAMPLE b 1000; SAMPLE b 0.5", "");
}

TEST(a_sign_makes_a_gauge_a_difference)
{
    UNUSED;
    expect("a:+4|g\na:-10|g\na:4|g", "DELTA a 4; DELTA a -10; SAMPLE a 4", "");
}

TEST(rates_scale_counters_and_weigh_timers)
{
    UNUSED;
    expect("a:1|c|@0.1\nt:10|ms|@0.5\ng:3|g|@0.5", "TALLY a 10; SAMPLE t 10*2; SAMPLE g 3", "");
    expect("a:1|c|@0\na:1|c|@-1\na:1|c|@1.1\na:1|c|@\na:1|c|@x\na:1|c|@nan\na:1|c|@1e-320", "",
           "bad sample rate; bad sample rate; bad sample rate; bad sample rate; bad sample rate; bad sample rate; bad "
           "sample rate");
    expect("a:1|c|@0.1|@0.2\nt:1:2|ms|@0.5|@0.5\na:1|c", "TALLY a 1", "bad sample rate; bad sample rate");
}

TEST(several_values_in_a_line_of_either_dialect)
{
    UNUSED;
    expect("a:1|c:200|ms", "TALLY a 1; SAMPLE a 200*1", "");
    expect("a:1|c|@0.5:200|ms|@0.1", "TALLY a 2; SAMPLE a 200*10", "");
    expect("a:1:2:3|h|@0.5|#x:y", "SAMPLE a x=y 1*2; SAMPLE a x=y 2*2; SAMPLE a x=y 3*2", "");
    expect("s:a:b|s", "FACT s \"a:b\"", "");
    expect("a:1|c:\na:1:|c\na::1|c", "", "no value; no value; no value");
}

TEST(tags_of_each_style_and_never_two_at_once)
{
    UNUSED;
    expect("a:1|c|#k:v,flag,b:c:d", "TALLY a b=c:d,flag=true,k=v 1", "");
    expect("a,k=v,b=c:1|c", "TALLY a b=c,k=v 1", "");
    expect("a#k=v,b=c:1|c", "TALLY a b=c,k=v 1", "");
    expect("a[k=v:w,b=c]:1|c", "TALLY a b=c,k=v:w 1", "");
    expect("a,k=v:1|c|#x:y\na#k=v:1|c|#x:y\na[k=v]:1|c|#x:y\na,k=v#b=c:1|c", "",
           "two styles of tags; two styles of tags; two styles of tags; two styles of tags");
    expect("a,k:1|c\na,k=:1|c\na,=v:1|c\na[k=v:1|c\na:1|c|#:v", "", "bad tag; bad tag; bad tag; no value; bad tag");
    expect("a:1|c|#k:v,k:w\na:1|c|#k:v,k:v", "TALLY a k=v 1", "tag given twice");
    expect("a:1|c|#", "TALLY a 1", "");
}

TEST(extras_in_any_order_and_what_is_not_known_is_a_mistake)
{
    UNUSED;
    expect("a:1|c|#k:v|@0.5|c:ci-12|T1700000000|e:x|card:low", "TALLY a k=v 2 @1700000000", "");
    expect("a:1|c|T1700000000|@0.5|#k:v", "TALLY a k=v 2 @1700000000", "");
    expect("a:1|c|x\na:1|c|\na:1|c|T\na:1|c|T-1\na:1|c|#a:b|#c:d", "",
           "unknown field; unknown field; bad timestamp; bad timestamp; bad tag");
}

TEST(bad_lines_are_named_and_their_neighbours_kept)
{
    UNUSED;
    expect("ok:1|c\nno\nok:2|c\n:1|c\na:|c\na:1\na:1|\na:1|x\na:x|c\na:nan|g\na:inf|g\na:-1|ms\na|c\na:1|c\xff\nok:3|c",
           "TALLY ok 1; TALLY ok 2; TALLY ok 3",
           "no value; bad name; no value; no type; no type; unknown type; bad value; bad value; bad value; bad value; "
           "no value; unknown type");
    expect("a\xff:1|c\na:\xff|s", "", "not UTF-8; not UTF-8");
}

TEST(names_are_cleaned_as_statsd_does_it)
{
    UNUSED;
    expect("a b/c:1|c\nx=y:1|c", "TALLY a_b-c 1; TALLY x\\=y 1", "");
}

TEST(events_and_checks)
{
    UNUSED;
    expect("_e{5,10}:title|line\\nmore|d:1700000000|h:web|k:key|p:low|s:src|t:error|#a:b",
           "EVENT title a=b,alert=error,host=web,key=key,priority=low,source=src \"line\nmore\" @1700000000", "");
    expect("_e{1,1}:t|x", "EVENT t \"x\"", "");
    expect("_e{9,1}:t|x\n_e{1}:t|x\n_e{0,1}:|x\n_e{1,1}t|x\n_e{1,2}:t|x\n_e{1,1}:t|xy\n_e{18446744073709551615,1}:t|x",
           "", "bad event; bad event; bad event; bad event; bad event; bad event; bad event");
    expect("_sc|disk|2|d:1700000000|h:web|#a:b|m:full | of\\nit",
           "STATE disk a=b,host=web \"full | of\nit\" 2 @1700000000", "");
    expect("_sc|up|0", "STATE up \"\" 0", "");
    expect("_sc|up|4\n_sc|up\n_sc||1\n_sc|up|1|z:1", "",
           "bad service check; bad service check; bad service check; unknown field");
}

TEST(a_line_of_thousands_of_values_is_taken_and_one_of_too_many_refused)
{
    UNUSED;
    struct said said;
    struct yd_statsd *statsd = open_statsd(&said, (struct yd_statsd_options){.batch_bytes = 8192});
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_char(&text, 'a');
    for (int i = 0; i < 8000; i++) yd_buf_cstr(&text, ":1");
    yd_buf_cstr(&text, "|h\nb");
    for (int i = 0; i < 9000; i++) yd_buf_cstr(&text, ":1");
    yd_buf_cstr(&text, "|h\n");
    assert_int_equal(yd_statsd_parse(statsd, yd_buf_view(&text), NOW), 2);
    yd_statsd_flush(statsd);
    assert_int_equal(said.records_count, 8000);
    assert_true(said.batches > 10);
    assert_int_equal(said.rejects[YD_STATSD_TOO_LONG], 1);
    yd_buf_fini(&text);
    close_statsd(statsd, &said);
}

TEST(an_allocation_that_fails_costs_lines_but_never_more)
{
    UNUSED;
    const char *text = "a:1|c|#k:v\nb:2|ms\nc:x|s\n_e{1,1}:t|x\n_sc|up|1|m:y\n";
    for (uint64_t nth = 1;; nth++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, nth);
        struct said said = {0};
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        struct yd_statsd_options options = {.sink = {&said, take, refuse}, .seed = 7, .alloc = &failing.alloc};
        struct yd_statsd *statsd = NULL;
        if (yd_statsd_create(&options, &statsd) == 0) {
            (void)yd_statsd_parse(statsd, yd_str_of(text), NOW);
            yd_statsd_flush(statsd);
        }
        yd_statsd_destroy(statsd);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
        assert_int_equal(failing.bytes_out, 0);
        if (failing.calls < nth) break;
    }
}

/* ---- sums ---- */

struct summing {
    struct yd_statsd_sums sums;
    struct yd_buf text;
    int error;
    int64_t now_ns;
};

static void sum_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct summing *summing = arg;
    (void)records;
    for (uint32_t i = 0; i < batch->view.count; i++) {
        int r = yd_statsd_sums_add(&summing->sums, batch, i, summing->now_ns);
        if (r < 0) summing->error = r;
    }
    yd_batch_unref(batch);
}

static void no_reject(void *arg, enum yd_statsd_reason reason, struct yd_str line)
{
    (void)arg, (void)line;
    fail_msg("%s", yd_statsd_reasons[reason]);
}

static void hear_sum(void *arg, struct yd_str name, struct yd_str peer, enum yd_kind kind, double value)
{
    struct summing *summing = arg;
    char number[32];
    say(&summing->text, kind == YD_TALLY ? "tally " : "");
    if (peer.size) yd_buf_printf(&summing->text, "%.*s: ", YD_STR_FMT(peer));
    yd_buf_str(&summing->text, name);
    yd_buf_char(&summing->text, ' ');
    yd_buf_add(&summing->text, number, yd_text_put_f64(number, value));
}

static void feed_from(struct summing *summing, const char *peer, const char *text)
{
    struct yd_statsd_options options = {.sink = {summing, sum_batch, no_reject}, .seed = 7};
    struct yd_statsd *statsd;
    assert_int_equal(yd_statsd_create(&options, &statsd), 0);
    yd_statsd_origin(statsd, yd_str_of(peer));
    (void)yd_statsd_parse(statsd, yd_str_of(text), NOW);
    yd_statsd_flush(statsd);
    yd_statsd_destroy(statsd);
}

static void feed(struct summing *summing, const char *text)
{
    feed_from(summing, "", text); /* nobody is named */
}

static void expect_sums(struct summing *summing, const char *expected)
{
    yd_buf_clear(&summing->text);
    yd_statsd_sums_flush(&summing->sums, 10, summing->now_ns, hear_sum, summing);
    assert_string_equal(text_of(&summing->text), expected);
}

static const struct yd_statsd_sums_options plain_options = {
    .series_max = 100, .values_max = 1000, .members_max = 1000, .forget_ns = 100, .prefixes = {"", "", "", ""}};

TEST(counters_gauges_and_sets_are_summed_as_statsd_does)
{
    UNUSED;
    struct summing summing = {.now_ns = 1};
    yd_buf_init(&summing.text, NULL);
    yd_statsd_sums_init(&summing.sums, &plain_options);
    feed(&summing, "hits:1|c|#h:a\nhits:4|c|@0.5|#h:a\ntemp:5|g\ntemp:-2|g\nusers:a|s\nusers:b|s\nusers:a|s");
    expect_sums(&summing, "tally hits.count h=a 9; hits.rate h=a 0.9; temp 3; users.count 2");
    expect_sums(&summing, ""); /* idle ones are dropped, */
    feed(&summing, "temp:+1|g");
    expect_sums(&summing, "temp 4"); /* but a gauge is remembered */
    summing.now_ns = 200;
    expect_sums(&summing, "");
    for (int kind = 0; kind < YD_STATSD_KINDS; kind++)
        assert_int_equal(summing.sums.tables[kind].count, 0); /* forgotten */
    feed(&summing, "temp:-7|g");
    expect_sums(&summing, "temp -7");
    yd_statsd_sums_fini(&summing.sums);
    yd_buf_fini(&summing.text);
}

TEST(idle_names_are_said_again_when_asked_for)
{
    UNUSED;
    struct summing summing = {.now_ns = 1};
    struct yd_statsd_sums_options options = plain_options;
    options.send_idle = true;
    options.prefixes[YD_STATSD_COUNTER] = "stats.counters.";
    yd_buf_init(&summing.text, NULL);
    yd_statsd_sums_init(&summing.sums, &options);
    feed(&summing, "hits:2|c\ntemp:5|g\nt:3|ms");
    yd_buf_clear(&summing.text);
    yd_statsd_sums_flush(&summing.sums, 10, 1, hear_sum, &summing);
    expect_sums(&summing,
                "tally stats.counters.hits.count 0; stats.counters.hits.rate 0; temp 5; t.count 0; t.count_ps 0");
    yd_statsd_sums_fini(&summing.sums);
    yd_buf_fini(&summing.text);
}

/* The figures are those of etsy/statsd's process_metrics.js for the same values. */
TEST(timers_have_the_figures_that_statsd_has)
{
    UNUSED;
    struct summing summing = {.now_ns = 1};
    struct yd_statsd_sums_options options = plain_options;
    options.percentiles[0].percent = 90, strcpy(options.percentiles[0].suffix, "90");
    options.percentiles[1].percent = -10, strcpy(options.percentiles[1].suffix, "top10");
    options.percentile_count = 2;
    yd_buf_init(&summing.text, NULL);
    yd_statsd_sums_init(&summing.sums, &options);
    feed(&summing, "t:10:9:8:7:6:5:4:3:2:1|ms");
    expect_sums(&summing,
                "t.count 10; t.count_ps 1; t.lower 1; t.upper 10; t.sum 55; t.sum_squares 385; t.mean 5.5; "
                "t.median 5.5; t.std 2.8722813232690143; t.count_90 9; t.mean_90 5; t.upper_90 9; t.sum_90 45; "
                "t.count_top10 1; t.mean_top10 10; t.lower_top10 10; t.sum_top10 10");
    feed(&summing, "t:4|ms|@0.1");
    expect_sums(&summing, "t.count 10; t.count_ps 1; t.lower 4; t.upper 4; t.sum 4; t.sum_squares 16; t.mean 4; "
                          "t.median 4; t.std 0; t.count_90 1; t.mean_90 4; t.upper_90 4; t.sum_90 4; "
                          "t.count_top10 1; t.mean_top10 4; t.lower_top10 4; t.sum_top10 4");
    yd_statsd_sums_fini(&summing.sums);
    yd_buf_fini(&summing.text);
}

TEST(what_cannot_be_said_is_counted)
{
    UNUSED;
    struct summing summing = {.now_ns = 1};
    struct yd_buf line;
    yd_buf_init(&summing.text, NULL);
    yd_buf_init(&line, NULL);
    yd_statsd_sums_init(&summing.sums, &plain_options);
    for (int i = 0; i < YD_NAME_SIZE_MAX - 5; i++) yd_buf_char(&line, 'n');
    yd_buf_cstr(&line, ":1|c\nbig:1e200|ms");
    feed(&summing, text_of(&line));
    yd_buf_clear(&summing.text);
    yd_statsd_sums_flush(&summing.sums, 10, 1, hear_sum, &summing);
    assert_int_equal(summing.sums.unsaid, 2); /* .count of the one, .sum_squares of the other */
    assert_non_null(strstr(text_of(&summing.text), "n.rate 0.1"));
    assert_null(strstr(text_of(&summing.text), "sum_squares"));
    yd_statsd_sums_fini(&summing.sums);
    yd_buf_fini(&summing.text);
    yd_buf_fini(&line);
}

TEST(who_brought_a_name_is_forgotten_with_his_last_one)
{
    UNUSED;
    struct summing summing = {.now_ns = 1};
    yd_buf_init(&summing.text, NULL);
    yd_statsd_sums_init(&summing.sums, &plain_options);
    feed_from(&summing, "one", "a:1|g\nb:2|g");
    feed_from(&summing, "two", "c:3|g\na:4|g");
    expect_sums(&summing, "two: c 3; one: b 2; one: a 4");
    assert_int_equal(summing.sums.peers.count, 2);
    summing.now_ns = 90;
    feed_from(&summing, "three", "b:5|g");
    summing.now_ns = 101;
    expect_sums(&summing, "one: b 5"); /* a and c are forgotten, and with c who brought it */
    assert_int_equal(summing.sums.peers.count, 1);
    summing.now_ns = 190;
    expect_sums(&summing, "");
    assert_int_equal(summing.sums.peers.count, 0);
    feed_from(&summing, "two", "b:6|g");
    expect_sums(&summing, "two: b 6");
    yd_statsd_sums_fini(&summing.sums);
    yd_buf_fini(&summing.text);
}

TEST(limits_refuse_new_names_and_count_what_is_over)
{
    UNUSED;
    struct summing summing = {.now_ns = 1};
    struct yd_statsd_sums_options options = plain_options;
    options.series_max = 2;
    options.values_max = options.members_max = 3;
    yd_buf_init(&summing.text, NULL);
    yd_statsd_sums_init(&summing.sums, &options);
    feed(&summing, "a:1|c\nb:1|c\na:1|c");
    assert_int_equal(summing.error, 0);
    feed(&summing, "c:1|c");
    assert_int_equal(summing.error, YD_EFULL);
    expect_sums(&summing, "tally b.count 1; b.rate 0.1; tally a.count 2; a.rate 0.2");
    feed(&summing, "t:1:2:3:4:5|ms\ns:a|s\ns:b|s\ns:c|s\ns:d|s");
    assert_int_equal(summing.sums.over, 3);
    expect_sums(&summing, "t.count 5; t.count_ps 0.5; t.lower 1; t.upper 5; t.sum 15; t.sum_squares 55; t.mean 3; "
                          "t.median 2; t.std 1.4142135623730951; s.count 3");
    yd_statsd_sums_fini(&summing.sums);
    yd_buf_fini(&summing.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_becomes_the_kind_that_says_what_it_means),
        cmocka_unit_test(a_sign_makes_a_gauge_a_difference),
        cmocka_unit_test(rates_scale_counters_and_weigh_timers),
        cmocka_unit_test(several_values_in_a_line_of_either_dialect),
        cmocka_unit_test(tags_of_each_style_and_never_two_at_once),
        cmocka_unit_test(extras_in_any_order_and_what_is_not_known_is_a_mistake),
        cmocka_unit_test(bad_lines_are_named_and_their_neighbours_kept),
        cmocka_unit_test(names_are_cleaned_as_statsd_does_it),
        cmocka_unit_test(events_and_checks),
        cmocka_unit_test(a_line_of_thousands_of_values_is_taken_and_one_of_too_many_refused),
        cmocka_unit_test(an_allocation_that_fails_costs_lines_but_never_more),
        cmocka_unit_test(counters_gauges_and_sets_are_summed_as_statsd_does),
        cmocka_unit_test(idle_names_are_said_again_when_asked_for),
        cmocka_unit_test(timers_have_the_figures_that_statsd_has),
        cmocka_unit_test(what_cannot_be_said_is_counted),
        cmocka_unit_test(who_brought_a_name_is_forgotten_with_his_last_one),
        cmocka_unit_test(limits_refuse_new_names_and_count_what_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
