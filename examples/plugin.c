/* A class of one's own: Threshold says an EVENT for each number above its limit.
 *
 *   cc -shared -fPIC -I include examples/plugin.c -o threshold.so
 *   yarder elements Threshold --plugin ./threshold.so
 *   yarder run site.yd --plugin ./threshold.so      #  metrics -> Threshold(above: 0.9) -> Print() */
#include <stdio.h>
#include <yarder/element.h>

struct threshold {
    double above;
    struct yd_builder *builder;
};

static int open_threshold(struct yd_element *element, void *state)
{
    struct threshold *threshold = state;
    threshold->above = yd_args_float(yd_element_args(element), "above");
    return yd_builder_create(NULL, &threshold->builder);
}
static void close_threshold(void *state) { yd_builder_destroy(((struct threshold *)state)->builder); }

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct threshold *threshold = state;
    struct yd_batch *batch;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    const struct yd_view *view = &input->batch->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        char text[64];
        double value;
        uint32_t name;
        if (!yd_value_number(record->type, record->value, &value) || !(value > threshold->above)) continue;
        size_t size = (size_t)snprintf(text, sizeof text, "%g is above %g", value, threshold->above);
        if (yd_builder_name(threshold->builder, yd_view_name(view, record->name), &name) < 0 ||
            yd_builder_add_bytes(threshold->builder, record->time_ns, name, YD_EVENT, YD_TEXT, 0,
                                 (struct yd_str){text, size}) < 0)
            return YD_FAIL;
    }
    int error = yd_builder_seal(threshold->builder, &batch); /* YD_EAGAIN: nothing was above */
    return error == YD_EAGAIN || (error == 0 && yd_emit(out, 1, batch) == 0) ? YD_DONE : YD_FAIL;
}

static const struct yd_port_class ports[] = {
    {.name = "input", .direction = YD_IN, .kinds = YD_KINDS_ALL, .flags = YD_PORT_REQUIRED, .doc = "Numbers."},
    {.name = "output", .direction = YD_OUT, .kinds = YD_KIND_BIT(YD_EVENT), .doc = "What was too much."},
    {.name = NULL}};
static const struct yd_param_class params[] = {
    {.name = "above", .type = YD_PARAM_FLOAT, .flags = YD_PARAM_REQUIRED, .doc = "The limit."}, {.name = NULL}};
static const struct yd_element_class threshold_class = {
    .abi = YD_ELEMENT_ABI, .flags = YD_CLASS_REPEATS, .name = "Threshold", .summary = "says when numbers are too large",
    .ports = ports, .params = params, .state_size = sizeof(struct threshold),
    .open = open_threshold, .close = close_threshold, .receive = receive};

const struct yd_element_class *const yd_element_classes[] = {&threshold_class, NULL};
