/* A server that lies: clear errors, no crash, bounded memory; and a client without memory. */
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"

static int try_to_open(struct yd_client *client)
{
    struct yd_client_stream *stream;
    return yd_client_stream(client, "s", &stream);
}

static void raw(struct fake *fake, const void *bytes, size_t size)
{
    yd_buf_add(&fake->to_client, bytes, size);
}

static void say_http(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    (void)frame;
    (void)body;
    raw(fake, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void say_half(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    (void)frame;
    (void)body;
    struct yd_frame half = {40, YD_MSG_WELCOME, 0, 0};
    raw(fake, &half, sizeof half);
}

static void say_huge(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_frame huge = {UINT32_C(1) << 30, YD_MSG_OPENED, 0, 0};
    if (frame->type == YD_MSG_HELLO)
        fake_serve(fake, frame, body);
    else
        raw(fake, &huge, sizeof huge);
}

static void say_wrong_version(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    (void)body;
    struct yd_msg_welcome welcome = {.version = 9, .frame_max = 1 << 20};
    fake_send(fake, YD_MSG_WELCOME, 0, frame->correlation, &welcome, sizeof welcome);
}

static void answer_another(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_frame other = *frame;
    if (frame->type != YD_MSG_HELLO) other.correlation += 5;
    fake_serve(fake, &other, body);
}

static void answer_short(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    if (frame->type == YD_MSG_HELLO)
        fake_serve(fake, frame, body);
    else
        fake_send(fake, YD_MSG_OPENED, 0, frame->correlation, "1234567", 8);
}

static void text_beyond(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_msg_opened opened = {.handle = 42, .dir_size = 4000};
    if (frame->type == YD_MSG_HELLO)
        fake_serve(fake, frame, body);
    else
        fake_send(fake, YD_MSG_OPENED, 0, frame->correlation, &opened, sizeof opened);
}

static void refuse_with_nothing(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_msg_refused refused = {.error = 0};
    if (frame->type == YD_MSG_HELLO)
        fake_serve(fake, frame, body);
    else
        fake_send(fake, YD_MSG_REFUSED, 0, frame->correlation, &refused, sizeof refused);
}

static void an_answer_that_cannot_be_is_a_clear_error(void **state)
{
    (void)state;
    const struct {
        void (*frame)(struct fake *fake, const struct yd_frame *frame, struct yd_str body);
        int error;
        const char *text;
    } liars[] = {
        {say_http, YD_EFORMAT, "not a yarder server"},
        {say_half, YD_ETIMEOUT, "HELLO"},
        {say_huge, YD_ETIMEOUT, "at most"},
        {say_wrong_version, YD_EVERSION, "version 9"},
        {answer_another, YD_ETIMEOUT, "not asked"},
        {answer_short, YD_ETIMEOUT, "cannot be"},
        {text_beyond, YD_ETIMEOUT, "cannot be"},
        {refuse_with_nothing, YD_ETIMEOUT, "cannot be"},
    };
    for (size_t i = 0; i < YD_COUNT(liars); i++) {
        struct fake fake;
        fake_init(&fake, 1);
        fake.frame = liars[i].frame;
        struct yd_client *client = fake_client(&fake, NULL);
        int error = try_to_open(client);
        if (error != liars[i].error || !strstr(yd_client_trouble(client), liars[i].text))
            fail_msg("liar %zu: %s: %s", i, yd_error_name(error), yd_client_trouble(client));
        assert_true(client->in.capacity <= 2 << 20);
        yd_client_close(client);
        fake_fini(&fake);
    }
}

/* ---- subscriptions ---- */

static unsigned lie;

static void lie_about_batches(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    if (frame->type != YD_MSG_SUBSCRIBE) {
        fake_serve(fake, frame, body);
        return;
    }
    struct yd_batch *batch = fake_batch(0, 4);
    size_t size = sizeof(struct yd_msg_batches) + batch->header.size;
    char *bytes = calloc(1, size + 64);
    struct yd_msg_batches batches = {4};
    memcpy(bytes, &batches, sizeof batches);
    yd_batch_to_bytes(batch, bytes + sizeof batches);
    if (lie == 0) bytes[sizeof batches + 200] ^= 1;  /* its checksum is wrong */
    if (lie == 1) size -= 8;                         /* not all there */
    if (lie == 2) memset(bytes, 0, sizeof batches);  /* ends behind what was said */
    if (lie == 3) bytes[sizeof batches + 8] ^= 0x40; /* another size */
    for (int i = lie == 4 ? 9000 : 1; i > 0; i--)    /* more than was allowed */
        fake_send(fake, YD_MSG_BATCHES, 0, frame->correlation, bytes, size);
    free(bytes);
    yd_batch_unref(batch);
}

static void damaged_batches_end_the_subscription_after_a_few_tries(void **state)
{
    (void)state;
    for (lie = 0; lie < 4; lie++) {
        struct fake fake;
        struct yd_client_stream *stream;
        struct yd_subscription *sub;
        struct yd_received got;
        fake_init(&fake, 1);
        fake.frame = lie_about_batches;
        struct yd_client *client = fake_client(&fake, NULL);
        assert_int_equal(yd_client_stream(client, "s", &stream), 0);
        assert_int_equal(yd_client_subscribe(stream, NULL, NULL, NULL, &sub), 0);
        assert_int_equal(yd_subscription_next(sub, 60 * YD_NS_PER_S, &got), 0);
        assert_true(got.ended);
        assert_int_equal(got.error, YD_ECORRUPT);
        assert_int_equal(fake.connections, 3);
        yd_client_close(client);
        fake_fini(&fake);
    }
}

static void a_server_that_sends_more_than_its_credit_is_left(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_client_stream *stream;
    struct yd_subscription *sub;
    lie = 4;
    fake_init(&fake, 1);
    fake.frame = lie_about_batches;
    struct yd_client *client = fake_client(&fake, NULL);
    struct yd_subscribe_options options = {.credit_bytes = 64 << 10};
    assert_int_equal(yd_client_stream(client, "s", &stream), 0);
    assert_int_equal(yd_client_subscribe(stream, &options, NULL, NULL, &sub), 0);
    for (int i = 0; i < 50 && fake.connections < 2; i++) assert_true(yd_client_run(client, YD_NS_PER_S) >= 0);
    assert_non_null(strstr(yd_client_trouble(client), "more than it was allowed"));
    assert_true(sub->queued <= (64 << 10) + 1024);
    yd_client_close(client);
    fake_fini(&fake);
}

static void gaps_cost(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    if (frame->type != YD_MSG_SUBSCRIBE) {
        fake_serve(fake, frame, body);
        return;
    }
    for (uint64_t i = 0; i < 20000; i++) {
        struct yd_msg_gap gap = {.from = i * 2 + 1, .to = i * 2 + 2, .reason_size = 4000};
        if (i % 2) gap.reason_size = 0;
        fake_send(fake, YD_MSG_GAP, 0, frame->correlation, &gap, sizeof gap);
    }
}

static void a_flood_of_gaps_is_bounded(void **state)
{
    (void)state;
    struct fake fake;
    struct yd_client_stream *stream;
    struct yd_subscription *sub;
    fake_init(&fake, 1);
    fake.frame = gaps_cost;
    struct yd_client *client = fake_client(&fake, NULL);
    assert_int_equal(yd_client_stream(client, "s", &stream), 0);
    assert_int_equal(yd_client_subscribe(stream, NULL, NULL, NULL, &sub), 0);
    for (int i = 0; i < 50; i++) assert_true(yd_client_run(client, YD_NS_PER_S) >= 0);
    assert_true(sub->gaps <= 4097);
    yd_client_close(client);
    fake_fini(&fake);
}

/* ---- any bytes ---- */

static struct yd_rng noise;

static void babble(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    size_t before = fake->to_client.size;
    fake_serve(fake, frame, body);
    if (frame->type == YD_MSG_HELLO && !yd_rng_chance(&noise, 10)) return;
    for (unsigned flips = (unsigned)yd_rng_below(&noise, 3); flips && fake->to_client.size > before; flips--)
        fake->to_client.data[before + yd_rng_below(&noise, fake->to_client.size - before)] ^=
            (char)(1 << yd_rng_below(&noise, 8));
    if (yd_rng_chance(&noise, 10)) fake->closed = true;
}

static void quiet(void *arg, int error, const struct yd_client_appended *appended)
{
    (void)error;
    (void)appended;
    ++*(unsigned *)arg;
}

static void flipped_bits_from_a_server_crash_nothing_and_all_is_told(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct fake fake;
        struct yd_client_stream *stream;
        struct yd_subscription *sub = NULL;
        struct yd_received got;
        unsigned told = 0, asked = 0;
        fake_init(&fake, seed);
        yd_rng_init(&noise, seed);
        fake.frame = babble;
        for (unsigned i = 1; i < 20; i++) {
            struct yd_batch *batch = fake_batch(i, 3);
            fake_add(&fake, batch);
            yd_batch_unref(batch);
        }
        struct yd_client *client = fake_client(&fake, &(struct yd_client_options){.timeout_ns = 5 * YD_NS_PER_S});
        if (yd_client_stream(client, "s", &stream) == 0) {
            (void)yd_client_subscribe(stream, NULL, NULL, NULL, &sub);
            for (unsigned i = 0; i < 30; i++) {
                struct yd_batch *batch = fake_batch(100 + i, 1);
                asked += yd_client_append_async(stream, batch, NULL, quiet, &told) == 0;
                yd_batch_unref(batch);
                while (sub && yd_subscription_next(sub, 0, &got) == 0) yd_batch_unref(got.batch);
            }
            (void)yd_client_flush(client);
            if (sub) (void)yd_subscription_save(sub, "c", 3);
        }
        yd_client_close(client);
        assert_int_equal(told, asked);
        fake_fini(&fake);
    }
}

/* ---- no memory ---- */

static void without_memory_it_fails_and_leaks_nothing(void **state)
{
    (void)state;
    bool ended = false;
    for (uint64_t at = 1; !ended && at < 400; at++) {
        struct fake fake;
        struct yd_alloc_failing failing;
        struct yd_client *client = NULL;
        struct yd_client_stream *stream;
        struct yd_subscription *sub = NULL;
        struct yd_received got;
        unsigned told = 0, asked = 0;
        fake_init(&fake, at);
        yd_alloc_failing_init(&failing, at);
        const struct yd_client_options options = {.timeout_ns = 2 * YD_NS_PER_S};
        int error = yd__client_open(&options, &fake.net, &failing.alloc, &client, NULL);
        if (!error) error = yd_client_stream(client, "s", &stream);
        if (!error) error = yd_client_subscribe(stream, NULL, NULL, NULL, &sub);
        for (unsigned i = 0; !error && i < 100; i++) {
            struct yd_batch *batch = fake_batch(i + 1, 1);
            error = yd_client_append_async(stream, batch, NULL, quiet, &told);
            asked += error == 0;
            yd_batch_unref(batch);
        }
        if (!error) error = yd_client_flush(client);
        while (sub && yd_subscription_next(sub, 0, &got) == 0) {
            yd_batch_unref(got.batch);
            if (got.ended) break;
        }
        ended = failing.calls < at;
        if (ended) assert_int_equal(error, 0);
        yd_client_close(client);
        assert_int_equal(told, asked);
        assert_int_equal(failing.bytes_out, 0);
        fake_fini(&fake);
    }
    assert_true(ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_cannot_be_is_a_clear_error),
        cmocka_unit_test(damaged_batches_end_the_subscription_after_a_few_tries),
        cmocka_unit_test(a_server_that_sends_more_than_its_credit_is_left),
        cmocka_unit_test(a_flood_of_gaps_is_bounded),
        cmocka_unit_test(flipped_bits_from_a_server_crash_nothing_and_all_is_told),
        cmocka_unit_test(without_memory_it_fails_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
