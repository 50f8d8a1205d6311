/* TSDP messages: every rule that elements/tsdp_packets.h names. */
#include "elements/tsdp_packets.h"

#include "batch/record_text.h"
#include "testing.h"

#define TEST(name) static void name(void **state)
#define UNUSED     (void)state
#define NOW        (INT64_C(1000) * YD_NS_PER_S)

struct said {
    struct yd_buf records, others;
    uint64_t taken, rejected, messages;
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
        yd_buf_char(&said->records, '|');
        yd_value_text(&view, (enum yd_type)record->type, record->value, &said->records);
        if (record->type == YD_U64) yd_buf_char(&said->records, 'u');
    }
    said->taken += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_tsdp_reason reason, struct yd_str message)
{
    struct said *said = arg;
    (void)message;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_cstr(&said->others, yd_tsdp_reasons[reason]);
    said->rejected++;
}

static void count(void *arg)
{
    ((struct said *)arg)->messages++;
}

static void heartbeat(void *arg, uint64_t sent, bool rolled)
{
    struct said *said = arg;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_printf(&said->others, "heartbeat %llu%s", (unsigned long long)sent, rolled ? " rolled" : "");
}

/* ---- messages ---- */

static void head(struct yd_buf *to, unsigned version, unsigned opcode, unsigned flags, unsigned payload)
{
    const unsigned char bytes[] = {(unsigned char)(version << 4 | opcode), (unsigned char)flags,
                                   (unsigned char)(payload >> 8), (unsigned char)payload};
    yd_buf_add(to, bytes, 4);
}

static void frame(struct yd_buf *to, bool final, unsigned type, const void *data, size_t size)
{
    unsigned word = (final ? 0x8000u : 0) | type << 12 | (unsigned)size;
    yd_buf_char(to, (char)(word >> 8));
    yd_buf_char(to, (char)word);
    if (size) yd_buf_add(to, data, size);
}

static void text(struct yd_buf *to, bool final, const char *s)
{
    frame(to, final, 2, s, strlen(s));
}

static void number(struct yd_buf *to, bool final, unsigned type, uint64_t bits, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(bits >> 8 * (size - 1 - i));
    frame(to, final, type, bytes, size);
}

static void f64(struct yd_buf *to, bool final, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    number(to, final, 1, bits, 8);
}

static void stamp(struct yd_buf *to, bool final, uint64_t ms)
{
    number(to, final, 6, ms, 8);
}

static void submit(struct yd_buf *to, unsigned flags, unsigned payload, const char *name, uint64_t ms)
{
    head(to, 1, 1, flags, payload);
    text(to, false, name);
    if (payload != 0x20) stamp(to, false, ms);
}

/* In pieces of `step` bytes, as a connection would. */
static void parse(struct said *said, struct yd_tsdp *tsdp, struct yd_str bytes, size_t step)
{
    struct yd_buf held;
    yd_buf_init(&held, NULL);
    yd_buf_clear(&said->records);
    yd_buf_clear(&said->others);
    said->messages = 0;
    for (size_t at = 0; at < bytes.size; at += step) {
        size_t used;
        yd_buf_add(&held, bytes.data + at, YD_MIN(step, bytes.size - at));
        char *copy = malloc(held.size); /* exactly so many bytes, for the sanitizers */
        memcpy(copy, held.data, held.size);
        int r = yd_tsdp_take(tsdp, (struct yd_str){copy, held.size}, NOW, &used);
        free(copy);
        yd_buf_consume(&held, r < 0 ? held.size : used);
        if (r < 0) break;
    }
    yd_tsdp_flush(tsdp);
    yd_buf_fini(&held);
}

static void expect(struct yd_buf *message, const char *records, const char *others)
{
    for (size_t step = message->size; step; step = step > 5 ? 5 : step - 1) {
        struct said said = {.taken = 0};
        struct yd_tsdp *tsdp;
        struct yd_tsdp_options options = {
            .sink = {&said, take, refuse, count, heartbeat}, .metric = YD_STR("tsdp"), .seed = 7};
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        assert_int_equal(yd_tsdp_create(&options, &tsdp), 0);
        for (int round = 0; round < 2; round++) {
            parse(&said, tsdp, yd_buf_view(message), step);
            assert_string_equal(text_of(&said.records), records);
            assert_string_equal(text_of(&said.others), others);
        }
        yd_tsdp_destroy(tsdp);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
    }
    yd_buf_fini(message);
}

static struct yd_buf begin(void)
{
    struct yd_buf b;
    yd_buf_init(&b, NULL);
    return b;
}

/* ---- */

TEST(each_submission_becomes_its_kind)
{
    UNUSED;
    struct yd_buf b = begin();
    submit(&b, 0, 0x01, "cpu host=web1", 1500);
    f64(&b, false, 1.5);
    number(&b, false, 1, 0x3fc00000, 4); /* 1.5 again */
    number(&b, true, 0, 7, 2);
    submit(&b, 0, 0x02, "hits", 2000);
    number(&b, true, 0, 3, 8);
    head(&b, 1, 1, 0, 0x02);
    text(&b, false, "hits");
    stamp(&b, true, 2000);
    submit(&b, 0, 0x04, "bytes", 3000);
    number(&b, true, 0, UINT64_MAX, 8);
    submit(&b, 0xfe, 0x08, "db", 4000);
    number(&b, false, 0, 60000, 4);
    text(&b, true, "it is gone");
    submit(&b, 1, 0x08, "db", 4000);
    number(&b, true, 0, 0, 4);
    submit(&b, 0, 0x10, "deploy", 5000);
    text(&b, true, "version 2");
    submit(&b, 0, 0x20, "owner", 0);
    text(&b, true, "ops");
    expect(&b,
           "SAMPLE @1500000000 cpu host=web1|1.5; SAMPLE @1500000000 cpu host=web1|1.5; SAMPLE @1500000000 cpu "
           "host=web1|7u; "
           "TALLY @2000000000 hits|3u; TALLY @2000000000 hits|1u; DELTA @3000000000 bytes|18446744073709551615u; "
           "STATE @4000000000 2 db|it is gone; STATE @4000000000 1 db|; EVENT @5000000000 deploy|version 2; FACT "
           "owner|ops",
           "");
}

TEST(heartbeats_are_told_and_replays_have_no_frames)
{
    UNUSED;
    struct yd_buf b = begin();
    head(&b, 1, 0, 0, 0);
    stamp(&b, false, 1);
    number(&b, true, 0, 42, 8);
    head(&b, 1, 4, 0, 0); /* REPLAY */
    head(&b, 1, 0, 0x80, 0);
    stamp(&b, false, 1);
    number(&b, true, 0, 1, 8);
    expect(&b, "", "heartbeat 42; not a submission; heartbeat 1 rolled");
}

static void name_is(const char *name, const char *records, const char *others)
{
    struct yd_buf b = begin();
    submit(&b, 0, 0x10, name, 1000000);
    text(&b, true, "x");
    expect(&b, records, others);
}

TEST(names_are_a_metric_with_pairs_or_pairs_alone)
{
    UNUSED;
    name_is("cpu", "EVENT cpu|x", "");
    name_is("cpu b=2,a=1", "EVENT cpu a=1,b=2|x", "");
    name_is("my cpu a=1", "EVENT my\\ cpu a=1|x", "");
    name_is(" a = 1 , b = 2 3 ", "EVENT tsdp a=1,b=2\\ 3|x", "");
    name_is("host=web1,type=cpu", "EVENT tsdp host=web1,type=cpu|x", "");
    name_is("cpu a,b=2", "EVENT cpu a=true,b=2|x", "");
    name_is("cpu a\\=b=c\\,d", "EVENT cpu a\\=b=c\\,d|x", "");
    name_is("a=1,a=1", "EVENT tsdp a=1|x", "");
    name_is("a=1,a=2", "", "key given twice");
    name_is("a=*", "", "bad name");
    name_is("a=1,*", "", "bad name");
    name_is("", "", "bad name");
    name_is("=1", "", "bad name");
    name_is("a=1,,b=2", "", "bad name");
    name_is("\xff", "", "not UTF-8");
}

TEST(what_is_no_message_is_rejected_and_its_neighbours_kept)
{
    UNUSED;
    struct yd_buf b = begin();
    head(&b, 2, 1, 0, 1);
    text(&b, true, "x");
    head(&b, 1, 9, 0, 1);
    text(&b, true, "x");
    head(&b, 1, 2, 0, 1);
    text(&b, true, "x");
    head(&b, 1, 1, 0, 3);
    text(&b, true, "x");
    head(&b, 1, 0, 0, 1);
    stamp(&b, true, 1);
    head(&b, 1, 0, 0, 0);
    stamp(&b, true, 1);
    submit(&b, 0, 0x01, "a", 1); /* without its number: the next message's header is not taken for one */
    b.data[b.size - 10] = (char)0xe0;
    head(&b, 1, 1, 0, 1);
    text(&b, false, "a");
    number(&b, false, 6, 1, 4);
    f64(&b, true, 1);
    submit(&b, 0, 0x01, "a", UINT64_MAX);
    f64(&b, true, 1);
    submit(&b, 0, 0x01, "a", 1);
    f64(&b, true, 1.0 / 0.0);
    submit(&b, 0, 0x01, "a", 1);
    text(&b, true, "1");
    submit(&b, 0, 0x01, "a", 1);
    number(&b, true, 0, 1, 3);
    submit(&b, 0, 0x04, "a", 1);
    f64(&b, false, 1);
    f64(&b, true, 1);
    submit(&b, 0, 0x08, "a", 1);
    text(&b, true, "no interval");
    submit(&b, 0, 0x10, "a", 1);
    frame(&b, true, 4, "x", 1);
    submit(&b, 0, 0x10, "good", 1000000);
    text(&b, true, "x");
    expect(
        &b, "EVENT good|x",
        "unknown version; unknown opcode; not a submission; unknown payload; unknown payload; wrong frames; wrong "
        "frames; "
        "wrong frames; bad timestamp; value not finite; wrong frames; wrong frames; wrong frames; wrong frames; wrong "
        "frames");
}

TEST(a_message_too_large_ends_it_and_one_cut_short_waits)
{
    UNUSED;
    struct yd_buf b = begin();
    char large[4096];
    memset(large, 'x', sizeof large);
    submit(&b, 0, 0x10, "good", 1000000);
    text(&b, true, "x");
    head(&b, 1, 1, 0, 0x10);
    for (int i = 0; i < 20; i++) frame(&b, false, 2, large, 4095);
    struct yd_buf copy = begin();
    yd_buf_add(&copy, b.data, b.size);
    struct said said = {.taken = 0};
    struct yd_tsdp *tsdp;
    struct yd_tsdp_options options = {.sink = {&said, take, refuse, count, heartbeat}, .metric = YD_STR("tsdp")};
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    assert_int_equal(yd_tsdp_create(&options, &tsdp), 0);
    for (size_t step = 100; step < 200000; step *= 7) {
        parse(&said, tsdp, yd_buf_view(&b), step);
        assert_string_equal(text_of(&said.records), "EVENT good|x");
        assert_string_equal(text_of(&said.others), "message larger than 64 KiB");
    }
    for (size_t size = 0; size < 30; size++) { /* not whole: nothing is said, nothing used */
        size_t used = 1;
        assert_int_equal(yd_tsdp_take(tsdp, (struct yd_str){b.data, size}, NOW, &used), 0);
        assert_true(used == 0 || used <= size);
    }
    yd_tsdp_destroy(tsdp);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
    yd_buf_fini(&b);
    yd_buf_fini(&copy);
}

TEST(memory_that_runs_out_is_said_and_leaks_nothing)
{
    UNUSED;
    struct yd_buf b = begin();
    submit(&b, 0, 0x10, "e", 1);
    text(&b, true, "x");
    submit(&b, 0, 0x02, "t k=v", 1);
    number(&b, true, 0, 3, 8);
    for (uint64_t fail_at = 1;; fail_at++) {
        struct yd_alloc_failing failing;
        struct said said = {.taken = 0};
        struct yd_tsdp *tsdp;
        size_t used;
        yd_buf_init(&said.records, NULL);
        yd_buf_init(&said.others, NULL);
        yd_alloc_failing_init(&failing, fail_at);
        struct yd_tsdp_options options = {
            .sink = {&said, take, refuse, count, heartbeat}, .metric = YD_STR("tsdp"), .alloc = &failing.alloc};
        if (yd_tsdp_create(&options, &tsdp) == 0) {
            assert_int_equal(yd_tsdp_take(tsdp, yd_buf_view(&b), NOW, &used), 0);
            yd_tsdp_flush(tsdp);
            assert_int_equal(said.taken + said.rejected, 2);
            yd_tsdp_destroy(tsdp);
        }
        assert_int_equal(failing.bytes_out, 0);
        yd_buf_fini(&said.records);
        yd_buf_fini(&said.others);
        if (failing.calls < fail_at) break;
    }
    yd_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_submission_becomes_its_kind),
        cmocka_unit_test(heartbeats_are_told_and_replays_have_no_frames),
        cmocka_unit_test(names_are_a_metric_with_pairs_or_pairs_alone),
        cmocka_unit_test(what_is_no_message_is_rejected_and_its_neighbours_kept),
        cmocka_unit_test(a_message_too_large_ends_it_and_one_cut_short_waits),
        cmocka_unit_test(memory_that_runs_out_is_said_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
