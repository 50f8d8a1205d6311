/* bolo's stream, and lines of a grammar chosen by name: every rule that bolo_lines.h and text_in.h name. */
#include "elements/bolo_lines.h"

#include "batch/record_text.h"
#include "elements/text_in.h"
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
        if (said->records.size) yd_buf_cstr(&said->records, "; ");
        yd_buf_printf(&said->records, "%s ", yd_kind_name((enum yd_kind)record->kind));
        if (record->time_ns != NOW) yd_buf_printf(&said->records, "@%lld ", (long long)record->time_ns);
        if (record->kind == YD_STATE) yd_buf_printf(&said->records, "%u ", record->flags);
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, '=');
        yd_value_text(&view, (enum yd_type)record->type, record->value, &said->records);
        if (record->type == YD_I64) yd_buf_char(&said->records, 'i');
        if (record->type == YD_U64) yd_buf_char(&said->records, 'u');
    }
    said->taken += records;
    yd_batch_unref(batch);
}

static void refuse_any(void *arg, unsigned reason, struct yd_str line)
{
    struct said *said = arg;
    (void)line;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_cstr(&said->others, yd_text_reasons[reason]);
    said->rejected++;
}

static void refuse(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    refuse_any(arg, reason, line);
}

static struct said quiet(void)
{
    struct said said = {.taken = 0};
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    return said;
}

static void forget_said(struct said *said)
{
    yd_buf_fini(&said->records);
    yd_buf_fini(&said->others);
}

static void expect_size(const char *text, size_t size, const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said = quiet();
    struct yd_bolo *bolo;
    struct yd_bolo_options options = {.sink = {&said, take, refuse}, .line_max = 1000, .seed = 7};
    char *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, text, size);
    assert_int_equal(yd_bolo_create(&options, &bolo), 0);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        (void)yd_bolo_parse(bolo, (struct yd_str){copy, size}, NOW);
        yd_bolo_flush(bolo);
        assert_string_equal(text_of(&said.records), records);
        assert_string_equal(text_of(&said.others), others);
    }
    yd_bolo_destroy(bolo);
    forget_said(&said);
    free(copy);
}

static void expect(const char *text, const char *records, const char *others)
{
    expect_size(text, strlen(text), records, others);
}

TEST(each_verb_makes_its_kind)
{
    UNUSED;
    expect("STATE 5 web1:disk warning 91% full\n"
           "COUNTER 6 hits 3\nCOUNTER 6 hits\n"
           "SAMPLE 7 load 1.5 2 -3\n"
           "RATE 8 bytes 18446744073709551615\n"
           "EVENT 9 deploy version 1.2 is out\n"
           "KEY a=1 b c=x=y d=\n",
           "STATE @5000000000 1 web1:disk=91% full; TALLY @6000000000 hits=3i; TALLY @6000000000 hits=1i; "
           "SAMPLE @7000000000 load=1.5; SAMPLE @7000000000 load=2i; SAMPLE @7000000000 load=-3i; "
           "DELTA @8000000000 bytes=18446744073709551615u; EVENT @9000000000 deploy=version 1.2 is out; "
           "FACT a=1; FACT b=1; FACT c=x=y; FACT d=",
           "");
}

TEST(codes_are_words_or_numbers_and_anything_else_is_unknown)
{
    UNUSED;
    expect("STATE now s 0\nSTATE now s OK\nSTATE now s Okay\nSTATE now s 1\nSTATE now s WARN\nSTATE now s warning\n"
           "STATE now s 2\nSTATE now s crit\nSTATE now s CRITICAL\nSTATE now s 3\nSTATE now s 01\nSTATE now s huh x\n",
           "STATE 0 s=; STATE 0 s=; STATE 0 s=; STATE 1 s=; STATE 1 s=; STATE 1 s=; STATE 2 s=; STATE 2 s=; "
           "STATE 2 s=; STATE 3 s=; STATE 3 s=; STATE 3 s=x",
           "");
}

TEST(times_are_seconds_with_a_fraction_or_now)
{
    UNUSED;
    expect("SAMPLE NOW a 1\nSAMPLE 1.000000001 a 1\nSAMPLE -1 a 1\nSAMPLE 1e3 a 1\n",
           "SAMPLE a=1i; SAMPLE @1000000001 a=1i; SAMPLE @-1000000000 a=1i; SAMPLE a=1i", "");
    expect("SAMPLE x a 1\nSAMPLE\nSAMPLE 99999999999 a 1\nCOUNTER 5x a\n", "",
           "bad timestamp; bad timestamp; bad timestamp; bad timestamp");
}

TEST(blanks_comments_and_ends_of_lines_are_as_they_like)
{
    UNUSED;
    expect("\n  \t\r\n# a remark\n \tsample\t now \t a  1 \r\nEVENT now e   two  words \t\r\nKEY  a=1 \t b=2",
           "SAMPLE a=1i; "
           "EVENT e=two  words; FACT a=1; FACT b=2",
           "");
    expect("", "", "");
}

TEST(tags_follow_a_name_as_in_graphite)
{
    UNUSED;
    expect("SAMPLE now cpu;host=web1;dc=eu 1\nSAMPLE now cpu;dc=eu;host=web1 2\nSAMPLE now a;; 3\nSAMPLE now a;k= 4\n",
           "SAMPLE cpu dc=eu,host=web1=1i; SAMPLE cpu dc=eu,host=web1=2i; SAMPLE a=3i; SAMPLE a=4i", "");
    expect("SAMPLE now a;b 1\nSAMPLE now ;b=c 1\nSAMPLE now a;b=c;b=d 1\n", "", "bad tag; bad name; tag given twice");
}

TEST(a_line_is_taken_whole_or_rejected_whole)
{
    UNUSED;
    expect("SAMPLE now a 1 2 x\nKEY a=1 =2\nKEY\nCOUNTER now a 1 2\nRATE now a\nRATE now a 1 2\nSAMPLE now a\n"
           "SAMPLE now\nSTATE now a\nEVENT now\nHELLO now a 1\nput a 1 2\nSAMPLE now a nan\nSAMPLE now a 1e999\n"
           "SAMPLE now good 1\n",
           "SAMPLE good=1i",
           "bad value; bad name; no value; bad value; no value; bad value; no value; bad name; no value; bad name; "
           "unknown command; unknown command; value not finite; value not finite");
    expect("EVENT now e \xff\nKEY a=\xff\nSAMPLE now \xff 1\nSTATE now s ok \xff\nEVENT now e \xc3\xa9\n",
           "EVENT e=\xc3\xa9", "name not UTF-8; name not UTF-8; name not UTF-8; name not UTF-8");
    expect_size("EVENT now e a\0b\nEVENT now e ok\n", 31, "EVENT e=ok", "name not UTF-8");
}

TEST(lines_too_long_are_rejected_and_the_next_is_good)
{
    UNUSED;
    char text[1200];
    memset(text, 'x', sizeof text);
    memcpy(text, "EVENT now e ", 12);
    memcpy(text + 1100, "\nSAMPLE now a 1\n", 17);
    expect(text, "SAMPLE a=1i", "line too long");
}

TEST(many_records_fill_several_batches_and_none_is_lost)
{
    UNUSED;
    struct said said = quiet();
    struct yd_bolo *bolo;
    struct yd_bolo_options options = {.sink = {&said, take, refuse}, .batch_bytes = 8192};
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    for (int i = 0; i < 3000; i++) yd_buf_printf(&text, "SAMPLE %d m%d 1 2 3\nEVENT %d e some text\n", i, i % 700, i);
    assert_int_equal(yd_bolo_create(&options, &bolo), 0);
    assert_int_equal(yd_bolo_parse(bolo, yd_buf_view(&text), NOW), 6000);
    yd_bolo_flush(bolo);
    assert_int_equal(said.taken, 12000);
    assert_int_equal(said.rejected, 0);
    yd_bolo_destroy(bolo);
    yd_buf_fini(&text);
    forget_said(&said);
}

TEST(memory_that_runs_out_is_said_and_leaks_nothing)
{
    UNUSED;
    static const char text[] = "SAMPLE now a 1\nEVENT now e text\nKEY a=1\n";
    for (uint64_t fail_at = 1;; fail_at++) {
        struct yd_alloc_failing failing;
        struct said said = quiet();
        struct yd_bolo *bolo;
        yd_alloc_failing_init(&failing, fail_at);
        struct yd_bolo_options options = {.sink = {&said, take, refuse}, .alloc = &failing.alloc};
        if (yd_bolo_create(&options, &bolo) == 0) {
            assert_int_equal(yd_bolo_parse(bolo, yd_str_of(text), NOW), 3);
            yd_bolo_flush(bolo);
            assert_int_equal(said.taken + said.rejected, 3);
            yd_bolo_destroy(bolo);
        }
        assert_int_equal(failing.bytes_out, 0);
        forget_said(&said);
        if (failing.calls < fail_at) break;
    }
}

static void expect_format(const char *format, const char *text, const char *records, const char *others)
{
    struct said said = quiet();
    struct yd_text_in *in;
    struct yd_text_in_options options = {.format = format, .sink = {&said, take, refuse_any}};
    assert_int_equal(yd_text_in_create(&options, &in), 0);
    yd_text_in_parse(in, yd_str_of(text), NOW);
    assert_string_equal(text_of(&said.records), records);
    assert_string_equal(text_of(&said.others), others);
    yd_text_in_destroy(in);
    forget_said(&said);
}

TEST(a_grammar_is_chosen_by_its_name)
{
    UNUSED;
    struct yd_text_in *in;
    expect_format("bolo", "COUNTER now a\nx\n", "TALLY a=1i", "unknown command");
    expect_format("graphite", "a;k=v 1 5\na\n", "SAMPLE @5000000000 a k=v=1", "no value");
    expect_format("opentsdb", "put a 5 1 k=v\nversion\n", "SAMPLE @5000000000 a k=v=1i", "unknown command");
    expect_format("influx", "m,k=v f=1i,s=\"x\" 5\nm\nm f=\"x\n,a f=1\nm f=x 1\n",
                  "SAMPLE @5 m_f k=v=1i; EVENT @5 m_s k=v=x",
                  "no fields; string not closed; bad measurement; bad value");
    expect_format("prometheus", "# TYPE a counter\na{k=\"v\"} 1\na{k} 1\n# TYPE x y\na 1 2 3\n", "DELTA a k=v=1",
                  "bad tag; bad type; bad line");
    assert_int_equal(yd_text_in_create(&(struct yd_text_in_options){.format = "xml"}, &in), YD_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_makes_its_kind),
        cmocka_unit_test(codes_are_words_or_numbers_and_anything_else_is_unknown),
        cmocka_unit_test(times_are_seconds_with_a_fraction_or_now),
        cmocka_unit_test(blanks_comments_and_ends_of_lines_are_as_they_like),
        cmocka_unit_test(tags_follow_a_name_as_in_graphite),
        cmocka_unit_test(a_line_is_taken_whole_or_rejected_whole),
        cmocka_unit_test(lines_too_long_are_rejected_and_the_next_is_good),
        cmocka_unit_test(many_records_fill_several_batches_and_none_is_lost),
        cmocka_unit_test(memory_that_runs_out_is_said_and_leaks_nothing),
        cmocka_unit_test(a_grammar_is_chosen_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
