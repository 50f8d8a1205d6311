/* In-file tests, written as a user writes them. */
#include "classes.h"

/* ---- classes: lines "name value", and one that says every second how many records came ---- */

static int noop_open(struct yd_element *element, void *state)
{
    (void)element;
    (void)state;
    return 0;
}

static void put(struct yd_builder *builder, struct yd_str name, struct yd_str value)
{
    uint32_t at;
    double number;
    assert_int_equal(yd_builder_name(builder, name, &at), 0);
    if (yd_text_f64(value, false, &number) == 0)
        (void)yd_builder_add(builder, 5, at, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = number});
    else
        (void)yd_builder_add_bytes(builder, 5, at, YD_EVENT, YD_TEXT, 0, value);
}

static int lines_feed(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct yd_builder *good, *bad;
    struct yd_batch *batch;
    (void)state;
    (void)wall_ns;
    assert_int_equal(yd_builder_create(NULL, &good), 0);
    assert_int_equal(yd_builder_create(NULL, &bad), 0);
    while (bytes.size) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        size_t size = end ? (size_t)(end - bytes.data) : bytes.size;
        const char *space = memchr(bytes.data, ' ', size);
        if (space) {
            size_t name = (size_t)(space - bytes.data);
            put(good, (struct yd_str){bytes.data, name}, (struct yd_str){space + 1, size - name - 1});
        } else {
            put(bad, YD_STR("reject"), (struct yd_str){bytes.data, size});
        }
        bytes.data += size + (end != NULL);
        bytes.size -= size + (end != NULL);
    }
    if (yd_builder_seal(good, &batch) == 0) (void)yd_emit(out, 0, batch);
    if (yd_builder_seal(bad, &batch) == 0) (void)yd_emit(out, 1, batch);
    yd_builder_destroy(good);
    yd_builder_destroy(bad);
    return 0;
}

static enum yd_turn_result ignore(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    (void)input;
    (void)out;
    return YD_DONE;
}

static const struct yd_port_class lines_ports[] = {
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = ""},
    {.name = "rejects",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .flags = YD_PORT_OPTIONAL_REJECTS,
     .doc = ""},
    {0}};
static const struct yd_param_class no_params[] = {{0}};
static const struct yd_element_class lines_class = {.abi = YD_ELEMENT_ABI,
                                                    .flags = YD_CLASS_SOURCE,
                                                    .name = "Pairs",
                                                    .summary = "lines",
                                                    .doc = "",
                                                    .example = "",
                                                    .ports = lines_ports,
                                                    .params = no_params,
                                                    .state_size = 8,
                                                    .open = noop_open,
                                                    .receive = ignore,
                                                    .feed = lines_feed};

static enum yd_turn_result every_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    int64_t *count = state;
    if (input->type == YD_INPUT_BATCH) *count += input->batch->header.count;
    if (input->type == YD_INPUT_TIMER) (void)yd_emit(out, 1, world_batch(*count, 1));
    if (input->type == YD_INPUT_TIMER || input->type == YD_INPUT_START)
        yd_timer_at(out, 1, input->mono_ns + YD_NS_PER_S);
    return YD_DONE;
}

static const struct yd_port_class every_ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = ""},
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = ""},
    {0}};
static const struct yd_element_class every_class = {.abi = YD_ELEMENT_ABI,
                                                    .name = "Every",
                                                    .summary = "counts",
                                                    .doc = "",
                                                    .example = "",
                                                    .ports = every_ports,
                                                    .params = no_params,
                                                    .state_size = 8,
                                                    .open = noop_open,
                                                    .receive = every_receive};

static const struct yd_port_class null_ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = ""}, {0}};
static const struct yd_element_class null_class = {.abi = YD_ELEMENT_ABI,
                                                   .name = "Null",
                                                   .summary = "nothing",
                                                   .doc = "",
                                                   .example = "",
                                                   .ports = null_ports,
                                                   .params = no_params,
                                                   .state_size = 8,
                                                   .open = noop_open,
                                                   .receive = ignore};

/* ---- running a text ---- */

static int read_text(void *arg, const char *path, char **ret_text, size_t *ret_size)
{
    (void)path;
    *ret_text = strdup(arg);
    *ret_size = strlen(arg);
    return 0;
}

static bool run_text(const char *text, char *report, size_t size)
{
    struct yd_element_class log = log_class;
    log.summary = log.doc = log.example = "";
    log.params = no_params;
    struct yd_port_class ports[3];
    memcpy(ports, log_class.ports, sizeof ports);
    ports[0].doc = ports[1].doc = "";
    ports[0].name = "input";
    ports[1].name = "output";
    log.ports = ports;
    const struct yd_element_class *const all[] = {&lines_class, &every_class, &null_class, &log};
    struct yd_classes classes = {all, 4};
    struct yd_load_options options = {.classes = &classes, .read_file = read_text, .arg = (void *)(uintptr_t)text};
    struct yd_topology *topology;
    struct yd_diagnostics diagnostics;
    yd_diagnostics_init(&diagnostics, NULL);
    int error = yd_topology_load("site.yd", &options, &topology, &diagnostics);
    if (error < 0) {
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_diagnostics_print(&diagnostics, false, &buf);
        printf("# %.*s\n", (int)buf.size, buf.data);
        yd_buf_fini(&buf);
        fail();
    }
    bool passed = true;
    *report = 0;
    for (size_t i = 0; passed && i < topology->test_count; i++) {
        struct yd_test_result result;
        error = yd_test_run(topology, i, 1, &result);
        snprintf(report, size, "%.*s", (int)result.report.size, result.report.data);
        if (error < 0) printf("# %s\n", report);
        assert_int_equal(error, 0);
        passed = result.passed;
        yd_buf_fini(&result.report);
    }
    yd_topology_destroy(topology);
    yd_diagnostics_fini(&diagnostics);
    seen_clear();
    return passed;
}

#define TOPOLOGY                                                                                                       \
    "pairs :: Pairs()\n"                                                                                               \
    "pairs -> metrics :: Log()\n"                                                                                      \
    "metrics -> every :: Every() -> Null()\n"

static void a_good_line_passes_and_a_bad_one_is_kept(void **state)
{
    (void)state;
    char report[4096];
    bool passed =
        run_text(TOPOLOGY "test \"x\" {\n"
                          "  feed pairs \"junk\\ncpu.load 1.5\\n\"\n"
                          "  expect pairs.rejects count 1\n"
                          "  expect metrics == [ { name: \"cpu.load\", value: 1.5 } ]\n"
                          "  expect every empty\n"
                          "  advance 1s\n"
                          "  expect every == [ { name: \"x\", value: 1, kind: sample } ]\n"
                          "  expect metrics empty\n"
                          "  feed metrics [ { name: \"a\", value: 1 }, { name: \"b\", value: \"text\" } ]\n"
                          "  feed metrics [ { name: \"c\", value: { k: 1, l: [ 1, true ] }, time: 5 } ]\n"
                          "  expect metrics == [ { name: \"a\", value: 1 }, { value: \"text\", kind: event },\n"
                          "     { kind: row, value: { l: [ 1, true ] }, time: \"1970-01-01T00:00:05Z\" } ]\n"
                          "  advance 1s\n"
                          "  expect every == [ { value: 4 } ]\n"
                          "}\n",
                 report, sizeof report);
    if (!passed) printf("# %s\n", report);
    assert_true(passed);
}

static void a_wrong_expectation_shows_place_and_difference(void **state)
{
    (void)state;
    char report[4096];
    assert_false(run_text(TOPOLOGY "test \"x\" {\n"
                                   "  feed pairs \"a 1\\nb 2\\nc 3\\n\"\n"
                                   "  expect metrics == [ { name: \"a\" }, { name: \"b\", value: 7 } ]\n"
                                   "}\n",
                          report, sizeof report));
    assert_non_null(strstr(report, "site.yd:6:"));
    assert_non_null(strstr(report, "metrics.output: 2 records expected, 3 came"));
    assert_non_null(strstr(report, "- {name: \"b\", value: 7}    (value differs)"));
    assert_non_null(strstr(report, "\"name\":\"c\""));
    assert_false(
        run_text(TOPOLOGY "test \"x\" {\n  feed pairs \"a 1\\n\"\n  expect metrics empty\n}\n", report, sizeof report));
    assert_non_null(strstr(report, "nothing was expected, 1 came"));
    assert_false(run_text(TOPOLOGY
                          "test \"x\" {\n  feed every [ { name: \"a\", value: 1 } ]\n  expect every.input count 2\n}\n",
                          report, sizeof report));
    assert_non_null(strstr(report, "2 were expected, 1 came"));
}

static void each_test_has_a_world_of_its_own(void **state)
{
    (void)state;
    char report[4096];
    bool passed = run_text(TOPOLOGY "test \"a\" {\n  feed pairs \"a 1\\n\"\n  advance 1s\n"
                                    "  expect every == [ { value: 1 } ]\n}\n"
                                    "test \"b\" {\n  feed pairs \"a 1\\n\"\n  advance 1s\n"
                                    "  expect every == [ { value: 1 } ]\n}\n",
                           report, sizeof report);
    if (!passed) printf("# %s\n", report);
    assert_true(passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_line_passes_and_a_bad_one_is_kept),
        cmocka_unit_test(a_wrong_expectation_shows_place_and_difference),
        cmocka_unit_test(each_test_has_a_world_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
