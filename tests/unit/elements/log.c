/* Log with partitions: where records go, in which order they stay, who is told what, and that nothing is lost or
 * doubled whatever is cut off. The disk is simulated; what is in the stream is read from its files. */
#include "base/hash.h"
#include "tested.h"

#include "log/mend.h"

#define NAMES  10
#define LITTLE (100 * YD_NS_PER_MS)
#define NONE   "s :: Lines(path: \"none\", follow: true) -> "

/* Records of n0, n1 … in turns, values from `first` on. */
static struct yd_batch *mixed(int64_t first, uint32_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &builder), 0);
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        uint32_t at;
        (void)snprintf(name, sizeof name, "n%d", (int)((first + i) % NAMES));
        assert_int_equal(yd_builder_name(builder, yd_str_of(name), &at), 0);
        assert_int_equal(
            yd_builder_add(builder, YD_NS_PER_S, at, YD_SAMPLE, YD_I64, 0, (union yd_value){.i64 = first + i}), 0);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

struct found {
    uint32_t records;
    int64_t last[NAMES];
    int partition[NAMES]; /* -1: nowhere yet */
};

/* Every record of a partition: of each name they come as they were made, one after the other. */
static void read_partition(struct tested *t, const char *stream, unsigned partition, struct found *found)
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "data/streams/%s/%u", stream, partition);
    struct yd_log_options options = {.fs = t->fs, .dir = dir, .stream = stream, .readonly = true};
    struct yd_trail trail = {0};
    struct yd_log *log;
    struct yd_log_reader *reader;
    if (yd_log_open(&options, &log, NULL, &trail) < 0) fail_msg("%s", yd_trail_text(&trail));
    assert_int_equal(yd_log_reader_open(log, &(struct yd_log_start){.from = YD_FROM_OLDEST}, &reader), 0);
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int r = yd_log_reader_next(reader, &batch, &gap);
        if (r == YD_EAGAIN) break;
        assert_int_equal(r, 0);
        for (uint32_t i = 0; i < batch->view.count; i++) {
            const struct yd_record *record = &batch->view.records[i];
            struct yd_str name = yd_view_name(&batch->view, record->name);
            int index = name.data[1] - '0';
            if (found->last[index] != -1) assert_int_equal(record->value.i64, found->last[index] + NAMES);
            if (found->last[index] == -1) assert_int_equal(record->value.i64, index);
            found->last[index] = record->value.i64;
            if (found->partition[index] == -1) found->partition[index] = (int)partition;
            assert_int_equal(found->partition[index], partition);
            found->records++;
        }
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    assert_int_equal(yd_log_close(log), 0);
}

static struct found read_stream(struct tested *t, const char *stream, unsigned partitions)
{
    struct found found = {0};
    for (int i = 0; i < NAMES; i++) found.last[i] = found.partition[i] = -1;
    for (unsigned p = 0; p < partitions; p++) read_partition(t, stream, p, &found);
    return found;
}

static void each_name_goes_where_its_hash_says_and_stays_in_order(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, NONE "log :: Log(stream: \"s\", partitions: 4, by: name)\n");
    for (int i = 0; i < 20; i++) tested_feed(&t, "log", mixed(i * 37, 37));
    tested_drain(&t);
    struct yd_input_stat input = input_of(&t, "log", "input");
    assert_int_equal(input.consumed, 20 * 37);
    tested_stop(&t);
    struct found found = read_stream(&t, "s", 4);
    assert_int_equal(found.records, 20 * 37);
    bool used[4] = {false};
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(found.partition[i], yd_partition_of(yd_hash_str(yd_str_of(name)), 4));
        used[found.partition[i]] = true;
    }
    for (int i = 0; i < 4; i++) assert_true(used[i]); /* else the names are chosen badly */
    expect_file(&t, "data/streams/s/stream.json",
                "{\"partitions\": 4, \"by\": \"name\", \"keep_ns\": 0, \"size_bytes\": 0}\n");
    tested_close(&t);
}

/* A tombstone covers names of any partition, and is counted once all the same. */
static void a_tombstone_is_in_each_partition_and_counts_there(void **state)
{
    (void)state;
    static const char *const chosen[] = {"name", "producer"};
    for (size_t i = 0; i < YD_COUNT(chosen); i++) {
        struct tested t;
        struct yd_tombstone tombstone = {.names = YD_STR("n"), .until_seqno = UINT64_MAX, .until_time = INT64_MAX};
        struct yd_batch *batch;
        char text[256];
        tested_open(&t);
        (void)snprintf(text, sizeof text,
                       NONE
                       "a :: Filter() -> log :: Log(stream: \"s\", partitions: 4, by: %s)\ns -> b :: Filter() -> log\n",
                       chosen[i]);
        tested_start(&t, text);
        tested_feed(&t, "a", mixed(0, 37));
        tombstone.names = YD_STR("*");
        assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
        tested_feed(&t, "a", batch);
        tested_feed(&t, "a", mixed(37, 37));
        tested_drain(&t);
        assert_int_equal(input_of(&t, "log", "input").consumed, 2 * 37 + 1);
        tested_stop(&t);
        uint32_t shown = 0, stones = 0;
        for (unsigned p = 0; p < 4; p++) {
            char dir[64];
            struct yd_forgotten *forgotten;
            struct yd_log_start start = {.from = YD_FROM_OLDEST};
            struct yd_log_reader *reader;
            (void)snprintf(dir, sizeof dir, "data/streams/s/%u", p);
            assert_int_equal(yd_forgotten_create(&forgotten), 0);
            assert_int_equal(yd_forgotten_load(forgotten, t.fs, dir, NULL), 0);
            assert_int_equal(yd_forgotten_count(forgotten), 1);
            assert_int_equal(yd_log_reader_open_dir(t.fs, dir, &start, &reader, NULL), 0);
            while (yd_log_reader_next(reader, &batch, NULL) == 0) {
                for (uint32_t k = 0; k < batch->view.count; k++) {
                    stones += batch->view.records[k].kind == YD_ROW;
                    shown += !yd_forgotten_covers(forgotten, batch, k);
                }
                yd_batch_unref(batch);
            }
            yd_log_reader_close(reader);
            yd_forgotten_destroy(forgotten);
        }
        assert_int_equal(stones, 4);
        assert_int_equal(shown, 37 + 4); /* what came behind it, and the tombstones */
        tested_close(&t);
    }
}

static void all_of_a_wire_goes_to_one_partition_by_producer(void **state)
{
    (void)state;
    struct tested t;
    static const char topology[] = NONE "a :: Filter() -> log :: Log(stream: \"s\", partitions: 8, by: producer)\n"
                                        "s -> b :: Filter() -> log\n";
    tested_open(&t);
    unsigned partition_of_a = 0;
    for (int run = 0; run < 2; run++) {
        tested_start(&t, topology);
        tested_feed(&t, "a", mixed(run * 50, 50));
        tested_drain(&t);
        tested_stop(&t);
        /* All names are in one, and after a restart it is the same. */
        struct found found = read_stream(&t, "s", 8);
        assert_int_equal(found.records, 50 + run * 50);
        for (int i = 1; i < NAMES; i++) assert_int_equal(found.partition[i], found.partition[0]);
        if (run == 0) partition_of_a = (unsigned)found.partition[0];
        assert_int_equal(found.partition[0], partition_of_a);
    }
    tested_close(&t);
}

static void a_wire_out_of_it_reads_all_partitions_and_each_goes_on_where_it_was(void **state)
{
    (void)state;
    struct tested t;
    static const char topology[] = NONE "log :: Log(stream: \"s\", partitions: 4) -[cursor: \"c\"]-> f :: Filter() -> "
                                        "Null()\n";
    tested_open(&t);
    t.listen_to = "f";
    int64_t value = 0;
    for (int run = 0; run < 3; run++) {
        tested_start(&t, topology);
        for (int i = 0; i < 5; i++, value += 30) tested_feed(&t, "log", mixed(value, 30));
        tested_drain(&t);
        uint32_t lines = 0;
        int64_t last[NAMES];
        for (int i = 0; i < NAMES; i++) last[i] = run * 150 + i - NAMES;
        const char *said = tested_out(&t);
        for (const char *at = said; *at; at = strchr(at, '\n') + 1, lines++) {
            int name, number;
            assert_int_equal(sscanf(at, "f.output SAMPLE n%d %d", &name, &number), 2);
            assert_int_equal(number, last[name] + NAMES);
            last[name] = number;
        }
        assert_int_equal(lines, 150); /* nothing of the run before, nothing twice */
        tested_stop(&t);
    }
    tested_close(&t);
}

static void a_power_cut_loses_and_doubles_nothing_between_two_logs(void **state)
{
    (void)state;
    struct yd_rng rng;
    struct tested t;
    uint64_t left = 0; /* for the last of the runs: else the cuts come too late */
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 4; round++) {
        uint32_t fed = 0;
        tested_open(&t);
        t.seed = yd_rng_next(&rng);
        tested_start(&t, NONE "a :: Log(stream: \"a\", partitions: 2)\n");
        for (int i = 0; i < 200; i++) {
            uint32_t size = 1 + (uint32_t)yd_rng_below(&rng, 60);
            tested_feed(&t, "a", mixed(fed, size));
            fed += size;
        }
        tested_drain(&t);
        tested_stop(&t);
        /* Between them a Filter that gives what it takes: the second log knows what it has of each of the first's. */
        static const char copy[] = NONE "a :: Log(stream: \"a\", partitions: 2) -[queue: 16KiB]-> Filter() -[queue: "
                                        "16KiB]-> b :: Log(stream: \"b\", partitions: 5)\n";
        for (int cut = 0; cut < 8; cut++) {
            tested_start(&t, copy);
            tested_run(&t, (int64_t)yd_rng_below(&rng, (uint64_t)(40 * YD_NS_PER_MS)));
            tested_crash(&t);
        }
        tested_start(&t, copy);
        for (int i = 0; i < 100; i++) tested_run(&t, LITTLE);
        tested_drain(&t);
        left += input_of(&t, "b", "input").received;
        tested_stop(&t);
        struct found found = read_stream(&t, "b", 5);
        assert_int_equal(found.records, fed);
        tested_close(&t);
    }
    assert_true(left > 0);
}

static void what_a_partition_has_no_room_for_waits_in_its_order(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, NONE "log :: Log(stream: \"s\", partitions: 4, queue: 1MiB)\n");
    /* Far more than the queues hold, before any of it can be written. */
    enum { BATCHES = 60, SIZE = 5000 };
    for (int i = 0; i < BATCHES; i++) tested_feed(&t, "log", mixed(i * SIZE, SIZE));
    struct yd_input_stat input = input_of(&t, "log", "input");
    assert_true(input.queued > 0);
    tested_drain(&t);
    input = input_of(&t, "log", "input");
    assert_int_equal(input.consumed, BATCHES * SIZE);
    tested_stop(&t);
    assert_int_equal(read_stream(&t, "s", 4).records, BATCHES * SIZE);
    tested_close(&t);
}

/* The inputs end before the sync that fails: what it should have brought will never come. */
static void a_log_whose_disk_fails_behind_the_end_of_its_inputs_ends(void **state)
{
    (void)state;
    for (int drained = 0; drained < 2; drained++) {
        struct tested t;
        tested_open(&t);
        put_file(&t, "a.log", "one\ntwo\nthree\n");
        tested_start(&t, "Lines(path: \"a.log\") -> log :: Log(stream: \"s\") -> Null()\n");
        yd_sim_fs_faults(t.fs)->sync_fails = 1;
        if (drained)
            tested_drain(&t);
        else
            tested_end(&t);
        expect_said(&t, "a sync failed");
        yd_sim_fs_faults(t.fs)->sync_fails = 0;
        tested_close(&t);
    }
}

static void expect_refusal(struct tested *t, const char *topology, const char *part)
{
    struct yd_trail trail = {0};
    assert_true(tested_try(t, topology, &trail) < 0);
    if (!strstr(yd_trail_text(&trail), part)) fail_msg("'%s' is not in: %s", part, yd_trail_text(&trail));
    tested_stop(t);
}

static void run_once(struct tested *t, const char *topology)
{
    tested_start(t, topology);
    tested_feed(t, "log", mixed(0, 20));
    tested_drain(t);
    tested_stop(t);
}

static void partitions_that_are_not_those_of_the_stream_are_refused_with_what_to_write(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    run_once(&t, NONE "log :: Log(stream: \"s\", partitions: 4)\n");
    expect_refusal(&t, NONE "log :: Log(stream: \"s\", partitions: 3)\n",
                   "stream s was made with 4 partitions, not 3: names would move to others. Write partitions: 4 or");
    expect_refusal(&t, NONE "log :: Log(stream: \"s\", by: producer)\n",
                   "stream s was made with partitions by name: write by: name");
    run_once(&t, NONE "log :: Log(stream: \"s\")\n"); /* as it was made */
    run_once(&t, NONE "log :: Log(stream: \"s\", partitions: 4, by: name)\n");
    assert_true(has_file(&t, "data/streams/s/3"));
    assert_false(has_file(&t, "data/streams/s/4"));

    run_once(&t, NONE "log :: Log(stream: \"one\")\n");
    assert_false(has_file(&t, "data/streams/one/stream.json"));
    expect_refusal(&t, NONE "log :: Log(stream: \"one\", partitions: 2)\n", "stream one has 1 partition, not 2");
    run_once(&t, NONE "log :: Log(stream: \"one\", partitions: 1)\n");

    put_file(&t, "data/streams/many/stream.json", "{\"partitions\": 65}\n");
    expect_refusal(&t, NONE "log :: Log(stream: \"many\")\n", "stream many has 65 partitions, a Log writes up to 64");
    put_file(&t, "data/streams/odd/stream.json", "{\"partitions\": 0}\n");
    expect_refusal(&t, NONE "log :: Log(stream: \"odd\")\n", "stream odd: its stream.json cannot be understood");
    tested_close(&t);
}

/* A copy of the folders alone, as `cp` of some or a follower's: what is asked for agrees with them, or is refused. */
static void folders_without_their_stream_json_want_to_be_told_what_they_are(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    run_once(&t, NONE "log :: Log(stream: \"s\", partitions: 3)\n");
    assert_int_equal(yd_fs_unlink(t.fs, "data/streams/s/stream.json"), 0);
    expect_refusal(&t, NONE "log :: Log(stream: \"s\")\n", "write partitions: 3, by: name (or by: producer)");
    expect_refusal(&t, NONE "log :: Log(stream: \"s\", partitions: 2)\n", "stream s has 3 partitions, not 2");
    run_once(&t, NONE "log :: Log(stream: \"s\", partitions: 3)\n");
    assert_true(has_file(&t, "data/streams/s/stream.json"));
    tested_close(&t);
}

static void a_stream_has_one_writer_and_its_parameters_are_checked(void **state)
{
    (void)state;
    expect_refused("a :: Log(stream: \"s\", partitions: 2)\nb :: Log(stream: \"s\", partitions: 2)\n",
                   "writes the stream \"s\", as 'a' does");
    expect_refused("a :: Log(stream: \"s\")\nb :: Replica(from: \"127.0.0.1:1\", stream: \"s\", partition: 3)\n",
                   "writes the stream \"s\", as 'a' does");
    expect_refused("a :: Replica(from: \"127.0.0.1:1\", stream: \"s\", partition: 3)\n"
                   "b :: Replica(from: \"127.0.0.1:1\", stream: \"s\", partition: 3)\n",
                   "writes partition 3 of the stream \"s\", as 'a' does");
    expect_refused("a :: Log(stream: \"s\", partitions: 0)\n", "partitions");
    expect_refused("a :: Log(stream: \"s\", partitions: 65)\n", "partitions");
    expect_refused("a :: Log(stream: \"s\", partitions: 2, by: tag)\n", "by");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_goes_where_its_hash_says_and_stays_in_order),
        cmocka_unit_test(a_tombstone_is_in_each_partition_and_counts_there),
        cmocka_unit_test(all_of_a_wire_goes_to_one_partition_by_producer),
        cmocka_unit_test(a_wire_out_of_it_reads_all_partitions_and_each_goes_on_where_it_was),
        cmocka_unit_test(a_power_cut_loses_and_doubles_nothing_between_two_logs),
        cmocka_unit_test(what_a_partition_has_no_room_for_waits_in_its_order),
        cmocka_unit_test(partitions_that_are_not_those_of_the_stream_are_refused_with_what_to_write),
        cmocka_unit_test(folders_without_their_stream_json_want_to_be_told_what_they_are),
        cmocka_unit_test(a_stream_has_one_writer_and_its_parameters_are_checked),
        cmocka_unit_test(a_log_whose_disk_fails_behind_the_end_of_its_inputs_ends),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
