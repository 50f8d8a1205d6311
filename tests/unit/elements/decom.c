/* Decom in a topology: values out of packets, rejects with their reason, what is missing, definitions that are wrong.
 */
#include "tested.h"

#include "io/file.h"

#define TOPOLOGY                                                                                                       \
    "u :: Udp(listen: \"127.0.0.1:5000\") -> d :: Decom(definition: \"r.ydm\"%s) -> out :: Null()\n"                   \
    "d.rejects -> bad :: Null()\n"
#define DEFINITION                                                                                                     \
    "definition r\npacket p\n  id u8 = 1 hidden\n  n u8 sequence hidden\n  x u16 scale 0.5\n  m u8 { 0 OFF, 1 ON }\n"

static void begin(struct tested *t, const char *definition, const char *more)
{
    char text[512];
    tested_open(t);
    t->listen_to = "d";
    assert_int_equal(yd_fs_replace(t->fs, "r.ydm", definition, strlen(definition)), 0);
    (void)snprintf(text, sizeof text, TOPOLOGY, more);
    tested_start(t, text);
}

static struct yd_batch *packets(const struct yd_str *list, size_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("packet"), &name), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(yd_builder_add_bytes(builder, 5, name, YD_PACKET, YD_BLOB, 0, list[i]), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static void feed(struct tested *t, struct yd_str packet)
{
    tested_feed(t, "d", packets(&packet, 1));
    tested_run(t, YD_NS_PER_MS);
}

static void finish(struct tested *t)
{
    tested_drain(t);
    tested_close(t);
}

static void a_packet_becomes_its_measurements(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, DEFINITION, "");
    feed(&t, YD_STR("\1\0\0\7\1"));
    expect_out(&t, "d.output SAMPLE r.p.x 3.5\nd.output SAMPLE r.p.m ON\n");
    finish(&t);
}

static void raw_values_come_too_when_asked_for(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, DEFINITION, ", raw: true");
    feed(&t, YD_STR("\1\0\0\7\1"));
    expect_out(&t, "d.output SAMPLE r.p.x 3.5\nd.output SAMPLE r.p.x.raw 7\nd.output SAMPLE r.p.m ON\nd.output SAMPLE "
                   "r.p.m.raw 1\n");
    finish(&t);
}

static void neighbours_of_a_bad_packet_survive(void **state)
{
    struct tested t;
    struct yd_str list[] = {YD_STR("\1\0\0\7\1"), YD_STR("\2\1\0\7\1"), YD_STR("\1\1"), YD_STR("\1\1\0\1\0")};
    (void)state;
    begin(&t, DEFINITION, "");
    tested_feed(&t, "d", packets(list, 4));
    tested_run(&t, YD_NS_PER_MS);
    const char *out = tested_out(&t);
    assert_non_null(strstr(out, "SAMPLE r.p.x 3.5\n"));
    assert_non_null(strstr(out, "SAMPLE r.p.x 0.5\n"));
    assert_non_null(strstr(out, "no packet of the definition matches"));
    assert_non_null(strstr(out, "shorter than its fields"));
    finish(&t);
}

static void what_counters_miss_is_told_and_said(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, DEFINITION, "");
    feed(&t, YD_STR("\1\0\0\7\1"));
    feed(&t, YD_STR("\1\4\0\7\1"));
    assert_non_null(strstr(tested_out(&t), "TALLY r.lost packet=p 3\n"));
    expect_said(&t, "3 packets are missing");
    finish(&t);
}

static void a_wrong_definition_is_refused_with_its_place(void **state)
{
    struct tested t;
    struct yd_trail trail = {0};
    const char *wrong = "packet p\n  x u99\n";
    char text[512];
    (void)state;
    tested_open(&t);
    (void)snprintf(text, sizeof text, TOPOLOGY, "");
    assert_true(tested_try(&t, text, &trail) < 0);
    assert_non_null(strstr(yd_trail_text(&trail), "r.ydm"));
    yd_trail_clear(&trail);
    tested_stop(&t);
    assert_int_equal(yd_fs_replace(t.fs, "r.ydm", wrong, strlen(wrong)), 0);
    assert_true(tested_try(&t, text, &trail) < 0);
    assert_non_null(strstr(yd_trail_text(&trail), "r.ydm:2:5: unsigned has 1 to 64 bits, not 99"));
    tested_stop(&t);
    tested_close(&t);
}

struct counted {
    char names[2][64];
    uint64_t counts[2];
    size_t count;
};

static void visit(void *arg, const struct yd_element_stat *stat)
{
    struct counted *counted = arg;
    if (strcmp(stat->name, "d") != 0) return;
    counted->count = stat->part_count;
    for (size_t i = 0; i < stat->part_count && i < 2; i++) {
        memcpy(counted->names[i], stat->parts[i].name, sizeof counted->names[i]);
        counted->counts[i] = stat->parts[i].count;
    }
}

static void packets_whose_long_names_begin_alike_are_counted_apart(void **state)
{
#define LONG "a_name_that_is_long_and_longer_and_goes_on_until_it_does_not_fit_any_more_"
    struct tested t;
    struct counted counted = {.count = 0};
    (void)state;
    begin(&t, "packet " LONG "a\n  id u8 = 1\npacket " LONG "b\n  id u8 = 2\n", "");
    feed(&t, YD_STR("\1"));
    feed(&t, YD_STR("\2"));
    feed(&t, YD_STR("\2"));
    yd_run_stat_ask(t.run);
    tested_run(&t, YD_NS_PER_MS);
    yd_run_stat(t.run, &(struct yd_run_stat_visit){.element = visit, .arg = &counted});
    assert_int_equal(counted.count, 2);
    assert_int_equal(counted.counts[0], 1);
    assert_int_equal(counted.counts[1], 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(strlen(counted.names[i]), 63);
        assert_memory_equal(counted.names[i], LONG, 54);
    }
    assert_string_not_equal(counted.names[0], counted.names[1]);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_becomes_its_measurements),
        cmocka_unit_test(raw_values_come_too_when_asked_for),
        cmocka_unit_test(neighbours_of_a_bad_packet_survive),
        cmocka_unit_test(what_counters_miss_is_told_and_said),
        cmocka_unit_test(a_wrong_definition_is_refused_with_its_place),
        cmocka_unit_test(packets_whose_long_names_begin_alike_are_counted_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
