/* Subscriptions: everything once and in order, filtered, with bounded queues, over lost connections; questions. */
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"

static struct yd_client_stream *open_stream(struct yd_client *client)
{
    struct yd_client_stream *stream;
    assert_int_equal(yd_client_stream(client, "s", &stream), 0);
    return stream;
}

static void add(struct fake *fake, uint64_t mark, unsigned count)
{
    struct yd_batch *batch = fake_batch(mark, count);
    fake_add(fake, batch);
    yd_batch_unref(batch);
}

static void a_stream_is_read_to_where_it_ends(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    for (unsigned i = 1; i <= 50; i++) add(&fake, i, 4);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_subscribe_options options = {.stop = true};
    assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
    for (unsigned i = 1; i <= 50; i++) {
        assert_int_equal(yd_subscription_next(sub, -1, &got), 0);
        assert_int_equal(fake_mark(got.batch), i);
        assert_int_equal(got.batch->header.base_seqno, (i - 1) * 4);
        assert_int_equal(got.next, i * 4);
        yd_batch_unref(got.batch);
    }
    assert_int_equal(yd_subscription_next(sub, -1, &got), 0);
    assert_true(got.ended);
    assert_int_equal(got.error, 0);
    assert_int_equal(got.next, 200);
    assert_int_equal(yd_subscription_next(sub, -1, &got), YD_EEOF);
    yd_subscription_close(sub);
    yd_client_close(client);
    fake_fini(&fake);
}

static void nothing_there_is_said_in_time(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    assert_int_equal(yd_client_subscribe(open_stream(client), NULL, NULL, NULL, &sub), 0);
    assert_int_equal(yd_subscription_next(sub, 0, &got), YD_EAGAIN);
    int64_t before = fake.now;
    assert_int_equal(yd_subscription_next(sub, YD_NS_PER_S, &got), YD_ETIMEOUT);
    assert_true(fake.now - before >= YD_NS_PER_S && fake.now - before < 2 * YD_NS_PER_S);
    add(&fake, 9, 1);
    assert_int_equal(yd_subscription_next(sub, YD_NS_PER_S, &got), 0);
    yd_batch_unref(got.batch);
    yd_client_close(client); /* closes it, too */
    fake_fini(&fake);
}

static void what_does_not_match_is_dropped_and_the_end_is_exact(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    for (unsigned i = 1; i <= 10; i++) add(&fake, 0, 10); /* even and odd in turns */
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_subscribe_options options = {
        .start = {.from = YD_FROM_SEQNO, .seqno = 13, .names = "odd"}, .until = 77, .count = 12};
    assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
    unsigned records = 0;
    uint64_t next = 0;
    for (;;) {
        assert_int_equal(yd_subscription_next(sub, YD_NS_PER_S, &got), 0);
        next = got.next;
        if (got.ended) break;
        for (uint32_t i = 0; i < got.batch->view.count; i++) {
            assert_true(yd_str_eq(yd_view_name(&got.batch->view, got.batch->view.records[i].name), YD_STR("odd")));
            records++;
        }
        yd_batch_unref(got.batch);
    }
    assert_int_equal(records, 12); /* 13, 15, … 35 */
    assert_int_equal(next, 36);
    yd_subscription_close(sub);
    options = (struct yd_subscribe_options){
        .start = {.from = YD_FROM_SEQNO, .seqno = 13, .kinds = YD_KIND_BIT(YD_SAMPLE)}, .until = 27};
    assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
    records = 0;
    while (yd_subscription_next(sub, YD_NS_PER_S, &got) == 0 && !got.ended) {
        records += got.batch->view.count;
        yd_batch_unref(got.batch);
    }
    assert_int_equal(records, 7); /* 14, 16, … 26 */
    assert_int_equal(got.next, 27);
    yd_subscription_close(sub);
    yd_client_close(client);
    fake_fini(&fake);
}

static void whole_batches_come_as_they_are_stored(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    add(&fake, 0, 10);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_subscribe_options options = {
        .start = {.from = YD_FROM_SEQNO, .seqno = 3, .names = "odd"}, .whole = true, .stop = true};
    assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
    assert_int_equal(yd_subscription_next(sub, YD_NS_PER_S, &got), 0);
    assert_int_equal(got.batch->view.count, 10);
    assert_int_equal(got.from, 3);
    yd_batch_unref(got.batch);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_queue_holds_its_credit_and_no_more(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    for (unsigned i = 1; i <= 300; i++) add(&fake, i, 8);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_subscribe_options options = {.credit_bytes = 4096, .stop = true};
    assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
    unsigned count = 0;
    size_t most = 0;
    for (;; count++) {
        for (int i = 0; i < 5; i++) assert_true(yd_client_run(client, 0) >= 0); /* as much as would come */
        most = YD_MAX(most, sub->queued);
        assert_int_equal(yd_subscription_next(sub, YD_NS_PER_S, &got), 0);
        if (got.ended) break;
        yd_batch_unref(got.batch);
    }
    assert_int_equal(count, 300);
    assert_true(most <= 4096 + 1024);
    assert_true(fake.credits > 10);
    yd_client_close(client);
    fake_fini(&fake);
}

struct listener {
    struct yd_subscription *sub;
    unsigned batches, ends, close_at;
    uint64_t last;
};

static void hear(void *arg, struct yd_received *what)
{
    struct listener *listener = arg;
    if (what->batch) {
        assert_true(fake_mark(what->batch) > listener->last);
        listener->last = fake_mark(what->batch);
        listener->batches++;
        yd_batch_unref(what->batch);
    }
    listener->ends += what->ended;
    if (listener->close_at && listener->batches == listener->close_at) {
        yd_subscription_close(listener->sub);
        listener->close_at = 0;
    }
}

static void callbacks_get_everything_and_may_close_in_between(void **state)
{
    (void)state;
    struct fake fake;
    struct listener all = {0}, some = {.close_at = 7};
    fake_init(&fake, 1);
    for (unsigned i = 1; i <= 40; i++) add(&fake, i, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    struct yd_subscribe_options options = {.stop = true};
    assert_int_equal(yd_client_subscribe(stream, &options, hear, &all, &all.sub), 0);
    assert_int_equal(yd_client_subscribe(stream, &options, hear, &some, &some.sub), 0);
    while (all.ends == 0) assert_true(yd_client_run(client, YD_NS_PER_S) >= 0);
    assert_int_equal(all.batches, 40);
    assert_int_equal(some.batches, 7);
    assert_int_equal(some.ends, 0);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_tail_is_a_place_to_come_back_to(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    for (unsigned i = 1; i <= 5; i++) add(&fake, i, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_subscribe_options options = {.start = {.from = YD_FROM_TAIL}};
    assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
    assert_int_equal(yd_subscription_next(sub, YD_NS_PER_MS, &got), YD_ETIMEOUT);
    fake_kill(&fake);
    add(&fake, 6, 1); /* while nobody listens */
    assert_int_equal(yd_subscription_next(sub, 10 * YD_NS_PER_S, &got), 0);
    assert_int_equal(fake_mark(got.batch), 6);
    yd_batch_unref(got.batch);
    yd_client_close(client);
    fake_fini(&fake);
}

static void an_end_that_was_cut_is_told_as_a_gap(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_received got;
    fake_init(&fake, 1);
    for (unsigned i = 1; i <= 5; i++) add(&fake, i, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    assert_int_equal(yd_client_subscribe(open_stream(client), NULL, NULL, NULL, &sub), 0);
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(yd_subscription_next(sub, YD_NS_PER_S, &got), 0);
        yd_batch_unref(got.batch);
    }
    fake.written = 3;
    fake_kill(&fake);
    assert_int_equal(yd_subscription_next(sub, 10 * YD_NS_PER_S, &got), 0);
    assert_null(got.batch);
    assert_string_equal(got.gap.reason, "cut back");
    assert_int_equal(fake.said_epoch, 1); /* of the batches before; the server's is 2 now */
    assert_int_equal(got.gap.from, 5);
    assert_int_equal(got.gap.to, 3);
    assert_int_equal(got.next, 3);
    add(&fake, 7, 1);
    assert_int_equal(yd_subscription_next(sub, 10 * YD_NS_PER_S, &got), 0);
    assert_int_equal(fake_mark(got.batch), 7);
    assert_int_equal(got.batch->header.base_seqno, 3);
    yd_batch_unref(got.batch);
    yd_client_close(client);
    fake_fini(&fake);
}

static void every_record_comes_once_whenever_the_connection_dies(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fake fake;
        struct yd_subscription *sub;
        struct yd_received got;
        fake_init(&fake, seed);
        fake.chunk = 500;
        struct yd_client *client = fake_client(&fake, NULL);
        struct yd_subscribe_options options = {.credit_bytes = 1 + (uint32_t)yd_rng_below(&fake.rng, 5000)};
        assert_int_equal(yd_client_subscribe(open_stream(client), &options, NULL, NULL, &sub), 0);
        uint64_t next = 0;
        for (unsigned i = 1; next < 300;) {
            if (i <= 100) add(&fake, i++, 3);
            if (fake.die_in == 0 && yd_rng_chance(&fake.rng, 10))
                fake.die_in = 1 + (uint32_t)yd_rng_below(&fake.rng, 20);
            while (yd_subscription_next(sub, i > 100 ? YD_NS_PER_S : 0, &got) == 0) {
                assert_non_null(got.batch);
                assert_int_equal(got.batch->header.base_seqno, next);
                assert_int_equal(got.next, next + 3);
                assert_int_equal(fake_mark(got.batch), next / 3 + 1);
                next = got.next;
                yd_batch_unref(got.batch);
            }
        }
        assert_int_equal(next, 300);
        yd_client_close(client);
        fake_fini(&fake);
    }
}

static int collect(void *arg, const struct yd_batch *reply)
{
    unsigned *count = arg;
    (*count)++;
    return reply->header.count == 1 ? 0 : YD_EFAIL;
}

static int refuse_it(void *arg, const struct yd_batch *reply)
{
    (void)arg;
    (void)reply;
    return YD_ECANCELED;
}

static void questions_are_answered_and_cursors_saved(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_subscription *sub;
    struct yd_builder *builder;
    struct yd_batch *query;
    uint32_t name;
    unsigned count = 0;
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){0}, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("q"), &name), 0);
    assert_int_equal(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP), 0);
    assert_int_equal(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, YD_STR("streams")), 0);
    assert_int_equal(yd_builder_end(builder), 0);
    assert_int_equal(yd_builder_seal(builder, &query), 0);
    yd_builder_destroy(builder);
    assert_int_equal(yd_client_query(client, query, collect, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(yd_client_query(client, query, refuse_it, NULL), YD_ECANCELED);
    assert_int_equal(yd_client_query(client, query, collect, &count), 0);
    assert_int_equal(count, 4);
    assert_int_equal(yd_client_subscribe(open_stream(client), NULL, NULL, NULL, &sub), 0);
    assert_int_equal(yd_subscription_save(sub, "mine", 17), 0);
    assert_string_equal(fake.cursor, "mine");
    assert_int_equal(fake.cursor_seqno, 17);
    fake.die_in = 2;
    assert_int_equal(yd_client_query(client, query, NULL, NULL), YD_ECONNRESET);
    yd_batch_unref(query);
    yd_client_close(client);
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_read_to_where_it_ends),
        cmocka_unit_test(nothing_there_is_said_in_time),
        cmocka_unit_test(what_does_not_match_is_dropped_and_the_end_is_exact),
        cmocka_unit_test(whole_batches_come_as_they_are_stored),
        cmocka_unit_test(a_queue_holds_its_credit_and_no_more),
        cmocka_unit_test(callbacks_get_everything_and_may_close_in_between),
        cmocka_unit_test(a_tail_is_a_place_to_come_back_to),
        cmocka_unit_test(an_end_that_was_cut_is_told_as_a_gap),
        cmocka_unit_test(every_record_comes_once_whenever_the_connection_dies),
        cmocka_unit_test(questions_are_answered_and_cursors_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
