/* One definition for a vehicle: Decom has its packets, Derive what it derives, Limits its limits. */
#include "tested.h"

#include "io/file.h"

#define VEHICLE                                                                                                        \
    "definition r\n"                                                                                                   \
    "container head\n  id u8 hidden\n  volts u8 scale 0.1 limits red 6..9\n"                                           \
    "packet a : head when id == 1\n"                                                                                   \
    "  height u16 limits yellow ..300 red ..400\n"                                                                     \
    "  cell u8[2] limits red ..50\n"                                                                                   \
    "  mode u8 { 0 OFF, 1 FAULT } limits red is \"FAULT\"\n"                                                           \
    "packet b : head when id == 2\n  count u8 as total\n"                                                              \
    "derive climb = delta(a.height)\n  limits yellow -100..100\n"                                                      \
    "derive twice = climb * 2\n"                                                                                       \
    "limits total red ..3\n"                                                                                           \
    "limits r.a.height set pad yellow ..10\n"
#define JOINED                                                                                                         \
    "u :: Udp(listen: \"127.0.0.1:5000\") -> decom :: Decom(definition: \"r.ydm\")\n"                                  \
    "  -> derive :: Derive(definition: \"r.ydm\", pass: true)\n"                                                       \
    "  -> limits :: Limits(definition: \"r.ydm\"%s) -> out :: Null()\n"

static void put(struct tested *t, const char *name, const char *text)
{
    assert_int_equal(yd_fs_replace(t->fs, name, text, strlen(text)), 0);
}

static void begin(struct tested *t, const char *listen_to, const char *more)
{
    char text[512];
    tested_open(t);
    t->listen_to = listen_to;
    put(t, "r.ydm", VEHICLE);
    (void)snprintf(text, sizeof text, JOINED, more);
    tested_start(t, text);
}

static void feed_bytes(struct tested *t, int64_t time_ns, struct yd_str bytes)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("packet"), &name), 0);
    assert_int_equal(yd_builder_add_bytes(builder, time_ns, name, YD_PACKET, YD_BLOB, 0, bytes), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    tested_feed(t, "decom", batch);
    tested_run(t, YD_NS_PER_MS);
}

static void feed(struct tested *t, int64_t time_ns, const char *hex)
{
    char bytes[64];
    size_t size = 0;
    for (; hex[2 * size]; size++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * size, "%2x", &byte), 1);
        bytes[size] = (char)byte;
    }
    feed_bytes(t, time_ns, (struct yd_str){bytes, size});
}

static void finish(struct tested *t)
{
    tested_drain(t);
    tested_close(t);
}

static void packets_lead_to_what_their_definition_derives(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, "derive", "");
    feed(&t, 1, "015000640a0b00");
    expect_out(&t, "derive.output SAMPLE r.a.volts 8\nderive.output SAMPLE r.a.height 100\nderive.output SAMPLE "
                   "r.a.cell.0 10\nderive.output SAMPLE r.a.cell.1 11\nderive.output SAMPLE r.a.mode OFF\n");
    feed(&t, 2, "015000960a0b00");
    expect_out(&t, "derive.output SAMPLE r.a.volts 8\nderive.output SAMPLE r.a.height 150\nderive.output SAMPLE "
                   "r.a.cell.0 10\nderive.output SAMPLE r.a.cell.1 11\nderive.output SAMPLE r.a.mode OFF\n"
                   "derive.output SAMPLE r.climb 50\nderive.output SAMPLE r.twice 100\n");
    finish(&t);
}

static void its_limits_judge_packets_elements_labels_and_what_is_derived(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, "limits", "");
    feed(&t, 1, "015000640a0b00");
    const char *out = tested_out(&t);
    assert_non_null(strstr(out, "STATE r.a.volts 0 transition green: 8\n"));
    assert_non_null(strstr(out, "STATE r.a.height 0 transition green: 100\n"));
    assert_non_null(strstr(out, "STATE r.a.cell.0 0 transition green: 10\n"));
    assert_non_null(strstr(out, "STATE r.a.cell.1 0 transition green: 11\n"));
    assert_non_null(strstr(out, "STATE r.a.mode 0 transition"));
    assert_null(strstr(out, "r.climb"));
    feed(&t, 2, "015000c80a3c00"); /* 100 higher: at its limit, which belongs to it; a cell too hot */
    expect_out(&t, "limits.output STATE r.a.cell.1 2 transition red high: 60, limit above 50\n"
                   "limits.output STATE r.a.cell.1 2 red high: 60, limit above 50\n"
                   "limits.output STATE r.climb 0 transition green: 100\nlimits.output STATE r.climb 0 green: 100\n");
    feed(&t, 3, "0150015e0a3c01"); /* 350: 150 higher */
    expect_out(&t, "limits.output STATE r.a.height 1 transition yellow high: 350, limit above 300\n"
                   "limits.output STATE r.a.height 1 yellow high: 350, limit above 300\n"
                   "limits.output STATE r.a.mode 2 transition red: \"FAULT\"\n"
                   "limits.output STATE r.a.mode 2 red: \"FAULT\"\n"
                   "limits.output STATE r.climb 1 transition yellow high: 150, limit above 100\n"
                   "limits.output STATE r.climb 1 yellow high: 150, limit above 100\n");
    feed(&t, 4, "023204"); /* a name of its own; 5 V in another packet: a measurement of its own */
    expect_out(&t, "limits.output STATE r.b.volts 2 transition red low: 5, limit below 6\n"
                   "limits.output STATE r.b.volts 2 red low: 5, limit below 6\n"
                   "limits.output STATE r.total 2 transition red high: 4, limit above 3\n"
                   "limits.output STATE r.total 2 red high: 4, limit above 3\n");
    finish(&t);
}

static void a_named_set_joins_the_limits_of_its_field(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, "limits", ", set: \"pad\"");
    feed(&t, 1, "015000640a0b00");
    assert_non_null(strstr(tested_out(&t), "STATE r.a.height 1 transition yellow high: 100, limit above 10\n"));
    finish(&t);
}

static void limits_out_of_xtce_are_judged(void **state)
{
    struct tested t;
    (void)state;
    tested_open(&t);
    t.listen_to = "limits";
    put(&t, "v.xml",
        "<SpaceSystem name=\"v\" xmlns=\"http://www.omg.org/spec/XTCE/20180204\"><TelemetryMetaData>"
        "<ParameterTypeSet><IntegerParameterType name=\"t\" signed=\"false\"><IntegerDataEncoding sizeInBits=\"8\"/>"
        "<DefaultAlarm><StaticAlarmRanges><CriticalRange minInclusive=\"0\" maxInclusive=\"9\"/></StaticAlarmRanges>"
        "</DefaultAlarm></IntegerParameterType></ParameterTypeSet>"
        "<ParameterSet><Parameter name=\"x\" parameterTypeRef=\"t\"/></ParameterSet>"
        "<ContainerSet><SequenceContainer name=\"p\"><EntryList><ParameterRefEntry parameterRef=\"x\"/></EntryList>"
        "</SequenceContainer></ContainerSet></TelemetryMetaData></SpaceSystem>\n");
    tested_start(&t, "u :: Udp(listen: \"127.0.0.1:5000\") -> decom :: Decom(definition: \"v.xml\")\n"
                     "  -> limits :: Limits(definition: \"v.xml\") -> Null()\n");
    feed(&t, 1, "0a");
    assert_non_null(strstr(tested_out(&t), " 2 transition red high: 10, limit above 9\n"));
    finish(&t);
}

static void refused(const char *topology, const char *definition, const char *why)
{
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    if (definition) put(&t, "r.ydm", definition);
    assert_true(tested_try(&t, topology, &trail) < 0);
    if (!strstr(yd_trail_text(&trail), why)) fail_msg("%s\nis not in\n%s", why, yd_trail_text(&trail));
    yd_trail_clear(&trail);
    tested_close(&t);
}

static void what_is_wrong_with_a_definition_is_said(void **state)
{
    (void)state;
#define DERIVE       "g :: Graphite(listen: \"127.0.0.1:0\") -> Derive(definition: \"r.ydm\") -> Null()\n"
#define LIMITS(more) "g :: Graphite(listen: \"127.0.0.1:0\") -> Limits(definition: \"r.ydm\"" more ") -> Null()\n"
#define PACKET       "definition r\npacket p\n  x u8\n"
    refused(DERIVE, NULL, "r.ydm");
    refused(DERIVE, PACKET "derive y = p.z\n", "r.ydm:4:12: no measurement is called 'p.z'");
    refused(DERIVE, PACKET "derive a = r.b\nderive b = a + p.x\n",
            "r.ydm:4:8: derived values go in a circle: a -> b -> a");
    refused(DERIVE, PACKET "derive a = b + p.x\nderive b = c\nderive c = a\n", "go in a circle: a -> b -> c -> a");
    refused(DERIVE, PACKET "derive p.x = 1\n", "r.ydm:4:8: 'r.p.x' is a field already");
    refused(DERIVE, PACKET, "r.ydm: it derives nothing: write  derive NAME = EXPRESSION");
    refused(LIMITS(""), PACKET, "r.ydm: it limits nothing: write  limits yellow");
    refused(DERIVE, PACKET "derive a = p.x > 1\nderive b = a * 2\n", "wants a number, this is true or false");
    refused(LIMITS(""), PACKET "limits p.x red ..1\nlimits r.p.x red ..2\n", "r.ydm:5:14: there are limits already");
    refused(LIMITS(""), PACKET "    limits red 0..1\n    limits set up red 0..2\n    limits set up red 0..1\n",
            "r.ydm:6:12: these limits are for the set 'up'");
    refused(LIMITS(", set: \"up\""), PACKET "limits p.x red ..1\n", "no rule has limits of a set 'up'");
    expect_refused("g :: Graphite(listen: \"127.0.0.1:0\") -> Limits(definition: \"r.ydm\", file: \"x\") -> Null()\n",
                   "give either rules or file or definition");
    expect_refused("g :: Graphite(listen: \"127.0.0.1:0\") -> Derive(definition: \"r.ydm\", file: \"x\") -> Null()\n",
                   "give either rules or file or definition or lua");
}

/* Each by its own name: none is searched for. */
static void ten_thousand_fields_have_limits_each(void **state)
{
    enum { FIELDS = 10000 };
    struct yd_buf text;
    struct tested t;
    (void)state;
    tested_open(&t);
    t.listen_to = "limits";
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "definition r\npacket p\n");
    for (int i = 0; i < FIELDS; i++) yd_buf_printf(&text, "  f%d u8 limits red ..%d\n", i, i == FIELDS - 1 ? 1 : 2);
    yd_buf_char(&text, 0);
    put(&t, "r.ydm", text.data);
    tested_start(&t, "u :: Udp(listen: \"127.0.0.1:5000\") -> decom :: Decom(definition: \"r.ydm\")\n"
                     "  -> limits :: Limits(definition: \"r.ydm\") -> Null()\n");
    yd_buf_clear(&text);
    for (int i = 0; i < FIELDS; i++) yd_buf_char(&text, 2);
    feed_bytes(&t, 1, yd_buf_view(&text));
    tested_run(&t, YD_NS_PER_S);
    const char *out = tested_out(&t), *alarm = strstr(out, "transition red high");
    if (!alarm) fail_msg("%.300s %s", out, t.said);
    assert_non_null(strstr(out, "STATE r.p.f9999 2 transition red high: 2, limit above 1\n"));
    assert_null(strstr(alarm + 1, "transition red"));
    yd_buf_fini(&text);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_lead_to_what_their_definition_derives),
        cmocka_unit_test(its_limits_judge_packets_elements_labels_and_what_is_derived),
        cmocka_unit_test(a_named_set_joins_the_limits_of_its_field),
        cmocka_unit_test(limits_out_of_xtce_are_judged),
        cmocka_unit_test(what_is_wrong_with_a_definition_is_said),
        cmocka_unit_test(ten_thousand_fields_have_limits_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
