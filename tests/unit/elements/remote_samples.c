/* Remote write and its Snappy blocks: every rule and edge case that elements/remote_samples.h and snappy_block.h name.
 */
#include "elements/remote_samples.h"

#include <math.h>

#include "elements/snappy_block.h"
#include "testing.h"

#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

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
        assert_int_equal(record->kind, YD_SAMPLE);
        if (said->records.size) yd_buf_cstr(&said->records, "; ");
        yd_buf_printf(&said->records, "%lld ", (long long)record->time_ns);
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, ' ');
        yd_buf_add(&said->records, number, yd_text_put_f64(number, record->value.f64));
    }
    said->taken += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_remote_reason reason, uint64_t records, struct yd_str sample)
{
    struct said *said = arg;
    (void)sample;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_cstr(&said->others, yd_remote_reasons[reason]);
    said->rejected += records;
}

/* ---- messages ---- */

static void put_varint(struct yd_buf *to, uint64_t number)
{
    for (; number >= 0x80; number >>= 7) yd_buf_char(to, (char)(number | 0x80));
    yd_buf_char(to, (char)number);
}

static void put_bytes(struct yd_buf *to, unsigned field, struct yd_str bytes)
{
    put_varint(to, field << 3 | 2);
    put_varint(to, bytes.size);
    yd_buf_str(to, bytes);
}

static void put_label(struct yd_buf *series, const char *key, const char *value)
{
    struct yd_buf label;
    yd_buf_init(&label, NULL);
    put_bytes(&label, 1, yd_str_of(key));
    put_bytes(&label, 2, yd_str_of(value));
    put_bytes(series, 1, yd_buf_view(&label));
    yd_buf_fini(&label);
}

static void put_sample(struct yd_buf *series, double value, int64_t time_ms)
{
    struct yd_buf sample;
    yd_buf_init(&sample, NULL);
    yd_buf_char(&sample, 1 << 3 | 1);
    yd_buf_add(&sample, &value, 8);
    yd_buf_char(&sample, 2 << 3);
    put_varint(&sample, (uint64_t)time_ms);
    put_bytes(series, 2, yd_buf_view(&sample));
    yd_buf_fini(&sample);
}

/* Puts a series into a message, and empties it. */
static void put_series(struct yd_buf *message, struct yd_buf *series)
{
    put_bytes(message, 1, yd_buf_view(series));
    yd_buf_clear(series);
}

struct building {
    struct yd_buf message, series;
};

static struct building begin(void)
{
    struct building b;
    yd_buf_init(&b.message, NULL);
    yd_buf_init(&b.series, NULL);
    return b;
}

static void expect_of(struct yd_str message, int error, const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said = {.taken = 0};
    struct yd_remote *remote;
    struct yd_remote_options options = {.sink = {&said, take, refuse}, .seed = 7};
    char *copy = malloc(message.size ? message.size : 1);
    if (message.size) memcpy(copy, message.data, message.size);
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    assert_int_equal(yd_remote_create(&options, &remote), 0);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        assert_int_equal(yd_remote_parse(remote, (struct yd_str){copy, message.size}), error);
        yd_remote_flush(remote);
        yd_buf_char(&said.records, 0);
        yd_buf_char(&said.others, 0);
        assert_string_equal(said.records.data, records);
        assert_string_equal(said.others.data, others);
    }
    yd_remote_destroy(remote);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
    free(copy);
}

static void expect(struct building *b, const char *records, const char *others)
{
    expect_of(yd_buf_view(&b->message), 0, records, others);
    yd_buf_fini(&b->message);
    yd_buf_fini(&b->series);
}

TEST(each_sample_is_a_record_named_by_the_labels)
{
    UNUSED;
    struct building b = begin();
    put_label(&b.series, "__name__", "up");
    put_label(&b.series, "job", "a b");
    put_label(&b.series, "instance", "x:1");
    put_sample(&b.series, 1, 5);
    put_sample(&b.series, -0.5, -7);
    put_series(&b.message, &b.series);
    put_label(&b.series, "__name__", "n");
    put_label(&b.series, "empty", "");
    put_sample(&b.series, 3, 0);
    put_series(&b.message, &b.series);
    expect(&b, "5000000 up instance=x:1,job=a\\ b 1; -7000000 up instance=x:1,job=a\\ b -0.5; 0 n 3", "");
}

TEST(labels_may_stand_behind_samples_and_apart)
{
    UNUSED;
    struct building b = begin();
    put_label(&b.series, "__name__", "m");
    put_sample(&b.series, 1, 1);
    put_label(&b.series, "k", "v");
    put_series(&b.message, &b.series);
    put_sample(&b.series, 2, 1);
    put_label(&b.series, "__name__", "m");
    put_series(&b.message, &b.series);
    expect(&b, "1000000 m k=v 1; 1000000 m 2", "");
}

TEST(what_is_not_there_is_zero_and_unknown_fields_are_passed_over)
{
    UNUSED;
    struct building b = begin();
    put_label(&b.series, "__name__", "m");
    put_bytes(&b.series, 2, YD_STR(""));
    put_bytes(&b.series, 3, YD_STR("an exemplar"));
    put_bytes(&b.series, 99, YD_STR("new"));
    put_series(&b.message, &b.series);
    put_bytes(&b.message, 3, YD_STR("metadata"));
    yd_buf_add(&b.message,
               "\x25"
               "abcd\x29"
               "abcdefgh\x30\x01",
               16);
    expect(&b, "0 m 0", "");
}

TEST(bad_series_and_samples_cost_themselves_only)
{
    UNUSED;
    const double stale = (union yd_value){.bits = UINT64_C(0x7ff0000000000002)}.f64;
    struct building b = begin();
    put_label(&b.series, "job", "x");
    put_sample(&b.series, 1, 1);
    put_sample(&b.series, 2, 1);
    put_series(&b.message, &b.series);
    put_label(&b.series, "__name__", "a");
    put_label(&b.series, "k", "1");
    put_label(&b.series, "k", "2");
    put_sample(&b.series, 1, 1);
    put_series(&b.message, &b.series);
    put_label(&b.series, "__name__", "\xff");
    put_sample(&b.series, 1, 1);
    put_series(&b.message, &b.series);
    put_label(&b.series, "__name__", "a\n");
    put_sample(&b.series, 1, 1);
    put_series(&b.message, &b.series);
    put_label(&b.series, "__name__", "a");
    put_label(&b.series, "__name__", "b");
    put_sample(&b.series, 1, 1);
    put_series(&b.message, &b.series);
    put_label(&b.series, "__name__", "good");
    put_sample(&b.series, NAN, 1);
    put_sample(&b.series, INFINITY, 1);
    put_sample(&b.series, stale, 1);
    put_sample(&b.series, 1, INT64_MAX);
    put_bytes(&b.series, 4, YD_STR("histogram"));
    put_sample(&b.series, 7, 1);
    put_series(&b.message, &b.series);
    expect(&b, "1000000 good 7",
           "series without a name; series without a name; label given twice; not UTF-8; bad name; label given twice; "
           "value not finite; value not finite; staleness marker; bad timestamp; native histogram");
}

TEST(a_message_cut_anywhere_stores_nothing_or_what_is_whole)
{
    UNUSED;
    struct building b = begin();
    put_label(&b.series, "__name__", "m");
    put_sample(&b.series, 1, 1);
    put_series(&b.message, &b.series);
    size_t one = b.message.size;
    put_label(&b.series, "__name__", "m");
    put_sample(&b.series, 2, 2);
    put_series(&b.message, &b.series);
    for (size_t size = 1; size < b.message.size; size++)
        if (size != one) expect_of((struct yd_str){b.message.data, size}, YD_EFORMAT, "", "bad message");
    expect_of((struct yd_str){b.message.data, one}, 0, "1000000 m 1", "");
    expect(&b, "1000000 m 1; 2000000 m 2", "");
}

TEST(malformed_messages_are_refused_whole)
{
    UNUSED;
    static const struct yd_str bad[] = {
        {"\x0b", 1},                                          /* a group */
        {"\x02\x00", 2},                                      /* field 0 */
        {"\x08\x01", 2},                                      /* a series that is a number */
        {"\x0a\x02\x08\x01", 4},                              /* a label that is one */
        {"\x0a\x04\x12\x02\x08\x01", 6},                      /* a value that is one */
        {"\x0a\x04\x0a\x02\x08\x01", 6},                      /* a label's key that is one */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11}, /* a varint that does not end */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* 2^64 - 1 bytes */
    };
    for (size_t i = 0; i < YD_COUNT(bad); i++) expect_of(bad[i], YD_EFORMAT, "", "bad message");
    expect_of((struct yd_str){"", 0}, 0, "", "");
}

TEST(many_samples_fill_batches_and_none_is_lost)
{
    UNUSED;
    struct building b = begin();
    struct said said = {.taken = 0};
    struct yd_remote *remote;
    struct yd_remote_options options = {.sink = {&said, take, refuse}, .seed = 7, .batch_bytes = 8192};
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    for (unsigned i = 0; i < 5000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%u", i % 700);
        put_label(&b.series, "__name__", name);
        put_sample(&b.series, i, i);
        put_series(&b.message, &b.series);
    }
    assert_int_equal(yd_remote_create(&options, &remote), 0);
    assert_int_equal(yd_remote_parse(remote, yd_buf_view(&b.message)), 0);
    yd_remote_flush(remote);
    assert_int_equal(said.taken, 5000);
    assert_int_equal(said.rejected, 0);
    yd_remote_destroy(remote);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
    yd_buf_fini(&b.message);
    yd_buf_fini(&b.series);
}

TEST(an_allocation_that_fails_costs_samples_but_never_more)
{
    UNUSED;
    struct building b = begin();
    put_label(&b.series, "__name__", "m");
    put_sample(&b.series, 1, 1);
    put_label(&b.series, "k", "v");
    put_series(&b.message, &b.series);
    for (uint64_t nth = 1;; nth++) {
        struct yd_alloc_failing failing;
        struct said said = {.taken = 0};
        struct yd_remote *remote = NULL;
        yd_alloc_failing_init(&failing, nth);
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        struct yd_remote_options options = {.sink = {&said, take, refuse}, .seed = 7, .alloc = &failing.alloc};
        if (yd_remote_create(&options, &remote) == 0) {
            assert_int_equal(yd_remote_parse(remote, yd_buf_view(&b.message)), 0);
            yd_remote_flush(remote);
            assert_int_equal(said.taken + said.rejected, 1);
        }
        yd_remote_destroy(remote);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
        assert_int_equal(failing.bytes_out, 0);
        if (failing.calls < nth) break;
    }
    yd_buf_fini(&b.message);
    yd_buf_fini(&b.series);
}

/* ---- Snappy ---- */

static void expect_text(struct yd_str block, const char *text)
{
    size_t size;
    char *copy = malloc(block.size), *to;
    memcpy(copy, block.data, block.size);
    assert_int_equal(yd_snappy_size((struct yd_str){copy, block.size}, &size), 0);
    assert_int_equal(size, strlen(text));
    to = malloc(size ? size : 1);
    assert_int_equal(yd_snappy_inflate((struct yd_str){copy, block.size}, to, size), 0);
    assert_memory_equal(to, text, size);
    free(to);
    free(copy);
}

TEST(literals_and_copies_of_all_forms_inflate)
{
    UNUSED;
    char large[100 + 4];
    expect_text(YD_STR("\0"), "");
    expect_text(YD_STR("\x03\x08"
                       "abc"),
                "abc");
    expect_text(YD_STR("\x07\x08"
                       "abc\x01\x03"),
                "abcabca"); /* one byte of offset */
    expect_text(YD_STR("\x06\x08"
                       "abc\x0a\x03\0"),
                "abcabc"); /* two */
    expect_text(YD_STR("\x06\x08"
                       "abc\x0b\x03\0\0\0"),
                "abcabc");                                 /* four */
    expect_text(YD_STR("\x09\0a\x1e\x01\0"), "aaaaaaaaa"); /* of what is being made */
    memset(large, 'x', sizeof large);
    large[0] = 100, large[1] = (char)(60 << 2), large[2] = 99;
    char text[101];
    memset(text, 'x', 100);
    text[100] = 0;
    expect_text((struct yd_str){large, 103}, text); /* a literal with a size of its own */
}

TEST(blocks_that_lie_are_refused)
{
    UNUSED;
    static const struct yd_str bad[] = {
        {"\x03\x08"
         "ab",
         4}, /* a literal that is cut */
        {"\x03\x08"
         "abcd",
         6}, /* more than said */
        {"\x04\x08"
         "abc",
         5}, /* less */
        {"\x02\x08"
         "abc",
         5}, /* a literal too large */
        {"\x07\x08"
         "abc\x01\x04",
         7}, /* a copy from in front of the beginning */
        {"\x07\x08"
         "abc\x01\0",
         7}, /* of nothing */
        {"\x07\x08"
         "abc\x01",
         6}, /* without its offset */
        {"\x06\x08"
         "abc\x0a\x03",
         7}, /* likewise */
        {"\x06\x08"
         "abc\x01\x03",
         7},             /* more than said */
        {"\x03\xf0", 2}, /* a size that is cut */
        {"\x03\xfc\xff\xff\xff\xff"
         "abc",
         9},                 /* four milliards */
        {"\x03\x01\x01", 3}, /* a copy of what is not there yet */
    };
    char to[64];
    size_t size;
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        char *copy = malloc(bad[i].size);
        memcpy(copy, bad[i].data, bad[i].size);
        assert_int_equal(yd_snappy_size((struct yd_str){copy, bad[i].size}, &size), 0);
        assert_int_equal(yd_snappy_inflate((struct yd_str){copy, bad[i].size}, to, size), YD_EFORMAT);
        free(copy);
    }
    assert_int_equal(yd_snappy_size(YD_STR(""), &size), YD_EFORMAT);
    assert_int_equal(yd_snappy_size(YD_STR("\xff\xff\xff\xff\xff\x01"), &size), YD_EFORMAT);
    assert_int_equal(yd_snappy_size(YD_STR("\xff\xff\xff\xff\x1f"
                                           "abcdefgh"),
                                    &size),
                     YD_EFORMAT);
    assert_int_equal(yd_snappy_size(YD_STR("\xff\xff\x7f\x08"
                                           "abc"),
                                    &size),
                     YD_EFORMAT); /* no copies make so much */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sample_is_a_record_named_by_the_labels),
        cmocka_unit_test(labels_may_stand_behind_samples_and_apart),
        cmocka_unit_test(what_is_not_there_is_zero_and_unknown_fields_are_passed_over),
        cmocka_unit_test(bad_series_and_samples_cost_themselves_only),
        cmocka_unit_test(a_message_cut_anywhere_stores_nothing_or_what_is_whole),
        cmocka_unit_test(malformed_messages_are_refused_whole),
        cmocka_unit_test(many_samples_fill_batches_and_none_is_lost),
        cmocka_unit_test(an_allocation_that_fails_costs_samples_but_never_more),
        cmocka_unit_test(literals_and_copies_of_all_forms_inflate),
        cmocka_unit_test(blocks_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
