/* Appends: one after the other, pipelined, refused, cut off and sent again: each once, in order, or told why not. */
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"

static struct yd_client_stream *open_stream(struct yd_client *client)
{
    struct yd_client_stream *stream;
    int error = yd_client_stream(client, "s", &stream);
    if (error) print_message("# %s\n", yd_client_trouble(client));
    assert_int_equal(error, 0);
    return stream;
}

static int append_level(struct yd_client_stream *stream, uint64_t mark, enum yd_ack level)
{
    struct yd_batch *batch = fake_batch(mark, 1);
    struct yd_client_append_options options = {.level = level};
    int error = yd_client_append(stream, batch, &options, NULL);
    yd_batch_unref(batch);
    return error;
}

struct told {
    unsigned count, failed;
    int error;
    struct yd_client_appended last;
};

static void note(void *arg, int error, const struct yd_client_appended *appended)
{
    struct told *told = arg;
    told->count++;
    if (error) told->failed++, told->error = error;
    if (appended) told->last = *appended;
}

static void push(struct yd_client_stream *stream, uint64_t mark, const struct yd_client_append_options *options,
                 struct told *told)
{
    struct yd_batch *batch = fake_batch(mark, 1);
    assert_int_equal(yd_client_append_async(stream, batch, options, note, told), 0);
    yd_batch_unref(batch);
}

static void an_append_waits_for_its_acknowledgement(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_client_appended appended;
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.token = "secret"});
    struct yd_client_stream *stream = open_stream(client);
    struct yd_batch *batch = fake_batch(0, 5);
    assert_int_equal(yd_client_append(stream, batch, NULL, &appended), 0);
    assert_int_equal(appended.first, 0);
    assert_int_equal(appended.next, 5);
    assert_int_equal(appended.level, YD_ACK_DURABLE);
    assert_int_equal(yd_client_append(stream, batch, NULL, &appended), 0); /* again: another one */
    assert_int_equal(appended.first, 5);
    assert_int_equal(fake.count, 2);
    assert_string_equal(fake.said_token, "secret");
    yd_batch_unref(batch);
    yd_client_close(client);
    fake_fini(&fake);
}

static void small_appends_travel_together_and_are_told_one_by_one(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    for (unsigned i = 0; i < 100; i++) push(stream, i + 1, NULL, &told);
    assert_int_equal(yd_client_flush(client), 0);
    assert_int_equal(told.count, 100);
    assert_int_equal(told.failed, 0);
    assert_int_equal(told.last.first, 99);
    assert_int_equal(told.last.next, 100);
    assert_int_equal(fake.count, 100);
    assert_int_equal(fake.appends, 1);
    for (size_t i = 0; i < 100; i++) assert_int_equal(fake_mark(fake.entries[i].batch), i + 1);
    yd_client_close(client);
    fake_fini(&fake);
}

static void too_much_in_flight_is_full_and_goes_on_when_it_is_told(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.in_flight_bytes = 1000});
    struct yd_client_stream *stream = open_stream(client);
    struct yd_batch *batch = fake_batch(1, 1);
    int error;
    unsigned taken = 0;
    while ((error = yd_client_append_async(stream, batch, NULL, note, &told)) == 0) taken++;
    assert_int_equal(error, YD_EFULL);
    assert_int_equal(taken, 1000 / batch->header.size);
    assert_int_equal(yd_client_append(stream, batch, NULL, NULL), 0); /* the waiting form waits for room */
    assert_int_equal(told.count, taken);
    yd_batch_unref(batch);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_refusal_is_told_and_those_behind_it_are_sent_again(void **state)
{
    (void)state;
    struct fake fake;
    struct told bad = {0}, good = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    fake.refuse_append = YD_ETOOBIG;
    fake.refuse_count = 1;
    push(stream, 1, &(struct yd_client_append_options){.level = YD_ACK_WRITTEN}, &bad);
    for (unsigned i = 2; i < 10; i++) push(stream, i, NULL, &good); /* another level: another frame */
    assert_int_equal(yd_client_flush(client), YD_ETOOBIG);
    assert_int_equal(bad.error, YD_ETOOBIG);
    assert_non_null(strstr(yd_client_trouble(client), "because"));
    assert_int_equal(good.count, 8);
    assert_int_equal(good.failed, 0);
    assert_int_equal(fake.count, 8);
    for (size_t i = 0; i < 8; i++) assert_int_equal(fake_mark(fake.entries[i].batch), i + 2);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_server_that_has_no_room_is_asked_again_later(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    int64_t before = fake.now;
    fake.refuse_append = YD_EFULL;
    fake.refuse_count = 3;
    fake.refuse_retry_ms = 200;
    for (unsigned i = 1; i < 10; i++) push(stream, i, NULL, &told);
    assert_int_equal(yd_client_flush(client), 0);
    assert_int_equal(told.failed, 0);
    assert_int_equal(fake.count, 9);
    assert_true(fake.now - before >= 600 * YD_NS_PER_MS);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_sole_producer_is_told_when_the_seqno_is_another(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    struct yd_batch *batch = fake_batch(1, 3);
    struct yd_client_append_options options = {.sole = true, .expect_seqno = 0};
    assert_int_equal(yd_client_append(stream, batch, &options, NULL), 0);
    options.expect_seqno = 7;
    assert_int_equal(yd_client_append(stream, batch, &options, NULL), YD_EGAP);
    options.expect_seqno = 3;
    assert_int_equal(yd_client_append(stream, batch, &options, NULL), 0);
    assert_int_equal(yd_client_append(stream, batch, NULL, NULL), 0); /* and an ordinary one */
    assert_int_equal(fake.count, 3);
    yd_batch_unref(batch);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_first_connection_that_fails_is_told_at_once(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_client_stream *stream;
    fake_init(&fake, 1);
    fake.refusing = true;
    struct yd_client *client = fake_client(&fake, NULL);
    int64_t before = fake.now;
    assert_int_equal(yd_client_stream(client, "s", &stream), YD_ECONNREFUSED);
    assert_non_null(strstr(yd_client_trouble(client), "nobody is there"));
    assert_true(fake.now - before < YD_NS_PER_S);
    fake.refusing = false;
    assert_int_equal(yd_client_stream(client, "s", &stream), 0); /* and the next call tries again */
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_wrong_token_and_an_unknown_stream_are_told(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_client_stream *stream;
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    fake.refuse_hello = YD_EPERM;
    assert_int_equal(yd_client_stream(client, "s", &stream), YD_EPERM);
    assert_non_null(strstr(yd_client_trouble(client), "because"));
    fake.refuse_hello = 0;
    fake.refuse_open = YD_ENOENT;
    assert_int_equal(yd_client_stream(client, "s", &stream), YD_ENOENT);
    fake.refuse_open = 0;
    assert_int_equal(yd_client_stream(client, "s", &stream), 0);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_server_that_never_answers_is_a_timeout_with_words(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_client_stream *stream;
    struct told told = {0};
    fake_init(&fake, 1);
    fake.deaf = true;
    struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.timeout_ns = 2 * YD_NS_PER_S});
    assert_int_equal(yd_client_stream(client, "s", &stream), YD_ETIMEOUT);
    assert_true(strlen(yd_client_trouble(client)) > 0);
    fake.deaf = false;
    stream = open_stream(client);
    fake.deaf = true;
    int64_t before = fake.now;
    push(stream, 1, NULL, &told);
    assert_int_equal(yd_client_flush(client), YD_ETIMEOUT);
    assert_int_equal(told.error, YD_ETIMEOUT);
    assert_true(fake.now - before < 3 * YD_NS_PER_S);
    fake.deaf = false; /* what was sent comes after all: the next one is behind it, and nothing is there twice */
    assert_int_equal(append_level(stream, 2, YD_ACK_DURABLE), 0);
    assert_int_equal(fake.count, 2);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_silent_connection_is_given_up_and_made_again(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.timeout_ns = 300 * YD_NS_PER_S});
    struct yd_client_stream *stream = open_stream(client);
    fake.deaf = true;
    push(stream, 1, NULL, &told);
    for (int i = 0; i < 100 && fake.connections == 1; i++) {
        assert_true(yd_client_run(client, YD_NS_PER_S) >= 0);
    }
    assert_true(yd_client_run(client, 10 * YD_NS_PER_S) >= 0);
    assert_true(fake.connections >= 2);
    fake.deaf = false;
    assert_int_equal(yd_client_flush(client), 0);
    assert_int_equal(fake.count, 1);
    yd_client_close(client);
    fake_fini(&fake);
}

static void memory_that_a_kill_took_is_not_a_gap_for_ever(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake, 1);
    fake.lazy = true;
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    assert_int_equal(append_level(stream, 1, YD_ACK_WRITTEN), 0);
    assert_int_equal(append_level(stream, 2, YD_ACK_MEMORY), 0);
    assert_int_equal(append_level(stream, 3, YD_ACK_MEMORY), 0);
    fake_kill(&fake);
    assert_int_equal(fake.count, 1);
    assert_int_equal(append_level(stream, 4, YD_ACK_DURABLE), 0);
    assert_int_equal(fake.count, 2);
    assert_int_equal(fake_mark(fake.entries[1].batch), 4);
    yd_client_close(client);
    fake_fini(&fake);
}

static void what_was_acknowledged_and_is_gone_is_told_once(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    assert_int_equal(append_level(stream, 1, YD_ACK_DURABLE), 0);
    assert_int_equal(append_level(stream, 2, YD_ACK_DURABLE), 0);
    fake.written = 1; /* a server that lied, or was put back from a backup */
    fake_kill(&fake);
    assert_int_equal(append_level(stream, 3, YD_ACK_DURABLE), YD_EGAP);
    assert_non_null(strstr(yd_client_trouble(client), "lost"));
    assert_int_equal(append_level(stream, 4, YD_ACK_DURABLE), 0);
    assert_int_equal(fake.count, 2);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_plain_append_is_not_sent_twice(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    fake.lazy = true;
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    push(stream, 1, &(struct yd_client_append_options){.plain = true}, &told);
    fake.die_in = 1; /* with the first bytes */
    assert_int_equal(yd_client_flush(client), YD_ECANCELED);
    assert_int_equal(told.count, 1);
    assert_int_equal(append_level(stream, 2, YD_ACK_DURABLE), 0);
    assert_int_equal(fake_mark(fake.entries[fake.count - 1].batch), 2);
    yd_client_close(client);
    fake_fini(&fake);
}

static void a_producer_goes_on_after_its_own_death(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake, 1);
    const struct yd_client_options options = {.producer_id = 77};
    for (unsigned life = 0; life < 3; life++) {
        struct yd_client *client = fake_client(&fake, &options);
        struct yd_client_stream *stream = open_stream(client);
        assert_int_equal(yd_client_producer_seq(stream), life * 10);
        struct yd_batch *batch = fake_batch(life + 1, 1), *numbered;
        struct yd_header header = batch->header;
        header.producer_seq = life * 10;
        assert_int_equal(yd_batch_restamp(batch, &header, &numbered), 0);
        if (life) assert_int_equal(yd_client_append(stream, numbered, NULL, NULL), YD_EDUP);
        yd_batch_unref(numbered);
        header.producer_seq = life * 10 + 10;
        assert_int_equal(yd_batch_restamp(batch, &header, &numbered), 0);
        assert_int_equal(yd_client_append(stream, numbered, NULL, NULL), 0);
        assert_int_equal(fake.entries[life].batch->header.producer_epoch, life + 1);
        yd_batch_unref(numbered);
        yd_batch_unref(batch);
        yd_client_close(client);
    }
    assert_int_equal(fake.count, 3);
    fake_fini(&fake);
}

static void closing_tells_what_was_not_acknowledged(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_client_stream *stream = open_stream(client);
    push(stream, 1, NULL, &told);
    push(stream, 2, NULL, &told);
    yd_client_close(client);
    assert_int_equal(told.failed, 2);
    assert_int_equal(told.error, YD_ECANCELED);
    fake_fini(&fake);
}

static void with_once_the_first_loss_ends_everything(void **state)
{
    (void)state;
    struct fake fake;
    struct told told = {0};
    fake_init(&fake, 1);
    struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.once = true});
    struct yd_client_stream *stream = open_stream(client);
    push(stream, 1, NULL, &told);
    fake_kill(&fake);
    assert_int_equal(yd_client_flush(client), YD_ECLOSED);
    assert_int_equal(told.error, YD_ECLOSED);
    assert_int_equal(append_level(stream, 2, YD_ACK_DURABLE), YD_ECLOSED);
    yd_client_close(client);
    fake_fini(&fake);
}

/* ---- the model: random appends, kills at any moment; what was acknowledged is there once ---- */

#define MARKS 400
struct mark {
    struct model *model;
    enum yd_ack level;
    unsigned told;
    int error;
};
struct model {
    struct mark marks[MARKS];
    unsigned acknowledged, failed;
};

static void mark_told(void *arg, int error, const struct yd_client_appended *appended)
{
    struct mark *mark = arg;
    mark->told++;
    mark->error = error;
    if (!error) assert_true(appended->level >= mark->level);
    error ? mark->model->failed++ : mark->model->acknowledged++;
}

static void run_model(uint64_t seed)
{
    static struct model model;
    struct fake fake;
    struct yd_rng rng;
    memset(&model, 0, sizeof model);
    fake_init(&fake, seed);
    yd_rng_init(&rng, seed ^ 99);
    fake.lazy = true;
    fake.chunk = yd_rng_chance(&rng, 2) ? 300 : 0;
    bool memory = yd_rng_chance(&rng, 3), refusals = yd_rng_chance(&rng, 3);
    struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.timeout_ns = 600 * YD_NS_PER_S});
    struct yd_client_stream *stream = open_stream(client);
    for (unsigned i = 0; i < MARKS;) {
        if (fake.die_in == 0 && yd_rng_chance(&rng, 40)) fake.die_in = 1 + (uint32_t)yd_rng_below(&rng, 40);
        if (refusals && yd_rng_chance(&rng, 40)) {
            fake.refuse_count = 1;
            fake.refuse_append = YD_EFULL;
            fake.refuse_retry_ms = 20;
        }
        for (uint64_t more = yd_rng_below(&rng, 20); more && i < MARKS; more--, i++) {
            struct mark *mark = &model.marks[i];
            mark->model = &model;
            mark->level = yd_rng_chance(&rng, 3) ? YD_ACK_WRITTEN : YD_ACK_DURABLE;
            if (memory && yd_rng_chance(&rng, 2)) mark->level = YD_ACK_MEMORY;
            struct yd_batch *batch = fake_batch(i + 1, 1 + (unsigned)yd_rng_below(&rng, 3));
            struct yd_client_append_options options = {.level = mark->level};
            assert_int_equal(yd_client_append_async(stream, batch, &options, mark_told, mark), 0);
            yd_batch_unref(batch);
        }
        if (yd_rng_chance(&rng, 2))
            assert_true(yd_client_run(client, (int64_t)yd_rng_below(&rng, 3) * YD_NS_PER_MS) >= 0);
    }
    int error = yd_client_flush(client);
    if (error) print_message("# seed %llu: %s\n", (unsigned long long)seed, yd_client_trouble(client));
    assert_int_equal(error, 0);
    unsigned seen[MARKS + 1] = {0};
    uint64_t last = 0;
    for (size_t i = 0; i < fake.count; i++) {
        uint64_t mark = fake_mark(fake.entries[i].batch);
        assert_true(mark > last); /* in order, and none twice */
        last = mark;
        seen[mark]++;
    }
    for (unsigned i = 0; i < MARKS; i++) {
        if (model.marks[i].told != 1 || (model.marks[i].level != YD_ACK_MEMORY && seen[i + 1] != 1))
            fail_msg("seed %llu: append %u told %u times (%s), in the stream %u times", (unsigned long long)seed, i + 1,
                     model.marks[i].told, yd_error_name(model.marks[i].error), seen[i + 1]);
    }
    assert_int_equal(client->in_flight, 0);
    assert_int_equal(stream->unsent_bytes, 0);
    assert_int_equal(client->request_first, client->request_end); /* nobody waits for what was lost */
    yd_client_close(client);
    fake_fini(&fake);
}

static void every_acknowledged_append_is_there_once_whenever_the_server_dies(void **state)
{
    (void)state;
    const char *from = getenv("SEED");
    uint64_t seed = from ? strtoull(from, NULL, 10) : 1;
    for (uint64_t end = from ? seed + 1 : seed + 300; seed < end; seed++) {
        run_model(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_append_waits_for_its_acknowledgement),
        cmocka_unit_test(small_appends_travel_together_and_are_told_one_by_one),
        cmocka_unit_test(too_much_in_flight_is_full_and_goes_on_when_it_is_told),
        cmocka_unit_test(a_refusal_is_told_and_those_behind_it_are_sent_again),
        cmocka_unit_test(a_server_that_has_no_room_is_asked_again_later),
        cmocka_unit_test(a_sole_producer_is_told_when_the_seqno_is_another),
        cmocka_unit_test(a_first_connection_that_fails_is_told_at_once),
        cmocka_unit_test(a_wrong_token_and_an_unknown_stream_are_told),
        cmocka_unit_test(a_server_that_never_answers_is_a_timeout_with_words),
        cmocka_unit_test(a_silent_connection_is_given_up_and_made_again),
        cmocka_unit_test(memory_that_a_kill_took_is_not_a_gap_for_ever),
        cmocka_unit_test(what_was_acknowledged_and_is_gone_is_told_once),
        cmocka_unit_test(a_plain_append_is_not_sent_twice),
        cmocka_unit_test(a_producer_goes_on_after_its_own_death),
        cmocka_unit_test(closing_tells_what_was_not_acknowledged),
        cmocka_unit_test(with_once_the_first_loss_ends_everything),
        cmocka_unit_test(every_acknowledged_append_is_there_once_whenever_the_server_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
